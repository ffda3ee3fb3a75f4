//! Whether an instance is there: pure functions of what was heard and what time it is.
//!
//! Up → suspect (two beats missed) → down (nothing for the whole lease) → gone (ten minutes later, unless it is from the
//! configuration). An entry that never beat is judged by the probes of its card instead.

use std::time::Duration;

use moongate_core::Time;

use crate::routing::balance::Health;

/// How long an entry that is down is kept in case it comes back.
pub const TOMBSTONE: Duration = Duration::from_secs(600);

/// The lease of entries that beat.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// How often they should beat.
    pub interval: Duration,
    /// After how long without a beat they are down.
    pub ttl: Duration,
}

/// What a look at an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there, or not, but stays in the registry.
    Known(Health),
    /// It is removed.
    Gone,
}

/// Judges an entry that beats.
pub fn by_beat(beat_at: Time, now: Time, lease: Lease) -> Standing {
    let silent = now.since(beat_at);
    if silent > lease.ttl + TOMBSTONE {
        Standing::Gone
    } else if silent > lease.ttl {
        Standing::Known(Health::Down)
    } else if silent > lease.interval * 2 {
        Standing::Known(Health::Suspect)
    } else {
        Standing::Known(Health::Up)
    }
}

/// Judges an entry that is probed, by the failures in a row.
pub fn by_probe(failures: u32) -> Health {
    match failures {
        0 => Health::Up,
        1 | 2 => Health::Suspect,
        _ => Health::Down,
    }
}

/// How long until the next probe: soon after a failure, then more and more slowly, never faster than every second.
pub fn next_probe(failures: u32, usual: Duration) -> Duration {
    if failures == 0 {
        return usual;
    }
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_leads_from_up_to_gone() {
        let lease = Lease { interval: Duration::from_secs(10), ttl: Duration::from_secs(30) };
        let at = |seconds: u64| by_beat(Time(1_000_000), Time(1_000_000 + seconds * 1000), lease);
        assert_eq!(at(0), Standing::Known(Health::Up));
        assert_eq!(at(20), Standing::Known(Health::Up));
        assert_eq!(at(21), Standing::Known(Health::Suspect));
        assert_eq!(at(30), Standing::Known(Health::Suspect));
        assert_eq!(at(31), Standing::Known(Health::Down));
        assert_eq!(at(630), Standing::Known(Health::Down));
        assert_eq!(at(631), Standing::Gone);
        // A clock that was set back is no silence.
        assert_eq!(by_beat(Time(9_000_000), Time(1), lease), Standing::Known(Health::Up));
    }

    #[test]
    fn probes_slow_down_but_never_stop() {
        let usual = Duration::from_secs(30);
        let pauses: Vec<u64> = (0..9).map(|failures| next_probe(failures, usual).as_secs()).collect();
        assert_eq!(pauses, [30, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(by_probe(0), Health::Up);
        assert_eq!(by_probe(2), Health::Suspect);
        assert_eq!(by_probe(3), Health::Down);
    }
}
