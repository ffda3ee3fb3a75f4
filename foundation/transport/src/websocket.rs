//! WebSocket (RFC 6455), the server's side: from an HTTP/1.1 request to messages in both directions.
//!
//! - [`Offer::of`] checks a request's handshake (§4.2.1), [`Offer::accept`] is the answer 101, [`Offer::open`] waits
//!   until the connection has changed over and gives its two halves.
//! - [`Ears`] hear whole text messages within a limit; pings are answered underneath. [`Mouth`] speaks, several messages
//!   to one flush, and ends with a close frame.
//!
//! Which subprotocols there are and what messages mean is the caller's affair. A connection that has changed over keeps
//! its seat at the listener, and draining waits for it ([`Stay`]).

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::BoxError;

/// What a handshake's key is before base64.
const KEY_BYTES: usize = 16;
/// How long the other side has to answer a close frame, or to stop sending what is not read any more.
const FAREWELL: Duration = Duration::from_secs(2);
/// The longest reason of a close frame (RFC 6455 §5.5 leaves 125 bytes, the code takes two).
const LONGEST_REASON: usize = 123;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Keeps a connection's place at its listener after it has changed over to another protocol.
#[derive(Clone, Debug)]
pub(crate) struct Stay(#[allow(dead_code, reason = "its end is what it is for")] pub(crate) watch::Receiver<()>);

/// Why a request is no handshake that can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It asks for no upgrade, or its HTTP version knows none: 426.
    #[error("the request asks for no upgrade to WebSocket over HTTP/1.1")]
    NoUpgrade,
    /// Another method than GET: 405.
    #[error("a WebSocket handshake is a GET")]
    Method,
    /// Another version of WebSocket than 13: 426.
    #[error("the version of WebSocket is not 13")]
    Version,
    /// `Sec-WebSocket-Key` is no 16 bytes in base64: 400.
    #[error("the header Sec-WebSocket-Key is no key")]
    Key,
}

/// A handshake that can be accepted.
#[derive(Debug)]
pub struct Offer {
    key: HeaderValue,
    protocols: Vec<String>,
    upgrade: OnUpgrade,
    stay: Option<Stay>,
}

impl Offer {
    /// Looks at a request, and takes out of it what is needed to change over.
    ///
    /// # Errors
    /// What is wrong with the handshake.
    pub fn of<B>(request: &mut Request<B>) -> Result<Self, Refusal> {
        let headers = request.headers();
        if request.version() != Version::HTTP_11
            || !lists(headers, &UPGRADE, "websocket")
            || !lists(headers, &CONNECTION, "upgrade")
        {
            return Err(Refusal::NoUpgrade);
        }
        if request.method() != Method::GET {
            return Err(Refusal::Method);
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Refusal::Version);
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())).ok_or(Refusal::Key)?;
        let key = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| Refusal::Key)?;
        let protocols = words(headers, &SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect();
        let stay = request.extensions_mut().remove::<Stay>();
        Ok(Self { key, protocols, upgrade: hyper::upgrade::on(request), stay })
    }

    /// The subprotocols that the client can speak, its favourite first.
    pub fn protocols(&self) -> &[String] {
        &self.protocols
    }

    /// The answer that accepts, with the chosen subprotocol.
    pub fn accept<B>(&self, protocol: &'static str, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.key.clone());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        response
    }

    /// Waits until the accepting answer has gone out; then the connection speaks messages of at most `limit` bytes.
    ///
    /// # Errors
    /// The connection ended instead.
    pub async fn open(self, limit: usize) -> Result<(Ears, Mouth), BoxError> {
        let upgraded = self.upgrade.await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(16 * 1024)
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let (sink, stream) = socket.split();
        Ok((Ears { stream, failed: false }, Mouth { sink, _stay: self.stay }))
    }
}

/// The words of a header that is a list, over all its lines.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

/// Whether it is the base64 of 16 bytes: 22 characters and the padding.
fn is_key(key: &[u8]) -> bool {
    let letters = key.strip_suffix(b"==").unwrap_or_default();
    letters.len() == KEY_BYTES.div_ceil(3) * 4 - 2
        && letters.iter().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/'))
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole text message; it is UTF-8.
    Text(Bytes),
    /// A binary message, unread.
    Binary,
    /// A ping or a pong: the other side is there.
    Alive,
    /// The other side says goodbye.
    Closing,
}

/// Why nothing more can be heard.
#[derive(Debug, thiserror::Error)]
pub enum Deaf {
    /// A message is larger than the limit.
    #[error("a message is larger than the limit")]
    TooLarge,
    /// A text message is not UTF-8.
    #[error("a text message is not UTF-8")]
    NotText,
    /// Bytes that are no WebSocket frames.
    #[error("the bytes are no WebSocket frames: {0}")]
    Malformed(BoxError),
    /// The connection is gone.
    #[error("the connection is gone")]
    Gone,
}

