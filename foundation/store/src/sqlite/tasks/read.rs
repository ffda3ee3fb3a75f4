//! Single tasks and their logs.

use moongate_core::seam::tasks::{Event, Stored};
use moongate_core::{AgentName, ContextId, TaskId};
use rusqlite::{Connection, OptionalExtension, Row};

use super::row::{BY_PK, one, tail, whole};

pub(super) const BY_ID: &str = whole!("WHERE t.id = ?1");
pub(super) const BY_ID_AND_OWNER: &str = whole!("WHERE t.id = ?1 AND t.owner = ?2");
pub(super) const PK: &str = "SELECT pk FROM task WHERE id = ?1";
/// The newest part of the index of contexts that has any task, below the part `?1` or altogether.
pub(super) const NEWEST_PART: &str = "SELECT max(pk) >> 16 FROM task";
pub(super) const NEXT_PART: &str = "SELECT max(pk) >> 16 FROM task WHERE pk < ?1 << 16";
pub(super) const CONVERSATION: &str = "
    SELECT pk FROM task INDEXED BY task_context WHERE pk >> 16 = ?1 AND context_id = ?2 AND owner = ?3
    ORDER BY pk DESC LIMIT 1";
pub(super) const UPSTREAM: &str = whole!("WHERE t.agent = ?1 AND t.upstream_task_id = ?2 ORDER BY t.pk DESC LIMIT 1");
pub(super) const OWN_ID: &str = whole!("WHERE t.id = ?2 AND +t.agent = ?1 AND t.upstream_task_id IS NULL");

pub(super) fn by_id(connection: &Connection, owner: Option<&str>, id: &TaskId) -> rusqlite::Result<Option<Stored>> {
    match owner {
        Some(owner) => one(connection, BY_ID_AND_OWNER, (id.as_str(), owner)),
        None => one(connection, BY_ID, [id.as_str()]),
    }
}

pub(super) fn events(connection: &Connection, id: &TaskId, after: u64, limit: u32) -> rusqlite::Result<Vec<Event>> {
    match pk(connection, id)? {
        Some(pk) => tail(connection, pk, after, limit),
        None => Ok(Vec::new()),
    }
}

/// The key of a task, if it exists.
pub(super) fn pk(connection: &Connection, id: &TaskId) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(PK)?.query_row([id.as_str()], |row| row.get(0)).optional()
}

pub(super) fn conversation(
    connection: &Connection,
    owner: &str,
    context: &ContextId,
) -> rusqlite::Result<Option<Stored>> {
    let mut newest = connection.prepare_cached(CONVERSATION)?;
    let mut next = connection.prepare_cached(NEXT_PART)?;
    let part = |row: &Row<'_>| row.get::<_, Option<i64>>(0);
    let mut at = connection.prepare_cached(NEWEST_PART)?.query_row([], part)?;
    while let Some(number) = at {
        let found = newest.query_row((number, context.as_str(), owner), |row| row.get::<_, i64>(0)).optional()?;
        if let Some(pk) = found {
            return one(connection, BY_PK, [pk]);
        }
        at = next.query_row([number], part)?;
    }
    Ok(None)
}

pub(super) fn upstream(connection: &Connection, agent: &AgentName, id: &TaskId) -> rusqlite::Result<Option<Stored>> {
    let key = (agent.as_str(), id.as_str());
    match one(connection, UPSTREAM, key)? {
        Some(mapped) => Ok(Some(mapped)),
        None => one(connection, OWN_ID, key),
    }
}
