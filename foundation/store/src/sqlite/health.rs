//! What SQLite's errors mean for the store, and whether it can be written at present.

use std::path::Path;

use moongate_core::{Code, Problem};
use parking_lot::RwLock;
use rusqlite::{Error, ErrorCode};

use super::file;

/// How bad an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// This operation's own.
    Operation,
    /// Of the disk: others fail too, until it is mended.
    Disk,
    /// Of the file: nothing may touch it any more.
    Damage,
}

fn weigh(error: &Error) -> Weight {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Weight::Damage,
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed,
        ) => Weight::Disk,
        _ => Weight::Operation,
    }
}

/// The problem that an error while opening is.
pub(super) fn problem_at(path: &Path, error: &Error) -> Problem {
    match weigh(error) {
        Weight::Damage => file::damaged(path, &format!("it is damaged ({error})")),
        Weight::Disk | Weight::Operation => file::unusable(path, &error.to_string()),
    }
}

/// Whether the store works: yes, not at present, or not any more.
#[derive(Debug, Default)]
pub(super) struct Health(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    problem: Option<Problem>,
    stopped: bool,
}

impl Health {
    /// The reason why writes fail at present, if they do.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.0.read().problem.clone().map_or(Ok(()), Err)
    }

    /// The reason why nothing may be done any more, if the file is damaged.
    pub(super) fn stopped(&self) -> Option<Problem> {
        let state = self.0.read();
        state.problem.clone().filter(|_| state.stopped)
    }

    /// A write has succeeded.
    pub(super) fn recovered(&self) {
        if self.0.read().problem.is_none() {
            return;
        }
        let mut state = self.0.write();
        if !state.stopped && state.problem.take().is_some() {
            tracing::info!("the store can be written again");
        }
    }

    /// An operation has failed; what its caller is to hear.
    pub(super) fn failed(&self, error: &Error) -> Problem {
        let weight = weigh(error);
        let problem = match weight {
            Weight::Damage => Problem::new(Code::StoreDamaged, "the store's file is damaged; it is not used any more"),
            Weight::Disk => Problem::new(Code::StoreUnusable, "the store cannot be read or written at present"),
            Weight::Operation => Problem::new(Code::StoreUnusable, "the store refused the operation"),
        };
        let problem = problem.inside(error);
        if weight != Weight::Operation {
            let mut state = self.0.write();
            if !state.stopped && (state.problem.is_none() || weight == Weight::Damage) {
                tracing::error!(error = %error, stopped = weight == Weight::Damage, "the store has failed");
                *state = State { problem: Some(problem.clone()), stopped: weight == Weight::Damage };
            }
        }
        problem
    }
}

/// Why an operation was not taken.
pub(super) fn refused(full: bool) -> Problem {
    if full {
        Problem::new(Code::Overloaded, "too many operations wait for the store")
    } else {
        Problem::new(Code::StoreUnusable, "the store has been closed")
    }
}
