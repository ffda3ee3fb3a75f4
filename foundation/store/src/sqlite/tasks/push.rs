//! Push configs: each is a cursor into its task's log. One that owes nothing stands in no index that is asked what is due.

use moongate_core::seam::tasks::{Delivery, PushRow, Settled};
use moongate_core::{TaskId, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::read;
use super::row::{event, push_row};
use crate::sqlite::tally::Tally;
use crate::sqlite::value::{Columns, count, milliseconds, number, time};

pub(super) const SEQ: &str = "SELECT pk, seq FROM task WHERE id = ?1";
pub(super) const DEAD: &str = "SELECT dead IS NOT NULL FROM push_config WHERE task = ?1 AND id = ?2";
/// Replaced in its place: the row keeps its key.
pub(super) const PUT: &str = "
    INSERT INTO push_config (task, id, sealed, delivered, attempt, due_at, since, dead, owed, taken)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
    ON CONFLICT (task, id) DO UPDATE SET sealed = excluded.sealed, delivered = excluded.delivered,
        attempt = excluded.attempt, due_at = excluded.due_at, since = excluded.since, dead = excluded.dead,
        owed = excluded.owed, taken = 0";
pub(super) const CONFIGS: &str = "UPDATE task SET configs = configs + ?2 WHERE pk = ?1";
pub(super) const REMOVE: &str = "DELETE FROM push_config WHERE task = ?1 AND id = ?2 RETURNING dead IS NOT NULL";
pub(super) const OWE: &str = "
    UPDATE push_config SET owed = 1, due_at = ?3
    WHERE task = ?1 AND owed = 0 AND dead IS NULL AND delivered < ?2";
pub(super) const DUE: &str = "
    SELECT c.pk, t.id, t.owner, c.id, c.sealed, c.delivered, c.attempt, c.due_at, c.since, c.dead,
        e.seq, e.at, e.state, e.payload
    FROM push_config AS c INDEXED BY push_due
    CROSS JOIN task AS t ON t.pk = c.task
    CROSS JOIN task_event AS e ON e.task = c.task AND e.seq = c.delivered + 1
    WHERE c.owed = 1 AND c.due_at <= ?1 ORDER BY c.due_at, c.pk LIMIT ?2";
pub(super) const PUT_OFF: &str = "UPDATE push_config SET due_at = ?2, taken = 1 WHERE pk = ?1";
pub(super) const TAKEN: &str = "
    SELECT c.pk, t.seq FROM task AS t CROSS JOIN push_config AS c ON c.task = t.pk
    WHERE t.id = ?1 AND c.id = ?2 AND c.delivered + 1 = ?3 AND c.taken = 1";
pub(super) const ADVANCE: &str = "
    UPDATE push_config SET delivered = ?2, attempt = 0, since = NULL, owed = ?3, taken = 0,
        due_at = ifnull((SELECT at FROM task_event AS e WHERE e.task = push_config.task AND e.seq = ?2 + 1), due_at)
    WHERE pk = ?1";
pub(super) const AGAIN: &str = "
    UPDATE push_config SET attempt = attempt + 1, due_at = ?2, since = ?3, taken = 0 WHERE pk = ?1";
pub(super) const LATER: &str = "UPDATE push_config SET due_at = ?2, taken = 0 WHERE pk = ?1";
pub(super) const GIVE_UP: &str = "
    UPDATE push_config SET attempt = attempt + 1, dead = ?2, owed = 0, taken = 0 WHERE pk = ?1";
pub(super) const NEXT: &str = "SELECT min(due_at) FROM push_config INDEXED BY push_due WHERE owed = 1";
/// Follows `UPDATE push_config SET`: what was given up is tried again.
macro_rules! redrive {
    ($which:literal) => {
        concat!(
            "UPDATE push_config INDEXED BY push_dead SET dead = NULL, attempt = 0, since = NULL, due_at = ?1,
                owed = delivered < (SELECT seq FROM task AS t WHERE t.pk = push_config.task)
            WHERE dead IS NOT NULL ",
            $which
        )
    };
}
pub(super) const REDRIVE_ALL: &str = redrive!("");
pub(super) const REDRIVE: &str = redrive!("AND task = ?2");

/// Writes the configs of a new task with this key and number.
pub(super) fn insert_all(
    connection: &Connection,
    tally: &Tally,
    (pk, seq): (i64, u64),
    configs: &[PushRow],
) -> rusqlite::Result<()> {
    let mut count = 0;
    for config in configs {
        count += i64::from(insert(connection, tally, (pk, seq), config)?);
    }
    if count > 0 {
        connection.prepare_cached(CONFIGS)?.execute((pk, count))?;
    }
    Ok(())
}

/// Writes a config of the task with this key and number; whether it is new.
fn insert(connection: &Connection, tally: &Tally, (pk, seq): (i64, u64), config: &PushRow) -> rusqlite::Result<bool> {
    let was_dead: Option<bool> =
        connection.prepare_cached(DEAD)?.query_row((pk, &config.id), |row| row.get(0)).optional()?;
    connection.prepare_cached(PUT)?.execute(params![
        pk,
        config.id,
        &*config.sealed,
        number(config.delivered),
        config.attempt,
        milliseconds(config.due_at),
        config.since.map(milliseconds),
        config.dead,
        config.dead.is_none() && config.delivered < seq,
    ])?;
    tally.note(|numbers| {
        numbers.configs += i64::from(was_dead.is_none());
        numbers.dead_configs += i64::from(config.dead.is_some()) - i64::from(was_dead == Some(true));
    });
    Ok(was_dead.is_none())
}

pub(super) fn put(connection: &Connection, tally: &Tally, task: &TaskId, config: &PushRow) -> rusqlite::Result<bool> {
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, count(row.get(1)?)));
    let Some(place) = connection.prepare_cached(SEQ)?.query_row([task.as_str()], row).optional()? else {
        return Ok(false);
    };
    if insert(connection, tally, place, config)? {
        connection.prepare_cached(CONFIGS)?.execute((place.0, 1))?;
    }
    Ok(true)
}

