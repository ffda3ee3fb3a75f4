//! The facet of tasks: rows behind one lock. Every call is done when it returns.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;

use moongate_core::seam::Later;
use moongate_core::seam::tasks::{
    Census, Claim, Created, Delivery, Event, Filter, Idempotency, NewTask, Page, PushRow, Saved, Settled, Step, Stored,
    Tasks, Waiting,
};
use moongate_core::task::Fence;
use moongate_core::{AgentName, ContextId, Phase, Problem, TaskId, Time};

use super::Memory;
use super::index::{Index, Row};
use crate::law;

/// All tasks, by the number of their making.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: BTreeMap<u64, Row>,
    pub(super) ids: HashMap<TaskId, u64>,
    pub(super) index: Index,
    /// Idempotency keys by owner and key: the request, its task, and when the key runs out.
    keys: HashMap<Key, ([u8; 32], TaskId, Time)>,
    key_ends: BTreeSet<(Time, Key)>,
    made: u64,
    pub(super) configs_made: u64,
}

type Key = (Arc<str>, String);

impl Rows {
    /// Changes a row and what the index knows of it; `None` if there is no such task.
    pub(super) fn change<T>(&mut self, id: &TaskId, change: impl FnOnce(&mut Row) -> T) -> Option<T> {
        let pk = *self.ids.get(id)?;
        let row = self.rows.get_mut(&pk)?;
        self.index.remove(pk, row);
        let result = change(row);
        self.index.add(pk, row);
        Some(result)
    }

    pub(super) fn by_id(&self, id: &TaskId) -> Option<&Row> {
        self.rows.get(self.ids.get(id)?)
    }

    /// The rows with these numbers, in this order.
    pub(super) fn stored(&self, keys: impl Iterator<Item = u64>) -> Vec<Stored> {
        keys.filter_map(|pk| self.rows.get(&pk)).map(Row::stored).collect()
    }

    fn create(&mut self, new: NewTask) -> Created {
        let NewTask { task, document, first, request, idempotency, configs, most_waiting } = new;
        if let Some(key) = &idempotency
            && let Some((hash, id, until)) = self.keys.get(&(task.owner.clone(), key.key.clone()))
            && task.created_at < *until
        {
            return if *hash == key.hash { Created::Repeated(id.clone()) } else { Created::KeyReused };
        }
        let waiting = (self.rows.len() - self.index.running.len() - self.index.ended.len()) as u64;
        if most_waiting.is_some_and(|most| waiting >= most) {
            return Created::Full(waiting);
        }
        if self.ids.contains_key(&task.id) {
            return Created::Taken;
        }
        if let Some(key) = idempotency {
            self.remember(&task.owner, key, &task.id);
        }
        self.made += 1;
        let pk = self.made;
        self.ids.insert(task.id.clone(), pk);
        let events = vec![first];
        let mut row = Row { task, document, document_seq: 1, events, request, configs: Vec::new(), lease_until: None };
        for config in configs {
            row.put(config, &mut self.configs_made);
        }
        self.index.add(pk, &row);
        self.rows.insert(pk, row);
        Created::New
    }

    fn remember(&mut self, owner: &Arc<str>, Idempotency { key, hash, until }: Idempotency, id: &TaskId) {
        let key = (owner.clone(), key);
        self.key_ends.insert((until, key.clone()));
        if let Some((_, _, before)) = self.keys.insert(key.clone(), (hash, id.clone(), until))
            && before != until
        {
            self.key_ends.remove(&(before, key));
        }
    }

    fn save(&mut self, step: Step) -> Saved {
        let Some(row) = self.by_id(&step.task.id) else { return Saved::Missing };
        let standing = row.task.fence();
        if row.task.state.is_terminal() {
            return Saved::Over;
        }
        if standing != step.expected {
            return Saved::Conflict(standing);
        }
        let id = step.task.id.clone();
        self.change(&id, |row| row.advance(step));
        Saved::Done
    }

