//! The home: three agents as child processes, a folder of its own, and a gateway in this process.
//!
//! Nothing is left behind. The agents end with this process, however it ends: each watches its standard input, which
//! only this process holds open, and is ended when it is dropped. They have process groups of their own, so that Ctrl-C
//! in a terminal reaches the demonstration first. The folder goes when the home stops.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::{Code, Listener, Problem};
use moongate_telemetry::log::Level;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

use super::client::Client;
use super::story::{Step, Story};
use crate::cli::Failure;
use crate::wire_up::{self, Running};

const START: Duration = Duration::from_secs(20);
const LAST_REQUESTS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// Ports are chosen before the gateway opens them, so somebody else may be faster.
const TRIES: usize = 5;

/// The roles, and the skill that each is asked for when somebody wants to know how it is.
pub(super) const ROLES: [(&str, &str); 3] =
    [("lighting", "lights.status"), ("security", "security.status"), ("environment", "climate.status")];

/// Everything that runs.
pub(super) struct Home {
    pub(super) agents: Vec<Member>,
    pub(super) config: PathBuf,
    /// The file with the operator's secret.
    pub(super) secret: PathBuf,
    running: Arc<Running>,
    work: JoinHandle<()>,
    _folder: Folder,
}

/// One agent and its process.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) skill: &'static str,
    pub(super) child: Child,
    pub(super) pid: u32,
    port: u16,
    stdin: Option<ChildStdin>,
}

impl Home {
    /// Starts the agents, then the gateway, and waits until it is ready.
    pub(super) async fn start(story: &Story, level: Level) -> Result<Self, Failure> {
        let mut agents = Vec::new();
        for (name, skill) in ROLES {
            let member = Member::start(name, skill).await?;
            let words = format!("The {name} agent runs: process {}, port {}.", member.pid, member.port);
            story.step(Step::new("agent", words).facts(json!({"agent": name, "pid": member.pid, "port": member.port})));
            agents.push(member);
        }
        let folder = Folder::make()?;
        let config = folder.0.join("moongate.toml");
        let (running, loaded) = gateway(&config, &agents, level).await?;
        let secret = wire_up::secret_path(&loaded.config);
        let work = tokio::spawn(running.clone().run(loaded));
        let home = Self { agents, config, secret, running, work, _folder: folder };
        home.ready().await?;
        let (plain, admin, main) = (home.plain(), home.admin(), home.url(Listener::Main, "https"));
        let words = format!("The gateway runs in this process: {plain} (plain), {main} (TLS), {admin} (admin).");
        let facts =
            json!({"plain": plain, "main": main, "admin": admin, "config": home.config, "pid": std::process::id()});
        story.step(Step::new("gateway", words).facts(facts));
        Ok(home)
    }

    async fn ready(&self) -> Result<(), Failure> {
        let client = Client::new(self.plain(), self.admin())?;
        let wait = async {
            while !client.is_ready().await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(START, wait).await;
        in_time.map_err(|_| wire_up::failed("the demonstration's gateway did not become ready").into())
    }

    /// The plain listener's address.
    pub(super) fn plain(&self) -> String {
        self.url(Listener::Plain, "http")
    }

    /// The admin listener's address.
    pub(super) fn admin(&self) -> String {
        self.url(Listener::Admin, "http")
    }

    fn url(&self, listener: Listener, scheme: &str) -> String {
        self.running.address(listener).map(|address| format!("{scheme}://{address}")).unwrap_or_default()
    }

    /// Stops the gateway, then the agents.
    pub(super) async fn stop(mut self) {
        self.running.stop(LAST_REQUESTS).await;
        let _ = (&mut self.work).await;
        for member in &mut self.agents {
            drop(member.stdin.take());
        }
        for member in &mut self.agents {
            if tokio::time::timeout(LAST_REQUESTS, member.child.wait()).await.is_err() {
                let _ = member.child.kill().await;
            }
        }
    }
}

/// Writes the configuration and starts a gateway with it.
async fn gateway(
    config: &Path,
    agents: &[Member],
    level: Level,
) -> Result<(Arc<Running>, moongate_config::Loaded), Failure> {
    let mut tries = 1;
    loop {
        let text = configuration(free_ports()?, agents);
        std::fs::write(config, text).map_err(|error| unusable(config, &error))?;
        let loaded = moongate_config::load(config, &wire_up::rules::check)?;
        match wire_up::start(&loaded, level.clone()).await {
            Ok(running) => return Ok((running, loaded)),
            Err(problem) if problem.code == Code::ListenFailed && tries < TRIES => tries += 1,
            Err(problem) => return Err(problem.into()),
        }
    }
}

/// Three ports that are free at this moment; the file names them, so that `moongate send` finds the gateway by it.
fn free_ports() -> Result<[u16; 3], Problem> {
    let any = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    let held = [moongate_transport::bind(any)?, moongate_transport::bind(any)?, moongate_transport::bind(any)?];
    Ok(held.map(|bound| bound.local_addr().port()))
}

fn configuration([main, plain, admin]: [u16; 3], agents: &[Member]) -> String {
    let mut text = format!(
        "# The home of `moongate demo`; it is gone when the demonstration ends.\n\
         domain = \"demo.home.arpa\"\n\n\
         [listen]\nmain = \"127.0.0.1:{main}\"\nplain = \"127.0.0.1:{plain}\"\nadmin = \"127.0.0.1:{admin}\"\n\n\
         [store]\nurl = \"memory:\"\n\n[audit]\non = true\n\n[log]\nlevel = \"error\"\n\n[routing]\nprobe_seconds = 2\n"
    );
    for Member { name, port, .. } in agents {
        text.push_str(&format!(
            "\n[[agents]]\nname = \"{name}\"\ncard_url = \"http://127.0.0.1:{port}/.well-known/agent-card.json\"\n\
             queue = false\n"
        ));
    }
    text
}

impl Member {
    async fn start(name: &'static str, skill: &'static str) -> Result<Self, Problem> {
        let failed =
            |error: &dyn std::fmt::Display| wire_up::failed(format!("the {name} agent does not start: {error}"));
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.args(["demo-agent", name, "--until-stdin-closes"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let pid = child.id().ok_or_else(|| failed(&"it has no process id"))?;
        let mut lines = BufReader::new(stdout.ok_or_else(|| failed(&"it has no standard output"))?).lines();
        let line = match tokio::time::timeout(START, lines.next_line()).await {
            Ok(line) => line.map_err(|error| failed(&error))?.unwrap_or_default(),
            Err(_) => return Err(failed(&"it says nothing")),
        };
        let port = line.strip_prefix("READY ").and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| failed(&format!("it said {line:?}")))?;
        Ok(Self { name, skill, child, pid, port, stdin })
    }
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Problem> {
        let path = std::env::temp_dir().join(format!("moongate-demo-{}", uuid::Uuid::new_v4().simple()));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| unusable(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Problem {
    wire_up::failed(format!("{} cannot be used: {error}", path.display()))
}
