//! Instructions a request, counted by callgrind: a figure that a busy machine does not blur.
//!
//! Counting begins when the gateway is ready and warm. Then N requests are counted, and 2N; the difference leaves out what
//! belongs to no request, such as switching the counting itself. Done with one agent and with many, it shows whether a
//! request pays for agents that it does not concern; with a token and with rules, what it costs to know the caller and what it
//! may do. Callgrind runs one thread at a time and counts user space only: time
//! in the kernel is not in here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use moongate_testkit::issuer::SigningKey;

use crate::Ending;
use crate::fault::Fault;
use crate::load::call::{Call, Send};
use crate::load::{Length, Load, Spec};
use crate::machine::Machine;
use crate::run::gateway::{Entry, Gateway};
use crate::run::summary::median;
use crate::run::{attended, folder, report, start_agent};

/// Requests before counting.
const WARM_UP: u64 = 200;
/// How long the gateway may take to be ready: callgrind is slow.
const READY: Duration = Duration::from_secs(600);
/// Nothing that depends on time shall happen while counting.
const QUIET: &str = "[routing]\nprobe_seconds = 3600\nintent = false\n";
/// How much a request may cost more with many agents, in per cent.
const GROWTH: f64 = 5.0;
/// How much knowing the caller and asking the rules may add, in per cent.
const GUARDED: f64 = 10.0;
/// Rules of the guarded gateway, and how many of them concern the request.
const RULES: usize = 200;
const CANDIDATES: usize = 3;
/// How requests name their agent.
const WAYS: [&str; 2] = ["name", "skill"];

/// `moongate-bench instructions`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary; with line tables, callgrind's files name its functions.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// The valgrind binary.
    #[arg(long, default_value = "valgrind", value_name = "PATH")]
    valgrind: PathBuf,
    /// valgrind's program that switches the counting.
    #[arg(long, default_value = "callgrind_control", value_name = "PATH")]
    control: PathBuf,
    /// N: what is counted are N requests and 2N.
    #[arg(long, default_value_t = 1000)]
    requests: u64,
    /// How often; the median counts, because threads meet differently each time.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Many agents.
    #[arg(long, default_value_t = 1000)]
    agents: usize,
    /// Where configurations and callgrind's files go.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
    /// End with 1 if a request costs over 5 % more with many agents.
    #[arg(long)]
    gate: bool,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// N.
    pub(crate) requests: u64,
    /// By how requests name their agent.
    pub(crate) ways: Vec<Way>,
    /// With a token that was verified before, and with rules.
    #[serde(default)]
    pub(crate) guarded: Option<Guarded>,
}

/// What it costs to know the caller and to ask the rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Guarded {
    /// Rules.
    pub(crate) rules: usize,
    /// Rules that concern the request.
    pub(crate) candidates: usize,
    /// Against one agent without either.
    pub(crate) added_percent: f64,
    /// The count.
    pub(crate) count: Count,
}

/// One way to name the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Way {
    /// `name` (`/agents/{name}`) or `skill` (`/a2a`, the skill-routing extension).
    pub(crate) by: String,
    /// From few agents to many.
    pub(crate) growth_percent: f64,
    /// The counts, few agents first.
    pub(crate) counts: Vec<Count>,
}

/// Instructions a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Count {
    /// Registered agents.
    pub(crate) agents: usize,
    /// Instructions of one request; the median of the repeats.
    pub(crate) per_request: f64,
    /// Each of them.
    pub(crate) repeats: Vec<f64>,
}

/// Counts; ends with no if `--gate` was given and missed.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    attended(1, count(&options))
}

