//! Tasks to store, and steps as rooms make them: with the machine of core.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::tasks::{Claim, Event, Idempotency, NewTask, PushRow, Saved, Step, Stored, Tasks};
use moongate_core::task::{Command, Fence, apply};
use moongate_core::{Phase, Task, TaskId, TaskState, Time};

/// A task that waits, of Alice's, for the agent `lights`; made at 1000.
pub(crate) fn waiting(id: &str) -> Task {
    let made = Task::new(id.into(), "alice".into(), "lights".into(), Time(1000));
    Task { skill: Some("lights.on".into()), next_run_at: Some(made.created_at), ..made }
}

/// A task that its agent works on already.
pub(crate) fn running(id: &str) -> Task {
    let instance = Some("lights@1".into());
    Task { phase: Phase::Running, next_run_at: None, state: TaskState::Working, instance, ..waiting(id) }
}

/// The document of a task as of its number.
pub(crate) fn document(task: &Task) -> Bytes {
    format!(r#"{{"id":"{}","seq":{}}}"#, task.id, task.seq).into()
}

/// The event that led to where the task stands.
pub(crate) fn event(task: &Task, at: Time) -> Event {
    let payload = format!(r#"{{"task":"{}","event":{}}}"#, task.id, task.seq).into();
    Event { seq: task.seq, at, state: task.state, payload }
}

/// What makes the task.
pub(crate) fn new(mut task: Task) -> NewTask {
    task.ended_at = task.ended_at.or(task.state.is_terminal().then_some(task.status_at));
    let (document, first) = (document(&task), event(&task, task.created_at));
    let request = (task.phase == Phase::Ready).then(|| format!("to {}", task.agent).into());
    NewTask { document, first, request, idempotency: None, configs: Vec::new(), most_waiting: None, task }
}

/// A key that is good until `until`, for the request with this number.
pub(crate) fn key(name: &str, request: u8, until: u64) -> Option<Idempotency> {
    Some(Idempotency { key: name.into(), hash: [request; 32], until: Time(until) })
}

/// A config whose receiver wants everything behind event `delivered`.
pub(crate) fn config(id: &str, delivered: u64) -> PushRow {
    let sealed = format!("sealed {id}").into();
    PushRow { id: id.into(), sealed, delivered, attempt: 0, due_at: Time(1000), since: None, dead: None }
}

/// The step that these commands are.
pub(crate) fn step(before: &Task, commands: impl IntoIterator<Item = Command>, now: u64) -> Step {
    let (mut task, mut events) = (before.clone(), Vec::new());
    for command in commands {
        let fence = task.fence();
        if apply(&mut task, fence, command, Time(now)).unwrap() {
            events.push(event(&task, Time(now)));
        }
    }
    Step { expected: before.fence(), task, events, document: None }
}

/// A claim of worker `w`.
pub(crate) fn claim(agent: &str, now: u64, until: u64, limit: u32) -> Claim {
    Claim { agent: agent.into(), worker: "w".into(), now: Time(now), until: Time(until), limit }
}

/// The ids, in their order.
pub(crate) fn ids(tasks: &[Stored]) -> Vec<&str> {
    tasks.iter().map(|stored| stored.task.id.as_str()).collect()
}

/// A task that must exist.
pub(crate) async fn get(tasks: &dyn Tasks, id: &str) -> Stored {
    tasks.get(None, id.into()).await.unwrap().unwrap_or_else(|| panic!("there is no task {id}"))
}

/// Reads, applies and writes until nobody was faster; `None` when the task is over.
pub(crate) async fn advance(tasks: &dyn Tasks, id: &str, command: Command, now: u64) -> Option<Task> {
    loop {
        let before = get(tasks, id).await.task;
        if before.state.is_terminal() {
            return None;
        }
        let step = step(&before, [command.clone()], now);
        let after = step.task.clone();
        match tasks.save(step).await.unwrap() {
            Saved::Done => return Some(after),
            Saved::Conflict(fence) => assert_ne!(fence, before.fence(), "refused for nothing"),
            Saved::Over => return None,
            Saved::Missing => panic!("{id} is lost"),
        }
    }
}

/// A fence of a task that runs.
pub(crate) fn at(seq: u64) -> Fence {
    Fence { seq, attempt: 0, phase: Phase::Running }
}

/// The same task of somebody else.
pub(crate) fn owned(owner: &str, task: Task) -> Task {
    Task { owner: Arc::from(owner), ..task }
}

/// Ids as the trait wants them.
pub(crate) fn id(text: &str) -> TaskId {
    text.into()
}
