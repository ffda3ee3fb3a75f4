//! One task in memory: its document, its event numbers, those who listen, and who feeds it.
//!
//! A row is here while somebody needs it; the store has every task. What changes is handed to the store at once
//! ([`super::saving`]) and told to those who follow; the end of a task only once it is durable, so that nobody hears an end
//! that a crash could take back.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::tasks::{Event, Stored};
use moongate_core::task::{self, Command, Fence, Rejected, Timeout};
use moongate_core::{AgentName, Code, ContextId, InstanceId, Phase, Problem, SkillId, Task, TaskId, TaskState, Time};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};

use super::doc::Doc;
use super::fold;
use super::push::{self, PushConfig};
use super::shelf::Home;

/// How many events a subscriber may lag behind before it reads what it missed from the store.
const BACKLOG: usize = 256;
/// Events, and their bytes, that may wait for a store that does not take them.
const STUCK: usize = 4096;
const STUCK_BYTES: usize = 32 * 1024 * 1024;
/// With so many bytes waiting, no more are read from the agent until the store has caught up.
const CROWD_BYTES: usize = 4 * 1024 * 1024;

/// One event of a task, as every subscriber gets it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its number.
    pub seq: u64,
    /// The `StreamResponse`, canonical JSON, with the client's ids.
    pub canonical: Bytes,
    /// The task's state afterwards.
    pub state: TaskState,
}

pub(super) struct State {
    pub(super) task: Task,
    pub(super) doc: Doc,
    /// About how many bytes its document has.
    weight: usize,
    feeders: u32,
    configs: Vec<Arc<PushConfig>>,
    messages: u32,
    /// Made when somebody first listens: most tasks end before anybody does.
    events: Option<broadcast::Sender<Arc<Recorded>>>,
    /// Events that the store has not been given.
    pub(super) unsaved: Vec<Event>,
    /// Events on their way to the store.
    pub(super) on_the_way: Vec<Event>,
    /// How many bytes both have.
    pub(super) unsaved_bytes: usize,
    /// Whether a hand-over is under way.
    pub(super) saving: bool,
    /// Where the store's row stands, as far as we were told.
    pub(super) saved: Fence,
    /// Whether the store's document, or its columns, lack something that is no event.
    pub(super) owes: bool,
    /// Events since the store was last given the document.
    pub(super) since_document: usize,
    /// What is told once it is durable.
    pub(super) held_back: Vec<Arc<Recorded>>,
    /// Why the store does not take it.
    pub(super) trouble: Option<Problem>,
    /// Whether the record has gone on without this row.
    pub(super) lost: bool,
    pub(super) landed: Option<Arc<Notify>>,
}

impl State {
    fn listeners(&self) -> usize {
        self.events.as_ref().map_or(0, broadcast::Sender::receiver_count)
    }

    fn listen(&mut self) -> broadcast::Receiver<Arc<Recorded>> {
        self.events.get_or_insert_with(|| broadcast::Sender::new(BACKLOG)).subscribe()
    }

    /// Whether as much waits for the store as may.
    fn is_stuck(&self) -> bool {
        self.unsaved.len() + self.on_the_way.len() >= STUCK || self.unsaved_bytes >= STUCK_BYTES
    }

    pub(super) fn configs_empty(&self) -> bool {
        self.configs.is_empty()
    }

    /// The record has gone on without this row: nobody is told anything by it any more.
    pub(super) fn lose(&mut self, why: Problem) {
        self.unsaved.clear();
        self.unsaved_bytes = 0;
        self.on_the_way.clear();
        self.held_back.clear();
        self.events = None;
        self.lost = true;
        self.trouble = Some(why);
    }

    pub(super) fn tell(&self, event: Arc<Recorded>) {
        if let Some(events) = self.events.as_ref().filter(|events| events.receiver_count() > 0) {
            let _ = events.send(event);
        }
    }
}

/// One task.
pub struct Row {
    /// The id that clients see.
    pub id: TaskId,
    /// The principal that started it.
    pub owner: Arc<str>,
    /// The agent.
    pub agent: AgentName,
    /// The skill that was asked for.
    pub skill: Option<SkillId>,
    pub(super) home: Arc<Home>,
    pub(super) state: Mutex<State>,
}

/// Says that somebody feeds the row from its agent; ends when dropped.
pub struct Feeding(Arc<Row>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.state.lock().feeders -= 1;
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let weight = self.state.get_mut().weight;
        self.home.left(&self.id, weight);
    }
}

