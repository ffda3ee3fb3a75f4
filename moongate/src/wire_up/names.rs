//! Who resolves names, as the configuration has it now, and where names may lead.
//!
//! Everything that the gateway calls by name is resolved here, whoever chose it: an address where no name should lead
//! (this machine, the local link, a metadata service) is left out, so that nobody's DNS server can send the gateway there.
//! `localhost` is this machine; literal addresses are not resolved.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_config::Config;
use moongate_config::schema::Dns;
use moongate_core::seam::Later;
use moongate_core::{Code, Problem};
use moongate_identity::EgressGuard;
use moongate_transport::{NameServer, Resolve, SystemResolver};

/// Somebody to ask, and what is thought of the answers.
pub(crate) struct Asked {
    dns: Dns,
    resolver: Arc<dyn Resolve>,
    guard: EgressGuard,
}

/// A resolver that a reload may replace.
pub(crate) struct SwappableNames {
    current: ArcSwap<Asked>,
}

impl SwappableNames {
    /// Whom the configuration names.
    ///
    /// # Errors
    /// `Internal` if the machine gives nothing to ask with.
    pub(crate) fn new(config: &Config) -> Result<Self, Problem> {
        Ok(Self { current: ArcSwap::from_pointee(asked(config, resolver(config.egress.dns)?)) })
    }

    /// Whom a changed configuration names. Who stays keeps the answers at hand.
    ///
    /// # Errors
    /// As [`SwappableNames::new`].
    pub(crate) fn prepare(&self, config: &Config) -> Result<Arc<Asked>, Problem> {
        let current = self.current.load();
        let stays = current.dns == config.egress.dns;
        let resolver = if stays { current.resolver.clone() } else { resolver(config.egress.dns)? };
        Ok(Arc::new(asked(config, resolver)))
    }

    /// From now on these are asked.
    pub(crate) fn replace(&self, asked: Arc<Asked>) {
        self.current.store(asked);
    }
}

impl Resolve for SwappableNames {
    fn resolve(&self, host: String, port: u16) -> Later<'_, io::Result<Vec<SocketAddr>>> {
        let asked = self.current.load_full();
        Box::pin(async move {
            let found = asked.resolver.resolve(host.clone(), port).await?;
            asked.judged(&host, found)
        })
    }
}

impl Asked {
    /// The addresses where a name may lead.
    fn judged(&self, host: &str, mut found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let local = is_local(host);
        let mut refused = None;
        found.retain(|address| match self.guard.judge_named(address.ip()) {
            Err(why) if !(local && address.ip().to_canonical().is_loopback()) => {
                refused = Some((address.ip(), why));
                false
            }
            _ => true,
        });
        match refused {
            Some((ip, why)) if found.is_empty() => Err(led_astray(ip, why)),
            _ => Ok(found),
        }
    }
}

fn led_astray(ip: IpAddr, why: &str) -> io::Error {
    io::Error::other(format!("the name leads to {ip}, {why}; `egress.allow` does not cover it"))
}

fn asked(config: &Config, resolver: Arc<dyn Resolve>) -> Asked {
    Asked { dns: config.egress.dns, resolver, guard: EgressGuard::new(config.egress.allow.clone()) }
}

fn resolver(dns: Dns) -> Result<Arc<dyn Resolve>, Problem> {
    Ok(match dns {
        Dns::System => Arc::new(SystemResolver),
        Dns::Server(address) => Arc::new(NameServer::new(address).map_err(|error| {
            Problem::new(Code::Internal, format!("the DNS server {address} cannot be asked: {error}"))
        })?),
    })
}

/// Whether a name is this machine's by definition (RFC 6761 §6.3).
fn is_local(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}