async fn count(options: &Options) -> Result<Ending, Fault> {
    if !options.moongate.is_file() {
        return Err(Fault::new("moongate-missing", format!("there is no {}", options.moongate.display()))
            .hint("build it with `cargo build --release -p moongate`"));
    }
    let version = Command::new(&options.valgrind).arg("--version").output();
    version.map_err(|error| {
        Fault::new("valgrind-missing", format!("{} cannot be started: {error}", options.valgrind.display()))
            .hint("`apt-get install valgrind`, or say --valgrind PATH")
    })?;
    let (work, results) = (folder(&options.work.join("callgrind"))?, folder(&options.results)?);
    let machine = Machine::look("left out");
    let (_agent, agent) = start_agent(&[])?;
    let few = count_with(options, &work, agent, &Bed::plain(1)).await?;
    let many = count_with(options, &work, agent, &Bed::plain(options.agents)).await?;
    let guarded = count_with(options, &work, agent, &Bed::guarded(&work)?).await?;
    let guarded = few.get(1).zip(guarded.into_iter().next()).map(|(open, count)| Guarded {
        rules: RULES,
        candidates: CANDIDATES,
        added_percent: growth(open, &count),
        count,
    });
    let ways: Vec<Way> = few
        .into_iter()
        .zip(many)
        .zip(WAYS)
        .map(|((few, many), by)| Way {
            by: by.to_owned(),
            growth_percent: growth(&few, &many),
            counts: vec![few, many],
        })
        .collect();
    let grows = ways.iter().any(|way| way.growth_percent > GROWTH);
    let dear = guarded.as_ref().is_some_and(|guarded| guarded.added_percent > GUARDED);
    report::write_json(&results, "instructions", &Counted { machine, requests: options.requests, ways, guarded })?;
    println!("{}", report::write_summary(&results)?);
    Ok(if options.gate && (grows || dear) { Ending::No } else { Ending::Yes })
}

/// What is counted on.
struct Bed {
    agents: usize,
    /// Further configuration.
    more: String,
    /// The credential that requests carry.
    authorization: Option<String>,
    /// Names the files.
    name: String,
}

impl Bed {
    fn plain(agents: usize) -> Self {
        Self { agents, more: String::new(), authorization: None, name: format!("{agents}-agents") }
    }

    /// One agent; a caller with a token; rules, of which few concern the request and none refuses it.
    fn guarded(work: &Path) -> Result<Self, Fault> {
        let key = SigningKey::new("bench");
        let jwks = work.join("jwks.json");
        std::fs::write(&jwks, format!("{{\"keys\":[{}]}}", key.jwk()))
            .map_err(|error| Fault::new("gateway", format!("{}: {error}", jwks.display())))?;
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let claims = format!(
            r#"{{"iss":"https://idp.bench","sub":"alice","aud":"bench","iat":{now},"exp":{},"client_id":"app","jti":"1","scope":"a2a:*:*"}}"#,
            now + 3600 * 12
        );
        let token = key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"bench"}"#, &claims);
        let mut more = format!(
            "[[issuers]]\nname = \"bench\"\nissuer = \"https://idp.bench\"\njwks = {:?}\naudience = [\"bench\"]\nscopes = [\"a2a:*:*\"]\n\n",
            jwks.display().to_string()
        );
        for index in 0..RULES {
            let skill = if index < CANDIDATES { "n-0.set".to_owned() } else { format!("other-{index}.set") };
            let rule = format!("skill.id == \"{skill}\" && principal.domain == \"guests-{index}.example\"");
            more.push_str(&format!("[[policy]]\nname = \"rule {index}\"\ndeny = '{rule}'\n\n"));
        }
        Ok(Self { agents: 1, more, authorization: Some(format!("Bearer {token}")), name: "guarded".to_owned() })
    }
}

/// Counts on a bed, in each way.
async fn count_with(options: &Options, work: &Path, agent: SocketAddr, bed: &Bed) -> Result<Vec<Count>, Fault> {
    let agents = bed.agents;
    let entries: Vec<Entry> =
        (0..agents).map(|index| Entry::new(&format!("agent-{index}"), agent, &format!("n/{index}"))).collect();
    let out = work.join(format!("{}.out", bed.name));
    let mut command = Command::new(&options.valgrind);
    command.args(["--tool=callgrind", "--instr-atstart=no"]);
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(&options.moongate);
    let more = format!("{QUIET}{}", bed.more);
    let gateway = Gateway::start_as(&mut command, work, &entries, &more, ("memory:", READY))?;
    let mut counter = Counter { control: &options.control, pid: gateway.process.id(), out, dumps: 0 };
    let mut counts = Vec::new();
    // Rules concern a skill: only requests that name one are judged by few of them.
    let ways = if bed.authorization.is_some() { &["skill"][..] } else { &WAYS[..] };
    for by in ways {
        let mut load = Load::prepare(Spec {
            address: gateway.plain,
            call: Arc::new(call(by, agents / 2).bearing(bed.authorization.as_deref())),
            connections: 1,
            spread: Duration::ZERO,
            warm_up: Length::Requests(WARM_UP),
            length: Length::Requests(options.requests),
        })
        .await?;
        if counts.is_empty() {
            counter.tell(&["-i", "on"])?;
        }
        counter.take()?;
        let mut repeats = Vec::new();
        for _ in 0..options.repeats.max(1) {
            send(&mut load, options.requests).await?;
            let once = counter.take()?;
            send(&mut load, options.requests * 2).await?;
            let twice = counter.take()?;
            repeats.push(per_request(once, twice, options.requests)?);
        }
        let count = Count { agents, per_request: median(&repeats).unwrap_or_default(), repeats };
        eprintln!("by {by}, {}: {:.0} instructions a request", bed.name, count.per_request);
        counts.push(count);
    }
    Ok(counts)
}

