//! What an agent remembers of its tasks, and who follows them. Tasks are JSON as the agent's version writes them.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::refusal::{Kind, Refusal};

/// The oldest task is forgotten when there would be more.
const MOST: usize = 200;
/// No task of these agents has as many events.
const EVENTS: usize = 64;

/// The tasks, oldest first.
#[derive(Default)]
pub(super) struct Tasks(Mutex<VecDeque<Job>>);

struct Job {
    task: Value,
    events: broadcast::Sender<Value>,
}

impl Tasks {
    /// Remembers a new task.
    pub(super) fn add(&self, task: Value) {
        let mut jobs = self.0.lock();
        if jobs.len() == MOST {
            jobs.pop_front();
        }
        jobs.push_back(Job { task, events: broadcast::Sender::new(EVENTS) });
    }

    /// A task as it stands, and what will become of it.
    pub(super) fn follow(&self, id: &str) -> Result<(Value, broadcast::Receiver<Value>), Refusal> {
        let jobs = self.0.lock();
        let job = jobs.iter().find(|job| text(&job.task, "/id") == id).ok_or_else(|| Refusal::no_task(id))?;
        Ok((job.task.clone(), job.events.subscribe()))
    }

    /// A task as it stands.
    pub(super) fn find(&self, id: &str) -> Result<Value, Refusal> {
        self.follow(id).map(|(task, _)| task)
    }

    /// Changes a task that is not over and tells its followers; the task as it then is, or `None` if it was over.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Value) -> Value) -> Option<Value> {
        let mut jobs = self.0.lock();
        let job = jobs.iter_mut().find(|job| text(&job.task, "/id") == id && !is_over(&job.task))?;
        let event = change(&mut job.task);
        // Nobody may be following; the task has changed all the same.
        let _ = job.events.send(event);
        Some(job.task.clone())
    }

    /// Cancels a task; `state` is what this version calls it.
    pub(super) fn cancel(&self, id: &str, status: Value) -> Result<Value, Refusal> {
        self.find(id)?;
        let event = |task: &mut Value| {
            set(task, "status", status);
            status_update(task)
        };
        self.change(id, event).ok_or_else(|| Refusal::new(Kind::NotCancelable, format!("the task {id} is over")))
    }

    /// A page of the tasks, newest first (A2A 1.0 §3.1.4). Numbers may be text, as they are in a URL.
    pub(super) fn list(&self, params: &Value) -> Result<Value, Refusal> {
        let number = |name: &str, usual: usize| match params.get(name) {
            None => Some(usual),
            Some(Value::String(text)) if text.is_empty() => Some(usual),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64().and_then(|number| usize::try_from(number).ok()),
        };
        let wrong = |what: &str| Refusal::new(Kind::Params, what);
        let size = number("pageSize", 50).filter(|size| (1..=100).contains(size));
        let size = size.ok_or_else(|| wrong("`pageSize` is a number from 1 to 100"))?;
        let skip = number("pageToken", 0).ok_or_else(|| wrong("`pageToken` is none of ours"))?;
        let asked = |name: &str| params.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let fits = |task: &Value| {
            asked("contextId").is_none_or(|context| text(task, "/contextId") == context)
                && asked("status").is_none_or(|state| text(task, "/status/state") == state)
        };
        let with_artifacts = params.get("includeArtifacts").is_some_and(|value| value == true || value == "true");
        let found: Vec<Value> =
            self.0.lock().iter().rev().map(|job| job.task.clone()).filter(|task| fits(task)).collect();
        let mut page: Vec<Value> = found.iter().skip(skip).take(size).cloned().collect();
        for task in page.iter_mut().filter_map(Value::as_object_mut).filter(|_| !with_artifacts) {
            task.remove("artifacts");
        }
        let next = if skip + size < found.len() { (skip + size).to_string() } else { String::new() };
        Ok(json!({"tasks": page, "nextPageToken": next, "pageSize": page.len(), "totalSize": found.len()}))
    }
}

/// The event of A2A 1.0 that tells of a task's present status.
pub(super) fn status_update(task: &Value) -> Value {
    json!({"statusUpdate": {"taskId": task.get("id"), "contextId": task.get("contextId"), "status": task.get("status")}})
}

/// Sets a member of an object.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// A text inside a value; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a task is over, in either version's words.
pub(super) fn is_over(task: &Value) -> bool {
    let state = text(task, "/status/state").trim_start_matches("TASK_STATE_").to_lowercase();
    matches!(state.as_str(), "completed" | "failed" | "canceled" | "rejected")
}

/// The id of the task that the params of an operation name.
pub(super) fn id_of(params: &Value) -> Result<&str, Refusal> {
    let id = text(params, "/id");
    if id.is_empty() { Err(Refusal::new(Kind::Params, "`id` is missing")) } else { Ok(id) }
}
