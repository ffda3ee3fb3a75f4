//! One accepted connection: handshake, choice of HTTP version, exchanges, end.
//!
//! - TLS: ALPN chose. Plain: the HTTP/2 preface chooses (RFC 9113 §3.3, prior knowledge).
//! - HTTP/2 is held against floods: few concurrent streams, few pending resets in either direction (rapid reset,
//!   MadeYouReset), small header lists, small send buffers, keep-alive pings.
//! - HTTP/1.1 may change over to another protocol; the connection then keeps its seat until that ends.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{Handler, ListenLimits, Peer};
use crate::certified::{Certified, Held, Switch};
use crate::drain::{Stage, Ticket};
use crate::socket::Socket;
use crate::websocket::Stay;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const H2_HEADER_LIST: usize = 16 * 1024;
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;
const H2_SEND_BUFFER: usize = 128 * 1024;
const H2_PENDING_RESETS: usize = 20;
const H2_LOCAL_RESETS: usize = 128;
const H2_PING: Duration = Duration::from_secs(20);
/// hyper's floor for its buffer.
const H1_BUFFER_FLOOR: usize = 8192;
const H1_BUFFER: usize = 256 * 1024;

pub(super) struct Accepted {
    pub(super) tcp: TcpStream,
    pub(super) remote: SocketAddr,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) clients: Option<Arc<Certified>>,
    pub(super) limits: ListenLimits,
    pub(super) ticket: Ticket,
}

/// A connection that has not said by then how it speaks is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub(super) async fn run<H: Handler>(accepted: Accepted, handler: Arc<H>) {
    let Accepted { tcp, remote, tls, clients, limits, mut ticket } = accepted;
    let secure = tls.is_some();
    let _ = tcp.set_nodelay(true);
    let opening = tokio::time::timeout(limits.header_timeout.min(HANDSHAKE), open(tcp, tls, clients.as_ref()));
    let Some(opened) = until_drained(opening, &mut ticket).await else { return };
    let Opened { socket, h2, client } = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return tracing::debug!(%remote, %error, "handshake failed"),
        Err(_) => return tracing::debug!(%remote, "nothing came before the deadline"),
    };
    let (certificate, switch) = match &client {
        Some(client) => (Some(client.certificate.clone()), Some(&*client.switch)),
        None => (None, None),
    };
    let peer = Peer { remote, secure, certificate };
    let (stayed, stay) = watch::channel(());
    let stay = Stay(stay);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if request.headers().contains_key(http::header::UPGRADE) {
            request.extensions_mut().insert(stay.clone());
        }
        let (handler, peer) = (Arc::clone(&handler), peer.clone());
        async move { Ok::<Response<H::Body>, Infallible>(handler.handle(peer, request).await) }
    });
    let io = TokioIo::new(socket);
    let ended = if h2 {
        finish(pin!(h2_builder(&limits).serve_connection(io, service)), &mut ticket, switch).await
    } else {
        let connection = h1_builder(&limits).serve_connection(io, service).with_upgrades();
        let ended = finish(pin!(connection), &mut ticket, switch).await;
        outlast(&stayed, &mut ticket).await;
        ended
    };
    if let Err(error) = ended {
        tracing::debug!(%remote, %error, "connection ended");
    }
}

/// A connection of which is known how it speaks, and who came.
struct Opened {
    socket: Socket,
    h2: bool,
    client: Option<Held>,
}

async fn open(
    mut tcp: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    clients: Option<&Arc<Certified>>,
) -> io::Result<Opened> {
    if let Some(config) = tls {
        let stream = TlsAcceptor::from(config).accept(tcp).await?;
        let session = stream.get_ref().1;
        let h2 = session.alpn_protocol() == Some(b"h2");
        let client = match (session.peer_certificates(), clients) {
            (Some(chain), Some(clients)) => Some(clients.admit(chain.into()).ok_or_else(withdrawn)?),
            _ => None,
        };
        let switch = client.as_ref().map(|client| client.switch.clone());
        return Ok(Opened { socket: Socket::tls(stream.into(), switch), h2, client });
    }
    let mut ahead = BytesMut::with_capacity(H1_BUFFER_FLOOR);
    loop {
        let end = tcp.read_buf(&mut ahead).await? == 0;
        let h2 = ahead.starts_with(PREFACE);
        if end || h2 || !PREFACE.starts_with(&ahead) {
            return Ok(Opened { socket: Socket::Plain { ahead: ahead.freeze(), tcp }, h2, client: None });
        }
    }
}

/// Trust changed between the handshake and now.
fn withdrawn() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the client certificate does not hold any more")
}

/// Without hyper's `pipeline_flush`: it holds an answer back while unread bytes are waiting, so that a refusal (431) would
/// be lost and an event stream would stand still behind a pipelined request.
fn h1_builder(limits: &ListenLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(H1_BUFFER));
    builder
}

fn h2_builder(limits: &ListenLimits) -> http2::Builder<TokioExecutor> {
    let header_list = limits.header_bytes.min(H2_HEADER_LIST);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_LOCAL_RESETS)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}

/// The two kinds of HTTP connections, as far as draining knows them.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn close_after_exchange(self: Pin<&mut Self>);
}

impl<I, S, B> Graceful for http1::UpgradeableConnection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<crate::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<crate::BoxError>,
{
    fn close_after_exchange(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> Graceful for http2::Connection<I, S, E>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<crate::BoxError>,
    B: http_body::Body + 'static,
    B::Error: Into<crate::BoxError>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn close_after_exchange(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection to its end, telling it when draining begins.
/// A connection that is switched off is left as it is: what it was in the middle of does not end well.
async fn finish<C: Graceful>(
    mut connection: Pin<&mut C>,
    ticket: &mut Ticket,
    switch: Option<&Switch>,
) -> hyper::Result<()> {
    let mut told = false;
    poll_fn(|cx| {
        if switch.is_some_and(|switch| switch.is_off_for_driver(cx)) {
            return Poll::Ready(Ok(()));
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            match ticket.stage(cx) {
                Stage::Draining if !told => {
                    told = true;
                    connection.as_mut().close_after_exchange();
                }
                Stage::Running | Stage::Draining => return Poll::Pending,
                Stage::Aborted => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

/// Waits for the end of what the connection has changed over to, if it has; at most until the deadline of draining.
async fn outlast(stayed: &watch::Sender<()>, ticket: &mut Ticket) {
    let mut over = pin!(stayed.closed());
    poll_fn(|cx| {
        if over.as_mut().poll(cx).is_ready() || ticket.stage(cx) == Stage::Aborted {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// The future's output; `None` if draining begins before it is ready.
async fn until_drained<F: Future>(future: F, ticket: &mut Ticket) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if ticket.stage(cx) == Stage::Running => Poll::Pending,
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
