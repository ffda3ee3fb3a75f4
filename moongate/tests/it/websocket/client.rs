//! A client of the WebSocket binding.

use futures_util::{SinkExt, StreamExt};
use moongate_testkit::client::{Whole, raw};
use moongate_testkit::soon;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::stage::Gateway;

pub(crate) const PROTOCOL: &str = "a2a.v1.jsonrpc";
pub(crate) const VERSION: (&str, &str) = ("a2a-version", "1.0");

/// Bytes in both directions.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An open socket.
pub(crate) struct Socket(WebSocketStream<Box<dyn Wire>>);

impl Socket {
    /// Opens a socket that speaks 1.0.
    pub(crate) async fn open(gateway: &Gateway, path: &str) -> Self {
        Self::with(gateway, path, &[VERSION]).await
    }

    /// Opens a socket with these headers.
    pub(crate) async fn with(gateway: &Gateway, path: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::over(TcpStream::connect(raw::address(&gateway.plain())).await.unwrap(), path, headers).await
    }

    /// Opens a socket over this connection.
    pub(crate) async fn over(wire: impl Wire + 'static, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut request = format!("ws://localhost{path}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", PROTOCOL.parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let opening = tokio_tungstenite::client_async(request, Box::new(wire) as Box<dyn Wire>);
        let (socket, response) = soon("the socket opens", opening).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], PROTOCOL);
        Self(socket)
    }

    /// Sends text, whatever it is.
    pub(crate) async fn text(&mut self, text: impl Into<String>) {
        self.send(Message::text(text.into())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        soon("the frame goes out", self.0.send(message)).await.unwrap();
    }

    /// Sends a request.
    pub(crate) async fn ask(&mut self, id: impl Into<Value>, method: &str, params: &Value) {
        self.ask_with(id, method, params, json!({})).await;
    }

    /// Sends a request with further members.
    pub(crate) async fn ask_with(&mut self, id: impl Into<Value>, method: &str, params: &Value, more: Value) {
        let mut frame = json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params});
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.text(frame.to_string()).await;
    }

    /// The next message, pings apart.
    async fn message(&mut self) -> Option<Result<Message, Error>> {
        loop {
            match soon("a frame comes", self.0.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Value {
        match self.message().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no frame: {other:?}"),
        }
    }

    /// Sends a request and reads its only answer.
    pub(crate) async fn call(&mut self, method: &str, params: &Value) -> Value {
        self.ask("the call", method, params).await;
        let answer = self.next().await;
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!("the call")), "{answer}");
        answer
    }

    /// The frames of a stream up to its end, which is checked and left out.
    pub(crate) async fn rest(&mut self, id: impl Into<Value>) -> Vec<Value> {
        let id = id.into();
        let mut events = Vec::new();
        loop {
            let frame = self.next().await;
            assert_eq!(frame["id"], id, "{frame}");
            if frame["streamEnd"] == true {
                assert_eq!(frame, json!({"jsonrpc": "2.0", "id": id, "result": null, "streamEnd": true}));
                return events;
            }
            assert!(frame["result"].is_object(), "{frame}");
            events.push(frame);
        }
    }

    /// Waits for the close frame; its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(Message::Text(_))) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }

    /// Says goodbye and waits for the answer.
    pub(crate) async fn leave(mut self) {
        self.send(Message::Close(None)).await;
        while let Some(Ok(_)) = self.message().await {}
    }
}

/// The headers of a handshake.
pub(crate) const HANDSHAKE: [(&str, &str); 6] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", PROTOCOL),
    VERSION,
];

/// The answer to a handshake that is not accepted: `HANDSHAKE` with changes, where an empty value leaves a header out.
pub(crate) async fn refused(gateway: &Gateway, method: &str, changes: &[(&str, &str)]) -> Whole {
    let mut headers: Vec<(&str, &str)> =
        HANDSHAKE.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name)).collect();
    headers.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    raw::exchange(raw::address(&gateway.plain()), raw::request(method, "/a2a/ws", &headers, "")).await
}
