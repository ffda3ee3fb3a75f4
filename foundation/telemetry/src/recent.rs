//! The last minutes in numbers: a ring of samples, as pure as a function of what was counted and when.
//!
//! Samples lie [`STEP`] apart and there are [`KEPT`] at most; whoever asks adds the present moment. The ring is filled by one
//! task of the program, which owns no numbers of its own.

use std::collections::VecDeque;
use std::time::Duration;

use moongate_core::Mono;

use crate::metrics::Sample;

/// How far samples lie apart.
pub const STEP: Duration = Duration::from_secs(5);
/// How many are kept: five minutes.
pub const KEPT: usize = 61;

/// The ring.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(Mono, Sample)>);

/// What the last minutes were like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Glance {
    /// The span that is looked at.
    pub span: Duration,
    /// Requests that ended within it.
    pub requests: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// All but one in a hundred took no longer.
    pub p99_ms: Option<f64>,
    /// Requests a second, the oldest step first.
    pub rates: Vec<f64>,
    /// Failures a second, the same.
    pub failure_rates: Vec<f64>,
}

impl Recent {
    /// Takes what was counted by now; the oldest sample makes room.
    pub fn push(&mut self, at: Mono, sample: Sample) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, sample));
    }

    /// The span from the oldest sample to now.
    pub fn glance(&self, now: Mono, sample: Sample) -> Glance {
        let Some((first_at, first)) = self.0.front() else { return Glance::default() };
        let came = sample.since(first);
        let mut glance = Glance {
            span: now.since(*first_at),
            requests: came.requests,
            failures: came.failures,
            p50_ms: came.quantile_ms(0.5),
            p99_ms: came.quantile_ms(0.99),
            ..Glance::default()
        };
        let ends = self.0.iter().skip(1).copied().chain([(now, sample)]);
        for ((from, before), (to, after)) in self.0.iter().copied().zip(ends) {
            let (seconds, came) = (to.since(from).as_secs_f64(), after.since(&before));
            // A step that has only just begun would make much of little.
            if seconds >= 1.0 {
                glance.rates.push(came.requests as f64 / seconds);
                glance.failure_rates.push(came.failures as f64 / seconds);
            }
        }
        glance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::default().plus(Duration::from_secs(seconds))
    }

    fn counted(requests: u64, failures: u64) -> Sample {
        let mut sample = Sample { requests, failures, ..Sample::default() };
        sample.buckets[0] = requests;
        sample
    }

    #[test]
    fn the_last_minutes_are_what_came_since_the_oldest_sample() {
        let mut recent = Recent::default();
        assert_eq!(recent.glance(at(0), counted(3, 0)), Glance::default());
        recent.push(at(0), counted(10, 1));
        recent.push(at(5), counted(20, 1));
        let glance = recent.glance(at(7), counted(26, 3));
        assert_eq!((glance.requests, glance.failures, glance.span), (16, 2, Duration::from_secs(7)));
        assert_eq!((glance.rates, glance.failure_rates), (vec![2.0, 3.0], vec![0.0, 1.0]));
        assert!(glance.p50_ms.is_some_and(|ms| ms <= 0.1));
    }

    #[test]
    fn the_ring_holds_five_minutes_and_no_more() {
        let mut recent = Recent::default();
        (0..1000).for_each(|step| recent.push(at(step * 5), counted(step, 0)));
        assert_eq!(recent.0.len(), KEPT);
        let glance = recent.glance(at(5000), counted(1000, 0));
        assert_eq!(glance.span, Duration::from_secs(305));
        assert_eq!(glance.rates.len(), KEPT);
    }
}
