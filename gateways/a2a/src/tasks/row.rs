//! One task: its document, its event numbers, those who listen, and who feeds it.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::Clock;
use moongate_core::task::{self, Command, Rejected};
use moongate_core::{AgentName, ContextId, InstanceId, SkillId, Task, TaskId, TaskState, Time};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::broadcast;

use super::fold;
use super::push::PushConfig;

/// How many events a subscriber may lag behind before it is given the whole task again.
const BACKLOG: usize = 256;

/// The task object: as it came, until somebody has to change it.
pub enum Doc {
    /// Canonical JSON.
    Raw(Bytes),
    /// Parsed.
    Parsed(Box<Value>),
}

impl Doc {
    fn value(&mut self) -> &mut Value {
        if let Self::Raw(bytes) = self {
            let value = serde_json::from_slice(bytes).unwrap_or_else(|_| Value::Object(serde_json::Map::new()));
            *self = Self::Parsed(Box::new(value));
        }
        match self {
            Self::Parsed(value) => value,
            Self::Raw(_) => unreachable!("it was parsed above"),
        }
    }

    fn bytes(&self) -> Bytes {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Parsed(value) => serde_json::to_vec(value).unwrap_or_default().into(),
        }
    }
}

/// The part of a task object that lists are ordered by.
#[derive(serde::Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    status: OutlineStatus<'a>,
}

#[derive(serde::Deserialize)]
struct OutlineStatus<'a> {
    timestamp: Option<&'a str>,
}

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

struct State {
    task: Task,
    doc: Doc,
    feeders: u32,
    configs: Vec<Arc<PushConfig>>,
    /// Requests whose message may be missing from the document; looked at when somebody reads it.
    requests: Vec<Bytes>,
    messages: u32,
    /// Made when somebody first listens: most tasks end before anybody does.
    events: Option<broadcast::Sender<Arc<Recorded>>>,
}

impl State {
    /// The document with every user message in its history.
    fn told(&mut self) -> &mut Value {
        for request in std::mem::take(&mut self.requests) {
            if let Some(message) =
                serde_json::from_slice::<Value>(&request).ok().as_ref().and_then(|r| r.get("message"))
            {
                fold::ensure_message(self.doc.value(), message);
            }
        }
        self.doc.value()
    }

    fn listeners(&self) -> usize {
        self.events.as_ref().map_or(0, broadcast::Sender::receiver_count)
    }

    fn told_bytes(&mut self) -> Bytes {
        if !self.requests.is_empty() {
            self.told();
        }
        self.doc.bytes()
    }
}

/// A request larger than this is not kept until the document is read.
const KEPT_REQUEST: usize = 16 * 1024;

/// One task.
pub struct Row {
    /// The id that clients see.
    pub id: TaskId,
    /// The principal that started it.
    pub owner: Arc<str>,
    /// The agent.
    pub agent: AgentName,
    /// The instance.
    pub instance: InstanceId,
    /// The skill that was asked for.
    pub skill: Option<SkillId>,
    mapped: Option<TaskId>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Says that somebody feeds the row from its agent; ends when dropped.
pub struct Feeding(Arc<Row>);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.state.lock().feeders -= 1;
    }
}

impl Row {
    pub(super) fn new(task: Task, document: Bytes, clock: Arc<dyn Clock>) -> Self {
        Self {
            id: task.id.clone(),
            owner: task.owner.clone(),
            agent: task.agent.clone(),
            instance: task.instance.clone(),
            skill: task.skill.clone(),
            mapped: task.upstream_id.clone(),
            clock,
            state: Mutex::new(State {
                task,
                // A copy of its own: a slice would keep the whole buffer alive that the answer was read into.
                doc: Doc::Raw(Bytes::copy_from_slice(&document)),
                feeders: 0,
                configs: Vec::new(),
                requests: Vec::new(),
                messages: 0,
                events: None,
            }),
        }
    }

    /// The agent's id for the task.
    pub fn upstream_id(&self) -> &str {
        self.mapped.as_ref().unwrap_or(&self.id).as_str()
    }

