//! What every engine promises of tasks. One suite, run against each.

mod create;
mod lists;
mod push;
mod queue;
mod retention;
mod save;
