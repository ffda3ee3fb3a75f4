//! Tasks as operators see and steer them: the commands, and the API that they stand on.

mod doctor;

use moongate_testkit::agent::{Agent as Scripted, Plan};
use moongate_testkit::receiver::Receiver;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt as _;

use crate::registry::described;
use crate::support::*;

const LISTEN: &str = "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";

/// A gateway that its configuration file leads to, with these entries.
async fn running(more: &str, entries: &[String]) -> Gateway {
    Gateway::start(MOONGATE, &format!("{LISTEN}{more}\n{}", entries.join("\n"))).await
}

/// An entry for an agent whose messages wait while it is away.
fn waiting(agent: &Agent) -> String {
    agent.entry().replace("queue = false\n", "")
}

/// An agent that was there when the gateway read its card, and is away: the gateway knows it, and does not try it.
async fn away() -> (Gateway, std::net::SocketAddr) {
    let agent = Agent::start("lock", &[json!("lock.open")]).await;
    let gateway = running("[routing]\nprobe_seconds = 0.1\n", &[waiting(&agent)]).await;
    let address = agent.kill().await;
    eventually("the agent is found away", || async { health(&gateway, "lock").await == "down" }).await;
    (gateway, address)
}

/// Exit code, standard output, standard error; ids, times and addresses replaced by names.
fn told(output: &std::process::Output, replace: &[(&str, &str)]) -> String {
    let mut text =
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", output.status.code().unwrap(), out(output), err(output));
    for (from, to) in replace {
        text = text.replace(from, to);
    }
    timeless(&text)
}

/// The same text with `{time}` for each timestamp.
fn timeless(text: &str) -> String {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000Z";
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let head = rest.as_bytes().get(..SHAPE.len()).unwrap_or_default();
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
        if head.len() == SHAPE.len() && head.iter().zip(SHAPE).all(fits) {
            kept.push_str("{time}");
            rest = &rest[SHAPE.len()..];
        } else {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    kept
}

/// The id in `task ID is …` on standard error.
fn id_of(output: &std::process::Output) -> String {
    let text = err(output);
    let line = text.lines().find(|line| line.contains(" is ")).unwrap_or_else(|| panic!("no task: {text}"));
    line.split(' ').nth(1).unwrap().to_owned()
}

fn json_of(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}{}", out(output), err(output)))
}

/// A request as the operator.
async fn as_operator(gateway: &Gateway, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let secret = format!("Bearer {}", secret.trim());
    http(method, &gateway.admin(), &format!("/api/v1{path}"), &[("authorization", &secret)], body).await
}

/// A request by whoever is on this machine.
async fn as_local(gateway: &Gateway, method: &str, path: &str) -> Answer {
    http(method, &gateway.admin(), &format!("/api/v1{path}"), &[], None).await
}

/// A task of `local`'s that a scripted agent works on.
async fn slow(gateway: &Gateway, agent: &str) -> String {
    let mut params = message("slow light");
    params["configuration"] = json!({"returnImmediately": true});
    let answer = send(&gateway.plain(), &format!("/agents/{agent}"), &params).await;
    answer.json()["result"]["task"]["id"].as_str().unwrap_or_else(|| panic!("no task: {}", answer.text())).to_owned()
}

