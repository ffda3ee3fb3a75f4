//! What is forgotten: finished tasks, the oldest first, and idempotency keys that have run out.

use moongate_core::{Phase, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::sqlite::tally::Tally;
use crate::sqlite::value::{Columns, milliseconds, number};

/// Finished tasks, those that ended first before all others.
pub(super) const OLDEST: &str = "
    SELECT pk, ended_at FROM task INDEXED BY task_ended WHERE ended_at IS NOT NULL ORDER BY ended_at, pk";
/// What a task has beside its row; nothing if it still owes a delivery.
pub(super) const BELONGINGS: &str = "
    SELECT seq, configs, (SELECT count(*) FROM push_config AS c WHERE c.task = t.pk AND c.dead IS NOT NULL)
    FROM task AS t
    WHERE pk = ?1 AND (configs = 0 OR NOT EXISTS (SELECT 1 FROM push_config AS c WHERE c.task = t.pk AND c.owed = 1))";
pub(super) const REMOVE: &str = "DELETE FROM task WHERE pk = ?1";
pub(super) const KEYS: &str = "
    DELETE FROM idem WHERE (owner, key) IN (SELECT owner, key FROM idem WHERE until <= ?1 ORDER BY until LIMIT ?2)";

/// How much to forget at once.
pub(super) struct Slice {
    pub(super) now: Time,
    pub(super) before: Time,
    pub(super) keep: u64,
    pub(super) limit: u32,
}

/// A finished task that may go, and what goes with it.
struct Leaver {
    pk: i64,
    events: i64,
    configs: i64,
    dead_configs: i64,
}

/// How many tasks went.
pub(super) fn expire(connection: &Connection, tally: &Tally, slice: &Slice) -> rusqlite::Result<u64> {
    forget_keys(connection, slice.now, slice.limit)?;
    let beyond = tally.finished(connection)?.saturating_sub(slice.keep);
    let leavers = leavers(connection, slice, beyond)?;
    let mut remove = connection.prepare_cached(REMOVE)?;
    for leaver in &leavers {
        remove.execute([leaver.pk])?;
    }
    tally.note(|numbers| {
        *numbers.phase(Phase::Done) -= number(leavers.len() as u64);
        for leaver in &leavers {
            numbers.events -= leaver.events;
            numbers.configs -= leaver.configs;
            numbers.dead_configs -= leaver.dead_configs;
        }
    });
    Ok(leavers.len() as u64)
}

fn leavers(connection: &Connection, slice: &Slice, beyond: u64) -> rusqlite::Result<Vec<Leaver>> {
    let mut leavers = Vec::new();
    let mut oldest = connection.prepare_cached(OLDEST)?;
    let mut belongings = connection.prepare_cached(BELONGINGS)?;
    let mut rows = oldest.query([])?;
    for place in 0.. {
        let Some(row) = rows.next()? else { break };
        let mut columns = Columns::of(row);
        let (pk, ended_at): (i64, _) = (columns.take()?, columns.time()?);
        let goes = ended_at < slice.before || place < beyond;
        if !goes || leavers.len() >= slice.limit as usize {
            break;
        }
        let row =
            |row: &Row<'_>| Ok(Leaver { pk, events: row.get(0)?, configs: row.get(1)?, dead_configs: row.get(2)? });
        leavers.extend(belongings.query_row([pk], row).optional()?);
    }
    Ok(leavers)
}

/// Forgets at most `limit` keys that have run out.
pub(super) fn forget_keys(connection: &Connection, now: Time, limit: u32) -> rusqlite::Result<()> {
    connection.prepare_cached(KEYS)?.execute(params![milliseconds(now), limit]).map(drop)
}
