//! The log as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod history;
mod older;
mod retention;
mod support;
mod tamper;
mod writing;
