//! Asynchronous task management: which tasks passed here, whose they are, where they live and what became of them.
//!
//! The index is in memory in this version: it is lost when the gateway stops, and agents keep their own tasks. What it
//! decides: a task belongs to the principal that started it and nobody else learns that it exists; terminal states are
//! final; events of one task have gap-free numbers and reach every subscriber in one order. Following a task at its
//! agent is left to [`crate::supply`], changing the document to [`fold`].

pub mod fold;
pub mod list;
pub mod push;
pub mod row;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use moongate_core::seam::Clock;
use moongate_core::{AgentName, ContextId, InstanceId, Phase, Principal, SkillId, Task, TaskId, TaskState};
use parking_lot::Mutex;

pub use row::{Doc, Recorded, Row};

/// What a look-up by task id found.
pub enum Owned {
    /// The caller's own task.
    Yes(Arc<Row>),
    /// Somebody else's.
    No,
    /// No record.
    Unknown,
}

/// A task as an agent reported it for the first time.
pub struct Sighting<'a> {
    /// The agent's id for it.
    pub upstream_id: &'a str,
    /// The conversation.
    pub context: Option<&'a str>,
    /// Its state.
    pub state: TaskState,
    /// The task object, canonical JSON.
    pub document: Bytes,
    /// The agent.
    pub agent: AgentName,
    /// The instance.
    pub instance: InstanceId,
    /// The skill that was asked for.
    pub skill: Option<SkillId>,
}

/// How many conversations are remembered for each task that may be.
const CONTEXTS_PER_TASK: usize = 2;

#[derive(Default)]
struct Index {
    rows: HashMap<TaskId, Arc<Row>>,
    contexts: HashMap<ContextId, Conversation>,
    context_order: VecDeque<ContextId>,
    order: VecDeque<TaskId>,
    /// Tasks whose agent's id could not be used: by agent and that id.
    mapped: HashMap<(AgentName, String), TaskId>,
}

struct Conversation {
    owner: Arc<str>,
    agent: AgentName,
    instance: InstanceId,
}

/// All tasks that passed.
pub struct Tasks {
    index: Mutex<Index>,
    clock: Arc<dyn Clock>,
    limit: AtomicUsize,
}

impl Tasks {
    /// An empty index that holds at most `limit` tasks; beyond it the oldest finished ones are forgotten.
    pub fn new(clock: Arc<dyn Clock>, limit: usize) -> Self {
        Self { index: Mutex::new(Index::default()), clock, limit: AtomicUsize::new(limit) }
    }

