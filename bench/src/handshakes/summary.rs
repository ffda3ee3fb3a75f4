//! What is made of the runs: figures of each target, and ratios to nginx within a round.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::load::Latency;
use crate::machine::Machine;
use crate::run::summary::{Ratio, median};

/// Who is called, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    /// nginx, X25519.
    Nginx,
    /// Moongate, X25519, `revocation = "off"`.
    Moongate,
    /// nginx, X25519, with a revocation list.
    NginxList,
    /// Moongate, X25519, `revocation = "hard"` with the same list.
    MoongateList,
    /// Moongate, X25519, `revocation = "off"`, and always the same certificate.
    MoongateKnown,
    /// Moongate, X25519MLKEM768, `revocation = "off"`.
    MoongateHybrid,
}

impl Target {
    /// All, in the order of the first round.
    pub(super) const ALL: [Self; 6] =
        [Self::Nginx, Self::Moongate, Self::NginxList, Self::MoongateList, Self::MoongateKnown, Self::MoongateHybrid];

    /// What it is called in tables.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Moongate => "Moongate",
            Self::NginxList => "nginx, revocation list",
            Self::MoongateList => "Moongate, revocation list",
            Self::MoongateKnown => "Moongate, always the same caller",
            Self::MoongateHybrid => "Moongate, X25519MLKEM768",
        }
    }
}

/// What is compared: of Moongate, with what, and how that reads.
const PAIRS: [(Target, Target, &str); 4] = [
    (Target::Moongate, Target::Nginx, "× nginx"),
    (Target::MoongateList, Target::NginxList, "× nginx, both with a revocation list"),
    (Target::MoongateKnown, Target::Nginx, "× nginx, always the same caller"),
    (Target::MoongateHybrid, Target::Moongate, "Moongate with X25519MLKEM768 × Moongate with X25519"),
];

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Handshakes {
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// Rounds.
    pub(crate) rounds: usize,
    /// Seconds of each run.
    pub(crate) seconds: f64,
    /// `worker_processes` of nginx.
    pub(crate) nginx_workers: String,
    /// The runs, by number of callers.
    pub(crate) points: Vec<Point>,
}

/// All runs with so many callers at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Callers.
    pub(crate) at_once: usize,
    /// Every run, in the order in which they took place.
    pub(crate) runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Counted from 0.
    pub(crate) round: usize,
    /// Who was called.
    pub(crate) target: Target,
    /// Full handshakes whose request was answered.
    pub(crate) handshakes: u64,
    /// As many a second.
    pub(crate) per_second: f64,
    /// From connecting until the client was done with the handshake.
    pub(crate) handshake_us: Latency,
    /// From connecting until the answer was there, which says that the certificate was accepted.
    pub(crate) answer_us: Latency,
    /// Processor time of the server during the run, in microseconds.
    pub(crate) cpu_us: f64,
}

impl Run {
    fn cpu_us_each(&self) -> Option<f64> {
        (self.handshakes > 0 && self.cpu_us > 0.0).then(|| self.cpu_us / self.handshakes as f64)
    }
}

