//! Latencies in nanoseconds, counted in log-linear buckets: every power of two is divided into 1,024 equal parts, so a
//! value is known to within 0.1 %, from nanoseconds to hours, in a table that never grows.

use std::time::Duration;

/// log2 of the parts that a power of two is divided into.
const BITS: u32 = 10;
const PARTS: u64 = 1 << BITS;
/// Values below `PARTS` have a bucket each; every further power of two has `PARTS` buckets.
const BUCKETS: usize = ((64 - BITS as usize) + 1) << BITS;

/// A distribution of durations.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        self.record_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    fn record_ns(&mut self, ns: u64) {
        if let Some(count) = self.counts.get_mut(bucket(ns)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += u128::from(ns);
        self.max = self.max.max(ns);
    }

    /// Adds what another one counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// How many durations were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exact.
    pub(crate) fn max_ns(&self) -> u64 {
        self.max
    }

    /// The arithmetic mean, exact.
    pub(crate) fn mean_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// The duration that `share` of all durations do not exceed (nearest rank; the middle of its bucket); 0 if empty.
    pub(crate) fn percentile_ns(&self, share: f64) -> u64 {
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return middle(index).min(self.max);
            }
        }
        0
    }
}

/// The bucket of a value.
fn bucket(ns: u64) -> usize {
    if ns < PARTS {
        return ns as usize;
    }
    let shift = 63 - BITS - ns.leading_zeros();
    (((u64::from(shift) + 1) << BITS) + ((ns >> shift) - PARTS)) as usize
}

/// The value in the middle of a bucket.
fn middle(index: usize) -> u64 {
    let index = index as u64;
    if index < PARTS {
        return index;
    }
    let shift = (index >> BITS) - 1;
    let low = ((index & (PARTS - 1)) + PARTS) << shift;
    low + ((1u64 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record_ns(value));
        histogram
    }

    #[test]
    fn small_values_are_exact() {
        let histogram = of(1..=100);
        assert_eq!(histogram.percentile_ns(0.5), 50);
        assert_eq!(histogram.percentile_ns(0.99), 99);
        assert_eq!(histogram.percentile_ns(0.999), 100);
        assert_eq!(histogram.percentile_ns(1.0), 100);
        assert_eq!(histogram.percentile_ns(0.0), 1);
    }

    #[test]
    fn nearest_rank_of_few_values_is_one_of_them() {
        assert_eq!(of([7]).percentile_ns(0.5), 7);
        assert_eq!(of([7, 9]).percentile_ns(0.5), 7);
        assert_eq!(of([7, 9]).percentile_ns(0.51), 9);
        assert_eq!(of([3, 1, 2]).percentile_ns(0.5), 2);
    }

    #[test]
    fn an_empty_histogram_says_nought() {
        let histogram = Histogram::default();
        assert_eq!((histogram.percentile_ns(0.5), histogram.max_ns(), histogram.count()), (0, 0, 0));
        assert_eq!(histogram.mean_ns(), 0.0);
    }

    #[test]
    fn large_values_are_within_a_thousandth() {
        let mut value: u64 = 1;
        while value < 1 << 60 {
            for value in [value, value + value / 3, value * 2 - 1] {
                let near = middle(bucket(value));
                assert!(near.abs_diff(value) as f64 <= value as f64 / 1024.0, "{value} became {near}");
            }
            value *= 2;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for value in (0..200_000).chain((1 << 40)..(1 << 40) + 10) {
            let at = bucket(value);
            assert!(at == last || at == last + 1 || value >= 1 << 40, "{value} jumped from {last} to {at}");
            last = at;
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_agree_with_a_sorted_list() {
        // A fixed linear congruential generator: no seed to print, the same list each time.
        let mut state = 42u64;
        let mut values: Vec<u64> = (0..10_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                10_000 + (state >> 40)
            })
            .collect();
        let histogram = of(values.iter().copied());
        values.sort_unstable();
        for share in [0.01, 0.5, 0.9, 0.99, 0.999] {
            let exact = values[(share * values.len() as f64).ceil() as usize - 1];
            let got = histogram.percentile_ns(share);
            assert!(got.abs_diff(exact) as f64 <= exact as f64 / 1024.0, "{share}: {got} is not {exact}");
        }
        assert_eq!(histogram.max_ns(), values[values.len() - 1]);
    }

    #[test]
    fn adding_is_like_counting_in_one() {
        let (mut one, other, both) = (of(1..500), of(500..100_000), of(1..100_000));
        one.add(&other);
        assert_eq!(one.count(), both.count());
        assert_eq!(one.mean_ns(), both.mean_ns());
        assert_eq!(one.percentile_ns(0.9), both.percentile_ns(0.9));
    }
}
