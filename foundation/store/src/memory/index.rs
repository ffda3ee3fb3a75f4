//! A task's row in memory, and the orders in which rows are asked for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::tasks::{Event, PushRow, Stored};
use moongate_core::{AgentName, ContextId, Phase, Task, TaskId, Time};

/// All there is of one task.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) task: Task,
    pub(super) document: Bytes,
    pub(super) document_seq: u64,
    /// The whole log; event `n` has the place `n - 1`.
    pub(super) events: Vec<Event>,
    pub(super) request: Option<Bytes>,
    /// In the order of their making.
    pub(super) configs: Vec<Config>,
    pub(super) lease_until: Option<Time>,
}

/// A push config, and what only the store knows of it.
#[derive(Debug)]
pub(super) struct Config {
    /// Its number among all configs.
    pub(super) made: u64,
    pub(super) row: PushRow,
    /// The event in turn is on its way.
    pub(super) taken: bool,
}

impl Row {
    /// Events behind `after`.
    pub(super) fn behind(&self, after: u64) -> &[Event] {
        usize::try_from(after).ok().and_then(|place| self.events.get(place..)).unwrap_or_default()
    }

    /// As the seam has it.
    pub(super) fn stored(&self) -> Stored {
        Stored {
            task: self.task.clone(),
            document: self.document.clone(),
            document_seq: self.document_seq,
            tail: self.behind(self.document_seq).to_vec(),
            request: self.request.clone(),
            configs: self.configs.iter().map(|config| config.row.clone()).collect(),
        }
    }

    /// Whether this config of it waits for an event.
    pub(super) fn owes(&self, config: &PushRow) -> bool {
        config.dead.is_none() && config.delivered < self.task.seq
    }
}

/// Newest status first, then by id.
pub(super) type ByStatus = BTreeSet<(Reverse<Time>, TaskId)>;

/// Where to find rows without looking at all of them.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) all: ByStatus,
    pub(super) by_owner: BTreeMap<Arc<str>, ByStatus>,
    pub(super) contexts: BTreeSet<(Arc<str>, ContextId, u64)>,
    pub(super) upstream: BTreeSet<(AgentName, TaskId, u64)>,
    pub(super) ready: BTreeSet<(AgentName, u8, Option<Time>, u64)>,
    pub(super) leases: BTreeSet<(Time, u64)>,
    pub(super) running: BTreeSet<TaskId>,
    pub(super) deadlines: BTreeSet<(Time, u64)>,
    /// By when it is due and the number of the config; then the task.
    pub(super) owed: BTreeSet<(Time, u64, u64)>,
    /// Finished ones, by when they ended.
    pub(super) ended: BTreeSet<(Time, u64)>,
}

/// Puts an entry in or takes it out.
fn set<T: Ord>(entries: &mut BTreeSet<T>, entry: T, there: bool) {
    if there {
        entries.insert(entry);
    } else {
        entries.remove(&entry);
    }
}

impl Index {
    pub(super) fn add(&mut self, pk: u64, row: &Row) {
        self.set(pk, row, true);
    }

    /// Before a row changes, and when it goes.
    pub(super) fn remove(&mut self, pk: u64, row: &Row) {
        self.set(pk, row, false);
    }

    fn set(&mut self, pk: u64, row: &Row, there: bool) {
        let task = &row.task;
        let status = (Reverse(task.status_at), task.id.clone());
        let owned = self.by_owner.entry(task.owner.clone()).or_default();
        set(owned, status.clone(), there);
        if owned.is_empty() {
            self.by_owner.remove(&task.owner);
        }
        set(&mut self.all, status, there);
        if let Some(context) = &task.context {
            set(&mut self.contexts, (task.owner.clone(), context.clone(), pk), there);
        }
        if let Some(upstream) = &task.upstream_id {
            set(&mut self.upstream, (task.agent.clone(), upstream.clone(), pk), there);
        }
        match task.phase {
            Phase::Ready => {
                set(&mut self.ready, (task.agent.clone(), task.priority, task.next_run_at, pk), there);
            }
            Phase::Sending => set(&mut self.leases, (row.lease_until.unwrap_or_default(), pk), there),
            Phase::Running => set(&mut self.running, task.id.clone(), there),
            Phase::Done => set(&mut self.ended, (task.ended_at.unwrap_or_default(), pk), there),
            Phase::Paused | Phase::Dead => {}
        }
        if let Some(deadline) = task.next_deadline() {
            set(&mut self.deadlines, (deadline, pk), there);
        }
        for config in row.configs.iter().filter(|config| row.owes(&config.row)) {
            set(&mut self.owed, (config.row.due_at, config.made, pk), there);
        }
    }
}