impl Row {
    /// A task that the store is being given as it stands here.
    pub(super) fn fresh(task: Task, document: &Bytes, home: Arc<Home>) -> Self {
        Self::with(task, Doc::new(document), document.len(), home)
    }

    /// A task that the store has.
    pub(super) fn stored(stored: Stored, home: Arc<Home>) -> Self {
        let doc = Doc::stored(&stored);
        let weight = stored.document.len() + stored.tail.iter().map(|event| event.payload.len()).sum::<usize>();
        let configs = stored.configs.iter().filter_map(|row| PushConfig::stored(row, &*home.vault)).map(Arc::new);
        let configs = configs.collect();
        let row = Self::with(stored.task, doc, weight, home);
        row.state.lock().configs = configs;
        row
    }

    fn with(task: Task, doc: Doc, weight: usize, home: Arc<Home>) -> Self {
        home.weighs(0, weight);
        Self {
            id: task.id.clone(),
            owner: task.owner.clone(),
            agent: task.agent.clone(),
            skill: task.skill.clone(),
            home,
            state: Mutex::new(State {
                saved: task.fence(),
                task,
                doc,
                weight,
                feeders: 0,
                configs: Vec::new(),
                messages: 0,
                events: None,
                unsaved: Vec::new(),
                unsaved_bytes: 0,
                on_the_way: Vec::new(),
                saving: false,
                owes: false,
                since_document: 0,
                held_back: Vec::new(),
                trouble: None,
                lost: false,
                landed: None,
            }),
        }
    }

    /// The agent's id for the task.
    pub fn upstream_id(&self) -> TaskId {
        self.state.lock().task.upstream_id.clone().unwrap_or_else(|| self.id.clone())
    }

    /// Whether clients see another id than the agent's.
    pub fn is_mapped(&self) -> bool {
        self.state.lock().task.upstream_id.is_some()
    }

    /// The instance that owns it; `None` until one has it.
    pub fn instance(&self) -> Option<InstanceId> {
        self.state.lock().task.instance.clone()
    }

    /// The conversation.
    pub fn context(&self) -> Option<ContextId> {
        self.state.lock().task.context.clone()
    }

    /// The number of the newest event.
    pub fn seq(&self) -> u64 {
        self.state.lock().task.seq
    }

    /// The present state.
    pub fn state(&self) -> TaskState {
        self.state.lock().task.state
    }

    /// Its place in the queue.
    pub fn phase(&self) -> Phase {
        self.state.lock().task.phase
    }

    /// A copy of what the gateway knows of it.
    pub fn task(&self) -> Task {
        self.state.lock().task.clone()
    }

    /// The task object, canonical JSON.
    pub fn document(&self) -> Bytes {
        self.state.lock().doc.bytes()
    }

    /// The task object as a value.
    pub fn value(&self) -> Value {
        self.state.lock().doc.value().clone()
    }

    /// Whether anybody waits for events.
    pub fn has_listeners(&self) -> bool {
        self.state.lock().listeners() > 0
    }

    /// Whether anybody is told of events: who listens, and receivers of push notifications.
    pub fn is_followed(&self) -> bool {
        let state = self.state.lock();
        state.listeners() > 0 || !state.configs.is_empty()
    }

    /// Claims the right to feed the row, unless somebody has it.
    pub fn feed(self: &Arc<Self>) -> Option<Feeding> {
        let mut state = self.state.lock();
        if state.feeders > 0 {
            return None;
        }
        state.feeders = 1;
        Some(Feeding(self.clone()))
    }

    /// Follows the row from now on: the present document and its number, and every later event, without gap or repetition.
    pub fn follow(&self) -> Following {
        let mut state = self.state.lock();
        let (document, events) = (state.doc.bytes(), state.listen());
        // What is held back is in the document, and will be told all the same: whoever follows counts from before it.
        let seq = state.held_back.first().map_or(state.task.seq, |held| held.seq - 1);
        Following { document, seq, state: state.task.state, events }
    }

    /// Whether the record has gone on without this row: nothing is told by it any more.
    pub fn is_lost(&self) -> bool {
        self.state.lock().lost
    }

