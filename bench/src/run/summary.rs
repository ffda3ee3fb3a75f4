//! What is made of the runs: medians over the rounds, and medians of each round's own ratios.
//!
//! A ratio is taken within a round, where the machine was in one mood, and only then the median over the rounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rounds::Run;
use super::scenario::Target;

/// The figures of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Median over the rounds of the median latency, in µs.
    pub(crate) p50_us: f64,
    /// Median over the rounds of the 99th percentile, in µs.
    pub(crate) p99_us: f64,
    /// Median over the rounds.
    pub(crate) per_second: f64,
    /// Streams: the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) events_per_second: Option<f64>,
    /// Streams: median over the rounds of the 99th percentile until the first event, in µs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_event_p99_us: Option<f64>,
    /// Processor time of the proxy for one request, over all rounds (clock ticks are too coarse for one), in µs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) cpu_us_per_request: Option<f64>,
    /// The proxy's largest resident memory after a run, in KiB.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) rss_kib: Option<u64>,
}

/// A median and what it is the median of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The median of the rounds.
    pub(crate) median: f64,
    /// The smallest of a round.
    pub(crate) min: f64,
    /// The largest of a round.
    pub(crate) max: f64,
}

/// What is made of the runs of a scenario with so many connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Without anything in between.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) direct: Option<Figures>,
    /// Through nginx.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) nginx: Option<Figures>,
    /// Through Moongate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) moongate: Option<Figures>,
    /// Median latency that nginx adds to direct, in µs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) nginx_adds_us: Option<Ratio>,
    /// Median latency that Moongate adds to direct, in µs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) moongate_adds_us: Option<Ratio>,
    /// What Moongate adds, in units of what nginx adds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) added_ratio: Option<Ratio>,
    /// Moongate's median latency in units of nginx's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) latency_ratio: Option<Ratio>,
    /// Moongate's throughput in units of nginx's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) throughput_ratio: Option<Ratio>,
    /// Moongate's throughput in units of direct.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) throughput_ratio_to_direct: Option<Ratio>,
    /// Streams: Moongate's median until the first event less nginx's, in µs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_event_p50_more_us: Option<Ratio>,
    /// Streams: Moongate's 99th percentile until the first event less nginx's, in µs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) first_event_p99_more_us: Option<Ratio>,
}

/// The median; the mean of the middle two of an even number; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = sorted.get(half).copied()?;
    match sorted.len() % 2 {
        1 => Some(upper),
        _ => sorted.get(half - 1).map(|lower| (lower + upper) / 2.0),
    }
}

impl Ratio {
    /// Sums up; nothing of no rounds.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let least = values.iter().copied().min_by(f64::total_cmp)?;
        let most = values.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { median: rounded(median(values)?), min: rounded(least), max: rounded(most) })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Summary {
    /// Sums up.
    pub(crate) fn of(runs: &[Run]) -> Self {
        let figures = |target| figures(runs.iter().filter(|run| run.target == target).collect());
        let mut rounds: BTreeMap<usize, Vec<&Run>> = BTreeMap::new();
        for run in runs {
            rounds.entry(run.round).or_default().push(run);
        }
        let of_rounds = |value: &dyn Fn(&Round<'_>) -> Option<f64>| {
            let values: Vec<f64> = rounds.values().filter_map(|runs| value(&Round(runs))).collect();
            Ratio::of(&values)
        };
        let p50 = |run: &Run| run.outcome.latency_us.p50;
        let rate = |run: &Run| run.outcome.per_second;
        let first = |run: &Run| run.outcome.first_event_us.as_ref().map(|latency| (latency.p50, latency.p99));
        use Target::{Direct, Moongate, Nginx};
        Self {
            direct: figures(Direct),
            nginx: figures(Nginx),
            moongate: figures(Moongate),
            nginx_adds_us: of_rounds(&|round| Some(p50(round.of(Nginx)?) - p50(round.of(Direct)?))),
            moongate_adds_us: of_rounds(&|round| Some(p50(round.of(Moongate)?) - p50(round.of(Direct)?))),
            added_ratio: of_rounds(&|round| {
                let direct = p50(round.of(Direct)?);
                let (nginx, moongate) = (p50(round.of(Nginx)?) - direct, p50(round.of(Moongate)?) - direct);
                // Where nginx adds nothing that could be seen, the round says nothing.
                (nginx > 0.0).then(|| moongate / nginx)
            }),
            latency_ratio: of_rounds(&|round| Some(p50(round.of(Moongate)?) / p50(round.of(Nginx)?))),
            throughput_ratio: of_rounds(&|round| Some(rate(round.of(Moongate)?) / rate(round.of(Nginx)?))),
            throughput_ratio_to_direct: of_rounds(&|round| Some(rate(round.of(Moongate)?) / rate(round.of(Direct)?))),
            first_event_p50_more_us: of_rounds(&|round| {
                Some(first(round.of(Moongate)?)?.0 - first(round.of(Nginx)?)?.0)
            }),
            first_event_p99_more_us: of_rounds(&|round| {
                Some(first(round.of(Moongate)?)?.1 - first(round.of(Nginx)?)?.1)
            }),
        }
    }
}

