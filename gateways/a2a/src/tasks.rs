//! Asynchronous task management: which tasks passed here, whose they are, where they live and what became of them.
//!
//! The store has every task; rows in memory ([`shelf`]) are those that somebody needs at present. What is decided here: a task
//! belongs to the principal that started it and nobody else learns that it exists; terminal states are final; events of one
//! task have gap-free numbers and reach every subscriber in one order; nobody hears of a task before it is durable.
//! Following a task at its agent is left to [`crate::supply`], changing the document to [`fold`].
//!
//! - [`row`], [`doc`], [`saving`]: one task, its document, its way to the store
//! - [`queue`]: tasks that wait for their agent; [`clockwork`]: timeouts, retention, what a restart finds
//! - [`push`], [`courier`]: push configs, and their delivery
//! - [`control`]: pause, resume, and ends of the gateway's own; [`operator`]: what operators do; [`view`]: what they see

pub mod clockwork;
pub mod control;
pub mod courier;
pub mod doc;
pub mod fold;
pub mod list;
pub mod operator;
mod pace;
pub mod people;
pub mod push;
pub mod queue;
pub mod replay;
pub mod request;
pub mod row;
mod saving;
mod shelf;
pub mod view;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use moongate_core::seam::tasks::{Created, Event, Idempotency, NewTask, Stored};
use moongate_core::seam::{Clock, Store, Vault};
use moongate_core::task::Timeouts;
use moongate_core::{
    AgentName, Code, ContextId, InstanceId, Phase, Principal, Problem, SkillId, Task, TaskId, TaskState,
};
use parking_lot::Mutex;
use serde_json::Value;

use push::{PushConfig, wrap_task};
pub use row::{Following, Recorded, Row, Told};
use shelf::{Found, Home, Place};

/// What a look-up by task id found.
pub enum Owned {
    /// The caller's own task.
    Yes(Arc<Row>),
    /// Somebody else's, or nobody's.
    No,
}

/// What every new task gets.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Its urgency.
    pub priority: u8,
    /// What the caller asked for, as the store keeps it ([`request`]).
    pub request: Bytes,
    /// A push config that came with the request; it becomes the task's under whatever id that gets.
    pub config: Option<Arc<PushConfig>>,
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
    /// What it gets.
    pub terms: Terms,
    /// Whether the caller may hear of it before it is durable.
    pub relaxed: bool,
}

/// A task that the gateway makes, for an agent that has not heard of it.
pub struct Order {
    /// Its id, a fresh one.
    pub id: TaskId,
    /// The agent.
    pub agent: AgentName,
    /// The skill that was asked for.
    pub skill: Option<SkillId>,
    /// The conversation.
    pub context: ContextId,
    /// The task object without its ids and status: history and metadata.
    pub document: Value,
    /// Its idempotency key.
    pub idempotency: Option<Idempotency>,
    /// People must say yes before it goes out.
    pub held: Option<Held>,
    /// It is refused if so many tasks wait already.
    pub most_waiting: u64,
    /// What it gets.
    pub terms: Terms,
}

/// How a task waits for people.
pub struct Held {
    /// Its id, which the question names.
    pub id: TaskId,
    /// The question.
    pub approval: Arc<str>,
    /// What its caller is told.
    pub text: String,
    /// The same for programs.
    pub about: Value,
}

/// What came of an order.
pub enum Placed {
    /// A new task, and its task object as it was made.
    New(Arc<Row>, Bytes),
    /// The same order came before under the same key.
    Repeated(TaskId),
}

/// How many conversations are remembered.
const CONVERSATIONS: usize = 16_384;

#[derive(Default)]
struct Conversations {
    held: HashMap<ContextId, Conversation>,
    order: VecDeque<ContextId>,
}

struct Conversation {
    owner: Arc<str>,
    agent: AgentName,
    instance: InstanceId,
}

/// All tasks that passed.
pub struct Tasks {
    home: Arc<Home>,
    conversations: Mutex<Conversations>,
    /// Something may be ready to go out.
    pub(crate) ready: tokio::sync::Notify,
}

/// The store closes once nobody needs it, and writes down what it was asked to.
impl Drop for Tasks {
    fn drop(&mut self) {
        self.home.clear();
    }
}

