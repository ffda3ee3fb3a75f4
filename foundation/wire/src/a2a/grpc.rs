//! The gRPC binding (A2A 1.0 §10, and `a2a.v1` of 0.3): messages ⇄ proto-JSON, frames, and the status.
//!
//! Two small codecs led by the schema table, instead of generated types that would have to be corrected on both sides:
//! type generators leave out REQUIRED members that hold a default, lose a `data` part that is `null`, write moments
//! with `+00:00` and whole numbers as `1.0`, and refuse `null` for an absent list. The generated prost types serve as
//! the measure in the tests.
//!
//! - A 1.0 value is canonical JSON; a 0.3 value is the ProtoJSON of `a2a.v1` (`content`, `TASK_STATE_CANCELLED`, …).
//! - Reading JSON: both spellings of a member, enums by name or number, unknown members left out.
//! - Writing JSON: camelCase in the order of the proto file, REQUIRED members always.

mod decode;
mod encode;
mod frame;
mod header;
pub(crate) mod rpc;

use bytes::Bytes;
use moongate_core::{Code, Operation, Problem};
use serde_json::Value;

use super::Version;
use super::operation::{Messages, messages};
use super::place::{Fault, Place};
use super::scalar;
use super::schema::Message;

pub(crate) use decode::{any as decode_value, members as decode_struct};
pub(crate) use encode::{any as encode_value, members as encode_struct};
pub use frame::{Deframer, frame};
pub use header::{read_status_details, read_status_message, status_details, status_message};

/// How deep messages and JSON values may nest.
pub(crate) const DEPTH: u32 = 100;

/// Reads a request.
///
/// # Errors
/// [`Code::MalformedFrame`] if the bytes are no such message, [`Code::NotOffered`] if the version has no such rpc.
pub fn decode_request(operation: Operation, version: Version, message: &[u8]) -> Result<Value, Problem> {
    let schema = of(operation, version)?.request;
    decode(schema, message).map_err(|fault| problem(Code::MalformedFrame, schema, &fault))
}

/// Writes a request.
///
/// # Errors
/// [`Code::InvalidParams`] that names the member that does not fit.
pub fn encode_request(operation: Operation, version: Version, value: &Value) -> Result<Bytes, Problem> {
    let schema = of(operation, version)?.request;
    encode(schema, value).map_err(|fault| {
        let problem = problem(Code::InvalidParams, schema, &fault);
        if fault.place.is_empty() { problem } else { problem.field(fault.place, fault.what) }
    })
}

/// Reads the answer of a unary rpc.
///
/// # Errors
/// [`Code::AgentGarbage`] if the bytes are no such message.
pub fn decode_response(operation: Operation, version: Version, message: &[u8]) -> Result<Value, Problem> {
    let schema = of(operation, version)?.answer;
    decode(schema, message).map_err(|fault| problem(Code::AgentGarbage, schema, &fault))
}

/// Writes the answer of a unary rpc.
///
/// # Errors
/// [`Code::AgentGarbage`] that names the member that does not fit.
pub fn encode_response(operation: Operation, version: Version, value: &Value) -> Result<Bytes, Problem> {
    let schema = of(operation, version)?.answer;
    encode(schema, value).map_err(|fault| problem(Code::AgentGarbage, schema, &fault))
}

/// Reads one event of a stream.
///
/// # Errors
/// [`Code::AgentGarbage`] if the bytes are no `StreamResponse`.
pub fn decode_event(version: Version, message: &[u8]) -> Result<Value, Problem> {
    decode_response(Operation::Stream, version, message)
}

/// Writes one event of a stream.
///
/// # Errors
/// [`Code::AgentGarbage`] that names the member that does not fit.
pub fn encode_event(version: Version, value: &Value) -> Result<Bytes, Problem> {
    encode_response(Operation::Stream, version, value)
}

fn of(operation: Operation, version: Version) -> Result<Messages, Problem> {
    messages(operation, version).ok_or_else(|| {
        let detail = format!("A2A {} has no rpc for `{}`", version.as_str(), operation.as_str());
        Problem::new(Code::NotOffered, detail)
    })
}

fn decode(schema: &'static Message, message: &[u8]) -> Result<Value, Fault> {
    decode::message(schema, message, &Place::Root, 0).map(Value::Object)
}

fn encode(schema: &'static Message, value: &Value) -> Result<Bytes, Fault> {
    let mut out = Vec::new();
    encode::message(schema, scalar::object(value, &Place::Root)?, &Place::Root, 0, &mut out)?;
    Ok(out.into())
}

fn problem(code: Code, schema: &Message, fault: &Fault) -> Problem {
    let place = if fault.place.is_empty() { "it" } else { &fault.place };
    Problem::new(code, format!("the {} cannot be translated: {place} {}", schema.name, fault.what))
}

#[cfg(test)]
mod tests;