/// The runs of one round.
struct Round<'a>(&'a [&'a Run]);

impl<'a> Round<'a> {
    fn of(&self, target: Target) -> Option<&'a Run> {
        self.0.iter().copied().find(|run| run.target == target)
    }
}

fn figures(runs: Vec<&Run>) -> Option<Figures> {
    let target = runs.first()?.target;
    let over = |value: &dyn Fn(&Run) -> Option<f64>| {
        median(&runs.iter().filter_map(|run| value(run)).collect::<Vec<_>>()).map(rounded)
    };
    let requests: u64 = runs.iter().map(|run| run.outcome.requests).sum();
    let cpu_us: f64 = runs.iter().map(|run| run.cpu_us).sum();
    let proxied = target != Target::Direct;
    Some(Figures {
        p50_us: over(&|run| Some(run.outcome.latency_us.p50))?,
        p99_us: over(&|run| Some(run.outcome.latency_us.p99))?,
        per_second: over(&|run| Some(run.outcome.per_second))?,
        events_per_second: over(&|run| run.outcome.events_per_second),
        first_event_p99_us: over(&|run| run.outcome.first_event_us.as_ref().map(|latency| latency.p99)),
        cpu_us_per_request: (proxied && requests > 0).then(|| rounded(cpu_us / requests as f64)),
        rss_kib: runs.iter().map(|run| run.rss_kib).max().filter(|_| proxied),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::{Latency, Outcome};

    pub(crate) fn run(round: usize, target: Target, p50: f64, per_second: f64) -> Run {
        let latency = Latency { p50, p99: p50 * 2.0, ..Latency::default() };
        let outcome = Outcome {
            requests: 100,
            per_second,
            first_event_us: Some(latency.clone()),
            latency_us: latency,
            ..Outcome::default()
        };
        Run { round, target, outcome, cpu_us: 5_000.0, rss_kib: 10_000 + round as u64 }
    }

    #[test]
    fn medians_are_those_of_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        use Target::{Direct, Moongate, Nginx};
        let runs = [
            run(0, Direct, 50.0, 1000.0),
            run(0, Nginx, 70.0, 900.0),
            run(0, Moongate, 90.0, 720.0),
            // The machine was busy: everything takes twice as long.
            run(1, Nginx, 140.0, 450.0),
            run(1, Moongate, 160.0, 450.0),
            run(1, Direct, 100.0, 500.0),
            run(2, Moongate, 86.0, 810.0),
            run(2, Direct, 50.0, 1000.0),
            run(2, Nginx, 70.0, 900.0),
        ];
        let summary = Summary::of(&runs);
        assert_eq!(summary.added_ratio, Some(Ratio { median: 1.8, min: 1.5, max: 2.0 }));
        assert_eq!(summary.throughput_ratio, Some(Ratio { median: 0.9, min: 0.8, max: 1.0 }));
        assert_eq!(summary.nginx_adds_us.unwrap().median, 20.0);
        assert_eq!(summary.first_event_p99_more_us.unwrap(), Ratio { median: 40.0, min: 32.0, max: 40.0 });
        let moongate = summary.moongate.unwrap();
        assert_eq!((moongate.p50_us, moongate.cpu_us_per_request, moongate.rss_kib), (90.0, Some(50.0), Some(10_002)));
        assert_eq!(summary.direct.unwrap().cpu_us_per_request, None);
    }

    #[test]
    fn what_was_left_out_has_no_figures() {
        let summary = Summary::of(&[run(0, Target::Direct, 50.0, 1000.0), run(0, Target::Nginx, 40.0, 900.0)]);
        assert_eq!((summary.moongate, summary.added_ratio, summary.throughput_ratio), (None, None, None));
        let mut faster = vec![run(0, Target::Direct, 50.0, 1.0), run(0, Target::Nginx, 40.0, 1.0)];
        faster.push(run(0, Target::Moongate, 60.0, 1.0));
        assert_eq!(Summary::of(&faster).added_ratio, None);
    }
}
