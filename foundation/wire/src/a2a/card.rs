//! Agent cards: reading those of any version, writing ours.
//!
//! - [`parse`] takes a 1.0, 0.3, 0.2.x or merged card and gives one canonical 1.0 document, or says which members are
//!   wrong. It is strict about what routing and discovery rest on (a skill's `tags` are required) and forgiving where
//!   ProtoJSON printers leave empty lists out.
//! - [`write`](fn@write), [`merge_legacy`] and [`to_v03`] make the three cards that the gateway serves (A2A 1.0 §8, A2A
//!   0.3.0 §5).
//!
//! What a card says is not believed here: signatures are verified by `identity`, addresses judged by the egress guard.

mod interfaces;
mod old;
mod read;
mod report;
mod security;
pub mod signing;

use bytes::Bytes;
use moongate_core::scope::Demand;
use moongate_core::{Code, Problem};
use serde_json::{Map, Value};

use self::report::Report;
use super::{Binding, Version};
use crate::json;

/// The largest card that is read.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most skills that one card may list.
pub const MAX_SKILLS: usize = 1000;

/// What an agent says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The card as 1.0 has it, without signatures and without members that 1.0 does not know.
    pub document: Value,
    /// Where the agent can be reached, the preferred interface first.
    pub interfaces: Vec<Interface>,
    /// The agent's name.
    pub name: String,
    /// What it can do.
    pub skills: Vec<Skill>,
    /// Whether it streams.
    pub streaming: bool,
    /// Whether it sends push notifications.
    pub push: bool,
    /// Whether it has an extended card.
    pub extended: bool,
    /// URIs of the extensions that callers must support.
    pub required_extensions: Vec<String>,
    /// URIs of all extensions that it declares.
    pub extensions: Vec<String>,
    /// Whether the card carries signatures (which nobody has verified yet).
    pub signed: bool,
    /// Whether the card is of 0.x alone, without `supportedInterfaces`.
    pub legacy: bool,
}

/// One way to reach an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The address; `host:port` for gRPC.
    pub url: String,
    /// The binding; nothing if the binding, or its version, is not spoken here.
    pub binding: Option<Binding>,
    /// The version spoken there.
    pub version: Version,
    /// The tenant that requests must name.
    pub tenant: Option<String>,
}

/// One skill of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Skill {
    /// Its id, unique within the card.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Keywords.
    pub tags: Vec<String>,
    /// Example requests.
    pub examples: Vec<String>,
    /// Media types it takes, if not the card's defaults.
    pub input_modes: Vec<String>,
    /// Media types it gives, if not the card's defaults.
    pub output_modes: Vec<String>,
    /// The scopes that it demands of whoever uses it.
    pub demand: Demand,
    /// The whole skill as the canonical document has it.
    pub raw: Value,
}

/// Reads a card of any version.
///
/// # Errors
/// `CardInvalid`, with a field for each member that is wrong, as `skills[2].tags`.
pub fn parse(body: &[u8]) -> Result<Card, Problem> {
    if body.len() > MAX_BYTES {
        return Err(Problem::new(Code::CardInvalid, format!("the card is larger than {MAX_BYTES} bytes")));
    }
    json::check(body, &json::Limits::default()).map_err(|problem| Problem {
        code: Code::CardInvalid,
        blame: Code::CardInvalid.blame(),
        retry: Code::CardInvalid.retry(),
        ..problem
    })?;
    let value = serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::CardInvalid, format!("the card is not valid JSON: {error}")))?;
    read_value(value, Code::CardInvalid)
}

/// The answer of a 0.3 agent to "get extended card", as the canonical document.
///
/// # Errors
/// `AgentGarbage`, with a field for each member that is wrong.
pub(super) fn from_legacy_answer(card: Value) -> Result<Value, Problem> {
    read_value(card, Code::AgentGarbage).map(|card| card.document)
}

fn read_value(value: Value, code: Code) -> Result<Card, Problem> {
    let mut report = Report::default();
    let card = read::card(value, &mut report);
    match (card, report.faults.first()) {
        (Some(card), None) => Ok(card),
        (_, first) => {
            let detail = match first {
                Some(fault) if fault.field.is_empty() => format!("the card {}", fault.description),
                Some(fault) => format!("the card is not valid: {} {}", fault.field, fault.description),
                None => "the card is not valid".to_owned(),
            };
            let mut problem = Problem::new(code, detail);
            problem.fields = report.faults;
            Err(problem)
        }
    }
}

/// The bytes of a card, with every required member even where it is empty.
pub fn write(document: &Value) -> Bytes {
    let mut document = document.clone();
    if let Some(card) = document.as_object_mut() {
        for name in ["supportedInterfaces", "defaultInputModes", "defaultOutputModes", "skills"] {
            card.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        }
        for name in ["name", "description", "version"] {
            card.entry(name).or_insert_with(|| Value::from(""));
        }
        card.entry("capabilities").or_insert_with(|| Value::Object(Map::new()));
        let skills = card.get_mut("skills").and_then(Value::as_array_mut);
        for skill in skills.into_iter().flatten().filter_map(Value::as_object_mut) {
            skill.entry("tags").or_insert_with(|| Value::Array(Vec::new()));
        }
    }
    Bytes::from(document.to_string())
}

/// The document with the members that readers of 0.2.x and 0.3 look for: `url`, `preferredTransport`,
/// `additionalInterfaces`, `protocolVersion`, `security`, `supportsAuthenticatedExtendedCard`, and `type` in schemes.
pub fn merge_legacy(document: &Value) -> Value {
    old::merged(document)
}

/// The document as a card of 0.3 (JSON schema of 0.3.0).
pub fn to_v03(document: &Value) -> Value {
    old::json(document)
}

/// The document as a card of 0.3 in ProtoJSON of `a2a.v1`.
pub fn to_v03_proto(document: &Value) -> Value {
    Value::Object(old::proto(document))
}
