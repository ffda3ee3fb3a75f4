//! Requests that were refused before anybody knew from whom they are: strangers must not fill the disk with lines of theirs.
//!
//! The first of each second have a line each, all others of that second one together.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use moongate_core::Time;
use parking_lot::Mutex;

/// So many lines of a second.
const LINES: u32 = 32;

/// What was refused of late.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// The second, and how many lines it has.
    window: Mutex<(u64, u32)>,
    /// Those without a line.
    more: AtomicU64,
}

impl Refusals {
    /// Whether one more has a line of its own; if not, it is counted.
    pub(super) fn admits(&self, now: Time) -> bool {
        let mut window = self.window.lock();
        let second = now.0 / 1000;
        if window.0 != second {
            *window = (second, 0);
        }
        window.1 = window.1.saturating_add(1);
        let admitted = window.1 <= LINES;
        if !admitted {
            self.more.fetch_add(1, Relaxed);
        }
        admitted
    }

    /// How many had no line since the last call.
    pub(super) fn rest(&self) -> u64 {
        self.more.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_some_lines_and_a_number() {
        let refusals = Refusals::default();
        let admitted = (0..1000).filter(|_| refusals.admits(Time(5_000))).count();
        assert_eq!((admitted, refusals.rest(), refusals.rest()), (32, 968, 0));
        assert!(refusals.admits(Time(6_000)), "the next second has lines again");
    }
}