    /// Changes the limit.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// How many tasks are remembered.
    pub fn len(&self) -> usize {
        self.index.lock().rows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks a task up for a caller.
    pub fn owned(&self, who: &Principal, id: &str) -> Owned {
        match self.index.lock().rows.get(id) {
            Some(row) if row.owner == who.id => Owned::Yes(row.clone()),
            Some(_) => Owned::No,
            None => Owned::Unknown,
        }
    }

    /// All tasks of a caller, in no order.
    pub fn all_of(&self, who: &Principal) -> Vec<Arc<Row>> {
        self.index.lock().rows.values().filter(|row| row.owner == who.id).cloned().collect()
    }

    /// Who answered in this conversation of the caller's.
    pub fn context_owner(&self, who: &Principal, context: &ContextId) -> Option<(AgentName, InstanceId)> {
        let index = self.index.lock();
        let conversation = index.contexts.get(context)?;
        (conversation.owner == who.id).then(|| (conversation.agent.clone(), conversation.instance.clone()))
    }

    /// Remembers who answers in a conversation.
    pub fn note_context(&self, who: &Principal, context: &str, agent: &AgentName, instance: &InstanceId) {
        let limit = self.limit.load(Ordering::Relaxed).saturating_mul(CONTEXTS_PER_TASK);
        note_context(&mut self.index.lock(), limit, &who.id, context, agent, instance);
    }

    /// The caller's row for a task that an agent reported; makes one at the first sight.
    ///
    /// The client's id is the agent's own where it fits into our paths and is free; otherwise a new one.
    pub fn sight(&self, who: &Principal, sighting: Sighting<'_>) -> (Arc<Row>, bool) {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut index = self.index.lock();
        if let Some(row) = index.rows.get(sighting.upstream_id)
            && row.owner == who.id
            && row.agent == sighting.agent
            && row.upstream_id() == sighting.upstream_id
        {
            return (row.clone(), false);
        }
        let taken = index.rows.contains_key(sighting.upstream_id) || !TaskId::is_path_safe(sighting.upstream_id);
        if taken {
            let key = (sighting.agent.clone(), sighting.upstream_id.to_owned());
            let known = index.mapped.get(&key).and_then(|id| index.rows.get(id)).filter(|row| row.owner == who.id);
            if let Some(row) = known {
                return (row.clone(), false);
            }
        }
        let id = if taken { TaskId::new(uuid::Uuid::new_v4().to_string()) } else { TaskId::from(sighting.upstream_id) };
        if let Some(context) = sighting.context {
            let contexts = limit.saturating_mul(CONTEXTS_PER_TASK);
            note_context(&mut index, contexts, &who.id, context, &sighting.agent, &sighting.instance);
        }
        if taken {
            index.mapped.insert((sighting.agent.clone(), sighting.upstream_id.to_owned()), id.clone());
        }
        let row = Arc::new(self.row(who, id.clone(), taken, sighting));
        index.rows.insert(id.clone(), row.clone());
        index.order.push_back(id);
        evict(&mut index, limit);
        (row, true)
    }

    fn row(&self, who: &Principal, id: TaskId, mapped: bool, sighting: Sighting<'_>) -> Row {
        let now = self.clock.now();
        let task = Task {
            id: id.clone(),
            owner: who.id.clone(),
            context: sighting.context.map(ContextId::from),
            agent: sighting.agent,
            instance: sighting.instance,
            skill: sighting.skill,
            upstream_id: mapped.then(|| TaskId::from(sighting.upstream_id)),
            state: sighting.state,
            phase: if sighting.state.is_terminal() { Phase::Done } else { Phase::Running },
            seq: 1,
            created_at: now,
            status_at: now,
        };
        Row::new(task, sighting.document, self.clock.clone())
    }
}

fn note_context(
    index: &mut Index,
    limit: usize,
    owner: &Arc<str>,
    context: &str,
    agent: &AgentName,
    instance: &InstanceId,
) {
    if let Some(known) = index.contexts.get_mut(context) {
        // A conversation never changes hands: an id is no secret, and whoever repeats it gains nothing.
        if known.owner == *owner {
            known.agent = agent.clone();
            known.instance = instance.clone();
        }
        return;
    }
    let id = ContextId::from(context);
    let conversation = Conversation { owner: owner.clone(), agent: agent.clone(), instance: instance.clone() };
    index.contexts.insert(id.clone(), conversation);
    index.context_order.push_back(id);
    while index.contexts.len() > limit {
        let Some(oldest) = index.context_order.pop_front() else { break };
        index.contexts.remove(&oldest);
    }
}

/// Forgets the oldest finished tasks until the limit holds; live ones only beyond twice the limit.
fn evict(index: &mut Index, limit: usize) {
    let mut looked = 0;
    while index.rows.len() > limit && looked < 64 {
        looked += 1;
        let Some(oldest) = index.order.pop_front() else { return };
        match index.rows.get(&oldest) {
            Some(row) if !row.state().is_terminal() && index.rows.len() <= limit.saturating_mul(2) => {
                index.order.push_back(oldest);
            }
            Some(row) => {
                if row.is_mapped() {
                    let key = (row.agent.clone(), row.upstream_id().to_owned());
                    index.mapped.remove(&key);
                }
                index.rows.remove(&oldest);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moongate_core::{Mono, Time};

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Time {
            Time(1_000)
        }
        fn mono(&self) -> Mono {
            Mono(0)
        }
    }

    fn sighting(id: &str, agent: &str, state: TaskState) -> Sighting<'static> {
        let document = format!(r#"{{"id":"{id}","status":{{"state":"TASK_STATE_WORKING"}}}}"#);
        Sighting {
            upstream_id: Box::leak(id.to_owned().into_boxed_str()),
            context: Some("c"),
            state,
            document: document.into(),
            agent: agent.into(),
            instance: agent.into(),
            skill: None,
        }
    }

    #[test]
    fn an_agent_cannot_squat_anothers_task_id() {
        let tasks = Tasks::new(Arc::new(Still), 10);
        let me = Principal::local("home");
        let (first, _) = tasks.sight(&me, sighting("t1", "lights", TaskState::Working));
        let (second, new) = tasks.sight(&me, sighting("t1", "lock", TaskState::Working));
        assert!(new);
        assert_eq!(first.id.as_str(), "t1");
        assert_ne!(second.id.as_str(), "t1");
        assert_eq!(second.upstream_id(), "t1");
        let (again, new) = tasks.sight(&me, sighting("t1", "lock", TaskState::Working));
        assert!(!new);
        assert_eq!(again.id, second.id);
    }

    #[test]
    fn a_strangers_task_and_conversation_are_not_seen() {
        let tasks = Tasks::new(Arc::new(Still), 10);
        let me = Principal::local("home");
        let mut other = Principal::local("home");
        other.id = "other".into();
        tasks.sight(&me, sighting("t1", "lights", TaskState::Working));
        assert!(matches!(tasks.owned(&other, "t1"), Owned::No));
        assert!(tasks.context_owner(&other, &"c".into()).is_none());
        assert!(tasks.all_of(&other).is_empty());
        assert!(matches!(tasks.owned(&me, "t1"), Owned::Yes(_)));
    }

    #[test]
    fn only_finished_tasks_are_forgotten() {
        let tasks = Tasks::new(Arc::new(Still), 2);
        let me = Principal::local("home");
        tasks.sight(&me, sighting("live", "a", TaskState::Working));
        for n in 0..5 {
            tasks.sight(&me, sighting(&format!("t{n}"), "a", TaskState::Completed));
        }
        assert_eq!(tasks.len(), 2);
        assert!(matches!(tasks.owned(&me, "live"), Owned::Yes(_)));
        assert!(matches!(tasks.owned(&me, "t4"), Owned::Yes(_)));
    }
}
