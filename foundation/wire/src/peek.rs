//! One look at a body: checks it, and learns the few members that routing and policy need.
//!
//! A peek replaces parsing. It accepts what [`crate::json::check`] accepts, copies only the short strings that it is
//! asked for, and tells where they stand ([`Span`]), so that the original bytes can be forwarded with at most an id
//! exchanged ([`crate::splice`]). A body is peeked once.
//!
//! *What was authorised is what is forwarded.* Agents are written in many languages whose JSON readers differ, so a
//! request is refused when two readers could see different values for something that was judged here:
//!
//! - a member twice, in whatever escaping (any object);
//! - in the objects whose members are judged, two names that differ only in case or underscores (`taskId`, `task_id`;
//!   ProtoJSON readers take both), or two names of one thing (`message`, and `request` of the 0.3 proto);
//! - there too, a single member such as `TaskID` that this peek does not take for `taskId` but Go's reader does.
//!
//! Requests may be of any dialect (1.0, 0.3 with `kind`, 0.3 ProtoJSON): the members looked for have the same names or
//! are known by all of them. `null`, and `""` for an id, count as absent, as in ProtoJSON. What is well-formed but
//! wrong (`"taskId": 5`, too many parts) does not stop the peek: it is kept in [`Params::wrong`], so that the answer can
//! still carry the request's id.
//!
//! Answers are looked at the same way, except that spellings nobody asked for are the agent's business.

mod answer;
mod frame;
mod names;
mod request;
#[cfg(test)]
mod tests;

use moongate_core::{Operation, Problem};

pub use crate::json::{Limits, Span};
pub use answer::{Answer, AnswerPeek, MessagePeek, TaskPeek, UpdatePeek, answer_bare, answer_rpc};
pub use frame::{Frame, PARAMETERS, frame};
pub use request::{params, request};

/// The extension by which a message names the skill that it wants; a key of `message.metadata`.
pub const SKILL_ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// How much of a message's text a peek keeps.
pub const TEXT_BYTES: usize = 4096;

/// A string, unescaped, and where its value stands (quotes included).
pub type Located = (Box<str>, Span);

/// The `id` of a JSON-RPC object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RpcId {
    /// There is none: a notification, which A2A does not know.
    #[default]
    Absent,
    /// A string, a number or `null`, to be given back as it stands.
    Raw(Span),
}

impl RpcId {
    /// The id as it goes into an answer; `null` if there is none.
    pub fn bytes(self, body: &[u8]) -> &[u8] {
        match self {
            Self::Absent => b"null",
            Self::Raw(span) => span.bytes(body),
        }
    }
}

/// What a JSON-RPC request says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestPeek {
    /// Whether `jsonrpc` is `"2.0"`.
    pub jsonrpc_ok: bool,
    /// Its id.
    pub id: RpcId,
    /// The method, unescaped.
    pub method: Option<Box<str>>,
    /// Where the parameters stand, if they are an object.
    pub params: Option<Span>,
    /// What they say.
    pub members: Params,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `ROLE_USER`, `user` or 1.
    User,
    /// `ROLE_AGENT`, `agent` or 2.
    Agent,
}

/// What a message asks of routing, under [`SKILL_ROUTING`] in its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// The skill wanted.
    pub skill_id: Option<Box<str>>,
    /// The zone wanted.
    pub zone: Option<Box<str>>,
    /// Further labels, in the order of the message.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Wants to be matched by what the text says.
    pub intent: bool,
}

/// What the parameters of any operation say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// `tenant`.
    pub tenant: Option<Located>,
    /// `id`: the task in most operations, the config in those on push configs of 1.0. See [`Self::task`].
    pub id: Option<Located>,
    /// `taskId` beside `id`, in operations on push configs.
    pub task_id: Option<Located>,
    /// `name` or `parent` of the 0.3 proto: `tasks/{id}…`.
    pub name: Option<Located>,
    /// Where the message stands.
    pub message: Option<Span>,
    /// `message.taskId`.
    pub message_task_id: Option<Located>,
    /// `message.contextId`.
    pub message_context_id: Option<Located>,
    /// Whether `message.messageId` is there and not empty.
    pub message_id_present: bool,
    /// `message.referenceTaskIds`.
    pub reference_task_ids: Vec<Located>,
    /// `message.role`.
    pub role: Option<Role>,
    /// How many parts the message has.
    pub parts: u32,
    /// What the message asks of routing.
    pub routing: Option<Routing>,
    /// Where the inline push config stands (`configuration.taskPushNotificationConfig` and its older names).
    pub push_config: Option<Span>,
    /// `configuration.returnImmediately`.
    pub return_immediately: Option<bool>,
    /// `configuration.blocking` of 0.3.
    pub blocking: Option<bool>,
    /// `configuration.historyLength`, or `historyLength` of a query.
    pub history_length: Option<i64>,
    /// The first [`TEXT_BYTES`] of the text parts, a line each; only if it was asked for.
    pub text: Option<Box<str>>,
    /// What is well-formed but wrong, with every member that is.
    pub wrong: Option<Box<Problem>>,
}

impl Params {
    /// The task that `operation` is about, as far as the parameters name one.
    pub fn task(&self, operation: Operation) -> Option<&Located> {
        match operation {
            Operation::Send | Operation::Stream => self.message_task_id.as_ref(),
            Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume | Operation::Subscribe => {
                self.id.as_ref().or(self.name.as_ref())
            }
            Operation::PushCreate | Operation::PushGet | Operation::PushList | Operation::PushDelete => {
                self.task_id.as_ref().or(self.id.as_ref()).or(self.name.as_ref())
            }
            Operation::List | Operation::ExtendedCard => None,
        }
    }

    /// Fails if something is wrong with the parameters.
    ///
    /// # Errors
    /// `InvalidParams` or `TooManyParts`, with the members that are wrong.
    pub fn accepted(&self) -> Result<(), Problem> {
        self.wrong.as_ref().map_or(Ok(()), |problem| Err((**problem).clone()))
    }
}
