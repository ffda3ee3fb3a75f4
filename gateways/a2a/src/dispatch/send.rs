//! SendMessage (A2A 1.0 §3.1.1), and the draft's task creation, which is the same with other manners.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::{Code, Operation, Problem, TaskState};
use moongate_flow::pipeline::Order;
use moongate_wire::a2a::Dialect;
use serde_json::{Value, json};

use super::{Attempt, Whole};
use crate::call::Call;
use crate::gateway::A2aGateway;
use crate::supply;
use crate::tasks::push::PushConfig;
use crate::tasks::{Owned, Row, Sighting, fold};
use crate::translation::{Answer, Learned, Outgoing};

/// Sends the message and answers with the task or message that came of it.
pub(super) async fn send(gateway: Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let gateway = &gateway;
    let config = inline_config(gateway, &order.call)?;
    let follow_up = follow_up(gateway, &order)?;
    let outgoing = adapt(&order.call, follow_up.as_deref(), Operation::Send, order.call.draft)?;
    let mut attempt = Attempt::new(order)?;
    let result = attempt.whole(gateway, &outgoing).await;
    let answer = match result {
        Ok(answer) => answer,
        Err(problem) => {
            attempt.finish(gateway, Err(&problem));
            return Err(problem);
        }
    };
    let passes = attempt.passes(&outgoing);
    let taken = take(gateway, &attempt.order, &attempt.chosen, &answer);
    let order = finish(attempt, gateway);
    let row = match taken? {
        Some(row) => row,
        None => return Ok(message(gateway, &order, &answer, passes)),
    };
    if let Some(config) = config {
        attach(gateway, &row, config, &order.call)?;
    }
    if !row.state().is_terminal() {
        supply::watch(gateway, &row);
        if !order.call.return_immediately() {
            let limit = order.envelope.deadline.since(gateway.clock.mono());
            return Ok(settled(&row, &order.call, &answer, passes, limit).await);
        }
    }
    Ok(task_reply(&row, &order.call, &answer, passes))
}

fn finish(attempt: Attempt, gateway: &A2aGateway) -> Order<A2aGateway> {
    let Attempt { order, chosen } = attempt;
    chosen.finish(gateway.clock.mono(), crate::routing::balance::Verdict::Ok);
    order
}

