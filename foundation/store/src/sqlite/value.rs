//! Values as they lie in the file. SQLite's integers have a sign, so the second half of `u64` is cut off: of times the
//! last 292 million years.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::{Phase, TaskState, Time};
use rusqlite::Row;
use rusqlite::types::FromSql;

/// A number for a column.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number from a column; one below zero cannot be there.
pub(super) fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A moment for a column, in milliseconds.
pub(super) fn milliseconds(time: Time) -> i64 {
    number(time.0)
}

/// A moment from a column.
pub(super) fn time(column: i64) -> Time {
    Time(count(column))
}

/// A span for a column, in milliseconds.
pub(super) fn span(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The number of a phase. Never change one; files are full of them.
pub(super) fn phase(phase: Phase) -> i64 {
    match phase {
        Phase::Ready => 0,
        Phase::Sending => 1,
        Phase::Running => 2,
        Phase::Paused => 3,
        Phase::Dead => 4,
        Phase::Done => 5,
    }
}

/// The number of a state, which is that of the proto.
pub(super) fn state(state: TaskState) -> i64 {
    state as i64
}

/// Reads the columns of a row from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub(super) fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next);
        self.next += 1;
        value
    }

    pub(super) fn text(&mut self) -> rusqlite::Result<Arc<str>> {
        self.take()
    }

    pub(super) fn optional_text(&mut self) -> rusqlite::Result<Option<Arc<str>>> {
        self.take()
    }

    pub(super) fn count(&mut self) -> rusqlite::Result<u64> {
        self.take().map(count)
    }

    pub(super) fn time(&mut self) -> rusqlite::Result<Time> {
        self.take().map(time)
    }

    pub(super) fn moment(&mut self) -> rusqlite::Result<Option<Time>> {
        Ok(self.take::<Option<i64>>()?.map(time))
    }

    pub(super) fn span(&mut self) -> rusqlite::Result<Option<Duration>> {
        Ok(self.take::<Option<i64>>()?.map(|span| Duration::from_millis(count(span))))
    }

    pub(super) fn phase(&mut self) -> rusqlite::Result<Phase> {
        let column = self.take()?;
        self.phase_of(column)
    }

    pub(super) fn optional_phase(&mut self) -> rusqlite::Result<Option<Phase>> {
        let column = self.take::<Option<i64>>()?;
        column.map(|column| self.phase_of(column)).transpose()
    }

    fn phase_of(&self, column: i64) -> rusqlite::Result<Phase> {
        let found = Phase::ALL.into_iter().find(|one| phase(*one) == column);
        found.ok_or(rusqlite::Error::IntegralValueOutOfRange(self.next - 1, column))
    }

    pub(super) fn state(&mut self) -> rusqlite::Result<TaskState> {
        let column: i64 = self.take()?;
        let found = TaskState::ALL.into_iter().find(|one| state(*one) == column);
        found.ok_or(rusqlite::Error::IntegralValueOutOfRange(self.next - 1, column))
    }
}
