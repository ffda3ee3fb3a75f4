//! A task's row, and the statements that read whole ones.

use moongate_core::seam::tasks::{Event, PushRow, Stored};
use moongate_core::task::{Deadlines, Pause, Timeouts};
use moongate_core::{AgentName, ContextId, InstanceId, SkillId, Task, TaskId};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql};

use crate::sqlite::value::{Columns, number};

/// Everything about the task in its row and its body, in the order that [`task`] reads.
macro_rules! whole {
    ($rest:literal) => {
        concat!(
            "SELECT t.pk, t.id, t.owner, t.context_id, t.agent, t.instance, t.skill, t.upstream_task_id,
                t.state, t.phase, t.seq, t.attempt, t.next_run_at, t.priority,
                t.start_by, t.finish_by, t.close_by, t.beat_by,
                t.start_within, t.finish_within, t.close_within, t.beat_within,
                t.paused_from, t.paused_at, t.pause_frozen, t.created_at, t.status_at, t.ended_at,
                t.document_seq, t.configs, b.document, b.request
            FROM task AS t CROSS JOIN task_body AS b ON b.task = t.pk ",
            $rest
        )
    };
}
pub(super) use whole;

pub(super) const BY_PK: &str = whole!("WHERE t.pk = ?1");
pub(super) const TAIL: &str =
    "SELECT seq, at, state, payload FROM task_event WHERE task = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub(super) const CONFIGS: &str = "
    SELECT id, sealed, delivered, attempt, due_at, since, dead FROM push_config WHERE task = ?1 ORDER BY pk";

/// A task's row and body, before events and configs are added.
struct Found {
    pk: i64,
    configs: i64,
    stored: Stored,
}

/// The task that a statement made with [`whole!`] finds, with its tail and its configs.
pub(super) fn one<P: Params>(connection: &Connection, sql: &str, params: P) -> rusqlite::Result<Option<Stored>> {
    let found = connection.prepare_cached(sql)?.query_row(params, found).optional()?;
    found.map(|found| complete(connection, found)).transpose()
}

/// The tasks with these keys, in this order.
pub(super) fn all(connection: &Connection, keys: &[i64]) -> rusqlite::Result<Vec<Stored>> {
    let mut by_pk = connection.prepare_cached(BY_PK)?;
    keys.iter().map(|pk| complete(connection, by_pk.query_row([pk], found)?)).collect()
}

/// The keys that a statement finds.
pub(super) fn keys(connection: &Connection, sql: &str, params: &[&dyn ToSql]) -> rusqlite::Result<Vec<i64>> {
    connection.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
}

fn complete(connection: &Connection, found: Found) -> rusqlite::Result<Stored> {
    let Found { pk, configs, mut stored } = found;
    if stored.document_seq < stored.task.seq {
        stored.tail = tail(connection, pk, stored.document_seq, u32::MAX)?;
    }
    if configs > 0 {
        stored.configs = connection.prepare_cached(CONFIGS)?.query_map([pk], config)?.collect::<Result<_, _>>()?;
    }
    Ok(stored)
}

/// Events of a task behind `after`.
pub(super) fn tail(connection: &Connection, pk: i64, after: u64, limit: u32) -> rusqlite::Result<Vec<Event>> {
    let mut events = connection.prepare_cached(TAIL)?;
    events.query_map((pk, number(after), limit), |row| event(&mut Columns::of(row)))?.collect()
}

/// The next four columns are an event's.
pub(super) fn event(columns: &mut Columns<'_>) -> rusqlite::Result<Event> {
    let (seq, at, state) = (columns.count()?, columns.time()?, columns.state()?);
    Ok(Event { seq, at, state, payload: columns.take::<Vec<u8>>()?.into() })
}

fn config(row: &Row<'_>) -> rusqlite::Result<PushRow> {
    push_row(&mut Columns::of(row))
}

/// The next seven columns are a push config's.
pub(super) fn push_row(columns: &mut Columns<'_>) -> rusqlite::Result<PushRow> {
    Ok(PushRow {
        id: columns.take()?,
        sealed: columns.take::<Vec<u8>>()?.into(),
        delivered: columns.count()?,
        attempt: columns.take()?,
        due_at: columns.time()?,
        since: columns.moment()?,
        dead: columns.take()?,
    })
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let mut columns = Columns::of(row);
    let pk = columns.take()?;
    let task = task(&mut columns)?;
    let (document_seq, configs) = (columns.count()?, columns.take()?);
    let document = columns.take::<Vec<u8>>()?.into();
    let request = columns.take::<Option<Vec<u8>>>()?.map(Into::into);
    let stored = Stored { task, document, document_seq, tail: Vec::new(), request, configs: Vec::new() };
    Ok(Found { pk, configs, stored })
}

fn task(columns: &mut Columns<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: TaskId::new(columns.text()?),
        owner: columns.text()?,
        context: columns.optional_text()?.map(ContextId::new),
        agent: AgentName::new(columns.text()?),
        instance: columns.optional_text()?.map(InstanceId::new),
        skill: columns.optional_text()?.map(SkillId::new),
        upstream_id: columns.optional_text()?.map(TaskId::new),
        state: columns.state()?,
        phase: columns.phase()?,
        seq: columns.count()?,
        attempt: columns.take()?,
        next_run_at: columns.moment()?,
        priority: columns.take()?,
        deadlines: Deadlines {
            start_by: columns.moment()?,
            finish_by: columns.moment()?,
            close_by: columns.moment()?,
            beat_by: columns.moment()?,
        },
        timeouts: Timeouts {
            schedule_to_start: columns.span()?,
            start_to_close: columns.span()?,
            schedule_to_close: columns.span()?,
            heartbeat: columns.span()?,
        },
        pause: pause(columns)?,
        created_at: columns.time()?,
        status_at: columns.time()?,
        ended_at: columns.moment()?,
    })
}

fn pause(columns: &mut Columns<'_>) -> rusqlite::Result<Option<Pause>> {
    let from = columns.optional_phase()?;
    let (at, frozen) = (columns.moment()?, columns.take::<Option<bool>>()?);
    Ok(from.map(|from| Pause { from, at: at.unwrap_or_default(), frozen: frozen.unwrap_or_default() }))
}
