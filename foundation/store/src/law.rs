//! What every engine refuses before it looks at a row: tasks and steps that the machine in `core::task` cannot have made.

use moongate_core::seam::tasks::{NewTask, Step};
use moongate_core::{Code, Phase, Problem, Task};

/// A log begins with event 1.
///
/// # Errors
/// `Internal` if it does not, or if phase and state contradict each other.
pub(crate) fn new(new: &NewTask) -> Result<(), Problem> {
    if new.task.seq != 1 || new.first.seq != 1 {
        return Err(broken(&new.task, "its first event must have the number 1"));
    }
    agrees(&new.task)
}

/// A step continues the log where its fence says, without gaps.
///
/// # Errors
/// `Internal` if it does not, if its attempt goes back, or if phase and state contradict each other.
pub(crate) fn step(step: &Step) -> Result<(), Problem> {
    let from = step.expected.seq;
    let numbers = step.events.iter().map(|event| event.seq);
    if !numbers.eq((1..=step.events.len() as u64).map(|count| from.saturating_add(count)))
        || step.task.seq != from.saturating_add(step.events.len() as u64)
    {
        return Err(broken(&step.task, "the events of a step must continue its log"));
    }
    if step.task.attempt < step.expected.attempt {
        return Err(broken(&step.task, "its attempts never go back"));
    }
    agrees(&step.task)
}

fn agrees(task: &Task) -> Result<(), Problem> {
    if task.state.is_terminal() == (task.phase == Phase::Done) {
        return Ok(());
    }
    Err(broken(task, "it is done if and only if its state is terminal"))
}

fn broken(task: &Task, rule: &str) -> Problem {
    let place = format!("{:?}, {}, event {}", task.state, task.phase.as_str(), task.seq);
    Problem::new(Code::Internal, "a task would have broken its own rules")
        .inside(format!("{}: {rule} ({place})", task.id))
}
