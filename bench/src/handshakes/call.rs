//! What a caller does: a connection with its certificate, one question, the answer, the end.
//!
//! In TLS 1.3 a client is done with the handshake before the server has looked at its certificate. So each answer is read
//! and checked, and the time until it came is kept beside the handshake's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moongate_testkit::pki::Caller;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::fault::Fault;
use crate::histogram::Histogram;
use crate::load::Latency;

/// An answer is far shorter.
const LONGEST: usize = 16 * 1024;

/// So many callers at once, each coming again when it has left.
pub(super) struct Load {
    /// Who comes.
    pub(super) caller: Arc<Caller>,
    /// Where to.
    pub(super) address: SocketAddr,
    /// What is asked for.
    pub(super) path: &'static str,
    /// Callers.
    pub(super) at_once: usize,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Outcome {
    /// From connecting until the client was done with the handshake.
    pub(super) handshake: Histogram,
    /// From connecting until the answer was there.
    answer: Histogram,
    time: Duration,
}

impl Outcome {
    /// Handshakes a second.
    pub(super) fn per_second(&self) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { (self.handshake.count() as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
    }

    /// How long handshakes took.
    pub(super) fn handshake_us(&self) -> Latency {
        Latency::of(&self.handshake)
    }

    /// How long it took until the answer was there.
    pub(super) fn answer_us(&self) -> Latency {
        Latency::of(&self.answer)
    }
}

impl Load {
    /// Callers that come until the time is over. The first that is not answered ends it.
    pub(super) async fn send(&self, time: Duration) -> Result<Outcome, Fault> {
        let began = Instant::now();
        let callers: Vec<_> = (0..self.at_once)
            .map(|_| {
                let (caller, address, path) = (self.caller.clone(), self.address, self.path);
                tokio::spawn(async move { come_and_go(&caller, address, path, began + time).await })
            })
            .collect();
        let mut total = Outcome::default();
        for caller in callers {
            let outcome = caller.await.map_err(|error| Fault::new("load", error))?;
            let outcome = outcome.map_err(|error| Fault::new("wrong-answer", error))?;
            total.handshake.add(&outcome.handshake);
            total.answer.add(&outcome.answer);
        }
        total.time = began.elapsed();
        Ok(total)
    }
}

async fn come_and_go(
    caller: &Caller,
    address: SocketAddr,
    path: &str,
    until: Instant,
) -> Result<Outcome, std::io::Error> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut outcome = Outcome::default();
    while Instant::now() < until {
        let began = Instant::now();
        let mut stream = caller.open(address).await?;
        let opened = began.elapsed();
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream).await?;
        outcome.handshake.record(opened);
        outcome.answer.record(began.elapsed());
        // Who has got its answer does not mind how the other side ends.
        let _ = stream.shutdown().await;
    }
    Ok(outcome)
}

/// Reads a whole answer, which must be 200.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), std::io::Error> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > LONGEST {
            return Err(std::io::Error::other("the answer is not whole"));
        }
        match is_whole(&bytes) {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => {
                let text = String::from_utf8_lossy(&bytes);
                return Err(std::io::Error::other(format!("an answer without 200 and a length: {text}")));
            }
        }
    }
}

/// Whether an answer of 200 is there as a whole; `None` if it is something else.
fn is_whole(bytes: &[u8]) -> Option<bool> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Some(false) };
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some(bytes.len() >= end + 4 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
        for length in 0..text.len() {
            assert_eq!(is_whole(&text[..length]), Some(false), "{length}");
        }
        assert_eq!(is_whole(text), Some(true));
    }

    #[test]
    fn another_status_or_no_length_is_no_answer() {
        assert_eq!(is_whole(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), None);
        assert_eq!(is_whole(b"HTTP/1.1 200 OK\r\n\r\nok"), None);
    }

    #[tokio::test]
    async fn a_connection_that_ends_early_is_an_error() {
        let mut half: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno";
        assert!(answer(&mut half).await.unwrap_err().to_string().contains("not whole"));
        let mut refused: &[u8] = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        assert!(answer(&mut refused).await.unwrap_err().to_string().contains("403"));
    }
}
