//! What is made of the runs, and what they must be.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::run::summary::median;

/// The goal of the log alone: so many times the disk's flushes, or this many lines a second, whichever is lower.
const FLUSHES: f64 = 20.0;
const ENOUGH: f64 = 20_000.0;
/// The goal at a fixed rate: the log takes at most so much of one core more.
const CORE: f64 = 0.05;
/// The goal under full load: so much of the rate without the log.
const KEPT: f64 = 0.8;
/// A run at a fixed rate that had less of it says nothing.
const ON_TIME: f64 = 0.98;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Audit {
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// The log alone.
    pub(crate) written: Written,
    /// Requests that wait for their line, round by round.
    pub(crate) sensitive: Vec<Sensitive>,
    /// Requests a second that were asked for.
    pub(crate) rate: f64,
    /// At that rate with the log and without, round by round.
    pub(crate) paced: Vec<(Paced, Paced)>,
    /// Requests a second as fast as they will go, with the log and without, round by round.
    pub(crate) saturated: Vec<(f64, f64)>,
}

/// What the log does alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Flushes of one line a second, before and after.
    pub(crate) flushes: Vec<f64>,
    /// Lines that are waited for.
    pub(crate) awaited: Vec<Awaited>,
    /// Lines a second that nobody waits for, all of them flushed at the end.
    pub(crate) handed_over: f64,
}

/// Lines that so many wait for at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Awaited {
    /// How many wait.
    pub(crate) callers: usize,
    /// Lines a second.
    pub(crate) per_second: f64,
    /// How long the slowest hundredth took, in µs.
    pub(crate) p99_us: f64,
}

/// A run of requests that wait for their line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sensitive {
    /// Connections.
    pub(crate) connections: usize,
    /// Requests answered a second. Each has a line that was durable before, and one behind it.
    pub(crate) answered: f64,
    /// How long the slowest hundredth took, in µs.
    pub(crate) p99_us: f64,
}

/// A run at a fixed rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paced {
    /// Requests a second that were answered.
    pub(crate) per_second: f64,
    /// Of how many cores the gateway used all time.
    pub(crate) cores: f64,
    /// How long the slowest hundredth took, in µs.
    pub(crate) p99_us: f64,
}

impl Audit {
    fn flushes(&self) -> f64 {
        median(&self.written.flushes).unwrap_or_default()
    }

    /// The most lines a second that somebody waited for.
    fn best(&self) -> f64 {
        self.written.awaited.iter().map(|awaited| awaited.per_second).fold(0.0, f64::max)
    }

    /// Of one core what the log takes more, and by how much of the gateway's own time that is.
    fn costs(&self) -> (f64, f64) {
        let of = |pick: fn(&(Paced, Paced)) -> f64| {
            median(&self.paced.iter().map(pick).collect::<Vec<_>>()).unwrap_or(f64::INFINITY)
        };
        (of(|(with, without)| with.cores - without.cores), of(|(with, without)| with.cores / without.cores - 1.0))
    }

    fn kept(&self) -> f64 {
        median(&self.saturated.iter().map(|(with, without)| with / without).collect::<Vec<_>>()).unwrap_or_default()
    }
}

/// The goals that were not met.
pub(crate) fn missed(audit: &Audit) -> Vec<String> {
    let mut missed = Vec::new();
    let goal = (FLUSHES * audit.flushes()).min(ENOUGH);
    if audit.best() < goal {
        missed.push(format!("durable lines a second: {:.0} of {goal:.0}", audit.best()));
    }
    let (core, _) = audit.costs();
    if core > CORE {
        let percent = core * 100.0;
        missed.push(format!("at {:.0} requests a second the log takes {percent:.1} % of a core", audit.rate));
    }
    let late = audit
        .paced
        .iter()
        .flat_map(|(with, without)| [with, without])
        .filter(|run| run.per_second < audit.rate * ON_TIME);
    let late = late.count();
    if late > 0 {
        missed.push(format!("{late} runs had less than the {:.0} requests a second that were asked for", audit.rate));
    }
    if audit.kept() < KEPT {
        missed.push(format!("with the log the throughput is {:.2} of that without", audit.kept()));
    }
    missed
}

/// The part of the results' page.
pub(crate) fn section(page: &mut String, audit: &Audit) {
    let flushes = audit.flushes();
    let _ = write!(
        page,
        "\n## audit\n\nThe log alone, on a disk that flushes {flushes:.0} times a second (one line each) in the same run.\n\n\
         | callers that wait | durable lines/s | × flushes | p99 µs |\n|--:|--:|--:|--:|\n"
    );
    for Awaited { callers, per_second, p99_us } in &audit.written.awaited {
        let _ = writeln!(page, "| {callers} | {per_second:.0} | {:.1} | {p99_us:.0} |", per_second / flushes);
    }
    let handed_over = audit.written.handed_over;
    let _ = writeln!(page, "| none waits | {handed_over:.0} | {:.1} | |", handed_over / flushes);
    page.push_str(
        "\nRequests through the gateway whose line is on the disk before they go to the agent; each leaves a second line when \
         it has ended.\n\n| connections | requests/s | p99 µs |\n|--:|--:|--:|\n",
    );
    let mut counts: Vec<usize> = audit.sensitive.iter().map(|run| run.connections).collect();
    counts.dedup();
    for connections in counts {
        let of = |pick: fn(&Sensitive) -> f64| {
            let runs = audit.sensitive.iter().filter(|run| run.connections == connections);
            median(&runs.map(pick).collect::<Vec<_>>()).unwrap_or_default()
        };
        let _ = writeln!(page, "| {connections} | {:.0} | {:.0} |", of(|run| run.answered), of(|run| run.p99_us));
    }
    let (core, share) = audit.costs();
    let _ = write!(
        page,
        "\n- at {:.0} requests a second the log takes **{:.1} %** of a core, {:.1} % of the gateway's own time without it\n\
         - under full load (`a2a-unary`, 64 connections) the gateway keeps **{:.2}** of the rate without the log\n",
        audit.rate,
        core * 100.0,
        share * 100.0,
        audit.kept(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(lines: f64, with: f64, kept: f64) -> Audit {
        let run = |cores: f64| Paced { per_second: 5_000.0, cores, p99_us: 900.0 };
        Audit {
            machine: Machine::look("left out"),
            written: Written {
                flushes: vec![500.0, 600.0, 550.0],
                awaited: vec![Awaited { callers: 64, per_second: lines, p99_us: 9_000.0 }],
                handed_over: 90_000.0,
            },
            sensitive: vec![Sensitive { connections: 64, answered: 4_000.0, p99_us: 20_000.0 }],
            rate: 5_000.0,
            paced: vec![(run(with), run(0.30)); 3],
            saturated: vec![(9_000.0 * kept, 9_000.0)],
        }
    }

    #[test]
    fn goals_are_missed_one_by_one() {
        assert_eq!(missed(&audit(11_000.0, 0.33, 0.9)), Vec::<String>::new());
        assert_eq!(missed(&audit(10_900.0, 0.33, 0.9)), ["durable lines a second: 10900 of 11000"]);
        assert_eq!(missed(&audit(11_000.0, 0.36, 0.9)), ["at 5000 requests a second the log takes 6.0 % of a core"]);
        assert_eq!(missed(&audit(11_000.0, 0.33, 0.7)), ["with the log the throughput is 0.70 of that without"]);
        let mut late = audit(11_000.0, 0.33, 0.9);
        late.rate = 6_000.0;
        assert_eq!(missed(&late).len(), 1, "a rate that was not reached says nothing of its price");
    }
}
