//! `moongate doctor`: looks everything over that a gateway stands on, a line a check, and says what to do.
//!
//! A running gateway is asked; if none runs, the store is opened and looked over here. A store that cannot be opened keeps
//! every byte it has, and one that does not exist is not made.

use std::path::{Path, PathBuf};

use moongate_config::{Config, Loaded};
use moongate_core::seam::tasks::Census;
use moongate_core::{Code, Problem};
use moongate_identity::{Secret, Vault};
use serde_json::{Value, json};

use super::client::Client;
use super::output::data;
use super::{Context, Ending, Failure, run};
use crate::wire_up;

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, detail: detail.into(), hint: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, hint: &str) -> Self {
        Self { name, verdict: Verdict::Warn, detail: detail.into(), hint: Some(hint.to_owned()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, hint: &str) -> Self {
        Self { name, verdict: Verdict::Fail, detail: detail.into(), hint: Some(hint.to_owned()) }
    }

    fn problem(name: &'static str, problem: &Problem) -> Self {
        Self::fail(name, format!("{}: {}", problem.code, problem.detail), problem.code.hint())
    }

    fn print(&self) {
        let word = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let hint = self.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        data(&format!("{word:<4}  {:<13}  {}{hint}", self.name, self.detail));
    }

    fn view(&self) -> Value {
        let result = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        json!({"check": self.name, "result": result, "detail": self.detail, "hint": self.hint})
    }
}

/// Looks everything over; no, if anything is wrong.
pub(crate) fn doctor(context: &Context) -> Result<Ending, Failure> {
    let checks = match moongate_config::load(&context.config, &wire_up::rules::check) {
        Ok(loaded) => all(context, &loaded)?,
        Err(problems) => {
            let first = problems.mistakes().first();
            let detail = first.map_or_else(String::new, |mistake| format!("{}: {}", mistake.code, mistake.message));
            let more = problems.mistakes().len().saturating_sub(1);
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            vec![Check::fail("configuration", format!("{detail}{more}"), "`moongate check` shows every mistake")]
        }
    };
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    if context.json {
        data(&json!({"ok": !failed, "checks": checks.iter().map(Check::view).collect::<Vec<_>>()}).to_string());
    } else {
        checks.iter().for_each(Check::print);
    }
    Ok(if failed { Ending::No } else { Ending::Yes })
}

fn all(context: &Context, loaded: &Loaded) -> Result<Vec<Check>, Problem> {
    let config = &loaded.config;
    let mut checks = vec![Check::ok("configuration", format!("{} is right", context.config.display()))];
    let store = moongate_store::file(&config.store.url, &config.data_dir);
    let file = store.as_ref().ok().and_then(Option::as_deref);
    checks.extend(folders(config, file));
    checks.extend(secrets(config, file));
    let client = match Client::of(config) {
        // That the secret cannot be used is told above; whether a gateway runs can be seen without it.
        Err(problem) if problem.code == Code::KeyUnusable => Client::without_secret(config),
        client => client,
    };
    let client = match client {
        Ok(client) => client,
        Err(problem) => {
            checks.push(Check::problem("gateway", &problem));
            return Ok(checks);
        }
    };
    let (gateway, running) = gateway(&client);
    checks.push(gateway);
    match (running, &store) {
        (true, _) => {
            checks.extend(store_of_gateway(&client));
            checks.extend(channels(&client));
        }
        (false, Ok(Some(file))) if !file.exists() => {
            checks.push(Check::ok("store", format!("{} does not exist yet; the first start makes it", file.display())));
        }
        (false, Ok(Some(_))) => checks.extend(store_here(config)?),
        (false, Ok(None)) => checks.push(Check::warn(
            "store",
            "in memory: a restart forgets registered agents and all tasks",
            "set `url = \"sqlite:moongate.db\"` in [store]",
        )),
        (false, Err(problem)) => checks.push(Check::problem("store", problem)),
    }
    Ok(checks)
}

/// The folders that the gateway writes to: that of its data, that of its store, those of its certificates and its audit log.
fn folders(config: &Config, store: Option<&Path>) -> Vec<Check> {
    let store = store.and_then(Path::parent);
    let needed = [Some(config.data_dir.as_path()), store];
    let mut checks: Vec<Check> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    // Both are made when they are needed.
    let audit = wire_up::record::place(config).folder;
    let later = [config.tls.ca_dir.as_path(), audit.as_path()];
    let kept = if wire_up::record::is_on(config) { later.len() } else { 1 };
    for folder in needed.into_iter().flatten().chain(later.into_iter().take(kept)) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if seen.iter().any(|known| known.components().eq(folder.components())) {
            continue;
        }
        seen.push(folder.to_path_buf());
        if folder.exists() || !later.contains(&folder) {
            checks.push(writable(folder));
        }
    }
    checks
}