    fn list(&self, filter: &Filter) -> Page {
        let none = BTreeSet::new();
        let keys = match &filter.owner {
            Some(owner) => self.index.by_owner.get(owner).unwrap_or(&none),
            None => &self.index.all,
        };
        let rows =
            || keys.iter().filter_map(|key| Some((key, self.by_id(&key.1)?))).filter(|(_, row)| row.passes(filter));
        let after = filter.after.as_ref().map(|(at, id)| (Reverse(*at), id.clone()));
        let mut behind = rows().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let bare = |row: &Row| Stored { request: None, configs: Vec::new(), ..row.stored() };
        let tasks = behind.by_ref().take(filter.limit as usize).map(|(_, row)| bare(row)).collect();
        let more = behind.next().is_some();
        Page { tasks, total: rows().count() as u64, more }
    }

    fn conversation(&self, owner: Arc<str>, context: ContextId) -> Option<Stored> {
        let range = (owner.clone(), context.clone(), 0)..=(owner, context, u64::MAX);
        self.index.contexts.range(range).next_back().and_then(|(_, _, pk)| self.rows.get(pk)).map(Row::stored)
    }

    fn upstream(&self, agent: AgentName, id: TaskId) -> Option<Stored> {
        let range = (agent.clone(), id.clone(), 0)..=(agent.clone(), id.clone(), u64::MAX);
        let mapped = self.index.upstream.range(range).next_back().and_then(|(_, _, pk)| self.rows.get(pk));
        let own = || self.by_id(&id).filter(|row| row.task.agent == agent && row.task.upstream_id.is_none());
        mapped.or_else(own).map(Row::stored)
    }

    fn running(&self, after: Option<TaskId>, limit: u32) -> Vec<Stored> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = self.index.running.range((behind, Bound::Unbounded)).take(limit as usize);
        ids.filter_map(|id| self.by_id(id)).map(Row::stored).collect()
    }

    fn expire(&mut self, now: Time, before: Time, keep: u64, limit: u32) -> u64 {
        while let Some((until, _)) = self.key_ends.first()
            && *until <= now
            && let Some((_, key)) = self.key_ends.pop_first()
        {
            self.keys.remove(&key);
        }
        let beyond = (self.index.ended.len() as u64).saturating_sub(keep);
        let oldest = self.index.ended.iter().filter_map(|(at, pk)| Some((*at, self.rows.get(pk)?)));
        let leavers: Vec<_> = (0..)
            .zip(oldest)
            .take_while(|(place, (at, _))| *at < before || *place < beyond)
            .map(|(place, (_, row))| (place, row))
            .filter(|(_, row)| !row.configs.iter().any(|config| row.owes(&config.row)))
            .take(limit as usize)
            .map(|(_, row)| row.task.id.clone())
            .collect();
        for id in &leavers {
            if let Some(pk) = self.ids.remove(id)
                && let Some(row) = self.rows.remove(&pk)
            {
                self.index.remove(pk, &row);
            }
        }
        leavers.len() as u64
    }

    fn census(&self) -> Census {
        let phase = |phase| self.rows.values().filter(|row| row.task.phase == phase).count() as u64;
        let configs = || self.rows.values().flat_map(|row| &row.configs);
        Census {
            phases: Phase::ALL.into_iter().map(|one| (one, phase(one))).collect(),
            events: self.rows.values().map(|row| row.events.len() as u64).sum(),
            configs: configs().filter(|config| config.row.dead.is_none()).count() as u64,
            dead_configs: configs().filter(|config| config.row.dead.is_some()).count() as u64,
        }
    }
}

impl Row {
    /// Writes a step that fits. What the contract says never changes does not.
    fn advance(&mut self, step: Step) {
        let Step { task, events, document, .. } = step;
        let (owner, created_at) = (self.task.owner.clone(), self.task.created_at);
        if let Some(first) = events.first() {
            self.owe(task.seq, first.at);
        }
        if let Some(document) = document {
            (self.document, self.document_seq) = (document, task.seq);
        }
        self.task = moongate_core::Task { owner, created_at, ..task };
        self.events.extend(events);
        if self.task.phase != Phase::Sending {
            self.lease_until = None;
        }
    }

    fn passes(&self, filter: &Filter) -> bool {
        let task = &self.task;
        filter.agent.as_ref().is_none_or(|agent| task.agent == *agent)
            && !filter.without.iter().any(|(agent, skill)| task.agent == *agent && task.skill == *skill)
            && filter.context.as_ref().is_none_or(|context| task.context.as_ref() == Some(context))
            && filter.state.is_none_or(|state| task.state == state)
            && filter.since.is_none_or(|since| task.status_at >= since)
    }
}

