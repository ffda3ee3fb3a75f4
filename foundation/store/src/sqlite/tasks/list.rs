//! Lists: the keys of a page from an index that covers the filter, then the rows of that page alone.

use moongate_core::seam::tasks::{Filter, Page};
use moongate_core::{AgentName, SkillId};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::all;
use crate::sqlite::value::{count, milliseconds, state};

/// A part of the filter: an SQL condition and its values.
type Condition = (&'static str, Vec<Value>);

/// Where a filter is answered from.
fn source(filter: &Filter) -> &'static str {
    match (&filter.context, &filter.owner) {
        (Some(_), _) => {
            "(WITH RECURSIVE part (n) AS (
                SELECT max(pk) >> 16 FROM task
                UNION ALL SELECT (SELECT max(pk) FROM task WHERE pk < part.n << 16) >> 16 FROM part WHERE n IS NOT NULL)
            SELECT n FROM part) CROSS JOIN task INDEXED BY task_context ON pk >> 16 = n"
        }
        (None, Some(_)) => "task INDEXED BY task_list",
        (None, None) => "task INDEXED BY task_all",
    }
}

fn conditions(filter: &Filter) -> Vec<Condition> {
    let text = |text: &str| Value::from(text.to_owned());
    let mut conditions = Vec::new();
    let mut add = |condition, values| conditions.push((condition, values));
    if let Some(context) = &filter.context {
        add("context_id = ?", vec![text(context.as_str())]);
    }
    if let Some(owner) = &filter.owner {
        add("owner = ?", vec![text(owner)]);
    }
    if let Some(since) = filter.since {
        add("status_at >= ?", vec![milliseconds(since).into()]);
    }
    if let Some(wanted) = filter.state {
        add("state = ?", vec![state(wanted).into()]);
    }
    if let Some(agent) = &filter.agent {
        add("agent = ?", vec![text(agent.as_str())]);
    }
    if !filter.without.is_empty() {
        // No skill has an empty id.
        let pair = |(agent, skill): &(AgentName, Option<SkillId>)| {
            serde_json::json!([agent.as_str(), skill.as_ref().map_or("", SkillId::as_str)])
        };
        let pairs: serde_json::Value = filter.without.iter().map(pair).collect();
        let condition = "(agent, ifnull(skill, '')) NOT IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))";
        add(condition, vec![text(&pairs.to_string())]);
    }
    conditions
}

/// The statement for these conditions, and its values.
fn query(what: &str, filter: &Filter, conditions: Vec<Condition>, rest: &str) -> (String, Vec<Value>) {
    let (conditions, values): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
    let condition = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
    let sql = format!("SELECT {what} FROM {} WHERE {condition} {rest}", source(filter));
    (sql, values.into_iter().flatten().collect())
}

pub(super) fn total_query(filter: &Filter) -> (String, Vec<Value>) {
    query("count(*)", filter, conditions(filter), "")
}

/// One more than the page holds.
pub(super) fn page_query(filter: &Filter) -> (String, Vec<Value>) {
    let mut conditions = conditions(filter);
    if let Some((at, id)) = &filter.after {
        let at = milliseconds(*at);
        let behind = vec![at.into(), at.into(), Value::from(id.as_str().to_owned())];
        conditions.push(("status_at <= ? AND (status_at < ? OR id > ?)", behind));
    }
    let (sql, mut values) = query("pk", filter, conditions, "ORDER BY status_at DESC, id LIMIT ?");
    values.push((i64::from(filter.limit) + 1).into());
    (sql, values)
}

pub(super) fn page(connection: &Connection, filter: &Filter) -> rusqlite::Result<Page> {
    let (sql, values) = total_query(filter);
    let total: i64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?;
    let (sql, values) = page_query(filter);
    let mut keys = connection.prepare_cached(&sql)?;
    let mut keys: Vec<i64> =
        keys.query_map(params_from_iter(values), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let more = keys.len() > filter.limit as usize;
    keys.truncate(filter.limit as usize);
    let mut tasks = all(connection, &keys)?;
    for task in &mut tasks {
        task.request = None;
        task.configs = Vec::new();
    }
    Ok(Page { tasks, total: count(total), more })
}
