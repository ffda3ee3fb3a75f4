//! What operators do to tasks beside the protocol: end one, whoever's it is; hold it; try again what was given up.

use std::sync::Arc;

use moongate_core::seam::tasks::Filter;
use moongate_core::task::Command;
use moongate_core::{Code, Phase, Problem, TaskState};

use super::row::Told;
use super::{Row, control};
use crate::gateway::A2aGateway;
use crate::supply;

/// How many tasks are looked at in one go.
const SLICE: u32 = 500;

/// What was tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Tasks that could not be handed over.
    pub tasks: u64,
    /// Push configs that were given up.
    pub deliveries: u64,
}

/// Ends a task: at its agent, or here if none has it.
///
/// # Errors
/// `TaskNotCancelable` if it is over; what the agent answers, or that it cannot be reached.
pub async fn cancel(gateway: &Arc<A2aGateway>, row: &Arc<Row>) -> Result<(), Problem> {
    let over = || Problem::new(Code::TaskNotCancelable, format!("the task {} is already over", row.id));
    if row.state().is_terminal() {
        return Err(over());
    }
    if row.instance().is_none() {
        let text = "The task was canceled by the operator before an agent had it.";
        control::end(row, TaskState::Canceled, text).map_err(|_| over())?;
        super::people::withdraw(gateway, row).await;
    } else {
        supply::cancel(gateway, row, row.instance(), row.upstream_id()).await?;
        if !row.state().is_terminal() {
            supply::watch(gateway, row);
            supply::ended(row).await;
        }
    }
    row.saved().await
}

/// Holds a task that no agent has.
///
/// # Errors
/// `TaskOver`; `NotOffered` if an agent has it.
pub async fn pause(gateway: &A2aGateway, row: &Arc<Row>) -> Result<(), Problem> {
    if row.phase() == Phase::Running {
        return Err(with_agent(row, "paused"));
    }
    control::pause(row, gateway.settings.load().tasks.pause_freezes)?;
    row.saved().await
}

/// Lets a held task go on.
///
/// # Errors
/// `TaskOver`; `NotOffered` if an agent has it.
pub async fn resume(gateway: &A2aGateway, row: &Arc<Row>) -> Result<(), Problem> {
    if row.task().pause.is_some_and(|pause| pause.from == Phase::Running) {
        return Err(with_agent(row, "resumed"));
    }
    control::resume(row)?;
    row.saved().await?;
    gateway.tasks.ready.notify_one();
    Ok(())
}

fn with_agent(row: &Row, what: &str) -> Problem {
    let detail = format!("the agent {} works on the task {}, and offers no way to have it {what}", row.agent, row.id);
    Problem::new(Code::NotOffered, detail)
}

/// Tries a task again that could not be handed over, and what its push receivers did not take.
///
/// # Errors
/// What keeps the store from being written.
pub async fn redrive(gateway: &Arc<A2aGateway>, row: &Arc<Row>) -> Result<Redriven, Problem> {
    let mut redriven = Redriven::default();
    if again(gateway, row) {
        row.saved().await?;
        gateway.tasks.ready.notify_one();
        redriven.tasks = 1;
    }
    let now = gateway.clock.now();
    redriven.deliveries = gateway.tasks.store().tasks().redrive_configs(Some(row.id.clone()), now).await?;
    gateway.tasks.home.deliver.notify_one();
    Ok(redriven)
}

/// The same for all tasks.
///
/// # Errors
/// What keeps the store from being read or written; what was redriven by then stays so.
pub async fn redrive_all(gateway: &Arc<A2aGateway>) -> Result<Redriven, Problem> {
    let mut redriven = Redriven::default();
    let store = gateway.tasks.store();
    let mut after = None;
    loop {
        // Whatever is given up has never been with an agent, so it is as it was submitted.
        let state = Some(TaskState::Submitted);
        let page = store.tasks().list(Filter { state, after, limit: SLICE, ..Filter::default() }).await?;
        after = page.tasks.last().map(|last| (last.task.status_at, last.task.id.clone()));
        for stored in page.tasks.iter().filter(|stored| stored.task.phase == Phase::Dead) {
            let Some(row) = gateway.tasks.any(&stored.task.id).await? else { continue };
            if again(gateway, &row) {
                row.saved().await?;
                redriven.tasks += 1;
            }
        }
        if !page.more {
            break;
        }
    }
    gateway.tasks.ready.notify_one();
    redriven.deliveries = store.tasks().redrive_configs(None, gateway.clock.now()).await?;
    gateway.tasks.home.deliver.notify_one();
    Ok(redriven)
}

/// Puts a task back into the queue that was given up; whether it was.
fn again(gateway: &A2aGateway, row: &Arc<Row>) -> bool {
    let told = Told { text: "The task is tried again.", ..Told::default() };
    let done = row.phase() == Phase::Dead && row.change(Command::Redrive, told).is_ok();
    if done {
        gateway.lanes.reopen(&row.agent);
    }
    done
}
