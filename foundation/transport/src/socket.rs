//! One type for the two kinds of byte streams, plain and under TLS, of either side.
//!
//! A plain stream may have bytes put back, which a listener needs after looking for the HTTP/2 preface. A stream under TLS
//! may have a switch that cuts it off, whoever holds it by then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::certified::{Held, Switch};

/// A connected byte stream.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP; `ahead` is read first.
    Plain { ahead: Bytes, tcp: TcpStream },
    /// TLS 1.3 over TCP.
    Tls(Box<Secured>),
}

/// A stream under TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    stream: TlsStream<TcpStream>,
    switch: Option<Arc<Switch>>,
    /// The place of a connection of ours among those with a certificate; kept until the stream is dropped.
    _held: Option<Held>,
}

impl Socket {
    /// A stream under TLS that this switch, if there is one, cuts off.
    pub(crate) fn tls(stream: TlsStream<TcpStream>, switch: Option<Arc<Switch>>) -> Self {
        Self::Tls(Box::new(Secured { stream, switch, _held: None }))
    }

    /// A stream under TLS to a server whose certificate holds, until it does not any more.
    pub(crate) fn to_server(stream: TlsStream<TcpStream>, held: Held) -> Self {
        Self::Tls(Box::new(Secured { stream, switch: Some(held.switch.clone()), _held: Some(held) }))
    }
}

impl Secured {
    fn is_off(&self) -> bool {
        self.switch.as_ref().is_some_and(|switch| switch.is_off())
    }

    fn is_off_for_reader(&self, cx: &Context<'_>) -> bool {
        self.switch.as_ref().is_some_and(|switch| switch.is_off_for_reader(cx))
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the certificate of the other side does not hold any more")
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { ahead, tcp } => {
                if ahead.is_empty() {
                    return Pin::new(tcp).poll_read(cx, buffer);
                }
                let taken = ahead.split_to(ahead.len().min(buffer.remaining()));
                buffer.put_slice(taken.chunk());
                Poll::Ready(Ok(()))
            }
            Self::Tls(tls) if tls.is_off_for_reader(cx) => Poll::Ready(Err(cut_off())),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) if tls.is_off() => Poll::Ready(Err(cut_off())),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) if tls.is_off() => Poll::Ready(Err(cut_off())),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain { tcp, .. } => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { tcp, .. } => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
        }
    }
}
