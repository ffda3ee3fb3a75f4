//! How many callers with client certificates can come in a second: full TLS 1.3 handshakes, in turn with nginx.
//!
//! Each caller opens a connection, shows its certificate, asks for something tiny and leaves; no session is resumed, and
//! the next caller has another certificate, as the gateway remembers for some seconds whose chain holds. Both
//! servers have the same certificates (ECDSA P-256) and the same key exchange, X25519, as an OpenSSL before 3.5 knows no
//! other that Moongate knows too; Moongate's own choice, X25519MLKEM768, is measured beside it. This file decides what is
//! measured in which order; [`places`] what is started, [`call`] what a caller does, [`summary`] what is made of it.

mod call;
mod places;
pub(crate) mod summary;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::Ending;
use crate::fault::Fault;
use crate::machine::Machine;
use crate::run::{attended, folder, nginx, report};
use call::Load;
use places::Places;
use summary::{Handshakes, Point, Run, Target};

/// How many callers there are at once.
const AT_ONCE: [usize; 2] = [1, 8];
/// What goes before each run and does not count.
const WARM_UP: Duration = Duration::from_millis(200);

/// `moongate-bench handshakes`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// The nginx binary.
    #[arg(long, default_value = "nginx", value_name = "PATH")]
    nginx: PathBuf,
    /// `worker_processes` of nginx: a number, or one for each core.
    #[arg(long, default_value = "auto")]
    nginx_workers: String,
    /// Rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Threads of the callers: a caller's half of a handshake costs about what the server's does.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where certificates, configurations and logs go.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
}

/// Measures.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    attended(options.threads, measure(&options))
}

async fn measure(options: &Options) -> Result<Ending, Fault> {
    let (work, results) = (folder(&options.work.join("handshakes"))?, folder(&options.results)?);
    let machine = Machine::look(&nginx::version(&options.nginx)?);
    let time = Duration::from_secs_f64(options.seconds.clamp(0.1, 600.0));
    let mut places = Places::start(options, &work)?;
    let mut points = Vec::new();
    for at_once in AT_ONCE {
        let mut runs = Vec::new();
        for round in 0..options.rounds.max(1) {
            for at in 0..Target::ALL.len() {
                let Some(target) = Target::ALL.get((at + round) % Target::ALL.len()).copied() else { continue };
                let run = one(&mut places, target, round, at_once, time).await?;
                eprintln!(
                    "{at_once} at once · round {} · {}: p50 {:.1} µs, {:.0}/s",
                    round + 1,
                    target.as_str(),
                    run.handshake_us.p50,
                    run.per_second
                );
                runs.push(run);
            }
        }
        points.push(Point { at_once, runs });
    }
    let (seconds, nginx_workers) = (time.as_secs_f64(), options.nginx_workers.clone());
    let rounds = options.rounds.max(1);
    let handshakes = Handshakes { machine, rounds, seconds, nginx_workers, points };
    report::write_json(&results, "handshakes", &handshakes)?;
    println!("{}", report::write_summary(&results)?);
    Ok(Ending::Yes)
}

async fn one(places: &mut Places, target: Target, round: usize, at_once: usize, time: Duration) -> Result<Run, Fault> {
    let named = |fault: Fault| Fault::new("handshake", format!("{}, {at_once} at once: {fault}", target.as_str()));
    let load = Load { caller: places.caller(target), address: places.address(target), path: places::PATH, at_once };
    load.send(WARM_UP).await.map_err(named)?;
    let before = places.cpu_us(target);
    let outcome = load.send(time).await.map_err(named)?;
    let cpu_us = places.cpu_us(target) - before;
    places.check()?;
    Ok(Run {
        round,
        target,
        handshakes: outcome.handshake.count(),
        per_second: outcome.per_second(),
        handshake_us: outcome.handshake_us(),
        answer_us: outcome.answer_us(),
        cpu_us,
    })
}