    /// Every event that is told from now on, for those who need no document.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Recorded>> {
        self.state.lock().listen()
    }

    /// About how many bytes its document has.
    pub(super) fn weight(&self) -> usize {
        self.state.lock().weight
    }

    /// How many of the user's messages passed here since the row is in memory.
    pub fn messages(&self) -> u32 {
        self.state.lock().messages
    }

    /// Remembers a request whose message belongs into the history, even if the agent forgets it.
    pub fn expect_message(self: &Arc<Self>, request: &Bytes) {
        let mut state = self.state.lock();
        state.messages += 1;
        state.doc.expect(request);
        // The first message is kept with the task's request.
        if state.messages > 1 && !state.task.state.is_terminal() {
            state.owes = true;
            self.hand_over(&mut state);
        }
    }

    /// Takes over the task as an answer shows it, unless somebody feeds the row: then the same news come in order by the
    /// feed, and only the end is taken from here, and that a question has been answered.
    pub fn reported(self: &Arc<Self>, document: Bytes, state: TaskState) {
        let (fed, waits) = {
            let held = self.state.lock();
            (held.feeders > 0, held.task.state.is_interrupted())
        };
        if !fed || state.is_terminal() || (waits && !state.is_interrupted()) {
            self.snapshot(document);
        }
    }

    /// Takes over the task as the agent reports it now. Differences become events for those who follow.
    pub fn snapshot(self: &Arc<Self>, document: Bytes) {
        let mut held = self.state.lock();
        // What the store does not take now is seen again at the next look.
        if held.doc.is(&document) || held.lost || held.is_stuck() {
            return;
        }
        let Ok(mut new) = serde_json::from_slice::<Value>(&document) else { return };
        fold::keep_messages(held.doc.value(), &mut new);
        let events = fold::difference(held.doc.value(), &new);
        if held.task.state.is_terminal() {
            return;
        }
        let said = fold::status_at(&new);
        if let Some(context) = new.get("contextId").and_then(Value::as_str).map(ContextId::from) {
            held.task.context = Some(context);
        }
        held.doc.replace(new);
        self.weighs(&mut held, document.len());
        held.owes = true;
        for (event, command) in events {
            let event = serde_json::to_vec(&event).unwrap_or_default().into();
            self.commit(&mut held, event, command, said);
        }
        self.hand_over(&mut held);
    }

    /// Waits until the store has caught up, if it is far behind: whoever reads an agent's stream asks before each event, and so
    /// reads no faster than the disk writes.
    pub async fn room(&self) {
        let crowded = self.state.lock().unsaved_bytes >= CROWD_BYTES;
        if crowded {
            // What keeps the store from taking it is told where the event is.
            let _ = self.saved().await;
        }
    }

    /// Takes over one event of the agent's stream: a `StreamResponse` with `statusUpdate` or `artifactUpdate`. Its number, if
    /// it has one.
    ///
    /// # Errors
    /// `StoreUnusable` when the store has not taken the task's events for so long that no more are kept.
    pub fn event(self: &Arc<Self>, canonical: &Bytes) -> Result<Option<u64>, Problem> {
        let Some((command, said)) = fold::command(canonical) else { return Ok(None) };
        let mut held = self.state.lock();
        if held.task.state.is_terminal() {
            return Ok(None);
        }
        if held.lost || held.is_stuck() {
            let detail = "the task's events cannot be recorded, so no more are taken";
            return Err(Problem::new(Code::StoreUnusable, detail));
        }
        let event = Bytes::copy_from_slice(canonical);
        held.doc.push(event.clone());
        let weight = held.weight + event.len();
        self.weighs(&mut held, weight);
        self.commit(&mut held, event, command, said);
        let seq = held.task.seq;
        self.hand_over(&mut held);
        Ok(Some(seq))
    }

    /// Its document has about so many bytes now.
    pub(super) fn weighs(&self, held: &mut State, weight: usize) {
        self.home.weighs(held.weight, weight);
        held.weight = weight;
    }

    /// Numbers an event that is in the document already, and tells it.
    fn commit(&self, held: &mut State, payload: Bytes, command: Command, said: Option<Time>) {
        let (expected, now) = (held.task.fence(), self.home.clock.now());
        match task::apply(&mut held.task, expected, command, now) {
            Ok(_) => {
                if let Some(said) = said {
                    held.task.status_at = said;
                }
                self.record(held, payload, now);
            }
            Err(Rejected::Terminal | Rejected::Conflict(_) | Rejected::OutOfPlace(_)) => {
                tracing::debug!(task = %self.id, "a late event on a finished task was dropped");
            }
        }
    }

    fn record(&self, held: &mut State, payload: Bytes, now: Time) {
        let (seq, state) = (held.task.seq, held.task.state);
        let event = Arc::new(Recorded { seq, canonical: payload.clone(), state });
        held.unsaved_bytes += payload.len();
        held.unsaved.push(Event { seq, at: now, state, payload });
        if state.is_terminal() {
            held.held_back.push(event);
        } else {
            held.tell(event);
        }
    }

    /// A change of the gateway's own, with what clients are told of it: the state, words, and metadata.
    ///
    /// # Errors
    /// As [`task::apply`].
    pub fn change(self: &Arc<Self>, command: Command, told: Told<'_>) -> Result<(), Rejected> {
        let mut held = self.state.lock();
        let (expected, now) = (held.task.fence(), self.home.clock.now());
        let seen = task::apply(&mut held.task, expected, command, now)?;
        held.owes = true;
        if seen {
            let event = told.event(&self.id, &held.task, now);
            let payload: Bytes = serde_json::to_vec(&event).unwrap_or_default().into();
            held.doc.push(payload.clone());
            self.record(&mut held, payload, now);
        }
        self.hand_over(&mut held);
        Ok(())
    }

    /// A worker has claimed the task in the store; whether it is still to be sent.
    pub fn claimed(&self, claimed: &Task) -> bool {
        let mut held = self.state.lock();
        // Read from the store since: it is as the worker left it, and an attempt is one worker's alone.
        if held.task.fence() == claimed.fence() {
            return true;
        }
        // Whatever has happened to it since the claim is in the store by now, and makes it ready anew if it is.
        if held.task.phase != Phase::Ready || held.task.seq != claimed.seq {
            return false;
        }
        held.task.phase = claimed.phase;
        held.task.attempt = claimed.attempt;
        held.task.next_run_at = claimed.next_run_at;
        held.saved = claimed.fence();
        true
    }

    /// The timeout that has struck by `now`.
    pub fn overdue(&self, now: Time) -> Option<Timeout> {
        self.state.lock().task.overdue(now)
    }

    /// The push configs, in the order of their making.
    pub fn configs(&self) -> Vec<Arc<PushConfig>> {
        self.state.lock().configs.clone()
    }

    /// Adds a push config, or replaces the one with its id; whether there was room for it.
    pub fn add_config(&self, config: Arc<PushConfig>) -> bool {
        let mut state = self.state.lock();
        state.configs.retain(|held| held.id != config.id);
        if state.configs.len() >= push::LIMIT {
            return false;
        }
        state.configs.push(config);
        true
    }

    /// Removes a push config; whether there was one.
    pub fn remove_config(&self, id: &str) -> bool {
        let mut state = self.state.lock();
        let before = state.configs.len();
        state.configs.retain(|config| config.id != id);
        state.configs.len() != before
    }
}

