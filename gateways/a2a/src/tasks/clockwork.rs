//! What happens to tasks with time: timeouts strike, finished tasks are forgotten, and what a restart finds is put right.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::task::Command;
use moongate_core::{Phase, Problem, TaskState, Time};

use super::queue::LEASE;
use super::row::Told;
use super::{Row, control};
use crate::gateway::A2aGateway;
use crate::supply;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many tasks are looked at, or forgotten, in one go.
const SLICE: u32 = 500;
/// Claims are prolonged every so many ticks.
const RENEWAL: u64 = 10;
/// Every so many ticks the age of finished tasks is looked at; their number, which costs next to nothing, at each.
const RETENTION: u64 = 60;

/// Looks after deadlines and retention, for ever.
pub async fn run(gateway: Arc<A2aGateway>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for tick in 0.. {
        ticks.tick().await;
        if let Err(problem) = strike(&gateway).await {
            tracing::warn!(%problem, "the tasks' deadlines cannot be read");
        }
        if tick % RENEWAL == 0
            && let Err(problem) = look_after(&gateway).await
        {
            tracing::warn!(%problem, "claims on tasks cannot be looked after");
        }
        if let Err(problem) = forget(&gateway, tick % RETENTION == 0).await {
            tracing::warn!(%problem, "finished tasks cannot be forgotten");
        }
    }
}

/// Ends the tasks whose time is over.
async fn strike(gateway: &Arc<A2aGateway>) -> Result<(), Problem> {
    loop {
        let now = gateway.clock.now();
        let due = gateway.tasks.store().tasks().due(now, SLICE).await?;
        let full = due.len() == SLICE as usize;
        let mut ended = Vec::new();
        for stored in due {
            let Some(row) = gateway.tasks.any(&stored.task.id).await? else { continue };
            let Some(timeout) = row.overdue(now) else { continue };
            let running = row.phase() == Phase::Running;
            control::expire(&row, timeout);
            if running {
                supply::cancel_upstream(gateway, &row, row.instance(), row.upstream_id());
            }
            ended.push(row);
        }
        // One that the store has not seen end would be due again at once.
        let mut struck = false;
        for row in ended {
            struck |= row.saved().await.is_ok();
        }
        if !full || !struck {
            return Ok(());
        }
    }
}

/// Prolongs the claims of what is being handed over, and puts right what nobody hands over any more.
async fn look_after(gateway: &Arc<A2aGateway>) -> Result<(), Problem> {
    let store = gateway.tasks.store().clone();
    let now = gateway.clock.now();
    let held = gateway.lanes.in_hand();
    if !held.is_empty() {
        store.tasks().renew(held, now.plus(LEASE)).await?;
    }
    for stored in store.tasks().abandoned(now, SLICE).await? {
        let Some(row) = gateway.tasks.any(&stored.task.id).await? else { continue };
        // A clock that leaps ends claims that are held all the same.
        if row.phase() == Phase::Sending && !gateway.lanes.hands_over(&row.id) {
            interrupted(gateway, &row);
            row.saved().await?;
        }
    }
    Ok(())
}

/// Forgets finished tasks that are too many or, if `by_age`, too old.
async fn forget(gateway: &Arc<A2aGateway>, by_age: bool) -> Result<(), Problem> {
    let settings = gateway.settings.load_full();
    let finished = gateway.tasks.store().tasks().census().await?.count(Phase::Done);
    if !by_age && finished <= settings.tasks.keep {
        return Ok(());
    }
    let now = gateway.clock.now();
    let retain = u64::try_from(settings.tasks.retain.as_millis()).unwrap_or(u64::MAX);
    let before = Time(now.0.saturating_sub(retain));
    let keep = settings.tasks.keep;
    while gateway.tasks.store().tasks().expire(now, before, keep, SLICE).await? >= u64::from(SLICE) {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Puts right what the last run left: tasks that were being handed over, and tasks that agents work on.
///
/// # Errors
/// What keeps the store from being read.
pub async fn recover(gateway: &Arc<A2aGateway>) -> Result<(), Problem> {
    let store = gateway.tasks.store().clone();
    loop {
        // Nobody else uses the store: whoever held a claim is gone.
        let left = store.tasks().abandoned(Time(u64::MAX), SLICE).await?;
        if left.is_empty() {
            break;
        }
        for stored in left {
            let Some(row) = gateway.tasks.any(&stored.task.id).await? else { continue };
            interrupted(gateway, &row);
            row.saved().await?;
        }
    }
    let mut after = None;
    loop {
        let page = store.tasks().running(after.clone(), SLICE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.task.id.clone());
        for stored in page {
            if let Some(row) = gateway.tasks.any(&stored.task.id).await? {
                supply::watch(gateway, &row);
            }
        }
    }
}

/// A task that was being handed over when the gateway died, or when what handed it over did.
fn interrupted(gateway: &Arc<A2aGateway>, row: &Arc<Row>) {
    let directory = gateway.directory.load();
    let agent = directory.agents.get(&row.agent);
    let done = if agent.is_some_and(|agent| agent.settings.may_repeat(row.skill.as_ref())) {
        row.change(Command::Again(gateway.clock.now()), Told::default())
    } else {
        let text = "The gateway stopped while it handed the task over: whether the agent works on it is not known.";
        control::end(row, TaskState::Failed, text)
    };
    if let Err(rejected) = done {
        tracing::warn!(task = %row.id, %rejected, "a task that was being handed over cannot be put right");
    }
}
