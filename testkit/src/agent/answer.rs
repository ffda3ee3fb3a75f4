//! Answers of a scripted agent: right ones in its dialect, and wrong ones.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use moongate_core::Operation;
use moongate_wire::a2a::{Binding, Version};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::Shared;
use super::book::{Held, Told, is_over};

/// What an agent sends.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What an agent says, in the words of 1.0.
pub(super) enum Reply {
    /// A task, asked for.
    Task(Value),
    /// A task that came of a message.
    Sent(Value),
    /// A message.
    Message(Value),
    /// A card.
    Card(Value),
    /// A task's events from now on; with `true` the task runs now, and waiting for input ends the stream.
    Events(Arc<Held>, bool),
    /// Half an answer.
    Broken,
    /// Half an answer and silence.
    Stalled,
    /// Silence.
    Silent,
    /// A task that came of a message, under another request's id.
    Misaddressed(Value),
    /// A task in raw JSON.
    Odd(String),
    /// An error.
    Refused(i64, String),
    /// A status, a type and a body that are no A2A.
    Raw(u16, &'static str, String),
}

impl Reply {
    /// The fault that a word asks for.
    pub(super) fn fault(word: &str) -> Option<Self> {
        let told = "a traceback at http://{address}/internal of {address}";
        Some(match word {
            "hang" => Self::Silent,
            "stall" => Self::Stalled,
            "garbage" => Self::Raw(200, "application/json", format!("<<< {told}")),
            "shape" => Self::Raw(
                200,
                "application/json",
                format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"at\":\"{told}\"}}}}"),
            ),
            "html" => Self::Raw(200, "text/html", format!("<h1>{told}</h1>")),
            "500" => Self::Raw(500, "text/plain", told.into()),
            "503" => Self::Raw(503, "text/plain", told.into()),
            "huge" => Self::Raw(
                200,
                "application/json",
                format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"{}\"}}", "x".repeat(300_000)),
            ),
            _ => return None,
        })
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn response(status: u16, kind: &str, body: Body) -> Response<Body> {
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

/// A JSON answer.
pub(super) fn json(status: u16, value: &Value) -> Response<Body> {
    response(status, "application/json", whole(value.to_string().into()))
}

/// Half a body, then an error that makes the server close the connection, or silence.
fn half(stalls: bool) -> Response<Body> {
    let first =
        stream::iter([Ok(Frame::data(Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"task\"")))]);
    let rest = stream::once(async move {
        if stalls {
            std::future::pending::<()>().await;
        }
        Err(io::Error::other("broken on purpose"))
    });
    response(200, "application/json", StreamBody::new(first.chain(rest)).boxed_unsync())
}

/// Puts a reply into the agent's dialect.
pub(super) fn write(shared: &Arc<Shared>, reply: Reply, id: &Value, operation: Option<Operation>) -> Response<Body> {
    let form = shared.plan.form();
    let raw = match reply {
        Reply::Task(task) => form.task(&task).to_string(),
        Reply::Sent(task) => form.event(&json!({ "task": task }), false).to_string(),
        Reply::Message(message) if operation == Some(Operation::Stream) => {
            let event = envelope(shared, id, &form.event(&json!({ "message": message }), true).to_string());
            return response(200, "text/event-stream", whole(format!("data: {event}\n\n").into()));
        }
        Reply::Message(message) => form.event(&json!({ "message": message }), true).to_string(),
        Reply::Card(card) => card.to_string(),
        Reply::Odd(task) => format!("{{ \"task\" :{task}, \"x-vendor\":\"kept\" }}"),
        Reply::Events(held, runs) => return events(shared, held, runs, id),
        Reply::Misaddressed(task) => {
            let result = form.event(&json!({ "task": task }), false).to_string();
            return response(200, "application/json", whole(envelope(shared, &json!("not yours"), &result).into()));
        }
        Reply::Broken => return half(false),
        Reply::Stalled | Reply::Silent => return half(true),
        Reply::Refused(code, words) => return refused(shared, code, &words, id),
        Reply::Raw(status, kind, text) => return nonsense(status, kind, &text, shared.address),
    };
    let body = Bytes::from(envelope(shared, id, &raw));
    shared.sent.lock().unwrap().push(body.clone());
    let kind = if shared.plan.binding == Binding::Http && shared.plan.version == Version::V1 {
        "application/a2a+json"
    } else {
        "application/json"
    };
    response(200, kind, whole(body))
}

/// An answer that is no A2A, which gives the agent's place away wherever it can.
fn nonsense(status: u16, kind: &str, text: &str, address: SocketAddr) -> Response<Body> {
    let place = address.to_string();
    let mut response = response(status, kind, whole(text.replace("{address}", &place).into()));
    let headers = response.headers_mut();
    for name in ["server", "via", "x-upstream", "location", "set-cookie"] {
        headers.insert(name, format!("inside-{place}").parse().unwrap());
    }
    response
}

fn envelope(shared: &Shared, id: &Value, result: &str) -> String {
    match shared.plan.binding {
        Binding::JsonRpc => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"),
        _ => result.to_owned(),
    }
}

fn refused(shared: &Shared, code: i64, words: &str, id: &Value) -> Response<Body> {
    if shared.plan.binding == Binding::JsonRpc {
        return json(200, &json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": words}}));
    }
    let (status, name, reason) = match code {
        -32001 => (404, "TaskNotFoundError", "TASK_NOT_FOUND"),
        -32002 => (400, "TaskNotCancelableError", "TASK_NOT_CANCELABLE"),
        -32005 => (400, "ContentTypeNotSupportedError", "CONTENT_TYPE_NOT_SUPPORTED"),
        _ => (400, "UnsupportedOperationError", "UNSUPPORTED_OPERATION"),
    };
    if shared.plan.version == Version::V03 {
        return json(status, &json!({"type": name, "message": words}));
    }
    let info =
        json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org"});
    json(status, &json!({"error": {"code": status, "status": "NOT_FOUND", "message": words, "details": [info]}}))
}

struct Feed {
    shared: Arc<Shared>,
    id: Value,
    snapshot: Option<Value>,
    told: broadcast::Receiver<Told>,
    runs: bool,
    over: bool,
}

fn events(shared: &Arc<Shared>, held: Arc<Held>, runs: bool, id: &Value) -> Response<Body> {
    let (snapshot, told) = held.listen();
    if runs {
        let gates = shared.gates.clone();
        tokio::spawn(async move { held.run(&gates).await });
    }
    let feed = Feed { shared: shared.clone(), id: id.clone(), snapshot: Some(snapshot), told, runs, over: false };
    let frames = stream::unfold(feed, |mut feed| async move { Some((feed.next().await?, feed)) });
    let mut response = response(200, "text/event-stream", StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = StatusCode::OK;
    response
}

impl Feed {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, io::Error>> {
        if self.over {
            return None;
        }
        let event = match self.snapshot.take() {
            Some(task) => json!({ "task": task }),
            None => match self.told.recv().await.ok()? {
                Told::Event(event) => event,
                Told::Break => {
                    self.over = true;
                    return Some(Err(io::Error::other("broken on purpose")));
                }
                Told::Noise => return Some(Ok(Frame::data(Bytes::from_static(b"data: <<< no event >>>\n\n")))),
                Told::Leave => return None,
            },
        };
        let update = event.pointer("/statusUpdate/status/state").and_then(Value::as_str).unwrap_or_default();
        let state = event.pointer("/task/status/state").and_then(Value::as_str).unwrap_or(update);
        let waits = self.runs && !update.is_empty() && state == "TASK_STATE_INPUT_REQUIRED";
        self.over = is_over(state) || waits;
        let text = self.shared.plan.form().event(&event, self.over).to_string();
        let text = envelope(&self.shared, &self.id, &text);
        Some(Ok(Frame::data(format!("data: {text}\n\n").into())))
    }
}
