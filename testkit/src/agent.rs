//! Scripted A2A agents: what they do is chosen by the words of the message, how they speak by a [`Plan`].
//!
//! | words | what happens |
//! |---|---|
//! | `echo X` | a task with one artifact, completed |
//! | `message X` | a bare message |
//! | `stream N` | a task whose artifact grows by N chunks |
//! | `slow X` | a working task that goes on when [`Agent::release`] is called |
//! | `steps N` | like `stream N`, each chunk waiting for a release |
//! | `heavy N` | like `steps N`, each chunk of 32 KiB |
//! | `ask X` | a task that needs input; the next message ends it |
//! | `odd` | an answer in unusual JSON, with members that A2A does not know |
//! | `wrong-id X` | like `echo X`, under another request's JSON-RPC id |
//! | `break` | the connection is closed after the first artifact, or in the middle of a whole answer |
//! | `noise`, `leave` | a stream goes on with something that is no event, or ends in order before the task is over |
//! | `hang`, `stall` | nothing, or half an answer, and then silence |
//! | `garbage`, `shape`, `html`, `500`, `503`, `huge` | answers that are no A2A; some tell the agent's address |
//! | `refuse` | an error of the agent's own |
//!
//! An agent that cannot stream takes one step each time that somebody asks for the task, so that whoever polls sees every
//! state without anybody's clock being involved.

mod answer;
mod book;
mod card;
mod operation;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use moongate_wire::a2a::{Binding, Version};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::dialect::Form;
use crate::soon;
use answer::Reply;
use book::Held;

/// How an agent speaks and what it can do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The card's name, and the beginning of its task ids.
    pub name: String,
    /// `JSONRPC` or `HTTP+JSON`.
    pub binding: Binding,
    /// 1.0 or 0.3.
    pub version: Version,
    /// Whether it streams.
    pub streaming: bool,
    /// Whether it has an extended card.
    pub extended: bool,
    /// Its skills' ids.
    pub skills: Vec<String>,
    /// The beginning of its task ids.
    pub ids: String,
    /// An extension that it demands.
    pub demands: Option<String>,
    /// Extensions that it knows.
    pub extensions: Vec<String>,
    /// Members that replace those of its card.
    pub card: Value,
}

impl Plan {
    /// An agent that can do everything and speaks JSON-RPC 1.0.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            binding: Binding::JsonRpc,
            version: Version::V1,
            streaming: true,
            extended: false,
            skills: vec![format!("{name}.talk")],
            ids: format!("{name}-task"),
            demands: None,
            extensions: Vec::new(),
            card: Value::Null,
        }
    }

    /// The same, speaking otherwise.
    pub fn speaking(self, binding: Binding, version: Version) -> Self {
        Self { binding, version, ..self }
    }

    /// The same without streams and push.
    pub fn bare(self) -> Self {
        Self { streaming: false, ..self }
    }

    fn form(&self) -> Form {
        match (self.version, self.binding) {
            (Version::V1, _) => Form::New,
            (Version::V03, Binding::JsonRpc) => Form::Kind,
            (Version::V03, _) => Form::Proto,
        }
    }
}

/// A request that an agent got, cards apart.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST`, …
    pub method: String,
    /// With the query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// As it came.
    pub body: Bytes,
    /// When all of it was there.
    pub at: Instant,
}

impl Received {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What all requests of an agent share.
struct Shared {
    plan: Plan,
    address: SocketAddr,
    tasks: Mutex<HashMap<String, Arc<Held>>>,
    made: AtomicUsize,
    gates: Arc<Semaphore>,
    received: watch::Sender<Vec<Received>>,
    accepts: Mutex<Option<String>>,
    sent: Mutex<Vec<Bytes>>,
}

/// A running agent; ends when dropped.
pub struct Agent {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Agent {
    /// Starts an agent on a free port.
    pub async fn start(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            plan,
            address: listener.local_addr().unwrap(),
            tasks: Mutex::default(),
            made: AtomicUsize::new(0),
            gates: Arc::new(Semaphore::new(0)),
            received: watch::Sender::new(Vec::new()),
            accepts: Mutex::default(),
            sent: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, shared.clone()));
        Self { shared, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Where its card is.
    pub fn card_url(&self) -> String {
        format!("http://{}/.well-known/agent-card.json", self.shared.address)
    }

    /// Its entry in a gateway's configuration, with further lines.
    pub fn entry(&self, more: &str) -> String {
        format!("[[agents]]\nname = \"{}\"\ncard_url = \"{}\"\n{more}\n", self.shared.plan.name, self.card_url())
    }

    /// Answers 401 to every request with another `Authorization` than this from now on.
    pub fn accept_only(&self, authorization: &str) {
        *self.shared.accepts.lock().unwrap() = Some(authorization.to_owned());
    }

    /// Lets `steps` waiting steps of `slow` and `steps` tasks happen.
    pub fn release(&self, steps: usize) {
        self.shared.gates.add_permits(steps);
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// How many requests so far.
    pub fn count(&self) -> usize {
        self.shared.received.borrow().len()
    }

    /// The last request.
    pub fn last_received(&self) -> Received {
        self.received().pop().expect("the agent was asked")
    }

    /// Waits for a request that fits.
    pub async fn heard(&self, what: &str, fits: impl Fn(&Received) -> bool) -> Received {
        let mut received = self.shared.received.subscribe();
        let found = soon(what, received.wait_for(|all| all.iter().any(&fits))).await.unwrap().clone();
        found.into_iter().find(fits).unwrap()
    }

    /// The last whole answer, as it was sent.
    pub fn last_sent(&self) -> Bytes {
        self.shared.sent.lock().unwrap().last().cloned().expect("the agent answered")
    }

    /// How many tasks it made.
    pub fn tasks_made(&self) -> usize {
        self.shared.tasks.lock().unwrap().len()
    }

    /// A task as the agent has it, in the words of 1.0.
    pub fn task(&self, id: &str) -> Option<Value> {
        Some(self.shared.tasks.lock().unwrap().get(id)?.document())
    }

    /// Waits until a task of the agent's is in a state, by its full name.
    pub async fn reached(&self, id: &str, state: &str) {
        let held = self.shared.tasks.lock().unwrap().get(id).cloned().expect("the agent has the task");
        soon("the agent's task goes on", held.reached(state)).await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes connections until aborted, which ends the connections too.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let shared = shared.clone();
        let service = service_fn(move |request| {
            let shared = shared.clone();
            async move { Ok::<_, std::convert::Infallible>(handle(shared, request).await) }
        });
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Response<answer::Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    if path.starts_with("/.well-known/") {
        return answer::json(200, &card::card(&shared.plan, shared.address));
    }
    let received =
        Received { method: parts.method.to_string(), path, headers: parts.headers, body, at: Instant::now() };
    shared.received.send_modify(|all| all.push(received.clone()));
    let accepts = shared.accepts.lock().unwrap().clone();
    if accepts.is_some_and(|accepts| received.header("authorization") != Some(&accepts)) {
        return answer::json(401, &serde_json::json!({}));
    }
    let asked = operation::read(&shared.plan, &received);
    let id = asked.id.clone();
    let reply = match asked.operation {
        Some(operation) => operation::carry_out(&shared, operation, &asked.params).await,
        None => Reply::Refused(-32601, "there is no such method".into()),
    };
    if matches!(reply, Reply::Silent) {
        std::future::pending::<()>().await;
    }
    answer::write(&shared, reply, &id, asked.operation)
}
