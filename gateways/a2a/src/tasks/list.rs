//! ListTasks (A2A 1.0 §3.1.4), answered from the index: newest status first, opaque cursors, artifacts only on request.

use std::cmp::Reverse;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::{AgentName, Code, Principal, Problem, TaskState, Time};
use serde_json::{Value, json};

use super::{Row, Tasks, fold};

const DEFAULT_PAGE: usize = 50;

/// Answers a canonical ListTasksRequest; `agent` restricts it to one agent's tasks.
///
/// # Errors
/// `InvalidParams` for a cursor or a timestamp that is none.
pub fn list(tasks: &Tasks, who: &Principal, agent: Option<&AgentName>, params: &Value) -> Result<Value, Problem> {
    let filter = Filter::read(params)?;
    let mut rows: Vec<(Time, Arc<Row>)> = tasks
        .all_of(who)
        .into_iter()
        .filter(|row| agent.is_none_or(|agent| row.agent == *agent))
        .filter(|row| filter.keeps(row))
        .map(|row| (row.status_at(), row))
        .collect();
    rows.sort_by(|a, b| (Reverse(a.0), &a.1.id).cmp(&(Reverse(b.0), &b.1.id)));
    let total = rows.len();
    let start = match &filter.after {
        None => 0,
        Some((at, id)) => {
            rows.partition_point(|(time, row)| (Reverse(*time), row.id.as_str()) <= (Reverse(*at), id.as_str()))
        }
    };
    let page: Vec<_> = rows.into_iter().skip(start).take(filter.size).collect();
    let more = start + page.len() < total;
    let next = page.last().filter(|_| more).map(|(at, row)| cursor(*at, row.id.as_str())).unwrap_or_default();
    let documents: Vec<Value> = page.iter().map(|(_, row)| filter.render(row)).collect();
    Ok(json!({"tasks": documents, "nextPageToken": next, "pageSize": filter.size, "totalSize": total}))
}

struct Filter {
    context: Option<String>,
    state: Option<TaskState>,
    since: Option<Time>,
    size: usize,
    after: Option<(Time, String)>,
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
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| *size > 0)
                .unwrap_or(DEFAULT_PAGE),
            after,
            history: params.get("historyLength").and_then(Value::as_i64),
            artifacts: params.get("includeArtifacts").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    fn keeps(&self, row: &Row) -> bool {
        self.state.is_none_or(|state| row.state() == state)
            && self.since.is_none_or(|since| row.status_at() >= since)
            && self.context.as_deref().is_none_or(|context| row.context().is_some_and(|id| id.as_str() == context))
    }

    fn render(&self, row: &Row) -> Value {
        let mut task = row.value();
        fold::trim_history(&mut task, self.history);
        if let (false, Some(members)) = (self.artifacts, task.as_object_mut()) {
            members.remove("artifacts");
        }
        task
    }
}

fn cursor(at: Time, id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{id}", at.0))
}

fn read_cursor(token: &str) -> Option<(Time, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (at, id) = text.split_once('/')?;
    Some((Time(at.parse().ok()?), id.to_owned()))
}
