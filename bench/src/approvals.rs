//! How long after a person's yes a request goes out.
//!
//! Callers with tokens of an issuer ask to have a door opened; each question is answered over the operators' API, and the agent
//! notes when it was given the message. What is measured is from the beginning of the answer's request, on a connection of its
//! own, to the message at the agent: the yes in the store, the task let go, the line of the audit log on the disk, the dispatch.
//!
//! - `alone`: one question at a time, and nothing else waits.
//! - `among`: the same while as many others wait as were asked for.
//! - `together`: as many yeses as there are, 32 at once, while the others wait.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use moongate_testkit::Operation;
use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::client::{Caller, raw, saying};
use moongate_testkit::issuer::Issuer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Ending;
use crate::fault::Fault;
use crate::histogram::Histogram;
use crate::load::Latency;
use crate::machine::Machine;
use crate::run::gateway::Gateway;
use crate::run::{attended, folder, report};
use crate::tasks::flush_rate;

/// The yeses that are on their way at once.
const AT_ONCE: usize = 32;
/// A caller may have three open questions, and ask ten times an hour.
const OPEN: usize = 3;
const AN_HOUR: usize = 10;
/// How long messages may take to go out, and how often it is looked whether they have. When they did is noted by the agent.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);
const ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";
const APPROVAL: &str = "https://w3id.org/moongate/extensions/approval/v1";

/// `moongate-bench approvals`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/moongate", value_name = "PATH")]
    moongate: PathBuf,
    /// Yeses of each part.
    #[arg(long, default_value_t = 500)]
    yeses: usize,
    /// Questions that wait beside them; fewer than 19,000.
    #[arg(long, default_value_t = 10_000)]
    waiting: usize,
    /// Where the store and logs go; on the disk that is measured.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    work: PathBuf,
    /// Where results go.
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    results: PathBuf,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Approvals {
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// Flushes of four KiB a second, before and after.
    pub(crate) flushes: (f64, f64),
    /// Yeses of each part.
    pub(crate) yeses: usize,
    /// Questions that wait beside them.
    pub(crate) waiting: usize,
    /// How many yeses were on their way at once.
    pub(crate) at_once: usize,
    /// From each yes to its message at the agent.
    pub(crate) alone: Latency,
    /// The same among those that wait.
    pub(crate) among: Latency,
    /// The same for yeses that come together.
    pub(crate) together: Latency,
}

/// Measures.
pub(crate) fn main(options: Options) -> Result<Ending, Fault> {
    // The agent answers while the gateway is waited for.
    attended(2, measure(&options))
}

async fn measure(options: &Options) -> Result<Ending, Fault> {
    let (work, results) = (folder(&options.work.join("approvals"))?, folder(&options.results)?);
    let machine = Machine::look("left out");
    let before = flush_rate(&work)?;
    let house = Arc::new(House::start(options, &work).await?);
    house.one_by_one("warm", 20).await?;
    let alone = house.one_by_one("alone", options.yeses).await?;
    house.ask_all("waiting", options.waiting).await?;
    let among = house.one_by_one("among", options.yeses).await?;
    let together = house.together("together", options.yeses).await?;
    let flushes = (before, flush_rate(&work)?);
    let (yeses, waiting) = (options.yeses, options.waiting);
    let approvals = Approvals { machine, flushes, yeses, waiting, at_once: AT_ONCE, alone, among, together };
    report::write_json(&results, "approvals", &approvals)?;
    println!("{}", report::write_summary(&results)?);
    Ok(Ending::Yes)
}

/// A gateway with a door behind it, callers who want it opened, and an operator.
struct House {
    gateway: Gateway,
    agent: Agent,
    issuer: Issuer,
    operator: String,
}

impl House {
    async fn start(options: &Options, work: &std::path::Path) -> Result<Self, Fault> {
        let home = work.join("home");
        let _ = std::fs::remove_dir_all(&home);
        let agent = Agent::start(Plan { skills: vec!["door.open".to_owned()], ..Plan::new("home") }).await;
        let issuer = Issuer::start().await;
        let more = format!(
            "[limits]\nwaiting = 30000\ntasks = 100000\n\n[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"door.open\"'\n\
             wait_seconds = 3600\n\n{}\n{}",
            agent.entry(""),
            issuer.entry(&["a2a:*:*"], "")
        );
        let gateway = Gateway::start_with_store(&options.moongate, &home, &[], &more, "sqlite:moongate.db")?;
        let secret = home.join("operator.secret");
        let secret = std::fs::read_to_string(&secret)
            .map_err(|error| Fault::new("approvals", format!("{}: {error}", secret.display())))?;
        Ok(Self { gateway, agent, issuer, operator: format!("Bearer {}", secret.trim()) })
    }

