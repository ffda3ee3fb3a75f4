//! What the figures must be. Only `--gate` makes a miss an ending with no.

use super::report::Report;
use super::rounds::Point;

/// Median latency added by Moongate at one connection, in units of what nginx adds.
const ADDED_RATIO: f64 = 2.5;
/// Throughput at 64 connections, in units of nginx's.
const THROUGHPUT_RATIO: f64 = 0.7;
/// 99th percentile until the first event, more than nginx's, in µs.
const FIRST_EVENT_MORE_US: f64 = 1_000.0;
/// Resident memory before the first request.
const IDLE_RSS_KIB: u64 = 25 * 1024;

/// Says what was missed. A figure that a gate asks for and that was not measured is a miss, too.
pub(crate) fn judge(reports: &[Report]) -> Vec<String> {
    let mut missed = Vec::new();
    for report in reports {
        let point = |connections: usize| report.points.iter().find(|point| point.connections == connections);
        match report.scenario.as_str() {
            "a2a-unary" => {
                let added = point(1).and_then(|point| point.summary.added_ratio.as_ref());
                check(&mut missed, "a2a-unary: added median, × nginx", added.map(|ratio| ratio.median), |value| {
                    value <= ADDED_RATIO
                });
                let rate = point(64).and_then(|point| point.summary.throughput_ratio.as_ref());
                check(&mut missed, "a2a-unary: throughput, × nginx", rate.map(|ratio| ratio.median), |value| {
                    value >= THROUGHPUT_RATIO
                });
                let idle = report.idle_rss_kib.map(|kib| kib as f64);
                check(&mut missed, "idle memory, KiB", idle, |value| value <= IDLE_RSS_KIB as f64);
            }
            // Fast streams on 64 connections saturate the machine and measure a queue; there the paced ones count.
            "a2a-stream" => first_event(&mut missed, report, point(1)),
            "a2a-stream-paced" => first_event(&mut missed, report, point(64)),
            _ => {}
        }
    }
    missed
}

fn first_event(missed: &mut Vec<String>, report: &Report, point: Option<&Point>) {
    let more = point.and_then(|point| point.summary.first_event_p99_more_us.as_ref());
    let what = format!("{}: p99 until the first event, µs more than nginx", report.scenario);
    check(missed, &what, more.map(|ratio| ratio.median), |value| value <= FIRST_EVENT_MORE_US);
}

fn check(missed: &mut Vec<String>, what: &str, value: Option<f64>, good: impl Fn(f64) -> bool) {
    match value {
        Some(value) if good(value) => {}
        Some(value) => missed.push(format!("{what}: {value}")),
        None => missed.push(format!("{what}: not measured")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::run::scenario::Target::{Direct, Moongate, Nginx};
    use crate::run::summary::Summary;
    use crate::run::summary::tests::run;

    fn report(scenario: &str, moongate_us: f64, rate: f64, idle_rss_kib: u64) -> Report {
        let points = [1, 64].map(|connections| {
            let runs =
                vec![run(0, Direct, 50.0, 1000.0), run(0, Nginx, 60.0, 1000.0), run(0, Moongate, moongate_us, rate)];
            Point { connections, summary: Summary::of(&runs), runs }
        });
        Report {
            scenario: scenario.to_owned(),
            what: String::new(),
            machine: Machine::look(""),
            rounds: 1,
            seconds: 1.0,
            nginx_workers: "auto".to_owned(),
            idle_rss_kib: Some(idle_rss_kib),
            nginx_idle_rss_kib: None,
            points: points.into(),
        }
    }

    #[test]
    fn good_figures_pass() {
        assert_eq!(judge(&[report("a2a-unary", 75.0, 700.0, 25 * 1024), report("a2a-stream", 560.0, 1.0, 1)]), [""; 0]);
    }

    #[test]
    fn each_bad_figure_is_named() {
        let missed =
            judge(&[report("a2a-unary", 76.0, 699.0, 25 * 1024 + 1), report("a2a-stream-paced", 561.0, 1.0, 1)]);
        assert_eq!(missed.len(), 4, "{missed:?}");
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let mut report = report("a2a-unary", 75.0, 700.0, 1);
        report.idle_rss_kib = None;
        report.points.pop();
        assert_eq!(judge(&[report]).len(), 2);
    }
}
