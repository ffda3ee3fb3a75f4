//! GetTask, ListTasks, CancelTask and SubscribeToTask (A2A 1.0 §3.1.3 to §3.1.6).

use std::sync::Arc;

use moongate_core::{Code, Operation, Phase, Problem, TaskState};
use moongate_flow::pipeline::Order;
use serde_json::json;

use super::send::{Seen, raw_for, renamed, sight};
use super::{Attempt, Whole};
use crate::gateway::{A2aGateway, Pick};
use crate::security;
use crate::supply::{self, Stream};
use crate::tasks::people;
use crate::tasks::{Owned, Row, control, fold, list as listing};
use crate::translation::{Answer, Learned, Outgoing, behalf};

pub(super) fn row_of(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Option<Arc<Row>> {
    let id = order.envelope.head.task.as_ref()?;
    match gateway.tasks.owned(&order.principal, id.as_str()) {
        Owned::Yes(row) => Some(row),
        Owned::No => None,
    }
}

/// The agent's own id in place of the client's, where they differ.
pub(super) fn addressed(order: &Order<A2aGateway>, row: Option<&Row>) -> Result<Outgoing, Problem> {
    let operation = order.call.operation;
    match row.filter(|row| row.is_mapped()) {
        None => Ok(Outgoing::same(operation)),
        Some(row) => {
            let mut params = order.call.value()?;
            if let Some(members) = params.as_object_mut() {
                members.insert("id".into(), json!(row.upstream_id().as_str()));
            }
            Ok(Outgoing::with(operation, params))
        }
    }
}

/// The task as its agent sees it now; as we last saw it where the agent cannot tell.
pub(super) async fn get(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, &order);
    // What no agent has, and what is over, only the record can tell.
    if let Some(row) = row.as_ref().filter(|row| row.phase() != Phase::Running || matches!(order.picked, Pick::Here)) {
        return told(row, &order.call).await;
    }
    if matches!(order.picked, Pick::Here) {
        return Err(Problem::new(Code::TaskNotFound, "there is no such task"));
    }
    let outgoing = addressed(&order, row.as_deref())?;
    if row.is_none() {
        unknown_to_all(gateway, &order).await?;
    }
    let mut attempt = Attempt::new(order)?;
    match attempt.whole(gateway, &outgoing).await {
        Ok(answer) => {
            let passes = attempt.passes(&outgoing);
            let row = seen(gateway, &attempt, row, &answer).await?;
            let call = attempt.finish(gateway, Ok(())).call;
            // After follow-ups our record is what surely holds every message of the user's.
            if let Some(row) = row {
                if row.is_mapped() || row.messages() > 1 {
                    return told(&row, &call).await;
                }
                row.saved().await?;
            }
            Ok(Whole { raw: raw_for(&call, &answer, passes), canonical: answer.canonical, task: None })
        }
        Err(problem) => {
            let call = attempt.finish(gateway, Err(&problem)).call;
            match row {
                // What the agent has forgotten, or cannot say while it is away, we still know.
                Some(row) => {
                    tracing::debug!(task = %row.id, %problem, "the task is told from the record");
                    told(&row, &call).await
                }
                None => Err(problem),
            }
        }
    }
}

/// The task from the record, once what it tells is durable.
pub(super) async fn told(row: &Arc<Row>, call: &crate::call::Call) -> Result<Whole, Problem> {
    row.saved().await?;
    let mut task = row.value();
    fold::trim_history(&mut task, call.peek.history_length);
    Ok(Whole::own(&task))
}

