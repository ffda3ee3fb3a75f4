//! Single tasks and their logs.

use moongate_core::seam::tasks::{Event, Stored};
use moongate_core::{AgentName, ContextId, TaskId};
use rusqlite::{Connection, OptionalExtension};

use super::row::{one, tail, whole};

pub(super) const BY_ID: &str = whole!("WHERE t.id = ?1");
pub(super) const BY_ID_AND_OWNER: &str = whole!("WHERE t.id = ?1 AND t.owner = ?2");
pub(super) const PK: &str = "SELECT pk FROM task WHERE id = ?1";
pub(super) const CONVERSATION: &str = whole!("WHERE t.context_id = ?1 AND t.owner = ?2 ORDER BY t.pk DESC LIMIT 1");
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
    one(connection, CONVERSATION, (context.as_str(), owner))
}

pub(super) fn upstream(connection: &Connection, agent: &AgentName, id: &TaskId) -> rusqlite::Result<Option<Stored>> {
    let key = (agent.as_str(), id.as_str());
    match one(connection, UPSTREAM, key)? {
        Some(mapped) => Ok(Some(mapped)),
        None => one(connection, OWN_ID, key),
    }
}
