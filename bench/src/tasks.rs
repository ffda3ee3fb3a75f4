//! Durable tasks: how fast they are accepted, against the rate at which the same disk flushes in the same run, and what a
//! store full of them costs.
//!
//! - `agent`: a message whose agent answers with a finished task at once; the caller hears of it when it is on the disk.
//! - `queue`: the draft's creation of a task, answered as soon as the task is on the disk; the agent gets it afterwards, in
//!   the background, on the same two cores.
//! - full against empty: `agent` at 64 connections, with the store as full as it was made and with a new one, in turn.
//! - `list`, `get`: a page of fifty, and one task, with the store as full as it was made; memory before and after.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Ending;
use crate::fault::Fault;
use crate::load::call::{Call, Send};
use crate::load::{Length, Load, Outcome, Spec};
use crate::machine::Machine;
use crate::run::gateway::{Entry, Gateway};
use crate::run::summary::median;
use crate::run::{attended, folder, plain, report, start_agent};

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// The goal at 64 connections: so many times the disk's flushes, or this many a second, whichever is lower.
const FLUSHES: f64 = 20.0;
const ENOUGH: f64 = 10_000.0;
/// The goal with a full store: so much of the rate with an empty one.
const FULL: f64 = 0.8;
/// How long the queue may take to become empty.
const DRAINED: Duration = Duration::from_secs(300);

/// `moongate-bench tasks`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Tasks that are stored before the full store is measured.
    #[arg(long, default_value_t = 1_000_000)]
    stored: u64,
    /// Where the stores and logs go.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
    /// End with 1 if a goal is missed.
    #[arg(long)]
    gate: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tasks {
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// Flushes of four KiB a second, before each round.
    pub(crate) flushes: Vec<f64>,
    /// How fast tasks were accepted.
    pub(crate) accepted: Vec<Accepted>,
    /// Stored tasks when the rest was measured.
    pub(crate) stored: u64,
    /// Accepted a second at 64 connections with a new store and with the full one, round by round.
    pub(crate) empty_and_full: Vec<(f64, f64)>,
    /// The page of fifty.
    pub(crate) list: Outcome,
    /// One task.
    pub(crate) get: Outcome,
    /// Resident KiB before the first task, and with all of them.
    pub(crate) rss_kib: (u64, u64),
}

impl Tasks {
    /// The rate with the full store by that with a new one; the median of the rounds.
    fn full_share(&self) -> f64 {
        let shares: Vec<f64> = self.empty_and_full.iter().map(|(empty, full)| full / empty).collect();
        median(&shares).unwrap_or_default()
    }
}

/// One way at one number of connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// `agent` or `queue`.
    pub(crate) way: String,
    /// Connections.
    pub(crate) connections: usize,
    /// Each round.
    pub(crate) rounds: Vec<Outcome>,
}

impl Accepted {
    fn per_second(&self) -> f64 {
        median(&self.rounds.iter().map(|round| round.per_second).collect::<Vec<_>>()).unwrap_or_default()
    }
}

/// Measures; ends with no if `--gate` was given and missed.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    attended(1, measure(&options))
}