/// A message to the `index`-th agent.
fn call(by: &str, index: usize) -> Call {
    match by {
        "skill" => Call::json_rpc("/a2a", Send::V1, "by-skill", Some(&format!("n-{index}.set"))),
        _ => Call::json_rpc(&format!("/agents/agent-{index}"), Send::V1, "by-name", None),
    }
}

async fn send(load: &mut Load, requests: u64) -> Result<(), Fault> {
    match load.send(Length::Requests(requests)).await?.first_error {
        Some(error) => Err(Fault::new("wrong-answer", error)),
        None => Ok(()),
    }
}

/// The counter inside a process that callgrind runs.
struct Counter<'a> {
    control: &'a Path,
    pid: u32,
    out: PathBuf,
    dumps: u32,
}

impl Counter<'_> {
    fn tell(&self, words: &[&str]) -> Result<(), Fault> {
        let failed = |why: &dyn std::fmt::Display| {
            Fault::new("callgrind", format!("{} {}: {why}", self.control.display(), words.join(" ")))
                .hint("callgrind_control comes with valgrind; it needs the right to trace processes")
        };
        let output = Command::new(self.control).args(words).arg(self.pid.to_string()).output();
        let output = output.map_err(|error| failed(&error))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(failed(&String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// What was counted since the last time.
    fn take(&mut self) -> Result<u64, Fault> {
        self.dumps += 1;
        let file = PathBuf::from(format!("{}.{}", self.out.display(), self.dumps));
        // A file of a former run must not be taken for this one's.
        let _ = std::fs::remove_file(&file);
        self.tell(&["-d"])?;
        let failed = |why: &dyn std::fmt::Display| Fault::new("callgrind", format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(|error| failed(&error))?;
        total(&text).ok_or_else(|| failed(&"holds no sum"))
    }
}

/// The sum in a callgrind file.
fn total(text: &str) -> Option<u64> {
    let sum = |name: &str| {
        text.lines().rev().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse::<u64>().ok()
    };
    sum("totals:").or_else(|| sum("summary:"))
}

fn per_request(once: u64, twice: u64, requests: u64) -> Result<f64, Fault> {
    match twice.checked_sub(once) {
        Some(more) if more > 0 && requests > 0 => Ok(more as f64 / requests as f64),
        _ => Err(Fault::new("callgrind", format!("twice the requests took {twice} instructions, once {once}"))
            .hint("take more --requests")),
    }
}

/// In per cent.
fn growth(few: &Count, many: &Count) -> f64 {
    ((many.per_request / few.per_request - 1.0) * 1000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_callgrind_file_is_read() {
        assert_eq!(total("version: 1\nevents: Ir\nsummary: 70\n\nfn=(1)\n1 7\n\ntotals: 77\n"), Some(77));
        assert_eq!(total("events: Ir\nsummary: 70\n"), Some(70));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn what_belongs_to_no_request_falls_out_of_the_difference() {
        assert_eq!(per_request(1_000_500, 1_001_000, 5).unwrap(), 100.0);
        assert!(per_request(10, 10, 5).is_err());
        assert!(per_request(11, 10, 5).is_err());
    }

    #[test]
    fn growth_is_in_per_cent_of_few() {
        let count = |per_request| Count { agents: 1, per_request, repeats: Vec::new() };
        assert_eq!(growth(&count(200.0), &count(211.0)), 5.5);
        assert_eq!(growth(&count(200.0), &count(190.0)), -5.0);
    }
}