    /// Asks, and gives the question's id.
    async fn ask(&self, who: &str, words: &str) -> Result<String, Fault> {
        let token = self.issuer.token_with("a2a:*:*", |_, claims| claims["sub"] = json!(who));
        let caller = Caller::rpc(&self.gateway.plain.to_string()).with("authorization", &format!("Bearer {token}"));
        let mut params = saying(&format!("message {words}"));
        if let Some(message) = params.get_mut("message").and_then(Value::as_object_mut) {
            message.insert("metadata".to_owned(), json!({ROUTING: {"skillId": "door.open"}}));
        }
        let answer = caller.call(Operation::Send, &params).await;
        let answer = answer.map_err(|refusal| Fault::new("wrong-answer", format!("{words}: {refusal:?}")))?;
        let about = answer.pointer("/task/metadata").and_then(|metadata| metadata.get(APPROVAL)).cloned();
        let id = about.as_ref().and_then(|about| about.get("id")).and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| Fault::new("wrong-answer", format!("{words} does not wait for a person: {answer}")))
    }

    /// Asks so many times, each caller as often as one may; gives each question with its words.
    async fn ask_all(self: &Arc<Self>, part: &'static str, count: usize) -> Result<Vec<(String, String)>, Fault> {
        at_once(0..count, |n| {
            let house = self.clone();
            async move {
                let words = format!("{part} {n}.");
                Ok((house.ask(&format!("{part}-{}", n / OPEN), &words).await?, words))
            }
        })
        .await
    }

    /// Says yes; gives when it began to.
    async fn say_yes(&self, id: &str) -> Result<Instant, Fault> {
        let began = Instant::now();
        let path = format!("/api/v1/approvals/{id}:approve");
        let headers = [("authorization", &*self.operator)];
        let answer = raw::exchange(self.gateway.admin, raw::request("POST", &path, &headers, Vec::new())).await;
        match answer.status {
            200 => Ok(began),
            status => Err(Fault::new("wrong-answer", format!("a yes is answered with {status}: {}", answer.text()))),
        }
    }

    /// Questions that are asked and answered one after the other.
    async fn one_by_one(&self, part: &'static str, count: usize) -> Result<Latency, Fault> {
        let (mut yeses, before) = (Vec::new(), self.agent.count());
        for n in 0..count {
            let words = format!("{part} {n}.");
            let id = self.ask(&format!("{part}-{}", n / AN_HOUR), &words).await?;
            let began = self.say_yes(&id).await?;
            yeses.push((words, began));
            self.until_out(before + yeses.len()).await?;
        }
        self.until_sent(part, &yeses)
    }

    /// Questions that are answered together.
    async fn together(self: &Arc<Self>, part: &'static str, count: usize) -> Result<Latency, Fault> {
        let asked = self.ask_all(part, count).await?;
        let before = self.agent.count();
        let yeses = at_once(asked, |(id, words)| {
            let house = self.clone();
            async move { Ok((words, house.say_yes(&id).await?)) }
        })
        .await?;
        self.until_out(before + yeses.len()).await?;
        self.until_sent(part, &yeses)
    }

    /// Waits until the agent has been given so many messages.
    async fn until_out(&self, count: usize) -> Result<(), Fault> {
        let began = Instant::now();
        while self.agent.count() < count {
            if began.elapsed() > PATIENCE {
                return Err(Fault::new("wrong-answer", "what people said yes to does not go out"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// How long each took until the agent had it.
    fn until_sent(&self, part: &str, yeses: &[(String, Instant)]) -> Result<Latency, Fault> {
        let (mut came, mut histogram) = (HashMap::new(), Histogram::default());
        for received in self.agent.received() {
            let words =
                received.json().pointer("/params/message/parts/0/text").and_then(Value::as_str).map(str::to_owned);
            if let Some(again) = words.and_then(|words| came.insert(words, received.at)) {
                return Err(Fault::new(
                    "wrong-answer",
                    format!("a message went out twice, {:?} later", again.elapsed()),
                ));
            }
        }
        for (words, began) in yeses {
            let at = came.get(&format!("message {words}"));
            let at = at.ok_or_else(|| Fault::new("wrong-answer", format!("{words:?} did not go out")))?;
            histogram.record(at.saturating_duration_since(*began));
        }
        let latency = Latency::of(&histogram);
        eprintln!("{part}: {} yeses, p50 {:.0} µs, p99 {:.0} µs", histogram.count(), latency.p50, latency.p99);
        Ok(latency)
    }
}

/// Does all of it, so much at a time.
async fn at_once<I, T, F>(items: impl IntoIterator<Item = I>, mut work: impl FnMut(I) -> F) -> Result<Vec<T>, Fault>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    let (room, mut all) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for item in items {
        let seat = room.clone().acquire_owned().await.map_err(|error| Fault::new("approvals", error))?;
        let one = work(item);
        all.spawn(async move {
            let done = one.await;
            drop(seat);
            done
        });
    }
    all.join_all().await.into_iter().collect()
}

/// The part of the results' page.
pub(crate) fn section(page: &mut String, approvals: &Approvals) {
    let Approvals { flushes: (before, after), yeses, waiting, at_once, alone, among, together, .. } = approvals;
    let _ = write!(
        page,
        "\n## approvals\n\nFrom a person's yes, as it is sent over the operators' API, to the message at the agent: {yeses} yeses of each kind. \
         Everything is in SQLite,\n`synchronous=FULL`, on a disk that flushes {before:.0} and {after:.0} times a second before and after.\n\n\
         | | p50 µs | p90 µs | p99 µs | longest µs |\n|---|--:|--:|--:|--:|\n"
    );
    let rows = [
        ("one at a time, nothing else waits".to_owned(), alone),
        (format!("one at a time, {waiting} others wait"), among),
        (format!("{at_once} at once, {waiting} others wait"), together),
    ];
    for (what, Latency { p50, p90, p99, max, .. }) in rows {
        let _ = writeln!(page, "| {what} | {p50:.0} | {p90:.0} | {p99:.0} | {max:.0} |");
    }
}