impl Tasks {
    /// The tasks of a store; `vault` keeps push configs' credentials from whoever reads its files.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, vault: Arc<dyn Vault>) -> Self {
        let home = Arc::new(Home::new(store, clock, vault));
        Self { home, conversations: Mutex::default(), ready: tokio::sync::Notify::new() }
    }

    /// The store beneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.home.store
    }

    /// How many tasks are in memory.
    pub fn in_memory(&self) -> usize {
        self.home.count()
    }

    /// The caller's task, if it is in memory; [`Tasks::recall`] brings it there.
    pub fn owned(&self, who: &Principal, id: &str) -> Owned {
        match self.home.held(id) {
            Some(row) if row.owner == who.id => Owned::Yes(row),
            _ => Owned::No,
        }
    }

    /// Any task that is in memory.
    pub(crate) fn held(&self, id: &str) -> Option<Arc<Row>> {
        self.home.held(id)
    }

    /// The caller's task, from wherever it is.
    ///
    /// # Errors
    /// What keeps the store from being read.
    pub async fn recall(&self, who: &Principal, id: &TaskId) -> Result<Option<Arc<Row>>, Problem> {
        Ok(self.fetch(Some(who.id.clone()), id).await?.filter(|row| row.owner == who.id))
    }

    /// Any task, for the gateway itself and its operator.
    ///
    /// # Errors
    /// What keeps the store from being read.
    pub async fn any(&self, id: &TaskId) -> Result<Option<Arc<Row>>, Problem> {
        self.fetch(None, id).await
    }

    /// The row of a task that a worker has claimed; `None` if it was ended, held or taken meanwhile.
    pub(crate) async fn take_up(&self, stored: Stored) -> Option<Arc<Row>> {
        match self.home.find(&stored.task.id).await {
            Found::Here(row) => {
                // What was on its way to the store may have come before the claim, or be refused because of it.
                let _ = row.saved().await;
                row.claimed(&stored.task).then_some(row)
            }
            Found::Place(place) => Some(place.put(Row::stored(stored, self.home.clone()))),
        }
    }

    /// Keeps a push config of a task; events behind number `delivered` are delivered by it.
    ///
    /// # Errors
    /// What keeps the store from taking it; `TaskNotFound` if the task is gone.
    pub(crate) async fn keep_config(
        &self,
        row: &Row,
        config: &PushConfig,
        mut delivered: u64,
        replaces: bool,
    ) -> Result<(), Problem> {
        // What was owed to the one that is replaced is owed to this one.
        if replaces && let Some(stored) = self.home.store.tasks().get(None, row.id.clone()).await? {
            let old = stored.configs.iter().find(|held| held.id == config.id);
            delivered = old.map_or(delivered, |old| old.delivered.min(delivered));
        }
        let kept = config.row(&*self.home.vault, delivered, self.home.clock.now());
        if !self.home.store.tasks().put_config(row.id.clone(), kept).await? {
            return Err(Problem::new(Code::TaskNotFound, format!("the task {} is gone", row.id)));
        }
        self.home.deliver.notify_one();
        Ok(())
    }

    async fn fetch(&self, owner: Option<Arc<str>>, id: &TaskId) -> Result<Option<Arc<Row>>, Problem> {
        match self.home.find(id).await {
            Found::Here(row) => Ok(Some(row)),
            Found::Place(place) => match self.home.store.tasks().get(owner, id.clone()).await? {
                Some(stored) => Ok(Some(place.put(Row::stored(stored, self.home.clone())))),
                None => Ok(None),
            },
        }
    }

    /// Who answered in this conversation of the caller's, as far as memory goes.
    pub fn context_owner(&self, who: &Principal, context: &ContextId) -> Option<(AgentName, InstanceId)> {
        let conversations = self.conversations.lock();
        let conversation = conversations.held.get(context)?;
        (conversation.owner == who.id).then(|| (conversation.agent.clone(), conversation.instance.clone()))
    }

    /// Looks for a conversation among the caller's tasks, so that [`Tasks::context_owner`] knows it.
    ///
    /// # Errors
    /// What keeps the store from being read.
    pub async fn recall_context(&self, who: &Principal, context: &ContextId) -> Result<(), Problem> {
        if self.context_owner(who, context).is_some() {
            return Ok(());
        }
        let found = self.home.store.tasks().conversation(who.id.clone(), context.clone()).await?;
        if let Some((task, instance)) = found.and_then(|stored| Some((stored.task.clone(), stored.task.instance?))) {
            self.note_context(who, context.as_str(), &task.agent, &instance);
        }
        Ok(())
    }

    /// Remembers who answers in a conversation.
    pub fn note_context(&self, who: &Principal, context: &str, agent: &AgentName, instance: &InstanceId) {
        let mut conversations = self.conversations.lock();
        if let Some(known) = conversations.held.get_mut(context) {
            // A conversation never changes hands: an id is no secret, and whoever repeats it gains nothing.
            if known.owner == who.id {
                known.agent = agent.clone();
                known.instance = instance.clone();
            }
            return;
        }
        let id = ContextId::from(context);
        let conversation = Conversation { owner: who.id.clone(), agent: agent.clone(), instance: instance.clone() };
        conversations.held.insert(id.clone(), conversation);
        conversations.order.push_back(id);
        while conversations.held.len() > CONVERSATIONS {
            let Some(oldest) = conversations.order.pop_front() else { break };
            conversations.held.remove(&oldest);
        }
    }

    /// The caller's row for a task that an agent reported; makes one at the first sight. It is durable when this returns,
    /// unless `relaxed` is set.
    ///
    /// The client's id is the agent's own where it fits into our paths and is free; otherwise a new one.
    ///
    /// # Errors
    /// What keeps the store from taking it.
    pub async fn sight(&self, who: &Principal, sighting: Sighting<'_>) -> Result<(Arc<Row>, bool), Problem> {
        let upstream = TaskId::from(sighting.upstream_id);
        if let Some(context) = sighting.context {
            self.note_context(who, context, &sighting.agent, &sighting.instance);
        }
        let is_it = |task: &Task| {
            task.owner == who.id
                && task.agent == sighting.agent
                && task.upstream_id.as_ref().unwrap_or(&task.id) == &upstream
        };
        if TaskId::is_path_safe(sighting.upstream_id) {
            match self.home.find(&upstream).await {
                Found::Here(row) if is_it(&row.task()) => return Ok((row, false)),
                Found::Here(_) => {}
                Found::Place(place) => {
                    let task = self.seen(who, upstream.clone(), None, &sighting);
                    let row = self.made(task, &sighting.document, &sighting.terms);
                    let place = match self.create(place, row, &sighting).await? {
                        Ok(row) => return Ok((row, true)),
                        Err(place) => place,
                    };
                    let stored = self.home.store.tasks().get(Some(who.id.clone()), upstream.clone()).await?;
                    if let Some(stored) = stored.filter(|stored| is_it(&stored.task)) {
                        return Ok((place.put(Row::stored(stored, self.home.clone())), false));
                    }
                }
            }
        }
        let known = self.home.store.tasks().upstream(sighting.agent.clone(), upstream.clone()).await?;
        if let Some(stored) = known.filter(|stored| stored.task.owner == who.id && is_it(&stored.task))
            && let Some(row) = self.recall(who, &stored.task.id).await?
        {
            return Ok((row, false));
        }
        self.sight_under_another_id(who, &upstream, sighting).await
    }

    /// An id that nobody can guess and that grows with time: new rows then stand together in the store's indexes.
    pub fn fresh_id(&self) -> TaskId {
        let now = self.home.clock.now().0;
        let nanoseconds = u32::try_from(now % 1000).unwrap_or_default() * 1_000_000;
        let moment = uuid::Timestamp::from_unix(uuid::NoContext, now / 1000, nanoseconds);
        TaskId::new(uuid::Uuid::new_v7(moment).to_string())
    }

    async fn sight_under_another_id(
        &self,
        who: &Principal,
        upstream: &TaskId,
        sighting: Sighting<'_>,
    ) -> Result<(Arc<Row>, bool), Problem> {
        let id = self.fresh_id();
        let Found::Place(place) = self.home.find(&id).await else {
            return Err(Problem::new(Code::Internal, "a random id was taken"));
        };
        let mut document: Value = serde_json::from_slice(&sighting.document).unwrap_or_default();
        crate::supply::rename(&mut document, upstream.as_str(), id.as_str());
        let document: Bytes = serde_json::to_vec(&document).unwrap_or_default().into();
        let row = self.made(self.seen(who, id, Some(upstream.clone()), &sighting), &document, &sighting.terms);
        match self.create(place, row, &sighting).await? {
            Ok(row) => Ok((row, true)),
            Err(_) => Err(Problem::new(Code::Internal, "a random id was taken")),
        }
    }

    fn seen(&self, who: &Principal, id: TaskId, upstream_id: Option<TaskId>, sighting: &Sighting<'_>) -> Task {
        let now = self.home.clock.now();
        let mut task = Task {
            context: sighting.context.map(ContextId::from),
            instance: Some(sighting.instance.clone()),
            skill: sighting.skill.clone(),
            upstream_id,
            state: sighting.state,
            phase: if sighting.state.is_terminal() { Phase::Done } else { Phase::Running },
            priority: sighting.terms.priority,
            timeouts: sighting.terms.timeouts,
            status_at: fold::status_at_raw(&sighting.document).unwrap_or(now),
            ..Task::new(id, who.id.clone(), sighting.agent.clone(), now)
        };
        task.schedule(now);
        task
    }

    fn made(&self, task: Task, document: &Bytes, terms: &Terms) -> Row {
        let row = Row::fresh(task, document, self.home.clone());
        if let Some(config) = &terms.config {
            row.add_config(Arc::new(PushConfig::clone(config).of_task(row.id.as_str())));
        }
        row
    }

    /// Gives a new task to the store, and its row the place; the place is given back if the id is taken.
    async fn create<'p>(
        &self,
        place: Place<'p>,
        row: Row,
        sighting: &Sighting<'_>,
    ) -> Result<Result<Arc<Row>, Place<'p>>, Problem> {
        let mut created = self.home.store.tasks().create(self.new_task(&row, &sighting.terms, None));
        let known = match (&mut created).now_or_never() {
            Some(created) => created?,
            None if !sighting.relaxed => created.await?,
            None => {
                // Here until it is there: whoever asks meanwhile finds it.
                let row = place.put(row);
                self.owes(&sighting.terms);
                let held = row.clone();
                tokio::spawn(async move {
                    match created.await {
                        Ok(Created::New) => {}
                        other => {
                            tracing::error!(task = %held.id, ?other, "a task that was relayed could not be recorded")
                        }
                    }
                });
                return Ok(Ok(row));
            }
        };
        if known != Created::New {
            return Ok(Err(place));
        }
        self.owes(&sighting.terms);
        Ok(Ok(place.put(row)))
    }

    /// A new task that came with a push config owes its first event.
    fn owes(&self, terms: &Terms) {
        if terms.config.is_some() {
            self.home.deliver.notify_one();
        }
    }

    fn new_task(&self, row: &Row, terms: &Terms, idempotency: Option<Idempotency>) -> NewTask {
        let (task, document) = (row.task(), row.document());
        let now = self.home.clock.now();
        let configs = row.configs().iter().map(|config| config.row(&*self.home.vault, 0, now)).collect();
        let first = Event { seq: 1, at: now, state: task.state, payload: wrap_task(&document) };
        NewTask {
            task,
            document,
            first,
            request: Some(terms.request.clone()),
            idempotency,
            configs,
            most_waiting: None,
        }
    }

    /// Makes a task of the gateway's own, durable when this returns.
    ///
    /// # Errors
    /// `KeyReused` if another order came under the same key; `TooManyWaiting`; what keeps the store from taking it.
    pub async fn place(&self, who: &Principal, order: Order) -> Result<Placed, Problem> {
        let now = self.home.clock.now();
        let id = order.id.clone();
        let Found::Place(place) = self.home.find(&id).await else {
            return Err(Problem::new(Code::Internal, "a random id was taken"));
        };
        let mut task = Task {
            context: Some(order.context.clone()),
            skill: order.skill,
            next_run_at: Some(now),
            priority: order.terms.priority,
            timeouts: order.terms.timeouts,
            ..Task::new(id.clone(), who.id.clone(), order.agent, now)
        };
        task.schedule(now);
        if order.held.is_some() {
            task.hold_for_people(now);
        }
        let document = control::made(order.document, &task, order.held.as_ref(), now);
        let row = self.made(task, &document, &order.terms);
        match self
            .home
            .store
            .tasks()
            .create(NewTask {
                most_waiting: Some(order.most_waiting),
                ..self.new_task(&row, &order.terms, order.idempotency)
            })
            .await?
        {
            Created::New => {
                let row = place.put(row);
                self.owes(&order.terms);
                self.ready.notify_one();
                Ok(Placed::New(row, document))
            }
            Created::Repeated(id) => Ok(Placed::Repeated(id)),
            Created::KeyReused => {
                Err(Problem::new(Code::KeyReused, "the idempotency key came before, with another request")
                    .field("Idempotency-Key", "names another request"))
            }
            Created::Full(waiting) => Err(Problem::new(Code::TooManyWaiting, format!("{waiting} tasks wait already"))),
            Created::Taken => Err(Problem::new(Code::Internal, "a random id was taken")),
        }
    }
}

#[cfg(test)]
mod tests;
