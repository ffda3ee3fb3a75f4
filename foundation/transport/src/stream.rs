//! A connection for a protocol that is not HTTP, to an address that the operator chose: under TLS 1.3, or in clear text where
//! the configuration allows that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use moongate_core::Problem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dialer::failed;
use crate::origin::Origin;
use crate::pool::Pool;
use crate::socket::Socket;

/// Bytes in both directions.
#[derive(Debug)]
pub struct Stream(Socket);

impl Stream {
    /// Opens one. It is the caller's alone and is not kept.
    ///
    /// # Errors
    /// Nobody is there, or the certificate does not hold.
    pub async fn open(pool: &Pool, origin: &Origin) -> Result<Self, Problem> {
        pool.connector().connect_bare(origin).await.map(Self).map_err(failed)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
