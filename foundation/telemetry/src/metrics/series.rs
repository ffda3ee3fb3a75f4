//! The things that count: atomics with names.
//!
//! All additions are relaxed: a scrape may see a request in one series a moment before it sees it in another.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moongate_core::{Code, Entry, Operation};

/// Only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Some more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// How many by now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// One more until the answer is dropped.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.inc();
        Held(self.clone())
    }

    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn dec(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Exactly so many.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// How many there are.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Stands for one in a [`Gauge`].
#[derive(Debug)]
pub struct Held(Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is counted for one agent.
#[derive(Debug, Default)]
pub struct AgentSeries {
    operations: [OnceLock<Box<OperationSeries>>; Operation::ALL.len()],
    /// Requests that were sent and not answered yet.
    pub in_flight: Gauge,
    /// Requests that were sent, retries included.
    pub attempts: Counter,
    /// Requests that were sent again elsewhere.
    pub retries: Counter,
    /// Instances that were taken out of balancing for failing.
    pub ejections: Counter,
}

impl AgentSeries {
    /// Counts a request that has ended.
    pub fn record(&self, entry: &Entry) {
        let Some(slot) = self.operations.get(entry.operation as usize) else { return };
        let series = slot.get_or_init(Box::default);
        series.took.observe(entry.took);
        series.count(entry.result, entry.code);
    }

    /// The operations that were asked for so far.
    pub(super) fn operations(&self) -> impl Iterator<Item = (Operation, &OperationSeries)> {
        Operation::ALL.into_iter().zip(&self.operations).filter_map(|(of, slot)| Some((of, &**slot.get()?)))
    }
}

/// How a request can end without a problem, and a place for words that this room does not know.
const RESULTS: [&str; 6] = ["done", "stream", "accepted", "failed", "abandoned", "other"];

/// What is counted for one operation of one agent.
#[derive(Debug, Default)]
pub(super) struct OperationSeries {
    /// How long it took.
    pub(super) took: Histogram,
    results: [AtomicU64; RESULTS.len()],
    /// By code, in the order of [`Code::ALL`]; most agents never need it.
    failures: OnceLock<Box<[AtomicU64]>>,
}

impl OperationSeries {
    fn count(&self, result: &str, code: Option<Code>) {
        let slot = match code.and_then(|code| Code::ALL.binary_search(&code).ok()) {
            Some(place) => {
                self.failures.get_or_init(|| Code::ALL.iter().map(|_| AtomicU64::new(0)).collect()).get(place)
            }
            None => {
                let place = RESULTS.iter().position(|word| *word == result);
                self.results.get(place.unwrap_or(RESULTS.len() - 1))
            }
        };
        if let Some(slot) = slot {
            slot.fetch_add(1, Relaxed);
        }
    }

    /// How it ended, how often, where that is not never.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&'static str, Option<Code>, u64)> {
        let plain = RESULTS.into_iter().zip(&self.results).map(|(word, slot)| (word, None, slot.load(Relaxed)));
        let failures = self.failures.get().into_iter().flat_map(|slots| Code::ALL.iter().zip(slots.iter()));
        let failed = failures.map(|(code, slot)| ("failed", Some(*code), slot.load(Relaxed)));
        plain.chain(failed).filter(|(_, _, count)| *count > 0)
    }
}

/// Upper bounds of the buckets, in microseconds: 100 µs to 60 s.
pub(super) const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// A histogram of durations without a lock.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One for each bound, and one for what lies beyond the last.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| bound * 1000 < ns);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// What fell into each bucket alone.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed))
    }

    /// The sum in seconds, and each bucket's bound in seconds with what fell into it alone.
    pub(super) fn read(&self) -> (f64, Vec<(f64, u64)>) {
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets = bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Relaxed))).collect();
        (self.sum_ns.load(Relaxed) as f64 / 1e9, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(us));
        }
        let (sum, buckets) = histogram.read();
        let filled: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0001, 2), (0.00025, 1), (60.0, 1), (f64::INFINITY, 1)]);
        assert!((sum - 120.000_202).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn a_held_place_is_given_back_when_dropped() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.hold(), gauge.hold());
        assert_eq!(gauge.value(), 2);
        drop(one);
        assert_eq!(gauge.value(), 1);
        drop(two);
        assert_eq!(gauge.value(), 0);
    }

    #[test]
    fn every_operation_and_code_has_a_place() {
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, place);
        }
        assert!(Code::ALL.is_sorted());
    }
}
