//! When a source is asked again. Pure: a function of what came, the time and a throw of dice.
//!
//! - After a list: at half of its lifetime, and ten minutes before its end at the latest; earlier by chance, so that not
//!   everybody comes at once. Never later than in an hour: an authority that revokes does not wait for `nextUpdate`, and
//!   an answer "not modified" costs little.
//! - A list that has passed this point already is looked after more often, the closer its end.
//! - After a failure: in five seconds, then twice as long each time, up to five minutes.
//! - Files are looked at each second; only their metadata, unless it changed.

use std::time::Duration;

use moongate_core::Time;

/// Files.
pub(super) const GLANCE: Duration = Duration::from_secs(1);
const BEFORE_END: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(3600);
const SHORTEST: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(300);

/// When a list with this lifetime is refreshed; `dice` is anything from 0 to `u16::MAX`.
pub(super) fn after_list(this_update: Time, next_update: Time, now: Time, dice: u16) -> Time {
    let lifetime = next_update.since(this_update);
    let half = this_update.plus(lifetime / 2);
    let ahead = Time(next_update.0.saturating_sub(millis(BEFORE_END)));
    let wanted = half.min(ahead).since(now);
    let wait = if wanted.is_zero() { next_update.since(now) / 8 } else { wanted };
    now.plus(early(wait.clamp(SHORTEST, LONGEST), dice))
}

/// When a source is asked again after so many failures in a row, the latest included.
pub(super) fn after_failure(failures: u32, now: Time, dice: u16) -> Time {
    let doubled = FIRST_RETRY * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    now.plus(early(doubled.min(LAST_RETRY), dice))
}

/// Up to a tenth earlier.
fn early(wait: Duration, dice: u16) -> Duration {
    wait - (wait / 10) * u32::from(dice) / u32::from(u16::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    #[test]
    fn a_short_list_is_refreshed_at_half_of_its_life() {
        assert_eq!(after_list(Time(0), Time(HOUR), Time(0), 0), Time(HOUR / 2));
        assert_eq!(after_list(Time(0), Time(HOUR), Time(0), u16::MAX), Time(HOUR / 2 - 3 * MINUTE));
    }

    #[test]
    fn ten_minutes_before_its_end_at_the_latest() {
        assert_eq!(after_list(Time(0), Time(16 * MINUTE), Time(0), 0), Time(6 * MINUTE));
    }

    #[test]
    fn a_long_list_is_asked_for_each_hour() {
        assert_eq!(after_list(Time(0), Time(7 * 24 * HOUR), Time(HOUR), 0), Time(2 * HOUR));
    }

    #[test]
    fn failures_wait_longer_up_to_five_minutes() {
        let waits: Vec<u64> = (1..9).map(|failures| after_failure(failures, Time(0), 0).0 / 1000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    }

    proptest! {
        #[test]
        fn it_never_sleeps_past_the_end_and_never_spins(
            start in 0_u64..10 * HOUR, life in 0_u64..400 * 24 * HOUR, late in 0_u64..500 * 24 * HOUR, dice: u16,
        ) {
            let (this, next, now) = (Time(start), Time(start + life), Time(start + late));
            let due = after_list(this, next, now, dice);
            prop_assert!(due.since(now) >= Duration::from_secs(27));
            prop_assert!(due.since(now) <= LONGEST);
            prop_assert!(due <= next.max(now.plus(SHORTEST)));
        }

        #[test]
        fn failures_never_stop_the_tries(failures: u32, dice: u16) {
            let due = after_failure(failures, Time(0), dice);
            prop_assert!(due.0 >= 4_500 && due.0 <= 300_000);
        }
    }
}
