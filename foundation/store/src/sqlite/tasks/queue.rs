//! The queue: claims and their leases, what waits, what runs, what is overdue.

use moongate_core::seam::tasks::{Claim, Stored, Waiting};
use moongate_core::task::Fence;
use moongate_core::{AgentName, Phase, TaskId, Time};
use rusqlite::{Connection, params};

use super::row::{all, keys};
use crate::sqlite::tally::Tally;
use crate::sqlite::value::{Columns, milliseconds, number};

/// The next urgency of which something waits: one step in the index, so that what is put off costs nothing.
pub(super) const URGENCY: &str = "
    SELECT min(priority) FROM task INDEXED BY task_ready WHERE phase = 0 AND agent = ?1 AND priority > ?2";
pub(super) const READY: &str = "
    SELECT pk FROM task INDEXED BY task_ready
    WHERE phase = 0 AND agent = ?1 AND priority = ?2 AND ifnull(next_run_at, 0) <= ?3
    ORDER BY ifnull(next_run_at, 0), next_run_at, pk LIMIT ?4";
pub(super) const CLAIM: &str = "
    UPDATE task SET phase = 1, attempt = attempt + 1, next_run_at = NULL, lease_owner = ?2, lease_until = ?3
    WHERE pk = ?1";
pub(super) const RENEW: &str = "
    UPDATE task SET lease_until = ?4 WHERE id = ?1 AND seq = ?2 AND attempt = ?3 AND phase = 1";
pub(super) const ABANDONED: &str = "
    SELECT pk FROM task INDEXED BY task_lease WHERE phase = 1 AND ifnull(lease_until, 0) <= ?1
    ORDER BY ifnull(lease_until, 0), pk LIMIT ?2";
/// Walks over what waits, in the index alone.
pub(super) const WAITING: &str = "
    SELECT agent, count(*), min(ifnull(next_run_at, 0)) FROM task INDEXED BY task_ready WHERE phase = 0 GROUP BY agent";
pub(super) const RUNNING: &str = "
    SELECT pk FROM task INDEXED BY task_running WHERE phase = 2 AND id > ?1 ORDER BY id LIMIT ?2";
pub(super) const DUE: &str = "
    SELECT pk FROM task INDEXED BY task_deadline WHERE deadline <= ?1 ORDER BY deadline, pk LIMIT ?2";

pub(super) fn claim(connection: &Connection, tally: &Tally, claim: &Claim) -> rusqlite::Result<Vec<Stored>> {
    let mut taken = Vec::new();
    let mut urgency = connection.prepare_cached(URGENCY)?;
    let mut next = |above: i64| urgency.query_row((claim.agent.as_str(), above), |row| row.get::<_, Option<i64>>(0));
    let (now, until) = (milliseconds(claim.now), milliseconds(claim.until));
    let mut above = -1;
    while taken.len() < claim.limit as usize
        && let Some(priority) = next(above)?
    {
        let left = number(u64::from(claim.limit) - taken.len() as u64);
        taken.extend(keys(connection, READY, &[&claim.agent.as_str(), &priority, &now, &left])?);
        above = priority;
    }
    let mut update = connection.prepare_cached(CLAIM)?;
    for pk in &taken {
        update.execute(params![pk, claim.worker, until])?;
    }
    tally.note(|numbers| {
        *numbers.phase(Phase::Ready) -= number(taken.len() as u64);
        *numbers.phase(Phase::Sending) += number(taken.len() as u64);
    });
    all(connection, &taken)
}

pub(super) fn renew(connection: &Connection, held: &[(TaskId, Fence)], until: Time) -> rusqlite::Result<Vec<TaskId>> {
    let mut lost = Vec::new();
    let mut renew = connection.prepare_cached(RENEW)?;
    for (id, fence) in held {
        let row = params![id.as_str(), number(fence.seq), fence.attempt, milliseconds(until)];
        if fence.phase != Phase::Sending || renew.execute(row)? == 0 {
            lost.push(id.clone());
        }
    }
    Ok(lost)
}

pub(super) fn abandoned(connection: &Connection, now: Time, limit: u32) -> rusqlite::Result<Vec<Stored>> {
    all(connection, &keys(connection, ABANDONED, &[&milliseconds(now), &limit])?)
}

pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<Vec<Waiting>> {
    let row = |row: &rusqlite::Row<'_>| {
        let mut columns = Columns::of(row);
        Ok(Waiting { agent: AgentName::new(columns.text()?), count: columns.count()?, next: columns.time()? })
    };
    connection.prepare_cached(WAITING)?.query_map([], row)?.collect()
}

pub(super) fn running(connection: &Connection, after: Option<&TaskId>, limit: u32) -> rusqlite::Result<Vec<Stored>> {
    // No id is empty.
    let after = after.map_or("", TaskId::as_str);
    all(connection, &keys(connection, RUNNING, &[&after, &limit])?)
}

pub(super) fn due(connection: &Connection, now: Time, limit: u32) -> rusqlite::Result<Vec<Stored>> {
    all(connection, &keys(connection, DUE, &[&milliseconds(now), &limit])?)
}
