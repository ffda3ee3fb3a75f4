//! The demonstration's client: A2A 1.0 over JSON-RPC, to the gateway and to nobody else.
//!
//! It is a client like any other: it speaks one dialect and knows one address. What the gateway says about itself
//! (which agents there are, which way a message would take) comes from its API.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use moongate_a2a::call::SKILL_ROUTING;
use moongate_core::seam::{Dialer, Fetch, Fetched};
use moongate_core::{Code, Problem};
use moongate_transport::{HttpDialer, Origin, Pool, PoolBody, PoolConfig};
use moongate_wire::sse;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
/// As long as people may take for a yes, and some more.
const PEOPLES: Duration = Duration::from_secs(150);
const LIMIT: usize = 4 * 1024 * 1024;

/// The client.
pub(super) struct Client {
    pool: Pool,
    dialer: HttpDialer,
    plain: String,
    admin: String,
}

/// A message and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    /// The agent whose address it goes to; otherwise the gateway finds one.
    pub(super) agent: Option<&'a str>,
    /// The skill that it names.
    pub(super) skill: Option<&'a str>,
    /// What it says.
    pub(super) text: &'a str,
}

/// Why there was no answer: in the gateway's words, with its code if it named one.
pub(super) struct Trouble {
    pub(super) code: Option<String>,
    pub(super) words: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{code}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self { code: Some(problem.code.to_string()), words: problem.detail.into_owned() }
    }
}

impl Client {
    /// A client of the gateway at these addresses.
    pub(super) fn new(plain: String, admin: String) -> Result<Self, Problem> {
        let pool = Pool::new(PoolConfig::default(), moongate_identity::tls::client_config(&[])?);
        Ok(Self { dialer: HttpDialer::new(pool.clone()), pool, plain, admin })
    }

    /// The aggregated card.
    pub(super) async fn card(&self) -> Result<Value, Trouble> {
        self.json("GET", &format!("{}/.well-known/agent-card.json", self.plain), None).await
    }

    /// The agents as the gateway knows them.
    pub(super) async fn agents(&self) -> Result<Value, Trouble> {
        self.json("GET", &format!("{}/api/v1/agents", self.admin), None).await
    }

    /// Whether the gateway says that it is ready.
    pub(super) async fn is_ready(&self) -> bool {
        self.json("GET", &format!("{}/readyz", self.admin), None).await.is_ok()
    }

    /// Which way a message would take.
    pub(super) async fn explain(&self, ask: Ask<'_>) -> Result<Value, Trouble> {
        let question = json!({"path": ask.path(), "body": ask.request("SendMessage")});
        self.json("POST", &format!("{}/api/v1/explain", self.admin), Some(&question)).await
    }

    /// Sends a message; the task or message that came of it.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Value, Trouble> {
        let url = format!("{}{}", self.plain, ask.path());
        result(self.json("POST", &url, Some(&ask.request("SendMessage"))).await?)
    }

    /// Reads a task back.
    pub(super) async fn task(&self, id: &str) -> Result<Value, Trouble> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": id}});
        result(self.json("POST", &format!("{}/a2a", self.plain), Some(&request)).await?)
    }

    /// Sends a message and opens the stream of what becomes of it.
    pub(super) async fn stream(&self, ask: Ask<'_>) -> Result<Events, Trouble> {
        self.open(&ask.path(), &ask.request("SendStreamingMessage")).await
    }

    /// Opens the stream of what becomes of a task from now on.
    pub(super) async fn subscribe(&self, task: &str) -> Result<Events, Trouble> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": task}});
        let events = self.open("/a2a", &request).await?;
        Ok(Events { patience: PEOPLES, ..events })
    }

    /// Says yes to a question, as the operator whose secret this is.
    pub(super) async fn approve(&self, question: &str, secret: &str) -> Result<Value, Trouble> {
        let url = format!("{}/api/v1/approvals/{question}:approve", self.admin);
        self.fetch("POST", &url, None, Some(("authorization".to_owned(), format!("Bearer {secret}")))).await
    }

    async fn open(&self, path: &str, body: &Value) -> Result<Events, Trouble> {
        let origin = Origin::parse(&self.plain, false).map_err(|error| broken(&error))?;
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .header("a2a-version", "1.0")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| broken(&error))?;
        let sent = tokio::time::timeout(PATIENCE, self.pool.send(&origin, request)).await;
        let response = sent.map_err(|_| late())?.map_err(|error| broken(&error))?;
        let streams =
            response.headers().get("content-type").is_some_and(|kind| kind.as_bytes() == b"text/event-stream");
        let mut events = Events { body: response.into_body(), parser: sse::Parser::new(LIMIT), patience: PATIENCE };
        if streams { Ok(events) } else { Err(events.refusal().await) }
    }

    async fn json(&self, method: &'static str, url: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        self.fetch(method, url, body, None).await
    }

    async fn fetch(
        &self,
        method: &'static str,
        url: &str,
        body: Option<&Value>,
        header: Option<(String, String)>,
    ) -> Result<Value, Trouble> {
        let fetch = Fetch {
            method,
            url: url.to_owned(),
            headers: ["content-type", "accept"]
                .map(|name| (name.to_owned(), "application/json".to_owned()))
                .into_iter()
                .chain([("a2a-version".to_owned(), "1.0".to_owned())])
                .chain(header)
                .collect(),
            body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
            timeout_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
            limit: LIMIT,
            body_wanted: true,
            egress: None,
        };
        let Fetched { status, body, .. } = self.dialer.fetch(fetch).await?;
        let value: Value = serde_json::from_slice(&body).map_err(|error| broken(&error))?;
        if (200..300).contains(&status) { Ok(value) } else { Err(refused(&value)) }
    }
}