async fn measure(options: &Options) -> Result<Ending, Fault> {
    let (work, results) = (folder(&options.work.join("tasks"))?, folder(&options.results)?);
    let machine = Machine::look("left out");
    let (_agent, agent) = start_agent(&[])?;
    let gateway = start(options, &work, agent)?;
    let before = gateway.process.usage().rss_kib;
    let mut flushes = Vec::new();
    let mut accepted: Vec<Accepted> = Vec::new();
    for _ in 0..options.rounds.max(1) {
        flushes.push(flush_rate(&work)?);
        for (way, connections) in ["agent", "queue"].into_iter().flat_map(|way| CONNECTIONS.map(|count| (way, count))) {
            let outcome = load(gateway.plain, call(way), connections, Length::Time(seconds(options))).await?;
            match accepted.iter_mut().find(|held| held.way == way && held.connections == connections) {
                Some(held) => held.rounds.push(outcome),
                None => accepted.push(Accepted { way: way.to_owned(), connections, rounds: vec![outcome] }),
            }
        }
        drained(gateway.plain).await?;
    }
    let filling = options.stored.saturating_sub(count(gateway.plain, "")?);
    if filling > 0 {
        load(gateway.plain, call("agent"), 64, Length::Requests(filling)).await?;
    }
    let mut empty_and_full = Vec::new();
    for round in 0..options.rounds.max(1) {
        let new = start(options, &work.join(format!("new-{round}")), agent)?;
        let empty = load(new.plain, call("agent"), 64, Length::Time(seconds(options))).await?.per_second;
        drop(new);
        let full = load(gateway.plain, call("agent"), 64, Length::Time(seconds(options))).await?.per_second;
        empty_and_full.push((empty, full));
    }
    let list = load(gateway.plain, Call::get("/a2a/tasks?pageSize=50", "totalSize"), 1, Length::Requests(200)).await?;
    let one = format!("/a2a/tasks/{}", any_task(gateway.plain)?);
    let get = load(gateway.plain, Call::get(&one, "TASK_STATE"), 1, Length::Requests(2_000)).await?;
    let after = gateway.process.usage().rss_kib;
    let stored = count(gateway.plain, "")?;
    let tasks = Tasks { machine, flushes, accepted, stored, empty_and_full, list, get, rss_kib: (before, after) };
    report::write_json(&results, "tasks", &tasks)?;
    println!("{}", report::write_summary(&results)?);
    let missed = missed(&tasks);
    missed.iter().for_each(|goal| eprintln!("missed: {goal}"));
    Ok(if options.gate && !missed.is_empty() { Ending::No } else { Ending::Yes })
}

