//! What became of the configuration since the start; shown at `/api/v1/status`.

use parking_lot::Mutex;
use serde_json::{Value, json};

/// The last reload and what it did.
#[derive(Default)]
pub(crate) struct Status(Mutex<Reloads>);

#[derive(Default)]
struct Reloads {
    applied: u64,
    refused: u64,
    changes: Vec<(String, bool)>,
    error: Option<String>,
}

impl Status {
    /// A changed configuration was taken over; for each section, whether it took effect at once.
    pub(crate) fn reloaded(&self, changes: Vec<(String, bool)>) {
        let mut reloads = self.0.lock();
        reloads.applied += 1;
        reloads.changes = changes;
        reloads.error = None;
    }

    /// A changed configuration was refused.
    pub(crate) fn refused(&self, why: String) {
        let mut reloads = self.0.lock();
        reloads.refused += 1;
        reloads.error = Some(why);
    }

    /// Whether the last change was refused.
    pub(crate) fn refused_last(&self) -> bool {
        self.0.lock().error.is_some()
    }

    /// The view that the API serves.
    pub(crate) fn view(&self, [up, suspect, down]: [usize; 3]) -> Value {
        let reloads = self.0.lock();
        let changes: Vec<Value> = reloads
            .changes
            .iter()
            .map(|(section, at_once)| json!({"section": section, "effect": if *at_once { "applied" } else { "needs restart" }}))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "agents": {"up": up, "suspect": suspect, "down": down},
            "configuration": {
                "reloads": reloads.applied, "refused": reloads.refused, "last_changes": changes, "last_error": reloads.error,
            },
        })
    }
}
