//! GetTask, ListTasks, CancelTask and SubscribeToTask (A2A 1.0 §3.1.3 to §3.1.6).

use std::sync::Arc;
use std::time::Duration;

use moongate_core::{Code, Operation, Problem};
use moongate_flow::pipeline::Order;
use serde_json::{Value, json};

use super::send::{Seen, raw_for, sight};
use super::{Attempt, Whole};
use crate::gateway::{A2aGateway, Pick};
use crate::supply::{self, Stream};
use crate::tasks::{Owned, Row, fold, list as listing};
use crate::translation::{Answer, Learned, Outgoing};

/// How long a cancelled task may take to end before the caller is told that it has not.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

fn row_of(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Option<Arc<Row>> {
    let id = order.envelope.head.task.as_ref()?;
    match gateway.tasks.owned(&order.principal, id.as_str()) {
        Owned::Yes(row) => Some(row),
        Owned::No | Owned::Unknown => None,
    }
}

/// The agent's own id in place of the client's, where they differ.
fn addressed(order: &Order<A2aGateway>, row: Option<&Row>) -> Result<Outgoing, Problem> {
    let operation = order.call.operation;
    match row.filter(|row| row.is_mapped()) {
        None => Ok(Outgoing::same(operation)),
        Some(row) => {
            let mut params = order.call.value()?;
            if let Some(members) = params.as_object_mut() {
                members.insert("id".into(), json!(row.upstream_id()));
            }
            Ok(Outgoing::with(operation, params))
        }
    }
}

/// The task as its agent sees it now; as we last saw it where the agent cannot tell.
pub(super) async fn get(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, &order);
    if matches!(order.picked, Pick::Here) {
        return Ok(from_row(row.as_deref(), &order.call));
    }
    let outgoing = addressed(&order, row.as_deref())?;
    let mut attempt = Attempt::new(order)?;
    match attempt.whole(gateway, &outgoing).await {
        Ok(answer) => {
            let passes = attempt.passes(&outgoing);
            let row = seen(gateway, &attempt, row, &answer);
            let order_call = attempt.order.call.clone();
            attempt.finish(gateway, Ok(()));
            // After follow-ups our record is what surely holds every message of the user's.
            if row.as_ref().is_some_and(|row| row.is_mapped() || row.messages() > 1) {
                return Ok(from_row(row.as_deref(), &order_call));
            }
            Ok(Whole { raw: raw_for(&order_call, &answer, passes), canonical: answer.canonical })
        }
        Err(problem) => {
            let call = attempt.order.call.clone();
            attempt.finish(gateway, Err(&problem));
            match row {
                // What the agent has forgotten, or cannot say while it is away, we still know.
                Some(row) => {
                    tracing::debug!(task = %row.id, %problem, "the task is told from the record");
                    Ok(from_row(Some(&row), &call))
                }
                None => Err(problem),
            }
        }
    }
}

/// Brings the row up to date with what the agent says.
fn seen(gateway: &Arc<A2aGateway>, attempt: &Attempt, row: Option<Arc<Row>>, answer: &Answer) -> Option<Arc<Row>> {
    let Learned::Task { id, context, state, document } = &answer.learned else { return row };
    match row {
        Some(row) if row.is_mapped() => {
            if let Ok(mut value) = serde_json::from_slice::<Value>(document) {
                supply::rename(&mut value, row.upstream_id(), row.id.as_str());
                row.reported(serde_json::to_vec(&value).unwrap_or_default().into(), *state);
            }
            Some(row)
        }
        Some(row) => {
            let changed = row.state() != *state;
            if changed || row.messages() > 1 {
                row.reported(document.clone(), *state);
            }
            if changed {
                supply::watch(gateway, &row);
            }
            Some(row)
        }
        // A task without a record, of an agent whose tasks are adopted.
        None => {
            let seen = Seen { id, context: context.as_deref(), state: *state, document: document.clone() };
            Some(sight(gateway, &attempt.order, &attempt.chosen, seen))
        }
    }
}

fn from_row(row: Option<&Row>, call: &crate::call::Call) -> Whole {
    let mut task = row.map(Row::value).unwrap_or_default();
    fold::trim_history(&mut task, call.peek.history_length);
    Whole::own(&task)
}

/// The caller's tasks, from the index.
pub(super) fn list(gateway: &A2aGateway, order: &Order<A2aGateway>) -> Result<Whole, Problem> {
    let head = &order.envelope.head;
    let agent = head.base.as_ref().or(head.tenant.as_ref());
    let params = order.call.value()?;
    listing::list(&gateway.tasks, &order.principal, agent, &params).map(|value| Whole::own(&value))
}

/// Passes the wish on to the agent.
pub(super) async fn cancel(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let row = row_of(gateway, &order);
    if let Some(row) = row.as_ref().filter(|row| row.state().is_terminal()) {
        return Err(Problem::new(Code::TaskNotCancelable, format!("the task {} is already over", row.id)));
    }
    let outgoing = addressed(&order, row.as_deref())?;
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
    let row = seen(gateway, &attempt, row, &answer);
    let call = attempt.order.call.clone();
    attempt.finish(gateway, Ok(()));
    // Some agents say yes before they have stopped: what they say next is what the caller wants to hear.
    if let Some(row) = row.as_ref().filter(|row| !row.state().is_terminal()) {
        supply::watch(gateway, row);
        supply::ended(row, CANCEL_PATIENCE).await;
        if row.state().is_terminal() {
            return Ok(from_row(Some(row), &call));
        }
    }
    if row.as_ref().is_some_and(|row| row.is_mapped()) {
        return Ok(from_row(row.as_deref(), &call));
    }
    Ok(Whole { raw: raw_for(&call, &answer, passes), canonical: answer.canonical })
}

/// The task as it stands and then every event, until it is over.
pub(super) async fn subscribe(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Stream, Problem> {
    let permit = supply::StreamPermit::take(gateway)?;
    let legacy = order.call.is_legacy_grpc();
    let row = match row_of(gateway, &order) {
        Some(row) => row,
        None => adopt(gateway, order).await?,
    };
    if row.state().is_terminal() {
        // Over gRPC the older dialect answers with the task and closes (`a2a.v1` TaskSubscription).
        if legacy {
            let canonical = crate::tasks::push::wrap_task(&row.document());
            return Ok(Stream::once(supply::Piece { canonical, raw: None, last: true }, permit));
        }
        return Err(Problem::new(Code::TaskOver, format!("the task {} is over and has no more events", row.id)));
    }
    let stream = Stream::follow(&row, supply::Until::Terminal, permit);
    supply::watch(gateway, &row);
    Ok(stream)
}

/// Asks the agent for a task that we have no record of; only where the operator allows it.
async fn adopt(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Arc<Row>, Problem> {
    let id = order.envelope.head.task.as_ref().map(ToString::to_string).unwrap_or_default();
    let outgoing = Outgoing::with(Operation::Get, json!({ "id": id }));
    let mut attempt = Attempt::new(order)?;
    let result = attempt.whole(gateway, &outgoing).await;
    let row = match &result {
        Ok(answer) => seen(gateway, &attempt, None, answer),
        Err(_) => None,
    };
    attempt.finish(gateway, result.as_ref().map(|_| ()));
    result?;
    row.ok_or_else(|| Problem::new(Code::TaskNotFound, format!("there is no task {id}")))
}
