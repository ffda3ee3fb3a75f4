//! One line of the record: who asked whom for what, how it ended, when and at what cost (draft, *Security
//! Considerations*: source, target, operation, result, timestamp).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::envelope::{Listener, Operation};
use crate::ids::{RequestId, SkillId, TaskId};
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
    /// Source: the address that it came from.
    pub address: IpAddr,
    /// Target: the agent, or `-` when the gateway answered or refused.
    pub target: Arc<str>,
    /// Target: the instance, or `-`.
    pub instance: Arc<str>,
    /// Target: the skill, if one was resolved.
    pub skill: Option<SkillId>,
    /// The task that it named, or that came of it.
    pub task: Option<TaskId>,
    /// The operation.
    pub operation: Operation,
    /// The listener that it came by.
    pub listener: Listener,
    /// `done`, `stream`, `accepted`, `failed`, or `abandoned` if its caller went away before.
    pub result: &'static str,
    /// The problem's code, if it failed.
    pub code: Option<Code>,
    /// The rule of routing that decided.
    pub rule: Arc<str>,
    /// The rule of policy that let it pass, or `-`.
    pub cleared_by: Arc<str>,
    /// The line that was durable before it was carried out, if policy calls it sensitive.
    pub intent: Option<Intent>,
    /// When it arrived.
    pub at: Time,
    /// How long it took until the answer, or the stream's first event, was ready.
    pub took: Duration,
}

/// Names a line that was durable before its effect: the line that says how it ended refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Intent(pub u64);

/// What is no request to a gateway, and belongs in the record all the same: an operator's action, a sign-in, a token that
/// was given or taken back, a configuration that was taken over.
#[derive(Clone, Debug)]
pub struct Deed {
    /// What was done, as `config.reload` or `POST /api/v1/agents`.
    pub operation: Cow<'static, str>,
    /// Who did it, or `-` where nobody is known.
    pub source: Arc<str>,
    /// That one's trust domain, or `-`.
    pub domain: Arc<str>,
    /// The address that it came from, if it came from one.
    pub address: Option<IpAddr>,
    /// What it was done to, or `-`.
    pub target: Arc<str>,
    /// `done`, `failed`, or `intended` before it is done.
    pub result: &'static str,
    /// The problem's code, if it failed.
    pub code: Option<Code>,
    /// A few words more, never a secret.
    pub detail: Option<Arc<str>>,
    /// The question for people that it is about.
    pub about: Option<About>,
    /// The line that was durable before it was done.
    pub intent: Option<Intent>,
    /// When.
    pub at: Time,
}

/// A question for people, as lines speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The question's id.
    pub approval: Arc<str>,
    /// The skill that it is about, if one is known.
    pub skill: Option<Arc<str>>,
    /// The task that waits for it, or that it is about.
    pub task: Arc<str>,
}

/// One line of the record.
#[derive(Clone, Debug)]
pub enum Line {
    /// A request that ended, or that is about to be carried out.
    Request(Entry, Option<[u8; 16]>),
    /// Anything else.
    Deed(Deed),
}

/// Who a request turned out to be from, as the one who answered it made sure of: a member of its answer's extensions, which is
/// what a line of the record believes. What a request says of itself is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By(pub Arc<str>);

/// The operation of a deed that was none: a request that was refused before anybody knew what it wants, or from whom it is.
pub const REFUSED: &str = "request.refused";
