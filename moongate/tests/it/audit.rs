//! The audit log as operators, outsiders and thieves see it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::*;

const LISTEN: &str = "domain = \"home.example\"\n[approvals]\nsensitive_by_default = false\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";

/// A home with lights and a lock; a skill that is tagged as a lock is sensitive.
async fn home(more: &str) -> (Gateway, Agent) {
    let agent = Agent::start("home", &[json!("lights.set"), lock()]).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{more}{}", agent.entry())).await;
    (gateway, agent)
}

fn lock() -> Value {
    json!({"id": "lock.open", "name": "Open", "description": "Opens the lock.", "tags": ["lock"]})
}

async fn command(gateway: &Gateway, arguments: &[&str]) -> Output {
    moongate(gateway.folder(), &[&["--json", "audit"], arguments].concat()).await
}

/// What a search finds, once it finds so many lines: they are signed within a second.
pub(crate) async fn lines(gateway: &Gateway, asked: &[&str], count: usize) -> Vec<Value> {
    let found = until(|| async {
        let output = command(gateway, &[&["search"], asked].concat()).await;
        let lines: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.len() >= count).then_some(lines)
    });
    found.await.unwrap_or_else(|| panic!("fewer than {count} lines for {asked:?}"))
}

async fn say(gateway: &Gateway, skill: &str) -> Answer {
    send(&gateway.plain(), "/a2a", &routed("go", &json!({"skillId": skill}))).await
}

async fn operate(gateway: &Gateway, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let credential = format!("Bearer {}", secret.trim());
    http(method, &gateway.admin(), path, &[("authorization", &credential)], body).await
}

#[tokio::test]
async fn a_request_is_in_the_log_with_who_asked_whom_for_what_how_it_ended_and_when() {
    let deny = "[[policy]]\nname = \"no lights\"\ndeny = 'skill.id == \"lights.set\"'\n";
    let (gateway, _agent) = home(deny).await;
    assert_eq!(say(&gateway, "lights.set").await.code(), "MG-0403");
    let trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let request = rpc("GetTask", &json!({"id": "nothing"}));
    http("POST", &gateway.plain(), "/a2a", &[V1, trace], Some(&request)).await;
    let denied = &lines(&gateway, &["--operation", "send"], 1).await[0];
    assert_eq!((&denied["source"]["id"], &denied["source"]["ip"]), (&json!("local"), &json!("127.0.0.1")));
    assert_eq!(
        (&denied["skill"], &denied["result"], &denied["code"]),
        (&json!("lights.set"), &json!("failed"), &json!("MG-0403"))
    );
    assert!(denied["ts"].as_str().unwrap().ends_with('Z') && !denied["request"].as_str().unwrap().is_empty());
    let asked = &lines(&gateway, &["--operation", "get"], 1).await[0];
    assert_eq!(asked["code"], "MG-0601");
    let text = denied.to_string();
    assert!(!text.contains("go"), "nothing of the payload: {text}");
}

