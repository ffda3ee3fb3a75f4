//! The guard between us and the addresses that strangers choose (callbacks, cards, key sets): no way into the networks
//! that only we can reach.
//!
//! - A URL is `https` on port 443 or 8443, unless the operator's `egress.allow` covers the address, which then allows
//!   `http` and any port.
//! - The form of a URL is judged strictly (`url`): whatever parsers could read in two ways is refused, so that what is
//!   judged is what is called.
//! - Every address that a name resolves to is judged (`address`) before anything connects, and the connection goes to
//!   a judged address.
//! - Metadata services of clouds stay refused inside an allowed range, unless the range is that one address. Our own
//!   listeners stay refused always.
//!
//! Names are judged when they are called, not here: what a name means today it need not mean tomorrow. That holds for names
//! that an operator wrote, too: they may lead to the public network and to private ones, not to this machine, the local
//! link or a metadata service, unless `egress.allow` covers the address ([`EgressGuard::judge_named`]).

mod address;
mod url;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use moongate_config::Prefix;
use moongate_core::seam::Egress;
use moongate_core::{Code, Problem};

use url::Host;

const PORTS: [u16; 2] = [443, 8443];

/// The guard.
#[derive(Clone, Debug, Default)]
pub struct EgressGuard {
    allow: Vec<Prefix>,
    own: Vec<SocketAddr>,
}

impl EgressGuard {
    /// A guard that lets through public addresses, and these ranges.
    pub fn new(allow: Vec<Prefix>) -> Self {
        Self { allow, own: Vec::new() }
    }

    /// Refuses our own listeners, even inside an allowed range.
    #[must_use]
    pub fn without_own(mut self, listeners: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.own.extend(listeners);
        self
    }

    fn judge_address(&self, address: SocketAddr, secure: bool) -> Result<(), &'static str> {
        let ip = address::plain(address.ip());
        if self.own.iter().any(|own| own.port() == address.port() && same_host(address::plain(own.ip()), ip)) {
            return Err("the address is the gateway's own");
        }
        if self.covers(ip) {
            return Ok(());
        }
        if let Some(reason) = address::reserved(ip) {
            return Err(reason);
        }
        ordinary(secure, address.port())
    }

    /// Whether a name may lead there, whoever chose the name: an operator's names are in the hands of their own DNS servers,
    /// which may change their minds. `localhost` is no such name.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge_named(&self, ip: IpAddr) -> Result<(), &'static str> {
        match address::unnamed(ip) {
            Some(reason) if !self.covers(address::plain(ip)) => Err(reason),
            _ => Ok(()),
        }
    }

    fn covers_this_machine(&self) -> bool {
        self.covers(Ipv4Addr::LOCALHOST.into()) || self.covers(Ipv6Addr::LOCALHOST.into())
    }

    fn covers(&self, ip: IpAddr) -> bool {
        let single = if ip.is_ipv4() { 32 } else { 128 };
        let shortest = if address::metadata(ip) { single } else { 0 };
        self.allow.iter().any(|prefix| prefix.length() >= shortest && prefix.contains(ip))
    }
}

impl Egress for EgressGuard {
    fn judge_url(&self, text: &str) -> Result<(), Problem> {
        let judged = url::parse(text).and_then(|target| match target.host {
            Host::Address(ip) => self.judge_address(SocketAddr::new(ip, target.port), target.secure),
            Host::Local if !self.covers_this_machine() => Err("the name means this machine"),
            // It may lead into an allowed range, where every port is allowed; that is judged when it is called.
            Host::Local | Host::Name if !self.allow.is_empty() => Ok(()),
            Host::Local | Host::Name => ordinary(target.secure, target.port),
        });
        judged.map_err(|reason| Problem::new(Code::EgressRefused, format!("the URL may not be called: {reason}")))
    }

    fn allows(&self, address: SocketAddr, secure: bool) -> bool {
        self.judge_address(address, secure).is_ok()
    }
}

fn ordinary(secure: bool, port: u16) -> Result<(), &'static str> {
    if !secure {
        Err("only https may be called")
    } else if !PORTS.contains(&port) {
        Err("only the ports 443 and 8443 may be called")
    } else {
        Ok(())
    }
}

/// Whether a listener on `own` is reached by `called`.
fn same_host(own: IpAddr, called: IpAddr) -> bool {
    own == called || called.is_unspecified() || (own.is_unspecified() && called.is_loopback())
}
