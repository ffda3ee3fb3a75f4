//! Names to addresses by a DNS server of the operator's choice, in place of the system's resolver.
//!
//! - Asked over UDP, and over TCP where an answer does not fit. Names are asked for as they stand: no search list, no hosts file.
//! - Answers are kept for as long as they say, within bounds; a name that is not there is asked for again soon.
//! - No answer is trusted: whoever connects for a stranger judges each address (`dialer`), whoever gave it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use moongate_core::seam::Later;

use crate::connect::Resolve;

/// How long an answer is kept at most.
const KEPT: Duration = Duration::from_secs(3600);
/// How long it is kept that a name is not there.
const ABSENT: Duration = Duration::from_secs(10);
/// Answers that are kept at once.
const MOST: u64 = 1024;
/// How long one question waits; it is asked once more.
const PATIENCE: Duration = Duration::from_secs(2);

/// One DNS server.
pub struct NameServer {
    address: SocketAddr,
    resolver: TokioResolver,
}

impl NameServer {
    /// The server at this address; it is not asked yet.
    ///
    /// # Errors
    /// The system's, if there is nothing to ask with.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = ResolveHosts::Never;
        options.case_randomization = true;
        options.timeout = PATIENCE;
        options.attempts = 1;
        options.cache_size = MOST;
        options.positive_max_ttl = Some(KEPT);
        options.negative_max_ttl = Some(ABSENT);
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Self { address, resolver })
    }
}

impl Resolve for NameServer {
    fn resolve(&self, host: String, port: u16) -> Later<'_, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            // The dot says that nothing is to be added to the name.
            let name = if host.ends_with('.') { host } else { format!("{host}.") };
            let found = self.resolver.lookup_ip(name).await;
            let found = found.map_err(|error| io::Error::other(format!("{} says: {error}", self.address)))?;
            Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }
}