/// What somebody who begins to follow gets.
pub struct Following {
    /// The task object, canonical JSON.
    pub document: Bytes,
    /// The number of the newest event that has been told.
    pub seq: u64,
    /// The state.
    pub state: TaskState,
    /// What comes.
    pub events: broadcast::Receiver<Arc<Recorded>>,
}

/// What clients are told of a change of the gateway's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// Words of the gateway's.
    pub text: &'a str,
    /// A whole message of the agent's instead.
    pub message: Option<&'a Value>,
    /// Metadata of status message and task: a URI and its value.
    pub metadata: Option<(&'a str, &'a Value)>,
}

impl Told<'_> {
    fn event(&self, id: &TaskId, task: &Task, now: Time) -> Value {
        let context = task.context.as_ref().map_or("", |context| context.as_str());
        let mut status = json!({"state": fold::state_name(task.state), "timestamp": crate::moment::write(now)});
        let said = match (self.message, self.text) {
            (Some(message), _) => Some(message.clone()),
            (None, "") => None,
            (None, text) => {
                let mut message = json!({"messageId": uuid::Uuid::new_v4().to_string(), "role": "ROLE_AGENT",
                    "taskId": id.as_str(), "contextId": context, "parts": [{"text": text}]});
                if let Some((uri, value)) = self.metadata {
                    set(&mut message, "metadata", json!({ uri: value }));
                }
                Some(message)
            }
        };
        if let Some(said) = said {
            set(&mut status, "message", said);
        }
        let mut update = json!({"taskId": id.as_str(), "contextId": context, "status": status});
        if let Some((uri, value)) = self.metadata {
            set(&mut update, "metadata", json!({ uri: value }));
        }
        json!({ "statusUpdate": update })
    }
}

fn set(value: &mut Value, name: &str, member: Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), member);
    }
}
