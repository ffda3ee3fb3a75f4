//! SendStreamingMessage (A2A 1.0 §3.1.2).
//!
//! A named feeder reads the agent's stream as fast as it comes, keeps the task current for everyone, and hands each
//! event to the client that asked. So a client that goes away never ends a task, and one that reads slowly holds up
//! nobody but itself. An agent that cannot stream is asked at once and then watched.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::{Code, Operation, Problem, TaskState};
use moongate_flow::pipeline::Order;
use serde_json::{Value, json};

use super::send::{self, Seen, sight};
use super::{Attempt, no_interface, queued};
use crate::gateway::A2aGateway;
use crate::supply::{self, Piece, Stream};
use crate::tasks::Row;
use crate::tasks::push::PushConfig;
use crate::translation::behalf::{self, Who};
use crate::translation::exchange::{Events, Exchange};
use crate::translation::{Answer, Learned, Outgoing};

/// Sends the message and returns the stream of what becomes of it.
pub(super) async fn stream(gateway: Arc<A2aGateway>, mut order: Order<A2aGateway>) -> Result<Stream, Problem> {
    let gateway = &gateway;
    let permit = supply::StreamPermit::take(gateway, &order.principal)?;
    let config = send::inline_config(gateway, &order.call)?;
    if queued::waits(&order) {
        let waiting = queued::place(gateway, &mut order, config, None).await?;
        return Ok(queued::stream(&waiting, permit));
    }
    let follow_up = send::follow_up(gateway, &order).await?;
    let attempt = Attempt::new(order)?;
    if !attempt.chosen.endpoint.card.streaming {
        return emulated(gateway, attempt, follow_up.as_deref(), config, permit).await;
    }
    let outgoing = send::adapt(&attempt.order.call, follow_up.as_deref(), Operation::Stream)?;
    let mut opened = match open(gateway, attempt, &outgoing).await {
        Ok(opened) => opened,
        Err((attempt, problem)) => {
            let mut order = queued::instead(gateway, attempt, problem)?;
            let waiting = queued::place(gateway, &mut order, config, None).await?;
            return Ok(queued::stream(&waiting, permit));
        }
    };
    let first = opened.first.take().ok_or_else(|| Problem::new(Code::Internal, "a stream began without an event"))?;
    let Some((row, new)) = begin(gateway, &opened.attempt, &first, follow_up, config).await? else {
        let only = Piece { raw: opened.raw(&first), canonical: first.canonical, last: true, seq: None };
        opened.attempt.finish(gateway, Ok(()));
        return Ok(Stream::once(only, permit));
    };
    Ok(feed(gateway, opened, row, first, new, permit).await)
}

/// A stream of the agent's, its first event read.
struct Opened {
    attempt: Attempt,
    events: Events,
    first: Option<Answer>,
    passes: bool,
}

impl Opened {
    /// The event's bytes for a client of the same dialect.
    fn raw(&self, answer: &Answer) -> Option<Bytes> {
        answer.raw.clone().filter(|_| self.passes)
    }
}

/// Opens the stream, trying other instances while nothing was acknowledged.
async fn open(
    gateway: &Arc<A2aGateway>,
    mut attempt: Attempt,
    outgoing: &Outgoing,
) -> Result<Opened, (Attempt, Problem)> {
    let mut tried = Vec::new();
    let trace = attempt.order.envelope.trace.as_ref().map(moongate_telemetry::trace::header);
    loop {
        gateway.budget.deposit();
        attempt.chosen.agent.series.attempts.inc();
        match open_once(gateway, &attempt, outgoing, trace.as_ref().map(|header| header.as_str())).await {
            Ok((events, first)) => {
                attempt.chosen.first_event(gateway.clock.mono());
                let passes = attempt.passes(outgoing);
                return Ok(Opened { attempt, events, first: Some(first), passes });
            }
            Err(problem) => {
                if let Err(problem) = attempt.elsewhere(gateway, problem, Operation::Stream, &mut tried) {
                    return Err((attempt, problem));
                }
            }
        }
    }
}

async fn open_once(
    gateway: &A2aGateway,
    attempt: &Attempt,
    outgoing: &Outgoing,
    trace: Option<&str>,
) -> Result<(Events, Answer), Problem> {
    let upstream = attempt.chosen.endpoint.upstream_for(attempt.order.call.dialect).ok_or_else(no_interface)?;
    let bounds = attempt.bounds(gateway);
    let who = Who::Caller(&attempt.order.principal);
    let exchange = Exchange { call: &attempt.order.call, who, upstream, outgoing, trace, bounds };
    let mut events = exchange.events().await?;
    let first = tokio::time::timeout(bounds.timeout, events.next())
        .await
        .map_err(|_| Problem::new(Code::AgentTimeout, "the agent opened a stream and sent nothing"))?;
    match first {
        Some(Ok(first)) => Ok((events, first)),
        Some(Err(problem)) => Err(problem),
        None => Err(Problem::new(Code::AgentClosed, "the agent ended its stream without an event")),
    }
}

