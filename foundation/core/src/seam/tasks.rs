//! The facet of the store that keeps tasks: rows, their event logs, the queue, push configs and idempotency keys.
//!
//! What a task may become is decided by [`crate::task`]; an engine writes down what it is told, and holds three lines
//! that no writer may cross, whoever it is:
//!
//! - **Compare and swap.** A [`Step`] names the [`Fence`] that it was made from. If the row has moved on, nothing is
//!   written and the answer says where it stands.
//! - **No gaps.** The events of a step continue the log: `fence.seq + 1 ..= task.seq`, each once.
//! - **The end is the end.** A row in a terminal state takes no events and no other state.
//!
//! Rows that the machine cannot make are refused as `Internal`, and nothing is written: other numbers than these, an attempt
//! that is lower than the fence's, a phase that is *done* in a state that is not terminal, or the other way round.
//!
//! Every call that changes something is queued at once, in the order of the calls, and is durable when its future is
//! ready; dropping the future changes nothing. Calls that wait at the same time share one flush. A call that finds the
//! queue full answers a problem that says "later" and has changed nothing.
//!
//! The event log is the outbox as well: a push config has a cursor into its task's log ([`PushRow::delivered`]), so an event
//! is owed to its receivers from the moment that it is durable, without a row of its own.

use std::sync::Arc;

use bytes::Bytes;

use super::Later;
use crate::ids::{AgentName, ContextId, SkillId, TaskId};
use crate::problem::Problem;
use crate::task::{Fence, Task, TaskState};
use crate::time::Time;

/// One event of a task as it is stored: a `StreamResponse` in canonical JSON, with the client's ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number; the first is 1.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// The task's state afterwards.
    pub state: TaskState,
    /// The event itself.
    pub payload: Bytes,
}

/// What the gateway needs to send a queued task to its agent, as the room that owns it wrote it.
pub type Request = Bytes;

/// A repeated request with the same key is answered with the first one's task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key, unique for its owner.
    pub key: String,
    /// SHA-256 of the request; another request under the same key is refused.
    pub hash: [u8; 32],
    /// The key is forgotten then: a task that is created at this moment or later is a new one.
    pub until: Time,
}

/// A task to make. Its log begins with one event, number 1.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// The task; `seq` is 1.
    pub task: Task,
    /// The task object as of event 1.
    pub document: Bytes,
    /// The event: the task object as a `StreamResponse`.
    pub first: Event,
    /// What to send to the agent, for a task that waits in the queue.
    pub request: Option<Request>,
    /// Its idempotency key.
    pub idempotency: Option<Idempotency>,
    /// Its push configs.
    pub configs: Vec<PushRow>,
    /// It is not made if so many tasks wait already: ready ones, and those that are being sent, are paused or were set aside.
    pub most_waiting: Option<u64>,
}

/// What came of making a task. The key is looked at first, then the number of those that wait, then the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is made.
    New,
    /// The id is taken, by whomever; nothing was made.
    Taken,
    /// The same request under the same key made this task, which may have been removed since.
    Repeated(TaskId),
    /// Another request had the key.
    KeyReused,
    /// So many tasks wait already; nothing was made.
    Full(u64),
}

/// One change of a task's row.
#[derive(Clone, Debug)]
pub struct Step {
    /// The row must stand here.
    pub expected: Fence,
    /// The task afterwards. Id, owner and `created_at` never change, whatever stands here.
    pub task: Task,
    /// The events in between, in order; none for what clients do not see.
    pub events: Vec<Event>,
    /// The task object as of `task.seq`, if the stored one shall be replaced by it.
    pub document: Option<Bytes>,
}

