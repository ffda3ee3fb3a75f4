//! What others feel while somebody attacks: a well-behaved caller's waits in quiet, beside a harmless load, and beside an
//! attack that is as heavy.
//!
//! *As heavy* is as many connections, and on them as many requests, frames or bytes a second as the harmless load has; so
//! what is compared is what an attacker gains by being hostile instead of merely busy. Everything is bounded in number and
//! time and stays on the loopback interface. This file decides what is measured in which order; [`attack`] what is sent,
//! [`frames`] how it is written, [`summary`] what is made of it.

mod attack;
mod frames;
pub(crate) mod summary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::fault::Fault;
use crate::load::call::{Call, Send};
use crate::load::{Length, Load, Spec};
use crate::machine::Machine;
use crate::run::gateway::{Entry, Gateway};
use crate::run::{attended, folder, report, start_agent};
use crate::{Ending, runtime};
use attack::{Attack, Weight};
use summary::{Abuse, Beside, Mood, Run};

/// Where the agent is at the gateway.
const PATH: &str = "/agents/fixture";
/// How long the load beside goes on before the caller is looked at.
const SETTLE: Duration = Duration::from_millis(200);

/// `moongate-bench abuse`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// Rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Where configurations and logs go.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
}

/// Measures.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    attended(1, measure(&options))
}

async fn measure(options: &Options) -> Result<Ending, Fault> {
    let (work, results) = (folder(&options.work.join("abuse"))?, folder(&options.results)?);
    let machine = Machine::look("left out");
    let time = Duration::from_secs_f64(options.seconds.clamp(0.2, 60.0));
    let (_agent, agent) = start_agent(&[])?;
    let entries = [Entry::new("fixture", agent, "message")];
    let mut gateway = Gateway::start(&options.moongate, &work, &entries, "")?;
    let mut runs = Vec::new();
    for attack in Attack::ALL {
        for round in 0..options.rounds.max(1) {
            for at in 0..Mood::ALL.len() {
                let Some(mood) = Mood::ALL.get((at + round) % Mood::ALL.len()).copied() else { continue };
                let run = one(gateway.plain, attack, mood, round, time).await?;
                gateway.process.check()?;
                let what = format!("{} · round {} · {}", attack.as_str(), round + 1, mood.as_str());
                eprintln!("{what}: p50 {:.0} µs, p99 {:.0} µs", run.latency_us.p50, run.latency_us.p99);
                runs.push(run);
            }
        }
    }
    let abuse = Abuse { machine, rounds: options.rounds.max(1), seconds: time.as_secs_f64(), runs };
    report::write_json(&results, "abuse", &abuse)?;
    println!("{}", report::write_summary(&results)?);
    Ok(Ending::Yes)
}

/// The caller's requests for so long, beside what the mood says.
async fn one(gateway: SocketAddr, attack: Attack, mood: Mood, round: usize, time: Duration) -> Result<Run, Fault> {
    let named = |fault: Fault| Fault::new("abuse", format!("{}, {}: {fault}", attack.as_str(), mood.as_str()));
    let call = Call::json_rpc(PATH, Send::V1, "caller", None);
    let warm_up = Length::Time(Duration::from_millis(100));
    let spec = spec(gateway, call, 1, warm_up, Length::Time(time));
    let mut caller = Load::prepare(spec).await.map_err(named)?;
    let weight = attack.weight();
    let length = SETTLE + time;
    // On a thread of its own: what is sent beside shall not hold up the caller's own half of the work.
    let beside = std::thread::spawn(move || match mood {
        Mood::Quiet => Ok(Beside::default()),
        Mood::Harmless => runtime(1)?.block_on(harmless(gateway, attack, weight, length)),
        Mood::Attack => Ok(runtime(1)?.block_on(attack::send(attack, gateway, length))),
    });
    tokio::time::sleep(SETTLE).await;
    let outcome = caller.measure().await.map_err(named)?;
    let joined =
        tokio::task::spawn_blocking(move || beside.join()).await.map_err(|error| Fault::new("abuse", error))?;
    let beside = joined.map_err(|_| Fault::new("abuse", "the load beside broke off"))?.map_err(named)?;
    match outcome.first_error {
        Some(error) => Err(named(Fault::new("wrong-answer", error))),
        None => Ok(Run { attack, mood, round, requests: outcome.requests, latency_us: outcome.latency_us, beside }),
    }
}

/// Whole requests over as many connections, as many a second, each answered and checked.
async fn harmless(gateway: SocketAddr, attack: Attack, weight: Weight, time: Duration) -> Result<Beside, Fault> {
    let call = match attack {
        Attack::RapidReset | Attack::Continuation | Attack::Settings => Call::grpc("fixture", "beside"),
        Attack::BigBodies => Call::large(PATH, attack::BODY),
        Attack::SlowHeaders | Attack::SlowBodies => Call::json_rpc(PATH, Send::V1, "beside", None),
    };
    let each = Length::Requests(u64::from(weight.connections) * u64::from(weight.each));
    let spec = spec(gateway, call, weight.connections as usize, Length::Requests(1), each);
    let mut load = Load::prepare(spec).await?;
    let mut beside = Beside { connections: u64::from(weight.connections), ..Beside::default() };
    let began = std::time::Instant::now();
    let mut beat = tokio::time::interval(weight.beat);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while began.elapsed() < time {
        beat.tick().await;
        let outcome = load.measure().await?;
        beside.steps += outcome.requests;
        if let Some(error) = outcome.first_error {
            return Err(Fault::new("wrong-answer", error));
        }
    }
    beside.per_second = beside.steps as f64 / began.elapsed().as_secs_f64();
    Ok(beside)
}

fn spec(address: SocketAddr, call: Call, connections: usize, warm_up: Length, length: Length) -> Spec {
    Spec { address, call: Arc::new(call), connections, spread: Duration::ZERO, warm_up, length }
}