/// The row that the stream's first event belongs to; `None` if it is a message.
async fn begin(
    gateway: &A2aGateway,
    attempt: &Attempt,
    first: &Answer,
    follow_up: Option<Arc<Row>>,
    config: Option<PushConfig>,
) -> Result<Option<(Arc<Row>, bool)>, Problem> {
    let (order, chosen) = (&attempt.order, &attempt.chosen);
    match &first.learned {
        Learned::Message { .. } => send::take(gateway, order, chosen, first, config).await.map(|_| None),
        Learned::Task { id, context, state, document } => {
            let seen = Seen { id, context: context.as_deref(), state: *state, document: document.clone() };
            Ok(Some((sight(gateway, order, chosen, seen, config).await?, true)))
        }
        Learned::Update { task, .. } => match follow_up {
            Some(row) => {
                if let Some(config) = config {
                    let config = Arc::new(config.of_task(row.id.as_str()));
                    super::push::keep(gateway, &row, config, row.seq().saturating_sub(1)).await?;
                }
                row.expect_message(&order.call.canonical);
                behalf::entrust(&chosen.agent, &order.principal, &order.call, &row.id);
                Ok(Some((row, false)))
            }
            None => {
                let document = outline(task, first);
                let context = order.envelope.head.context.as_ref().map(|id| id.as_str());
                let seen = Seen { id: task, context, state: TaskState::Submitted, document };
                Ok(Some((sight(gateway, order, chosen, seen, config).await?, false)))
            }
        },
        Learned::Other => {
            Err(Problem::new(Code::AgentGarbage, "the agent's stream began with something that is not A2A"))
        }
    }
}

/// A task for a stream that began with an update instead of one.
fn outline(id: &str, first: &Answer) -> Bytes {
    let event: Value = serde_json::from_slice(&first.canonical).unwrap_or_default();
    let context = event.pointer("/statusUpdate/contextId").or_else(|| event.pointer("/artifactUpdate/contextId"));
    let task = json!({"id": id, "contextId": context, "status": {"state": "TASK_STATE_SUBMITTED"}});
    serde_json::to_vec(&task).unwrap_or_default().into()
}

/// Starts the feeder and returns what the client reads.
async fn feed(
    gateway: &Arc<A2aGateway>,
    opened: Opened,
    row: Arc<Row>,
    first: Answer,
    whole: bool,
    permit: Arc<supply::StreamPermit>,
) -> Stream {
    let (sender, stream) = Stream::fed(&row, &permit);
    let feeding = row.feed();
    let records = feeding.is_some();
    let mut feeder = Feeder { row: row.clone(), sender: Some(sender), passes: opened.passes, records };
    // A stream begins with its task (A2A 1.0 §3.1.2), also where an agent of the older version leaves it out.
    if matches!(first.learned, Learned::Update { .. }) && !opened.passes {
        let canonical = crate::tasks::push::wrap_task(&row.document());
        feeder.queue(Piece { canonical, raw: None, last: false, seq: Some(row.seq()) });
    }
    // The first event is there already: the client need not wait for the feeder to run.
    let state = state_in(&first);
    let piece = feeder.piece(first, whole);
    let ended = piece.as_ref().map_or(true, |piece| piece.last);
    let durable = if ended { row.saved().await } else { Ok(()) };
    let piece = durable.and(piece);
    feeder.queue_result(piece);
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let Opened { attempt, mut events, .. } = opened;
        let result = if ended { Ok(()) } else { feeder.run(&mut events, state).await };
        drop(feeder);
        attempt.finish(&gateway, result.as_ref().copied());
        drop(feeding);
        supply::watch(&gateway, &row);
        drain(&mut events).await;
        drop(permit);
    });
    stream
}

/// Reads what is left behind the last event, so that the connection can be used again.
async fn drain(events: &mut Events) {
    let rest = async { while let Some(Ok(_)) = events.next().await {} };
    let _ = tokio::time::timeout(Duration::from_millis(500), rest).await;
}

/// The state that an event reports, if it does.
fn state_in(answer: &Answer) -> Option<TaskState> {
    match &answer.learned {
        Learned::Task { state, .. } | Learned::Update { state: Some(state), .. } => Some(*state),
        _ => None,
    }
}

/// How long a stream waits for another feeder to record the end that it has read itself.
const OTHERS_WORD: Duration = Duration::from_secs(5);

struct Feeder {
    row: Arc<Row>,
    sender: Option<supply::Sender>,
    passes: bool,
    /// Whether this feeder keeps the row current; another one may already do so.
    records: bool,
}

