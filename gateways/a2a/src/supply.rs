//! What agents lack and the gateway supplies: streams over agents that cannot stream, subscriptions, and a watch on
//! every live task, so that lists, subscribers and push notifications are current whoever is connected.

pub(crate) mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::{Code, Principal, Problem, Proof, TaskId, TaskState};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::gateway::A2aGateway;
use crate::tasks::push::wrap_task;
use crate::tasks::{Recorded, Row};

pub(crate) use watch::SILENCE;
pub use watch::{cancel, cancel_upstream, watch};

/// How many events may wait for a client that reads slowly.
const AHEAD: usize = 64;
/// How long a client may take no event before the feeder goes on without it; short while others wait for the same events.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_WITH_OTHERS: Duration = Duration::from_millis(100);
/// How long an agent that has agreed to cancel a task may take to end it.
const STOPPING: Duration = Duration::from_secs(1);

/// One event for a client.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Canonical JSON of the `StreamResponse`.
    pub canonical: Bytes,
    /// The agent's bytes, if the client speaks its dialect and nothing was changed.
    pub raw: Option<Bytes>,
    /// Whether the stream ends with it.
    pub last: bool,
    /// Its number among the task's events, from which a client may go on later.
    pub seq: Option<u64>,
}

/// Until when a stream over a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the task is over (SubscribeToTask).
    Terminal,
    /// Until it is over or waits for somebody (SendStreamingMessage).
    Interrupted,
}

impl Until {
    fn reached(self, state: TaskState) -> bool {
        state.is_terminal() || (self == Self::Interrupted && state.is_interrupted())
    }
}

/// Counts one open stream against the limit, until its client and its feeder are both gone.
pub struct StreamPermit {
    gateway: Arc<A2aGateway>,
    /// Whose it is, if that is counted.
    who: Option<Arc<str>>,
}

/// One caller of another machine may have this part of all streams.
const SHARE: usize = 4;

impl StreamPermit {
    /// Takes a permit.
    ///
    /// # Errors
    /// `TooManyStreams` at the limit, or where the caller has its share already.
    pub fn take(gateway: &Arc<A2aGateway>, who: &Principal) -> Result<Arc<Self>, Problem> {
        let limit = gateway.settings.load().streams;
        if gateway.streams.fetch_add(1, Ordering::Relaxed) >= limit {
            gateway.streams.fetch_sub(1, Ordering::Relaxed);
            return Err(Problem::new(Code::TooManyStreams, format!("{limit} streams are open already")));
        }
        // From here on the drop counts back.
        let mut permit = Self { gateway: gateway.clone(), who: None };
        if who.proof != Proof::Loopback {
            let share = (limit / SHARE).max(1);
            let mut of_callers = gateway.streams_of.lock();
            let open = of_callers.entry(who.id.clone()).or_default();
            if *open >= share {
                drop(of_callers);
                let detail = format!("{share} streams of this caller are open already");
                return Err(Problem::new(Code::TooManyStreams, detail));
            }
            *open += 1;
            permit.who = Some(who.id.clone());
        }
        Ok(Arc::new(permit))
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.gateway.streams.fetch_sub(1, Ordering::Relaxed);
        let Some(who) = &self.who else { return };
        let mut of_callers = self.gateway.streams_of.lock();
        if let Some(open) = of_callers.get_mut(who) {
            *open -= 1;
            if *open == 0 {
                of_callers.remove(who);
            }
        }
    }
}

enum Source {
    Once(Option<Piece>),
    /// `None` in the queue is the orderly end. Then: the row, and the number of the last event that was handed over.
    Fed(mpsc::Receiver<Option<Result<Piece, Problem>>>, Arc<Row>, Option<u64>),
    Follow(Follow),
    Ended,
}

/// A task's events, from the store and as they come.
struct Follow {
    row: Arc<Row>,
    first: Option<Piece>,
    /// The number of the last event that was handed over.
    at: u64,
    backlog: VecDeque<Arc<Recorded>>,
    events: broadcast::Receiver<Arc<Recorded>>,
    until: Until,
}

/// The events that one client reads.
pub struct Stream {
    source: Source,
    _permit: Arc<StreamPermit>,
}

/// The feeding end of a stream.
pub struct Sender(mpsc::Sender<Option<Result<Piece, Problem>>>);

impl Sender {
    /// Puts one event into an empty queue.
    pub fn queue(&self, piece: Result<Piece, Problem>) {
        let _ = self.0.try_send(Some(piece));
    }

    /// Says that no more events come and none were left out.
    pub async fn finish(&self) {
        let _ = tokio::time::timeout(PATIENCE, self.0.send(None)).await;
    }

    /// Hands one event over; false if the client has gone or is too slow.
    pub async fn send(&self, piece: Result<Piece, Problem>, others: bool) -> bool {
        match self.0.try_send(Some(piece)) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(piece)) => {
                let patience = if others { PATIENCE_WITH_OTHERS } else { PATIENCE };
                matches!(tokio::time::timeout(patience, self.0.send(piece)).await, Ok(Ok(())))
            }
        }
    }
}

impl Stream {
    /// A stream of one event.
    pub fn once(piece: Piece, permit: Arc<StreamPermit>) -> Self {
        Self { source: Source::Once(Some(piece)), _permit: permit }
    }