/// A task that the caller has no record of must be nobody else's either, before its agent is asked.
pub(super) async fn unknown_to_all(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<(), Problem> {
    let (Some(id), Pick::Agent(chosen)) = (&order.envelope.head.task, &order.picked) else { return Ok(()) };
    let theirs = gateway.tasks.store().tasks().upstream(chosen.agent.name.clone(), id.clone()).await?;
    if theirs.is_some() || gateway.tasks.any(id).await?.is_some() {
        return Err(Problem::new(Code::TaskNotFound, format!("there is no task {id}")));
    }
    Ok(())
}

/// Brings the row up to date with what the agent says.
async fn seen(
    gateway: &Arc<A2aGateway>,
    attempt: &Attempt,
    row: Option<Arc<Row>>,
    answer: &Answer,
) -> Result<Option<Arc<Row>>, Problem> {
    let Learned::Task { id, context, state, document } = &answer.learned else { return Ok(row) };
    if row.as_ref().is_some_and(|row| *row.upstream_id().as_str() != **id) {
        return Err(Problem::new(Code::AgentGarbage, "the agent answered with another task than it was asked for"));
    }
    let Some(row) = row else {
        // A task without a record, of an agent whose tasks are adopted.
        let seen = Seen { id, context: context.as_deref(), state: *state, document: document.clone() };
        return sight(gateway, &attempt.order, &attempt.chosen, seen, None).await.map(Some);
    };
    let changed = row.state() != *state;
    if changed || row.is_mapped() || row.messages() > 1 {
        row.reported(renamed(&row, document), *state);
    }
    if changed {
        supply::watch(gateway, &row);
    }
    Ok(Some(row))
}

/// The caller's tasks, from the record.
pub(super) async fn list(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let head = &order.envelope.head;
    let agent = head.base.as_ref().or(head.tenant.as_ref());
    let params = order.call.value()?;
    let without = security::withheld(&order.principal, &gateway.directory.load());
    let reach = listing::Reach { owner: Some(order.principal.id.clone()), agent, without };
    listing::list(&gateway.tasks, reach, &params).await.map(|value| Whole::own(&value))
}

/// Passes the wish on to the agent.
pub(super) async fn cancel(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, &order);
    if let Some(row) = row.as_ref().filter(|row| row.state().is_terminal()) {
        return Err(Problem::new(Code::TaskNotCancelable, format!("the task {} is already over", row.id)));
    }
    // One that no agent has yet is over at once.
    if let Some(row) = row.as_ref().filter(|row| row.instance().is_none()) {
        return cancel_queued(gateway, row, &order.call).await;
    }
    let outgoing = addressed(&order, row.as_deref())?;
    if row.is_none() {
        unknown_to_all(gateway, &order).await?;
    }
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
    let row = seen(gateway, &attempt, row, &answer).await?;
    let call = attempt.finish(gateway, Ok(())).call;
    // What the agent says next is what the caller wants to hear.
    if let Some(row) = row.as_ref().filter(|row| !row.state().is_terminal()) {
        supply::watch(gateway, row);
        supply::ended(row).await;
        if row.state().is_terminal() {
            return told(row, &call).await;
        }
    }
    if let Some(row) = row {
        if row.is_mapped() {
            return told(&row, &call).await;
        }
        row.saved().await?;
    }
    Ok(Whole { raw: raw_for(&call, &answer, passes), canonical: answer.canonical, task: None })
}

/// Ends a task that waits in the queue. One that is on its way to its agent this very moment is ended too; the agent is told
/// when it answers.
async fn cancel_queued(gateway: &A2aGateway, row: &Arc<Row>, call: &crate::call::Call) -> Result<Whole, Problem> {
    let over = |_| Problem::new(Code::TaskNotCancelable, format!("the task {} is already over", row.id));
    control::end(row, TaskState::Canceled, "The task was canceled before an agent had it.").map_err(over)?;
    people::withdraw(gateway, row).await;
    told(row, call).await
}

/// The task as it stands and then every event, until it is over; with `Last-Event-ID`, those that the caller has not.
pub(super) async fn subscribe(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Stream, Problem> {
    let permit = supply::StreamPermit::take(gateway, &order.principal)?;
    let legacy = order.call.is_legacy_grpc();
    let from = order.call.wishes.from;
    let row = match row_of(gateway, &order) {
        Some(row) => {
            refresh(gateway, &order, &row).await;
            row
        }
        None => adopt(gateway, order).await?,
    };
    let from = from.filter(|from| *from < row.seq());
    if row.state().is_terminal() && from.is_none() {
        // Over gRPC the older dialect answers with the task and closes (`a2a.v1` TaskSubscription).
        if legacy {
            let canonical = crate::tasks::push::wrap_task(&row.document());
            return Ok(Stream::once(supply::Piece { canonical, raw: None, last: true, seq: None }, permit));
        }
        return Err(Problem::new(Code::TaskOver, format!("the task {} is over and has no more events", row.id)));
    }
    row.saved().await?;
    let stream = Stream::follow(&row, supply::Until::Terminal, from, permit);
    supply::watch(gateway, &row);
    Ok(stream)
}

/// The watch on the task may go on with what is got for its owner, who is here again. If that cannot be had now, the record is
/// told all the same.
async fn refresh(gateway: &A2aGateway, order: &Order<A2aGateway>, row: &Row) {
    let agent = gateway.directory.load().agents.get(&row.agent).cloned();
    let Some(agent) = agent.filter(|_| !row.state().is_terminal()) else { return };
    match behalf::prepare(&agent, &order.principal, &order.call).await {
        Ok(()) => behalf::entrust(&agent, &order.principal, &order.call, &row.id),
        Err(problem) => tracing::debug!(task = %row.id, %problem, "a followed task has no credential"),
    }
}

/// Asks the agent for a task that we have no record of; only where the operator allows it.
async fn adopt(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Arc<Row>, Problem> {
    let id = order.envelope.head.task.as_ref().map(ToString::to_string).unwrap_or_default();
    unknown_to_all(gateway, &order).await?;
    let outgoing = Outgoing::with(Operation::Get, json!({ "id": id }));
    let mut attempt = Attempt::new(order)?;
    let result = attempt.whole(gateway, &outgoing).await;
    let row = match &result {
        Ok(answer) => seen(gateway, &attempt, None, answer).await?,
        Err(_) => None,
    };
    attempt.finish(gateway, result.as_ref().map(|_| ()));
    result?;
    row.ok_or_else(|| Problem::new(Code::TaskNotFound, format!("there is no task {id}")))
}
