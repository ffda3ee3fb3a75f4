//! Problems → bindings.

use bytes::Bytes;
use moongate_core::Problem;
use prost::Message;
use serde_json::{Value, json};

use super::GrpcStatus;
use super::any::{BAD_REQUEST, ERROR_INFO, bad_request_json, to_any, type_of, typed};
use super::table::{self, is_known_to_v03, look, status_name};
use crate::a2a::Version;
use crate::a2a::grpc::rpc::Status;

/// A problem on its way out.
struct Shown<'a> {
    message: &'a str,
    /// Details with `@type`, an ErrorInfo among them.
    details: Vec<Value>,
    /// What an old agent wrote as free-form `data`.
    free: Option<Value>,
}

fn show(problem: &Problem) -> Shown<'_> {
    let reported = problem.reported.as_deref();
    let message = match reported {
        Some(reported) if !reported.message.is_empty() => reported.message.as_str(),
        _ if !problem.detail.is_empty() => &problem.detail,
        _ => problem.code.title(),
    };
    let (mut details, mut free) = (Vec::new(), None);
    match reported.and_then(|reported| serde_json::from_slice(reported.details.as_deref()?).ok()) {
        Some(Value::Array(list)) => details.extend(list.into_iter().map(typed)),
        Some(Value::Null) | None => {}
        Some(other) => {
            details.push(typed(other.clone()));
            free = Some(other);
        }
    }
    if !details.iter().any(|detail| type_of(detail) == Some(ERROR_INFO)) {
        let (reason, domain) = table::reason_and_domain(problem);
        let metadata = json!({"code": problem.code.to_string()});
        details.insert(0, json!({"@type": ERROR_INFO, "reason": reason, "domain": domain, "metadata": metadata}));
    }
    if !problem.fields.is_empty() && !details.iter().any(|detail| type_of(detail) == Some(BAD_REQUEST)) {
        let fields = problem.fields.iter();
        details.push(bad_request_json(fields.map(|field| (field.field.as_str(), field.description.as_str()))));
    }
    Shown { message, details, free }
}

pub(super) fn jsonrpc_error(problem: &Problem, version: Version) -> Value {
    let shown = show(problem);
    let usual = look(problem.kind()).codes(version).0;
    let code = match (version, problem.reported.as_deref()) {
        (Version::V1, Some(reported)) => reported.code,
        (Version::V03, Some(reported)) if is_known_to_v03(reported.code) => reported.code,
        _ => usual,
    };
    let data = match version {
        Version::V1 => Value::Array(shown.details),
        Version::V03 => shown.free.unwrap_or_else(|| as_one_object(shown.details)),
    };
    json!({"code": code, "message": shown.message, "data": data})
}

/// 0.3 clients in typed languages read `data` as an object: the ErrorInfo, with the other details inside it.
fn as_one_object(mut details: Vec<Value>) -> Value {
    let place = details.iter().position(|detail| type_of(detail) == Some(ERROR_INFO)).unwrap_or_default();
    let mut info = if place < details.len() { details.remove(place) } else { json!({}) };
    if let (Value::Object(info), false) = (&mut info, details.is_empty()) {
        info.insert("details".to_owned(), Value::Array(details));
    }
    info
}

pub(super) fn jsonrpc(problem: &Problem, version: Version, id: &[u8]) -> Bytes {
    let id = if id.is_empty() { b"null" } else { id };
    let mut response = Vec::with_capacity(256);
    response.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    response.extend_from_slice(id);
    response.extend_from_slice(br#","error":"#);
    response.extend_from_slice(jsonrpc_error(problem, version).to_string().as_bytes());
    response.push(b'}');
    response.into()
}

pub(super) fn http(problem: &Problem, version: Version) -> (u16, Bytes) {
    let shown = show(problem);
    let look = look(problem.kind());
    let (_, grpc, _) = look.codes(version);
    let status = table::http_status(problem, version);
    let error = json!({
        "code": status, "status": status_name(grpc), "message": shown.message, "details": shown.details,
    });
    let body = match version {
        Version::V1 => json!({"error": error}),
        Version::V03 => json!({"type": old_name(problem), "message": shown.message, "error": error}),
    };
    (status, body.to_string().into())
}

pub(super) fn grpc(problem: &Problem, version: Version) -> GrpcStatus {
    let shown = show(problem);
    let (_, code, _) = look(problem.kind()).codes(version);
    let message = match version {
        Version::V1 => shown.message.to_owned(),
        Version::V03 => format!("{}: {}", old_name(problem), shown.message),
    };
    let details = shown.details.iter().filter_map(to_any).collect();
    let status = Status { code: i32::from(code), message: message.clone(), details };
    GrpcStatus { code, message, details: status.encode_to_vec().into() }
}

/// The name by which 0.3 knows the error; two errors of 1.0 are unknown there and go by another one's.
fn old_name(problem: &Problem) -> &'static str {
    let look = look(problem.kind());
    if look.old.0 == look.rpc {
        return look.name;
    }
    table::LOOKS.iter().find(|other| other.standard && other.rpc == look.old.0).map_or(look.name, |other| other.name)
}
