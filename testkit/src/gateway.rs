//! The real program as a child process: a folder of its own, a configuration file, its log, its signals.
//!
//! The configuration is TOML with placeholders: `{dir}` is the gateway's folder, `{main}`, `{plain}` and `{admin}` are
//! addresses with ports that stay the same over restarts and reloads. A text without `[listen]` gets three listeners on
//! free ports, one without `[log]` logs JSON; a `[log]` of its own must say `format = "json"`, for the ports are learnt
//! from the log. Nothing here sleeps: log lines are waited for, and `/readyz` is asked until it says yes, all with
//! deadlines.

use std::collections::HashMap;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long anything may take that should take a moment.
pub const DEADLINE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);
const LISTENERS: [&str; 3] = ["main", "plain", "admin"];
const TRIES: usize = 6;

/// A running gateway. Killed, and its folder removed, when it is dropped.
pub struct Gateway {
    binary: PathBuf,
    folder: Folder,
    ports: [u16; 3],
    process: Process,
}

/// One run of the program.
struct Process {
    child: Child,
    log: Log,
    addresses: HashMap<String, SocketAddr>,
}

/// What it wrote to standard error, line by line; lines that are no JSON are strings.
#[derive(Clone)]
struct Log {
    lines: Arc<Mutex<Vec<Value>>>,
    count: watch::Receiver<usize>,
}

impl Gateway {
    /// Starts `moongate run` with this configuration and waits until it is ready.
    ///
    /// # Panics
    /// If it does not become ready; the message holds its log.
    pub async fn start(binary: &str, toml: &str) -> Self {
        let gateway = Self::launch(binary, toml).await;
        gateway.ready().await;
        gateway
    }

    /// The same with these files beside the configuration.
    ///
    /// # Panics
    /// As [`Gateway::start`].
    pub async fn start_with(binary: &str, toml: &str, files: &[(String, String)]) -> Self {
        let gateway = Self::launch_with(binary, toml, files).await;
        gateway.ready().await;
        gateway
    }

    /// Starts it and waits for its listeners only.
    ///
    /// # Panics
    /// If it does not open its listeners; the message holds its log.
    pub async fn launch(binary: &str, toml: &str) -> Self {
        Self::launch_with(binary, toml, &[]).await
    }

    async fn launch_with(binary: &str, toml: &str, files: &[(String, String)]) -> Self {
        let folder = Folder::make();
        for (name, text) in files {
            crate::files::write_secret(&folder.0.join(name), text);
        }
        let mut last = String::new();
        for _ in 0..TRIES {
            let ports = free_ports();
            std::fs::write(folder.config(), fill(toml, &folder.0, ports)).unwrap();
            match Process::start(Path::new(binary), &folder).await {
                Ok(process) => return Self { binary: binary.into(), folder, ports, process },
                // Somebody else took a port between the choice and the start.
                Err(why) if why.contains("MG-0110") => last = why,
                Err(why) => panic!("the gateway does not start:\n{why}"),
            }
        }
        panic!("the gateway found no free ports:\n{last}");
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn ready(&self) {
        let ready = until(|| async { (status(self.address("admin")?, "/readyz").await == Some(200)).then_some(()) });
        if ready.await.is_none() {
            panic!("the gateway is not ready:\n{}", self.process.log.text());
        }
    }

    /// Where a listener is: `main`, `plain` or `admin`.
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.process.addresses.get(listener).copied()
    }

    /// The base URL of a listener.
    ///
    /// # Panics
    /// If the configuration does not open it.
    pub fn url(&self, listener: &str) -> String {
        let address = self.address(listener).unwrap_or_else(|| panic!("there is no listener {listener}"));
        format!("{}://{address}", if listener == "main" { "https" } else { "http" })
    }

    /// The base URL of the plain listener.
    pub fn plain(&self) -> String {
        self.url("plain")
    }

    /// The base URL of the admin listener.
    pub fn admin(&self) -> String {
        self.url("admin")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.config()
    }

    /// The folder that holds everything.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Replaces the configuration file, as an editor does: written beside it, then renamed. The gateway notices by itself.
    pub fn reload(&self, toml: &str) {
        let beside = self.folder.0.join("moongate.toml.new");
        std::fs::write(&beside, fill(toml, &self.folder.0, self.ports)).unwrap();
        std::fs::rename(beside, self.folder.config()).unwrap();
    }

    /// Sends SIGHUP.
    pub fn sighup(&self) {
        signal("-HUP", self.pid());
    }

    /// Sends SIGTERM and does not wait.
    pub fn ask_to_stop(&self) {
        signal("-TERM", self.pid());
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended().await
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) -> ExitStatus {
        signal("-KILL", self.pid());
        self.ended().await
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.process.child);
        let ended = until(|| async { locked(&child).try_wait().unwrap() }).await;
        ended.unwrap_or_else(|| panic!("the gateway does not end:\n{}", self.process.log.text()))
    }

    /// Starts it again in the same folder with the same file, after ending it by SIGTERM if it still runs.
    ///
    /// # Panics
    /// If it does not come back.
    pub async fn restart(&mut self) {
        if self.process.child.try_wait().unwrap().is_none() {
            self.terminate().await;
        }
        self.process = match Process::start(&self.binary, &self.folder).await {
            Ok(process) => process,
            Err(why) => panic!("the gateway does not start again:\n{why}"),
        };
        self.ready().await;
    }

    /// What it has logged in this run.
    pub fn log_lines(&self) -> Vec<Value> {
        locked(&self.process.log.lines).clone()
    }

    /// The log as text, for messages.
    pub fn log_text(&self) -> String {
        self.process.log.text()
    }

    /// The first logged line, from `from` on, that fits.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn logged(&self, from: usize, fits: impl Fn(&Value) -> bool) -> Value {
        let line = self.process.log.find(from, &fits).await;
        line.unwrap_or_else(|| panic!("no such line was logged:\n{}", self.process.log.text()))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
        if std::thread::panicking() {
            let text = self.process.log.text();
            let tail: Vec<&str> = text.lines().rev().take(30).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            write_out(&format!("the gateway's last words:\n{}\n", tail.join("\n")));
        }
    }
}

