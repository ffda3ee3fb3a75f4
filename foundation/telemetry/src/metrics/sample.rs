//! All agents' numbers added up at one moment, for whoever compares two moments.

use std::array;

use super::Metrics;
use super::series::{AgentSeries, BOUNDS_US};

/// Buckets of a [`Sample`]: one for each bound, and one for what lies beyond the last.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// What was counted since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Requests that have ended.
    pub requests: u64,
    /// Those among them that failed, whoever was to blame.
    pub failures: u64,
    /// By how long they took.
    pub buckets: [u64; BUCKETS],
}

impl Default for Sample {
    fn default() -> Self {
        Self { requests: 0, failures: 0, buckets: [0; BUCKETS] }
    }
}

impl Sample {
    fn add(&mut self, series: &AgentSeries) {
        for (_, operation) in series.operations() {
            for (result, code, times) in operation.outcomes() {
                self.requests += times;
                if code.is_some() || result == "failed" {
                    self.failures += times;
                }
            }
            for (sum, count) in self.buckets.iter_mut().zip(operation.took.counts()) {
                *sum += count;
            }
        }
    }

    /// What came since an earlier moment. Series that have ended meanwhile take their numbers along; nothing becomes less
    /// than none.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let buckets = self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| now.saturating_sub(*then));
        let mut buckets = buckets.into_iter();
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failures: self.failures.saturating_sub(earlier.failures),
            buckets: array::from_fn(|_| buckets.next().unwrap_or_default()),
        }
    }

    /// The time in milliseconds that this share of the requests did not exceed, as exactly as the buckets say; `None` without
    /// requests. What lies beyond the last bound counts as that bound.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let all: u64 = self.buckets.iter().sum();
        if all == 0 {
            return None;
        }
        let wanted = (share.clamp(0.0, 1.0) * all as f64).max(1.0);
        let (mut below, mut from) = (0_u64, 0_u64);
        let last = BOUNDS_US.last().copied().unwrap_or_default();
        for (count, to) in self.buckets.iter().zip(BOUNDS_US.iter().copied().chain([last])) {
            let up_to = below + count;
            if up_to as f64 >= wanted && *count > 0 {
                let part = (wanted - below as f64) / *count as f64;
                return Some((from as f64 + (to - from) as f64 * part) / 1000.0);
            }
            (below, from) = (up_to, to);
        }
        Some(last as f64 / 1000.0)
    }
}

impl Metrics {
    /// Everything that was counted up to now.
    pub fn sample(&self) -> Sample {
        let mut sample = Sample::default();
        sample.add(&self.shared.here);
        sample.add(&self.shared.other);
        self.shared.agents.load().values().for_each(|series| sample.add(series));
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buckets: &[(usize, u64)]) -> Sample {
        let mut sample = Sample::default();
        for (at, count) in buckets {
            sample.buckets[*at] = *count;
            sample.requests += count;
        }
        sample
    }

    #[test]
    fn quantiles_lie_within_the_bucket_that_holds_them() {
        assert_eq!(Sample::default().quantile_ms(0.5), None);
        // 100 between 0.5 and 1 ms, one beyond the last bound.
        let sample = filled(&[(3, 100), (BUCKETS - 1, 1)]);
        let half = sample.quantile_ms(0.5).unwrap();
        assert!((0.5..=1.0).contains(&half), "{half}");
        assert_eq!(sample.quantile_ms(1.0), Some(60_000.0));
        assert!(sample.quantile_ms(0.99).unwrap() <= 1.0);
        assert_eq!(filled(&[(0, 1)]).quantile_ms(0.5), Some(0.1));
    }

    #[test]
    fn a_difference_is_never_less_than_none() {
        let (before, after) = (filled(&[(0, 5), (1, 1)]), filled(&[(0, 7)]));
        let came = after.since(&before);
        assert_eq!((came.requests, came.buckets[0], came.buckets[1]), (1, 2, 0));
    }
}
