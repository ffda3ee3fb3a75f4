//! What an agent answered: the bytes as they came, and the result in canonical form.

use bytes::Bytes;
use moongate_core::{Code, Operation, Problem, TaskState};
use moongate_wire::a2a::{Binding, Dialect, Version, canonical, error, grpc, legacy};
use moongate_wire::json::Limits;
use moongate_wire::peek;
use serde_json::Value;

use super::outgoing::style;

/// What the gateway keeps in mind of an answer or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learned {
    /// A task.
    Task {
        /// The agent's id for it.
        id: Box<str>,
        /// The conversation.
        context: Option<Box<str>>,
        /// Its state.
        state: TaskState,
        /// The task object, canonical.
        document: Bytes,
    },
    /// A message; nothing lasts.
    Message {
        /// The conversation.
        context: Option<Box<str>>,
    },
    /// A status or artifact update.
    Update {
        /// The agent's id for the task.
        task: Box<str>,
        /// The state that it reports, if it does.
        state: Option<TaskState>,
    },
    /// Something else.
    Other,
}

/// One answer, or one event of a stream.
#[derive(Clone, Debug)]
pub struct Answer {
    /// As received: the HTTP body, the gRPC message, or the data of an SSE event; `None` if it may not go on unchanged.
    pub raw: Option<Bytes>,
    /// The result, canonical JSON.
    pub canonical: Bytes,
    /// What was learned.
    pub learned: Learned,
    /// The agent says that this is the stream's last event.
    pub last: bool,
}

/// Reads the payload of a whole answer; `sent` is the JSON-RPC id that the agent was given.
///
/// # Errors
/// The agent's own error, or `AgentGarbage`.
pub fn answer(
    dialect: Dialect,
    operation: Operation,
    sent: &[u8],
    raw: Bytes,
    limits: &Limits,
) -> Result<Answer, Problem> {
    let mut same = true;
    let canonical = match (dialect.binding, dialect.version) {
        (Binding::JsonRpc, Version::V1) => return rpc_v1(operation, sent, raw, limits),
        (Binding::JsonRpc, Version::V03) => {
            let result;
            (result, same) = rpc_result(sent, &raw, limits)?;
            to_v1(operation, dialect, result)?
        }
        (Binding::Http, Version::V1) => {
            if is_odd(&raw) {
                return mended(operation, parse(&raw, limits)?, limits);
            }
            let learned = learn(operation, &raw, limits)?;
            return Ok(Answer { canonical: raw.clone(), raw: Some(raw), learned, last: false });
        }
        (Binding::Http, Version::V03) => to_v1(operation, dialect, parse(&raw, limits)?)?,
        (Binding::Grpc, version) => {
            let value = grpc::decode_response(operation, version, &raw).map_err(garbage)?;
            if version == Version::V03 { to_v1(operation, dialect, value)? } else { value }
        }
    };
    let canonical = Bytes::from(serde_json::to_vec(&canonical).unwrap_or_default());
    let learned = learn(operation, &canonical, limits)?;
    Ok(Answer { raw: same.then_some(raw), canonical, learned, last: false })
}

/// Reads one event of a stream; `sent` is the JSON-RPC id that the agent was given.
///
/// # Errors
/// The agent's own error, or `AgentGarbage`.
pub fn event(dialect: Dialect, sent: &[u8], raw: Bytes, limits: &Limits) -> Result<Answer, Problem> {
    let mut same = true;
    let (value, last) = match (dialect.binding, dialect.version) {
        (Binding::JsonRpc, Version::V1) => return rpc_v1(Operation::Stream, sent, raw, limits),
        (Binding::Http, Version::V1) => {
            if is_odd(&raw) {
                return mended(Operation::Stream, parse(&raw, limits)?, limits);
            }
            let learned = learn(Operation::Stream, &raw, limits)?;
            return Ok(Answer { canonical: raw.clone(), raw: Some(raw), learned, last: false });
        }
        (Binding::Grpc, Version::V1) => (grpc::decode_event(Version::V1, &raw).map_err(garbage)?, false),
        (Binding::Grpc, Version::V03) => {
            let value = grpc::decode_event(Version::V03, &raw).map_err(garbage)?;
            legacy_event(dialect, value)?
        }
        (Binding::JsonRpc, Version::V03) => {
            let result;
            (result, same) = rpc_result(sent, &raw, limits)?;
            legacy_event(dialect, result)?
        }
        (Binding::Http, Version::V03) => legacy_event(dialect, parse(&raw, limits)?)?,
    };
    let canonical = Bytes::from(serde_json::to_vec(&value).unwrap_or_default());
    let learned = learn(Operation::Stream, &canonical, limits)?;
    Ok(Answer { raw: same.then_some(raw), canonical, learned, last })
}

fn legacy_event(dialect: Dialect, value: Value) -> Result<(Value, bool), Problem> {
    let event = legacy::event_to_v1(style(dialect.binding), value)?;
    Ok((event.value, event.last))
}

