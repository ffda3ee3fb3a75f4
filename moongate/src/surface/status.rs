//! What became of the configuration since the start, and how the channels of approvals fare; shown at `/api/v1/status`.

use std::sync::{Arc, OnceLock};

use moongate_approval::channels::Channels;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The last reload and what it did.
#[derive(Default)]
pub(crate) struct Status {
    reloads: Mutex<Reloads>,
    channels: OnceLock<Arc<Channels>>,
}

#[derive(Default)]
struct Reloads {
    applied: u64,
    refused: u64,
    changes: Vec<(String, bool)>,
    error: Option<String>,
}

impl Status {
    /// These are the channels, whichever a reload makes of them.
    pub(crate) fn introduce(&self, channels: Arc<Channels>) {
        let _ = self.channels.set(channels);
    }

    /// A changed configuration was taken over; for each section, whether it took effect at once.
    pub(crate) fn reloaded(&self, changes: Vec<(String, bool)>) {
        let mut reloads = self.reloads.lock();
        reloads.applied += 1;
        reloads.changes = changes;
        reloads.error = None;
    }

    /// A changed configuration was refused.
    pub(crate) fn refused(&self, why: String) {
        let mut reloads = self.reloads.lock();
        reloads.refused += 1;
        reloads.error = Some(why);
    }

    /// Whether the last change was refused.
    pub(crate) fn refused_last(&self) -> bool {
        self.reloads.lock().error.is_some()
    }

    /// The view that the API serves.
    pub(crate) fn view(&self, [up, suspect, down]: [usize; 3]) -> Value {
        let reloads = self.reloads.lock();
        let changes: Vec<Value> = reloads
            .changes
            .iter()
            .map(|(section, at_once)| json!({"section": section, "effect": if *at_once { "applied" } else { "needs restart" }}))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "notifications": self.channels.get().map(|channels| channels.view()).unwrap_or_default(),
            "agents": {"up": up, "suspect": suspect, "down": down},
            "configuration": {
                "reloads": reloads.applied, "refused": reloads.refused, "last_changes": changes, "last_error": reloads.error,
            },
        })
    }
}
