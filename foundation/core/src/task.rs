//! The task and its machine: a pure function from (state, command) to (state, events).
//!
//! A2A 1.0 §3.1 and §4.1.3. Terminal states are final; every accepted change raises `seq` by one, so that one mutation
//! is one event and the log has no gaps. The document itself (history, artifacts) is opaque here: `wire::a2a` makes it.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, ContextId, InstanceId, SkillId, TaskId};
use crate::time::Time;

/// A2A 1.0 `TaskState`; the numbers are those of the proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum TaskState {
    /// Not said.
    Unspecified = 0,
    /// Accepted, not begun.
    Submitted = 1,
    /// In work.
    Working = 2,
    /// Ended well.
    Completed = 3,
    /// Ended badly.
    Failed = 4,
    /// Ended by request.
    Canceled = 5,
    /// Waits for the user's words.
    InputRequired = 6,
    /// The agent would not do it.
    Rejected = 7,
    /// Waits for an authorisation.
    AuthRequired = 8,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::Submitted,
        Self::Working,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::InputRequired,
        Self::Rejected,
        Self::AuthRequired,
    ];

    /// Final for ever.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Rejected)
    }

    /// Waits for somebody outside the agent.
    pub fn is_interrupted(self) -> bool {
        matches!(self, Self::InputRequired | Self::AuthRequired)
    }
}

/// Where a task stands in the gateway's own queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The agent has it.
    Running,
    /// It is over.
    Done,
}

/// What the gateway knows of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The id that clients see.
    pub id: TaskId,
    /// The principal that started it; nobody else sees it.
    pub owner: std::sync::Arc<str>,
    /// The conversation.
    pub context: Option<ContextId>,
    /// The agent that works on it.
    pub agent: AgentName,
    /// The instance that owns it.
    pub instance: InstanceId,
    /// The skill that was asked for.
    pub skill: Option<SkillId>,
    /// The agent's own id, where it differs from `id`.
    pub upstream_id: Option<TaskId>,
    /// Its state.
    pub state: TaskState,
    /// Its place in the queue.
    pub phase: Phase,
    /// The number of the newest event; the first is 1.
    pub seq: u64,
    /// When it began.
    pub created_at: Time,
    /// When its status last changed.
    pub status_at: Time,
}

/// What happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The agent reported this state (a snapshot or a status update).
    Status(TaskState),
    /// The agent added to an artifact.
    Artifact,
}

/// Why a command was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The task is over; a late event changes nothing.
    #[error("the task is over")]
    Terminal,
    /// Somebody else changed it first.
    #[error("the task has moved on to event {0}")]
    Conflict(u64),
}

/// Applies `command` to the task if it still stands at event `expected`, and returns the number of the new event.
///
/// # Errors
/// [`Rejected::Conflict`] if the task has moved on, [`Rejected::Terminal`] if it is over.
pub fn apply(task: &mut Task, expected: u64, command: Command, now: Time) -> Result<u64, Rejected> {
    if task.seq != expected {
        return Err(Rejected::Conflict(task.seq));
    }
    if task.state.is_terminal() {
        return Err(Rejected::Terminal);
    }
    if let Command::Status(state) = command {
        task.state = state;
        task.status_at = now;
        task.phase = if state.is_terminal() { Phase::Done } else { Phase::Running };
    }
    task.seq += 1;
    Ok(task.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            id: "t".into(),
            owner: "local".into(),
            context: None,
            agent: "a".into(),
            instance: "a".into(),
            skill: None,
            upstream_id: None,
            state: TaskState::Submitted,
            phase: Phase::Running,
            seq: 1,
            created_at: Time(1),
            status_at: Time(1),
        }
    }

    #[test]
    fn a_terminal_task_never_changes() {
        let mut task = task();
        assert_eq!(apply(&mut task, 1, Command::Status(TaskState::Completed), Time(5)), Ok(2));
        let before = task.clone();
        for state in TaskState::ALL {
            assert_eq!(apply(&mut task, 2, Command::Status(state), Time(9)), Err(Rejected::Terminal));
        }
        assert_eq!(apply(&mut task, 2, Command::Artifact, Time(9)), Err(Rejected::Terminal));
        assert_eq!(task, before);
    }

    #[test]
    fn a_stale_writer_is_refused_and_numbers_have_no_gaps() {
        let mut task = task();
        for expected in 1..10 {
            assert_eq!(apply(&mut task, expected, Command::Artifact, Time(2)), Ok(expected + 1));
        }
        assert_eq!(apply(&mut task, 3, Command::Status(TaskState::Failed), Time(2)), Err(Rejected::Conflict(10)));
    }
}
