//! An agent that is small on purpose: it answers at once, or holds its answer until the test lets go.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::{eventually, soon};

/// How an agent answers sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A message that names the agent and repeats what was said.
    Message,
    /// A task that waits for input.
    Task,
    /// A task that is over.
    Done,
    /// A message, when the test lets go.
    Held,
    /// HTTP 503.
    Unavailable,
    /// The connection closes before any answer.
    Closes,
    /// A message of two thousand letters.
    Long,
}

/// One request that an agent got.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Value,
}

/// An agent at an address of its own; gone with all its connections when dropped.
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

struct State {
    name: String,
    card: Mutex<Value>,
    keys: Mutex<Value>,
    extended: Mutex<Option<Value>>,
    older: Mutex<Option<Value>>,
    manner: Mutex<Manner>,
    seen: Mutex<Vec<Seen>>,
    cards: AtomicUsize,
    open: AtomicBool,
    let_go: Notify,
    arrived: watch::Sender<usize>,
    tasks: Mutex<BTreeMap<String, Value>>,
}

type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

impl Agent {
    /// An agent with these skills, each an id or a whole skill.
    pub(crate) async fn start(name: &str, skills: &[Value]) -> Self {
        Self::at(name, skills, "127.0.0.1:0".parse().unwrap()).await
    }

    /// The same at a given address.
    pub(crate) async fn at(name: &str, skills: &[Value], address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            name: name.to_owned(),
            card: Mutex::new(card(name, &format!("http://{address}/rpc"), skills)),
            keys: Mutex::default(),
            extended: Mutex::default(),
            older: Mutex::default(),
            manner: Mutex::new(Manner::Message),
            seen: Mutex::default(),
            cards: AtomicUsize::new(0),
            open: AtomicBool::new(false),
            let_go: Notify::new(),
            arrived: watch::channel(0).0,
            tasks: Mutex::default(),
        });
        let serving = tokio::spawn(serve(listener, state.clone()));
        Self { name: name.to_owned(), address, state, serving }
    }

    pub(crate) fn card_url(&self) -> String {
        format!("http://{}/.well-known/agent-card.json", self.address)
    }

    pub(crate) fn rpc_url(&self) -> String {
        format!("http://{}/rpc", self.address)
    }

    /// Where it publishes keys.
    pub(crate) fn keys_url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Has this extended card.
    pub(crate) fn set_extended(&self, card: Value) {
        *self.state.extended.lock().unwrap() = Some(card);
    }

    /// Has this card at the place of older versions.
    pub(crate) fn set_older(&self, card: Value) {
        *self.state.older.lock().unwrap() = Some(card);
    }

    /// Publishes a key set.
    pub(crate) fn publish(&self, keys: &Value) {
        *self.state.keys.lock().unwrap() = keys.clone();
    }

    /// Its entry in a configuration.
    pub(crate) fn entry(&self) -> String {
        format!("\n[[agents]]\nname = \"{}\"\ncard_url = \"{}\"\nqueue = false\n", self.name, self.card_url())
    }

    pub(crate) fn card(&self) -> Value {
        self.state.card.lock().unwrap().clone()
    }

    pub(crate) fn set_card(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.card.lock().unwrap());
    }

    pub(crate) fn set_manner(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// Lets everything go that was held, and all that comes.
    pub(crate) fn let_go(&self) {
        self.state.open.store(true, Ordering::SeqCst);
        self.state.let_go.notify_waiters();
    }

    /// All JSON-RPC requests that it got.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How often its card was read.
    pub(crate) fn cards_read(&self) -> usize {
        self.state.cards.load(Ordering::SeqCst)
    }

    /// Waits until it has got so many requests.
    pub(crate) async fn got(&self, count: usize) {
        let mut arrived = self.state.arrived.subscribe();
        let _ = soon("a request at the agent", arrived.wait_for(|seen| *seen >= count)).await.unwrap();
    }

    /// Ends it, as if its process were killed.
    pub(crate) async fn kill(self) -> SocketAddr {
        let address = self.address;
        self.serving.abort();
        eventually("the agent's port closes", || async move { TcpStream::connect(address).await.is_err() }).await;
        address
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A card with one JSON-RPC interface.
pub(crate) fn card(name: &str, url: &str, skills: &[Value]) -> Value {
    json!({
        "name": name, "description": format!("The agent {name}."), "version": "1",
        "supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"streaming": true},
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": skills.iter().map(|skill| match skill {
            Value::String(id) => json!({"id": id, "name": id, "description": format!("Does {id}."), "tags": []}),
            whole => whole.clone(),
        }).collect::<Vec<_>>(),
    })
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn whole(status: StatusCode, body: &Value) -> Reply {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Reply, std::io::Error> {
    let (parts, body) = request.into_parts();
    if parts.method == http::Method::GET {
        if parts.uri.path() == "/jwks.json" {
            return Ok(whole(StatusCode::OK, &state.keys.lock().unwrap().clone()));
        }
        if let Some(card) =
            state.older.lock().unwrap().as_ref().filter(|_| parts.uri.path() == "/.well-known/agent.json")
        {
            return Ok(whole(StatusCode::OK, card));
        }
        if parts.uri.path() != "/.well-known/agent-card.json" {
            return Ok(whole(StatusCode::NOT_FOUND, &json!({})));
        }
        state.cards.fetch_add(1, Ordering::SeqCst);
        return Ok(whole(StatusCode::OK, &state.card.lock().unwrap().clone()));
    }
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let call: Value = serde_json::from_slice(&body).map_err(std::io::Error::other)?;
    let method = call["method"].as_str().unwrap_or_default().to_owned();
    let number = {
        let mut seen = state.seen.lock().unwrap();
        seen.push(Seen { method: method.clone(), headers: parts.headers, params: call["params"].clone() });
        seen.len()
    };
    state.arrived.send_replace(number);
    let manner = *state.manner.lock().unwrap();
    match manner {
        Manner::Unavailable => return Ok(whole(StatusCode::SERVICE_UNAVAILABLE, &json!({}))),
        Manner::Closes => return Err(std::io::Error::other("closed on purpose")),
        _ => {}
    }
    if method == "SendStreamingMessage" {
        return Ok(stream(&state, &call, number));
    }
    if manner == Manner::Held && method == "SendMessage" {
        state.held().await;
    }
    let result = state.result(&method, &call["params"], number, manner);
    let rpc = match result {
        Some(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
        None => json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32001, "message": "no such task"}}),
    };
    Ok(whole(StatusCode::OK, &rpc))
}

