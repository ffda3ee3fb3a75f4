//! PauseTask and ResumeTask, of our pause-resume extension (`docs/reference/extensions/pause-resume.md`).
//!
//! A task that no agent has is held by the gateway. One that an agent works on is paused only by its agent, if its card
//! declares the extension; otherwise the caller hears that it is not offered.

use std::sync::Arc;

use moongate_core::{Code, Operation, Problem};
use moongate_flow::pipeline::Order;

use super::task::{addressed, row_of, told};
use super::{Attempt, Whole};
use crate::gateway::{A2aGateway, Pick};
use crate::supply;
use crate::tasks::control::{self, PAUSE_RESUME};
use crate::tasks::row::Row;

/// Holds a task, or lets it go on; idempotent.
pub(super) async fn hold(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>) -> Result<Whole, Problem> {
    let Some(row) = row_of(gateway, &order) else {
        return Err(Problem::new(Code::TaskNotFound, "there is no such task"));
    };
    if row.state().is_terminal() {
        return Err(control::over(&row));
    }
    let call = order.call.clone();
    if row.instance().is_some() && !already(&row, call.operation) {
        ask_agent(gateway, order, &row).await?;
    }
    if call.operation == Operation::Pause {
        control::pause(&row, gateway.settings.load().tasks.pause_freezes)?;
    } else {
        control::resume(&row)?;
        supply::watch(gateway, &row);
        gateway.tasks.ready.notify_one();
    }
    told(&row, &call).await
}

fn already(row: &Row, operation: Operation) -> bool {
    (row.phase() == moongate_core::Phase::Paused) == (operation == Operation::Pause)
}

/// Passes the wish on to the agent that has the task.
async fn ask_agent(gateway: &Arc<A2aGateway>, order: Order<A2aGateway>, row: &Arc<Row>) -> Result<(), Problem> {
    let able = match &order.picked {
        Pick::Agent(chosen) => chosen.endpoint.card.extensions.iter().any(|uri| uri == PAUSE_RESUME),
        Pick::Here | Pick::Queue(_) => false,
    };
    if !able {
        return Err(Problem::new(
            Code::NotOffered,
            format!(
                "the agent works on the task {} and cannot pause it: its card does not declare {PAUSE_RESUME}",
                row.id
            ),
        ));
    }
    let outgoing = addressed(&order, Some(row))?;
    let mut attempt = Attempt::new(order)?;
    let result = attempt.whole(gateway, &outgoing).await;
    attempt.finish(gateway, result.as_ref().map(|_| ()));
    result.map(|_| ())
}
