//! A2A 0.3 (and 0.2.x) ⇄ 1.0, on whole JSON values.
//!
//! 0.3 has two wire forms: JSON with a `kind` discriminator, as JSON-RPC carries it ([`Style::Kind`]), and ProtoJSON of
//! the package `a2a.v1`, as its REST and gRPC bindings carry it ([`Style::Proto`]). Readers are generous: members in
//! camelCase and snake_case, states and roles of any spelling, and `kind` JSON where ProtoJSON was promised, because the
//! 0.3 SDK for JavaScript sends that on REST. Writers are exact.
//!
//! Rules (A2A 0.3.0 §4–§7, A2A 1.0 Appendix A; `a2a.compat.v0_3` of the Python SDK is the oracle of the tests):
//!
//! - What both versions can say is translated without loss, in both directions.
//! - What 0.3 cannot say travels under `metadata["https://w3id.org/moongate/a2a/1.0"]` of the same object and comes back
//!   on the return way; what 1.0 cannot say likewise under `…/a2a/0.3`. Objects without metadata pass unknown members on.
//! - What is malformed is a [`Problem`] that names the member: `InvalidParams` in requests, `AgentGarbage` in answers.
//!
//! Where we differ from a2a-sdk on purpose:
//!
//! - `final` is true at interrupted states too and on the last event, not at terminal states alone: 0.3 clients read on
//!   until they see it.
//! - `filename` and `mediaType` of text and data parts, `referenceTaskIds` in ProtoJSON and an unspecified role travel in
//!   metadata; the SDK drops them.
//! - Timestamps with any offset, or none, become UTC; the SDK refuses all but `Z` and `+00:00`.
//! - A push config without an id gets its task's id; the SDK leaves that to the store.
//! - `historyLength: 0` towards 0.3 becomes 1 (see [`cut_history`]); the SDK sends 0, which means "all" there.
//! - `authentication` that names neither scheme nor credentials is left out: 1.0 requires the scheme.
//! - What the SDK's models refuse or guess at (a state that does not exist, a part without content, base64 that is none)
//!   is refused with its path.
//! - Cards state versions as `Major.Minor` (the SDK copies `0.3.0`), split several OAuth flows into several schemes (the
//!   SDK keeps the last), keep `deviceCode` flows visible to 0.3 readers (the SDK drops them) and repeat the main address
//!   among `additionalInterfaces` (0.3.0 §5.6).
//!
//! What is left out because nothing on the other side could use it: the `tenant` towards 0.3 (the gateway has read it),
//! the `metadata` of 0.3's get, subscribe and push params, and all but the first of several push authentication schemes.
//!
//! Errors of both versions are `error`'s, cards are `card`'s, the decision which style a peer speaks is the gateway's.

mod baggage;
mod event;
mod fields;
mod message;
mod part;
mod push;
mod request;
mod task;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_core::{Operation, Problem};
use serde_json::{Map, Value};

use self::fields::At;
use super::card;

pub use baggage::{V1_KEY, V03_KEY};

/// The form of JSON that a 0.3 peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// With `kind` discriminators: JSON-RPC of 0.2.x and 0.3.
    Kind,
    /// ProtoJSON of `a2a.v1`: REST and gRPC of 0.2.x and 0.3.
    Proto,
}

impl Style {
    /// The style of a REST request's body: some clients send `kind` JSON there and expect it back.
    pub fn of_rest_body(body: &Value) -> Self {
        let message = body.get("message").or_else(|| body.get("request"));
        if message.is_some_and(message::is_kind_json) { Self::Kind } else { Self::Proto }
    }
}

/// Takes one layer of base64 off the file bytes of a ProtoJSON value.
///
/// `fileWithBytes` is a `bytes` field; the Python SDK keeps base64 *text* in it and we write it so, other readers take the
/// field at its word.
pub fn plain_file_bytes(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(text) if name == "fileWithBytes" => {
                        let inner =
                            STANDARD.decode(text.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                        if let Some(inner) = inner.filter(|inner| STANDARD.decode(inner.as_bytes()).is_ok()) {
                            *text = inner;
                        }
                    }
                    _ => plain_file_bytes(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain_file_bytes),
        _ => {}
    }
}

