//! HTTP exchanges as they are: any bytes, any headers, one connection each.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::soon;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What came after the body.
    pub trailers: HeaderMap,
}

impl Whole {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Head and body as text, for searches.
    pub fn text(&self) -> String {
        format!("{:?} {:?} {}", self.headers, self.trailers, String::from_utf8_lossy(&self.body))
    }
}

/// The address in a base URL such as `http://127.0.0.1:7480`.
///
/// # Panics
/// If it has none.
pub fn address(url: &str) -> SocketAddr {
    url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap().parse().unwrap()
}

/// A request with headers.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::new(body.into())).unwrap()
}

/// Sends over HTTP/1.1 and returns the answer's beginning.
pub async fn begin(address: SocketAddr, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    if !request.headers().contains_key("host") {
        request.headers_mut().insert("host", address.to_string().parse().unwrap());
    }
    soon("the gateway answers", sender.send_request(request)).await.unwrap()
}

/// Sends over HTTP/1.1 and reads the whole answer.
pub async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> Whole {
    collect(begin(address, request).await).await
}

/// Sends over HTTP/2 without TLS and returns the answer's beginning.
pub async fn begin_h2(address: SocketAddr, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{address}{}", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    soon("the gateway answers", sender.send_request(request)).await.unwrap()
}

/// Reads an answer to its end.
pub async fn collect(response: Response<Incoming>) -> Whole {
    let (parts, body) = response.into_parts();
    let body = soon("the answer ends", body.collect()).await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    Whole { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes(), trailers }
}

/// Writes these bytes to a connection and reads until the other side closes it.
pub async fn bytes(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is how a server shows that it read no further.
    let _ = soon("the connection ends", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Writes these bytes to a connection and closes it without waiting for an answer.
pub async fn cut_off(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
}
