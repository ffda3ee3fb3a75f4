//! Answers: what an agent returned or streamed, as far as the index of tasks and the ids in it are concerned.
//!
//! The members of an answer decide what it is, in this order: `kind` (0.3), a wrapper (`task`, `message`,
//! `statusUpdate`, `artifactUpdate`: 1.0, and the 0.3 proto), `id` with `status` (a bare task). An answer that is two of
//! them at once would be read differently by different clients, and is refused as garbage.

use moongate_core::{Code, Operation, Problem, TaskState};

use super::names::{Seen, names};
use super::request::id;
use super::{Located, RpcId};
use crate::json::keys::Names;
use crate::json::scan::{Kind, Scan, Scanner};
use crate::json::{Fault, Limits, Span};

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerPeek {
    /// The id of a JSON-RPC response.
    pub id: RpcId,
    /// Where the error stands.
    pub error: Option<Span>,
    /// Where the result stands; the whole body if there is no envelope and no error.
    pub result: Option<Span>,
    /// Whether the result is a wrapper such as `{"task": …}`.
    pub wrapped: bool,
    /// What the result is.
    pub body: Answer,
}

/// What a result is.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A task.
    Task(TaskPeek),
    /// A message; nothing goes on afterwards.
    Message(MessagePeek),
    /// A task's state changed.
    StatusUpdate(UpdatePeek),
    /// A task made or continued an artifact.
    ArtifactUpdate(UpdatePeek),
    /// Something else: a list, a push config, a card, an error, nothing.
    Other,
}

/// A task in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskPeek {
    /// Its id.
    pub id: Located,
    /// Its conversation.
    pub context_id: Option<Box<str>>,
    /// Its state; `Unspecified` also for a state that we do not know.
    pub state: TaskState,
    /// Where the task stands.
    pub whole: Span,
    /// Every other place in it that holds a task's id: `taskId` and `referenceTaskIds` of its messages.
    pub mentions: Vec<Span>,
}

/// A message in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePeek {
    /// The task that it belongs to, if any.
    pub task_id: Option<Located>,
    /// Its conversation.
    pub context_id: Option<Box<str>>,
    /// Where the message stands.
    pub whole: Span,
    /// Its `referenceTaskIds`.
    pub mentions: Vec<Span>,
}

/// A status or artifact update.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatePeek {
    /// The task.
    pub task_id: Located,
    /// Its conversation.
    pub context_id: Option<Box<str>>,
    /// Its new state; only status updates have one.
    pub state: Option<TaskState>,
    /// `final` of 0.3: the stream ends here.
    pub is_final: bool,
    /// Where the update stands.
    pub whole: Span,
    /// Every other place in it that holds a task's id.
    pub mentions: Vec<Span>,
}

/// Looks at a JSON-RPC response, of 1.0 or 0.3.
///
/// # Errors
/// `AgentGarbage` if it is no response: not JSON, a member twice, no object, both or neither of `result` and `error`, a
/// task without an id.
pub fn answer_rpc(body: &[u8], limits: &Limits) -> Result<AnswerPeek, Problem> {
    let run = || {
        let mut scanner = Scanner::new(body, limits)?;
        let (mut rpc_id, mut error, mut result, mut seen) = (RpcId::Absent, None, None, Seen::default());
        scanner.object(Names::Exact, |scanner, key| {
            match seen.once(key)? {
                Some(Envelope::Id) => rpc_id = id(scanner)?,
                Some(Envelope::Error) => error = present(scanner)?,
                Some(Envelope::Result) => {
                    result = Some(match scanner.kind()? {
                        Kind::Object => members(scanner)?,
                        _ => Members { whole: scanner.value()?, ..Members::default() },
                    });
                }
                None => drop(scanner.value()?),
            }
            Ok(())
        })?;
        scanner.finish()?;
        match (error, result) {
            (Some(_), Some(result)) if result.whole.bytes(body) != b"null" => {
                Err(garbage("the response has a result and an error"))
            }
            (Some(error), _) => {
                Ok(AnswerPeek { id: rpc_id, error: Some(error), result: None, wrapped: false, body: Answer::Other })
            }
            (None, Some(result)) => {
                let whole = result.whole;
                let (wrapped, body) = result.decide(None)?;
                Ok(AnswerPeek { id: rpc_id, error: None, result: Some(whole), wrapped, body })
            }
            (None, None) => Err(garbage("the response has neither a result nor an error")),
        }
    };
    run().map_err(|fault| blame(&fault, body))
}

