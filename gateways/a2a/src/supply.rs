//! What agents lack and the gateway supplies: streams over agents that cannot stream, subscriptions, and a watch on
//! every live task, so that lists, subscribers and push notifications are current whoever is connected.

mod watch;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::{Code, Problem, TaskState};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::gateway::A2aGateway;
use crate::tasks::push::wrap_task;
use crate::tasks::{Recorded, Row};

pub(crate) use watch::SILENCE;
pub use watch::watch;

/// How many events may wait for a client that reads slowly.
const AHEAD: usize = 64;
/// How long a client may take no event before the feeder goes on without it; short while others wait for the same events.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_WITH_OTHERS: Duration = Duration::from_millis(100);

/// One event for a client.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Canonical JSON of the `StreamResponse`.
    pub canonical: Bytes,
    /// The agent's bytes, if the client speaks its dialect and nothing was changed.
    pub raw: Option<Bytes>,
    /// Whether the stream ends with it.
    pub last: bool,
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
pub struct StreamPermit(Arc<A2aGateway>);

impl StreamPermit {
    /// Takes a permit.
    ///
    /// # Errors
    /// `TooManyStreams` at the limit.
    pub fn take(gateway: &Arc<A2aGateway>) -> Result<Arc<Self>, Problem> {
        let limit = gateway.settings.load().streams;
        if gateway.streams.fetch_add(1, Ordering::Relaxed) >= limit {
            gateway.streams.fetch_sub(1, Ordering::Relaxed);
            return Err(Problem::new(Code::TooManyStreams, format!("{limit} streams are open already")));
        }
        Ok(Arc::new(Self(gateway.clone())))
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Source {
    Once(Option<Piece>),
    /// `None` in the queue is the orderly end.
    Fed(mpsc::Receiver<Option<Result<Piece, Problem>>>, Arc<Row>),
    Follow {
        row: Arc<Row>,
        first: Option<Piece>,
        events: broadcast::Receiver<Arc<Recorded>>,
        until: Until,
    },
    Ended,
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
    pub fn queue(&self, piece: Piece) {
        let _ = self.0.try_send(Some(Ok(piece)));
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
        (Sender(sender), Self { source: Source::Fed(receiver, row.clone()), _permit: permit.clone() })
    }

    /// The task as it stands, then what happens to it.
    pub fn follow(row: &Arc<Row>, until: Until, permit: Arc<StreamPermit>) -> Self {
        let (document, state, events) = row.follow();
        let first = Piece { canonical: wrap_task(&document), raw: None, last: until.reached(state) };
        let source = Source::Follow { row: row.clone(), first: Some(first), events, until };
        Self { source, _permit: permit }
    }

    /// The same stream for a message that its agent has not looked at yet: a task that still waits is no answer to it.
    pub fn unanswered(mut self) -> Self {
        if let Source::Follow { first: Some(first), .. } = &mut self.source {
            first.last = false;
        }
        self
    }

    /// The next event; `None` at the end. After an error nothing follows.
    pub async fn next(&mut self) -> Option<Result<Piece, Problem>> {
        let next = match &mut self.source {
            Source::Once(piece) => piece.take().map(Ok),
            Source::Fed(receiver, row) => match receiver.recv().await {
                Some(piece) => piece,
                // The feeder has left us behind: the task as it stands, and what comes, stand for what was missed.
                None => {
                    let (document, state, events) = row.follow();
                    let row = row.clone();
                    let last = Until::Interrupted.reached(state);
                    self.source = Source::Follow { row, first: None, events, until: Until::Interrupted };
                    Some(Ok(Piece { canonical: wrap_task(&document), raw: None, last }))
                }
            },
            Source::Follow { row, first, events, until } => follow(row, first, events, *until).await.map(Ok),
            Source::Ended => None,
        };
        if !matches!(&next, Some(Ok(Piece { last: false, .. }))) {
            self.source = Source::Ended;
        }
        next
    }
}

async fn follow(
    row: &Row,
    first: &mut Option<Piece>,
    events: &mut broadcast::Receiver<Arc<Recorded>>,
    until: Until,
) -> Option<Piece> {
    if let Some(first) = first.take() {
        return Some(first);
    }
    match events.recv().await {
        Ok(event) => Some(Piece { canonical: event.canonical.clone(), raw: None, last: until.reached(event.state) }),
        // Too far behind: the whole task stands for the events that were missed.
        Err(RecvError::Lagged(_)) => {
            let (document, state, fresh) = row.follow();
            *events = fresh;
            Some(Piece { canonical: wrap_task(&document), raw: None, last: until.reached(state) })
        }
        Err(RecvError::Closed) => None,
    }
}

/// Waits until the task is over, at most for `patience`.
pub async fn ended(row: &Arc<Row>, patience: Duration) {
    let (_, state, mut events) = row.follow();
    if state.is_terminal() {
        return;
    }
    let wait = async {
        loop {
            match events.recv().await {
                Ok(event) if event.state.is_terminal() => return,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    let _ = tokio::time::timeout(patience, wait).await;
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
