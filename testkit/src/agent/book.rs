//! The tasks of an agent: what is still to happen to each, and who hears of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::{Semaphore, broadcast, watch};

/// Something that will happen to a task.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A new state, with words.
    Status(&'static str, Option<String>),
    /// A chunk of the artifact.
    Chunk { text: String, append: bool, last: bool },
    /// Waits for a release.
    Gate,
    /// The connection of everyone who listens is closed.
    Break,
    /// The streams of everyone who listens get something that is no event.
    Noise,
    /// The streams of everyone who listens end.
    Leave,
}

/// What listeners hear.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// An event of 1.0.
    Event(Value),
    /// The connection closes.
    Break,
    /// Something that is no event.
    Noise,
    /// The stream ends.
    Leave,
}

struct State {
    document: Value,
    pending: VecDeque<Step>,
    number: u32,
}

/// A task.
pub(super) struct Held {
    state: Mutex<State>,
    told: broadcast::Sender<Told>,
    changed: watch::Sender<String>,
}

impl Held {
    /// A submitted task with the message that began it.
    pub(super) fn new(id: &str, context: &str, message: &Value) -> Self {
        let mut message = message.clone();
        message["taskId"] = json!(id);
        message["contextId"] = json!(context);
        let status = json!({"state": "TASK_STATE_SUBMITTED", "timestamp": timestamp()});
        let document = json!({"id": id, "contextId": context, "status": status, "history": [message]});
        let state = State { document, pending: VecDeque::new(), number: 0 };
        Self {
            state: Mutex::new(state),
            told: broadcast::channel(1024).0,
            changed: watch::Sender::new("TASK_STATE_SUBMITTED".into()),
        }
    }

    /// The task as it stands.
    pub(super) fn document(&self) -> Value {
        self.state.lock().unwrap().document.clone()
    }

    pub(super) fn state_name(&self) -> String {
        self.document()["status"]["state"].as_str().unwrap().to_owned()
    }

    pub(super) fn is_over(&self) -> bool {
        is_over(&self.state_name())
    }

    /// Adds to what will happen.
    pub(super) fn plan(&self, steps: impl IntoIterator<Item = Step>) {
        self.state.lock().unwrap().pending.extend(steps);
    }

    /// Another message of the user's.
    pub(super) fn hear(&self, message: &Value) {
        let mut state = self.state.lock().unwrap();
        let mut message = message.clone();
        message["contextId"] = state.document["contextId"].clone();
        state.document["history"].as_array_mut().unwrap().push(message);
    }

    /// The task as it stands, and everything that happens from now on.
    pub(super) fn listen(&self) -> (Value, broadcast::Receiver<Told>) {
        let state = self.state.lock().unwrap();
        (state.document.clone(), self.told.subscribe())
    }

    /// Lets everything happen until the task is over or waits for input.
    pub(super) async fn run(&self, gates: &Semaphore) {
        loop {
            let next = self.state.lock().unwrap().pending.pop_front();
            match next {
                None => return,
                Some(Step::Gate) => {
                    let mut changed = self.changed.subscribe();
                    tokio::select! {
                        permit = gates.acquire() => permit.unwrap().forget(),
                        // A cancelled task must not take the release that another one waits for.
                        _ = changed.wait_for(|state| is_over(state)) => return,
                    }
                }
                Some(step) => {
                    self.happen(&step);
                    if matches!(step, Step::Status("TASK_STATE_INPUT_REQUIRED", _)) {
                        return;
                    }
                }
            }
        }
    }

    /// Lets one step happen, unless it waits for a release that has not come.
    pub(super) fn step(&self, gates: &Arc<Semaphore>) {
        let mut state = self.state.lock().unwrap();
        if matches!(state.pending.front(), Some(Step::Gate)) {
            match gates.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(_) => return,
            }
            state.pending.pop_front();
        }
        let next = state.pending.pop_front();
        drop(state);
        if let Some(step) = next {
            self.happen(&step);
        }
    }

    /// The owner's wish to end it.
    pub(super) fn cancel(&self) {
        self.state.lock().unwrap().pending.clear();
        self.happen(&Step::Status("TASK_STATE_CANCELED", None));
    }

    fn happen(&self, step: &Step) {
        let mut state = self.state.lock().unwrap();
        state.number += 1;
        let (id, context) = (state.document["id"].clone(), state.document["contextId"].clone());
        let told = match step {
            Step::Gate => return,
            Step::Break => Told::Break,
            Step::Noise => Told::Noise,
            Step::Leave => Told::Leave,
            Step::Status(name, words) => {
                let mut status = json!({"state": name, "timestamp": timestamp()});
                if let Some(words) = words {
                    let id = format!("{}-says-{}", id.as_str().unwrap(), state.number);
                    status["message"] = json!({"messageId": id, "role": "ROLE_AGENT", "parts": [{"text": words}]});
                }
                state.document["status"] = status.clone();
                self.changed.send_replace((*name).to_owned());
                Told::Event(json!({"statusUpdate": {"taskId": id, "contextId": context, "status": status}}))
            }
            Step::Chunk { text, append, last } => {
                let part = json!({"text": text});
                let artifacts = &mut state.document["artifacts"];
                if *append {
                    artifacts[0]["parts"].as_array_mut().unwrap().push(part.clone());
                } else {
                    *artifacts = json!([{"artifactId": "result", "parts": [part]}]);
                }
                let artifact = json!({"artifactId": "result", "parts": [part]});
                let update = json!({"taskId": id, "contextId": context, "artifact": artifact, "append": append, "lastChunk": last});
                Told::Event(json!({ "artifactUpdate": update }))
            }
        };
        let _ = self.told.send(told);
    }

    /// Waits for a state.
    pub(super) async fn reached(&self, name: &str) {
        let mut changed = self.changed.subscribe();
        changed.wait_for(|held| held == name).await.unwrap();
    }
}

/// A later moment each time, whichever agent asks.
fn timestamp() -> String {
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let ms = PASSED.fetch_add(1, Ordering::Relaxed);
    format!("2026-01-02T03:{:02}:{:02}.{:03}Z", ms / 60_000, ms / 1000 % 60, ms % 1000)
}

pub(super) fn is_over(state: &str) -> bool {
    ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].iter().any(|end| state.ends_with(end))
}
