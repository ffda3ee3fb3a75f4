//! What every engine promises of tasks. One suite, run against each.

mod create;
mod queue;
mod save;
