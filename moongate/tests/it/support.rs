//! What these tests share: an agent that says who it is, a client, the program with its arguments.
//!
//! The agent here is small on purpose: it answers at once, or holds its answer until the test lets go. The testkit's
//! agents, which play whole scenarios in every dialect, belong to the tests of the A2A operations.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
pub(crate) use moongate_testkit::gateway::Gateway;
pub(crate) use moongate_testkit::gateway::{DEADLINE, until};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const MOONGATE: &str = env!("CARGO_BIN_EXE_moongate");

/// The extension by which a client names a skill.
pub(crate) const ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// Within the deadline, or the test fails.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, happens).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// Waits until a condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let held = until(|| {
        let asked = holds();
        async { asked.await.then_some(()) }
    });
    assert!(held.await.is_some(), "{what}: not in time");
}

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

    /// Its entry in a configuration.
    pub(crate) fn entry(&self) -> String {
        format!("\n[[agents]]\nname = \"{}\"\ncard_url = \"{}\"\n", self.name, self.card_url())
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

/// A folder for programs that are run once; gone when dropped.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn folder() -> Folder {
    let path = std::env::temp_dir().join(format!("moongate-test-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&path).unwrap();
    Folder(path)
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

/// A GET at the main listener, trusting the gateway's own authority as its users do.
pub(crate) async fn get_main(gateway: &Gateway, path: &str) -> Answer {
    let roots = moongate_identity::tls::read_roots(&gateway.folder().join("ca/ca.pem")).unwrap();
    let config = moongate_identity::tls::client_config(&roots).unwrap();
    let mut config = (*config).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let address = gateway.address("main").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = Request::get(path).header("host", address.to_string()).body(Full::new(Bytes::new())).unwrap();
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

/// The program with these arguments, to its end.
pub(crate) async fn moongate(folder: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(MOONGATE);
    command.args(arguments).current_dir(folder).stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.env("COLUMNS", "100").env_remove("RUST_BACKTRACE");
    soon("the end of the command", command.output()).await.unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Clients that send one request after another until told to stop; none may fail.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Result<usize, String>>,
    done: Arc<AtomicUsize>,
}

impl Load {
    /// Sends plain messages to a path.
    pub(crate) fn start(base: String, path: &'static str) -> Self {
        Self::with(base, path, || message("load"))
    }

    /// Sends messages of one's own making.
    pub(crate) fn with(base: String, path: &'static str, params: fn() -> Value) -> Self {
        let (stop, stopped) = watch::channel(false);
        let done = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            clients.spawn(client(base.clone(), path, params, stopped.clone(), done.clone()));
        }
        Self { stop, clients, done }
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn goes_on(&self, more: usize) {
        let goal = self.done.load(Ordering::SeqCst) + more;
        eventually("more requests are answered", || async {
            self.done.load(Ordering::SeqCst) >= goal || self.clients.is_empty()
        })
        .await;
    }

    /// Stops, and fails if any request failed.
    pub(crate) async fn stop(mut self) -> usize {
        self.stop.send_replace(true);
        let mut answered = 0;
        while let Some(client) = self.clients.join_next().await {
            answered += client.unwrap().unwrap_or_else(|why| panic!("a request failed: {why}"));
        }
        assert!(answered > 0, "no request was answered");
        answered
    }
}

async fn client(
    base: String,
    path: &'static str,
    params: fn() -> Value,
    stopped: watch::Receiver<bool>,
    done: Arc<AtomicUsize>,
) -> Result<usize, String> {
    let mut connection = Connection::open(&base).await?;
    let mut answered = 0;
    while !*stopped.borrow() {
        let answer = connection.send("POST", path, &[V1], Some(&rpc("SendMessage", &params()))).await?;
        if answer.status != 200 || answer.json().get("result").is_none() {
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        answered += 1;
        done.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == "close" {
            connection = Connection::open(&base).await?;
        }
    }
    Ok(answered)
}

/// The gateway's status.
pub(crate) async fn status(gateway: &Gateway) -> Value {
    get(&gateway.admin(), "/api/v1/status").await.json()
}

/// Changes the configuration file, waits until the gateway has taken it over, and gives what it says of each section.
pub(crate) async fn reload(gateway: &Gateway, toml: &str) -> BTreeMap<String, String> {
    let before = status(gateway).await["configuration"]["reloads"].as_u64().unwrap();
    gateway.reload(toml);
    let status = until(|| async {
        let status = status(gateway).await;
        (status["configuration"]["reloads"].as_u64().unwrap() > before).then_some(status)
    });
    let status = status.await.unwrap_or_else(|| panic!("the change was not taken over:\n{}", gateway.log_text()));
    let changes = status["configuration"]["last_changes"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes.iter().map(|change| (text(&change["section"]), text(&change["effect"]))).collect()
}

/// The health of an entry, or `gone`.
pub(crate) async fn health(gateway: &Gateway, id: &str) -> String {
    let answer = get(&gateway.admin(), &format!("/api/v1/agents/{id}")).await;
    if answer.status == 404 { "gone".into() } else { answer.json()["health"].as_str().unwrap().to_owned() }
}