fn write_out(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}

impl Process {
    /// Starts the program and waits until it has opened every listener that its file names.
    async fn start(binary: &Path, folder: &Folder) -> Result<Self, String> {
        let mut command = Command::new(binary);
        command.arg("--config").arg(folder.config()).arg("run").current_dir(&folder.0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let log = Log::read(child.stderr.take().ok_or("no standard error")?);
        let wanted = std::fs::read_to_string(folder.config()).unwrap_or_default();
        let wanted = LISTENERS.iter().filter(|name| opens(&wanted, name)).count();
        let mut addresses = HashMap::new();
        while addresses.len() < wanted {
            let fresh = |line: &Value| {
                line["message"] == "listening"
                    && line["listener"].as_str().is_some_and(|name| !addresses.contains_key(name))
            };
            let Some(line) = log.find(0, &fresh).await else {
                let _ = child.kill();
                let _ = child.wait();
                return Err(log.text());
            };
            let name = line["listener"].as_str().unwrap_or_default().to_owned();
            let address =
                line["address"].as_str().unwrap_or_default().parse().map_err(|error| format!("{line}: {error}"))?;
            addresses.insert(name, address);
        }
        Ok(Self { child, log, addresses })
    }
}

/// Whether a filled configuration opens a listener; main and admin are on unless they are off.
fn opens(toml: &str, listener: &str) -> bool {
    let section =
        toml.split("[listen]").nth(1).map(|rest| rest.split("\n[").next().unwrap_or_default()).unwrap_or_default();
    let line = section.lines().map(str::trim).find(|line| line.split(['=', ' ']).next() == Some(listener));
    line.map_or(listener != "plain", |line| !line.contains("\"off\""))
}

impl Log {
    fn read(from: std::process::ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (told, count) = watch::channel(0);
        let held = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                let count = {
                    let mut lines: MutexGuard<'_, Vec<Value>> = locked(&held);
                    lines.push(value);
                    lines.len()
                };
                told.send_replace(count);
            }
        });
        Self { lines, count }
    }

    /// The first line from `from` on that fits; `None` when the deadline passes or the program ends without it.
    async fn find(&self, from: usize, fits: &impl Fn(&Value) -> bool) -> Option<Value> {
        let mut count = self.count.clone();
        let search = async {
            let mut next = from;
            loop {
                let seen = *count.borrow_and_update();
                let found = locked(&self.lines).iter().skip(next).find(|line| fits(line)).cloned();
                if found.is_some() {
                    return found;
                }
                next = seen.max(from);
                if count.changed().await.is_err() {
                    return locked(&self.lines).iter().skip(next).find(|line| fits(line)).cloned();
                }
            }
        };
        tokio::time::timeout(DEADLINE, search).await.ok().flatten()
    }

    fn text(&self) -> String {
        let line = |line: &Value| line.as_str().map_or_else(|| line.to_string(), str::to_owned);
        locked(&self.lines).iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks again and again, with a breath between, until there is an answer; `None` when the deadline passes.
pub async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> Option<T> {
    let mut breath = tokio::time::interval(LOOK);
    breath.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let asking = async {
        loop {
            breath.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.ok()
}

/// The status of a GET over a connection of its own; `None` if nobody answers.
pub async fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let request = http::Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new()).ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let _ = response.into_body().collect().await;
    driver.abort();
    Some(status)
}

/// Completes a configuration.
fn fill(toml: &str, folder: &Path, ports: [u16; 3]) -> String {
    let mut text = toml.replace("{dir}", &folder.display().to_string());
    for (name, port) in LISTENERS.iter().zip(ports) {
        text = text.replace(&format!("{{{name}}}"), &format!("127.0.0.1:{port}"));
    }
    if !text.contains("[listen]") {
        text.push_str("\n[listen]\nmain = \"127.0.0.1:0\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    }
    if !text.contains("[log]") {
        text.push_str("\n[log]\nformat = \"json\"\n");
    }
    text
}

/// Ports that are free now, below those that systems give to outgoing connections.
fn free_ports() -> [u16; 3] {
    let random = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id());
    let mut candidates = (0..4096_u64).map(|n| 20_000 + ((random.wrapping_add(n.wrapping_mul(7))) % 12_000) as u16);
    let mut free = || candidates.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap_or(0);
    [free(), free(), free()]
}

/// A new folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let random =
            std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), std::process::id());
        let path = std::env::temp_dir().join(format!("moongate-test-{}-{random:016x}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> PathBuf {
        self.0.join("moongate.toml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends a signal by the system's own `kill`.
fn signal(which: &str, pid: u32) {
    assert!(Command::new("kill").args([which, &pid.to_string()]).status().unwrap().success());
}
