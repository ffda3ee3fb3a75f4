//! Making tasks and writing steps.
//!
//! A step writes only what changed of the columns that indexes read, since each of them costs an entry taken out and one
//! put in, most of them on pages far apart.

use std::sync::LazyLock;

use moongate_core::seam::tasks::{Created, Event, Idempotency, NewTask, Saved, Step};
use moongate_core::task::{Fence, Task};
use moongate_core::{TaskId, TaskState, Time};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{push, retention};
use crate::sqlite::tally::Tally;
use crate::sqlite::value::{Columns, milliseconds, number, phase, span, state};

pub(super) const KEY: &str = "SELECT hash, task, until FROM idem WHERE owner = ?1 AND key = ?2";
pub(super) const PUT_KEY: &str =
    "INSERT OR REPLACE INTO idem (owner, key, hash, task, until) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const TASK: &str = "
    INSERT INTO task (state, status_at, ended_at, phase, next_run_at, priority, deadline, agent, context_id,
        upstream_task_id, seq, attempt, instance, skill, start_by, finish_by, close_by, beat_by, start_within,
        finish_within, close_within, beat_within, paused_from, paused_at, pause_frozen, document_seq, created_at, owner,
        id, configs)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23,
        ?24, ?25, ?26, ?27, ?28, ?29, 0)
    ON CONFLICT (id) DO NOTHING";
pub(super) const BODY: &str = "INSERT INTO task_body (task, document, request) VALUES (?1, ?2, ?3)";
pub(super) const EVENT: &str = "INSERT INTO task_event (task, seq, at, state, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const STANDING: &str = "
    SELECT pk, seq, attempt, phase, state, configs, status_at, next_run_at, priority, deadline, agent, context_id,
        upstream_task_id
    FROM task WHERE id = ?1";
pub(super) const REPLACE_BODY: &str = "
    UPDATE task_body SET document = ?2 WHERE task = ?1";

/// Makes a task, unless its key or its id says otherwise.
pub(super) fn create(connection: &Connection, tally: &Tally, new: &NewTask) -> rusqlite::Result<Created> {
    let task = &new.task;
    if let Some(key) = &new.idempotency
        && let Some(known) = known(connection, &task.owner, key, task.created_at)?
    {
        return Ok(known);
    }
    if let Some(most) = new.most_waiting {
        let waiting = tally.waiting(connection)?;
        if waiting >= most {
            return Ok(Created::Full(waiting));
        }
    }
    if insert(connection, task)? == 0 {
        return Ok(Created::Taken);
    }
    let pk = connection.last_insert_rowid();
    let request = new.request.as_deref();
    connection.prepare_cached(BODY)?.execute(params![pk, &*new.document, request])?;
    append(connection, pk, std::slice::from_ref(&new.first))?;
    push::insert_all(connection, tally, (pk, task.seq), &new.configs)?;
    if let Some(Idempotency { key, hash, until }) = &new.idempotency {
        // Two out for each one in: the table never holds much more than what is alive.
        retention::forget_keys(connection, task.created_at, 2)?;
        let row = params![task.owner, key, hash, task.id.as_str(), milliseconds(*until)];
        connection.prepare_cached(PUT_KEY)?.execute(row)?;
    }
    tally.note(|numbers| {
        *numbers.phase(task.phase) += 1;
        numbers.events += 1;
    });
    Ok(Created::New)
}

/// What an earlier request under the same key says.
fn known(connection: &Connection, owner: &str, key: &Idempotency, now: Time) -> rusqlite::Result<Option<Created>> {
    let row = |row: &Row<'_>| {
        let mut columns = Columns::of(row);
        Ok((columns.take::<[u8; 32]>()?, columns.text()?, columns.time()?))
    };
    let found = connection.prepare_cached(KEY)?.query_row((owner, &key.key), row).optional()?;
    Ok(found.filter(|(_, _, until)| now < *until).map(|(hash, task, _)| {
        if hash == key.hash { Created::Repeated(TaskId::new(task)) } else { Created::KeyReused }
    }))
}

fn insert(connection: &Connection, task: &Task) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached(TASK)?;
    with_columns(task, |columns| {
        insert.execute(
            &[columns, params![number(task.seq), milliseconds(task.created_at), task.owner, task.id.as_str()]].concat()
                [..],
        )
    })
}

/// What rows are made of and steps write, in the order of the statements' numbers, ?1 to ?25.
fn with_columns<R>(task: &Task, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
    let (deadlines, timeouts, pause) = (&task.deadlines, &task.timeouts, task.pause);
    run(params![
        state(task.state),
        milliseconds(task.status_at),
        task.ended_at.map(milliseconds),
        phase(task.phase),
        task.next_run_at.map(milliseconds),
        task.priority,
        task.next_deadline().map(milliseconds),
        task.agent.as_str(),
        task.context.as_ref().map(|context| context.as_str()),
        task.upstream_id.as_ref().map(TaskId::as_str),
        number(task.seq),
        task.attempt,
        task.instance.as_ref().map(|instance| instance.as_str()),
        task.skill.as_ref().map(|skill| skill.as_str()),
        deadlines.start_by.map(milliseconds),
        deadlines.finish_by.map(milliseconds),
        deadlines.close_by.map(milliseconds),
        deadlines.beat_by.map(milliseconds),
        timeouts.schedule_to_start.map(span),
        timeouts.start_to_close.map(span),
        timeouts.schedule_to_close.map(span),
        timeouts.heartbeat.map(span),
        pause.map(|pause| phase(pause.from)),
        pause.map(|pause| milliseconds(pause.at)),
        pause.map(|pause| pause.frozen),
    ])
}

