//! SendMessage (A2A 1.0 §3.1.1).
//!
//! A task is durable before its caller hears of it. Where the agent is away and nothing was acknowledged, the message waits
//! in the queue ([`super::queued`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::{Code, Operation, Problem, TaskState};
use moongate_flow::pipeline::Order;
use moongate_wire::a2a::Dialect;
use serde_json::{Value, json};

use super::{Attempt, Whole, queued};
use crate::call::Call;
use crate::gateway::A2aGateway;
use crate::supply;
use crate::tasks::push::{self, PushConfig};
use crate::tasks::{Owned, Row, Sighting, Terms, fold, request};
use crate::translation::{Answer, Learned, Outgoing, behalf};

/// Sends the message and answers with the task or message that came of it.
pub(super) async fn send(gateway: Arc<A2aGateway>, mut order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let gateway = &gateway;
    let config = inline_config(gateway, &order.call)?;
    if queued::waits(&order) {
        let waiting = queued::place(gateway, &mut order, config, None).await?;
        return queued::answer(gateway, &waiting, &order).await;
    }
    let follow_up = follow_up(gateway, &order).await?;
    let outgoing = adapt(&order.call, follow_up.as_deref(), Operation::Send)?;
    let mut attempt = Attempt::new(order)?;
    let result = attempt.whole(gateway, &outgoing).await;
    let answer = match result {
        Ok(answer) => answer,
        Err(problem) => {
            let mut order = queued::instead(gateway, attempt, problem)?;
            let waiting = queued::place(gateway, &mut order, config, None).await?;
            return queued::answer(gateway, &waiting, &order).await;
        }
    };
    let passes = attempt.passes(&outgoing);
    let taken = take(gateway, &attempt.order, &attempt.chosen, &answer, config).await;
    let order = attempt.finish(gateway, Ok(()));
    let row = match taken? {
        Some(row) => row,
        None => {
            let raw = raw_for(&order.call, &answer, passes);
            return Ok(Whole { canonical: answer.canonical.clone(), raw, task: None });
        }
    };
    if !row.state().is_terminal() {
        supply::watch(gateway, &row);
        if !order.call.return_immediately() {
            let limit = order.envelope.deadline.since(gateway.clock.mono());
            return settled(&row, &order.call, &answer, passes, limit).await;
        }
    }
    row.saved().await?;
    Ok(task_reply(&row, &order.call, &answer, passes))
}

/// Waits until the task is over or waits for somebody, as a blocking send promises (A2A 1.0 §3.2.2); when the caller's
/// time is up, the task is told as it stands.
async fn settled(
    row: &Arc<Row>,
    call: &Call,
    answer: &Answer,
    passes: bool,
    limit: Duration,
) -> Result<Whole, Problem> {
    let state = row.state();
    if state.is_terminal() || state.is_interrupted() {
        row.saved().await?;
        return Ok(task_reply(row, call, answer, passes && !events_changed(row, answer)));
    }
    let _ = tokio::time::timeout(limit, supply::reached(row, supply::Until::Interrupted)).await;
    row.saved().await?;
    Ok(from_row(row, call))
}

/// Whether the row has moved on since the answer was made.
fn events_changed(row: &Row, answer: &Answer) -> bool {
    !matches!(&answer.learned, Learned::Task { state, .. } if *state == row.state())
}

/// The task as the client shall see it.
fn task_reply(row: &Row, call: &Call, answer: &Answer, passes: bool) -> Whole {
    if row.is_mapped() {
        return from_row(row, call);
    }
    let task = Some(row.id.clone());
    Whole { canonical: answer.canonical.clone(), raw: raw_for(call, answer, passes), task }
}

pub(super) fn from_row(row: &Row, call: &Call) -> Whole {
    let mut task = row.value();
    fold::trim_history(&mut task, call.peek.history_length);
    Whole { task: Some(row.id.clone()), ..Whole::own(&json!({ "task": task })) }
}

/// The agent's bytes, if they may go on unchanged.
pub(super) fn raw_for(call: &Call, answer: &Answer, passes: bool) -> Option<(Dialect, Bytes)> {
    answer.raw.clone().filter(|_| passes).map(|raw| (call.dialect, raw))
}

