//! The room as other rooms use it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod exposition;
mod spans;

use std::time::Duration;

use moongate_core::{Code, Entry, Listener, Operation, Time};

/// An entry that ended in `result`.
fn entry(target: &str, operation: Operation, result: &'static str, code: Option<Code>) -> Entry {
    Entry {
        request: "r-1".into(),
        source: "local".into(),
        domain: "home.example".into(),
        address: [127, 0, 0, 1].into(),
        target: target.into(),
        instance: target.into(),
        skill: None,
        task: None,
        operation,
        listener: Listener::Main,
        result,
        code,
        rule: "skill".into(),
        cleared_by: "-".into(),
        intent: None,
        at: Time(1_700_000_000_000),
        took: Duration::from_micros(1500),
    }
}
