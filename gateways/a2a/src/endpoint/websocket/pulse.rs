//! Whether the other side is still there: asked every 20 seconds, given up after 60 without a sign. Pure.

use std::time::Duration;

use moongate_core::Mono;

const ASK: Duration = Duration::from_secs(20);
const GONE: Duration = Duration::from_secs(60);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing, for so long.
    Wait(Duration),
    /// Send a ping.
    Ping,
    /// Nobody is there.
    Gone,
}

/// What is known of the other side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    heard: Mono,
    asked: Mono,
}

impl Pulse {
    /// The other side has just been heard.
    pub(super) fn new(now: Mono) -> Self {
        Self { heard: now, asked: now }
    }

    /// Something came, whatever it was.
    pub(super) fn heard(&mut self, now: Mono) {
        self.heard = now;
    }

    /// What is due.
    pub(super) fn beat(&mut self, now: Mono) -> Beat {
        let (gone, ask) = (self.heard.plus(GONE), self.asked.plus(ASK));
        if gone <= now {
            return Beat::Gone;
        }
        if ask <= now {
            self.asked = now;
            return Beat::Ping;
        }
        Beat::Wait(gone.min(ask) - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn who_is_silent_is_asked_every_20_seconds_and_given_up_after_60() {
        let mut pulse = Pulse::new(at(0));
        assert_eq!(pulse.beat(at(0)), Beat::Wait(ASK));
        assert_eq!(pulse.beat(at(19)), Beat::Wait(Duration::from_secs(1)));
        assert_eq!(pulse.beat(at(20)), Beat::Ping);
        assert_eq!(pulse.beat(at(20)), Beat::Wait(ASK));
        assert_eq!(pulse.beat(at(41)), Beat::Ping);
        assert_eq!(pulse.beat(at(41)), Beat::Wait(Duration::from_secs(19)));
        assert_eq!(pulse.beat(at(60)), Beat::Gone);
    }

    #[test]
    fn who_is_heard_stays_and_is_asked_all_the_same() {
        let mut pulse = Pulse::new(at(0));
        for second in (20..200).step_by(20) {
            pulse.heard(at(second - 1));
            assert_eq!(pulse.beat(at(second)), Beat::Ping);
        }
    }
}
