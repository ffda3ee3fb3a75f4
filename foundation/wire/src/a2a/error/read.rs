//! Bindings → problems: what an agent reported.
//!
//! What concerns the connection rather than the call (refused credentials, overload, unavailability, a deadline) is
//! told in our own words; the agent's go to the log, for they may name inside addresses.

use bytes::Bytes;
use moongate_core::problem::Reported;
use moongate_core::{Code, Problem};
use prost::Message;
use serde_json::Value;

use super::any::{self, BAD_REQUEST, ERROR_INFO, type_of};
use super::table::{by_mqtt, by_name, by_reason, by_rpc, look};
use crate::a2a::grpc::rpc::Status;

/// What was read of an agent's error.
struct Told {
    code: Code,
    /// The JSON-RPC code, if the agent said one.
    rpc: Option<i64>,
    message: String,
    details: Option<Value>,
}

impl Told {
    fn into_problem(self) -> Problem {
        if is_about_the_connection(self.code) {
            let problem = Problem::new(self.code, self.code.title());
            return if self.message.is_empty() { problem } else { problem.inside(self.message) };
        }
        let message = if self.message.is_empty() { self.code.title().to_owned() } else { self.message };
        let rpc = self.rpc.unwrap_or_else(|| look(self.code.kind()).rpc);
        let mut problem = Problem::new(self.code, message.clone());
        for detail in self.details.iter().flat_map(each).filter(|detail| type_of(detail) == Some(BAD_REQUEST)) {
            for (field, description) in any::violations(detail) {
                problem = problem.field(field, description);
            }
        }
        let details = self.details.map(|details| Bytes::from(details.to_string()));
        problem.reported(Reported { code: rpc, message, details })
    }
}

fn is_about_the_connection(code: Code) -> bool {
    matches!(code, Code::AgentRefusedUs | Code::AgentOverloaded | Code::AgentUnreachable | Code::AgentTimeout)
}

/// Details as a sequence, be they a list or one thing.
fn each(details: &Value) -> impl Iterator<Item = &Value> {
    match details {
        Value::Array(list) => list.iter(),
        other => std::slice::from_ref(other).iter(),
    }
}

/// What the ErrorInfo among the details says; a2a's own word counts before others'.
fn reason(details: &Value) -> Option<Code> {
    let infos = || each(details).filter(|detail| type_of(detail) == Some(ERROR_INFO));
    let word = |info: &Value| by_reason(info.get("reason")?.as_str()?);
    let is_a2a = |info: &&Value| info.get("domain").and_then(Value::as_str) == Some(super::DOMAIN);
    infos().filter(is_a2a).find_map(word).or_else(|| infos().find_map(word))
}

pub(super) fn jsonrpc(error: &Value) -> Problem {
    let code = error.get("code").and_then(|code| code.as_i64().or_else(|| code.as_f64().map(|code| code as i64)));
    let Some(rpc) = code else {
        return Problem::new(Code::AgentGarbage, "the agent reported an error without a code").inside(error);
    };
    let data = error.get("data").filter(|data| !data.is_null());
    let mqtt = data.and_then(|data| data.get("a2a_error")).and_then(Value::as_str).and_then(by_mqtt);
    let code = mqtt.or_else(|| reason(data?)).or_else(|| by_rpc(rpc)).unwrap_or(Code::AgentFailed);
    Told { code, rpc: Some(rpc), message: text(error, "message"), details: data.cloned() }.into_problem()
}

pub(super) fn http(status: u16, body: &[u8]) -> Problem {
    let body = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    let Some(body) = body else { return bare_status(status) };
    let error = body.get("error").filter(|error| error.is_object()).unwrap_or(&body);
    let message = ["message", "detail", "title"].iter().map(|name| text(error, name)).find(|text| !text.is_empty());
    let message = message.or_else(|| body.get("error")?.as_str().map(str::to_owned)).unwrap_or_default();
    let details = error.get("details").or_else(|| error.get("data")).filter(|details| !details.is_null());
    let rpc = error.get("code").and_then(Value::as_i64).filter(|code| *code < 0);
    let code = details
        .and_then(reason)
        .or_else(|| by_name(body.get("type")?.as_str()?))
        .or_else(|| by_rpc(rpc?))
        .or_else(|| by_message(&message))
        .unwrap_or_else(|| by_status(status));
    Told { code, rpc, message, details: details.cloned() }.into_problem()
}

/// a2a-sdk 0.3 servers send nothing but a message, and these statuses: 404, 409, 415, 422, 501 and 502. Two pairs of
/// errors share one; their default messages tell them apart.
fn by_message(message: &str) -> Option<Code> {
    match message {
        "Push Notification is not supported" => Some(Code::PushNotOffered),
        "Authenticated Extended Card is not configured" => Some(Code::ExtendedCardNotOffered),
        _ => None,
    }
}

fn by_status(status: u16) -> Code {
    match status {
        401 | 403 | 407 => Code::AgentRefusedUs,
        404 => Code::TaskNotFound,
        405 | 501 => Code::NotOffered,
        408 | 504 => Code::AgentTimeout,
        409 => Code::TaskNotCancelable,
        413 => Code::BodyTooLarge,
        415 => Code::UnsupportedContentType,
        429 => Code::AgentOverloaded,
        502 => Code::AgentGarbage,
        503 => Code::AgentUnreachable,
        400..=499 => Code::InvalidParams,
        _ => Code::AgentFailed,
    }
}

/// An answer that is no JSON object comes from a web server or proxy, not from A2A code.
fn bare_status(status: u16) -> Problem {
    let code = match status {
        404 => Code::NotOffered,
        502 => Code::AgentUnreachable,
        400..=499 => by_status(status),
        503 | 504 => by_status(status),
        500..=599 => Code::AgentFailed,
        _ => Code::AgentGarbage,
    };
    if is_about_the_connection(code) {
        return Problem::new(code, code.title());
    }
    Problem::new(code, format!("the agent answered with HTTP status {status} and no explanation"))
}

pub(super) fn grpc(code: u8, message: &str, details: &[u8]) -> Problem {
    let status = Status::decode(details).ok();
    let details: Vec<Value> = status.iter().flat_map(|status| &status.details).map(any::from_any).collect();
    let details = if details.is_empty() { None } else { Some(Value::Array(details)) };
    // `TaskNotFoundError: no such task` is how 0.3 names the error.
    let named = message.split_once(": ").and_then(|(name, rest)| Some((by_name(name)?, rest)));
    let message = named.map_or(message, |(_, rest)| rest).to_owned();
    let code =
        details.as_ref().and_then(reason).or_else(|| named.map(|(code, _)| code)).unwrap_or_else(|| by_grpc(code));
    Told { code, rpc: None, message, details }.into_problem()
}

fn by_grpc(code: u8) -> Code {
    match code {
        1 => Code::AgentClosed,
        3 | 11 => Code::InvalidParams,
        4 => Code::AgentTimeout,
        5 => Code::TaskNotFound,
        7 | 16 => Code::AgentRefusedUs,
        8 => Code::AgentOverloaded,
        9 | 12 => Code::NotOffered,
        14 => Code::AgentUnreachable,
        _ => Code::AgentFailed,
    }
}

fn text(object: &Value, name: &str) -> String {
    object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
