//! Reads `[approvals]`.

use std::time::Duration;

use crate::read::Table;
use crate::schema::Approvals;

/// Reads the section.
pub(super) fn approvals(table: &Table<'_>) -> Approvals {
    Approvals {
        sensitive_by_default: table.flag("sensitive_by_default").unwrap_or(true),
        hold_seconds: table.seconds("hold_seconds").unwrap_or(Duration::ZERO),
        remember_seconds: table.seconds("remember_seconds").unwrap_or(Duration::from_secs(15 * 60)),
        open_questions: table.integer("open_questions").unwrap_or(3),
        questions_an_hour: table.integer("questions_an_hour").unwrap_or(10),
    }
}
