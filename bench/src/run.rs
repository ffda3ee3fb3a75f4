//! The comparison: direct, through nginx, and through Moongate, in turns.
//!
//! Everything runs on this machine at once, so single figures say little: each round takes the targets one after the
//! other, in another order than the round before, and what is reported are medians of the rounds' own ratios. This file
//! decides what is started and in which order it is measured; [`scenario`] what is sent, [`summary`] what is made of the
//! figures, [`gate`] what they must be, [`report`] how they are written down.

mod gate;
pub(crate) mod gateway;
pub(crate) mod nginx;
pub(crate) mod plain;
pub(crate) mod report;
mod rounds;
mod scenario;
pub(crate) mod summary;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;

use crate::fault::Fault;
use crate::machine::Machine;
use crate::process::Process;
use crate::{Ending, runtime};
use gateway::{Entry, Gateway};
use nginx::Nginx;
use report::Report;
use rounds::Settings;
use scenario::{SCENARIOS, Scenario};

/// How long the agent may take to begin.
const READY: Duration = Duration::from_secs(30);
/// How long the proxies rest before their idle memory is read.
const REST: Duration = Duration::from_secs(1);

/// `moongate-bench run`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// Leave Moongate out.
    #[arg(long)]
    without_moongate: bool,
    /// The nginx binary.
    #[arg(long, default_value = "nginx", value_name = "PATH")]
    nginx: PathBuf,
    /// Leave nginx out.
    #[arg(long)]
    without_nginx: bool,
    /// `worker_processes` of nginx: a number, or one for each core.
    #[arg(long, default_value = "auto")]
    nginx_workers: String,
    /// Only these scenarios; all unless given.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Rounds of each scenario.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds before each run that do not count.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// A quick look whether everything works: two short rounds. Its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// artifactUpdates of a stream.
    #[arg(long, default_value_t = 20)]
    artifacts: u32,
    /// Threads that send; one is enough for up to four cores.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Threads of the fixture agent.
    #[arg(long, default_value_t = 1)]
    agent_threads: usize,
    /// Where configurations and logs of the processes go.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
    /// End with 1 if a figure misses its goal.
    #[arg(long)]
    gate: bool,
}

/// Runs the comparison; ends with no if `--gate` was given and missed.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    let scenarios = scenarios(&options.scenarios)?;
    let settings = settings(&options)?;
    attended(options.threads, compare(&options, &scenarios, &settings))
}

/// Runs `work` on so many threads, until it is done or a signal ends it; what it had started is stopped.
pub(crate) fn attended(threads: usize, work: impl Future<Output = Result<Ending, Fault>>) -> Result<Ending, Fault> {
    runtime(threads)?.block_on(async {
        tokio::select! {
            ending = work => ending,
            fault = interrupted() => Err(fault),
        }
    })
}

async fn interrupted() -> Fault {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return Fault::new("signal", "signals cannot be listened for");
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Fault::new("interrupted", "stopped by a signal; nothing was written")
}

fn scenarios(names: &[String]) -> Result<Vec<&'static Scenario>, Fault> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let known = || SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
    let find = |name: &String| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| {
            Fault::new("usage", format!("there is no scenario {name}")).hint(format!("known: {}", known()))
        })
    };
    names.iter().map(find).collect()
}

fn settings(options: &Options) -> Result<Settings, Fault> {
    let seconds = |value: f64| {
        Duration::try_from_secs_f64(value).map_err(|error| Fault::new("usage", format!("{value} seconds: {error}")))
    };
    Ok(match options.quick {
        true => Settings {
            rounds: 2,
            warm_up: Duration::from_millis(200),
            time: Duration::from_millis(500),
            artifacts: options.artifacts,
        },
        false => Settings {
            rounds: options.rounds.max(1),
            warm_up: seconds(options.warm_up)?,
            time: seconds(options.seconds)?,
            artifacts: options.artifacts,
        },
    })
}