/// The answer is known at once.
fn done<'a, T: Send + 'a>(answer: T) -> Later<'a, Result<T, Problem>> {
    Box::pin(ready(Ok(answer)))
}

impl Tasks for Memory {
    fn create(&self, new: NewTask) -> Later<'static, Result<Created, Problem>> {
        Box::pin(ready(law::new(&new).map(|()| self.tasks.lock().create(new))))
    }

    fn save(&self, step: Step) -> Later<'static, Result<Saved, Problem>> {
        Box::pin(ready(law::step(&step).map(|()| self.tasks.lock().save(step))))
    }

    fn get(&self, owner: Option<Arc<str>>, id: TaskId) -> Later<'static, Result<Option<Stored>, Problem>> {
        let rows = self.tasks.lock();
        let row = rows.by_id(&id).filter(|row| owner.is_none_or(|owner| row.task.owner == owner));
        done(row.map(Row::stored))
    }

    fn list(&self, filter: Filter) -> Later<'_, Result<Page, Problem>> {
        done(self.tasks.lock().list(&filter))
    }

    fn events(&self, id: TaskId, after: u64, limit: u32) -> Later<'_, Result<Vec<Event>, Problem>> {
        let rows = self.tasks.lock();
        let events = rows.by_id(&id).map(|row| row.behind(after)).unwrap_or_default();
        done(events.iter().take(limit as usize).cloned().collect())
    }

    fn conversation(&self, owner: Arc<str>, context: ContextId) -> Later<'static, Result<Option<Stored>, Problem>> {
        done(self.tasks.lock().conversation(owner, context))
    }

    fn upstream(&self, agent: AgentName, id: TaskId) -> Later<'static, Result<Option<Stored>, Problem>> {
        done(self.tasks.lock().upstream(agent, id))
    }

    fn claim(&self, claim: Claim) -> Later<'static, Result<Vec<Stored>, Problem>> {
        done(self.tasks.lock().claim(&claim))
    }

    fn renew(&self, held: Vec<(TaskId, Fence)>, until: Time) -> Later<'static, Result<Vec<TaskId>, Problem>> {
        done(self.tasks.lock().renew(held, until))
    }

    fn abandoned(&self, now: Time, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>> {
        done(self.tasks.lock().abandoned(now, limit))
    }

    fn waiting(&self) -> Later<'static, Result<Vec<Waiting>, Problem>> {
        done(self.tasks.lock().waiting())
    }

    fn running(&self, after: Option<TaskId>, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>> {
        done(self.tasks.lock().running(after, limit))
    }

    fn due(&self, now: Time, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>> {
        done(self.tasks.lock().due(now, limit))
    }

    fn put_config(&self, task: TaskId, config: PushRow) -> Later<'static, Result<bool, Problem>> {
        done(self.tasks.lock().put_config(&task, config))
    }

    fn remove_config(&self, task: TaskId, id: String) -> Later<'static, Result<bool, Problem>> {
        done(self.tasks.lock().remove_config(&task, &id))
    }

    fn deliveries(&self, now: Time, until: Time, limit: u32) -> Later<'static, Result<Vec<Delivery>, Problem>> {
        done(self.tasks.lock().deliveries(now, until, limit))
    }

    fn settle(&self, task: TaskId, config: String, seq: u64, end: Settled) -> Later<'static, Result<(), Problem>> {
        self.tasks.lock().settle(&task, &config, seq, end);
        done(())
    }

    fn next_delivery(&self) -> Later<'static, Result<Option<Time>, Problem>> {
        done(self.tasks.lock().next_delivery())
    }

    fn redrive_configs(&self, task: Option<TaskId>, now: Time) -> Later<'static, Result<u64, Problem>> {
        done(self.tasks.lock().redrive(task, now))
    }

    fn expire(&self, now: Time, before: Time, keep: u64, limit: u32) -> Later<'static, Result<u64, Problem>> {
        done(self.tasks.lock().expire(now, before, keep, limit))
    }

    fn census(&self) -> Later<'static, Result<Census, Problem>> {
        done(self.tasks.lock().census())
    }
}
