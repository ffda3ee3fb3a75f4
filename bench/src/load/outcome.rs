//! What came of a load, as it is printed and kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::worker::Stats;
use crate::histogram::Histogram;

/// A distribution of latencies, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half are at most this.
    pub(crate) p50: f64,
    /// 90 % are at most this.
    pub(crate) p90: f64,
    /// 99 % are at most this.
    pub(crate) p99: f64,
    /// 99.9 % are at most this.
    pub(crate) p99_9: f64,
    /// The longest.
    pub(crate) max: f64,
    /// The arithmetic mean.
    pub(crate) mean: f64,
}

impl Latency {
    /// The distribution of what was counted.
    pub(crate) fn of(histogram: &Histogram) -> Self {
        // A tenth of a microsecond is finer than the clock and the buckets are.
        let us = |ns: f64| (ns / 100.0).round() / 10.0;
        let at = |share| us(histogram.percentile_ns(share) as f64);
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: us(histogram.max_ns() as f64),
            mean: us(histogram.mean_ns()),
        }
    }
}

/// What came of one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Connections, one request at a time on each.
    pub(crate) connections: usize,
    /// Requests with a right answer.
    pub(crate) requests: u64,
    /// Requests without one.
    pub(crate) errors: u64,
    /// What was wrong first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_error: Option<String>,
    /// Connections made anew because the server had closed one between requests.
    pub(crate) reconnects: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Right answers a second.
    pub(crate) per_second: f64,
    /// From sending a request to the last byte of its answer.
    pub(crate) latency_us: Latency,
    /// Streams: from sending a request to its first event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_event_us: Option<Latency>,
    /// Streams: events a second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) events_per_second: Option<f64>,
}

impl Outcome {
    /// Sums up what was counted in `time`.
    pub(super) fn of(connections: usize, stats: &Stats, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 };
        let streams = stats.first_event.count() > 0;
        Self {
            connections,
            requests: stats.latency.count(),
            errors: stats.errors,
            first_error: stats.first_error.clone(),
            reconnects: stats.reconnects,
            seconds,
            per_second: rate(stats.latency.count()),
            latency_us: Latency::of(&stats.latency),
            first_event_us: streams.then(|| Latency::of(&stats.first_event)),
            events_per_second: streams.then(|| rate(stats.events)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles_are_in_their_units() {
        let mut stats = Stats::default();
        for milliseconds in 1..=100 {
            stats.latency.record(Duration::from_millis(milliseconds));
        }
        let outcome = Outcome::of(4, &stats, Duration::from_secs(2));
        assert_eq!((outcome.requests, outcome.per_second), (100, 50.0));
        assert!((outcome.latency_us.p50 - 50_000.0).abs() < 50.0);
        assert_eq!((outcome.latency_us.max, outcome.latency_us.mean), (100_000.0, 50_500.0));
        assert_eq!((outcome.first_event_us, outcome.events_per_second), (None, None));
    }
}
