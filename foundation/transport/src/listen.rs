//! Listeners: one port for HTTP/1.1 and HTTP/2, plain (told apart by the preface) or under TLS 1.3 (by ALPN).
//!
//! Limits stand here because they protect the process, whoever asks: connections, header bytes, the time for a
//! handshake and for each head, streams and resets of HTTP/2. What a request may cost is the handler's affair.
//! Over the cap of connections a new one is closed at once, so that its caller learns it without waiting.

mod connection;
mod guests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use moongate_core::{Certificate, Code, Problem};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use guests::Guests;

use crate::{BoxError, Certified, Cores, Drain};

/// How many connections the kernel may hold before we accept them.
const BACKLOG: u32 = 1024;
/// How long to leave the kernel alone after it refused us a connection (usually for want of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The remote address.
    pub remote: SocketAddr,
    /// Whether TLS protects the connection.
    pub secure: bool,
    /// The client certificate, if one was presented; it holds.
    pub certificate: Option<Arc<Certificate>>,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of its answers; streams are pulled frame by frame, as fast as the peer reads.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. The future is dropped when the peer goes away.
    fn handle(
        self: &Arc<Self>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// The TLS configuration of a listener, which may be replaced while it runs; open connections keep theirs.
#[derive(Debug)]
pub struct TlsSlot {
    current: ArcSwap<rustls::ServerConfig>,
}

impl TlsSlot {
    /// Starts with this configuration.
    pub fn new(config: Arc<rustls::ServerConfig>) -> Self {
        Self { current: ArcSwap::new(config) }
    }

    /// New connections use this one from now on.
    pub fn replace(&self, config: Arc<rustls::ServerConfig>) {
        self.current.store(config);
    }

    fn load(&self) -> Arc<rustls::ServerConfig> {
        self.current.load_full()
    }
}

/// What a listener tolerates.
#[derive(Clone, Copy, Debug)]
pub struct ListenLimits {
    /// Open connections.
    pub connections: usize,
    /// Those of one address of another machine.
    pub per_address: usize,
    /// Bytes of one request's head; HTTP/2 header lists stop at 16 KiB even if this is more.
    pub header_bytes: usize,
    /// The time for a TLS handshake, for each head, and for idling between requests.
    pub header_timeout: Duration,
    /// Concurrent streams of one HTTP/2 connection.
    pub h2_streams: u32,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_address: 256,
            header_bytes: 64 * 1024,
            header_timeout: Duration::from_secs(60),
            h2_streams: 200,
        }
    }
}

/// How a listener serves.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// TLS; `None` is plaintext, for loopback only (the configuration sees to that).
    pub tls: Option<Arc<TlsSlot>>,
    /// Who came with a client certificate, where one may come; without this none is looked at.
    pub clients: Option<Arc<Certified>>,
    /// Limits.
    pub limits: ListenLimits,
    /// Open connections, for a gauge.
    pub open: Arc<AtomicUsize>,
    /// Where connections run; `None` is the runtime that serves.
    pub cores: Option<Arc<Cores>>,
}

/// An opened port that nobody serves yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
}

impl Bound {
    /// The address with the real port, when port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// Opens a port; wants a Tokio runtime around it.
///
/// # Errors
/// `ListenFailed` with the address and the system's reason.
pub fn bind(address: SocketAddr) -> Result<Bound, Problem> {
    let open = || -> io::Result<Bound> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let local = listener.local_addr()?;
        Ok(Bound { listener, local })
    };
    open().map_err(|error| Problem::new(Code::ListenFailed, format!("cannot listen on {address}: {error}")))
}

/// Serves until draining begins; connections that are open then go on by themselves ([`Drain::drained`] waits).
pub async fn serve<H: Handler>(bound: Bound, listen: Listen, handler: Arc<H>, drain: Drain) {
    let started = drain.started();
    tokio::pin!(started);
    let guests = Guests::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut started => return,
            accepted = bound.listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, remote)) => admit((tcp, remote), &guests, &listen, &handler, &drain),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, listener = %bound.local, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn admit<H: Handler>(
    (tcp, remote): (TcpStream, SocketAddr),
    guests: &Guests,
    listen: &Listen,
    handler: &Arc<H>,
    drain: &Drain,
) {
    let seat = Seat::take(&listen.open);
    if seat.number > listen.limits.connections {
        tracing::debug!(%remote, "connection refused: too many are open");
        return;
    }
    let Some(guest) = guests.welcome(remote.ip(), listen.limits.per_address) else {
        return tracing::debug!(%remote, "connection refused: too many of its address are open");
    };
    let tls = listen.tls.as_ref().map(|slot| slot.load());
    let (clients, limits, ticket) = (listen.clients.clone(), listen.limits, drain.ticket());
    let handler = Arc::clone(handler);
    let run = move |tcp| connection::run(connection::Accepted { tcp, remote, tls, clients, limits, ticket }, handler);
    let Some(cores) = &listen.cores else {
        tokio::spawn(async move {
            run(tcp).await;
            drop((seat, guest));
        });
        return;
    };
    // The socket leaves this runtime's event queue and enters that of its core.
    let Ok(tcp) = tcp.into_std() else { return };
    cores.seat(|place| async move {
        match TcpStream::from_std(tcp) {
            Ok(tcp) => run(tcp).await,
            Err(error) => tracing::warn!(%remote, %error, "a connection was lost on the way to its core"),
        }
        drop((seat, guest, place));
    });
}

/// One open connection of a listener.
struct Seat {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Seat {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        Self { number: open.fetch_add(1, Ordering::Relaxed) + 1, open: Arc::clone(open) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
