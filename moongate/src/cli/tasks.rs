//! `moongate tasks`: what passes through the running gateway, what waits, and what to do about it.

mod timeline;
mod watch;

use clap::{Args, Subcommand};
use moongate_a2a::tasks::courier;
use moongate_core::{Code, Problem};
use moongate_identity::{Secret, Vault};
use serde_json::{Value, json};

use super::agents::encoded;
use super::client::Client;
use super::output::{data, talk};
use super::{Context, Ending, Failure};
use crate::wire_up;

pub(crate) use watch::settle;

/// Arguments.
#[derive(Args)]
pub(crate) struct Tasks {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Tasks of every caller, newest first, and what waits for which agent.
    List(List),
    /// One task, with everything that is known.
    Show {
        /// Its id.
        id: String,
        /// What became of it instead, in order: who asked, which rule decided, who was asked, what it did.
        #[arg(long)]
        timeline: bool,
    },
    /// Print what happens to a task, a line an event, until it is over.
    Watch(watch::Watch),
    /// End a task, at its agent if one has it.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Hold a task that no agent has yet.
    Pause {
        /// Its id.
        id: String,
    },
    /// Let a held task go on.
    Resume {
        /// Its id.
        id: String,
    },
    /// Try again what was given up: tasks that no agent took, and push notifications that no receiver took.
    Redrive {
        /// Of this task only.
        id: Option<String>,
    },
    /// Print the secret with which the receiver at a URL verifies push notifications.
    WebhookSecret {
        /// The URL, as it stands in the push notification config.
        url: String,
    },
}

#[derive(Args, Default)]
struct List {
    /// Only this agent's.
    #[arg(long)]
    agent: Option<String>,
    /// Only in this state, as `working` or `input-required`.
    #[arg(long)]
    state: Option<String>,
    /// Only of this conversation.
    #[arg(long)]
    context: Option<String>,
    /// Only of this caller, as `local` or `operator`.
    #[arg(long)]
    owner: Option<String>,
    /// All of them, not the newest fifty only.
    #[arg(long)]
    all: bool,
}

/// Carries the command out.
pub(crate) fn tasks(context: &Context, arguments: &Tasks) -> Result<Ending, Failure> {
    let every = List::default();
    match &arguments.command {
        None => list(context, &Client::new(context)?, &every),
        Some(Command::List(which)) => list(context, &Client::new(context)?, which),
        Some(Command::Show { id, timeline: false }) => show(context, &Client::new(context)?, id),
        Some(Command::Show { id, timeline: true }) => timeline::timeline(context, &Client::new(context)?, id),
        Some(Command::Watch(watch)) => watch::watch(context, &Client::new(context)?, watch),
        Some(Command::Cancel { id }) => act(context, id, "cancel"),
        Some(Command::Pause { id }) => act(context, id, "pause"),
        Some(Command::Resume { id }) => act(context, id, "resume"),
        Some(Command::Redrive { id }) => redrive(context, id.as_deref()),
        Some(Command::WebhookSecret { url }) => webhook_secret(context, url),
    }
}

fn list(context: &Context, client: &Client, which: &List) -> Result<Ending, Failure> {
    let mut query = format!("limit={}", if which.all { 1000 } else { 50 });
    let given =
        [("agent", &which.agent), ("state", &which.state), ("context", &which.context), ("owner", &which.owner)];
    for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        query.push_str(&format!("&{name}={}", encoded(value)));
    }
    let (mut tasks, mut page) = (Vec::new(), String::new());
    let total = loop {
        let mut answer = client.api("GET", &format!("/api/v1/tasks?{query}{page}"), None)?;
        if let Some(Value::Array(more)) = answer.get_mut("tasks").map(Value::take) {
            tasks.extend(more);
        }
        match answer.get("next_page").and_then(Value::as_str).filter(|_| which.all) {
            Some(next) => page = format!("&page={}", encoded(next)),
            None => break answer.get("total").and_then(Value::as_u64).unwrap_or_default(),
        }
    };
    let queue = client.api("GET", "/api/v1/queue", None)?;
    let queue = queue.get("queue").cloned().unwrap_or_default();
    if context.json {
        data(&json!({"tasks": tasks, "total": total, "queue": queue}).to_string());
        return Ok(Ending::Yes);
    }
    tasks.iter().for_each(|task| data(&line(task)));
    match tasks.len() {
        0 => talk("no tasks"),
        shown if (shown as u64) < total => talk(&format!("{shown} of {total} tasks; --all shows the rest")),
        shown => talk(&count(shown as u64, "task")),
    }
    for lane in queue.as_array().into_iter().flatten() {
        let waiting = count(lane.get("count").and_then(Value::as_u64).unwrap_or_default(), "task");
        let waits = if waiting == "1 task" { "waits" } else { "wait" };
        talk(&format!("{waiting} {waits} for the agent {}", text(lane, "/agent")));
    }
    Ok(Ending::Yes)
}

/// A task in one line.
fn line(task: &Value) -> String {
    let (id, phase, agent) = (text(task, "/id"), text(task, "/phase"), text(task, "/agent"));
    let (owner, at) = (text(task, "/owner"), text(task, "/status_at"));
    format!("{id:<36}  {:<14}  {phase:<7}  {agent:<16}  {owner:<8}  {at}", state(task))
}

