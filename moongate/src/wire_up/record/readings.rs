//! Who read what of late: programs and pages that look again and again leave one line a minute.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use moongate_core::Time;
use parking_lot::Mutex;

/// So many are remembered; whoever reads more than that in a minute leaves a line each time.
const MOST: usize = 16 * 1024;

/// What was read in this minute, and by whom.
#[derive(Default)]
pub(super) struct Readings {
    minute: Mutex<(u64, HashSet<u64>)>,
    hasher: RandomState,
}

impl Readings {
    /// Whether it is the first time in this minute.
    pub(super) fn admits(&self, what: impl Hash, now: Time) -> bool {
        let (minute, hash) = (now.0 / 60_000, self.hasher.hash_one(what));
        let mut known = self.minute.lock();
        if known.0 != minute {
            known.0 = minute;
            known.1.clear();
        }
        if known.1.len() < MOST { known.1.insert(hash) } else { !known.1.contains(&hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_again_and_again_has_one_line_a_minute() {
        let readings = Readings::default();
        let told = |who: &str, path: &str, at: u64| readings.admits((who, path), Time(at));
        assert!(told("ann", "/users", 60_000) && !told("ann", "/users", 119_999));
        assert!(told("ann", "/tasks", 60_000) && told("bob", "/users", 60_000));
        assert!(told("ann", "/users", 120_000), "the next minute has a line again");
        let full = (0..MOST as u64 + 10).filter(|n| readings.admits(n, Time(180_000))).count();
        assert_eq!(full, MOST + 10, "nobody is forgotten for want of room");
    }
}
