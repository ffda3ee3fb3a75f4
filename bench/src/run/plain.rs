//! The simplest HTTP client: one GET on a connection of its own, for readiness and cards.

use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// An answer.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Gets a path.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer, Error> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\na2a-version: 1.0\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    read(&bytes).ok_or_else(|| Error::other(format!("{address}{path} answered with something that is not understood")))
}

/// Whether a path answers with 200.
pub(crate) fn is_ok(address: SocketAddr, path: &str) -> bool {
    get(address, path).is_ok_and(|answer| answer.status == 200)
}

/// A port that was free just now.
pub(crate) fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Reads an answer whose body is as long as it says; chunked bodies are not understood.
fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    let body = bytes.get(end + 4..)?;
    (body.len() == length).then(|| Answer { status, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_answer_is_read() {
        let answer = read(b"HTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\nno").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (503, b"no".as_slice()));
    }

    #[test]
    fn half_an_answer_is_none() {
        assert!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno").is_none());
        assert!(read(b"HTTP/1.1 200 OK\r\n").is_none());
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_none());
    }
}