/// Looks at an answer without an envelope: the body or an event of HTTP+JSON, of 1.0 or 0.3, or a pushed event.
///
/// `operation` says what was asked: only sends and streams can return a wrapper, and lists, configs and cards are not
/// looked into.
///
/// # Errors
/// `AgentGarbage` as in [`answer_rpc`].
pub fn answer_bare(body: &[u8], limits: &Limits, operation: Operation) -> Result<AnswerPeek, Problem> {
    let run = || {
        let mut scanner = Scanner::new(body, limits)?;
        if scanner.kind()? != Kind::Object {
            return scanner.refuse(Code::AgentGarbage, "the answer is no JSON object");
        }
        let members = members(&mut scanner)?;
        scanner.finish()?;
        let none = AnswerPeek { id: RpcId::Absent, error: None, result: None, wrapped: false, body: Answer::Other };
        if let Some(error) = members.error
            && members.is_nothing_else()
        {
            return Ok(AnswerPeek { error: Some(error), ..none });
        }
        let result = Some(members.whole);
        let (wrapped, body) = match operation {
            Operation::Send
            | Operation::Stream
            | Operation::Subscribe
            | Operation::Get
            | Operation::Cancel
            | Operation::Pause
            | Operation::Resume => members.decide(Some(operation))?,
            _ => (false, Answer::Other),
        };
        Ok(AnswerPeek { result, wrapped, body, ..none })
    };
    run().map_err(|fault| blame(&fault, body))
}

names! { Envelope { Id = "id", Error = "error", Result = "result", } }

names! {
    /// Of a result, whatever it is: a wrapper, a task, a message, an update.
    Member {
        Kind = "kind",
        Task = "task",
        Message = "message" | "msg",
        StatusUpdate = "statusUpdate" | "status_update",
        ArtifactUpdate = "artifactUpdate" | "artifact_update",
        Id = "id",
        TaskId = "taskId" | "task_id",
        ContextId = "contextId" | "context_id",
        Status = "status",
        Final = "final",
        History = "history",
        References = "referenceTaskIds" | "reference_task_ids",
        Error = "error",
    }
}

names! { Status { State = "state", Message = "message" | "update", } }

names! { Spoken { TaskId = "taskId" | "task_id", References = "referenceTaskIds" | "reference_task_ids", } }

/// The members of a result, before it is known what the result is.
#[derive(Debug, Default)]
struct Members {
    whole: Span,
    kind: Option<Box<str>>,
    inside: Vec<(Member, Members)>,
    id: Option<Located>,
    task_id: Option<Located>,
    context_id: Option<Box<str>>,
    status: bool,
    state: Option<TaskState>,
    last: bool,
    error: Option<Span>,
    mentions: Vec<Span>,
}

fn members(scanner: &mut Scanner<'_>) -> Scan<Members> {
    read(scanner, true)
}

fn read(scanner: &mut Scanner<'_>, outermost: bool) -> Scan<Members> {
    let mut known = Members::default();
    let mut seen = Seen::default();
    known.whole = scanner.object(Names::Exact, |scanner, key| {
        let Some(member) = seen.once::<Member>(key)? else { return scanner.value().map(drop) };
        match member {
            Member::Kind => known.kind = string(scanner)?.map(|(text, _)| text),
            Member::Task | Member::Message | Member::StatusUpdate | Member::ArtifactUpdate => {
                if outermost && scanner.kind()? == Kind::Object {
                    known.inside.push((member, read(scanner, false)?));
                } else {
                    scanner.value()?;
                }
            }
            Member::Id => known.id = string(scanner)?,
            Member::TaskId => known.task_id = string(scanner)?,
            Member::ContextId => known.context_id = string(scanner)?.map(|(text, _)| text),
            Member::Status => known.status(scanner)?,
            Member::Final => {
                known.last = scanner.kind()? == Kind::True;
                scanner.value()?;
            }
            Member::History => known.history(scanner)?,
            Member::References => mentions(scanner, &mut known.mentions)?,
            Member::Error => {
                let object = scanner.kind()? == Kind::Object;
                known.error = Some(scanner.value()?).filter(|_| object);
            }
        }
        Ok(())
    })?;
    Ok(known)
}

impl Members {
    fn status(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if scanner.kind()? != Kind::Object {
            return scanner.value().map(drop);
        }
        self.status = true;
        let mut seen = Seen::default();
        let body = scanner.source();
        let span = scanner.object(Names::Exact, |scanner, key| {
            match seen.once(key)? {
                Some(Status::State) => {
                    self.state = Some(match scanner.kind()? {
                        Kind::String => state(&scanner.string()?.read()),
                        _ => state(scanner.value()?.as_str(body.as_bytes())),
                    });
                }
                Some(Status::Message) => spoken(scanner, &mut self.mentions)?,
                None => drop(scanner.value()?),
            }
            Ok(())
        });
        span.map(drop)
    }

    fn history(&mut self, scanner: &mut Scanner<'_>) -> Scan<()> {
        if scanner.kind()? != Kind::Array {
            return scanner.value().map(drop);
        }
        scanner.array(|scanner| spoken(scanner, &mut self.mentions)).map(drop)
    }

    fn is_nothing_else(&self) -> bool {
        self.kind.is_none() && self.inside.is_empty() && self.id.is_none() && !self.status
    }

