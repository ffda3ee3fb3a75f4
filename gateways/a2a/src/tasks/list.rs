//! ListTasks (A2A 1.0 §3.1.4), answered from the record: newest status first, opaque cursors, artifacts only on request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::seam::tasks::{self as record, Stored};
use moongate_core::{AgentName, Code, Problem, SkillId, TaskId, TaskState, Time};
use serde_json::{Value, json};

use super::doc::Doc;
use super::{Tasks, fold};

const DEFAULT_PAGE: u32 = 50;

/// What restricts a list, beside what its caller asked for.
pub struct Reach<'a> {
    /// Whose tasks; `None` for the operator.
    pub owner: Option<Arc<str>>,
    /// Of which agent.
    pub agent: Option<&'a AgentName>,
    /// Of which skills not.
    pub without: Vec<(AgentName, Option<SkillId>)>,
}

/// Answers a canonical ListTasksRequest.
///
/// # Errors
/// `InvalidParams` for a cursor or a timestamp that is none; what keeps the store from being read.
pub async fn list(tasks: &Tasks, reach: Reach<'_>, params: &Value) -> Result<Value, Problem> {
    let filter = Filter::read(params)?;
    let page = tasks
        .store()
        .tasks()
        .list(record::Filter {
            owner: reach.owner,
            agent: reach.agent.cloned(),
            without: reach.without,
            context: filter.context.as_deref().map(Into::into),
            state: filter.state,
            since: filter.since,
            after: filter.after.clone(),
            limit: filter.size,
        })
        .await?;
    let next = page.tasks.last().filter(|_| page.more);
    let next = next.map(|last| cursor(last.task.status_at, last.task.id.as_str())).unwrap_or_default();
    let documents: Vec<Value> = page.tasks.iter().map(|stored| filter.render(stored)).collect();
    Ok(json!({"tasks": documents, "nextPageToken": next, "pageSize": filter.size, "totalSize": page.total}))
}

struct Filter {
    context: Option<String>,
    state: Option<TaskState>,
    since: Option<Time>,
    size: u32,
    after: Option<(Time, TaskId)>,
    history: Option<i64>,
    artifacts: bool,
}

impl Filter {
    fn read(params: &Value) -> Result<Self, Problem> {
        let text = |name: &str| params.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let bad = |name: &str, why: &str| {
            Problem::new(Code::InvalidParams, format!("{name} {why}")).field(name.to_owned(), why.to_owned())
        };
        let state = params.get("status").map(fold::state_of).filter(|state| *state != TaskState::Unspecified);
        let after = match text("pageToken") {
            None => None,
            Some(token) => {
                Some(read_cursor(token).ok_or_else(|| bad("pageToken", "is not one that this gateway gave"))?)
            }
        };
        let since = match text("statusTimestampAfter") {
            None => None,
            Some(text) => Some(
                crate::moment::read(text).ok_or_else(|| bad("statusTimestampAfter", "is not an RFC 3339 timestamp"))?,
            ),
        };
        Ok(Self {
            context: text("contextId").map(str::to_owned),
            state,
            since,
            size: params
                .get("pageSize")
                .and_then(Value::as_u64)
                .and_then(|size| u32::try_from(size).ok())
                .filter(|size| *size > 0)
                .unwrap_or(DEFAULT_PAGE),
            after,
            history: params.get("historyLength").and_then(Value::as_i64),
            artifacts: params.get("includeArtifacts").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    fn render(&self, stored: &Stored) -> Value {
        let mut task = std::mem::take(Doc::stored(stored).value());
        fold::trim_history(&mut task, self.history);
        if let (false, Some(members)) = (self.artifacts, task.as_object_mut()) {
            members.remove("artifacts");
        }
        task
    }
}

/// A token for the page behind this task.
pub(crate) fn cursor(at: Time, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{id}", at.0))
}

/// Reads such a token; `None` if it is none.
pub(crate) fn read_cursor(token: &str) -> Option<(Time, TaskId)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (at, id) = text.split_once('/')?;
    Some((Time(at.parse().ok()?), id.into()))
}