/// An event of a 0.3 stream.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyEvent {
    /// The event as a 1.0 `StreamResponse`.
    pub value: Value,
    /// Whether the agent said that the stream ends here.
    pub last: bool,
}

/// The params of a 0.3 request as 1.0 says them. `Null` params are empty ones.
///
/// # Errors
/// `InvalidParams` with the path of the member.
pub fn request_to_v1(operation: Operation, style: Style, params: Value) -> Result<Value, Problem> {
    request::to_v1(operation, params, At::request(style))
}

/// The params of a 1.0 request as 0.3 says them.
///
/// # Errors
/// `InvalidParams` with the path of the member.
pub fn request_from_v1(operation: Operation, style: Style, params: Value) -> Result<Value, Problem> {
    request::from_v1(operation, params, At::request(style))
}

/// The result of a unary 0.3 operation as 1.0 says it: `SendMessageResponse`, `Task`, `ListTasksResponse`,
/// `TaskPushNotificationConfig`, `ListTaskPushNotificationConfigsResponse`, `{}` or `AgentCard`.
///
/// # Errors
/// `AgentGarbage` with the path of the member.
pub fn result_to_v1(operation: Operation, style: Style, result: Value) -> Result<Value, Problem> {
    let at = At::answer(style);
    match operation {
        Operation::Send | Operation::Stream | Operation::Subscribe => {
            let value = event::to_v1(result, at)?.value;
            if value.get("task").is_none() && value.get("message").is_none() {
                return Err(at.wrong("must hold a task or a message"));
            }
            Ok(value)
        }
        Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume => task::to_v1(result, at),
        Operation::List => task::page(result, at, task::to_v1),
        Operation::PushCreate | Operation::PushGet => push::to_v1(result, at),
        Operation::PushList => push::list_to_v1(result, at),
        Operation::PushDelete => Ok(Value::Object(Map::new())),
        Operation::ExtendedCard => card::from_legacy_answer(result),
    }
}

/// The result of a unary 1.0 operation as 0.3 says it.
///
/// # Errors
/// `AgentGarbage` with the path of the member, also for a page of push configs that 0.3 cannot say to be one.
pub fn result_from_v1(operation: Operation, style: Style, result: Value) -> Result<Value, Problem> {
    let at = At::answer(style);
    match operation {
        Operation::Send | Operation::Stream | Operation::Subscribe => event::from_v1(result, at, false),
        Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume => task::from_v1(result, at),
        Operation::List => task::page(result, at, task::from_v1),
        Operation::PushCreate | Operation::PushGet => push::from_v1(result, at),
        Operation::PushList => push::list_from_v1(result, at),
        Operation::PushDelete if style == Style::Kind => Ok(Value::Null),
        Operation::PushDelete => Ok(Value::Object(Map::new())),
        Operation::ExtendedCard => Ok(match style {
            Style::Kind => card::to_v03(&result),
            Style::Proto => card::to_v03_proto(&result),
        }),
    }
}

/// An event of a 0.3 stream, or the body of a 0.3 push notification, as a 1.0 `StreamResponse`.
///
/// # Errors
/// `AgentGarbage` with the path of the member.
pub fn event_to_v1(style: Style, event: Value) -> Result<LegacyEvent, Problem> {
    event::to_v1(event, At::answer(style))
}

/// A 1.0 `StreamResponse` as an event of a 0.3 stream. `last` says that nothing follows.
///
/// # Errors
/// `AgentGarbage` with the path of the member.
pub fn event_from_v1(style: Style, event: Value, last: bool) -> Result<Value, Problem> {
    event::from_v1(event, At::answer(style), last)
}

/// Leaves the newest `length` messages in the history of a 1.0 task, alone or inside a `SendMessageResponse`.
///
/// For a request that said `historyLength: 0` and went to a 0.3 agent, which was asked for one message.
pub fn cut_history(result: &mut Value, length: usize) {
    let Some(mut holder) = result.as_object_mut() else { return };
    if holder.contains_key("task") {
        match holder.get_mut("task").and_then(Value::as_object_mut) {
            Some(task) => holder = task,
            None => return,
        }
    }
    let Some(Value::Array(history)) = holder.get_mut("history") else { return };
    history.drain(..history.len().saturating_sub(length));
    if history.is_empty() {
        holder.shift_remove("history");
    }
}
