//! Following a task by its event log: what was told is known by its number, so nothing is missed or told twice, not even
//! when the gateway restarts in between.

use std::time::Duration;

use clap::Args;
use moongate_core::seam::Clock;
use moongate_core::{Code, Problem};
use moongate_telemetry::SystemClock;
use serde_json::Value;

use super::super::agents::encoded;
use super::super::client::Client;
use super::super::output::{data, talk};
use super::super::{Context, Ending, Failure};
use super::{state, text, words};

/// How long the gateway holds a question for events.
const HOLD: u64 = 20;
/// How long a gateway that does not answer is asked again, and how often.
const PATIENCE: Duration = Duration::from_secs(60);
const BREATH: Duration = Duration::from_millis(500);

/// Arguments.
#[derive(Args)]
pub(crate) struct Watch {
    /// Its id.
    id: String,
    /// Begin behind the event with this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
}

/// Prints events until the task is over; yes if it ended well.
pub(crate) fn watch(context: &Context, client: &Client, arguments: &Watch) -> Result<Ending, Failure> {
    let path = format!("/api/v1/tasks/{}/events", encoded(&arguments.id));
    let mut after = arguments.after;
    let mut last = None;
    let mut lost = None;
    loop {
        let answer = match client.api("GET", &format!("{path}?after={after}&wait={HOLD}"), None) {
            Err(problem) if wait_for_gateway(client, &problem, &mut lost) => continue,
            answer => answer?,
        };
        lost = None;
        for event in answer.get("events").and_then(Value::as_array).into_iter().flatten() {
            data(&if context.json { event.to_string() } else { line(event) });
            last = Some(state(event));
        }
        after = answer.get("next").and_then(Value::as_u64).unwrap_or(after);
        if answer.get("over").and_then(Value::as_bool).unwrap_or(true) {
            break;
        }
    }
    let ended = match last {
        Some(last) => last,
        None => state(&client.api("GET", &format!("/api/v1/tasks/{}", encoded(&arguments.id)), None)?),
    };
    Ok(if ended == "completed" { Ending::Yes } else { Ending::No })
}

/// Whether it is worth asking again: a gateway that restarts is back soon.
fn wait_for_gateway(client: &Client, problem: &Problem, lost: &mut Option<moongate_core::Mono>) -> bool {
    let now = SystemClock.mono();
    // Nobody has answered yet: a mistake in the configuration should not cost a minute.
    if !client.has_answered() || !matches!(problem.code, Code::GatewayUnreachable | Code::Draining) {
        return false;
    }
    let since = *lost.get_or_insert_with(|| {
        talk("the gateway does not answer; asking again for a minute");
        now
    });
    client.breathe(BREATH);
    now.since(since) < PATIENCE
}

/// An event in one line.
fn line(event: &Value) -> String {
    let seq = event.get("seq").and_then(Value::as_u64).unwrap_or_default();
    let (at, state) = (text(event, "/at"), state(event));
    let told = event.get("event");
    let said = |pointer: &str| told.and_then(|told| told.pointer(pointer)).map(words).filter(|words| !words.is_empty());
    let artifact = said("/artifactUpdate/artifact").map(|words| format!("artifact: {words}"));
    let status = said("/statusUpdate/status/message").or_else(|| said("/task/status/message"));
    let what = artifact.or(status).unwrap_or_default();
    format!("{at}  {seq:>4}  {state:<14}  {what}").trim_end().to_owned()
}

/// A task after waiting for it.
pub(crate) struct Settled {
    /// The task as the API shows it.
    pub(crate) view: Value,
    /// Whether it is over or waits for somebody.
    pub(crate) settled: bool,
}

impl Settled {
    /// Whether no agent has the task yet.
    pub(crate) fn queued(&self) -> bool {
        queued(&self.view)
    }
}

fn queued(view: &Value) -> bool {
    matches!(text(view, "/phase"), "ready" | "sending" | "dead") && view.get("instance").is_none_or(Value::is_null)
}

fn settles(state: &str) -> bool {
    ["completed", "failed", "canceled", "rejected", "input-required", "auth-required"].contains(&state)
}

/// Waits until a task is over or waits for somebody, at most for `patience`; tells when it waits for its agent.
pub(crate) fn settle(client: &Client, id: &str, patience: Duration) -> Result<Settled, Problem> {
    let path = format!("/api/v1/tasks/{}", encoded(id));
    let until = SystemClock.mono().plus(patience);
    let view = client.api("GET", &path, None)?;
    let mut state_now = state(&view);
    let mut after = view.get("events").and_then(Value::as_u64).unwrap_or_default();
    if !settles(&state_now) && queued(&view) && !patience.is_zero() {
        let (agent, seconds) = (text(&view, "/agent"), patience.as_secs());
        talk(&format!("task {id} waits for the agent {agent}; waiting for up to {seconds} s"));
    }
    while !settles(&state_now) {
        let left = until.since(SystemClock.mono());
        if left.is_zero() {
            break;
        }
        let hold = left.as_millis().div_ceil(1000).min(u128::from(HOLD));
        let answer = client.api("GET", &format!("{path}/events?after={after}&wait={hold}"), None)?;
        after = answer.get("next").and_then(Value::as_u64).unwrap_or(after);
        let last = answer.get("events").and_then(Value::as_array).and_then(|events| events.last());
        state_now = last.map_or(state_now, state);
    }
    let view = client.api("GET", &path, None)?;
    let settled = settles(&state(&view));
    Ok(Settled { view, settled })
}