impl Feeder {
    /// Reads the agent's stream to its end.
    async fn run(&mut self, events: &mut Events, mut state: Option<TaskState>) -> Result<(), Problem> {
        loop {
            if self.records {
                self.row.room().await;
            }
            let event = match tokio::time::timeout(supply::SILENCE, events.next()).await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                // A silent stream may have died unnoticed: a watch takes over, and with it the client.
                Err(_) => return Ok(()),
            };
            let answer = match event {
                Ok(answer) => answer,
                Err(problem) => {
                    self.hand(Err(problem.clone())).await;
                    return Err(problem);
                }
            };
            let seen = state_in(&answer);
            state = seen.or(state);
            let piece = match self.piece(answer, false) {
                Ok(piece) => piece,
                Err(problem) => {
                    self.hand(Err(problem.clone())).await;
                    return Err(problem);
                }
            };
            let last = piece.last;
            let durable = if last { self.ended(seen, &piece.canonical).await } else { Ok(()) };
            self.hand(durable.map(|()| piece)).await;
            if last {
                return Ok(());
            }
        }
        if state.is_some_and(|state| state.is_terminal() || state.is_interrupted()) {
            if let Some(sender) = &self.sender {
                sender.finish().await;
            }
            return Ok(());
        }
        let problem = Problem::new(Code::AgentClosed, "the agent ended its stream before the task was over");
        self.hand(Err(problem.clone())).await;
        Err(problem)
    }

    /// Ready when the end that was just read is durable: nobody hears of an end that a crash could take back. Where
    /// another feeder keeps the row current, its word is waited for, and if it does not come, the end is taken from here.
    async fn ended(&self, state: Option<TaskState>, canonical: &Bytes) -> Result<(), Problem> {
        if !self.records && state.is_some_and(TaskState::is_terminal) {
            let told = supply::reached(&self.row, supply::Until::Terminal);
            if tokio::time::timeout(OTHERS_WORD, told).await.is_err() {
                self.row.event(canonical)?;
            }
        }
        self.row.saved().await
    }

    /// Records one event and makes the client's copy of it.
    fn piece(&self, answer: Answer, known: bool) -> Result<Piece, Problem> {
        let mut canonical = answer.canonical;
        let mut raw = answer.raw.filter(|_| self.passes);
        if self.row.is_mapped()
            && let Ok(mut value) = serde_json::from_slice::<Value>(&canonical)
        {
            supply::rename(&mut value, self.row.upstream_id().as_str(), self.row.id.as_str());
            canonical = serde_json::to_vec(&value).unwrap_or_default().into();
            raw = None;
        }
        let mut last = answer.last;
        let mut seq = None;
        match &answer.learned {
            Learned::Task { state, document: seen, .. } => {
                if self.records && !known {
                    let renamed =
                        self.row.is_mapped().then(|| serde_json::from_slice::<Value>(&canonical).ok()).flatten();
                    let renamed = renamed.as_ref().and_then(|value| value.get("task"));
                    let document = renamed.map(|task| serde_json::to_vec(task).unwrap_or_default().into());
                    self.row.snapshot(document.unwrap_or_else(|| seen.clone()));
                }
                seq = Some(self.row.seq());
                last |= state.is_terminal();
            }
            Learned::Update { state, .. } => {
                if self.records {
                    seq = self.row.event(&canonical)?;
                }
                last |= state.is_some_and(TaskState::is_terminal);
            }
            Learned::Message { .. } | Learned::Other => {}
        }
        Ok(Piece { canonical, raw, last, seq })
    }

    fn queue_result(&mut self, piece: Result<Piece, Problem>) {
        if let Some(sender) = &self.sender {
            sender.queue(piece);
        }
    }

    /// Hands over an event while the queue is surely empty.
    fn queue(&mut self, piece: Piece) {
        self.queue_result(Ok(piece));
    }

    async fn hand(&mut self, piece: Result<Piece, Problem>) {
        if let Some(sender) = &self.sender
            && !sender.send(piece, self.row.has_listeners()).await
        {
            self.sender = None;
            tracing::debug!(task = %self.row.id, "the client of a stream has gone or is slow; the task goes on");
        }
    }
}

/// A stream over an agent that cannot stream: asked for a task at once, then watched.
async fn emulated(
    gateway: &Arc<A2aGateway>,
    mut attempt: Attempt,
    follow_up: Option<&Row>,
    config: Option<PushConfig>,
    permit: Arc<supply::StreamPermit>,
) -> Result<Stream, Problem> {
    let mut outgoing = send::adapt(&attempt.order.call, follow_up, Operation::Send)?;
    if let Some(params) = outgoing.params.as_mut().and_then(Value::as_object_mut) {
        let configuration = params.entry("configuration").or_insert_with(|| json!({}));
        if let Some(configuration) = configuration.as_object_mut() {
            configuration.insert("returnImmediately".into(), json!(true));
        }
    }
    let before = follow_up.map(Row::seq);
    let answer = match attempt.whole(gateway, &outgoing).await {
        Ok(answer) => answer,
        Err(problem) => {
            let mut order = queued::instead(gateway, attempt, problem)?;
            let waiting = queued::place(gateway, &mut order, config, None).await?;
            return Ok(queued::stream(&waiting, permit));
        }
    };
    let row = send::take(gateway, &attempt.order, &attempt.chosen, &answer, config).await;
    attempt.finish(gateway, Ok(()));
    let Some(row) = row? else {
        return Ok(Stream::once(Piece { canonical: answer.canonical, raw: None, last: true, seq: None }, permit));
    };
    row.saved().await?;
    let stream = Stream::follow(&row, supply::Until::Interrupted, None, permit);
    let stream = if before == Some(row.seq()) { stream.unanswered() } else { stream };
    supply::watch(gateway, &row);
    Ok(stream)
}
