//! The system's clock: the one place that asks the machine for the time. Everything else takes `now` as an argument or
//! a `dyn Clock`, and so can be tested without waiting.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use moongate_core::seam::Clock;
use moongate_core::{Mono, Time};

/// The machine's own time. Every copy counts monotonic time from the same start.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn mono(&self) -> Mono {
        static START: OnceLock<Instant> = OnceLock::new();
        let since = START.get_or_init(Instant::now).elapsed();
        Mono(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_is_shared_and_never_goes_back() {
        let (one, two) = (SystemClock, SystemClock);
        let mut last = one.mono();
        for _ in 0..1000 {
            let next = two.mono();
            assert!(next >= last);
            last = one.mono();
            assert!(last >= next);
        }
    }

    #[test]
    fn wall_time_is_in_milliseconds_of_this_century() {
        let Time(now) = SystemClock.now();
        assert!((1_600_000_000_000..4_102_444_800_000).contains(&now), "{now}");
    }
}
