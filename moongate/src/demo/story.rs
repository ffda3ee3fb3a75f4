//! How the demonstration is told: in words for people, or as one JSON object a line for programs (`--json`).
//!
//! Every step has a name, its words, whether it went well, and facts. What did not go well decides the exit code, so a
//! step can not fail quietly.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::cli::output::data;

/// The teller.
pub(super) struct Story {
    json: bool,
    well: AtomicBool,
}

/// One thing that happened.
pub(super) struct Step {
    name: &'static str,
    words: String,
    well: bool,
    facts: Value,
}

impl Step {
    /// Something that went well.
    pub(super) fn new(name: &'static str, words: impl Into<String>) -> Self {
        Self { name, words: words.into(), well: true, facts: Value::Null }
    }

    /// Whether it went well.
    pub(super) fn well(mut self, well: bool) -> Self {
        self.well = well;
        self
    }

    /// What a program may want to know: the members of this object.
    pub(super) fn facts(mut self, facts: Value) -> Self {
        self.facts = facts;
        self
    }
}

impl Story {
    /// A story in words or in JSON.
    pub(super) fn new(json: bool) -> Self {
        Self { json, well: AtomicBool::new(true) }
    }

    /// A headline; programs need none.
    pub(super) fn title(&self, words: &str) {
        if !self.json {
            data(&format!("\n{words}"));
        }
    }

    /// Tells a step.
    pub(super) fn step(&self, step: Step) {
        if !step.well {
            self.well.store(false, Ordering::Relaxed);
        }
        if !self.json {
            return data(&step.words.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
        }
        let mut line = json!({"step": step.name, "ok": step.well, "words": step.words});
        if let (Some(line), Value::Object(facts)) = (line.as_object_mut(), step.facts) {
            line.extend(facts);
        }
        data(&line.to_string());
    }

    /// Whether everything went well so far.
    pub(super) fn went_well(&self) -> bool {
        self.well.load(Ordering::Relaxed)
    }
}
