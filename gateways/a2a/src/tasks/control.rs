//! What the gateway itself does to a task: makes it, holds it, lets it go on, ends it.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::task::{Command, Rejected, Timeout};
use moongate_core::{Code, Phase, Problem, Task, TaskState, Time};
use serde_json::{Value, json};

use super::Held;
use super::fold;
use super::people::APPROVAL;
use super::row::{Row, Told};

/// The extension by which tasks are paused and resumed.
pub const PAUSE_RESUME: &str = "https://w3id.org/moongate/extensions/pause-resume/v1";

/// The task object of a task that the gateway makes: what is given, its ids, and its state, SUBMITTED or AUTH_REQUIRED.
pub(super) fn made(mut document: Value, task: &Task, held: Option<&Held>, now: Time) -> Bytes {
    let context = task.context.as_ref().map_or("", |context| context.as_str());
    if let Some(members) = document.as_object_mut() {
        members.insert("id".into(), json!(task.id.as_str()));
        members.insert("contextId".into(), json!(context));
        let (state, timestamp) = (fold::state_name(task.state), crate::moment::write(now));
        let status = match held {
            None => json!({"state": state, "timestamp": timestamp}),
            Some(held) => {
                let about = json!({ APPROVAL: held.about });
                members.insert("metadata".into(), about.clone());
                let message = json!({"messageId": uuid::Uuid::new_v4().to_string(), "role": "ROLE_AGENT", "metadata": about,
                    "taskId": task.id.as_str(), "contextId": context, "parts": [{"text": held.text}]});
                json!({"state": state, "timestamp": timestamp, "message": message})
            }
        };
        members.insert("status".into(), status);
    }
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// Ends a task.
///
/// # Errors
/// [`Rejected`] if it is over already.
pub fn end(row: &Arc<Row>, state: TaskState, text: &str) -> Result<(), Rejected> {
    row.change(Command::Status(state), Told { text, ..Told::default() })
}

/// Ends a task whose time is over.
pub fn expire(row: &Arc<Row>, timeout: Timeout) {
    let text = format!("The task was ended by the gateway: its {} timeout has passed.", timeout.as_str());
    if end(row, TaskState::Failed, &text).is_ok() {
        tracing::info!(task = %row.id, agent = %row.agent, timeout = timeout.as_str(), "a task's time is over");
    }
}

/// Holds a task, unless it is held already.
///
/// # Errors
/// `TaskOver`; `NotOffered` while it is being handed to its agent.
pub fn pause(row: &Arc<Row>, frozen: bool) -> Result<(), Problem> {
    if row.phase() == Phase::Paused {
        return Ok(());
    }
    overlay(row, Command::Pause(frozen), true, "The task is paused.")
}

/// Lets a held task go on; one that is not held is left alone.
///
/// # Errors
/// `TaskOver`.
pub fn resume(row: &Arc<Row>) -> Result<(), Problem> {
    match row.phase() {
        Phase::Paused => overlay(row, Command::Resume, false, "The task goes on."),
        Phase::Done => Err(over(row)),
        _ => Ok(()),
    }
}

fn overlay(row: &Arc<Row>, command: Command, paused: bool, text: &str) -> Result<(), Problem> {
    let value = json!({ "paused": paused });
    let told = Told { text, message: None, metadata: Some((PAUSE_RESUME, &value)) };
    row.change(command, told).map_err(|rejected| match rejected {
        Rejected::Terminal => over(row),
        Rejected::OutOfPlace(_) | Rejected::Conflict(_) => {
            Problem::new(Code::NotOffered, format!("the task {} is being handed to its agent; try again", row.id))
        }
    })
}

/// The problem that a task is over.
pub fn over(row: &Row) -> Problem {
    Problem::new(Code::TaskOver, format!("the task {} is over", row.id))
}
