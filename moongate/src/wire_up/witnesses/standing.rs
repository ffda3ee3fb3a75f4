//! How witnesses stand, and which logs have two histories.

use std::collections::BTreeMap;

use moongate_telemetry::metrics::Witness;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What is known of all of them.
#[derive(Default)]
pub(super) struct Board {
    witnesses: Mutex<BTreeMap<String, Standing>>,
    /// Whom it is with, and what was found last; stays.
    conflicts: Mutex<BTreeMap<String, (String, u64)>>,
}

#[derive(Default)]
struct Standing {
    size: u64,
    /// In seconds since 1970.
    at: Option<u64>,
    failing: Option<String>,
    failures: u64,
}

impl Board {
    /// A witness has signed so many lines.
    pub(super) fn stands(&self, name: &str, size: u64, at: Option<u64>) {
        let mut witnesses = self.witnesses.lock();
        let standing = witnesses.entry(name.to_owned()).or_default();
        (standing.size, standing.at) = (size, at);
        if standing.failing.take().is_some() {
            tracing::info!(witness = name, "the witness signs again");
        }
    }

    /// A witness does not sign, for now.
    pub(super) fn fails(&self, name: &str, why: &str) {
        let mut witnesses = self.witnesses.lock();
        let standing = witnesses.entry(name.to_owned()).or_default();
        standing.failures += 1;
        if standing.failing.is_none() {
            tracing::warn!(witness = name, why, "a witness does not sign the audit log; it is asked again");
        }
        standing.failing = Some(why.to_owned());
    }

    /// Two histories of one log; whether that is news.
    pub(super) fn conflict(&self, with: &str, what: &str) -> bool {
        let mut conflicts = self.conflicts.lock();
        let (said, times) = conflicts.entry(with.to_owned()).or_default();
        *times += 1;
        let news = said != what;
        what.clone_into(said);
        news
    }

    /// What wants somebody to look.
    pub(super) fn attention(&self) -> Vec<String> {
        self.conflicts.lock().iter().map(|(with, (what, _))| format!("two histories, by {with}: {what}")).collect()
    }

    pub(super) fn views(&self) -> Vec<Value> {
        let view = |(name, standing): (&String, &Standing)| json!({"name": name, "size": standing.size, "at": standing.at, "failing": standing.failing});
        self.witnesses.lock().iter().map(view).collect()
    }

    /// For the numbers: each witness, and each log with two histories with how often that was seen.
    pub(super) fn numbers(&self) -> (Vec<Witness>, Vec<(String, u64)>) {
        let witnesses = self.witnesses.lock();
        let witnesses = witnesses.iter().map(|(name, standing)| Witness {
            name: name.clone(),
            size: standing.size,
            failures: standing.failures,
        });
        let conflicts = self.conflicts.lock();
        (witnesses.collect(), conflicts.iter().map(|(with, (_, times))| (with.clone(), *times)).collect())
    }
}
