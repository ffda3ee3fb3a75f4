//! Folding events into a task's document, and telling two documents apart. All on canonical A2A 1.0 JSON; pure.

use moongate_core::task::Command;
use moongate_core::{TaskState, Time};
use serde_json::{Map, Value, json};

/// The state by its full proto name or its number.
pub fn state_of(value: &Value) -> TaskState {
    match value {
        Value::String(name) => {
            TaskState::ALL.into_iter().find(|state| state_name(*state) == name).unwrap_or(TaskState::Unspecified)
        }
        Value::Number(number) => TaskState::ALL
            .into_iter()
            .find(|state| number.as_i64() == Some(*state as i64))
            .unwrap_or(TaskState::Unspecified),
        _ => TaskState::Unspecified,
    }
}

/// The state's full proto name.
pub fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "TASK_STATE_UNSPECIFIED",
        TaskState::Submitted => "TASK_STATE_SUBMITTED",
        TaskState::Working => "TASK_STATE_WORKING",
        TaskState::Completed => "TASK_STATE_COMPLETED",
        TaskState::Failed => "TASK_STATE_FAILED",
        TaskState::Canceled => "TASK_STATE_CANCELED",
        TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
        TaskState::Rejected => "TASK_STATE_REJECTED",
        TaskState::AuthRequired => "TASK_STATE_AUTH_REQUIRED",
    }
}

/// The state of a task object.
pub fn task_state(task: &Value) -> TaskState {
    task.pointer("/status/state").map(state_of).unwrap_or(TaskState::Unspecified)
}

/// The part of an event that the task's machine needs; the rest is not looked at.
#[derive(serde::Deserialize)]
struct Outline<'a> {
    #[serde(rename = "statusUpdate", borrow)]
    status: Option<StatusOutline<'a>>,
    #[serde(rename = "artifactUpdate")]
    artifact: Option<serde::de::IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct StatusOutline<'a> {
    #[serde(borrow)]
    status: Told<'a>,
}

#[derive(serde::Deserialize)]
struct Told<'a> {
    state: Value,
    timestamp: Option<std::borrow::Cow<'a, str>>,
}

/// What an event means to the task's machine, and when its agent says that it happened; `None` if it is neither a status
/// nor an artifact update.
pub fn command(event: &[u8]) -> Option<(Command, Option<Time>)> {
    let outline: Outline<'_> = serde_json::from_slice(event).ok()?;
    match (outline.status, outline.artifact) {
        (Some(update), _) => {
            let at = update.status.timestamp.as_deref().and_then(crate::moment::read);
            Some((Command::Status(state_of(&update.status.state)), at))
        }
        (None, Some(_)) => Some((Command::Artifact, None)),
        (None, None) => None,
    }
}

/// When a task's status changed, as its agent says.
pub fn status_at(task: &Value) -> Option<Time> {
    task.pointer("/status/timestamp").and_then(Value::as_str).and_then(crate::moment::read)
}

/// The same of a document that nobody has parsed.
pub fn status_at_raw(document: &[u8]) -> Option<Time> {
    let outline: StatusOutline<'_> = serde_json::from_slice(document).ok()?;
    outline.status.timestamp.as_deref().and_then(crate::moment::read)
}

/// Folds a status or artifact update into the task.
pub fn apply(task: &mut Value, event: &Value) {
    if let Some(update) = event.get("statusUpdate") {
        apply_status(task, update);
    }
    if let Some(update) = event.get("artifactUpdate") {
        apply_artifact(task, update);
    }
}

fn apply_status(task: &mut Value, update: &Value) {
    let Some(status) = update.get("status") else { return };
    let Some(members) = task.as_object_mut() else { return };
    // What the agent said before becomes history, as the reference SDKs do it.
    if let Some(said) = members.get("status").and_then(|status| status.get("message")).cloned() {
        push(members, "history", said);
    }
    members.insert("status".into(), status.clone());
    if let Some(Value::Object(added)) = update.get("metadata") {
        let metadata = members.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.extend(added.clone());
        }
    }
}

fn apply_artifact(task: &mut Value, update: &Value) {
    let Some(artifact) = update.get("artifact") else { return };
    let Some(members) = task.as_object_mut() else { return };
    let append = update.get("append").and_then(Value::as_bool).unwrap_or(false);
    let artifacts = members.entry("artifacts").or_insert_with(|| json!([]));
    let Some(artifacts) = artifacts.as_array_mut() else { return };
    let id = artifact.get("artifactId");
    let held = artifacts.iter_mut().find(|held| held.get("artifactId") == id);
    match held {
        None => artifacts.push(artifact.clone()),
        Some(held) if append => {
            let parts = artifact.get("parts").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(held) = held.get_mut("parts").and_then(Value::as_array_mut) {
                held.extend(parts);
            }
        }
        Some(held) => *held = artifact.clone(),
    }
}

fn push(members: &mut Map<String, Value>, list: &str, item: Value) {
    if let Some(items) = members.entry(list).or_insert_with(|| json!([])).as_array_mut() {
        items.push(item);
    }
}

/// Puts a message into the history unless it is there.
pub fn ensure_message(task: &mut Value, message: &Value) {
    let id = message.get("messageId");
    let known = task
        .get("history")
        .and_then(Value::as_array)
        .is_some_and(|history| history.iter().any(|held| held.get("messageId") == id));
    if let (false, Some(members)) = (known, task.as_object_mut()) {
        let mut message = message.clone();
        if let Some(message) = message.as_object_mut() {
            for member in ["contextId", "taskId"] {
                let source = if member == "taskId" { "id" } else { member };
                if let Some(value) = members.get(source).filter(|value| value.is_string()) {
                    message.entry(member).or_insert_with(|| value.clone());
                }
            }
        }
        push(members, "history", message);
    }
}

