//! How witnesses stand, and which logs have two histories.

use std::collections::BTreeMap;

use moongate_telemetry::metrics::Witness;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What is known of all of them.
#[derive(Default)]
pub(super) struct Board {
    witnesses: Mutex<BTreeMap<String, Standing>>,
    /// Whom it is with; stays.
    conflicts: Mutex<BTreeMap<String, Conflict>>,
}

/// Two histories of one log.
#[derive(Default)]
struct Conflict {
    what: String,
    /// How often it was seen.
    times: u64,
    sure: bool,
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

    /// Two histories of one log; whether that is news. What anybody could have sent, as an older checkpoint that was signed once,
    /// is not `sure`: it is said once, and never in the place of what is.
    pub(super) fn conflict(&self, with: &str, what: &str, sure: bool) -> bool {
        let mut conflicts = self.conflicts.lock();
        let held = conflicts.entry(with.to_owned()).or_default();
        held.times += 1;
        let news = if sure { !held.sure || held.what != what } else { held.what.is_empty() };
        if news {
            what.clone_into(&mut held.what);
            held.sure = sure;
        }
        news
    }

    /// What wants somebody to look.
    pub(super) fn attention(&self) -> Vec<String> {
        let conflicts = self.conflicts.lock();
        conflicts.iter().map(|(with, held)| format!("two histories, by {with}: {}", held.what)).collect()
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
        (witnesses.collect(), conflicts.iter().map(|(with, held)| (with.clone(), held.times)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_can_send_is_said_once_and_never_in_the_place_of_proof() {
        let board = Board::default();
        assert!(board.conflict("car", "it has 5 lines, and had 9", false));
        assert!(!board.conflict("car", "it has 6 lines, and had 9", false), "a flood of old checkpoints says no more");
        assert!(board.conflict("car", "two roots of 9 lines", true));
        assert!(!board.conflict("car", "it has 5 lines, and had 9", false));
        assert!(!board.conflict("car", "two roots of 9 lines", true));
        assert_eq!(board.attention(), ["two histories, by car: two roots of 9 lines"]);
        assert_eq!(board.numbers().1, [("car".to_owned(), 5)]);
    }
}
