//! Making connections: names to addresses, addresses to sockets, sockets to TLS.
//!
//! Addresses are tried in the order that the resolver gives, IPv6 and IPv4 in turn, each with a share of what is left of
//! the time, so that one dead address cannot eat it all. Whoever calls judges the addresses in between: what was judged
//! is what is connected to, with no second look-up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::Later;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::certified::Certified;
use crate::pool::{SendError, Stage};
use crate::{Origin, socket::Socket};

/// Turns names into addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of a host, with the port put in.
    fn resolve(&self, host: String, port: u16) -> Later<'_, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: String, port: u16) -> Later<'_, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// All that is needed to open connections.
pub(crate) struct Connector {
    resolver: Arc<dyn Resolve>,
    h1: TlsConnector,
    h2: TlsConnector,
    /// For what is not HTTP; it names no protocol.
    other: TlsConnector,
    limit: Duration,
    /// Servers whose certificates are judged again while connections live; without this none is.
    servers: Option<Arc<Certified>>,
}

impl Connector {
    pub(crate) fn new(
        resolver: Arc<dyn Resolve>,
        tls: &rustls::ClientConfig,
        limit: Duration,
        servers: Option<Arc<Certified>>,
    ) -> Self {
        let speaking = |protocols: &[&[u8]]| {
            let mut config = tls.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        let (h1, h2, other) = (speaking(&[b"http/1.1"]), speaking(&[b"h2"]), speaking(&[]));
        Self { resolver, h1, h2, other, limit, servers }
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Resolves and connects, with the time limit of the configuration.
    pub(crate) async fn connect(&self, origin: &Origin) -> Result<Socket, SendError> {
        let deadline = Instant::now() + self.limit;
        let addresses = self.resolve(origin, deadline).await?;
        self.connect_to(origin, &addresses, deadline).await
    }

    /// The addresses of an origin; a literal is its own address.
    pub(crate) async fn resolve(&self, origin: &Origin, deadline: Instant) -> Result<Vec<SocketAddr>, SendError> {
        if let Ok(address) = origin.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, origin.port)]);
        }
        let found = timeout_at(deadline, self.resolver.resolve(origin.host.clone(), origin.port)).await;
        let addresses = match found {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(SendError::new(Stage::Resolve, format!("{}: {error}", origin.host))),
            Err(_) => return Err(SendError::new(Stage::Resolve, format!("{}: no answer in time", origin.host))),
        };
        if addresses.is_empty() {
            return Err(SendError::new(Stage::Resolve, format!("{}: no address", origin.host)));
        }
        Ok(in_turn(addresses))
    }

    /// As [`Connector::connect`], for a protocol that is not HTTP.
    pub(crate) async fn connect_bare(&self, origin: &Origin) -> Result<Socket, SendError> {
        let deadline = Instant::now() + self.limit;
        let addresses = self.resolve(origin, deadline).await?;
        self.open(origin, &addresses, deadline, &self.other).await
    }

    /// Connects to the first of these addresses that answers.
    pub(crate) async fn connect_to(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Socket, SendError> {
        self.open(origin, addresses, deadline, if origin.h2 { &self.h2 } else { &self.h1 }).await
    }

    async fn open(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        deadline: Instant,
        connector: &TlsConnector,
    ) -> Result<Socket, SendError> {
        if !origin.secure && self.servers.is_some() {
            return Err(SendError::new(Stage::Tls, "a server that must show a certificate is reached over https only"));
        }
        let tcp = dial(addresses, deadline).await?;
        let _ = tcp.set_nodelay(true);
        if !origin.secure {
            return Ok(Socket::Plain { ahead: bytes::Bytes::new(), tcp });
        }
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|_| SendError::new(Stage::Tls, format!("{} is no name for a certificate", origin.host)))?;
        let stream = match timeout_at(deadline, connector.connect(name, tcp)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(SendError::new(Stage::Tls, error)),
            Err(_) => return Err(SendError::new(Stage::Tls, "no handshake in time")),
        };
        if origin.h2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(SendError::new(Stage::Tls, "the server does not speak HTTP/2"));
        }
        let Some(servers) = &self.servers else { return Ok(Socket::tls(stream.into(), None)) };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().into();
        let held = servers.admit(chain);
        let held = held.ok_or_else(|| SendError::new(Stage::Tls, "the server's certificate does not hold any more"))?;
        Ok(Socket::to_server(stream.into(), held))
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that connects")]
async fn dial(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, SendError> {
    let mut last = SendError::new(Stage::Connect, "no address to connect to");
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let waiting = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        match timeout(left / waiting, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = SendError::new(Stage::Connect, format!("{address}: {error}")),
            Err(_) => last = SendError::new(Stage::Connect, format!("{address}: no answer in time")),
        }
    }
    Err(last)
}

/// The two families in turn, starting with the first address's own.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let mut other = other.into_iter();
    let mut merged = Vec::new();
    for address in same {
        merged.push(address);
        merged.extend(other.next());
    }
    merged.extend(other);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_tried_in_turn() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let [a, b, c, d] = ["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1"].map(parse);
        assert_eq!(in_turn(vec![a, b, c, d]), vec![a, c, b, d]);
        assert_eq!(in_turn(vec![c, a, b]), vec![c, a, b]);
        assert_eq!(in_turn(Vec::new()), Vec::new());
    }
}