/// The listening half.
#[derive(Debug)]
pub struct Ears {
    stream: SplitStream<Socket>,
    failed: bool,
}

impl Ears {
    /// The next message. May be dropped and called again without losing any.
    ///
    /// # Errors
    /// After an error nothing more is heard.
    pub async fn hear(&mut self) -> Result<Heard, Deaf> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.failed = true;
                    return Err(deaf(error));
                }
                None => return Err(Deaf::Gone),
            };
            return Ok(match message {
                Message::Text(text) => Heard::Text(text.into()),
                Message::Binary(_) => Heard::Binary,
                Message::Ping(_) | Message::Pong(_) => Heard::Alive,
                Message::Close(_) => Heard::Closing,
                Message::Frame(_) => continue,
            });
        }
    }
}

fn deaf(error: Error) -> Deaf {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Deaf::TooLarge,
        Error::Utf8(_) => Deaf::NotText,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Deaf::Gone,
        Error::Protocol(error) => Deaf::Malformed(error.into()),
        _ => Deaf::Gone,
    }
}

/// The speaking half.
#[derive(Debug)]
pub struct Mouth {
    sink: SplitSink<Socket, Message>,
    _stay: Option<Stay>,
}

impl Mouth {
    /// Takes a text message over; it goes out with the next flush at the latest. Waits while the other side does not read.
    ///
    /// # Errors
    /// The text is not UTF-8, or the connection is gone.
    pub async fn say(&mut self, text: Bytes) -> Result<(), BoxError> {
        let text = Utf8Bytes::try_from(text)?;
        Ok(self.sink.feed(Message::Text(text)).await?)
    }

    /// Asks whether the other side is there; goes out with the next flush at the latest.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn ping(&mut self) -> Result<(), BoxError> {
        Ok(self.sink.feed(Message::Ping(Bytes::new())).await?)
    }

    /// Lets everything out.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn flush(&mut self) -> Result<(), BoxError> {
        Ok(self.sink.flush().await?)
    }

    /// Says goodbye with a code and a reason (cut to what fits), and waits a little for the answer, so that the other side
    /// hears it before the connection ends.
    pub async fn close(mut self, mut ears: Ears, code: u16, reason: &str) {
        let mut end = reason.len().min(LONGEST_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = Utf8Bytes::from(reason.get(..end).unwrap_or_default());
        let frame = CloseFrame { code: CloseCode::from(code), reason };
        let farewell = async {
            // Fails where the other side was first; its answer goes out as we listen on.
            let _ = self.sink.send(Message::Close(Some(frame))).await;
            if !ears.failed {
                while ears.hear().await.is_ok() {}
            }
            // What is still coming is read and thrown away: to close upon unread bytes would reset the connection, and
            // the goodbye would be lost with it.
            let failed = ears.failed;
            let Ok(socket) = ears.stream.reunite(self.sink) else { return };
            let mut raw = socket.into_inner();
            let _ = Pin::new(&mut raw).shutdown().await;
            let mut scrap = [0; 4096];
            while failed && matches!(raw.read(&mut scrap).await, Ok(1..)) {}
        };
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> http::request::Builder {
        Request::get("/ws")
            .header(CONNECTION, "keep-alive, Upgrade")
            .header(UPGRADE, "WebSocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
    }

    fn refused(request: http::request::Builder) -> Option<Refusal> {
        Offer::of(&mut request.body(()).unwrap()).err()
    }

    #[test]
    fn a_handshake_is_answered_with_its_key_and_subprotocol() {
        let mut request =
            handshake().header(SEC_WEBSOCKET_PROTOCOL, "one, two").header(SEC_WEBSOCKET_PROTOCOL, "three");
        let offer = Offer::of(&mut request.body(()).unwrap()).unwrap();
        assert_eq!(offer.protocols(), ["one", "two", "three"]);
        let response = offer.accept("two", ());
        assert_eq!(response.status(), 101);
        // RFC 6455 §1.3
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "two");
        request = handshake().version(Version::HTTP_2);
        assert_eq!(refused(request), Some(Refusal::NoUpgrade));
    }

    #[test]
    fn what_is_no_handshake_is_refused_for_what_it_lacks() {
        assert_eq!(refused(Request::get("/ws")), Some(Refusal::NoUpgrade));
        assert_eq!(refused(handshake().method(Method::POST)), Some(Refusal::Method));
        let without = |name: &HeaderName| {
            let mut request = handshake();
            request.headers_mut().unwrap().remove(name);
            request
        };
        assert_eq!(refused(without(&SEC_WEBSOCKET_VERSION)), Some(Refusal::Version));
        assert_eq!(refused(without(&SEC_WEBSOCKET_KEY)), Some(Refusal::Key));
        assert_eq!(refused(without(&CONNECTION)), Some(Refusal::NoUpgrade));
        for key in ["short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ\u{7f}=="] {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
    }
}
