//! Reads `[audit]`.

use crate::read::Table;
use crate::schema::Audit;

/// Reads the section.
pub(super) fn audit(table: &Table<'_>) -> Audit {
    Audit { on: table.flag("on"), dir: table.path("dir") }
}