    /// A stream that somebody feeds.
    pub fn fed(row: &Arc<Row>, permit: &Arc<StreamPermit>) -> (Sender, Self) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        (Sender(sender), Self { source: Source::Fed(receiver, row.clone(), None), _permit: permit.clone() })
    }

    /// The task as it stands, then what happens to it; with a number, what has happened since that event.
    pub fn follow(row: &Arc<Row>, until: Until, from: Option<u64>, permit: Arc<StreamPermit>) -> Self {
        let following = row.follow();
        let at = from.map_or(following.seq, |from| from.min(following.seq));
        let all = at == following.seq;
        let last = all && until.reached(following.state);
        let first = Piece { canonical: wrap_task(&following.document), raw: None, last, seq: Some(at) };
        let follow = Follow {
            row: row.clone(),
            first: Some(first),
            at,
            backlog: VecDeque::new(),
            events: following.events,
            until,
        };
        Self { source: Source::Follow(follow), _permit: permit }
    }

    /// The same stream for a message that its agent has not looked at yet: a task that still waits is no answer to it.
    pub fn unanswered(mut self) -> Self {
        if let Source::Follow(Follow { first: Some(first), .. }) = &mut self.source {
            first.last = false;
        }
        self
    }

    /// The task that it follows, if it follows one.
    pub fn task(&self) -> Option<TaskId> {
        match &self.source {
            Source::Fed(_, row, _) => Some(row.id.clone()),
            Source::Follow(follow) => Some(follow.row.id.clone()),
            Source::Once(_) | Source::Ended => None,
        }
    }

    /// The next event; `None` at the end. After an error nothing follows.
    pub async fn next(&mut self) -> Option<Result<Piece, Problem>> {
        let next = match &mut self.source {
            Source::Once(piece) => piece.take().map(Ok),
            Source::Fed(receiver, row, at) => match receiver.recv().await {
                Some(piece) => {
                    if let Some(Ok(piece)) = &piece {
                        *at = piece.seq.or(*at);
                    }
                    piece
                }
                // The feeder has left us behind: what was missed is read from the record.
                None => {
                    let mut follow = Follow::after(row, *at);
                    let next = follow.next().await;
                    self.source = Source::Follow(follow);
                    next
                }
            },
            Source::Follow(follow) => follow.next().await,
            Source::Ended => None,
        };
        if !matches!(&next, Some(Ok(Piece { last: false, .. }))) {
            self.source = Source::Ended;
        }
        next
    }
}

impl Follow {
    /// What comes behind this event; where its number is not known, the whole task first.
    fn after(row: &Arc<Row>, at: Option<u64>) -> Self {
        let until = Until::Interrupted;
        let following = row.follow();
        let whole = || Piece {
            canonical: wrap_task(&following.document),
            raw: None,
            last: until.reached(following.state),
            seq: Some(following.seq),
        };
        let (first, at) = if let Some(at) = at { (None, at) } else { (Some(whole()), following.seq) };
        Self { row: row.clone(), first, at, backlog: VecDeque::new(), events: following.events, until }
    }

    async fn next(&mut self) -> Option<Result<Piece, Problem>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        loop {
            if let Some(event) = self.backlog.pop_front() {
                return Some(Ok(self.hand(&event)));
            }
            // What was told before we listened, or while we lagged behind, is in the record.
            if self.row.told() > self.at {
                match self.row.events_after(self.at).await {
                    Ok(events) => self.backlog = events,
                    Err(problem) => return Some(Err(problem)),
                }
                if self.backlog.is_empty() && self.row.told() > self.at {
                    let detail = "the task's events are not kept any more";
                    return Some(Err(Problem::new(Code::TaskNotFound, detail)));
                }
                continue;
            }
            match self.events.recv().await {
                Ok(event) if event.seq == self.at + 1 => return Some(Ok(self.hand(&event))),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn hand(&mut self, event: &Recorded) -> Piece {
        self.at = event.seq;
        let last = self.until.reached(event.state);
        Piece { canonical: event.canonical.clone(), raw: None, last, seq: Some(event.seq) }
    }
}

/// Waits a moment for a task that its agent has agreed to cancel: some agents say yes before they have stopped.
pub async fn ended(row: &Arc<Row>) {
    let _ = tokio::time::timeout(STOPPING, reached(row, Until::Terminal)).await;
}

/// Waits until the task is over, or waits for somebody.
pub async fn reached(row: &Arc<Row>, until: Until) {
    loop {
        let mut events = row.listen();
        while !until.reached(row.state()) {
            match events.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
        if until.reached(row.state()) {
            return;
        }
    }
}

/// Replaces an agent's task id by the client's, in every place where A2A puts one.
pub fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(members) => {
            let is_task = members.contains_key("status") && members.contains_key("id");
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(text) if text == from && (name == "taskId" || (name == "id" && is_task)) => {
                        to.clone_into(text);
                    }
                    Value::Array(items) if name == "referenceTaskIds" => {
                        for item in items {
                            if item.as_str() == Some(from) {
                                *item = Value::String(to.to_owned());
                            }
                        }
                    }
                    // Parts and metadata are the parties' own words.
                    _ if name == "parts" || name == "metadata" => {}
                    Value::Object(_) | Value::Array(_) => rename(member, from, to),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_renamed_where_the_protocol_puts_them_and_nowhere_else() {
        let mut task = json!({"task": {"id": "up", "status": {"state": 2, "message": {"taskId": "up"}},
            "history": [{"taskId": "up", "referenceTaskIds": ["up", "other"], "parts": [{"text": "up", "data": {"taskId": "up"}}]}],
            "metadata": {"taskId": "up"}}});
        rename(&mut task, "up", "down");
        let task = &task["task"];
        assert_eq!(task["id"], "down");
        assert_eq!(task["status"]["message"]["taskId"], "down");
        assert_eq!(task["history"][0]["referenceTaskIds"], json!(["down", "other"]));
        assert_eq!(task["history"][0]["parts"][0], json!({"text": "up", "data": {"taskId": "up"}}));
        assert_eq!(task["metadata"]["taskId"], "up");
    }
}
