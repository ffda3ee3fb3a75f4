//! What these tests share: agents, clients, the program with its arguments, and waiting without sleeping.
//!
//! The testkit's agents, which play whole scenarios in every dialect, belong to the tests of the A2A operations.

mod agent;
mod browser;
mod client;

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use agent::*;
pub(crate) use browser::*;
pub(crate) use client::*;
pub(crate) use moongate_testkit::gateway::{DEADLINE, Gateway, until};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) const MOONGATE: &str = env!("CARGO_BIN_EXE_moongate");

/// The extension by which a client names a skill.
pub(crate) const ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// Within the deadline, or the test fails.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, happens).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// Waits until a condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let held = until(|| {
        let asked = holds();
        async { asked.await.then_some(()) }
    });
    assert!(held.await.is_some(), "{what}: not in time");
}

/// A folder for programs that are run once; gone when dropped.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn folder() -> Folder {
    let path = std::env::temp_dir().join(format!("moongate-test-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&path).unwrap();
    Folder(path)
}

/// The program with these arguments, to its end.
pub(crate) async fn moongate(folder: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(MOONGATE);
    command.args(arguments).current_dir(folder).stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.env("COLUMNS", "100").env_remove("RUST_BACKTRACE");
    soon("the end of the command", command.output()).await.unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Clients that send one request after another until told to stop; none may fail.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Result<usize, String>>,
    done: Arc<AtomicUsize>,
}

impl Load {
    /// Sends plain messages to a path.
    pub(crate) fn start(base: String, path: &'static str) -> Self {
        Self::with(base, path, || message("load"))
    }

    /// Sends messages of one's own making.
    pub(crate) fn with(base: String, path: &'static str, params: fn() -> Value) -> Self {
        let (stop, stopped) = watch::channel(false);
        let done = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            clients.spawn(client(base.clone(), path, params, stopped.clone(), done.clone()));
        }
        Self { stop, clients, done }
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn goes_on(&self, more: usize) {
        let goal = self.done.load(Ordering::SeqCst) + more;
        eventually("more requests are answered", || async {
            self.done.load(Ordering::SeqCst) >= goal || self.clients.is_empty()
        })
        .await;
    }

    /// Stops, and fails if any request failed.
    pub(crate) async fn stop(mut self) -> usize {
        self.stop.send_replace(true);
        let mut answered = 0;
        while let Some(client) = self.clients.join_next().await {
            answered += client.unwrap().unwrap_or_else(|why| panic!("a request failed: {why}"));
        }
        assert!(answered > 0, "no request was answered");
        answered
    }
}

async fn client(
    base: String,
    path: &'static str,
    params: fn() -> Value,
    stopped: watch::Receiver<bool>,
    done: Arc<AtomicUsize>,
) -> Result<usize, String> {
    let mut connection = Connection::open(&base).await?;
    let mut answered = 0;
    while !*stopped.borrow() {
        let answer = connection.send("POST", path, &[V1], Some(&rpc("SendMessage", &params()))).await?;
        if answer.status != 200 || answer.json().get("result").is_none() {
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        answered += 1;
        done.fetch_add(1, Ordering::SeqCst);
        if answer.header("connection") == "close" {
            connection = Connection::open(&base).await?;
        }
    }
    Ok(answered)
}

/// The gateway's status.
pub(crate) async fn status(gateway: &Gateway) -> Value {
    get(&gateway.admin(), "/api/v1/status").await.json()
}

/// Changes the configuration file, waits until the gateway has taken it over, and gives what it says of each section.
pub(crate) async fn reload(gateway: &Gateway, toml: &str) -> BTreeMap<String, String> {
    let before = status(gateway).await["configuration"]["reloads"].as_u64().unwrap();
    gateway.reload(toml);
    let status = until(|| async {
        let status = status(gateway).await;
        (status["configuration"]["reloads"].as_u64().unwrap() > before).then_some(status)
    });
    let status = status.await.unwrap_or_else(|| panic!("the change was not taken over:\n{}", gateway.log_text()));
    let changes = status["configuration"]["last_changes"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    changes.iter().map(|change| (text(&change["section"]), text(&change["effect"]))).collect()
}

/// The health of an entry, or `gone`.
pub(crate) async fn health(gateway: &Gateway, id: &str) -> String {
    let answer = get(&gateway.admin(), &format!("/api/v1/agents/{id}")).await;
    if answer.status == 404 { "gone".into() } else { answer.json()["health"].as_str().unwrap().to_owned() }
}