fn append(connection: &Connection, pk: i64, events: &[Event]) -> rusqlite::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(EVENT)?;
    for event in events {
        insert.execute(params![pk, number(event.seq), milliseconds(event.at), state(event.state), &*event.payload])?;
    }
    Ok(())
}

/// Where a row stands, and what a step changes of the columns that indexes read.
struct Standing {
    pk: i64,
    fence: Fence,
    state: TaskState,
    configs: i64,
    changes: Changes,
}

/// Groups of indexed columns that a step writes.
#[derive(Clone, Copy)]
struct Changes {
    status: bool,
    queue: bool,
    deadline: bool,
    place: bool,
}

/// Writes a step, if the row stands where it was made from.
pub(super) fn save(connection: &Connection, tally: &Tally, step: &Step) -> rusqlite::Result<Saved> {
    let task = &step.task;
    let mut standing = connection.prepare_cached(STANDING)?;
    let standing = standing.query_row([task.id.as_str()], |row| standing_of(row, task)).optional()?;
    let Some(Standing { pk, fence, state, configs, changes }) = standing else { return Ok(Saved::Missing) };
    if state.is_terminal() {
        return Ok(Saved::Over);
    }
    if fence != step.expected {
        return Ok(Saved::Conflict(fence));
    }
    update(connection, pk, step, changes)?;
    append(connection, pk, &step.events)?;
    if let Some(document) = step.document.as_deref() {
        connection.prepare_cached(REPLACE_BODY)?.execute(params![pk, document])?;
    }
    if configs > 0
        && let Some(first) = step.events.first()
    {
        push::owe(connection, (pk, task.seq), first.at)?;
    }
    tally.note(|numbers| {
        *numbers.phase(fence.phase) -= 1;
        *numbers.phase(task.phase) += 1;
        numbers.events += number(step.events.len() as u64);
    });
    Ok(Saved::Done)
}

fn standing_of(row: &Row<'_>, task: &Task) -> rusqlite::Result<Standing> {
    let mut columns = Columns::of(row);
    let pk = columns.take()?;
    let fence = Fence { seq: columns.count()?, attempt: columns.take()?, phase: columns.phase()? };
    let (state, configs, status_at) = (columns.state()?, columns.take()?, columns.time()?);
    let (next_run_at, priority, deadline) = (columns.moment()?, columns.take::<u8>()?, columns.moment()?);
    let text = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let (agent, context, upstream) = (text(10)?, text(11)?, text(12)?);
    let changes = Changes {
        status: (state, status_at) != (task.state, task.status_at),
        queue: (fence.phase, next_run_at, priority) != (task.phase, task.next_run_at, task.priority),
        deadline: deadline != task.next_deadline(),
        place: agent != Some(task.agent.as_str())
            || context != task.context.as_ref().map(|context| context.as_str())
            || upstream != task.upstream_id.as_ref().map(TaskId::as_str),
    };
    Ok(Standing { pk, fence, state, configs, changes })
}

/// The statement for each set of changes, by [`Changes::number`].
pub(super) static UPDATES: LazyLock<Vec<String>> = LazyLock::new(|| (0..16).map(update_sql).collect());

impl Changes {
    fn number(self) -> usize {
        let bits = [self.status, self.queue, self.deadline, self.place];
        bits.into_iter().rev().fold(0, |number, bit| number << 1 | usize::from(bit))
    }
}

fn update_sql(changes: usize) -> String {
    let groups = [
        "state = ?1, status_at = ?2, ended_at = ?3, ",
        "phase = ?4, next_run_at = ?5, priority = ?6, lease_owner = CASE ?4 WHEN 1 THEN lease_owner END,
            lease_until = CASE ?4 WHEN 1 THEN lease_until END, ",
        "deadline = ?7, ",
        "agent = ?8, context_id = ?9, upstream_task_id = ?10, ",
    ];
    let chosen = groups.into_iter().enumerate().filter(|(bit, _)| changes >> bit & 1 == 1).map(|(_, group)| group);
    format!(
        "UPDATE task SET {}seq = ?11, attempt = ?12, instance = ?13, skill = ?14,
            start_by = ?15, finish_by = ?16, close_by = ?17, beat_by = ?18,
            start_within = ?19, finish_within = ?20, close_within = ?21, beat_within = ?22,
            paused_from = ?23, paused_at = ?24, pause_frozen = ?25, document_seq = ifnull(?26, document_seq)
        WHERE pk = ?27",
        chosen.collect::<String>()
    )
}

fn update(connection: &Connection, pk: i64, step: &Step, changes: Changes) -> rusqlite::Result<()> {
    let task = &step.task;
    let Some(sql) = UPDATES.get(changes.number()) else { return Ok(()) };
    let mut update = connection.prepare_cached(sql)?;
    let document = step.document.as_ref().map(|_| number(task.seq));
    with_columns(task, |columns| update.execute(&[columns, params![document, pk]].concat()[..]))?;
    Ok(())
}