impl Point {
    fn of(&self, target: Target) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.target == target)
    }

    /// `value` of one target by that of another, in the same round.
    fn ratio(&self, one: Target, other: Target, value: impl Fn(&Run) -> Option<f64>) -> Option<Ratio> {
        let shares = self.of(one).filter_map(|run| {
            let beside = self.of(other).find(|beside| beside.round == run.round)?;
            Some(value(run)? / value(beside)?).filter(|share| share.is_finite())
        });
        Ratio::of(&shares.collect::<Vec<_>>())
    }

    fn middle(&self, target: Target, value: impl Fn(&Run) -> f64) -> f64 {
        median(&self.of(target).map(value).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Processor time for one handshake over all rounds: clock ticks are too coarse for one.
    fn cpu_us_each(&self, target: Target) -> f64 {
        let (cpu_us, count) =
            self.of(target).fold((0.0, 0), |(cpu_us, count), run| (cpu_us + run.cpu_us, count + run.handshakes));
        if count > 0 { cpu_us / count as f64 } else { 0.0 }
    }
}

/// Writes the section of the page.
pub(crate) fn section(page: &mut String, handshakes: &Handshakes) {
    let _ = write!(
        page,
        "\n## handshakes\n\nFull TLS 1.3 handshakes with a client certificate (all ECDSA P-256; X25519 and another caller each time \
         unless it says otherwise), one request each, no resumption.\n{} rounds of {} s for each.\n\n\
         | callers at once | | handshakes/s | p50 µs | p99 µs | until the answer p50 µs | p99 µs | server's CPU µs/handshake |\n\
         |--:|---|--:|--:|--:|--:|--:|--:|\n",
        handshakes.rounds, handshakes.seconds
    );
    for point in &handshakes.points {
        for target in Target::ALL.into_iter().filter(|target| point.of(*target).next().is_some()) {
            let _ = writeln!(
                page,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
                point.at_once,
                target.as_str(),
                point.middle(target, |run| run.per_second),
                point.middle(target, |run| run.handshake_us.p50),
                point.middle(target, |run| run.handshake_us.p99),
                point.middle(target, |run| run.answer_us.p50),
                point.middle(target, |run| run.answer_us.p99),
                point.cpu_us_each(target),
            );
        }
    }
    page.push('\n');
    for point in &handshakes.points {
        for (one, other, name) in PAIRS {
            let rate = point.ratio(one, other, |run| Some(run.per_second));
            let cpu = point.ratio(one, other, Run::cpu_us_each);
            for (what, ratio) in [("handshakes a second", rate), ("the server's CPU", cpu)] {
                let Some(Ratio { median, min, max }) = ratio else { continue };
                let _ = writeln!(
                    page,
                    "- {} at once, {what}, {name}: **{median:.2}** (rounds: {min:.2} to {max:.2})",
                    point.at_once
                );
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn run(round: usize, target: Target, per_second: f64, cpu_us: f64) -> Run {
        let latency = Latency { p50: 1e6 / per_second, p99: 2e6 / per_second, ..Latency::default() };
        let answer_us = Latency { p50: latency.p50 + 7.0, ..latency.clone() };
        Run { round, target, handshakes: per_second as u64, per_second, handshake_us: latency, answer_us, cpu_us }
    }

    /// Three rounds with one caller; the machine was busy in the second.
    pub(crate) fn sample(machine: Machine) -> Handshakes {
        use Target::{Moongate, MoongateHybrid, Nginx};
        let runs = vec![
            run(0, Nginx, 1000.0, 300_000.0),
            run(0, Moongate, 1100.0, 330_000.0),
            run(1, Moongate, 500.0, 200_000.0),
            run(1, Nginx, 500.0, 160_000.0),
            run(2, Nginx, 1000.0, 300_000.0),
            run(2, Moongate, 900.0, 270_000.0),
            run(2, MoongateHybrid, 450.0, 270_000.0),
        ];
        let points = vec![Point { at_once: 1, runs }];
        Handshakes { machine, rounds: 3, seconds: 1.0, nginx_workers: "auto".to_owned(), points }
    }

    #[test]
    fn ratios_are_taken_within_a_round_and_only_where_both_were_called() {
        let sample = sample(Machine::look("nginx/1"));
        let point = &sample.points[0];
        let rate = |one, other| point.ratio(one, other, |run| Some(run.per_second));
        assert_eq!(rate(Target::Moongate, Target::Nginx), Some(Ratio { median: 1.0, min: 0.9, max: 1.1 }));
        assert_eq!(rate(Target::MoongateHybrid, Target::Moongate), Some(Ratio { median: 0.5, min: 0.5, max: 0.5 }));
        assert_eq!(rate(Target::MoongateList, Target::NginxList), None);
        let cpu = point.ratio(Target::Moongate, Target::Nginx, Run::cpu_us_each);
        assert_eq!(cpu, Some(Ratio { median: 1.0, min: 1.0, max: 1.25 }));
        assert_eq!(point.cpu_us_each(Target::Moongate), 320.0);
    }

    #[test]
    fn the_section_shows_whom_was_called_and_nobody_else() {
        let mut page = String::new();
        section(&mut page, &sample(Machine::look("nginx/1")));
        assert!(page.contains("| 1 | nginx | 1000 | 1000 | 2000 | 1007 | 2000 | 304 |"), "{page}");
        assert!(page.contains("- 1 at once, handshakes a second, × nginx: **1.00** (rounds: 0.90 to 1.10)"), "{page}");
        assert!(page.contains("Moongate with X25519MLKEM768 × Moongate with X25519: **0.50**"), "{page}");
        assert!(!page.contains("revocation list"), "{page}");
    }

    #[test]
    fn targets_without_a_handshake_have_no_share() {
        let runs = vec![run(0, Target::Nginx, 0.0, 0.0), run(0, Target::Moongate, 10.0, 10.0)];
        let point = Point { at_once: 1, runs };
        assert_eq!(point.ratio(Target::Moongate, Target::Nginx, |run| Some(run.per_second)), None);
        assert_eq!(point.ratio(Target::Moongate, Target::Nginx, Run::cpu_us_each), None);
        assert_eq!(point.cpu_us_each(Target::Nginx), 0.0);
    }
}