/// What came of a step. A task that is over says so, whatever the fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Written.
    Done,
    /// The row has moved on to this fence; nothing was written.
    Conflict(Fence),
    /// The task is over; nothing was written.
    Over,
    /// There is no such task.
    Missing,
}

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The task.
    pub task: Task,
    /// The task object as of event `document_seq`.
    pub document: Bytes,
    /// How far the document goes.
    pub document_seq: u64,
    /// The events after `document_seq`, in order: folded into the document they give the task as it stands.
    pub tail: Vec<Event>,
    /// What to send to the agent.
    pub request: Option<Request>,
    /// Its push configs, in the order of their making.
    pub configs: Vec<PushRow>,
}

/// Which tasks a list shows. Newest status first, then by id.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this principal's; `None` for the operator.
    pub owner: Option<Arc<str>>,
    /// Only this agent's.
    pub agent: Option<AgentName>,
    /// Not those of these skills of agents; without a skill: not those of which it is not known.
    pub without: Vec<(AgentName, Option<SkillId>)>,
    /// Only of this conversation.
    pub context: Option<ContextId>,
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only those whose status is not older.
    pub since: Option<Time>,
    /// Begin behind this one: its status time and id.
    pub after: Option<(Time, TaskId)>,
    /// At most so many.
    pub limit: u32,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The tasks; without requests and push configs.
    pub tasks: Vec<Stored>,
    /// How many the filter shows altogether, whatever the page.
    pub total: u64,
    /// Whether more follow.
    pub more: bool,
}

/// A push config as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRow {
    /// Its id, unique within the task.
    pub id: String,
    /// The config itself, sealed by the room that owns it; holds credentials.
    pub sealed: Bytes,
    /// The number of the last event that its receiver took, or that it does not want.
    pub delivered: u64,
    /// Tries of the event in turn that failed.
    pub attempt: u32,
    /// When to try next; for an event that was not tried yet the moment of its recording.
    pub due_at: Time,
    /// When the event in turn was tried first; `None` before.
    pub since: Option<Time>,
    /// Why it was given up; until it is redriven nothing is delivered.
    pub dead: Option<String>,
}

/// An event that is owed to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The task.
    pub task: TaskId,
    /// Its owner.
    pub owner: Arc<str>,
    /// The config, put off.
    pub config: PushRow,
    /// The event in turn.
    pub event: Event,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The receiver took it.
    Taken,
    /// Not now.
    Again {
        /// When to try next.
        at: Time,
        /// When it was tried first.
        since: Time,
    },
    /// It was not tried: not before then.
    Later(Time),
    /// Never again, until it is redriven.
    Dead(String),
    /// The receiver wants no more: the config is removed.
    Gone,
}

/// What a worker asks of the queue.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose queue.
    pub agent: AgentName,
    /// Who asks.
    pub worker: Arc<str>,
    /// The present.
    pub now: Time,
    /// Until when the claim holds.
    pub until: Time,
    /// At most so many.
    pub limit: u32,
}

/// What waits for one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The agent.
    pub agent: AgentName,
    /// How many tasks are ready or will be.
    pub count: u64,
    /// When the first of them may go out.
    pub next: Time,
}

/// How many rows there are, for metrics and `moongate doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Tasks by phase, in the order of [`crate::Phase::ALL`].
    pub phases: Vec<(crate::Phase, u64)>,
    /// Events.
    pub events: u64,
    /// Push configs that still deliver.
    pub configs: u64,
    /// Push configs that were given up.
    pub dead_configs: u64,
}

impl Census {
    /// How many tasks are in this phase.
    pub fn count(&self, phase: crate::Phase) -> u64 {
        self.phases.iter().find(|(held, _)| *held == phase).map_or(0, |(_, count)| *count)
    }
}