pub(super) fn remove(connection: &Connection, tally: &Tally, task: &TaskId, id: &str) -> rusqlite::Result<bool> {
    let Some(pk) = read::pk(connection, task)? else { return Ok(false) };
    let removed: Option<bool> = connection.prepare_cached(REMOVE)?.query_row((pk, id), |row| row.get(0)).optional()?;
    let Some(was_dead) = removed else { return Ok(false) };
    connection.prepare_cached(CONFIGS)?.execute((pk, -1))?;
    tally.note(|numbers| {
        numbers.configs -= 1;
        numbers.dead_configs -= i64::from(was_dead);
    });
    Ok(true)
}

/// The task with this key and number has new events, the first of them recorded at `first`.
pub(super) fn owe(connection: &Connection, (pk, seq): (i64, u64), first: Time) -> rusqlite::Result<()> {
    connection.prepare_cached(OWE)?.execute((pk, number(seq), milliseconds(first))).map(drop)
}

pub(super) fn take(connection: &Connection, now: Time, until: Time, limit: u32) -> rusqlite::Result<Vec<Delivery>> {
    let row = |row: &Row<'_>| {
        let mut columns = Columns::of(row);
        let pk: i64 = columns.take()?;
        let (task, owner) = (TaskId::new(columns.text()?), columns.text()?);
        let config = PushRow { due_at: until, ..push_row(&mut columns)? };
        Ok((pk, Delivery { task, owner, config, event: event(&mut columns)? }))
    };
    let mut due = connection.prepare_cached(DUE)?;
    let due: Vec<_> = due.query_map((milliseconds(now), limit), row)?.collect::<rusqlite::Result<_>>()?;
    let mut put_off = connection.prepare_cached(PUT_OFF)?;
    for (pk, _) in &due {
        put_off.execute((pk, milliseconds(until)))?;
    }
    Ok(due.into_iter().map(|(_, delivery)| delivery).collect())
}

pub(super) fn settle(
    connection: &Connection,
    tally: &Tally,
    (task, config, seq): (&TaskId, &str, u64),
    end: &Settled,
) -> rusqlite::Result<()> {
    let row = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, count(row.get(1)?)));
    let mut taken = connection.prepare_cached(TAKEN)?;
    let Some((pk, newest)) = taken.query_row((task.as_str(), config, number(seq)), row).optional()? else {
        return Ok(());
    };
    match end {
        Settled::Taken => connection.prepare_cached(ADVANCE)?.execute((pk, number(seq), seq < newest)).map(drop),
        Settled::Again { at, since } => {
            connection.prepare_cached(AGAIN)?.execute((pk, milliseconds(*at), milliseconds(*since))).map(drop)
        }
        Settled::Later(at) => connection.prepare_cached(LATER)?.execute((pk, milliseconds(*at))).map(drop),
        Settled::Dead(reason) => {
            connection.prepare_cached(GIVE_UP)?.execute((pk, reason))?;
            tally.note(|numbers| numbers.dead_configs += 1);
            Ok(())
        }
        Settled::Gone => remove(connection, tally, task, config).map(drop),
    }
}

pub(super) fn next(connection: &Connection) -> rusqlite::Result<Option<Time>> {
    let next = connection.prepare_cached(NEXT)?.query_row([], |row| row.get::<_, Option<i64>>(0))?;
    Ok(next.map(time))
}

pub(super) fn redrive(
    connection: &Connection,
    tally: &Tally,
    task: Option<&TaskId>,
    now: Time,
) -> rusqlite::Result<u64> {
    let now = milliseconds(now);
    let redriven = match task {
        None => connection.prepare_cached(REDRIVE_ALL)?.execute([now])?,
        Some(task) => match read::pk(connection, task)? {
            Some(pk) => connection.prepare_cached(REDRIVE)?.execute([now, pk])?,
            None => 0,
        },
    };
    tally.note(|numbers| numbers.dead_configs -= number(redriven as u64));
    Ok(redriven as u64)
}