/// A stream that begins with a working task, and ends when the test lets go.
fn stream(state: &Arc<State>, call: &Value, number: usize) -> Reply {
    let task = state.task(&call["params"], number, "TASK_STATE_WORKING");
    let (id, task_id, context) = (call["id"].clone(), task["id"].clone(), task["contextId"].clone());
    let event = move |result: &Value| {
        let rpc = json!({"jsonrpc": "2.0", "id": id, "result": result});
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(format!("data: {rpc}\n\n"))))
    };
    let first = event(&json!({"task": task}));
    let state = state.clone();
    let last = futures_util::stream::once(async move {
        state.held().await;
        if let Some(task) = state.tasks.lock().unwrap().get_mut(task_id.as_str().unwrap()) {
            task["status"]["state"] = json!("TASK_STATE_COMPLETED");
        }
        event(
            &json!({"statusUpdate": {"taskId": task_id, "contextId": context, "status": {"state": "TASK_STATE_COMPLETED"}}}),
        )
    });
    let body = StreamBody::new(futures_util::stream::iter([first]).chain(last));
    let mut response = Response::new(BodyExt::boxed_unsync(body));
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

impl State {
    async fn held(&self) {
        let mut gone = std::pin::pin!(self.let_go.notified());
        gone.as_mut().enable();
        if !self.open.load(Ordering::SeqCst) {
            gone.await;
        }
    }

    fn task(&self, params: &Value, number: usize, state: &str) -> Value {
        let message = &params["message"];
        let id = message["taskId"].as_str().map_or_else(|| format!("task-{}-{number}", self.name), str::to_owned);
        let context =
            message["contextId"].as_str().map_or_else(|| format!("context-{}-{number}", self.name), str::to_owned);
        let said =
            json!({"messageId": format!("m-{number}"), "role": "ROLE_AGENT", "parts": [{"text": self.says(message)}]});
        let task = json!({"id": id, "contextId": context, "status": {"state": state, "message": said}});
        self.tasks.lock().unwrap().insert(id, task.clone());
        task
    }

    fn says(&self, message: &Value) -> String {
        format!("{}: {}", self.name, message["parts"][0]["text"].as_str().unwrap_or_default())
    }

    fn result(&self, method: &str, params: &Value, number: usize, manner: Manner) -> Option<Value> {
        let state = match manner {
            Manner::Done => "TASK_STATE_COMPLETED",
            _ => "TASK_STATE_INPUT_REQUIRED",
        };
        match method {
            "SendMessage" if matches!(manner, Manner::Task | Manner::Done) => {
                Some(json!({"task": self.task(params, number, state)}))
            }
            "SendMessage" => {
                let context = params["message"]["contextId"].as_str();
                let context = context.map_or_else(|| format!("context-{}-{number}", self.name), str::to_owned);
                let text = if manner == Manner::Long { "x".repeat(2000) } else { self.says(&params["message"]) };
                Some(json!({"message": {
                    "messageId": format!("m-{number}"), "contextId": context, "role": "ROLE_AGENT", "parts": [{"text": text}],
                }}))
            }
            "GetTask" => self.tasks.lock().unwrap().get(params["id"].as_str()?).cloned(),
            "GetExtendedAgentCard" => self.extended.lock().unwrap().clone(),
            "CancelTask" => {
                let mut tasks = self.tasks.lock().unwrap();
                let task = tasks.get_mut(params["id"].as_str()?)?;
                task["status"]["state"] = json!("TASK_STATE_CANCELED");
                Some(task.clone())
            }
            _ => None,
        }
    }
}