    /// Whether clients see another id than the agent's.
    pub fn is_mapped(&self) -> bool {
        self.mapped.is_some()
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

    /// When the status last changed: as the agent says, else when we heard of it.
    pub fn status_at(&self) -> Time {
        let state = self.state.lock();
        let said = match &state.doc {
            Doc::Raw(bytes) => serde_json::from_slice::<Outline<'_>>(bytes)
                .ok()
                .and_then(|task| crate::moment::read(task.status.timestamp?)),
            Doc::Parsed(value) => {
                value.pointer("/status/timestamp").and_then(Value::as_str).and_then(crate::moment::read)
            }
        };
        said.unwrap_or(state.task.status_at)
    }

    /// The task object, canonical JSON.
    pub fn document(&self) -> Bytes {
        self.state.lock().told_bytes()
    }

    /// The task object as a value.
    pub fn value(&self) -> Value {
        self.state.lock().told().clone()
    }

    /// Whether anybody waits for events: subscribers or push configs.
    pub fn has_listeners(&self) -> bool {
        self.state.lock().listeners() > 0
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

    /// Follows the row from now on: the present document, and every later event, without gap or repetition.
    pub fn follow(&self) -> (Bytes, TaskState, broadcast::Receiver<Arc<Recorded>>) {
        let mut state = self.state.lock();
        let document = state.told_bytes();
        let events = match &state.events {
            Some(events) => events.subscribe(),
            None => {
                let (sender, receiver) = broadcast::channel(BACKLOG);
                state.events = Some(sender);
                receiver
            }
        };
        (document, state.task.state, events)
    }

    /// How many of the user's messages passed here.
    pub fn messages(&self) -> u32 {
        self.state.lock().messages
    }

    /// Remembers a request whose message belongs into the history, even if the agent forgets it.
    pub fn expect_message(&self, request: &Bytes) {
        let mut state = self.state.lock();
        state.messages += 1;
        if request.len() <= KEPT_REQUEST {
            state.requests.push(Bytes::copy_from_slice(request));
        } else {
            state.requests.push(request.clone());
            state.told();
        }
    }

    /// Takes over the task as an answer shows it, unless somebody feeds the row: then the same news come in order by the
    /// feed, and only the end is taken from here.
    pub fn reported(&self, document: Bytes, state: TaskState) {
        let fed = self.state.lock().feeders > 0;
        if !fed || state.is_terminal() {
            self.snapshot(document, state);
        }
    }

    /// Takes over the task as the agent reports it now. Differences become events for those who follow.
    pub fn snapshot(&self, document: Bytes, state: TaskState) {
        let mut held = self.state.lock();
        if let Doc::Raw(old) = &held.doc
            && *old == document
        {
            return;
        }
        let Ok(mut new) = serde_json::from_slice::<Value>(&document) else { return };
        fold::keep_messages(held.told(), &mut new);
        let events = fold::difference(held.doc.value(), &new);
        if held.task.state.is_terminal() {
            if held.task.state == state {
                held.doc = Doc::Parsed(Box::new(new));
            }
            return;
        }
        held.doc = Doc::Parsed(Box::new(new));
        if let Some(context) = held.doc.value().get("contextId").and_then(Value::as_str).map(ContextId::from) {
            held.task.context = Some(context);
        }
        for (event, command) in events {
            self.commit(&mut held, &event, command);
        }
        if !held.task.state.is_terminal() && held.task.state != state {
            let expected = held.task.seq;
            let _ = task::apply(&mut held.task, expected, Command::Status(state), self.clock.now());
        }
    }

    /// Takes over one event of the agent's stream: a `StreamResponse` with `statusUpdate` or `artifactUpdate`.
    pub fn event(&self, canonical: &Bytes) {
        let Ok(value) = serde_json::from_slice::<Value>(canonical) else { return };
        let mut held = self.state.lock();
        let Some(command) = fold::command(&value) else { return };
        if held.task.state.is_terminal() {
            return;
        }
        fold::apply(held.doc.value(), &value);
        self.commit(&mut held, &value, command);
    }

    fn commit(&self, held: &mut State, event: &Value, command: Command) {
        let expected = held.task.seq;
        match task::apply(&mut held.task, expected, command, self.clock.now()) {
            Ok(seq) => {
                let state = held.task.state;
                if let Some(events) = held.events.as_ref().filter(|events| events.receiver_count() > 0) {
                    let canonical = serde_json::to_vec(event).unwrap_or_default().into();
                    let _ = events.send(Arc::new(Recorded { seq, canonical, state }));
                }
            }
            Err(Rejected::Terminal | Rejected::Conflict(_)) => {
                tracing::debug!(task = %self.id, "a late event on a finished task was dropped");
            }
        }
    }

    /// The push configs, in the order of their making.
    pub fn configs(&self) -> Vec<Arc<PushConfig>> {
        self.state.lock().configs.clone()
    }

    /// Adds a push config, or replaces the one with its id. At most `limit` are kept.
    pub fn add_config(&self, config: Arc<PushConfig>, limit: usize) -> bool {
        let mut state = self.state.lock();
        state.configs.retain(|held| {
            let stays = held.id != config.id;
            if !stays {
                held.stop();
            }
            stays
        });
        if state.configs.len() >= limit {
            return false;
        }
        state.configs.push(config);
        true
    }

    /// Removes a push config; whether there was one.
    pub fn remove_config(&self, id: &str) -> bool {
        let mut state = self.state.lock();
        let before = state.configs.len();
        state.configs.retain(|config| {
            if config.id == id {
                config.stop();
                return false;
            }
            true
        });
        state.configs.len() != before
    }
}
