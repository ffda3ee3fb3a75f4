//! What is made of the runs: the caller's waits in each mood, and ratios within a round.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::attack::Attack;
use crate::load::Latency;
use crate::machine::Machine;
use crate::run::summary::{Ratio, median};

/// What goes on beside the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mood {
    /// Nothing.
    Quiet,
    /// Requests that are answered.
    Harmless,
    /// The attack.
    Attack,
}

impl Mood {
    /// All, in the order of the first round.
    pub(super) const ALL: [Self; 3] = [Self::Quiet, Self::Harmless, Self::Attack];

    /// What it is called in tables.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "nothing",
            Self::Harmless => "harmless",
            Self::Attack => "attack",
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Abuse {
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// Rounds of each attack.
    pub(crate) rounds: usize,
    /// Seconds of each run.
    pub(crate) seconds: f64,
    /// Every run, in the order in which they took place.
    pub(crate) runs: Vec<Run>,
}

/// One run of the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The attack that it belongs to.
    pub(crate) attack: Attack,
    /// What went on beside.
    pub(crate) mood: Mood,
    /// Counted from 0.
    pub(crate) round: usize,
    /// The caller's requests; all of them were answered rightly.
    pub(crate) requests: u64,
    /// How long they took.
    pub(crate) latency_us: Latency,
    /// What was sent beside.
    pub(crate) beside: Beside,
}

/// What was sent beside the caller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// Connections that were made.
    pub(crate) connections: u64,
    /// Requests, frames, lines or bodies.
    pub(crate) steps: u64,
    /// As many a second.
    pub(crate) per_second: f64,
}

impl Abuse {
    fn of(&self, attack: Attack, mood: Mood) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.attack == attack && run.mood == mood)
    }

    fn middle(&self, attack: Attack, mood: Mood, value: impl Fn(&Run) -> f64) -> f64 {
        median(&self.of(attack, mood).map(value).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// `value` in one mood by that in another, in the same round.
    fn ratio(&self, attack: Attack, (one, other): (Mood, Mood), value: impl Fn(&Run) -> f64) -> Option<Ratio> {
        let shares = self.of(attack, one).filter_map(|run| {
            let beside = self.of(attack, other).find(|beside| beside.round == run.round)?;
            Some(value(run) / value(beside)).filter(|share| share.is_finite())
        });
        Ratio::of(&shares.collect::<Vec<_>>())
    }
}

/// Writes the section of the page.
pub(crate) fn section(page: &mut String, abuse: &Abuse) {
    let _ = write!(
        page,
        "\n## abuse\n\nA caller on one connection (JSON-RPC `SendMessage`, in clear text), beside nothing, beside a harmless load and beside \
         an attack with as many connections and as many requests, frames, lines or bodies a second.\nEvery request of the caller was \
         answered rightly. {} rounds of {} s for each.\n\n\
         | attack | beside | connections made | steps/s | caller's p50 µs | p99 µs |\n|---|---|--:|--:|--:|--:|\n",
        abuse.rounds, abuse.seconds
    );
    let there = Attack::ALL.into_iter().filter(|attack| abuse.runs.iter().any(|run| run.attack == *attack));
    let there: Vec<Attack> = there.collect();
    for attack in &there {
        for mood in Mood::ALL {
            let middle = |value: fn(&Run) -> f64| abuse.middle(*attack, mood, value);
            let _ = writeln!(
                page,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
                attack.as_str(),
                mood.as_str(),
                middle(|run| run.beside.connections as f64),
                middle(|run| run.beside.per_second),
                middle(|run| run.latency_us.p50),
                middle(|run| run.latency_us.p99),
            );
        }
    }
    page.push('\n');
    for attack in &there {
        let pairs = [((Mood::Attack, Mood::Harmless), "the harmless load"), ((Mood::Attack, Mood::Quiet), "quiet")];
        for (pair, name) in pairs {
            let mut said = Vec::new();
            for (what, value) in
                [("p50", (|run| run.latency_us.p50) as fn(&Run) -> f64), ("p99", |run| run.latency_us.p99)]
            {
                let Some(Ratio { median, min, max }) = abuse.ratio(*attack, pair, value) else { continue };
                said.push(format!("{what} **{median:.2}** (rounds: {min:.2} to {max:.2})"));
            }
            let _ =
                writeln!(page, "- {}, the caller's waits × those beside {name}: {}", attack.as_str(), said.join(", "));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn run(mood: Mood, round: usize, p99: f64) -> Run {
        let latency_us = Latency { p50: p99 / 2.0, p99, ..Latency::default() };
        let beside = Beside { connections: 8, steps: 2000, per_second: 2000.0 };
        Run { attack: Attack::RapidReset, mood, round, requests: 1000, latency_us, beside }
    }

    /// Two rounds of one attack.
    pub(crate) fn sample(machine: Machine) -> Abuse {
        let runs = vec![
            run(Mood::Quiet, 0, 100.0),
            run(Mood::Harmless, 0, 400.0),
            run(Mood::Attack, 0, 200.0),
            run(Mood::Harmless, 1, 300.0),
            run(Mood::Attack, 1, 300.0),
            run(Mood::Quiet, 1, 100.0),
        ];
        Abuse { machine, rounds: 2, seconds: 1.0, runs }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let sample = sample(Machine::look("left out"));
        let ratio = |pair| sample.ratio(Attack::RapidReset, pair, |run| run.latency_us.p99);
        assert_eq!(ratio((Mood::Attack, Mood::Harmless)), Some(Ratio { median: 0.75, min: 0.5, max: 1.0 }));
        assert_eq!(ratio((Mood::Attack, Mood::Quiet)), Some(Ratio { median: 2.5, min: 2.0, max: 3.0 }));
        assert_eq!(sample.ratio(Attack::Settings, (Mood::Attack, Mood::Quiet), |_| 1.0), None);
    }

    #[test]
    fn the_section_shows_the_attacks_that_took_place() {
        let mut page = String::new();
        section(&mut page, &sample(Machine::look("left out")));
        assert!(page.contains("| HTTP/2 rapid reset | harmless | 8 | 2000 | 175 | 350 |"), "{page}");
        assert!(page.contains("beside the harmless load: p50 **0.75** (rounds: 0.50 to 1.00), p99 **0.75**"), "{page}");
        assert!(!page.contains("slow"), "{page}");
    }
}
