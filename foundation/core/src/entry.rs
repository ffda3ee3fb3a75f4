//! One line of the record: who asked whom for what, how it ended, when and at what cost (draft, *Security
//! Considerations*: source, target, operation, result, timestamp).

use std::sync::Arc;
use std::time::Duration;

use crate::envelope::{Listener, Operation};
use crate::ids::RequestId;
use crate::problem::Code;
use crate::time::Time;

/// What the stage *record* writes when a request has ended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The request.
    pub request: RequestId,
    /// Source: the principal's id.
    pub source: Arc<str>,
    /// Source: its trust domain.
    pub domain: Arc<str>,
    /// Target: the agent, or `-` when the gateway answered or refused.
    pub target: Arc<str>,
    /// Target: the instance, or `-`.
    pub instance: Arc<str>,
    /// The operation.
    pub operation: Operation,
    /// The listener that it came by.
    pub listener: Listener,
    /// `done`, `stream`, `accepted` or `failed`.
    pub result: &'static str,
    /// The problem's code, if it failed.
    pub code: Option<Code>,
    /// The rule of routing that decided.
    pub rule: Arc<str>,
    /// When it arrived.
    pub at: Time,
    /// How long it took until the answer, or the stream's first event, was ready.
    pub took: Duration,
}
