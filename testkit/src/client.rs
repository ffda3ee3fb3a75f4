//! Clients of every binding and version that say and hear everything in the words of 1.0, so that answers can be compared.
//!
//! JSON is written and read by hand ([`crate::dialect`], [`params`]); only the Protobuf messages of gRPC are made by
//! `wire`.

pub mod grpc;
pub mod params;
pub mod raw;

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use moongate_core::Operation;
use moongate_wire::a2a::{Binding, Version, grpc as codec};
use serde_json::{Value, json};

use crate::soon;
use params::{form, method};
pub use raw::Whole;

/// An A2A error, whatever binding it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The JSON-RPC or gRPC code, or over HTTP+JSON the status.
    pub code: i64,
    /// The HTTP status.
    pub status: u16,
    /// What it says.
    pub message: String,
    /// `ErrorInfo.reason`.
    pub reason: String,
    /// `ErrorInfo.domain`.
    pub domain: String,
    /// `ErrorInfo.metadata.code`, the gateway's own.
    pub gateway_code: Option<String>,
}

impl Refusal {
    /// Reads a JSON-RPC error object or the body of an HTTP+JSON error.
    pub fn of(status: u16, body: &Value) -> Self {
        let error = if body.get("error").is_some() { &body["error"] } else { body };
        let list = if error.get("details").is_some() { &error["details"] } else { &error["data"] };
        let info = match list {
            Value::Array(details) => {
                details.iter().find(|detail| detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo")
            }
            one => Some(one),
        };
        let text = |name: &str| info.and_then(|info| info[name].as_str()).unwrap_or_default().to_owned();
        Self {
            code: error["code"].as_i64().unwrap_or_default(),
            status,
            message: error["message"].as_str().unwrap_or_default().into(),
            reason: text("reason"),
            domain: text("domain"),
            gateway_code: info.and_then(|info| info["metadata"]["code"].as_str()).map(str::to_owned),
        }
    }
}

/// A client.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where the gateway listens.
    pub address: SocketAddr,
    /// `/a2a` or `/agents/{name}`.
    pub base: String,
    /// How it speaks.
    pub binding: Binding,
    /// How old it is.
    pub version: Version,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl Caller {
    /// A client of the domain at this URL.
    pub fn new(url: &str, binding: Binding, version: Version) -> Self {
        Self { address: raw::address(url), base: "/a2a".into(), binding, version, headers: Vec::new() }
    }

    /// A client of 1.0 over JSON-RPC.
    pub fn rpc(url: &str) -> Self {
        Self::new(url, Binding::JsonRpc, Version::V1)
    }

    /// The same at another base.
    pub fn at(self, base: &str) -> Self {
        Self { base: base.into(), ..self }
    }

    /// The same with a further header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The HTTP request for an operation.
    pub fn request(&self, operation: Operation, params: &Value) -> Request<Full<Bytes>> {
        let (verb, path, body) = match self.binding {
            Binding::JsonRpc => {
                let params = params::rpc(operation, self.version, params);
                let call =
                    json!({"jsonrpc": "2.0", "id": 7, "method": method(operation, self.version), "params": params});
                ("POST", self.base.clone(), Some(Bytes::from(call.to_string())))
            }
            Binding::Http => {
                let (verb, path, body) = params::http(operation, self.version, params);
                (verb, format!("{}{path}", self.base), body.map(|body| body.to_string().into()))
            }
            Binding::Grpc => {
                assert_eq!(self.version, Version::V1, "0.3 over gRPC is tested with real clients");
                let message = codec::encode_request(operation, self.version, params).unwrap();
                let own = matches!(operation, Operation::Pause | Operation::Resume);
                let service = if own { "moongate.a2a.v1.TaskControl" } else { "lf.a2a.v1.A2AService" };
                let path = format!("/{service}/{}", method(operation, self.version));
                ("POST", path, Some(grpc::frame(&message)))
            }
        };
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if self.version == Version::V1 {
            headers.push(("a2a-version", "1.0"));
        }
        if self.binding == Binding::Grpc {
            headers.extend([("content-type", "application/grpc"), ("te", "trailers")]);
        } else if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        raw::request(verb, &path, &headers, body.unwrap_or_default())
    }

    async fn begin(&self, operation: Operation, params: &Value) -> Response<Incoming> {
        let request = self.request(operation, params);
        match self.binding {
            Binding::Grpc => raw::begin_h2(self.address, request).await,
            _ => raw::begin(self.address, request).await,
        }
    }

    /// Sends and reads a whole answer, as it is.
    pub async fn whole(&self, operation: Operation, params: &Value) -> Whole {
        raw::collect(self.begin(operation, params).await).await
    }

    /// Sends and reads a whole answer.
    pub async fn call(&self, operation: Operation, params: &Value) -> Result<Value, Refusal> {
        let whole = self.whole(operation, params).await;
        self.understand(operation, &whole)
    }

    /// What a whole answer says.
    pub fn understand(&self, operation: Operation, whole: &Whole) -> Result<Value, Refusal> {
        let form = form(self.binding, self.version);
        match self.binding {
            Binding::JsonRpc => {
                let answer = whole.json();
                assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
                match answer.get("error") {
                    Some(_) => Err(Refusal::of(whole.status, &answer)),
                    None => Ok(params::result(operation, form, &answer["result"])),
                }
            }
            Binding::Http if whole.status >= 300 => Err(Refusal::of(whole.status, &whole.json())),
            Binding::Http => Ok(params::result(operation, form, &whole.json())),
            Binding::Grpc => {
                if let Some(refusal) = grpc::refusal(&whole.headers).or_else(|| grpc::refusal(&whole.trailers)) {
                    return Err(refusal);
                }
                assert_eq!(whole.trailers["grpc-status"], "0");
                let message = grpc::take(&mut BytesMut::from(&whole.body[..])).expect("an answer");
                Ok(codec::decode_response(operation, self.version, &message).unwrap())
            }
        }
    }

    /// Opens a stream; an error before its first event is one here.
    pub async fn open(&self, operation: Operation, params: &Value) -> Result<Events, Refusal> {
        let response = self.begin(operation, params).await;
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if self.binding == Binding::Grpc {
            if let Some(refusal) = grpc::refusal(response.headers()) {
                return Err(refusal);
            }
        } else if !kind.starts_with("text/event-stream") {
            let whole = raw::collect(response).await;
            return Err(match self.understand(operation, &whole) {
                Err(refusal) => refusal,
                Ok(value) => panic!("a stream was asked for, the answer is {value}"),
            });
        }
        let headers = response.headers().clone();
        Ok(Events {
            caller: self.clone(),
            headers,
            body: response.into_body(),
            buffer: BytesMut::new(),
            ready: VecDeque::new(),
        })
    }

    /// Opens a stream and reads it to its end.
    pub async fn events(&self, operation: Operation, params: &Value) -> Result<Vec<Value>, Refusal> {
        self.open(operation, params).await?.rest().await
    }
}

/// The events of a stream, in the words of 1.0.
pub struct Events {
    caller: Caller,
    /// The headers of the answer.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    ready: VecDeque<Result<Value, Refusal>>,
}

impl Events {
    /// The next event; nothing at the end. Comments that keep a connection alive do not prolong the wait.
    pub async fn next(&mut self) -> Option<Result<Value, Refusal>> {
        soon("an event comes", self.read_on()).await
    }

