//! The configuration as it stands, key by key: `GET /api/v1/configuration`.
//!
//! A key whose change needs a restart keeps the value that the gateway started with, and says which one waits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use moongate_config::{Effect, Loaded, Setting, Source, settings};
use moongate_core::Time;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What the gateway started with, and what it took up since.
pub(crate) struct Standing {
    path: PathBuf,
    /// Values that stay until a restart, by path.
    started: BTreeMap<String, Option<String>>,
    now: Mutex<(Time, Vec<Setting>)>,
}

impl Standing {
    /// From the configuration of the start.
    pub(crate) fn new(loaded: &Loaded, at: Time) -> Self {
        let settings = settings(loaded);
        let lasting = settings.iter().filter(|setting| setting.effect == Effect::NeedsRestart);
        Self {
            path: loaded.path.clone(),
            started: lasting.map(|setting| (setting.path.clone(), setting.value.clone())).collect(),
            now: Mutex::new((at, settings)),
        }
    }

    /// A changed file was taken over.
    pub(crate) fn replace(&self, loaded: &Loaded, at: Time) {
        *self.now.lock() = (at, settings(loaded));
    }

    /// The view that the API serves, with what became of reloads.
    pub(crate) fn view(&self, status: &Value) -> Value {
        let now = self.now.lock();
        let keys: Vec<Value> = now.1.iter().map(|setting| self.key(setting)).collect();
        json!({
            "file": self.path, "read_at": moongate_a2a::moment::write(now.0),
            "changes": status.get("configuration"), "keys": keys,
        })
    }

    fn key(&self, setting: &Setting) -> Value {
        let (origin, line) = match setting.from {
            Source::File(line) => ("file", Some(line)),
            Source::Elsewhere(line) => ("elsewhere", Some(line)),
            Source::Default => ("default", None),
        };
        let (value, waits) = match self.started.get(&setting.path) {
            Some(started) if *started != setting.value => {
                (started, Some(setting.value.as_deref().unwrap_or("nothing")))
            }
            _ => (&setting.value, None),
        };
        json!({
            "path": setting.path, "value": value, "origin": origin, "line": line, "doc": setting.doc,
            "needs_restart": setting.effect == Effect::NeedsRestart, "waits": waits,
        })
    }
}
