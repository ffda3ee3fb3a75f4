//! Tasks, their status, artifacts and lists of tasks.

use moongate_core::{Problem, TaskState};
use serde_json::{Map, Value};

use super::baggage::{Shape, Way, settle};
use super::fields::{At, Fields, Put, each};
use super::{Style, message, part};
use crate::a2a::timestamp;

const TASK: Shape = Shape {
    v1: &["id", "contextId", "status", "artifacts", "history", "metadata"],
    v03: &["kind", "id", "contextId", "status", "artifacts", "history", "metadata"],
    only_v1: &[],
};

const ARTIFACT: Shape = Shape {
    v1: &["artifactId", "name", "description", "parts", "metadata", "extensions"],
    v03: &["artifactId", "name", "description", "parts", "metadata", "extensions"],
    only_v1: &[],
};

/// A 0.3 task as 1.0 says it.
pub(super) fn to_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    fields.kind("task")?;
    let mut out = Map::new();
    out.put("id", Some(fields.key("id")?));
    out.put("contextId", fields.text("contextId")?);
    let status = fields.take("status")?;
    out.put("status", Some(status_to_v1(status, at.member("status"))?));
    out.put_list("artifacts", each(fields.list("artifacts")?, &at.member("artifacts"), artifact_to_v1)?);
    out.put_list("history", each(fields.list("history")?, &at.member("history"), message::to_v1)?);
    let metadata = fields.object("metadata")?;
    settle(&mut out, metadata, fields.rest(), Way::ToV1, &TASK);
    Ok(Value::Object(out))
}

/// A 1.0 task as 0.3 says it.
pub(super) fn from_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    if at.style() == Style::Kind {
        out.put("kind", Some("task"));
    }
    out.put("id", fields.take("id")?);
    out.put("contextId", context(&mut fields)?);
    let status = fields.take("status")?;
    out.put("status", Some(status_from_v1(status, at.member("status"))?));
    out.put_list("artifacts", each(fields.list("artifacts")?, &at.member("artifacts"), artifact_from_v1)?);
    out.put_list("history", each(fields.list("history")?, &at.member("history"), message::from_v1)?);
    let metadata = fields.object("metadata")?;
    settle(&mut out, metadata, fields.rest(), Way::FromV1, &TASK);
    Ok(Value::Object(out))
}

/// The context id, which 0.3 demands even where 1.0 has none: `kind` JSON then says the empty string.
pub(super) fn context(fields: &mut Fields<'_>) -> Result<Option<String>, Problem> {
    let context = fields.text("contextId")?;
    Ok(if fields.at().style() == Style::Kind { Some(context.unwrap_or_default()) } else { context })
}

