//! One A2A request as this gateway understands it, whatever binding and version it came by.
//!
//! The request is kept twice: as received (so that an agent of the same dialect gets the very bytes) and as canonical
//! A2A 1.0 JSON (so that everybody else can be served). For the common dialects the second is a slice of the first.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use moongate_core::{AgentName, Code, Operation, Problem};
use moongate_wire::a2a::legacy::Style;
use moongate_wire::a2a::{Binding, Dialect, Version};
use moongate_wire::peek;
use serde_json::Value;

use crate::tasks::{Row, push};

/// Our extension by which a client names a skill (`docs/reference/extensions/skill-routing.md`).
pub const SKILL_ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// The service parameters of a request (A2A 1.0 §3.2.6).
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// URIs that the client activates.
    pub extensions: Vec<String>,
    /// Whether answers are typed `application/a2a+json`.
    pub a2a_json: bool,
}

/// A decoded request.
#[derive(Clone, Debug)]
pub struct Call {
    /// How the client speaks.
    pub dialect: Dialect,
    /// Which of the older JSON forms it writes, if it is of that age.
    pub style: Style,
    /// What it wants.
    pub operation: Operation,
    /// The JSON-RPC id, raw; `null` in other bindings.
    pub rpc_id: Bytes,
    /// The payload as received: the JSON text, or the gRPC message without its frame. Empty where the request had none.
    pub body: Bytes,
    /// Whether `body` may go to an agent of the same dialect unchanged.
    pub verbatim: bool,
    /// The request in canonical form.
    pub canonical: Bytes,
    /// What a peek at the canonical form learned.
    pub peek: peek::Params,
    /// Service parameters.
    pub service: Service,
    /// The draft's `POST /tasks`: answers at once, always with a task.
    pub draft: bool,
    /// How many gateways it has passed.
    pub hops: u16,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The agent whose own address was used; the draft's task creation names it in `Location`.
    pub base: Option<AgentName>,
    /// What the caller wants of the task beyond A2A.
    pub wishes: Wishes,
    /// The task that the request is about, held in memory while the request lasts.
    pub recalled: OnceLock<Arc<Row>>,
}

/// What a caller wants of a task beyond A2A, by header.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `Idempotency-Key`: a request that comes again with the same key is answered with the same task.
    pub idempotency: Option<String>,
    /// `Moongate-Priority`: the urgency in the queue, 0 to 9, 0 first.
    pub priority: Option<u8>,
    /// `Last-Event-ID`: the number of the last event that the caller has of the task.
    pub from: Option<u64>,
}

/// The longest idempotency key.
const LONGEST_KEY: usize = 255;

impl Wishes {
    /// Reads them.
    ///
    /// # Errors
    /// `InvalidParams` for what cannot be meant.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let wrong = |name: &'static str, why: &'static str| {
            Problem::new(Code::InvalidParams, format!("the header {name} {why}")).field(name, why)
        };
        let idempotency = match text("idempotency-key") {
            None => None,
            Some(key) if key.is_empty() || key.len() > LONGEST_KEY => {
                return Err(wrong("Idempotency-Key", "has no text, or more than 255 characters"));
            }
            Some(key) => Some(key.to_owned()),
        };
        let priority = match text("moongate-priority") {
            None => None,
            Some(text) => match text.parse::<u8>() {
                Ok(priority) if priority <= 9 => Some(priority),
                _ => return Err(wrong("Moongate-Priority", "is no number from 0 (first) to 9")),
            },
        };
        let from = match text("last-event-id") {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| wrong("Last-Event-ID", "is no event number of a task"))?),
        };
        Ok(Self { idempotency, priority, from })
    }
}

impl Call {
    /// The canonical request as a value.
    ///
    /// # Errors
    /// Never for a request that the endpoint has let in; kept as an error because the bytes came from outside.
    pub fn value(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.canonical)
            .map_err(|error| Problem::new(Code::BodyNotJson, format!("the request is not JSON: {error}")))
    }

    /// The canonical request as a task's record keeps it: without the push config and its credentials.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn recorded(&self) -> Result<Bytes, Problem> {
        if self.peek.push_config.is_none() {
            return Ok(self.canonical.clone());
        }
        let mut params = self.value()?;
        push::take_inline(&mut params);
        Ok(params.to_string().into())
    }

    /// Whether the caller wants a task at once rather than its result.
    pub fn return_immediately(&self) -> bool {
        self.peek.return_immediately.unwrap_or(self.draft)
    }

    /// The urgency of the task that the request makes.
    pub fn priority(&self) -> u8 {
        self.wishes.priority.unwrap_or(moongate_core::task::PRIORITY)
    }

    /// The headers as rules see them.
    pub fn rule_headers(&self) -> Vec<(&str, &str)> {
        self.headers
            .iter()
            .filter(|(name, _)| **name != http::header::AUTHORIZATION && **name != http::header::COOKIE)
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect()
    }

    /// Whether the client reads file bytes of the older dialect's ProtoJSON as its proto has them, without the base64 text
    /// that Python's SDK puts inside. Nothing in the request tells but the user agent.
    pub fn reads_plain_bytes(&self) -> bool {
        let agent =
            self.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let proto = self.dialect.version == Version::V03 && self.style == Style::Proto;
        proto && !agent.contains("python")
    }

    /// Whether the client speaks the older dialect over gRPC, which has rules of its own.
    pub fn is_legacy_grpc(&self) -> bool {
        self.dialect == Dialect { binding: Binding::Grpc, version: Version::V03 }
    }
}