/// Waits until nothing waits any more: what does is sent in the background, on the same cores.
async fn drained(address: SocketAddr) -> Result<(), Fault> {
    let began = Instant::now();
    while count(address, "&status=TASK_STATE_SUBMITTED")? > 0 {
        if began.elapsed() > DRAINED {
            return Err(Fault::new("tasks", "the queue does not become empty"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// A gateway with a new store on the disk.
fn start(options: &Options, folder: &Path, agent: SocketAddr) -> Result<Gateway, Fault> {
    for old in ["moongate.db", "moongate.db-wal", "moongate.db-shm"] {
        let _ = std::fs::remove_file(folder.join(old));
    }
    let entries = [Entry::new("fixture-task", agent, "task")];
    let more = "[limits]\ntasks = 100000000\nwaiting = 100000000\n";
    Gateway::start_with_store(&options.moongate, folder, &entries, more, "sqlite:moongate.db")
}

fn seconds(options: &Options) -> Duration {
    Duration::from_secs_f64(options.seconds.clamp(0.1, 600.0))
}

fn call(way: &str) -> Call {
    match way {
        "queue" => Call::create_task("/agents/fixture-task/tasks"),
        _ => Call::json_rpc("/agents/fixture-task", Send::V1, "tasks", None),
    }
}

async fn load(address: SocketAddr, call: Call, connections: usize, length: Length) -> Result<Outcome, Fault> {
    let warm_up = Length::Requests(connections as u64 * 2);
    let spec = Spec { address, call: Arc::new(call), connections, spread: Duration::ZERO, warm_up, length };
    let outcome = Load::prepare(spec).await?.measure().await?;
    match outcome.first_error {
        Some(error) => Err(Fault::new("wrong-answer", error)),
        None => Ok(outcome),
    }
}

/// How often a second this disk flushes four KiB, one after the other.
pub(crate) fn flush_rate(folder: &Path) -> Result<f64, Fault> {
    let path = folder.join("flush");
    let failed = |error| Fault::new("disk", format!("{}: {error}", path.display()));
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let (began, mut count) = (Instant::now(), 0.0);
    while began.elapsed() < Duration::from_secs(1) {
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).map_err(failed)?;
        count += 1.0;
    }
    let rate = count / began.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    Ok(rate)
}

/// A page of one, of the tasks that fit.
fn page(address: SocketAddr, filter: &str) -> Result<serde_json::Value, Fault> {
    let failed = |error: String| Fault::new("tasks", error);
    let answer =
        plain::get(address, &format!("/a2a/tasks?pageSize=1{filter}")).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&answer.body).map_err(|error| failed(error.to_string()))
}

/// How many tasks fit.
fn count(address: SocketAddr, filter: &str) -> Result<u64, Fault> {
    Ok(page(address, filter)?.pointer("/totalSize").and_then(serde_json::Value::as_u64).unwrap_or_default())
}

fn any_task(address: SocketAddr) -> Result<String, Fault> {
    let page = page(address, "")?;
    let id = page.pointer("/tasks/0/id").and_then(serde_json::Value::as_str).map(str::to_owned);
    id.ok_or_else(|| Fault::new("tasks", "the list is empty"))
}

/// The goals that were not met.
fn missed(tasks: &Tasks) -> Vec<String> {
    let flushes = median(&tasks.flushes).unwrap_or_default();
    let goal = (FLUSHES * flushes).min(ENOUGH);
    let best =
        tasks.accepted.iter().filter(|held| held.connections == 64).map(Accepted::per_second).fold(0.0, f64::max);
    let mut missed = Vec::new();
    if best < goal {
        missed.push(format!("tasks accepted a second at 64 connections: {best:.0} of {goal:.0}"));
    }
    let share = tasks.full_share();
    if share < FULL {
        missed.push(format!(
            "with {} tasks stored, tasks are accepted at {share:.2} of the rate with none",
            tasks.stored
        ));
    }
    missed
}

/// The part of the results' page.
pub(crate) fn section(page: &mut String, tasks: &Tasks) {
    let flushes = median(&tasks.flushes).unwrap_or_default();
    let _ = write!(
        page,
        "\n## tasks\n\nDurable tasks in SQLite, `synchronous=FULL`. `agent`: SendMessage, answered with a finished task; `queue`: the \
         draft's `POST …/tasks`,\nwhile the agent is given the tasks in the background. The disk flushes {flushes:.0} times a second.\n\n\
         | way | connections | tasks/s | least | most | × flushes | p50 µs | p99 µs |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for held in &tasks.accepted {
        let rates: Vec<f64> = held.rounds.iter().map(|round| round.per_second).collect();
        let of =
            |pick: fn(&Outcome) -> f64| median(&held.rounds.iter().map(pick).collect::<Vec<_>>()).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} | {:.0} |",
            held.way,
            held.connections,
            held.per_second(),
            rates.iter().copied().fold(f64::INFINITY, f64::min),
            rates.iter().copied().fold(0.0, f64::max),
            held.per_second() / flushes,
            of(|round| round.latency_us.p50),
            of(|round| round.latency_us.p99),
        );
    }
    let (empty, full): (Vec<f64>, Vec<f64>) = tasks.empty_and_full.iter().copied().unzip();
    let (empty, full) = (median(&empty).unwrap_or_default(), median(&full).unwrap_or_default());
    let (before, after) = tasks.rss_kib;
    let mebibytes = |kib: u64| kib as f64 / 1024.0;
    let _ = write!(
        page,
        "\n- accepted at 64 connections with {} tasks stored: {full:.0}/s, with none {empty:.0}/s: **{:.2}** of it\n\
         - a page of fifty tasks of them: p50 {:.0} µs, p99 {:.0} µs; one task: p50 {:.0} µs, p99 {:.0} µs\n\
         - memory before the first task {:.1} MiB, with all of them {:.1} MiB\n",
        tasks.stored,
        tasks.full_share(),
        tasks.list.latency_us.p50,
        tasks.list.latency_us.p99,
        tasks.get.latency_us.p50,
        tasks.get.latency_us.p99,
        mebibytes(before),
        mebibytes(after),
    );
}