/// The facet of the store that keeps tasks. Futures that borrow nothing may be waited for anywhere, or by nobody.
pub trait Tasks: Send + Sync {
    /// Makes a task.
    fn create(&self, new: NewTask) -> Later<'static, Result<Created, Problem>>;
    /// Writes a step.
    fn save(&self, step: Step) -> Later<'static, Result<Saved, Problem>>;
    /// One task. With an owner, only if it is that principal's: a stranger's task and a missing one are the same.
    fn get(&self, owner: Option<Arc<str>>, id: TaskId) -> Later<'static, Result<Option<Stored>, Problem>>;
    /// A page of tasks. Sees every write that was answered before, and every one that was asked for before.
    fn list(&self, filter: Filter) -> Later<'_, Result<Page, Problem>>;
    /// Events of a task behind `after`, in order, at most `limit`. Sees what [`Tasks::list`] sees.
    fn events(&self, id: TaskId, after: u64, limit: u32) -> Later<'_, Result<Vec<Event>, Problem>>;
    /// The agent's newest task of a conversation, for routing what follows.
    fn conversation(&self, owner: Arc<str>, context: ContextId) -> Later<'static, Result<Option<Stored>, Problem>>;
    /// The task that stands for an agent's own task id: the newest that maps it, else the one that has it as its own id.
    fn upstream(&self, agent: AgentName, id: TaskId) -> Later<'static, Result<Option<Stored>, Problem>>;

    /// Takes ready tasks, urgent ones first, then the longest waiting, then the oldest: their phase becomes *sending*, their
    /// attempt grows by one, `next_run_at` is cleared, and whoever held them before is fenced off. A task without
    /// `next_run_at` is ready at once.
    fn claim(&self, claim: Claim) -> Later<'static, Result<Vec<Stored>, Problem>>;
    /// Prolongs claims; those that no longer hold are answered.
    fn renew(&self, held: Vec<(TaskId, Fence)>, until: Time) -> Later<'static, Result<Vec<TaskId>, Problem>>;
    /// Tasks in the phase *sending* whose claim has run out, the oldest claim first. One that was made in this phase has no
    /// claim until it is prolonged.
    fn abandoned(&self, now: Time, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>>;
    /// What waits, by agent.
    fn waiting(&self) -> Later<'static, Result<Vec<Waiting>, Problem>>;
    /// Tasks that agents work on, by id behind `after`: what is watched again after a start.
    fn running(&self, after: Option<TaskId>, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>>;
    /// Tasks of which a deadline has passed, the most overdue first.
    fn due(&self, now: Time, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>>;

    /// Makes or replaces a push config, in its place; whether the task exists.
    fn put_config(&self, task: TaskId, config: PushRow) -> Later<'static, Result<bool, Problem>>;
    /// Removes a push config; whether there was one.
    fn remove_config(&self, task: TaskId, id: String) -> Later<'static, Result<bool, Problem>>;
    /// Takes deliveries that are due, the most overdue first, each config once, and puts them off until `until`.
    fn deliveries(&self, now: Time, until: Time, limit: u32) -> Later<'static, Result<Vec<Delivery>, Problem>>;
    /// Says what came of a delivery that was taken, named by task, config and event number. One that was settled already, or
    /// whose config was replaced meanwhile, is left as it is.
    fn settle(&self, task: TaskId, config: String, seq: u64, end: Settled) -> Later<'static, Result<(), Problem>>;
    /// When the next delivery is due; `None` if nothing is owed.
    fn next_delivery(&self) -> Later<'static, Result<Option<Time>, Problem>>;
    /// Deliveries that were given up are tried again: of one task, or of all. How many.
    fn redrive_configs(&self, task: Option<TaskId>, now: Time) -> Later<'static, Result<u64, Problem>>;

    /// Removes finished tasks that ended before `before`, and those that ended first beyond the newest `keep`, at most
    /// `limit` of them; none that owes a delivery. Forgets idempotency keys that have run out, at most `limit` as well. How
    /// many tasks went.
    fn expire(&self, now: Time, before: Time, keep: u64, limit: u32) -> Later<'static, Result<u64, Problem>>;
    /// How many rows there are.
    fn census(&self) -> Later<'static, Result<Census, Problem>>;
}