/// Keeps what the old document knows and a shortened new one does not tell: earlier messages, and what the agent said with
/// a status that is past.
pub fn keep_messages(old: &Value, new: &mut Value) {
    let said = |task: &Value| task.pointer("/status/message").cloned();
    let past = said(old).filter(|past| said(new).as_ref() != Some(past));
    let mut held = old.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    held.extend(past);
    let fresh = new.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let id = |message: &Value| message.get("messageId").and_then(Value::as_str).map(str::to_owned);
    let known: Vec<Option<String>> = held.iter().map(id).collect();
    if held.is_empty() || known.iter().all(|known| known.is_some() && fresh.iter().any(|new| id(new) == *known)) {
        return;
    }
    let mut merged: Vec<Value> = held;
    merged.extend(fresh.into_iter().filter(|new| id(new).is_none_or(|id| !known.contains(&Some(id)))));
    if let Some(members) = new.as_object_mut() {
        members.insert("history".into(), Value::Array(merged));
    }
}

/// The events that lead from one document to the next: artifacts first, then the status, as an agent would tell it.
pub fn difference(old: &Value, new: &Value) -> Vec<(Value, Command)> {
    let mut events = Vec::new();
    let ids = |event: &mut Map<String, Value>| {
        event.insert("taskId".into(), new.get("id").cloned().unwrap_or_default());
        event.insert("contextId".into(), new.get("contextId").cloned().unwrap_or_else(|| json!("")));
    };
    let held = old.get("artifacts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for artifact in new.get("artifacts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        let before = held.iter().find(|held| held.get("artifactId") == artifact.get("artifactId"));
        if before == Some(artifact) {
            continue;
        }
        let mut event = Map::new();
        ids(&mut event);
        event.insert("artifact".into(), artifact.clone());
        event.insert("lastChunk".into(), json!(true));
        events.push((json!({ "artifactUpdate": event }), Command::Artifact));
    }
    if old.get("status") != new.get("status") {
        let mut event = Map::new();
        ids(&mut event);
        event.insert("status".into(), new.get("status").cloned().unwrap_or_default());
        events.push((json!({ "statusUpdate": event }), Command::Status(task_state(new))));
    }
    events
}

/// Cuts the history to the newest `length` messages; 0 leaves the member out (A2A 1.0 §3.2.4).
pub fn trim_history(task: &mut Value, length: Option<i64>) {
    let (Some(length), Some(members)) = (length.and_then(|length| usize::try_from(length).ok()), task.as_object_mut())
    else {
        return;
    };
    if length == 0 {
        members.remove("history");
        return;
    }
    if let Some(history) = members.get_mut("history").and_then(Value::as_array_mut) {
        let cut = history.len().saturating_sub(length);
        history.drain(..cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Value {
        json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING", "message": {"messageId": "m2"}},
               "history": [{"messageId": "m1"}]})
    }

    #[test]
    fn folding_the_difference_gives_the_new_document() {
        let old = task();
        let mut new = task();
        new["artifacts"] = json!([{"artifactId": "a", "parts": [{"text": "x"}]}]);
        new["status"] = json!({"state": "TASK_STATE_COMPLETED"});
        let events = difference(&old, &new);
        assert_eq!(events.len(), 2);
        let mut folded = old.clone();
        for (event, _) in &events {
            apply(&mut folded, event);
        }
        assert_eq!(folded["status"], new["status"]);
        assert_eq!(folded["artifacts"], new["artifacts"]);
        assert!(difference(&new, &new).is_empty());
    }

    #[test]
    fn chunks_are_appended_and_replaced_as_they_say() {
        let mut doc = task();
        let chunk = |text: &str, append: bool| {
            json!({"artifactUpdate": {"taskId": "t", "append": append,
                   "artifact": {"artifactId": "a", "parts": [{"text": text}]}}})
        };
        apply(&mut doc, &chunk("one", false));
        apply(&mut doc, &chunk("two", true));
        assert_eq!(doc["artifacts"][0]["parts"].as_array().unwrap().len(), 2);
        apply(&mut doc, &chunk("three", false));
        assert_eq!(doc["artifacts"][0]["parts"], json!([{"text": "three"}]));
    }

    #[test]
    fn history_keeps_every_message_once() {
        let mut doc = task();
        ensure_message(&mut doc, &json!({"messageId": "m3"}));
        ensure_message(&mut doc, &json!({"messageId": "m3"}));
        apply(&mut doc, &json!({"statusUpdate": {"status": {"state": 3}}}));
        let ids: Vec<_> = doc["history"].as_array().unwrap().iter().map(|m| m["messageId"].as_str().unwrap()).collect();
        assert_eq!(ids, ["m1", "m3", "m2"]);
        assert_eq!(task_state(&doc), TaskState::Completed);
        let mut shorter = json!({"id": "t", "history": [{"messageId": "m9"}]});
        keep_messages(&doc, &mut shorter);
        assert_eq!(shorter["history"].as_array().unwrap().len(), 4);
        trim_history(&mut shorter, Some(1));
        assert_eq!(shorter["history"], json!([{"messageId": "m9"}]));
        trim_history(&mut shorter, Some(0));
        assert!(shorter.get("history").is_none());
    }
}
