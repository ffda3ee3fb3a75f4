//! From a reply to an HTTP response in the client's binding and version. Pure.

use base64::Engine as _;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use moongate_core::{AgentName, Code, Operation, Problem, Retry};
use moongate_wire::a2a::legacy::Style;
use moongate_wire::a2a::{Binding, Dialect, Version, error, grpc, legacy};
use serde_json::{Value, json};

use super::body::ReplyBody;
use crate::dispatch::Whole;

/// How a client wants to be answered.
pub(super) struct Manner {
    pub(super) dialect: Dialect,
    pub(super) style: Style,
    /// File bytes of the older gRPC dialect go out as its proto has them.
    pub(super) plain_bytes: bool,
    pub(super) id: Bytes,
    pub(super) a2a_json: bool,
    pub(super) operation: Operation,
    pub(super) draft: bool,
    /// The client wants tasks with the draft's member names.
    pub(super) view: bool,
    pub(super) base: Option<AgentName>,
}

/// A response with a type and a body.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn json_type(a2a_json: bool) -> &'static str {
    if a2a_json { "application/a2a+json" } else { "application/json" }
}

/// A whole result.
pub(super) fn whole(reply: Whole, manner: &Manner) -> Result<Response<ReplyBody>, Problem> {
    let Dialect { binding, version } = manner.dialect;
    match (binding, version, untouched(&reply, manner)) {
        (Binding::JsonRpc, ..) => Ok(typed(StatusCode::OK, "application/json", rpc_whole(&reply, manner)?)),
        (Binding::Http, _, Some(raw)) => Ok(typed(StatusCode::OK, json_type(manner.a2a_json), raw)),
        (Binding::Grpc, _, Some(raw)) => Ok(grpc_message(grpc::frame(&raw))),
        (Binding::Http, Version::V1, None) => {
            let shown = if manner.view { viewed(&reply.canonical) } else { reply.canonical.clone() };
            let mut response = typed(StatusCode::OK, json_type(manner.a2a_json), shown);
            if manner.draft {
                locate(&mut response, manner, &reply.canonical);
            }
            Ok(response)
        }
        (Binding::Http, Version::V03, None) => {
            let value = in_old(manner, &reply.canonical)?;
            Ok(typed(StatusCode::OK, json_type(manner.a2a_json), serde_json::to_vec(&value).unwrap_or_default().into()))
        }
        (Binding::Grpc, version, None) => {
            let value =
                if version == Version::V03 { in_old(manner, &reply.canonical)? } else { parse(&reply.canonical)? };
            Ok(grpc_message(grpc::frame(&grpc::encode_response(manner.operation, version, &value)?)))
        }
    }
}

/// A whole result as a JSON-RPC response, for whatever carries it.
pub(super) fn rpc_whole(reply: &Whole, manner: &Manner) -> Result<Bytes, Problem> {
    if let Some(raw) = untouched(reply, manner) {
        return Ok(raw);
    }
    if manner.dialect.version == Version::V1 {
        // An empty result is `null` there (JSON-RPC 2.0 §5), an empty object in the other bindings.
        return Ok(rpc_result(&manner.id, &reply.canonical));
    }
    let value = in_old(manner, &reply.canonical)?;
    Ok(rpc_result(&manner.id, &serde_json::to_vec(&value).unwrap_or_default()))
}

/// The agent's own bytes, where they can go to the client as they are.
fn untouched(reply: &Whole, manner: &Manner) -> Option<Bytes> {
    let (dialect, raw) = reply.raw.as_ref()?;
    (*dialect == manner.dialect && !manner.view && !manner.draft).then(|| raw.clone())
}

fn parse(canonical: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(canonical)
        .map_err(|cause| Problem::new(Code::AgentGarbage, "a result is not JSON").inside(cause))
}

fn in_old(manner: &Manner, canonical: &[u8]) -> Result<Value, Problem> {
    let mut value = legacy::result_from_v1(manner.operation, manner.style, parse(canonical)?)?;
    if manner.plain_bytes {
        legacy::plain_file_bytes(&mut value);
    }
    Ok(value)
}

/// `{"jsonrpc":"2.0","id":…,"result":…}` around raw JSON.
pub(super) fn rpc_result(id: &[u8], result: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(result.len() + id.len() + 48);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id);
    out.extend_from_slice(br#","result":"#);
    out.extend_from_slice(result);
    out.push(b'}');
    out.into()
}