/// Whether a file can be made there; made and removed again.
fn writable(folder: &Path) -> Check {
    let shown = folder.display();
    if !folder.exists() {
        let hint = format!("make it with `mkdir -p {shown}`");
        return Check::fail("folder", format!("{shown} does not exist"), &hint);
    }
    let probe = folder.join(format!(".moongate-doctor-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    match made.and_then(|_| std::fs::remove_file(&probe)) {
        Ok(()) => Check::ok("folder", format!("{shown} can be written")),
        Err(error) => Check::fail(
            "folder",
            format!("{shown} cannot be written: {error}"),
            "give the folder to the account that runs the gateway",
        ),
    }
}

/// The secret files: whole, and nobody else's to read.
fn secrets(config: &Config, store: Option<&Path>) -> Vec<Check> {
    let key = Vault::path(&config.data_dir);
    let check = |path: &Path| {
        let shown = path.display();
        match Secret::load(path) {
            Ok(Some(_)) => Check::ok("secret", format!("{shown} is private")),
            Ok(None) if path == key && store.is_some_and(Path::exists) => Check::warn(
                "secret",
                format!("{shown} is missing, although there is a store"),
                "put it back from where the backup is; with a new key the store's push notification configs cannot be read",
            ),
            Ok(None) => Check::ok("secret", format!("{shown} does not exist yet; the first start makes it")),
            Err(problem) => Check::problem("secret", &problem),
        }
    };
    vec![check(&wire_up::secret_path(config)), check(&key)]
}

/// Whether a gateway runs, and what it says of itself.
fn gateway(client: &Client) -> (Check, bool) {
    let base = client.base().to_owned();
    match client.send("GET", "/readyz", None, false) {
        Ok(answer) if answer.status == 200 => (Check::ok("gateway", format!("{base} is ready")), true),
        Ok(answer) => {
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let reason = said.get("reason").and_then(Value::as_str).unwrap_or("it does not say why");
            // What a code names is broken, and not on its way.
            let code = reason.split_once(':').and_then(|(code, _)| Code::parse(code));
            if let Some(code) = code {
                return (Check::fail("gateway", format!("{base} is not ready: {reason}"), code.hint()), true);
            }
            let hint = "ask again in a moment; the gateway's log has more";
            (Check::warn("gateway", format!("{base} is not ready: {reason}"), hint), true)
        }
        Err(_) => {
            let detail = format!("none answers at {base}");
            (Check::warn("gateway", detail, "start it with `moongate run`"), false)
        }
    }
}

/// The store as the running gateway finds it.
fn store_of_gateway(client: &Client) -> Vec<Check> {
    let view = match client.api("GET", "/api/v1/store?inspect=true", None) {
        Ok(view) => view,
        Err(problem) => return vec![Check::problem("store", &problem)],
    };
    if let Some(trouble) = view.get("problem").and_then(Value::as_str) {
        return vec![Check::fail("store", trouble, "check the disk, and restore a backup if the file is damaged")];
    }
    let found = view.get("found").and_then(Value::as_array).into_iter().flatten();
    let found: Vec<String> = found.filter_map(Value::as_str).map(str::to_owned).collect();
    let number = |pointer: &str| view.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let tasks = view.get("tasks").and_then(Value::as_object).into_iter().flatten();
    let numbers = Numbers {
        tasks: tasks.filter_map(|(_, count)| count.as_u64()).sum(),
        events: number("/events"),
        dead: number("/tasks/dead"),
        receivers: number("/dead_push_configs"),
    };
    inspected(&found, &numbers)
}

/// Channels that do not work at present, or that all do.
fn channels(client: &Client) -> Vec<Check> {
    let Ok(view) = client.api("GET", "/api/v1/status", None) else { return Vec::new() };
    let all = view.get("notifications").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let hint = "see its address and credentials in [[notify]]; questions wait for `moongate approve` meanwhile";
    let failing = all.iter().filter(|one| !one.get("trouble").is_none_or(Value::is_null));
    let mut checks: Vec<Check> = failing
        .map(|one| Check::warn("notify", format!("{}: {}", text(one, "name"), text(one, "trouble")), hint))
        .collect();
    if checks.is_empty() && !all.is_empty() {
        checks.push(Check::ok("notify", format!("channels: {}, none in trouble", all.len())));
    }
    checks
}

/// The store as it lies there.
fn store_here(config: &Config) -> Result<Vec<Check>, Problem> {
    let runtime = run::runtime()?;
    let looked = moongate_store::open(&config.store.url, &config.data_dir).and_then(|store| {
        let found = runtime.block_on(store.inspect())?;
        Ok((found, runtime.block_on(store.tasks().census())?))
    });
    Ok(match looked {
        Ok((found, census)) => inspected(&found, &Numbers::of(&census)),
        Err(problem) => vec![Check::problem("store", &problem)],
    })
}

/// What a store holds.
struct Numbers {
    tasks: u64,
    events: u64,
    dead: u64,
    receivers: u64,
}

impl Numbers {
    fn of(census: &Census) -> Self {
        Self {
            tasks: census.phases.iter().map(|(_, count)| count).sum(),
            events: census.events,
            dead: census.count(moongate_core::Phase::Dead),
            receivers: census.dead_configs,
        }
    }
}

fn inspected(found: &[String], numbers: &Numbers) -> Vec<Check> {
    let Numbers { tasks, events, dead, receivers } = numbers;
    let damage = |line: &String| {
        Check::fail(
            "store",
            line.clone(),
            "stop the gateway, keep the file, and restore a backup (docs/guide/tasks.md)",
        )
    };
    let mut checks: Vec<Check> = found.iter().map(damage).collect();
    if checks.is_empty() {
        checks.push(Check::ok("store", format!("whole; tasks: {tasks}, events: {events}")));
    }
    checks.push(if dead + receivers == 0 {
        Check::ok("given up", "no task, no push receiver")
    } else {
        let detail = format!("tasks: {dead}, push receivers: {receivers}");
        Check::warn("given up", detail, "`moongate tasks redrive` tries them again")
    });
    checks
}