#[tokio::test]
async fn what_is_sensitive_has_a_line_before_it_is_done_and_one_after_it() {
    let (gateway, agent) = home("").await;
    agent.set_manner(Manner::Held);
    let base = gateway.plain();
    let pending =
        tokio::spawn(async move { send(&base, "/a2a", &routed("go", &json!({"skillId": "lock.open"}))).await });
    let before = lines(&gateway, &["--skill", "lock.open"], 1).await;
    assert_eq!(
        (before.len(), &before[0]["phase"], &before[0]["policy"]),
        (1, &json!("intent"), &json!("no rule refuses"))
    );
    agent.let_go();
    soon("the answer", pending).await.unwrap();
    let both = lines(&gateway, &["--skill", "lock.open"], 2).await;
    assert_eq!(
        (&both[1]["phase"], &both[1]["intent"], &both[1]["result"]),
        (&json!("outcome"), &both[0]["seq"], &json!("done"))
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_a_line_too() {
    let (gateway, agent) = home("").await;
    agent.set_manner(Manner::Held);
    let base = gateway.plain();
    let pending =
        tokio::spawn(async move { send(&base, "/a2a", &routed("go", &json!({"skillId": "lock.open"}))).await });
    lines(&gateway, &["--skill", "lock.open"], 1).await;
    pending.abort();
    let both = lines(&gateway, &["--skill", "lock.open"], 2).await;
    assert_eq!(both[1]["result"], "abandoned");
}

#[tokio::test]
async fn operators_people_and_programs_leave_lines() {
    let oauth = "[oauth]\nscopes = [\"a2a:*:*\"]\n";
    let (gateway, agent) = home(oauth).await;
    let card = json!({"name": "second", "card_url": agent.card_url()});
    operate(&gateway, "POST", "/api/v1/agents", Some(&card)).await;
    operate(&gateway, "DELETE", "/api/v1/agents/second", None).await;
    let client =
        json!({"id": "night-watch", "proof": "client_secret", "grants": ["client_credentials"], "scopes": ["a2a:*:*"]});
    let made = operate(&gateway, "POST", "/api/v1/clients", Some(&client)).await;
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let alice =
        json!({"name": "alice", "display_name": "Alice", "scopes": ["a2a:*:*"], "password": "correct horse battery"});
    operate(&gateway, "POST", "/api/v1/users", Some(&alice)).await;
    let mut browser = Browser::at(&gateway.admin());
    browser.post("/oauth/sign-in", &[("name", "alice"), ("password", "wrong horse battery")]).await;
    browser.post("/oauth/sign-in", &[("name", "alice"), ("password", "correct horse battery")]).await;
    browser
        .post(
            "/oauth/token",
            &[("grant_type", "client_credentials"), ("client_id", "night-watch"), ("client_secret", &secret)],
        )
        .await;
    operate(&gateway, "POST", "/api/v1/tokens:rotate-key", None).await;
    // Nobody in particular, who is refused.
    http("POST", &gateway.admin(), "/api/v1/tokens:rotate-key", &[], None).await;
    let toml = std::fs::read_to_string(gateway.config()).unwrap();
    reload(&gateway, &format!("{toml}\n[limits]\nparts = 7\n")).await;
    for (operation, source, results) in [
        ("gateway.start", "gateway", &["done"][..]),
        ("agents.add", "operator", &["intended", "done"]),
        ("agents.remove", "operator", &["intended", "done"]),
        ("clients.add", "operator", &["intended", "done"]),
        ("users.add", "operator", &["intended", "done"]),
        ("oauth.sign-in", "-", &["failed"]),
        ("oauth.sign-in", "home.example:alice", &["done"]),
        ("oauth.token", "home.example/night-watch", &["done"]),
        ("tokens.rotate-key", "operator", &["intended", "done"]),
        ("config.reload", "gateway", &["done"]),
    ] {
        let found = lines(&gateway, &["--operation", operation, "--source", source], results.len()).await;
        let said: Vec<&str> = found.iter().map(|line| line["result"].as_str().unwrap()).collect();
        assert_eq!(said, results, "{operation}: {found:?}");
        let text = json!(found).to_string();
        assert!(!text.contains(&secret) && !text.contains("horse"), "{text}");
    }
    let refused = lines(&gateway, &["--operation", "tokens.rotate-key", "--source", "local"], 2).await;
    assert_eq!((&refused[1]["result"], &refused[1]["detail"]), (&json!("failed"), &json!("status=403")));
    assert_eq!(refused[1]["code"], "MG-0403");
}

#[tokio::test]
async fn hashes_are_for_everybody_at_the_admin_listener_and_lines_for_those_who_may_read_them() {
    let (gateway, _agent) = home("").await;
    say(&gateway, "lock.open").await;
    lines(&gateway, &["--skill", "lock.open"], 2).await;
    let admin = gateway.admin();
    let checkpoint = get(&admin, "/audit/checkpoint").await;
    let text = checkpoint.text();
    let (origin, size) = (text.lines().next().unwrap(), text.lines().nth(1).unwrap());
    assert!(origin.starts_with("home.example/audit/20"), "{text}");
    let shard = origin.rsplit('/').next().unwrap();
    let hashes = get(&admin, &format!("/audit/tile/0/000.p/{size}")).await;
    assert_eq!((hashes.status, hashes.body.len()), (200, size.parse::<usize>().unwrap() * 32));
    let same = get(&admin, &format!("/audit/{shard}/tile/0/000.p/{size}")).await;
    assert_eq!(hashes.body, same.body);
    assert_eq!(
        get(&admin, "/audit/vkey").await.text().trim(),
        std::fs::read_to_string(gateway.folder().join(format!("audit/home.example/{shard}/vkey"))).unwrap().trim()
    );
    let entries = format!("/audit/tile/entries/000.p/{size}");
    assert_eq!(get(&admin, &entries).await.code(), "MG-0407");
    let read = operate(&gateway, "GET", &entries, None).await;
    assert_eq!(read.status, 200);
    assert!(read.text().contains(r#""skill":"lock.open""#));
    for path in [
        "/audit/tile/0/000",
        "/audit/tile/0/001.p/1",
        "/audit/1999-01/checkpoint",
        "/audit/../audit.key",
        "/audit/tile/entries/x",
        "/audit/",
    ] {
        assert_eq!(get(&admin, path).await.status, 404, "{path}");
    }
    assert_eq!(get(&gateway.plain(), "/audit/checkpoint").await.status, 404);
    assert_eq!(http("POST", &admin, "/audit/checkpoint", &[], None).await.status, 405);
}

#[tokio::test]
async fn a_log_is_verified_proven_and_exported_while_the_gateway_runs() {
    let (gateway, _agent) = home("").await;
    say(&gateway, "lock.open").await;
    let before = get(&gateway.admin(), "/audit/checkpoint").await.text();
    std::fs::write(gateway.folder().join("kept"), before).unwrap();
    for _ in 0..20 {
        say(&gateway, "lights.set").await;
    }
    let last = lines(&gateway, &["--skill", "lights.set"], 20).await.pop().unwrap();
    let verified = command(&gateway, &["verify", "--checkpoint", "kept"]).await;
    assert_eq!(verified.status.code(), Some(0), "{}{}", out(&verified), err(&verified));
    let request = last["request"].as_str().unwrap();
    let proof = command(&gateway, &["prove", "--request", request]).await;
    let proof: Value = serde_json::from_str(&out(&proof)).unwrap();
    assert_eq!(proof["index"], last["seq"]);
    assert_eq!(command(&gateway, &["prove", "--since", "kept"]).await.status.code(), Some(0));
    assert_eq!(command(&gateway, &["prove", "--request", "nobody"]).await.status.code(), Some(1));
    assert_eq!(command(&gateway, &["prove", "99999"]).await.status.code(), Some(2));
    assert_eq!(command(&gateway, &["export", "--out", "copy"]).await.status.code(), Some(0));
    let copy = command(&gateway, &["verify", "--dir", "copy", "--checkpoint", "kept"]).await;
    assert_eq!(copy.status.code(), Some(0), "{}", out(&copy));
    // A line of the copy is changed.
    let tile =
        std::fs::read_dir(gateway.folder().join("copy/tile/entries/000.p")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read(&tile).unwrap();
    let at = text.windows(9).position(|window| window == b"\"ip\":\"127").unwrap();
    let mut changed = text.clone();
    changed[at + 6] = b'9';
    std::fs::write(&tile, changed).unwrap();
    let found = command(&gateway, &["verify", "--dir", "copy"]).await;
    assert_eq!(found.status.code(), Some(1));
    let report: Value = serde_json::from_str(&out(&found)).unwrap();
    assert!(report["shards"][0]["findings"][0]["line"].is_u64(), "{report}");
}

#[tokio::test]
async fn a_gateway_whose_log_was_changed_does_not_start_and_verify_says_why() {
    let (mut gateway, _agent) = home("").await;
    say(&gateway, "lock.open").await;
    gateway.terminate().await;
    let shard =
        std::fs::read_dir(gateway.folder().join("audit/home.example")).unwrap().map(|entry| entry.unwrap().path());
    let entries = shard.filter(|path| path.is_dir()).map(|path| path.join("entries")).next().unwrap();
    let whole = std::fs::read(&entries).unwrap();
    let text = String::from_utf8_lossy(&whole).replace("\"local\"", "\"lokal\"");
    std::fs::write(&entries, text.as_bytes()).unwrap();
    let refused = moongate(gateway.folder(), &["run"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(err(&refused).contains("error[MG-0852]"), "{}", err(&refused));
    let told = moongate(gateway.folder(), &["audit", "verify"]).await;
    assert_eq!(told.status.code(), Some(1));
    assert!(out(&told).contains("NOT OK") && out(&told).contains("the line is not the one"), "{}", out(&told));
    std::fs::write(&entries, whole).unwrap();
    gateway.restart().await;
    // Put back from before: the mark remembers.
    gateway.terminate().await;
    std::fs::remove_dir_all(gateway.folder().join("audit")).unwrap();
    let refused = moongate(gateway.folder(), &["run"]).await;
    assert!(err(&refused).contains("error[MG-0853]"), "{}", err(&refused));
}

/// A gateway whose files may not grow beyond so many KiB: to the program that is a disk that is full.
fn limited(folder: &Path, kibibytes: u32) -> String {
    use std::os::unix::fs::PermissionsExt;
    let script = folder.join("limited");
    let text = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -S -f {}\nexec '{MOONGATE}' \"$@\"\n", kibibytes * 2);
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_sensitive_and_loses_nothing() {
    let folder = folder();
    let agent = Agent::start("home", &[json!("lights.set"), lock()]).await;
    let store = "[store]\nurl = \"memory:\"\n[audit]\non = true\n";
    let gateway = Gateway::start(&limited(folder.path(), 24), &format!("{LISTEN}{store}{}", agent.entry())).await;
    let mut sent = 0;
    let refused = until(|| {
        sent += 1;
        async { Some(say(&gateway, "lock.open").await).filter(|answer| answer.code() == "MG-0851") }
    });
    assert!(refused.await.is_some(), "the disk is never full");
    let agent_saw = agent.seen().len();
    assert_eq!(get(&gateway.admin(), "/readyz").await.status, 503);
    assert!(get(&gateway.admin(), "/readyz").await.text().contains("MG-0851"));
    assert_eq!(say(&gateway, "lock.open").await.code(), "MG-0851");
    let operated = operate(&gateway, "DELETE", "/api/v1/agents/home", None).await;
    assert_eq!(operated.code(), "MG-0851");
    assert_eq!(agent.seen().len(), agent_saw, "what was refused did not reach the agent");
    // What is not sensitive goes on, and its lines wait.
    assert_eq!(say(&gateway, "lights.set").await.status, 200);
    let grown =
        std::process::Command::new("prlimit").args(["--fsize=unlimited", "--pid", &gateway.pid().to_string()]).status();
    assert!(grown.unwrap().success());
    gateway.ready().await;
    assert_eq!(say(&gateway, "lock.open").await.status, 200);
    let done = lines(&gateway, &["--skill", "lock.open", "--result", "done", "--limit", "10000"], sent).await;
    assert_eq!(done.len(), sent, "as many as were answered with yes");
    assert_eq!(lines(&gateway, &["--skill", "lights.set"], 1).await.len(), 1);
    assert_eq!(command(&gateway, &["verify"]).await.status.code(), Some(0));
}

/// What clients heard: requests that were answered, and checkpoints that were shown.
#[derive(Default)]
struct Heard {
    unlocked: u64,
    roots: BTreeMap<u64, String>,
}

/// Clients that open the lock, one request after another, until nobody answers; and one that keeps every checkpoint.
async fn load(gateway: &Gateway, heard: &Arc<Mutex<Heard>>, goal: u64) -> Vec<tokio::task::JoinHandle<()>> {
    let mut clients = Vec::new();
    for _ in 0..6 {
        let (base, heard) = (gateway.plain(), heard.clone());
        clients.push(tokio::spawn(async move {
            let Ok(mut connection) = Connection::open(&base).await else { return };
            let request = rpc("SendMessage", &routed("go", &json!({"skillId": "lock.open"})));
            while let Ok(answer) = connection.send("POST", "/a2a", &[V1], Some(&request)).await {
                assert_eq!(answer.status, 200, "{}", answer.text());
                heard.lock().unwrap().unlocked += 1;
            }
        }));
    }
    let (admin, keeping) = (gateway.admin(), heard.clone());
    clients.push(tokio::spawn(async move {
        let Ok(mut connection) = Connection::open(&admin).await else { return };
        while let Ok(answer) = connection.send("GET", "/audit/checkpoint", &[], None).await {
            keep(&keeping, &answer.text());
        }
    }));
    eventually("the lock is opened often", || async { heard.lock().unwrap().unlocked >= goal }).await;
    clients
}

/// No size has two roots, whoever asked when.
fn keep(heard: &Arc<Mutex<Heard>>, checkpoint: &str) {
    let mut lines = checkpoint.lines().skip(1);
    let (Some(size), Some(root)) = (lines.next(), lines.next()) else { return };
    let before = heard.lock().unwrap().roots.insert(size.parse().unwrap(), root.to_owned());
    assert!(before.is_none_or(|before| before == root), "two roots of size {size}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_when_the_gateway_is_killed() {
    let kills: u64 = std::env::var("MOONGATE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20);
    let store = "[store]\nurl = \"memory:\"\n[audit]\non = true\n";
    let (mut gateway, _agent) = home(store).await;
    let heard: Arc<Mutex<Heard>> = Arc::default();
    for kill in 1..=kills {
        let clients = load(&gateway, &heard, kill * 25).await;
        gateway.kill().await;
        for client in clients {
            soon("the end of a client", client).await.unwrap();
        }
        gateway.restart().await;
        keep(&heard, &get(&gateway.admin(), "/audit/checkpoint").await.text());
    }
    let unlocked = heard.lock().unwrap().unlocked;
    gateway.terminate().await;
    let found = |results: &'static [&'static str]| {
        let gateway = &gateway;
        async move {
            let mut count = 0;
            for result in results {
                let asked = ["search", "--result", result, "--limit", "1000000"];
                let lines = out(&command(gateway, &asked).await);
                count += lines.lines().filter(|line| line.contains("\"phase\"")).count() as u64;
            }
            count
        }
    };
    let (intents, outcomes) = (found(&["intended"]).await, found(&["done", "failed", "abandoned", "unknown"]).await);
    println!(
        "{kills} kills; {unlocked} sensitive requests were answered, {intents} intents and {outcomes} outcomes are in the log"
    );
    assert!(intents >= unlocked, "{unlocked} were answered, and {intents} are in the log");
    assert_eq!(intents, outcomes, "every intent has one outcome");
    assert_eq!(command(&gateway, &["verify"]).await.status.code(), Some(0));
}
