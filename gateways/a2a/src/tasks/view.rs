//! Tasks as operators see them: what the gateway knows of each, beside the task object that clients see.

use moongate_core::seam::tasks::{Census, Event, PushRow, Waiting};
use moongate_core::{Problem, Task, Time};
use serde_json::{Map, Value, json};

use super::push::PushConfig;
use super::{Row, Tasks, fold};
use crate::moment;

/// A task in a list.
pub fn summary(task: &Task) -> Value {
    let moment = |at: Option<Time>| at.map(moment::write);
    let deadlines = &task.deadlines;
    json!({
        "id": task.id,
        "owner": task.owner,
        "agent": task.agent,
        "instance": task.instance,
        "skill": task.skill,
        "context": task.context,
        "state": fold::state_name(task.state),
        "phase": task.phase.as_str(),
        "attempt": task.attempt,
        "priority": task.priority,
        "created_at": moment::write(task.created_at),
        "status_at": moment::write(task.status_at),
        "next_run_at": moment(task.next_run_at),
        "paused_at": moment(task.pause.map(|pause| pause.at)),
        "deadlines": {
            "start_by": moment(deadlines.start_by),
            "finish_by": moment(deadlines.finish_by),
            "close_by": moment(deadlines.close_by),
            "beat_by": moment(deadlines.beat_by),
        },
    })
}

impl Tasks {
    /// One task: its summary, the task object, and where its push notifications stand.
    ///
    /// # Errors
    /// What keeps the store from being read.
    pub async fn view(&self, row: &Row) -> Result<Value, Problem> {
        let stored = self.store().tasks().get(None, row.id.clone()).await?;
        let configs = stored.map(|stored| stored.configs).unwrap_or_default();
        let mut view = summary(&row.task());
        if let Some(members) = view.as_object_mut() {
            members.insert("events".into(), json!(row.told()));
            members.insert("task".into(), row.value());
            let configs = configs.iter().map(|config| self.config(config));
            members.insert("push_configs".into(), configs.collect());
        }
        Ok(view)
    }

    /// A push config without its credentials.
    fn config(&self, row: &PushRow) -> Value {
        let url = PushConfig::stored(row, &*self.home.vault).map(|config| bare(&config.url));
        json!({
            "id": row.id,
            "url": url,
            "delivered": row.delivered,
            "attempt": row.attempt,
            "due_at": moment::write(row.due_at),
            "dead": row.dead,
        })
    }
}

/// A URL without what may be a secret in it: user, password, query and fragment.
fn bare(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let path = rest.find(['?', '#']).map_or(rest, |at| rest.get(..at).unwrap_or_default());
    let (authority, path) = path.find('/').map_or((path, ""), |at| path.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let more = if rest.contains('?') { "?…" } else { "" };
    format!("{scheme}://{host}{path}{more}")
}

/// An event of the log.
pub fn event(event: &Event) -> Value {
    let payload: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
    json!({
        "seq": event.seq,
        "at": moment::write(event.at),
        "state": fold::state_name(event.state),
        "event": payload,
    })
}

/// What waits for an agent.
pub fn waiting(waiting: &Waiting) -> Value {
    json!({"agent": waiting.agent, "count": waiting.count, "next_run_at": moment::write(waiting.next)})
}

/// How many rows the store has.
pub fn census(census: &Census) -> Value {
    let phases: Map<String, Value> =
        census.phases.iter().map(|(phase, count)| (phase.as_str().to_owned(), json!(count))).collect();
    json!({
        "tasks": phases,
        "events": census.events,
        "push_configs": census.configs,
        "dead_push_configs": census.dead_configs,
    })
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn urls_are_shown_without_what_may_be_a_secret() {
        for (url, shown) in [
            ("https://hooks.example/a/b", "https://hooks.example/a/b"),
            ("https://hooks.example", "https://hooks.example"),
            ("https://me:word@hooks.example:8443/a@b", "https://hooks.example:8443/a@b"),
            ("https://hooks.example/a?token=secret#x", "https://hooks.example/a?…"),
            ("https://hooks.example?token=a/b@c", "https://hooks.example?…"),
            ("http://[::1]:9/x#secret", "http://[::1]:9/x"),
        ] {
            assert_eq!(bare(url), shown);
        }
    }
}