/// The task that a message continues, if it names one that may still be continued.
pub(super) async fn follow_up(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Option<Arc<Row>>, Problem> {
    let Some(id) = &order.envelope.head.task else { return Ok(None) };
    if order.call.wishes.idempotency.is_some() {
        let detail = "an Idempotency-Key goes with a message that begins a task, not with one that continues it";
        return Err(
            Problem::new(Code::InvalidParams, detail).field("Idempotency-Key", "cannot be kept for this message")
        );
    }
    match gateway.tasks.owned(&order.principal, id.as_str()) {
        Owned::Yes(row) if row.state().is_terminal() => {
            Err(Problem::new(Code::TaskOver, format!("the task {id} is over and takes no more messages")))
        }
        Owned::Yes(row) if row.instance().is_none() => Err(Problem::new(
            Code::NotOffered,
            format!("the task {id} still waits for its agent and takes no further messages"),
        )),
        Owned::Yes(row) => Ok(Some(row)),
        Owned::No => super::task::unknown_to_all(gateway, order).await.map(|()| None),
    }
}

/// What the agent gets instead of the client's request, where that differs: its own task id, and no push config of the
/// client's (the gateway delivers itself).
pub(super) fn adapt(call: &Call, follow_up: Option<&Row>, operation: Operation) -> Result<Outgoing, Problem> {
    let mapped = follow_up.filter(|row| row.is_mapped());
    if mapped.is_none() && call.peek.push_config.is_none() && operation == call.operation {
        return Ok(Outgoing::same(operation));
    }
    let mut params = call.value()?;
    if let Some(row) = mapped
        && let Some(message) = params.get_mut("message").and_then(Value::as_object_mut)
    {
        message.insert("taskId".into(), json!(row.upstream_id().as_str()));
    }
    push::take_inline(&mut params);
    Ok(Outgoing::with(operation, params))
}

/// The push config that a send carries, read and judged before anything is sent.
pub(super) fn inline_config(gateway: &A2aGateway, call: &Call) -> Result<Option<PushConfig>, Problem> {
    if call.peek.push_config.is_none() {
        return Ok(None);
    }
    match push::take_inline(&mut call.value()?) {
        Some(config) if config.is_object() => {
            PushConfig::read(config, "", call.dialect.version, &*gateway.courier.egress).map(Some)
        }
        _ => Ok(None),
    }
}

/// Takes an answer's task into the record; `None` for a bare message.
pub(super) async fn take(
    gateway: &A2aGateway,
    order: &Order<A2aGateway>,
    chosen: &crate::gateway::Chosen,
    answer: &Answer,
    config: Option<PushConfig>,
) -> Result<Option<Arc<Row>>, Problem> {
    let (id, context, state, document) = match &answer.learned {
        Learned::Task { id, context, state, document } => (id, context, *state, document.clone()),
        Learned::Message { context } => {
            if let Some(context) = context.as_deref().or(order.envelope.head.context.as_ref().map(|id| id.as_str())) {
                gateway.tasks.note_context(&order.principal, context, &chosen.agent.name, &chosen.endpoint.id);
            }
            return Ok(None);
        }
        Learned::Update { .. } | Learned::Other => {
            return Err(Problem::new(
                Code::AgentGarbage,
                "the agent answered a send with neither a task nor a message",
            ));
        }
    };
    let seen = Seen { id, context: context.as_deref(), state, document };
    Ok(Some(sight(gateway, order, chosen, seen, config).await?))
}

/// A task as an answer or event shows it.
pub(super) struct Seen<'a> {
    /// The agent's id.
    pub(super) id: &'a str,
    /// The conversation.
    pub(super) context: Option<&'a str>,
    /// The state.
    pub(super) state: TaskState,
    /// The task object.
    pub(super) document: bytes::Bytes,
}

/// The row of a task that was seen, made or brought up to date; the user's message is in its history.
pub(super) async fn sight(
    gateway: &A2aGateway,
    order: &Order<A2aGateway>,
    chosen: &crate::gateway::Chosen,
    seen: Seen<'_>,
    config: Option<PushConfig>,
) -> Result<Arc<Row>, Problem> {
    let settings = gateway.settings.load();
    let (timeouts, relaxed) = (chosen.agent.settings.tasks.timeouts(&settings.tasks.timeouts), settings.tasks.relaxed);
    drop(settings);
    let inline = config.map(Arc::new);
    let (row, new) = gateway
        .tasks
        .sight(
            &order.principal,
            Sighting {
                upstream_id: seen.id,
                context: seen.context,
                state: seen.state,
                document: seen.document.clone(),
                agent: chosen.agent.name.clone(),
                instance: chosen.endpoint.id.clone(),
                skill: order.resolved.skill.clone(),
                terms: Terms {
                    timeouts,
                    priority: order.call.priority(),
                    request: request::write(&[], None, &order.call.recorded()?),
                    config: inline.clone(),
                },
                relaxed,
            },
        )
        .await?;
    behalf::entrust(&chosen.agent, &order.principal, &order.call, &row.id);
    // Before the answer: the history of a task that is over is not written any more.
    row.expect_message(&order.call.canonical);
    if !new {
        if let Some(config) = inline {
            let config = Arc::new(PushConfig::clone(&config).of_task(row.id.as_str()));
            super::push::keep(gateway, &row, config, row.seq().saturating_sub(1)).await?;
        }
        row.reported(renamed(&row, &seen.document), seen.state);
    }
    Ok(row)
}

/// A document of the agent's with the ids that clients see.
pub(super) fn renamed(row: &Row, document: &Bytes) -> Bytes {
    if !row.is_mapped() {
        return document.clone();
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(document) else { return document.clone() };
    supply::rename(&mut value, row.upstream_id().as_str(), row.id.as_str());
    serde_json::to_vec(&value).unwrap_or_default().into()
}