/// The draft's task creation says where the task is.
fn locate(response: &mut Response<ReplyBody>, manner: &Manner, canonical: &[u8]) {
    *response.status_mut() = StatusCode::CREATED;
    let id = serde_json::from_slice::<Value>(canonical)
        .ok()
        .and_then(|value| value.pointer("/task/id").and_then(Value::as_str).map(str::to_owned));
    let base = manner.base.as_ref().map_or_else(|| "/a2a".to_owned(), |agent| format!("/agents/{agent}"));
    let location = id.map(|id| format!("{base}/tasks/{id}"));
    if let Some(value) = location.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(LOCATION, value);
    }
}

fn grpc_message(frame: Bytes) -> Response<ReplyBody> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(ReplyBody::Grpc(Some(frame), Some(Box::new(trailers))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A problem, in the manner of the client.
pub(super) fn failure(problem: &Problem, dialect: Dialect, id: &[u8], a2a_json: bool) -> Response<ReplyBody> {
    let mut response = match dialect.binding {
        Binding::JsonRpc => {
            let id = if id.is_empty() { b"null" } else { id };
            typed(rpc_status(problem), "application/json", error::to_jsonrpc(problem, dialect.version, id))
        }
        Binding::Http => {
            let (status, body) = error::to_http(problem, dialect.version);
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            typed(status, json_type(a2a_json), body)
        }
        Binding::Grpc => {
            let mut response = Response::new(ReplyBody::Whole(None));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            grpc_status(problem, dialect.version, response.headers_mut());
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Retry::Later(Some(after)) = problem.retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if let Some(challenge) = challenge(problem) {
        headers.insert(http::header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What a caller lacks, in the words of RFC 6750 §3.
fn challenge(problem: &Problem) -> Option<HeaderValue> {
    match problem.code {
        Code::Unauthenticated => Some(HeaderValue::from_static("Bearer")),
        Code::InsufficientScope => {
            let scope = problem.fields.iter().find(|field| field.field == "scope")?;
            HeaderValue::from_str(&format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", scope.description)).ok()
        }
        _ => None,
    }
}

/// JSON-RPC errors travel with 200, but for those that HTTP itself must know of.
fn rpc_status(problem: &Problem) -> StatusCode {
    use moongate_core::Kind;
    if problem.code == Code::RateLimited {
        return StatusCode::TOO_MANY_REQUESTS;
    }
    match problem.kind() {
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

/// Writes the status of a gRPC exchange into headers or trailers.
pub(super) fn grpc_status(problem: &Problem, version: Version, into: &mut HeaderMap) {
    let status = error::to_grpc(problem, version);
    into.insert("grpc-status", HeaderValue::from(u16::from(status.code)));
    if let Ok(message) = HeaderValue::from_str(&percent_encode(&status.message)) {
        into.insert("grpc-message", message);
    }
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&status.details);
    if let (false, Ok(details)) = (status.details.is_empty(), HeaderValue::from_str(&details)) {
        into.insert("grpc-status-details-bin", details);
    }
}

/// `grpc-message` is percent-encoded outside printable ASCII (gRPC over HTTP/2, *Status-Message*).
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A result with its tasks in the draft's view: `task_id`, `status`, `artifacts`, `messages` (`?view=draft`).
fn viewed(canonical: &Bytes) -> Bytes {
    let Ok(value) = serde_json::from_slice::<Value>(canonical) else { return canonical.clone() };
    let shown = match (value.get("task"), value.get("tasks").and_then(Value::as_array)) {
        (Some(task), _) => draft_view(task),
        (None, Some(tasks)) => {
            let mut value = value.clone();
            let tasks = tasks.iter().map(draft_view).collect();
            if let Some(members) = value.as_object_mut() {
                members.insert("tasks".into(), tasks);
            }
            value
        }
        (None, None) if value.get("status").is_some() => draft_view(&value),
        (None, None) => value,
    };
    serde_json::to_vec(&shown).unwrap_or_default().into()
}

fn draft_view(task: &Value) -> Value {
    json!({
        "task_id": task.get("id"),
        "status": task.get("status"),
        "artifacts": task.get("artifacts").cloned().unwrap_or_else(|| json!([])),
        "messages": task.get("history").cloned().unwrap_or_else(|| json!([])),
    })
}
