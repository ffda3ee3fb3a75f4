//! The rounds: in each, every target once, in an order that moves on from round to round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gateway::Gateway;
use super::nginx::Nginx;
use super::scenario::{Scenario, Target};
use super::summary::Summary;
use crate::fault::Fault;
use crate::load::{Length, Load, Outcome, Spec};
use crate::process::Usage;

/// Connections that each scenario is measured with.
const CONNECTIONS: [usize; 2] = [1, 64];

/// How long and how often.
pub(crate) struct Settings {
    /// Rounds of each scenario.
    pub(crate) rounds: usize,
    /// What goes before each run and does not count.
    pub(crate) warm_up: Duration,
    /// How long each run is.
    pub(crate) time: Duration,
    /// artifactUpdates of a stream.
    pub(crate) artifacts: u32,
}

/// Where the targets are.
pub(crate) struct Places<'a> {
    /// The agent.
    pub(crate) agent: SocketAddr,
    /// nginx, unless it is left out.
    pub(crate) nginx: Option<&'a mut Nginx>,
    /// Moongate, unless it is left out.
    pub(crate) gateway: Option<&'a mut Gateway>,
}

impl Places<'_> {
    fn address(&self, target: Target) -> Option<SocketAddr> {
        match target {
            Target::Direct => Some(self.agent),
            Target::Nginx => self.nginx.as_ref().map(|nginx| nginx.address),
            Target::Moongate => self.gateway.as_ref().map(|gateway| gateway.plain),
        }
    }

    /// What the proxy in the way has used; nothing if there is none.
    fn usage(&self, target: Target) -> Usage {
        match target {
            Target::Direct => Usage::default(),
            Target::Nginx => self.nginx.as_ref().map(|nginx| nginx.process.usage()).unwrap_or_default(),
            Target::Moongate => self.gateway.as_ref().map(|gateway| gateway.process.usage()).unwrap_or_default(),
        }
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.nginx.as_mut().map_or(Ok(()), |nginx| nginx.process.check())?;
        self.gateway.as_mut().map_or(Ok(()), |gateway| gateway.process.check())
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Counted from 0.
    pub(crate) round: usize,
    /// Who answered.
    pub(crate) target: Target,
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// Processor time of the proxy during the run, in microseconds.
    pub(crate) cpu_us: f64,
    /// The proxy's resident memory after the run, in KiB.
    pub(crate) rss_kib: u64,
}

/// All runs of a scenario with so many connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Connections.
    pub(crate) connections: usize,
    /// What is made of the runs.
    pub(crate) summary: Summary,
    /// Every run, in the order in which they took place.
    pub(crate) runs: Vec<Run>,
}

/// Measures a scenario.
pub(crate) async fn measure(
    scenario: &Scenario,
    settings: &Settings,
    places: &mut Places<'_>,
) -> Result<Vec<Point>, Fault> {
    let targets: Vec<Target> =
        scenario.targets.iter().copied().filter(|target| places.address(*target).is_some()).collect();
    let mut points = Vec::new();
    for connections in CONNECTIONS {
        let mut runs = Vec::new();
        for round in 0..settings.rounds {
            for at in 0..targets.len() {
                let Some(target) = targets.get((at + round) % targets.len()).copied() else { continue };
                let run = one(scenario, settings, places, target, connections, round).await?;
                eprintln!(
                    "{} · {connections} · round {} · {}: p50 {:.1} µs, {:.0}/s",
                    scenario.name,
                    round + 1,
                    target.as_str(),
                    run.outcome.latency_us.p50,
                    run.outcome.per_second
                );
                runs.push(run);
            }
        }
        points.push(Point { connections, summary: Summary::of(&runs), runs });
    }
    Ok(points)
}

async fn one(
    scenario: &Scenario,
    settings: &Settings,
    places: &mut Places<'_>,
    target: Target,
    connections: usize,
    round: usize,
) -> Result<Run, Fault> {
    let named = |what: &str| format!("{}, {connections} connections, {}: {what}", scenario.name, target.as_str());
    let address = places.address(target).ok_or_else(|| Fault::new("target", named("is not there")))?;
    let mut load = Load::prepare(Spec {
        address,
        call: Arc::new(scenario.call(target, settings.artifacts)),
        connections,
        spread: scenario.spread,
        warm_up: Length::Time(settings.warm_up),
        length: Length::Time(settings.time),
    })
    .await
    .map_err(|fault| Fault::new("load", named(&fault.to_string())))?;
    let before = places.usage(target);
    let outcome = load.measure().await?;
    let after = places.usage(target);
    places.check()?;
    if let Some(error) = &outcome.first_error {
        return Err(Fault::new("wrong-answer", named(&format!("{} errors; the first: {error}", outcome.errors))));
    }
    if outcome.requests == 0 {
        return Err(Fault::new("no-answer", named("no request was answered in time")));
    }
    Ok(Run { round, target, outcome, cpu_us: after.cpu_us - before.cpu_us, rss_kib: after.rss_kib })
}
