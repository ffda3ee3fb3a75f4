//! Whoever does not answer is asked again later, longer each time, and by one at a time.

use std::time::Duration;

use moongate_core::Time;

const FIRST: Duration = Duration::from_millis(500);
/// The longest pause between two tries; a moment that lies farther ahead is a clock that was set back.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// How long to wait after so many failures in a row: exponential, with jitter above half of it.
pub(super) fn pause(failures: u32) -> Duration {
    let whole = FIRST.saturating_mul(2u32.saturating_pow(failures.min(20))).min(LONGEST);
    let bytes = uuid::Uuid::new_v4().into_bytes();
    let chance = f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / 65_536.0;
    whole.mul_f64(0.5 + chance / 2.0)
}

/// How one agent or receiver fares.
#[derive(Clone, Copy, Default)]
pub(super) struct Pace {
    failures: u32,
    not_before: Time,
}

impl Pace {
    /// Until when it is left alone, if it is.
    pub(super) fn closed(&self, now: Time) -> Option<Time> {
        let wait = self.not_before.since(now);
        (!wait.is_zero() && wait <= LONGEST).then_some(self.not_before)
    }

    /// Whether the last try failed: then one asks, not all.
    pub(super) fn doubtful(&self) -> bool {
        self.failures > 0
    }

    /// A try that began at `began` failed. Those that were sent together fail together: once is enough.
    pub(super) fn failed(&mut self, began: Time, now: Time) {
        if began >= self.not_before || self.not_before.since(now) > LONGEST {
            self.not_before = now.plus(pause(self.failures));
            self.failures += 1;
        }
    }

    /// It answers.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_vary() {
        for failures in 0..40 {
            let whole = (0.5 * 2f64.powi(failures.min(20))).min(300.0);
            let pause = pause(failures.unsigned_abs()).as_secs_f64();
            assert!((whole / 2.0..=whole).contains(&pause), "{failures}: {pause}");
        }
        assert!((0..20).any(|_| pause(20) != pause(20)));
    }

    #[test]
    fn what_fails_together_counts_once_and_a_success_forgets_it() {
        let mut pace = Pace::default();
        assert_eq!((pace.closed(Time(1000)), pace.doubtful()), (None, false));
        (0..5).for_each(|_| pace.failed(Time(1000), Time(1100)));
        let until = pace.closed(Time(1100)).unwrap();
        assert!((Time(1350)..=Time(1600)).contains(&until), "{until:?}");
        assert_eq!((pace.closed(until), pace.doubtful()), (None, true));
        pace.failed(until, until);
        assert!(pace.closed(until).unwrap() >= until.plus(Duration::from_millis(500)));
        pace.succeeded();
        assert_eq!((pace.closed(until), pace.doubtful()), (None, false));
    }

    #[test]
    fn a_clock_that_is_set_back_opens_it() {
        let mut pace = Pace::default();
        pace.failed(Time(9_000_000_000), Time(9_000_000_000));
        assert_eq!(pace.closed(Time(1000)), None);
        pace.failed(Time(1000), Time(1000));
        assert!(pace.closed(Time(1000)).is_some(), "and failures count by the clock as it is");
    }
}