    /// What the members make together, and whether it is wrapped. `operation` is known where there is no envelope.
    fn decide(mut self, operation: Option<Operation>) -> Scan<(bool, Answer)> {
        let wants_task =
            matches!(operation, Some(Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume));
        let bare_task = self.id.is_some() && self.status;
        let wrapper = self.inside.pop();
        if wrapper.is_some() && (!self.inside.is_empty() || self.kind.is_some() || bare_task) {
            return Err(garbage("the result is two things at once"));
        }
        if let Some((member, inside)) = wrapper {
            if wants_task {
                return Err(garbage("the result is no task"));
            }
            return Ok((true, inside.become_a(member)?));
        }
        let answer = match self.kind.as_deref() {
            Some("task") => self.become_a(Member::Task)?,
            Some("message") if !wants_task => self.become_a(Member::Message)?,
            Some("status-update") if !wants_task => self.become_a(Member::StatusUpdate)?,
            Some("artifact-update") if !wants_task => self.become_a(Member::ArtifactUpdate)?,
            None if bare_task => self.become_a(Member::Task)?,
            _ if wants_task => return Err(garbage("the result is no task")),
            _ => Answer::Other,
        };
        Ok((false, answer))
    }

    fn become_a(self, member: Member) -> Scan<Answer> {
        let Self { whole, id, task_id, context_id, status, state, last, mentions, .. } = self;
        let state = state.unwrap_or(TaskState::Unspecified);
        Ok(match member {
            Member::Task => {
                let id = id.ok_or_else(|| garbage("the task has no id"))?;
                Answer::Task(TaskPeek { id, context_id, state, whole, mentions })
            }
            Member::StatusUpdate | Member::ArtifactUpdate => {
                let task_id = task_id.ok_or_else(|| garbage("the update names no task"))?;
                let state = (member == Member::StatusUpdate && status).then_some(state);
                let update = UpdatePeek { task_id, context_id, state, is_final: last, whole, mentions };
                if member == Member::StatusUpdate {
                    Answer::StatusUpdate(update)
                } else {
                    Answer::ArtifactUpdate(update)
                }
            }
            _ => Answer::Message(MessagePeek { task_id, context_id, whole, mentions }),
        })
    }
}

/// A string that names something; an empty one, and any other value, is none.
fn string(scanner: &mut Scanner<'_>) -> Scan<Option<Located>> {
    if scanner.kind()? != Kind::String {
        return scanner.value().map(|_| None);
    }
    let text = scanner.string()?;
    Ok((!text.raw.is_empty()).then(|| (text.read().into(), text.span())))
}

/// A value unless it is `null`.
fn present(scanner: &mut Scanner<'_>) -> Scan<Option<Span>> {
    let null = scanner.kind()? == Kind::Null;
    Ok(Some(scanner.value()?).filter(|_| !null))
}

/// A message inside a task.
fn spoken(scanner: &mut Scanner<'_>, found: &mut Vec<Span>) -> Scan<()> {
    if scanner.kind()? != Kind::Object {
        return scanner.value().map(drop);
    }
    let mut seen = Seen::default();
    let span = scanner.object(Names::Exact, |scanner, key| match seen.once(key)? {
        Some(Spoken::TaskId) => mention(scanner, found),
        Some(Spoken::References) => mentions(scanner, found),
        None => scanner.value().map(drop),
    });
    span.map(drop)
}

fn mentions(scanner: &mut Scanner<'_>, found: &mut Vec<Span>) -> Scan<()> {
    if scanner.kind()? != Kind::Array {
        return scanner.value().map(drop);
    }
    scanner.array(|scanner| mention(scanner, found)).map(drop)
}

fn mention(scanner: &mut Scanner<'_>, found: &mut Vec<Span>) -> Scan<()> {
    let string = scanner.kind()? == Kind::String;
    let span = scanner.value()?;
    if string && span.len() > 2 {
        found.push(span);
    }
    Ok(())
}

/// The state of any dialect's name or number.
fn state(name: &str) -> TaskState {
    match name {
        "TASK_STATE_SUBMITTED" | "submitted" | "1" => TaskState::Submitted,
        "TASK_STATE_WORKING" | "working" | "2" => TaskState::Working,
        "TASK_STATE_COMPLETED" | "completed" | "3" => TaskState::Completed,
        "TASK_STATE_FAILED" | "failed" | "4" => TaskState::Failed,
        "TASK_STATE_CANCELED" | "TASK_STATE_CANCELLED" | "canceled" | "5" => TaskState::Canceled,
        "TASK_STATE_INPUT_REQUIRED" | "input-required" | "6" => TaskState::InputRequired,
        "TASK_STATE_REJECTED" | "rejected" | "7" => TaskState::Rejected,
        "TASK_STATE_AUTH_REQUIRED" | "auth-required" | "8" => TaskState::AuthRequired,
        _ => TaskState::Unspecified,
    }
}

fn garbage(what: &'static str) -> Box<Fault> {
    Box::new(Fault::Shape(Code::AgentGarbage, what))
}

/// Whatever is wrong with an answer is the agent's fault.
fn blame(fault: &Fault, body: &[u8]) -> Problem {
    let mut problem = fault.problem(body);
    problem.fields.clear();
    Problem { detail: problem.detail, ..Problem::new(Code::AgentGarbage, "") }
}
