//! A client: one connection, the calls over it, and what came back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use moongate_testkit::gateway::Gateway;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{DEADLINE, ROUTING, soon};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} is no JSON", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The gateway's own code in an error of either form, or nothing.
    pub(crate) fn code(&self) -> String {
        code(&self.json())
    }

    /// The names of the members that an error complains of.
    pub(crate) fn fields(&self) -> Vec<String> {
        let value = self.json();
        let details =
            value["error"]["details"].as_array().or(value["error"]["data"].as_array()).cloned().unwrap_or_default();
        let violations = details.iter().filter_map(|detail| detail["fieldViolations"].as_array()).flatten();
        violations.map(|violation| violation["field"].as_str().unwrap().to_owned()).collect()
    }

    /// Which agent answered, by what it said.
    pub(crate) fn agent(&self) -> String {
        let value = self.json();
        let result = &value["result"];
        let parts = [&result["message"]["parts"], &result["task"]["status"]["message"]["parts"]];
        let text = parts.iter().find_map(|parts| parts[0]["text"].as_str());
        let text = text.unwrap_or_else(|| panic!("no agent said anything: {value}"));
        text.split(':').next().unwrap_or_default().to_owned()
    }
}

/// The `MG-nnnn` of an error in the form of JSON-RPC or AIP-193.
pub(crate) fn code(value: &Value) -> String {
    let error = &value["error"];
    let details = error["details"].as_array().or(error["data"].as_array()).cloned().unwrap_or_default();
    details.iter().find_map(|detail| detail["metadata"]["code"].as_str()).unwrap_or_default().to_owned()
}

/// One connection to a listener, for one request after another.
pub(crate) struct Connection {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    authority: String,
    driver: JoinHandle<()>,
}

impl Connection {
    pub(crate) async fn open(base: &str) -> Result<Self, String> {
        let authority = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&authority).await.map_err(|error| format!("connect: {error}"))?;
        Self::over(stream, authority).await
    }

    /// The same over a stream that is open already.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        authority: String,
    ) -> Result<Self, String> {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, authority, driver })
    }

    /// Sends, and gives the response with its body still to come.
    pub(crate) async fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", &self.authority);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        self.sender.ready().await.map_err(|error| format!("the connection is closed: {error}"))?;
        let sent = tokio::time::timeout(DEADLINE, self.sender.send_request(request)).await;
        sent.map_err(|_| "no answer in time".to_owned())?.map_err(|error| format!("no answer: {error}"))
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let (parts, body) = self.begin(method, path, headers, body).await?.into_parts();
        let body = tokio::time::timeout(DEADLINE, body.collect()).await.map_err(|_| "half an answer".to_owned())?;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One request over a connection of its own.
pub(crate) async fn http(
    method: &str,
    base: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Answer {
    let mut connection = Connection::open(base).await.unwrap();
    connection.send(method, path, headers, body).await.unwrap()
}

pub(crate) async fn get(base: &str, path: &str) -> Answer {
    http("GET", base, path, &[], None).await
}

/// A connection to the main listener, trusting the gateway's own authority as its users do.
pub(crate) async fn tls(gateway: &Gateway) -> tokio_rustls::client::TlsStream<TcpStream> {
    let roots = moongate_identity::tls::read_roots(&gateway.folder().join("ca/ca.pem")).unwrap();
    let config = moongate_identity::tls::client_config(&roots).unwrap();
    let mut config = (*config).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(gateway.address("main").unwrap()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// A GET at the main listener.
pub(crate) async fn get_main(gateway: &Gateway, path: &str) -> Answer {
    at_main(gateway, Request::get(path).body(Full::new(Bytes::new())).unwrap()).await
}

/// A request at the main listener.
pub(crate) async fn at_main(gateway: &Gateway, mut request: Request<Full<Bytes>>) -> Answer {
    let address = gateway.address("main").unwrap();
    let stream = tls(gateway).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let (parts, body) = soon("the answer", sender.send_request(request)).await.unwrap().into_parts();
    let body = soon("the body", body.collect()).await.unwrap().to_bytes();
    driver.abort();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// A message's parameters.
pub(crate) fn message(text: &str) -> Value {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let id = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    json!({"message": {"messageId": id, "role": "ROLE_USER", "parts": [{"text": text}]}})
}

/// A message's parameters with members of the routing extension.
pub(crate) fn routed(text: &str, routing: &Value) -> Value {
    let mut params = message(text);
    params["message"]["metadata"] = json!({ ROUTING: routing });
    params
}

pub(crate) fn rpc(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

pub(crate) const V1: (&str, &str) = ("a2a-version", "1.0");

/// A JSON-RPC call of A2A 1.0.
pub(crate) async fn call(base: &str, path: &str, method: &str, params: &Value) -> Answer {
    http("POST", base, path, &[V1], Some(&rpc(method, params))).await
}

pub(crate) async fn send(base: &str, path: &str, params: &Value) -> Answer {
    call(base, path, "SendMessage", params).await
}

/// One event of a stream: its kind and its data.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// The events of a response as they come.
pub(crate) struct Events {
    body: Incoming,
    text: String,
    _connection: Connection,
}

impl Events {
    /// A JSON-RPC streaming call.
    pub(crate) async fn open(base: &str, path: &str, method: &str, params: &Value) -> Result<Self, Answer> {
        let request = rpc(method, params);
        Self::of(base, "POST", path, &request).await
    }

    /// Any request that is answered by a stream; the answer if it is not.
    pub(crate) async fn of(base: &str, method: &str, path: &str, body: &Value) -> Result<Self, Answer> {
        let mut connection = Connection::open(base).await.unwrap();
        let response = connection.begin(method, path, &[V1], Some(body)).await.unwrap();
        if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            return Ok(Self { body: response.into_body(), text: String::new(), _connection: connection });
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Err(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// What a GET is answered with.
    pub(crate) async fn get(base: &str, path: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        Self::over(Connection::open(base).await.unwrap(), path, headers).await
    }

    /// The same by a connection that takes next to nothing before it is read.
    pub(crate) async fn narrow(base: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let authority = base.trim_start_matches("http://").to_owned();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(authority.parse().unwrap()).await.unwrap();
        let connection = Connection::over(stream, authority).await.unwrap();
        Self::over(connection, path, headers).await.unwrap_or_else(|no| panic!("{}", no.text()))
    }

    async fn over(mut connection: Connection, path: &str, headers: &[(&str, &str)]) -> Result<Self, Answer> {
        let response = connection.begin("GET", path, headers, None).await.unwrap();
        if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            return Ok(Self { body: response.into_body(), text: String::new(), _connection: connection });
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Err(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) =
                self.text.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned()))
            {
                self.text = rest;
                let member =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or("");
                if member("data:").is_empty() {
                    continue;
                }
                return Some(Event {
                    kind: member("event:").to_owned(),
                    data: serde_json::from_str(member("data:")).unwrap(),
                });
            }
            let frame = soon("the next event", self.body.frame()).await?;
            if let Ok(data) = frame.ok()?.into_data() {
                self.text.push_str(&String::from_utf8_lossy(&data));
            }
        }
    }
}
