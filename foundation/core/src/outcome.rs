//! What came of a request.

use crate::ids::TaskId;
use crate::problem::Problem;

/// The end of a request's way through the pipeline. `R` is a whole answer and `S` a stream of events, both in the form
/// that the gateway's endpoint understands.
#[derive(Debug)]
pub enum Outcome<R, S> {
    /// A whole answer.
    Done(R),
    /// Events follow.
    Stream(S),
    /// A task stands for the answer that is not there yet.
    Accepted(TaskId),
    /// It went wrong.
    Failed(Problem),
}

impl<R, S> Outcome<R, S> {
    /// The word that logs and metrics use.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Stream(_) => "stream",
            Self::Accepted(_) => "accepted",
            Self::Failed(_) => "failed",
        }
    }

    /// The problem, if it went wrong.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Failed(problem) => Some(problem),
            _ => None,
        }
    }
}