fn to_v1(operation: Operation, dialect: Dialect, value: Value) -> Result<Value, Problem> {
    legacy::result_to_v1(operation, style(dialect.binding), value)
}

fn rpc_v1(operation: Operation, sent: &[u8], raw: Bytes, limits: &Limits) -> Result<Answer, Problem> {
    let peeked = peek::answer_rpc(&raw, limits).map_err(garbage)?;
    if let Some(span) = peeked.error {
        return Err(reported(&span.of(&raw)));
    }
    let Some(result) = peeked.result else {
        return Err(Problem::new(Code::AgentGarbage, "the agent answered neither a result nor an error"));
    };
    let canonical = result.of(&raw);
    if is_odd(&canonical) {
        return mended(operation, parse(&canonical, limits)?, limits);
    }
    let learned = from_peek(operation, peeked.body, &raw)?;
    // A client must get back the id that it sent, whatever the agent makes of it.
    let same = peeked.id.bytes(&raw) == sent;
    Ok(Answer { raw: same.then_some(raw), canonical, learned, last: false })
}

/// Whether a timestamp is not in UTC as A2A demands (A2A 1.0 §5.6). Strict clients refuse such an answer whole, so it is
/// mended, although the bytes would else have passed.
fn is_odd(json: &[u8]) -> bool {
    const MEMBER: &[u8] = b"\"timestamp\"";
    memchr::memmem::find_iter(json, MEMBER).any(|at| {
        let rest = json.get(at + MEMBER.len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start).and_then(|rest| rest.strip_prefix(b"\""));
        let text = value.and_then(|value| value.split(|byte| *byte == b'"').next());
        text.is_some_and(|text| !text.ends_with(b"Z"))
    })
}

/// An answer in the spelling that A2A demands.
fn mended(operation: Operation, value: Value, limits: &Limits) -> Result<Answer, Problem> {
    let value = canonical::answer(operation, Version::V1, value)?;
    let canonical = Bytes::from(serde_json::to_vec(&value).unwrap_or_default());
    let learned = learn(operation, &canonical, limits)?;
    Ok(Answer { raw: None, canonical, learned, last: false })
}

/// The result, and whether it came under the id that was sent.
fn rpc_result(sent: &[u8], raw: &Bytes, limits: &Limits) -> Result<(Value, bool), Problem> {
    let peeked = peek::answer_rpc(raw, limits).map_err(garbage)?;
    if let Some(span) = peeked.error {
        return Err(reported(&span.of(raw)));
    }
    match peeked.result {
        Some(span) => Ok((parse(&span.of(raw), limits)?, peeked.id.bytes(raw) == sent)),
        None => Err(Problem::new(Code::AgentGarbage, "the agent answered neither a result nor an error")),
    }
}

fn reported(error_object: &[u8]) -> Problem {
    match serde_json::from_slice::<Value>(error_object) {
        Ok(value) => error::from_jsonrpc(&value),
        Err(cause) => Problem::new(Code::AgentGarbage, "the agent's error is not JSON").inside(cause),
    }
}

fn parse(raw: &Bytes, limits: &Limits) -> Result<Value, Problem> {
    moongate_wire::json::check(raw, limits).map_err(garbage)?;
    serde_json::from_slice(raw)
        .map_err(|cause| Problem::new(Code::AgentGarbage, "the agent's answer is not JSON").inside(cause))
}

fn learn(operation: Operation, canonical: &Bytes, limits: &Limits) -> Result<Learned, Problem> {
    let peeked = peek::answer_bare(canonical, limits, operation).map_err(garbage)?;
    from_peek(operation, peeked.body, canonical)
}

fn from_peek(operation: Operation, body: peek::Answer, whole: &Bytes) -> Result<Learned, Problem> {
    let learned = match body {
        peek::Answer::Task(task) => {
            Learned::Task { document: task.whole.of(whole), id: task.id.0, context: task.context_id, state: task.state }
        }
        peek::Answer::Message(message) => Learned::Message { context: message.context_id },
        peek::Answer::StatusUpdate(update) => Learned::Update { task: update.task_id.0, state: update.state },
        peek::Answer::ArtifactUpdate(update) => Learned::Update { task: update.task_id.0, state: None },
        peek::Answer::Other => Learned::Other,
    };
    let fits = match operation {
        Operation::Send => matches!(learned, Learned::Task { .. } | Learned::Message { .. }),
        Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume => {
            matches!(learned, Learned::Task { .. })
        }
        Operation::Stream | Operation::Subscribe => !matches!(learned, Learned::Other),
        _ => true,
    };
    if fits {
        Ok(learned)
    } else {
        Err(Problem::new(Code::AgentGarbage, "the agent's answer is not what A2A asks for"))
    }
}

/// Whatever was wrong with an agent's bytes is the agent's fault, and its details are for the log.
pub fn garbage(problem: Problem) -> Problem {
    if problem.reported.is_some() || problem.code == Code::AgentGarbage {
        return problem;
    }
    Problem::new(Code::AgentGarbage, "the agent's answer is not valid A2A").inside(problem)
}