#[tokio::test]
async fn a_message_to_an_agent_that_is_away_waits_and_is_found_held_and_ended() {
    let (gateway, _) = away().await;
    let folder = gateway.folder().to_owned();
    let sent = moongate(&folder, &["send", "--agent", "lock", "--wait", "1", "open", "up"]).await;
    let id = id_of(&sent);
    let names = [(id.as_str(), "{task}")];
    insta::assert_snapshot!("send_waits", told(&sent, &names));
    insta::assert_snapshot!("list", told(&moongate(&folder, &["tasks"]).await, &names));
    let shown = out(&moongate(&folder, &["tasks", "show", &id]).await);
    for line in ["state      submitted", "agent      lock", "owner      operator", "next try   2", "start by   2"] {
        assert!(shown.contains(line), "{line:?} is missing in\n{shown}");
    }
    let view = json_of(&moongate(&folder, &["tasks", "show", &id, "--json"]).await);
    assert_eq!((&view["instance"], &view["task"]["id"]), (&Value::Null, &json!(id)));
    assert_eq!(view["task"]["history"][0]["parts"][0]["text"], "open up");

    insta::assert_snapshot!("pause", told(&moongate(&folder, &["tasks", "pause", &id]).await, &names));
    let again = moongate(&folder, &["tasks", "pause", &id]).await;
    assert_eq!(again.status.code(), Some(0), "pausing twice is pausing: {}", err(&again));
    let resumed = moongate(&folder, &["tasks", "resume", &id]).await;
    assert!(resumed.status.success() && !out(&resumed).contains("paused"), "{}{}", out(&resumed), err(&resumed));
    insta::assert_snapshot!("cancel", told(&moongate(&folder, &["tasks", "cancel", &id]).await, &names));
    insta::assert_snapshot!("watch_over", told(&moongate(&folder, &["tasks", "watch", &id]).await, &names));
    insta::assert_snapshot!("cancel_again", told(&moongate(&folder, &["tasks", "cancel", &id]).await, &names));
    insta::assert_snapshot!("show_missing", told(&moongate(&folder, &["tasks", "show", "no-such"]).await, &[]));
    let none = moongate(&folder, &["tasks", "list", "--state", "working"]).await;
    assert_eq!((out(&none), err(&none)), (String::new(), "no tasks\n".to_owned()));
    let wrong = moongate(&folder, &["tasks", "list", "--state", "tired"]).await;
    assert!(wrong.status.code() == Some(2) && err(&wrong).contains("MG-0209"), "{}", err(&wrong));
}

#[tokio::test]
async fn a_task_that_waited_goes_on_when_its_agent_is_back() {
    let (gateway, address) = away().await;
    let folder = gateway.folder().to_owned();
    let sent = moongate(&folder, &["send", "--agent", "lock", "--no-wait", "open"]).await;
    let id = id_of(&sent);
    assert_eq!((sent.status.code(), err(&sent)), (Some(0), format!("task {id} is submitted\n")));
    let watching = tokio::spawn({
        let (folder, id) = (folder.clone(), id.clone());
        async move { moongate(&folder, &["tasks", "watch", &id]).await }
    });
    let lock = Agent::at("lock", &[json!("lock.open")], address).await;
    lock.set_manner(Manner::Done);
    let watched = watching.await.unwrap();
    assert_eq!(watched.status.code(), Some(0), "{}{}", out(&watched), err(&watched));
    let lines: Vec<String> = timeless(&out(&watched)).lines().map(str::to_owned).collect();
    assert_eq!(lines.first().unwrap(), "{time}     1  submitted");
    assert!(lines.last().unwrap().ends_with("completed       lock: open"), "{lines:?}");
    // From the log, by numbers: nothing twice, nothing left out.
    let events = out(&moongate(&folder, &["tasks", "watch", &id, "--json"]).await);
    let numbers: Vec<u64> =
        events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let rest = out(&moongate(&folder, &["tasks", "watch", &id, "--json", "--after", "1"]).await);
    assert_eq!(rest.lines().count(), numbers.len() - 1);
    // Whoever waits for it sees the end as if the agent had been there.
    lock.set_manner(Manner::Done);
    let sent = moongate(&folder, &["send", "--agent", "lock", "close"]).await;
    assert_eq!((sent.status.code(), out(&sent)), (Some(0), "lock: close\n".to_owned()));
}

