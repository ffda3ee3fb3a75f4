//! From a row in memory to the store: one hand-over of a row at a time, each taking along what has gathered meanwhile.
//!
//! So a stream of many events costs as many writes as the disk can take, not one an event, and what the store gets of one
//! task is in order. While the store does not take it, events gather up to a bound, and the hand-over is tried again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use moongate_core::seam::Later;
use moongate_core::seam::tasks::{Saved, Step};
use moongate_core::task::Fence;
use moongate_core::{Code, Problem};
use tokio::sync::Notify;

use super::row::{Row, State};

/// After so many events the store is given the whole document again, so that a reader has few to fold.
const DOCUMENT_EVERY: usize = 256;
/// How long a caller waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One hand-over.
struct Handed {
    /// Where the row stands afterwards.
    fence: Fence,
    outcome: Later<'static, Result<Saved, Problem>>,
}

impl State {
    fn dirty(&self) -> bool {
        !self.lost && (!self.unsaved.is_empty() || self.owes || self.task.fence() != self.saved)
    }
}

impl Row {
    /// Hands what is new to the store, unless a hand-over is under way: that one is followed by another.
    pub(super) fn hand_over(self: &Arc<Self>, held: &mut State) {
        while !held.saving && held.dirty() {
            let mut handed = self.submit(held);
            match (&mut handed.outcome).now_or_never() {
                Some(outcome) => {
                    let failed = self.landed(held, &handed, outcome);
                    if failed {
                        held.saving = true;
                        tokio::spawn(self.clone().try_again());
                    }
                }
                None => {
                    tokio::spawn(self.clone().wait(handed));
                }
            }
        }
    }

    fn submit(&self, held: &mut State) -> Handed {
        held.saving = true;
        let events = std::mem::take(&mut held.unsaved);
        held.since_document += events.len();
        let state = held.task.state;
        let whole = std::mem::take(&mut held.owes)
            || state.is_terminal()
            || state.is_interrupted()
            || held.since_document >= DOCUMENT_EVERY;
        if whole {
            held.since_document = 0;
        }
        held.on_the_way.clone_from(&events);
        let document = whole.then(|| held.doc.bytes());
        if let Some(document) = &document {
            self.weighs(held, document.len());
        }
        let step = Step { expected: held.saved, task: held.task.clone(), events, document };
        Handed { fence: held.task.fence(), outcome: self.home.store.tasks().save(step) }
    }

    /// Takes note of what came of a hand-over; whether it must be tried again.
    fn landed(&self, held: &mut State, handed: &Handed, outcome: Result<Saved, Problem>) -> bool {
        held.saving = false;
        let again = match outcome {
            Ok(Saved::Done) => {
                held.saved = handed.fence;
                let landed: usize = held.on_the_way.iter().map(|event| event.payload.len()).sum();
                held.unsaved_bytes = held.unsaved_bytes.saturating_sub(landed);
                held.on_the_way.clear();
                held.trouble = None;
                for event in std::mem::take(&mut held.held_back) {
                    // What came after the hand-over is not durable yet.
                    if event.seq <= handed.fence.seq { held.tell(event) } else { held.held_back.push(event) }
                }
                if !held.configs_empty() {
                    self.home.deliver.notify_one();
                }
                false
            }
            Ok(Saved::Conflict(fence)) if fence.seq == held.saved.seq && fence.attempt > held.saved.attempt => {
                // A worker claimed it between our look and our word; the word counts.
                held.task.attempt = held.task.attempt.max(fence.attempt);
                held.saved = fence;
                restore(held);
                false
            }
            Ok(refused) => {
                tracing::error!(task = %self.id, ?refused, "the record of a task has moved on without us; our news are dropped");
                held.lose(Problem::new(Code::Internal, "the task's record was changed by somebody else"));
                false
            }
            Err(problem) => {
                if held.trouble.is_none() {
                    tracing::warn!(task = %self.id, %problem, "the store does not take a task's news; trying again");
                }
                held.trouble = Some(problem);
                restore(held);
                true
            }
        };
        if let Some(landed) = &held.landed {
            landed.notify_waiters();
        }
        again
    }

    async fn wait(self: Arc<Self>, handed: Handed) {
        let mut handed = handed;
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = (&mut handed.outcome).await;
            let failed = {
                let mut held = self.state.lock();
                let failed = self.landed(&mut held, &handed, outcome);
                // Until the next try nobody else begins one.
                held.saving = failed;
                failed
            };
            if failed {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            let mut held = self.state.lock();
            if !failed && (held.saving || !held.dirty()) {
                return;
            }
            handed = self.submit(&mut held);
        }
    }

    async fn try_again(self: Arc<Self>) {
        tokio::time::sleep(FIRST_PAUSE).await;
        let handed = {
            let mut held = self.state.lock();
            self.submit(&mut held)
        };
        self.wait(handed).await;
    }

    /// Waits until everything that has happened so far is durable.
    ///
    /// # Errors
    /// What keeps the store from taking it.
    pub async fn saved(&self) -> Result<(), Problem> {
        let target = self.state.lock().task.seq;
        let wait = async {
            loop {
                let landed = {
                    let mut held = self.state.lock();
                    if held.saved.seq >= target && !held.lost {
                        return Ok(());
                    }
                    if let Some(trouble) = &held.trouble {
                        return Err(trouble.clone());
                    }
                    held.landed.get_or_insert_with(|| Arc::new(Notify::new())).clone()
                };
                let changed = landed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let missed = {
                    let held = self.state.lock();
                    held.saved.seq >= target || held.trouble.is_some()
                };
                if !missed {
                    changed.await;
                }
            }
        };
        let late = || Err(Problem::new(Code::StoreUnusable, "the store has not answered for ten seconds"));
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| late())
    }
}

/// What could not be handed over is new again.
fn restore(held: &mut State) {
    let mut events = std::mem::take(&mut held.on_the_way);
    events.append(&mut held.unsaved);
    held.unsaved = events;
    held.owes = true;
}
