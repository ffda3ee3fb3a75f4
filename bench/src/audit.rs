//! What the audit log costs, and how many lines a second are durable.
//!
//! - `log`: the log alone, as its own example writes it, beside the rate at which the same disk flushes in the same run.
//! - `sensitive`: requests whose line has to be on the disk before they go to the agent; how many lines the whole gateway
//!   writes in a second so.
//! - `processor`: the same number of requests a second, with the log and without, in turn: what the log adds to the gateway's
//!   processor time.
//! - `throughput`: as many requests as will go, with the log and without, in turn.

pub(crate) mod summary;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::Ending;
use crate::fault::Fault;
use crate::load::call::{Call, Send};
use crate::load::{Length, Load, Outcome, Spec};
use crate::machine::Machine;
use crate::run::gateway::{Entry, Gateway};
use crate::run::{attended, folder, report, start_agent};
use summary::{Audit, Paced, Sensitive, Written, missed};

/// Connections of the runs with and without the log.
const CONNECTIONS: usize = 64;
/// Connections of the sensitive requests.
const CALLERS: [usize; 4] = [1, 16, 64, 256];

/// `moongate-bench audit`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// The log alone: `cargo build --release -p moongate-audit --example speed`.
    #[arg(long, default_value = "target/release/examples/speed", value_name = "PATH")]
    speed: PathBuf,
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests a second where the processor's time is measured.
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// Where logs go; on the disk that is measured.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
    /// End with 1 if a goal is missed.
    #[arg(long)]
    gate: bool,
}

impl Options {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.1, 600.0))
    }
}

/// Measures; ends with no if `--gate` was given and missed.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    attended(1, measure(&options))
}

async fn measure(options: &Options) -> Result<Ending, Fault> {
    let (work, results) = (folder(&options.work.join("audit"))?, folder(&options.results)?);
    let machine = Machine::look("left out");
    let written = written(&options.speed, &work)?;
    let (_agent, agent) = start_agent(&[])?;
    let mut with = start(options, &work.join("with"), agent, true)?;
    let mut without = start(options, &work.join("without"), agent, false)?;
    let mut sensitive = Vec::new();
    for connections in CALLERS {
        for _ in 0..options.rounds.max(1) {
            sensitive.push(sensitively(options, &work, agent, connections).await?);
        }
    }
    let (mut paced, mut saturated) = (Vec::new(), Vec::new());
    for round in 0..options.rounds.max(1) {
        // The first of a pair is another one each time.
        let ((on, fast), (off, bare)) = if round % 2 == 0 {
            let first = both(options, &mut with).await?;
            (first, both(options, &mut without).await?)
        } else {
            let first = both(options, &mut without).await?;
            (both(options, &mut with).await?, first)
        };
        eprintln!(
            "round {}: {:.3} cores and {fast:.0}/s with, {:.3} and {bare:.0}/s without",
            round + 1,
            on.cores,
            off.cores
        );
        paced.push((on, off));
        saturated.push((fast, bare));
    }
    let audit = Audit { machine, written, sensitive, rate: options.rate, paced, saturated };
    report::write_json(&results, "audit", &audit)?;
    println!("{}", report::write_summary(&results)?);
    let missed = missed(&audit);
    missed.iter().for_each(|goal| eprintln!("missed: {goal}"));
    Ok(if options.gate && !missed.is_empty() { Ending::No } else { Ending::Yes })
}