#[tokio::test]
async fn whoever_watches_holds_up_no_shutdown_and_goes_on_after_the_restart() {
    let (mut gateway, _) = away().await;
    let folder = gateway.folder().to_owned();
    let id = id_of(&moongate(&folder, &["send", "--agent", "lock", "--no-wait", "open"]).await);
    let mut watching = tokio::process::Command::new(MOONGATE)
        .args(["tasks", "watch", &id])
        .current_dir(&folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut talk = tokio::io::BufReader::new(watching.stderr.take().unwrap()).lines();
    let mut lines = tokio::io::BufReader::new(watching.stdout.take().unwrap()).lines();
    let first = soon("the first event", lines.next_line()).await.unwrap().unwrap();
    assert!(first.ends_with("   1  submitted"), "{first}");
    let stopped = std::time::Instant::now();
    gateway.ask_to_stop();
    let said = soon("word of the shutdown", talk.next_line()).await.unwrap().unwrap();
    assert_eq!(said, "the gateway does not answer; asking again for a minute");
    gateway.ended().await;
    assert!(stopped.elapsed().as_secs() < 15, "a question for events is held for twenty seconds");
    gateway.restart().await;
    assert_eq!(moongate(&folder, &["tasks", "cancel", &id]).await.status.code(), Some(0));
    let last = soon("the end", lines.next_line()).await.unwrap().unwrap();
    assert!(last.contains("   2  canceled"), "nothing twice: {last}");
    assert_eq!(soon("the end of the command", watching.wait()).await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn a_running_task_is_canceled_at_its_agent_whoever_started_it() {
    let lights = Scripted::start(Plan::new("lights")).await;
    let gateway = running("", &[lights.entry("")]).await;
    let folder = gateway.folder().to_owned();
    let id = slow(&gateway, "lights").await;
    lights.reached(&id, "TASK_STATE_WORKING").await;
    for action in ["pause", "resume"] {
        let answer = as_operator(&gateway, "POST", &format!("/tasks/{id}:{action}"), None).await;
        let refused = (answer.status, answer.code());
        if action == "pause" {
            assert_eq!(refused, (400, "MG-0605".to_owned()), "{}", answer.text());
        } else {
            assert_eq!(answer.status, 200, "what is not held goes on anyway: {}", answer.text());
        }
    }
    let output = moongate(&folder, &["tasks", "cancel", &id]).await;
    assert_eq!((output.status.code(), out(&output)), (Some(0), format!("{id} is canceled\n")), "{}", err(&output));
    assert_eq!(lights.task(&id).unwrap()["status"]["state"], "TASK_STATE_CANCELED");
    // The operator's own goes the same way.
    let sent = moongate(&folder, &["send", "--agent", "lights", "--no-wait", "slow light"]).await;
    let output = moongate(&folder, &["tasks", "cancel", &id_of(&sent), "--json"]).await;
    assert_eq!(json_of(&output)["state"], "TASK_STATE_CANCELED");
}

#[tokio::test]
async fn whoever_has_not_the_secret_gets_nothing_of_tasks_here_and_rules_are_not_evaded() {
    let lights = Scripted::start(Plan::new("lights")).await;
    let deny = "[[policy]]\nname = \"finish\"\ndeny = 'operation == \"cancel\" && principal.id == \"local\"'\n";
    let gateway = running(deny, &[lights.entry("")]).await;
    let id = slow(&gateway, "lights").await;
    lights.reached(&id, "TASK_STATE_WORKING").await;
    let refused = call(&gateway.plain(), "/agents/lights", "CancelTask", &json!({ "id": id })).await;
    assert_eq!(refused.code(), "MG-0403", "by A2A a rule judges: {}", refused.text());
    for (method, path) in [
        ("GET", "/tasks"),
        ("GET", "/tasks?owner=local"),
        ("GET", "/tasks/{id}"),
        ("GET", "/tasks/no-such"),
        ("GET", "/tasks/{id}/events"),
        ("POST", "/tasks/{id}:cancel"),
        ("POST", "/tasks/{id}:pause"),
        ("POST", "/tasks/{id}:resume"),
        ("POST", "/tasks/{id}:redrive"),
        ("POST", "/tasks:redrive"),
        ("GET", "/queue"),
        ("GET", "/store"),
        ("POST", "/store:backup"),
    ] {
        let answer = as_local(&gateway, method, &path.replace("{id}", &id)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0403"), "{method} {path}");
    }
    assert_eq!(lights.task(&id).unwrap()["status"]["state"], "TASK_STATE_WORKING", "nobody touched it");
    let answer = as_operator(&gateway, "POST", &format!("/tasks/{id}:cancel"), None).await;
    assert_eq!(answer.json()["state"], "TASK_STATE_CANCELED", "{}", answer.text());
}

#[tokio::test]
async fn lists_name_owners_and_come_in_pages() {
    let lights = Scripted::start(Plan::new("lights")).await;
    let gateway = running("", &[lights.entry("")]).await;
    let theirs = slow(&gateway, "lights").await;
    moongate(gateway.folder(), &["send", "--agent", "lights", "--no-wait", "slow dark"]).await;
    let list = as_operator(&gateway, "GET", "/tasks?owner=local", None).await.json();
    assert_eq!((&list["total"], &list["tasks"][0]["owner"]), (&json!(1), &json!("local")));
    let page = as_operator(&gateway, "GET", "/tasks?limit=1", None).await.json();
    assert_eq!((&page["total"], page["tasks"].as_array().unwrap().len()), (&json!(2), 1));
    let next = format!("/tasks?limit=1&page={}", page["next_page"].as_str().unwrap());
    let next = as_operator(&gateway, "GET", &next, None).await.json();
    assert_eq!((&next["tasks"][0]["id"], &next["next_page"]), (&json!(theirs), &Value::Null));
}

#[tokio::test]
async fn what_was_given_up_is_tried_again_when_the_operator_says_so() {
    let lock = Agent::start("lock", &[json!("lock.open")]).await;
    lock.set_manner(Manner::Unavailable);
    let gateway = running("[tasks]\nattempts = 1\n", &[waiting(&lock)]).await;
    let folder = gateway.folder().to_owned();
    let sent = moongate(&folder, &["send", "--agent", "lock", "--no-wait", "open"]).await;
    let id = id_of(&sent);
    let phase = async || json_of(&moongate(&folder, &["tasks", "show", &id, "--json"]).await)["phase"].clone();
    eventually("the task is given up", || async { phase().await == "dead" }).await;
    let doctor = out(&moongate(&folder, &["doctor"]).await);
    assert!(doctor.contains("warn  given up       tasks: 1, push receivers: 0"), "{doctor}");
    lock.set_manner(Manner::Done);
    insta::assert_snapshot!("redrive", told(&moongate(&folder, &["tasks", "redrive"]).await, &[]));
    let watched = moongate(&folder, &["tasks", "watch", &id]).await;
    assert_eq!(watched.status.code(), Some(0), "{}{}", out(&watched), err(&watched));
    insta::assert_snapshot!("redrive_nothing", told(&moongate(&folder, &["tasks", "redrive", &id]).await, &[]));
}

#[tokio::test]
async fn push_notifications_are_shown_without_their_secrets_and_redriven() {
    let lights = Scripted::start(Plan::new("lights")).await;
    let more = "[tasks]\npush_seconds = 1\n[egress]\nallow = [\"127.0.0.0/8\"]\n";
    let gateway = running(more, &[lights.entry("")]).await;
    let receiver = Receiver::answering(&[500; 8]).await;
    let id = slow(&gateway, "lights").await;
    let config = json!({"taskId": id, "id": "mine", "url": receiver.url("/hook?key=hidden-query"), "token": "hidden-token",
        "authentication": {"scheme": "Bearer", "credentials": "hidden-credential"}});
    let made = call(&gateway.plain(), "/agents/lights", "CreateTaskPushNotificationConfig", &config).await;
    assert_eq!(made.status, 200, "{}", made.text());
    lights.release(1);
    let folder = gateway.folder().to_owned();
    let show = async || moongate(&folder, &["tasks", "show", &id, "--json"]).await;
    eventually("the receiver is given up", || async { json_of(&show().await)["push_configs"][0]["dead"].is_string() })
        .await;
    let shown = [show().await, moongate(&folder, &["tasks", "show", &id]).await];
    for output in &shown {
        assert!(out(output).contains("/hook?…") && !out(output).contains("hidden"), "{}", out(output));
    }
    let before = json_of(&shown[0])["push_configs"][0]["delivered"].as_u64().unwrap();
    let redriven = as_operator(&gateway, "POST", &format!("/tasks/{id}:redrive"), None).await.json();
    assert_eq!(redriven, json!({"tasks": 0, "deliveries": 1}));
    eventually("the receiver takes it", || async {
        // A receiver that still refuses is given up once more; it has only so many refusals.
        as_operator(&gateway, "POST", &format!("/tasks/{id}:redrive"), None).await;
        let view = json_of(&show().await);
        view["push_configs"][0]["delivered"] == view["events"] && view["events"].as_u64().unwrap() > before
    })
    .await;
}

#[tokio::test]
async fn a_receivers_secret_is_one_for_its_origin_and_stays() {
    let gateway = running("", &[]).await;
    let folder = gateway.folder().to_owned();
    let secret = async |url: &str| {
        let output = moongate(&folder, &["tasks", "webhook-secret", url]).await;
        assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()));
        out(&output).trim().to_owned()
    };
    let one = secret("https://hooks.example/a").await;
    assert!(one.strip_prefix("whsec_").is_some_and(|text| text.len() == 44), "256 bits in base64");
    assert_eq!(secret("https://hooks.example/b?c").await, one);
    assert_ne!(secret("https://hooks.example:8443/a").await, one);
    let vault = moongate_identity::Vault::load_or_make(&folder.join("gateway.key")).unwrap();
    assert_eq!(moongate_a2a::tasks::courier::webhook_secret(&vault, "https://hooks.example/a"), one);
    let wrong = moongate(&folder, &["tasks", "webhook-secret", "hooks.example"]).await;
    assert!(wrong.status.code() == Some(2) && err(&wrong).contains("MG-0209"), "{}", err(&wrong));
    let fresh = crate::support::folder();
    std::fs::write(fresh.path().join("moongate.toml"), "").unwrap();
    let none = moongate(fresh.path(), &["tasks", "webhook-secret", "https://hooks.example/"]).await;
    assert!(none.status.code() == Some(2) && err(&none).contains("MG-0114"), "{}", err(&none));
    assert!(!fresh.path().join("gateway.key").exists(), "asking makes no key");
}

#[tokio::test]
async fn help_texts_of_these_commands_read_as_they_should() {
    let folder = folder();
    for command in ["tasks", "doctor", "backup"] {
        let output = moongate(folder.path(), &[command, "--help"]).await;
        insta::assert_snapshot!(format!("help_{command}"), out(&output));
    }
    for command in ["list", "show", "watch", "cancel", "pause", "resume", "redrive", "webhook-secret"] {
        let output = moongate(folder.path(), &["tasks", command, "--help"]).await;
        assert_eq!(output.status.code(), Some(0), "{command}");
        insta::assert_snapshot!(format!("help_tasks_{command}"), out(&output));
    }
}

#[tokio::test]
async fn the_description_of_this_part_of_the_api_tells_the_truth() {
    let (gateway, _) = away().await;
    let document = get(&gateway.admin(), "/api/v1/openapi.json").await.json();
    let sent = moongate(gateway.folder(), &["send", "--agent", "lock", "--no-wait", "open"]).await;
    let id = id_of(&sent);
    let copy = json!({"path": gateway.folder().join("copy.db")});
    let mut tried = Vec::new();
    for (method, path, query, body, statuses) in [
        ("get", "/tasks", "?state=submitted&agent=lock&limit=5", None, [200, 400]),
        ("get", "/tasks/{id}", "", None, [200, 404]),
        ("get", "/tasks/{id}/events", "?after=0&limit=1", None, [200, 404]),
        ("post", "/tasks/{id}:pause", "", None, [200, 404]),
        ("post", "/tasks/{id}:resume", "", None, [200, 404]),
        ("post", "/tasks/{id}:redrive", "", None, [200, 404]),
        ("get", "/queue", "", None, [200, 405]),
        ("post", "/tasks/{id}:cancel", "", None, [200, 404]),
        ("post", "/tasks:redrive", "", None, [200, 405]),
        ("get", "/store", "?inspect=true", None, [200, 400]),
        ("post", "/store:backup", "", Some(&copy), [201, 409]),
    ] {
        let upper = method.to_uppercase();
        let at = |id: &str, query: &str| format!("{}{query}", path.replace("{id}", id));
        let answer = as_operator(&gateway, &upper, &at(&id, query), body).await;
        assert_eq!(answer.status, statuses[0], "{method} {path}: {}", answer.text());
        described(&document, path, method, &answer);
        tried.push((method, path));
        let mistaken = match statuses[1] {
            404 => as_operator(&gateway, &upper, &at("no-such", ""), body).await,
            405 => as_operator(&gateway, "PATCH", path, None).await,
            409 => as_operator(&gateway, &upper, path, body).await,
            _ => as_operator(&gateway, &upper, &at("", "?colour=red"), body).await,
        };
        assert_eq!(mistaken.status, statuses[1], "{method} {path}: {}", mistaken.text());
        described(&document, path, method, &mistaken);
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        let ours = ["/tasks", "/queue", "/store"].iter().any(|noun| path.starts_with(noun));
        for method in operations.as_object().unwrap().keys().filter(|key| ours && *key != "parameters") {
            assert!(
                tried.contains(&(method.as_str(), path.as_str())),
                "{method} {path} is described but was not tried"
            );
        }
    }
    for (method, path) in [("POST", "/tasks/x:frob"), ("GET", "/tasks/x/y"), ("GET", "/store/x")] {
        assert_eq!(as_operator(&gateway, method, path, None).await.status, 404, "{method} {path}");
    }
}