/// Waits until the task is over or waits for somebody, as a blocking send promises (A2A 1.0 §3.2.2).
async fn settled(row: &Arc<Row>, call: &Call, answer: &Answer, passes: bool, limit: Duration) -> Whole {
    let (_, state, mut events) = row.follow();
    if state.is_terminal() || state.is_interrupted() {
        return task_reply(row, call, answer, passes && !events_changed(row, answer));
    }
    let wait = async {
        loop {
            match events.recv().await {
                Ok(event) if event.state.is_terminal() || event.state.is_interrupted() => return,
                Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    let _ = tokio::time::timeout(limit, wait).await;
    from_row(row, call)
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
    Whole { canonical: answer.canonical.clone(), raw: raw_for(call, answer, passes) }
}

fn from_row(row: &Row, call: &Call) -> Whole {
    let mut task = row.value();
    fold::trim_history(&mut task, call.peek.history_length);
    Whole::own(&json!({ "task": task }))
}

/// The agent's bytes, if they may go on unchanged.
pub(super) fn raw_for(call: &Call, answer: &Answer, passes: bool) -> Option<(Dialect, Bytes)> {
    answer.raw.clone().filter(|_| passes).map(|raw| (call.dialect, raw))
}

/// A bare message; the draft's task creation makes a finished task of it.
fn message(gateway: &A2aGateway, order: &Order<A2aGateway>, answer: &Answer, passes: bool) -> Whole {
    let call = &order.call;
    if !call.draft {
        return Whole { canonical: answer.canonical.clone(), raw: raw_for(call, answer, passes) };
    }
    let value: Value = serde_json::from_slice(&answer.canonical).unwrap_or_default();
    let said = value.get("message").cloned().unwrap_or_default();
    let context = said.get("contextId").and_then(Value::as_str).map(str::to_owned);
    let context = context.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let parts = said.get("parts").cloned().unwrap_or_else(|| json!([]));
    let id = uuid::Uuid::new_v4().to_string();
    let now = crate::moment::write(gateway.clock.now());
    let task = json!({
        "id": id,
        "contextId": context,
        "status": {"state": fold::state_name(TaskState::Completed), "message": said, "timestamp": now},
        "artifacts": [{"artifactId": "message", "parts": parts}],
    });
    if let moongate_core::Target::Agent { agent, instance } = &order.route.target {
        let sighting = Sighting {
            upstream_id: &id,
            context: Some(&context),
            state: TaskState::Completed,
            document: serde_json::to_vec(&task).unwrap_or_default().into(),
            agent: agent.clone(),
            instance: instance.clone(),
            skill: order.resolved.skill.clone(),
        };
        gateway.tasks.sight(&order.principal, sighting).0.expect_message(&call.canonical);
    }
    Whole::own(&json!({ "task": task }))
}

/// The task that a message continues, if it names one that may still be continued.
pub(super) fn follow_up(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Option<Arc<Row>>, Problem> {
    let Some(id) = &order.envelope.head.task else { return Ok(None) };
    match gateway.tasks.owned(&order.principal, id.as_str()) {
        Owned::Yes(row) if row.state().is_terminal() => {
            Err(Problem::new(Code::TaskOver, format!("the task {id} is over and takes no more messages")))
        }
        Owned::Yes(row) => Ok(Some(row)),
        Owned::No | Owned::Unknown => Ok(None),
    }
}

/// What the agent gets instead of the client's request, where that differs: its own task id, no push config of the
/// client's (the gateway delivers itself), and for the draft's creation the wish for an answer at once.
pub(super) fn adapt(
    call: &Call,
    follow_up: Option<&Row>,
    operation: Operation,
    at_once: bool,
) -> Result<Outgoing, Problem> {
    let mapped = follow_up.filter(|row| row.is_mapped());
    let at_once = at_once && call.peek.return_immediately.is_none();
    if mapped.is_none() && call.peek.push_config.is_none() && !at_once && operation == call.operation {
        return Ok(Outgoing::same(operation));
    }
    let mut params = call.value()?;
    if let Some(row) = mapped
        && let Some(message) = params.get_mut("message").and_then(Value::as_object_mut)
    {
        message.insert("taskId".into(), json!(row.upstream_id()));
    }
    if let Some(members) = params.as_object_mut() {
        if let Some(configuration) = members.get_mut("configuration").and_then(Value::as_object_mut) {
            configuration.remove("taskPushNotificationConfig");
            configuration.remove("task_push_notification_config");
        }
        if at_once {
            let configuration = members.entry("configuration").or_insert_with(|| json!({}));
            if let Some(configuration) = configuration.as_object_mut() {
                configuration.insert("returnImmediately".into(), json!(true));
            }
        }
    }
    Ok(Outgoing::with(operation, params))
}

/// The push config that a send carries, read and judged before anything is sent.
pub(super) fn inline_config(gateway: &A2aGateway, call: &Call) -> Result<Option<PushConfig>, Problem> {
    if call.peek.push_config.is_none() {
        return Ok(None);
    }
    let value = call.value()?;
    let configuration = value.get("configuration");
    let config = configuration.and_then(|configuration| {
        configuration.get("taskPushNotificationConfig").or_else(|| configuration.get("task_push_notification_config"))
    });
    match config {
        Some(config) if config.is_object() => {
            PushConfig::read(config.clone(), "", call.dialect.version, &*gateway.courier.egress).map(Some)
        }
        _ => Ok(None),
    }
}

/// Binds an inline config to its task and begins to deliver, the task as it stands first.
pub(super) fn attach(gateway: &A2aGateway, row: &Arc<Row>, config: PushConfig, call: &Call) -> Result<(), Problem> {
    let config = PushConfig::read(config.document, row.id.as_str(), call.dialect.version, &*gateway.courier.egress)?;
    let config = Arc::new(config);
    if row.add_config(config.clone(), crate::tasks::push::LIMIT) {
        gateway.courier.start(row, config, true);
    }
    Ok(())
}

/// Takes an answer's task into the index; `None` for a bare message.
pub(super) fn take(
    gateway: &A2aGateway,
    order: &Order<A2aGateway>,
    chosen: &crate::gateway::Chosen,
    answer: &Answer,
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
    Ok(Some(sight(gateway, order, chosen, Seen { id, context: context.as_deref(), state, document })))
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
pub(super) fn sight(
    gateway: &A2aGateway,
    order: &Order<A2aGateway>,
    chosen: &crate::gateway::Chosen,
    seen: Seen<'_>,
) -> Arc<Row> {
    let (row, new) = gateway.tasks.sight(
        &order.principal,
        Sighting {
            upstream_id: seen.id,
            context: seen.context,
            state: seen.state,
            document: seen.document.clone(),
            agent: chosen.agent.name.clone(),
            instance: chosen.endpoint.id.clone(),
            skill: order.resolved.skill.clone(),
        },
    );
    if row.is_mapped() {
        if let Ok(mut value) = serde_json::from_slice::<Value>(&seen.document) {
            supply::rename(&mut value, row.upstream_id(), row.id.as_str());
            let document = serde_json::to_vec(&value).unwrap_or_default().into();
            if new { row.snapshot(document, seen.state) } else { row.reported(document, seen.state) }
        }
    } else if !new {
        row.reported(seen.document, seen.state);
    }
    row.expect_message(&order.call.canonical);
    row
}
