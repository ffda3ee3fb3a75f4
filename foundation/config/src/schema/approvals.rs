//! The section `[approvals]`.

use std::time::Duration;

/// What people are asked about beyond what rules say, and how their answers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// Whether people are asked before locks, doors and the like, and before a stranger's destructive request, although no rule
    /// says so.
    pub sensitive_by_default: bool,
    /// How long a blocking request for a new task waits for people's answer before it gets the task that waits.
    pub hold_seconds: Duration,
    /// How long a yes may be remembered for the very same request; zero: never.
    pub remember_seconds: Duration,
    /// How many questions of one caller may wait for people at once.
    pub open_questions: u32,
    /// How many questions one caller may put to people within an hour.
    pub questions_an_hour: u32,
}