/// What the log does alone.
fn written(speed: &Path, work: &Path) -> Result<Written, Fault> {
    let failed = |why: String| Fault::new("speed", format!("{}: {why}", speed.display()));
    if !speed.is_file() {
        return Err(failed("it is not there".to_owned())
            .hint("build it with `cargo build --release -p moongate-audit --example speed`"));
    }
    let output = Command::new(speed).arg(work).arg("--json").output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// A gateway with a new log, or with none.
fn start(options: &Options, folder: &Path, agent: SocketAddr, on: bool) -> Result<Gateway, Fault> {
    let _ = std::fs::remove_dir_all(folder);
    let entries = [Entry::new("fixture", agent, "message"), Entry::new("fixture-lock", agent, "lock")];
    let more = format!("[audit]\non = {on}\n\n[[policy]]\nname = \"bench\"\nallow = 'skill.id == \"lock.set\"'\n");
    Gateway::start(&options.moongate, folder, &entries, &more)
}

/// Requests for a lock, at a gateway of their own.
async fn sensitively(
    options: &Options,
    work: &Path,
    agent: SocketAddr,
    connections: usize,
) -> Result<Sensitive, Fault> {
    let gateway = start(options, &work.join("sensitive"), agent, true)?;
    let before = length(&work.join("sensitive"));
    let call = Call::json_rpc("/agents/fixture-lock", Send::V1, "audit", Some("lock.set"));
    let outcome = load(gateway.plain, call, connections, Length::Time(options.time())).await?;
    // Every answered request has its first line on the disk; the second one is on its way, and not counted.
    let sensitive = Sensitive { connections, answered: outcome.per_second, p99_us: outcome.latency_us.p99 };
    let grown = length(&work.join("sensitive")).saturating_sub(before);
    if grown < outcome.requests * LINE {
        let why =
            format!("{} sensitive requests were answered, and the log has grown by {grown} bytes", outcome.requests);
        return Err(Fault::new("audit", why));
    }
    eprintln!("sensitive · {connections}: {:.0}/s, p99 {:.0} µs", sensitive.answered, sensitive.p99_us);
    Ok(sensitive)
}

/// No line of a sensitive request is as short as this.
const LINE: u64 = 200;

/// How many bytes of lines a gateway has written.
fn length(folder: &Path) -> u64 {
    let domains = std::fs::read_dir(folder.join("audit")).into_iter().flatten().flatten();
    let months = domains.flat_map(|domain| std::fs::read_dir(domain.path()).into_iter().flatten().flatten());
    months.filter_map(|month| std::fs::metadata(month.path().join("entries")).ok()).map(|found| found.len()).sum()
}

/// At a fixed rate, and as fast as it will go.
async fn both(options: &Options, gateway: &mut Gateway) -> Result<(Paced, f64), Fault> {
    let paced = at_pace(options, gateway).await?;
    let outcome = load(gateway.plain, unary(), CONNECTIONS, Length::Time(options.time())).await?;
    Ok((paced, outcome.per_second))
}

/// As many requests a second as are asked for, and what they cost.
async fn at_pace(options: &Options, gateway: &mut Gateway) -> Result<Paced, Fault> {
    let spec = spec(gateway.plain, unary(), CONNECTIONS, Length::Paced(options.time(), options.rate));
    let mut load = Load::prepare(spec).await?;
    let before = gateway.process.usage().cpu_us;
    let outcome = right(load.measure().await?)?;
    let used = gateway.process.usage().cpu_us - before;
    gateway.process.check()?;
    Ok(Paced { per_second: outcome.per_second, cores: used / 1e6 / outcome.seconds, p99_us: outcome.latency_us.p99 })
}

fn unary() -> Call {
    Call::json_rpc("/agents/fixture", Send::V1, "audit", None)
}

fn spec(address: SocketAddr, call: Call, connections: usize, length: Length) -> Spec {
    let warm_up = Length::Requests(connections as u64 * 4);
    Spec { address, call: Arc::new(call), connections, spread: Duration::ZERO, warm_up, length }
}

async fn load(address: SocketAddr, call: Call, connections: usize, length: Length) -> Result<Outcome, Fault> {
    right(Load::prepare(spec(address, call, connections, length)).await?.measure().await?)
}

fn right(outcome: Outcome) -> Result<Outcome, Fault> {
    match outcome.first_error {
        Some(error) => Err(Fault::new("wrong-answer", error)),
        None => Ok(outcome),
    }
}