impl Ask<'_> {
    fn path(&self) -> String {
        self.agent.map_or_else(|| "/a2a".to_owned(), |agent| format!("/agents/{agent}"))
    }

    fn request(&self, method: &str) -> Value {
        let mut message = json!({
            "messageId": uuid::Uuid::new_v4().to_string(), "role": "ROLE_USER", "parts": [{"text": self.text}],
        });
        if let (Some(skill), Some(message)) = (self.skill, message.as_object_mut()) {
            message.insert("metadata".to_owned(), json!({ SKILL_ROUTING: {"skillId": skill} }));
        }
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}})
    }
}

/// The events of a stream, as they come.
pub(super) struct Events {
    body: PoolBody,
    parser: sse::Parser,
    /// How long the next piece may take.
    patience: Duration,
}

impl Events {
    /// The next event; `None` when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Result<Value, Trouble>> {
        loop {
            if let Some(event) = self.parser.next() {
                let value: Result<Value, _> = serde_json::from_slice(&event.data);
                return Some(value.map_err(|error| broken(&error)).and_then(result));
            }
            let frame = match tokio::time::timeout(self.patience, self.body.frame()).await {
                Ok(frame) => frame?,
                Err(_) => return Some(Err(late())),
            };
            let fed = match frame {
                Ok(frame) => frame.into_data().map_or(Ok(()), |data| self.parser.feed(data)).map_err(Trouble::from),
                Err(error) => Err(broken(&error)),
            };
            if let Err(trouble) = fed {
                return Some(Err(trouble));
            }
        }
    }

    /// What was answered instead of a stream.
    async fn refusal(&mut self) -> Trouble {
        let mut body = Vec::new();
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(PATIENCE, self.body.frame()).await {
            body.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
        }
        match serde_json::from_slice(&body) {
            Ok(value) => refused(&value),
            Err(error) => broken(&error),
        }
    }
}

/// The result of a JSON-RPC answer.
fn result(mut answer: Value) -> Result<Value, Trouble> {
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(refused(&answer)),
    }
}

/// The error of an answer, in JSON-RPC or in AIP-193.
fn refused(answer: &Value) -> Trouble {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let details = answer.pointer("/error/data").or_else(|| answer.pointer("/error/details"));
    let codes = details.and_then(Value::as_array).into_iter().flatten();
    let code = codes.filter_map(|detail| detail.pointer("/metadata/code")).find_map(Value::as_str).map(str::to_owned);
    let words = text("/error/message").or_else(|| text("/reason"));
    Trouble { code, words: words.unwrap_or_else(|| format!("an answer that nobody understands: {answer}")) }
}

fn broken(error: &dyn std::fmt::Display) -> Trouble {
    Trouble { code: None, words: format!("the gateway's answer is broken: {error}") }
}

fn late() -> Trouble {
    Trouble { code: Some(Code::DeadlineExceeded.to_string()), words: "the gateway did not answer in time".to_owned() }
}
