//! Who is set aside because it keeps failing, and how it comes back.
//!
//! - closed → ejected: so many failures in a row, or too low a share of successes over enough results.
//! - ejected → probing: its time has run out and one request claims the probe; nobody else gets through meanwhile.
//! - probing → closed: the probe was answered. → ejected, for longer: it failed. → due again: it was abandoned.
//!
//! An ejected instance that was used because ejection was not believed (panic mode, queue, owner of a task) comes back by
//! a success as well. Results of requests that began before the last readmission say nothing about the present and are
//! dropped. Overload (429, `RESOURCE_EXHAUSTED`) is no failure: whoever says it is alive.
//!
//! The state and its moment are one word, so each transition happens once, whoever races.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use moongate_core::Mono;

use super::Settings;

/// The longest ejection, unless the first is to be longer.
const LONGEST: Duration = Duration::from_secs(300);

const CLOSED: u64 = 0;
const EJECTED: u64 = 1 << 62;
const PROBING: u64 = 2 << 62;
const STATE: u64 = 3 << 62;

/// In which role a request went to the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The instance was in use.
    Normal,
    /// The request is the probe of a half-open instance.
    Probe,
    /// The instance was ejected, and used nevertheless.
    Unbelieved,
}

/// What a result changed about its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is set aside for this long.
    Ejected(Duration),
    /// It is in use again.
    Readmitted,
}

#[derive(Debug)]
pub(super) struct Outlier {
    /// Two bits of state; then microseconds: closed since, ejected until, probed since.
    gate: AtomicU64,
    in_a_row: AtomicU32,
    /// Successes in the upper half, failures in the lower; both are halved from time to time.
    window: AtomicU64,
    ejections: AtomicU32,
}

impl Outlier {
    pub(super) fn new(now: Mono) -> Self {
        Self {
            gate: AtomicU64::new(CLOSED | moment(now)),
            in_a_row: AtomicU32::new(0),
            window: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.gate.load(Relaxed) & STATE == CLOSED
    }

    /// The ejection has run out and nobody probes.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        let gate = self.gate.load(Relaxed);
        gate & STATE == EJECTED && gate & !STATE <= now.0
    }

    pub(super) fn ejected_for(&self, now: Mono) -> Option<Duration> {
        let gate = self.gate.load(Relaxed);
        match gate & STATE {
            CLOSED => None,
            EJECTED => Some(Mono(gate & !STATE).since(now)),
            _ => Some(Duration::ZERO),
        }
    }

    /// Takes the one probe, if it is due and free.
    pub(super) fn claim_probe(&self, now: Mono) -> bool {
        let gate = self.gate.load(Relaxed);
        gate & STATE == EJECTED
            && gate & !STATE <= now.0
            && self.gate.compare_exchange(gate, PROBING | moment(now), Relaxed, Relaxed).is_ok()
    }

    /// The probe that was claimed at `started` is abandoned: the next request may be one.
    pub(super) fn release_probe(&self, started: Mono) {
        let (claimed, due) = (PROBING | moment(started), EJECTED | moment(started));
        // An Err says that the probe was decided already.
        let _ = self.gate.compare_exchange(claimed, due, Relaxed, Relaxed);
    }

    pub(super) fn reset(&self, now: Mono) {
        self.ejections.store(0, Relaxed);
        self.clear();
        self.gate.store(CLOSED | moment(now), Relaxed);
    }

    /// Whether a request that began at `started` can still tell something about the instance.
    pub(super) fn is_current(&self, started: Mono) -> bool {
        let gate = self.gate.load(Relaxed);
        gate & STATE != CLOSED || gate & !STATE <= started.0
    }

    /// The instance showed that it lives, by a request that began at `started`.
    pub(super) fn alive(&self, now: Mono, started: Mono, role: Role) -> Change {
        let gate = self.gate.load(Relaxed);
        let back = match role {
            Role::Normal => false,
            Role::Probe => gate == PROBING | moment(started),
            Role::Unbelieved => gate & STATE == EJECTED,
        };
        if back && self.gate.compare_exchange(gate, CLOSED | moment(now), Relaxed, Relaxed).is_ok() {
            self.clear();
            return Change::Readmitted;
        }
        Change::None
    }

    /// A request succeeded.
    pub(super) fn succeeded(&self, now: Mono, started: Mono, role: Role, settings: &Settings) -> Change {
        let change = self.alive(now, started, role);
        if self.is_closed() {
            self.in_a_row.store(0, Relaxed);
            self.count(1 << 32, settings.success_samples);
        }
        change
    }

    /// A request failed.
    pub(super) fn failed(&self, now: Mono, started: Mono, role: Role, settings: &Settings) -> Change {
        let gate = self.gate.load(Relaxed);
        match gate & STATE {
            CLOSED => {
                let row = self.in_a_row.fetch_add(1, Relaxed).saturating_add(1);
                let (good, bad) = self.count(1, settings.success_samples);
                let too_many = settings.consecutive_failures > 0 && row >= settings.consecutive_failures;
                let results = good + bad;
                let too_rarely = results >= u64::from(settings.success_samples)
                    && good * 100 < results * u64::from(settings.success_rate_percent);
                if !(too_many || too_rarely) {
                    return Change::None;
                }
                // Time in good health pays off earlier ejections, one for each base period.
                let healthy = now.since(Mono(gate & !STATE)).as_micros();
                let paid = healthy.checked_div(settings.base_ejection.as_micros()).unwrap_or(0);
                let before = self.ejections.load(Relaxed);
                self.eject(gate, before.saturating_sub(u32::try_from(paid).unwrap_or(u32::MAX)), now, settings)
            }
            PROBING if role == Role::Probe && gate == PROBING | moment(started) => {
                self.eject(gate, self.ejections.load(Relaxed), now, settings)
            }
            _ => Change::None,
        }
    }

    fn eject(&self, gate: u64, before: u32, now: Mono, settings: &Settings) -> Change {
        let ejections = before.saturating_add(1);
        let span = settings.base_ejection.saturating_mul(ejections).min(LONGEST.max(settings.base_ejection));
        if self.gate.compare_exchange(gate, EJECTED | moment(now.plus(span)), Relaxed, Relaxed).is_err() {
            return Change::None;
        }
        self.ejections.store(ejections, Relaxed);
        self.clear();
        Change::Ejected(span)
    }

    fn clear(&self) {
        self.in_a_row.store(0, Relaxed);
        self.window.store(0, Relaxed);
    }

    /// Adds a result; past twice the number of `samples` needed, everything so far counts half.
    fn count(&self, result: u64, samples: u32) -> (u64, u64) {
        let add = |window: u64| {
            let (good, bad) = ((window >> 32) + (result >> 32), (window & 0xffff_ffff) + (result & 0xffff_ffff));
            let full = good + bad > u64::from(samples) * 2;
            Some(if full { ((good / 2) << 32) | (bad / 2) } else { (good << 32) | bad })
        };
        let before = self.window.fetch_update(Relaxed, Relaxed, add).unwrap_or(0);
        let window = add(before).unwrap_or(0);
        (window >> 32, window & 0xffff_ffff)
    }
}

fn moment(at: Mono) -> u64 {
    at.0 & !STATE
}
