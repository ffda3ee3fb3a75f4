//! A disk that is full, and one that fails: real ones to the program, not stand-ins in it.
//!
//! The full one is a file system of its own in a namespace of its own (`unshare`, `mount`); the failing one is the kernel's answer
//! to a flush, changed on the way (`strace`, which has to be allowed to look at the gateway).

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::*;

const HOME: &str = "domain = \"home.example\"\n[approvals]\nsensitive_by_default = false\n[listen]\nmain = \"off\"\n\
    plain = \"{plain}\"\nadmin = \"{admin}\"\n[store]\nurl = \"memory:\"\n[audit]\non = true\ndir = \"{dir}/disk\"\n";

async fn agent() -> Agent {
    let lock = json!({"id": "lock.open", "name": "Open", "description": "Opens the lock.", "tags": ["lock"]});
    Agent::start("home", &[json!("lights.set"), lock]).await
}

async fn say(gateway: &Gateway, skill: &str) -> Answer {
    send(&gateway.plain(), "/a2a", &routed("go", &json!({"skillId": skill}))).await
}

/// Opens the lock until that is refused for want of a line; how often it was opened.
async fn opened(gateway: &Gateway) -> usize {
    let mut opened = 0;
    let refused = until(|| {
        opened += 1;
        async { Some(say(gateway, "lock.open").await).filter(|answer| answer.code() == "MG-0851") }
    });
    assert!(refused.await.is_some(), "the disk takes everything");
    opened - 1
}

/// What is refused while nothing can be written, what is not, and what the gateway says of itself.
async fn fails_closed(gateway: &Gateway, agent: &Agent, why: &str) {
    let seen = agent.seen().len();
    let ready = get(&gateway.admin(), "/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().contains("MG-0851") && ready.text().contains(why), "{}", ready.text());
    assert_eq!(say(gateway, "lock.open").await.code(), "MG-0851");
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let credential = format!("Bearer {}", secret.trim());
    let operated =
        http("DELETE", &gateway.admin(), "/api/v1/agents/home", &[("authorization", &credential)], None).await;
    assert_eq!(operated.code(), "MG-0851");
    assert_eq!(agent.seen().len(), seen, "what was refused did not reach the agent");
    assert_eq!(say(gateway, "lights.set").await.status, 200, "what is not sensitive goes on");
    assert_eq!(get(&gateway.admin(), "/healthz").await.status, 200);
}

/// The log has one line for each that was opened, one for what was not sensitive, and fits what was signed.
async fn nothing_is_lost(gateway: &Gateway, run: impl AsyncFn(&[&str]) -> String, opened: usize) {
    gateway.ready().await;
    assert_eq!(say(gateway, "lock.open").await.status, 200);
    let asked = ["--json", "audit", "search", "--skill", "lock.open", "--result", "done", "--limit", "100000"];
    eventually("every line is there", || async {
        let lines = run(&asked).await;
        let done =
            lines.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["phase"] == "outcome").count();
        assert!(done <= opened + 1, "{done} lines for {opened} that were opened");
        done == opened + 1
    })
    .await;
    assert_eq!(run(&["--json", "audit", "search", "--skill", "lights.set"]).await.lines().count(), 1);
    let verified: Value = serde_json::from_str(&run(&["--json", "audit", "verify"]).await).unwrap();
    assert_eq!(verified["shards"][0]["ok"], true, "{verified}");
}

/// The gateway behind a script that gives it a disk of this size.
fn on_a_small_disk(folder: &std::path::Path, kibibytes: u32) -> String {
    let script = folder.join("small");
    let inner = format!("mkdir -p disk && mount -t tmpfs -o size={kibibytes}k none disk && exec \"{MOONGATE}\" \"$@\"");
    let text = format!("#!/bin/sh\nexec unshare -rm sh -c '{inner}' moongate \"$@\"\n");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

/// A command where the gateway sees its disk.
async fn inside(gateway: &Gateway, words: &[&str]) -> String {
    let mut command = tokio::process::Command::new("nsenter");
    command.args(["--preserve-credentials", "-U", "-m", "-t", &gateway.pid().to_string()]);
    command.arg(format!("--wd={}", gateway.folder().display()));
    let output = soon("the end of the command", command.args(words).output()).await.unwrap();
    assert!(output.status.success(), "{words:?}: {}{}", out(&output), err(&output));
    out(&output)
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_sensitive_says_so_and_goes_on_when_there_is_room() {
    let (folder, agent) = (folder(), agent().await);
    let gateway = Gateway::start(&on_a_small_disk(folder.path(), 96), &format!("{HOME}{}", agent.entry())).await;
    let opened = opened(&gateway).await;
    assert!(opened > 10, "only {opened} lines fit");
    fails_closed(&gateway, &agent, "No space left on device").await;
    inside(&gateway, &["mount", "-o", "remount,size=32m", "disk"]).await;
    let run = async |words: &[&str]| inside(&gateway, &[&[MOONGATE], words].concat()).await;
    nothing_is_lost(&gateway, run, opened).await;
}

/// Makes every flush of the gateway fail for as long as it is held.
struct Failing(tokio::process::Child);

impl Failing {
    async fn of(gateway: &Gateway) -> Self {
        let mut command = tokio::process::Command::new("strace");
        command.args(["-f", "-p", &gateway.pid().to_string(), "-e", "trace=fdatasync,fsync"]);
        command.args(["-e", "inject=fdatasync,fsync:error=EIO", "-o", "/dev/null"]);
        let mut strace = command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut told = BufReader::new(strace.stderr.take().unwrap()).lines();
        let line = soon("strace looks at the gateway", told.next_line()).await.unwrap().unwrap_or_default();
        assert!(line.contains("attached"), "strace: {line}");
        Self(strace)
    }

    async fn ends(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().unwrap().to_string()]).status();
        assert!(asked.unwrap().success());
        soon("strace lets go", self.0.wait()).await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_disk_refuses_what_is_sensitive_says_so_and_goes_on_when_it_works_again() {
    let agent = agent().await;
    let gateway = Gateway::start(MOONGATE, &format!("{HOME}{}", agent.entry())).await;
    assert_eq!(say(&gateway, "lock.open").await.status, 200);
    let failing = Failing::of(&gateway).await;
    assert_eq!(opened(&gateway).await, 0, "no flush, no line, no lock opened");
    fails_closed(&gateway, &agent, "Input/output error").await;
    failing.ends().await;
    let run = async |words: &[&str]| out(&moongate(gateway.folder(), words).await);
    nothing_is_lost(&gateway, run, 1).await;
}