fn show(context: &Context, client: &Client, id: &str) -> Result<Ending, Failure> {
    let view = client.api("GET", &format!("/api/v1/tasks/{}", encoded(id)), None)?;
    if context.json {
        data(&view.to_string());
        return Ok(Ending::Yes);
    }
    data(&format!("task       {}", text(&view, "/id")));
    data(&format!("state      {} ({})", state(&view), text(&view, "/phase")));
    for (name, pointer) in [
        ("agent", "/agent"),
        ("instance", "/instance"),
        ("skill", "/skill"),
        ("context", "/context"),
        ("owner", "/owner"),
        ("created", "/created_at"),
        ("changed", "/status_at"),
        ("next try", "/next_run_at"),
        ("paused", "/paused_at"),
        ("start by", "/deadlines/start_by"),
        ("finish by", "/deadlines/finish_by"),
        ("close by", "/deadlines/close_by"),
        ("beat by", "/deadlines/beat_by"),
    ] {
        if let Some(value) = view.pointer(pointer).and_then(Value::as_str) {
            data(&format!("{name:<9}  {value}"));
        }
    }
    let number = |pointer: &str| view.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    data(&format!("tries      {}", number("/attempt")));
    data(&format!("events     {}", number("/events")));
    if let Some(message) = view.pointer("/task/status/message") {
        data(&format!("says       {}", words(message)));
    }
    for artifact in view.pointer("/task/artifacts").and_then(Value::as_array).into_iter().flatten() {
        data(&format!("artifact   {}", words(artifact)));
    }
    for config in view.get("push_configs").and_then(Value::as_array).into_iter().flatten() {
        data(&format!("push       {}", push(config)));
    }
    Ok(Ending::Yes)
}

/// Where the deliveries to one receiver stand.
fn push(config: &Value) -> String {
    let delivered = config.get("delivered").and_then(Value::as_u64).unwrap_or_default();
    let attempt = config.get("attempt").and_then(Value::as_u64).unwrap_or_default();
    let url = config.get("url").and_then(Value::as_str).unwrap_or("(sealed with another key)");
    let standing = match config.get("dead").and_then(Value::as_str) {
        Some(why) => format!("given up: {why}"),
        None if attempt > 0 => format!("{attempt} failed, next at {}", text(config, "/due_at")),
        None => "in order".to_owned(),
    };
    format!("{url}: delivered up to event {delivered}; {standing}")
}

fn act(context: &Context, id: &str, action: &str) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    let view = client.api("POST", &format!("/api/v1/tasks/{}:{action}", encoded(id)), None)?;
    let (state, phase) = (state(&view), text(&view, "/phase"));
    let (done, now) = match action {
        "cancel" => (state == "canceled", state.as_str()),
        "pause" => (phase == "paused", phase),
        _ => (phase != "paused", phase),
    };
    data(&if context.json { view.to_string() } else { format!("{id} is {now}") });
    Ok(if done { Ending::Yes } else { Ending::No })
}

fn redrive(context: &Context, id: Option<&str>) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    let path = id.map_or_else(|| ":redrive".to_owned(), |id| format!("/{}:redrive", encoded(id)));
    let answer = client.api("POST", &format!("/api/v1/tasks{path}"), None)?;
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (tasks, receivers) = (number("tasks"), number("deliveries"));
    if context.json {
        data(&answer.to_string());
    } else if tasks + receivers == 0 {
        talk("nothing was given up");
    } else {
        let (tasks, receivers) = (count(tasks, "task"), count(receivers, "push receiver"));
        data(&format!("tried again: {tasks}, {receivers}"));
    }
    Ok(if tasks + receivers == 0 { Ending::No } else { Ending::Yes })
}

/// Made from the key at this machine; no gateway is asked.
fn webhook_secret(context: &Context, url: &str) -> Result<Ending, Failure> {
    let parsed = url.parse::<http::Uri>().ok();
    let usable = parsed.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if usable.is_none() {
        return Err(Problem::new(Code::InvalidParams, format!("{url:?} is no http or https URL")).into());
    }
    let loaded = moongate_config::load(&context.config, &wire_up::rules::check)?;
    let path = Vault::path(&loaded.config.data_dir);
    if Secret::load(&path)?.is_none() {
        let detail = format!("{}: there is no key yet; the gateway makes it when it starts", path.display());
        return Err(Problem::new(Code::KeyUnusable, detail).into());
    }
    let secret = courier::webhook_secret(&Vault::load_or_make(&path)?, url);
    data(&if context.json { json!({"url": url, "secret": secret}).to_string() } else { secret });
    Ok(Ending::Yes)
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A text in a view, or a dash.
fn text<'a>(view: &'a Value, pointer: &str) -> &'a str {
    view.pointer(pointer).and_then(Value::as_str).unwrap_or("-")
}

/// A state in short, as users write it.
fn state(view: &Value) -> String {
    text(view, "/state").trim_start_matches("TASK_STATE_").to_lowercase().replace('_', "-")
}

/// What a message or an artifact says, in one line.
fn words(holder: &Value) -> String {
    let word = |part: &Value| part.get("text").and_then(Value::as_str).map_or_else(|| part.to_string(), str::to_owned);
    let parts = holder.get("parts").and_then(Value::as_array);
    let words: Vec<String> = parts.into_iter().flatten().map(word).collect();
    words.join(" ").replace(['\n', '\r', '\t'], " ")
}