    async fn read_on(&mut self) -> Option<Result<Value, Refusal>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let frame = self.body.frame().await?.unwrap();
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => return grpc::refusal(&frame.into_trailers().unwrap()).map(Err),
            }
            self.read();
        }
    }

    /// The next event.
    ///
    /// # Panics
    /// At the end, and if it is an error.
    pub async fn event(&mut self) -> Value {
        self.next().await.expect("the stream goes on").expect("an event")
    }

    /// All further events; the error, if the stream ends with one.
    pub async fn rest(mut self) -> Result<Vec<Value>, Refusal> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event?);
        }
        Ok(all)
    }

    fn read(&mut self) {
        if self.caller.binding == Binding::Grpc {
            while let Some(message) = grpc::take(&mut self.buffer) {
                self.ready.push_back(Ok(codec::decode_event(self.caller.version, &message).unwrap()));
            }
            return;
        }
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block = self.buffer.split_to(end + 2);
            let text = std::str::from_utf8(&block).unwrap();
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let Some(data) = field("data:") else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            let form = form(self.caller.binding, self.caller.version);
            let event = match self.caller.binding {
                Binding::JsonRpc if data.get("error").is_some() => Err(Refusal::of(200, &data)),
                Binding::JsonRpc => Ok(form.read_event(&data["result"]).0),
                _ if field("event:") == Some("error") => Err(Refusal::of(200, &data)),
                _ => Ok(form.read_event(&data).0),
            };
            self.ready.push_back(event);
        }
    }
}

/// The params of a send with these words.
pub fn saying(words: &str) -> Value {
    let id = format!(
        "message-{:016x}",
        std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), words)
    );
    json!({"message": {"messageId": id, "role": "ROLE_USER", "parts": [{"text": words}]}})
}