/// A 0.3 status as 1.0 says it. Members that neither version knows pass: a status has no metadata to hold them.
pub(super) fn status_to_v1(value: Option<Value>, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = open_status(value, at)?;
    let mut out = Map::new();
    let state = fields.take("state")?;
    out.put("state", Some(v1_name(state_to_v1(state, &at.member("state"))?)));
    if let Some(update) = fields.take_any(&["message", "update"])? {
        out.put("message", Some(message::to_v1(update, at.member("message"))?));
    }
    out.put("timestamp", moment(&mut fields, "timestamp")?);
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// A moment in UTC with `Z`. SDKs of 0.3 send other offsets, and some examples none at all, meaning UTC.
pub(super) fn moment(fields: &mut Fields<'_>, name: &str) -> Result<Option<String>, Problem> {
    let at = fields.at();
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let moment = timestamp::mend(&text);
    moment.map(Some).ok_or_else(|| at.member(name).wrong("must be a timestamp as of RFC 3339"))
}

fn open_status(value: Option<Value>, at: At<'_>) -> Result<Fields<'_>, Problem> {
    match value {
        None if at.absent_is_default() => Fields::open_or_empty(Value::Null, at),
        None => Err(at.wrong("is required")),
        Some(value) => Fields::open(value, at),
    }
}

/// A 1.0 status as 0.3 says it.
pub(super) fn status_from_v1(value: Option<Value>, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open_or_empty(value.unwrap_or_default(), at)?;
    let mut out = Map::new();
    let state = fields.take("state")?;
    let state = state_from_v1(state.as_ref(), &at.member("state"))?;
    out.put("state", Some(v03_name(state, at.style())));
    if let Some(update) = fields.take("message")? {
        out.put("message", Some(message::from_v1(update, at.member("message"))?));
    }
    out.put("timestamp", fields.text("timestamp")?);
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// A 0.3 artifact as 1.0 says it.
pub(super) fn artifact_to_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    artifact(value, at, Way::ToV1, part::to_v1)
}

/// A 1.0 artifact as 0.3 says it.
pub(super) fn artifact_from_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    artifact(value, at, Way::FromV1, part::from_v1)
}

fn artifact(
    value: Value,
    at: At<'_>,
    way: Way,
    convert: impl Fn(Value, At<'_>) -> Result<Value, Problem>,
) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    out.put("artifactId", Some(fields.key("artifactId")?));
    out.put("name", fields.text("name")?);
    out.put("description", fields.text("description")?);
    out.put("parts", Some(each(fields.list("parts")?, &at.member("parts"), convert)?));
    out.put_list("extensions", fields.strings("extensions")?);
    let metadata = fields.object("metadata")?;
    settle(&mut out, metadata, fields.rest(), way, &ARTIFACT);
    Ok(Value::Object(out))
}

/// A page of tasks. No 0.3 schema has it; the text of 0.3 has `GET /v1/tasks`, so that is answered in today's frame.
pub(super) fn page(
    value: Value,
    at: At<'_>,
    convert: impl Fn(Value, At<'_>) -> Result<Value, Problem>,
) -> Result<Value, Problem> {
    let value = match value {
        Value::Array(tasks) => Value::Object(Map::from_iter([("tasks".to_owned(), Value::Array(tasks))])),
        other => other,
    };
    let mut fields = Fields::open(value, at)?;
    let tasks = each(fields.list("tasks")?, &at.member("tasks"), convert)?;
    let count = tasks.len();
    let mut out = Map::new();
    out.put("tasks", Some(tasks));
    out.put("nextPageToken", Some(fields.text("nextPageToken")?.unwrap_or_default()));
    out.put("pageSize", Some(fields.take("pageSize")?.unwrap_or_else(|| count.into())));
    out.put("totalSize", Some(fields.take("totalSize")?.unwrap_or_else(|| count.into())));
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// The state that a 0.3 peer names, in whichever of its styles.
pub(super) fn state_to_v1(state: Option<Value>, at: &At<'_>) -> Result<TaskState, Problem> {
    let state = match state {
        None if at.absent_is_default() => return Ok(TaskState::Unspecified),
        None => return Err(at.wrong("is required")),
        Some(state) => state,
    };
    let found = match state.as_str() {
        Some("cancelled") => Some(TaskState::Canceled),
        Some("") => Some(TaskState::Unspecified),
        Some(name) => TaskState::ALL
            .into_iter()
            .find(|state| [kind_name(*state), proto_name(*state), v1_name(*state)].contains(&name)),
        None => by_number(&state),
    };
    found.ok_or_else(|| at.wrong("must be a task state"))
}

/// The state of a 1.0 status: a name or a number, absent is unspecified.
pub(super) fn state_from_v1(state: Option<&Value>, at: &At<'_>) -> Result<TaskState, Problem> {
    let found = match state {
        None => Some(TaskState::Unspecified),
        Some(Value::String(name)) => TaskState::ALL.into_iter().find(|state| v1_name(*state) == name),
        Some(other) => by_number(other),
    };
    found.ok_or_else(|| at.wrong("must be a task state"))
}

fn by_number(state: &Value) -> Option<TaskState> {
    let number = state.as_i64()?;
    TaskState::ALL.into_iter().find(|state| i64::from(*state as i32) == number)
}

/// The name that 1.0 uses.
pub(super) fn v1_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Canceled => "TASK_STATE_CANCELED",
        other => proto_name(other),
    }
}

/// The name that 0.3 uses.
pub(super) fn v03_name(state: TaskState, style: Style) -> &'static str {
    match style {
        Style::Kind => kind_name(state),
        Style::Proto => proto_name(state),
    }
}

/// The name in the 0.3 proto.
fn proto_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "TASK_STATE_UNSPECIFIED",
        TaskState::Submitted => "TASK_STATE_SUBMITTED",
        TaskState::Working => "TASK_STATE_WORKING",
        TaskState::Completed => "TASK_STATE_COMPLETED",
        TaskState::Failed => "TASK_STATE_FAILED",
        TaskState::Canceled => "TASK_STATE_CANCELLED",
        TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
        TaskState::Rejected => "TASK_STATE_REJECTED",
        TaskState::AuthRequired => "TASK_STATE_AUTH_REQUIRED",
    }
}

/// The name in `kind` JSON.
fn kind_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "unknown",
        TaskState::Submitted => "submitted",
        TaskState::Working => "working",
        TaskState::Completed => "completed",
        TaskState::Failed => "failed",
        TaskState::Canceled => "canceled",
        TaskState::InputRequired => "input-required",
        TaskState::Rejected => "rejected",
        TaskState::AuthRequired => "auth-required",
    }
}