/// The fixture agent as a process of its own; also says where it listens.
pub(crate) fn start_agent(arguments: &[String]) -> Result<(Process, std::net::SocketAddr), Fault> {
    use std::io::BufRead;
    let program = std::env::current_exe().map_err(|error| Fault::new("start", error))?;
    let mut agent =
        Process::start("the fixture agent", Command::new(program).arg("agent").args(arguments).stdout(Stdio::piped()))?;
    let stdout = agent.child().stdout.take().ok_or_else(|| Fault::new("start", "the fixture agent has no output"))?;
    let mut line = String::new();
    std::io::BufReader::new(stdout).read_line(&mut line).map_err(|error| Fault::new("start", error))?;
    let port = line.trim().strip_prefix("READY ").and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| Fault::new("start", format!("the fixture agent said {line:?}")))?;
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    agent.wait_for(READY, || plain::is_ok(address, "/.well-known/agent-card.json"))?;
    Ok((agent, address))
}

/// `path` from the root of the file system; made if it is not there.
pub(crate) fn folder(path: &Path) -> Result<PathBuf, Fault> {
    let failed = |error| Fault::new("folder", format!("{}: {error}", path.display()));
    std::fs::create_dir_all(path).map_err(failed)?;
    path.canonicalize().map_err(failed)
}

async fn compare(options: &Options, scenarios: &[&Scenario], settings: &Settings) -> Result<Ending, Fault> {
    let (work, results) = (folder(&options.work)?, folder(&options.results)?);
    let version = match options.without_nginx {
        true => "left out".to_owned(),
        false => nginx::version(&options.nginx)?,
    };
    let machine = Machine::look(&version);
    let (_agent, agent) =
        start_agent(&[format!("--artifacts={}", settings.artifacts), format!("--threads={}", options.agent_threads)])?;
    let mut gateway = match options.without_moongate {
        true => None,
        false => Some(Gateway::start(&options.moongate, &work.join("moongate"), &entries(agent), "")?),
    };
    let card_from = gateway.as_ref().map_or(agent, |gateway| gateway.plain);
    let card = plain::get(card_from, "/.well-known/agent-card.json").map_err(|error| Fault::new("card", error))?.body;
    let mut nginx = match options.without_nginx {
        true => None,
        false => Some(Nginx::start(&options.nginx, &work.join("nginx"), agent, &options.nginx_workers, &card)?),
    };
    tokio::time::sleep(REST).await;
    let idle_rss_kib = gateway.as_ref().map(|gateway| gateway.process.usage().rss_kib);
    let nginx_idle_rss_kib = nginx.as_ref().map(|nginx| nginx.process.usage().rss_kib);
    let mut places = rounds::Places { agent, nginx: nginx.as_mut(), gateway: gateway.as_mut() };
    let mut reports = Vec::new();
    for scenario in scenarios {
        let points = rounds::measure(scenario, settings, &mut places).await?;
        reports.push(Report {
            scenario: scenario.name.to_owned(),
            what: scenario.what.to_owned(),
            machine: machine.clone(),
            rounds: settings.rounds,
            seconds: settings.time.as_secs_f64(),
            nginx_workers: options.nginx_workers.clone(),
            idle_rss_kib,
            nginx_idle_rss_kib,
            points,
        });
    }
    for report in &reports {
        report::write(&results, report)?;
    }
    println!("{}", report::write_summary(&results)?);
    let missed = gate::judge(&reports);
    for miss in &missed {
        eprintln!("missed: {miss}");
    }
    Ok(if options.gate && !missed.is_empty() { Ending::No } else { Ending::Yes })
}

fn entries(agent: std::net::SocketAddr) -> Vec<Entry> {
    [("fixture", "message"), ("fixture-task", "task"), ("fixture-paced", "paced"), ("legacy", "legacy")]
        .into_iter()
        .map(|(name, base)| Entry::new(name, agent, base))
        .collect()
}
