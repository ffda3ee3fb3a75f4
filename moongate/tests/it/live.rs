//! What happens, as it happens: the events of the API, `moongate tap` and `moongate top`.

mod pages;
mod timeline;

use std::process::Stdio;

use moongate_testkit::agent::{Agent as Scripted, Plan};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::stage::{Caller, Operation, SPEAKERS, id, on, saying, task};
use crate::support::*;

const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
const DOORS: &str = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"blinds.open\"'\n";
/// What clears a screen, moves a cursor up, turns a line around and rings.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}1A\u{202e}\u{7}y";

/// A home with a scripted agent.
async fn home(more: &str) -> (Scripted, Gateway) {
    let skills = ["lights.set", "blinds.open"].map(str::to_owned).to_vec();
    let agent = Scripted::start(Plan { skills, ..Plan::new("home") }).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{more}", agent.entry(""))).await;
    (agent, gateway)
}

fn operator(gateway: &Gateway) -> String {
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    format!("Bearer {}", secret.trim())
}

fn for_skill(skill: &str, words: &str) -> Value {
    let mut params = saying(words);
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

/// Events at the admin listener as the operator; open when this returns.
async fn watching(gateway: &Gateway, query: &str) -> Events {
    let credential = operator(gateway);
    let path = format!("/api/v1/events{query}");
    let headers = [("authorization", credential.as_str())];
    let mut events = Events::get(&gateway.admin(), &path, &headers).await.unwrap_or_else(|no| panic!("{}", no.text()));
    assert_eq!(events.next().await.unwrap().kind, "open");
    events
}

async fn next(events: &mut Events) -> Value {
    let event = soon("an event", events.next()).await.expect("the stream has ended");
    assert_eq!(event.data["kind"], event.kind.as_str());
    event.data
}

#[tokio::test]
async fn requests_of_every_binding_are_told_with_who_whom_what_and_how_it_ended() {
    let (_agent, gateway) = home("").await;
    let mut events = watching(&gateway, "").await;
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let made = id(&task(&caller, &for_skill("lights.set", "echo secret-words")).await);
        let told = next(&mut events).await;
        let said = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((said("kind"), said("operation"), said("result")), ("request".into(), "send".into(), "done".into()));
        assert_eq!(
            (said("who"), said("domain"), said("address")),
            ("local".into(), "home.example".into(), "127.0.0.1".into())
        );
        assert_eq!(
            (said("agent"), said("instance"), said("skill")),
            ("home".into(), "home".into(), "lights.set".into())
        );
        assert_eq!((said("task"), &told["code"]), (made, &Value::Null), "{told}");
        assert!(!said("request").is_empty() && told["took_us"].as_u64() > Some(0), "{told}");
        assert!(
            said("at").ends_with('Z') && !told.to_string().contains("secret-words"),
            "nothing of a payload: {told}"
        );
    }
    let caller = Caller::rpc(&gateway.plain());
    caller.call(Operation::Get, &on("nothing")).await.unwrap_err();
    let told = next(&mut events).await;
    assert_eq!(
        (&told["result"], &told["code"], &told["task"]),
        (&json!("failed"), &json!("MG-0601"), &json!("nothing"))
    );
    assert_eq!((&told["agent"], &told["operation"]), (&Value::Null, &json!("get")));
    let parent = format!("00-{}-b7ad6b7169203331-01", "ab".repeat(16));
    caller.clone().with("traceparent", &parent).call(Operation::Get, &on("nothing")).await.unwrap_err();
    assert_eq!(next(&mut events).await["trace"], "ab".repeat(16));
    let streamed = caller.events(Operation::Stream, &saying("stream 2")).await.unwrap();
    let told = next(&mut events).await;
    assert_eq!((&told["operation"], &told["result"]), (&json!("stream"), &json!("stream")));
    assert!(told["task"].is_string(), "{told} of {streamed:?}");
}

#[tokio::test]
async fn filters_show_what_was_asked_for_and_nothing_else() {
    let (_agent, gateway) = home("").await;
    let caller = Caller::rpc(&gateway.plain());
    let (mut lights, mut failed, mut coded, mut nobody) = (
        watching(&gateway, "?skill=lights.set&agent=home&who=local&result=done").await,
        watching(&gateway, "?result=failed").await,
        watching(&gateway, "?result=MG-0601").await,
        watching(&gateway, "?who=nobody").await,
    );
    caller.call(Operation::Get, &on("first")).await.unwrap_err();
    task(&caller, &for_skill("blinds.open", "echo x")).await;
    let made = id(&task(&caller, &for_skill("lights.set", "echo x")).await);
    caller.call(Operation::Get, &on("second")).await.unwrap_err();
    assert_eq!(next(&mut lights).await["task"], made.as_str());
    for events in [&mut failed, &mut coded] {
        assert_eq!(next(events).await["task"], "first");
        assert_eq!(next(events).await["task"], "second");
    }
    let mut of_task = watching(&gateway, &format!("?task={made}")).await;
    caller.call(Operation::Get, &on("third")).await.unwrap_err();
    caller.call(Operation::Get, &on(&made)).await.unwrap();
    assert_eq!(next(&mut of_task).await["operation"], "get");
    // Whoever nobody is: the drain is the first that is heard.
    gateway.ask_to_stop();
    assert_eq!(next(&mut nobody).await["kind"], "end");
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused() {
    let (_agent, gateway) = home("").await;
    let credential = operator(&gateway);
    let headers = [("authorization", credential.as_str())];
    for query in ["?agents=home", "?agent=a&agent=b"] {
        let refused = http("GET", &gateway.admin(), &format!("/api/v1/events{query}"), &headers, None).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "MG-0209"), "{}", refused.text());
    }
    let posted = http("POST", &gateway.admin(), "/api/v1/events", &headers, None).await;
    assert_eq!((posted.status, posted.code().as_str()), (405, "MG-0214"), "{}", posted.text());
}

#[tokio::test]
async fn only_the_operator_watches_and_only_so_many() {
    let (agent, gateway) = home("").await;
    for base in [gateway.plain(), gateway.admin()] {
        let local = http("GET", &base, "/api/v1/events", &[], None).await;
        assert_eq!((local.status, local.code().as_str()), (403, "MG-0403"), "{}", local.text());
        let stranger = http("GET", &base, "/api/v1/events", &[("authorization", "Bearer guessed")], None).await;
        assert_eq!((stranger.status, stranger.code().as_str()), (401, "MG-0401"), "{}", stranger.text());
    }
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(watching(&gateway, "").await);
    }
    let (credential, base) = (operator(&gateway), gateway.admin());
    let refused = http("GET", &base, "/api/v1/events", &[("authorization", &credential)], None).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "MG-0476"), "{}", refused.text());
    drop(readers.pop());
    eventually("a place that was left is free", || async {
        let headers = [("authorization", credential.as_str())];
        Events::get(&base, "/api/v1/events", &headers).await.is_ok()
    })
    .await;
    drop(agent);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_how_much_it_lost() {
    let (_agent, gateway) = home("").await;
    let mut slow = Events::narrow(&gateway.admin(), "/api/v1/events", &[("authorization", &operator(&gateway))]).await;
    assert_eq!(slow.next().await.unwrap().kind, "open");
    // Others are not held up by it.
    let mut quick = watching(&gateway, "?result=MG-0601").await;
    let counting = tokio::spawn(async move {
        let mut told = 0;
        while let Some(event) = quick.next().await {
            match event.kind.as_str() {
                "request" => told += 1,
                "end" => break,
                other => panic!("a reader that reads is told {other}"),
            }
        }
        told
    });
    let mut connection = Connection::open(&gateway.plain()).await.unwrap();
    let ask = rpc("GetTask", &json!({"id": "n".repeat(900)}));
    let sent = 8000;
    for _ in 0..sent {
        assert_eq!(connection.send("POST", "/a2a", &[V1], Some(&ask)).await.unwrap().code(), "MG-0601");
    }
    let (mut told, mut lost) = (0, 0);
    while told + lost < sent {
        let event = slow.next().await.unwrap();
        match event.kind.as_str() {
            "request" => told += 1,
            "lagged" => lost += event.data["lost"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    }
    assert!(lost > 0 && told > 0 && told + lost == sent, "{told} told, {lost} lost");
    gateway.ask_to_stop();
    assert_eq!(counting.await.unwrap(), sent);
}

#[tokio::test]
async fn a_drain_ends_the_streams_and_waits_for_no_reader() {
    let (_agent, mut gateway) = home("").await;
    let mut events = watching(&gateway, "").await;
    let idle = watching(&gateway, "").await;
    gateway.ask_to_stop();
    let end = next(&mut events).await;
    assert_eq!((&end["kind"], &end["code"]), (&json!("end"), &json!("MG-0902")));
    assert!(events.next().await.is_none());
    assert!(gateway.ended().await.success());
    drop(idle);
}

#[tokio::test]
async fn what_people_decide_is_told_and_what_came_of_it() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut events = watching(&gateway, "?agent=home").await;
    let asked = id(&task(&caller, &for_skill("blinds.open", "echo open")).await);
    let told = next(&mut events).await;
    assert_eq!((&told["kind"], &told["result"], &told["task"]), (&json!("request"), &json!("asked"), &json!(asked)));
    let yes = moongate(gateway.folder(), &["approve", "yes", &question(&gateway, &asked).await]).await;
    assert!(yes.status.success(), "{}", err(&yes));
    let decided = next(&mut events).await;
    assert_eq!(
        (&decided["kind"], &decided["result"], &decided["who"]),
        (&json!("approval"), &json!("approved"), &json!("operator"))
    );
    assert_eq!((&decided["by"], &decided["task"]), (&json!("secret"), &json!(asked)));
    let went = next(&mut events).await;
    assert_eq!(
        (&went["kind"], &went["result"], &went["task"]),
        (&json!("approval"), &json!("dispatched"), &json!(asked))
    );
    assert_eq!(went["approval"], decided["approval"]);
}

/// The question of a task.
async fn question(gateway: &Gateway, task: &str) -> String {
    let credential = operator(gateway);
    let answer =
        http("GET", &gateway.admin(), "/api/v1/approvals", &[("authorization", &credential)], None).await.json();
    let all = answer["approvals"].as_array().unwrap().clone();
    let found = all.iter().find(|one| one["document"]["target"]["task"] == task);
    found.unwrap_or_else(|| panic!("nobody is asked about {task}: {all:?}"))["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_agent_that_goes_and_comes_back_is_told() {
    let agent = Agent::start("lock", &[json!("lock.open")]).await;
    let toml = format!("{LISTEN}[routing]\nprobe_seconds = 0.1\n{}", agent.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let (mut down, mut up) =
        (watching(&gateway, "?agent=lock&result=down").await, watching(&gateway, "?result=up").await);
    let address = agent.kill().await;
    let told = next(&mut down).await;
    assert_eq!((&told["kind"], &told["instance"]), (&json!("agent"), &json!("lock")));
    let _back = Agent::at("lock", &[json!("lock.open")], address).await;
    assert_eq!(next(&mut up).await["was"], "down");
}

/// The program with these arguments beside the gateway, while it runs.
fn started(gateway: &Gateway, arguments: &[&str]) -> Child {
    let mut command = Command::new(MOONGATE);
    command.args(arguments).current_dir(gateway.folder()).stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The same, once it says that it watches.
async fn tapping(gateway: &Gateway, arguments: &[&str]) -> Child {
    let mut child = started(gateway, &[&["tap"], arguments].concat());
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = soon("tap watches", talk.next_line()).await.unwrap();
    assert_eq!(first.as_deref(), Some("watching; Ctrl-C ends it"));
    tokio::spawn(async move { while let Ok(Some(_)) = talk.next_line().await {} });
    child
}

async fn output(child: Child) -> (Option<i32>, String) {
    let output = soon("the command's end", child.wait_with_output()).await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn signal(which: &str, pid: u32) {
    assert!(std::process::Command::new("kill").args([which, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn tap_prints_a_line_for_each_event_that_fits_and_ends_when_told() {
    let (_agent, gateway) = home("").await;
    let caller = Caller::rpc(&gateway.plain());
    let json = tapping(&gateway, &["--count", "1", "--json", "--skill", "lights.set"]).await;
    let text = tapping(&gateway, &["--count", "2"]).await;
    let endless = tapping(&gateway, &[]).await;
    caller.call(Operation::Get, &on("nothing")).await.unwrap_err();
    let made = id(&task(&caller, &for_skill("lights.set", "echo x")).await);

    let (code, printed) = output(json).await;
    let event: Value = serde_json::from_str(printed.trim_end()).unwrap();
    assert_eq!((code, printed.lines().count(), &event["task"]), (Some(0), 1, &json!(made)));
    let (code, printed) = output(text).await;
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{printed}");
    assert!(
        lines[0].contains("  failed     get           local → the gateway  ")
            && lines[0].contains("MG-0601  task nothing"),
        "{printed}"
    );
    assert!(
        lines[1].contains("  done       send          local → home lights.set  ") && lines[1].contains(&made),
        "{printed}"
    );
    assert!(!printed.contains('\u{1b}'), "no colours where there is no terminal: {printed:?}");

    signal("-INT", endless.id().unwrap());
    let (code, printed) = output(endless).await;
    assert_eq!((code, printed.lines().count()), (Some(0), 2), "Ctrl-C is a good end");
    let quiet = started(&gateway, &["tap", "--seconds", "1", "--who", "nobody"]);
    assert_eq!(output(quiet).await, (Some(0), String::new()));
    let wrong = moongate(gateway.folder(), &["tap", "--count", "0"]).await;
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test]
async fn tap_ends_with_the_gateway_and_says_why() {
    let (_agent, mut gateway) = home("").await;
    let mut child = started(&gateway, &["tap"]);
    let mut talk = BufReader::new(child.stderr.take().unwrap()).lines();
    soon("tap watches", talk.next_line()).await.unwrap();
    gateway.terminate().await;
    assert!(soon("why", talk.next_line()).await.unwrap().unwrap().starts_with("error[MG-0902]: "));
    assert_eq!(output(child).await.0, Some(2));
    let nobody = moongate(gateway.folder(), &["tap"]).await;
    assert!(nobody.status.code() == Some(2) && err(&nobody).contains("no gateway answers"), "{}", err(&nobody));
}

#[tokio::test]
async fn top_shows_agents_with_their_health_and_figures() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    task(&caller, &for_skill("lights.set", "echo x")).await;
    caller.call(Operation::Get, &on("nothing")).await.unwrap_err();
    let asked = id(&task(&caller, &for_skill("blinds.open", "echo open")).await);
    let shown = moongate(gateway.folder(), &["top", "--once"]).await;
    let text = out(&shown);
    assert!(shown.status.success() && !text.contains('\u{1b}'), "{text:?}{}", err(&shown));
    let of = |name: &str| {
        text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    };
    let words: Vec<String> = of("home ").split_whitespace().map(str::to_owned).collect();
    assert_eq!(
        (words[1].as_str(), words[words.len() - 3].as_str(), words[words.len() - 2].as_str()),
        ("up", "2", "0"),
        "{text}"
    );
    assert!(of("(the gateway)").split_whitespace().rev().nth(1) == Some("1"), "its own failure: {text}");
    assert!(of(&question(&gateway, &asked).await).contains("echo open"), "{text}");

    let view = moongate(gateway.folder(), &["top", "--once", "--json"]).await;
    let view: Value = serde_json::from_slice(&view.stdout).unwrap();
    let agent = view["agents"].as_array().unwrap().iter().find(|row| row["name"] == "home").unwrap().clone();
    assert_eq!((&agent["health"], &agent["requests"], &agent["in_flight"]), (&json!({"up": 1}), &json!(2), &json!(0)));
    assert_eq!((view["requests"].as_u64(), view["questions"].as_array().unwrap().len()), (Some(3), 1), "{view}");
}

#[tokio::test]
async fn tops_figures_are_those_of_the_last_look() {
    let (_agent, gateway) = home("").await;
    let load = Load::with(gateway.plain(), "/a2a", || message("echo x"));
    let view = moongate(gateway.folder(), &["top", "--json"]).await;
    load.stop().await;
    let view: Value = serde_json::from_slice(&view.stdout).unwrap();
    let agent = view["agents"].as_array().unwrap().iter().find(|row| row["name"] == "home").unwrap().clone();
    for figures in [&view, &agent] {
        let number = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {figures}"));
        assert!(number("requests_per_second") > 0.0 && number("errors_per_second") == 0.0, "{figures}");
        assert!(number("p50_ms") > 0.0 && number("p99_ms") >= number("p50_ms"), "{figures}");
    }
}

/// `moongate top` in a terminal of its own, by util-linux' `script`; its process id is in the file `pid`.
fn in_a_terminal(gateway: &Gateway) -> Child {
    let line = format!("echo $$ > pid; exec {MOONGATE} top");
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).current_dir(gateway.folder()).kill_on_drop(true);
    command.env("SHELL", "/bin/sh").env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn top_gives_the_terminal_back_however_it_ends() {
    let (_agent, gateway) = home("").await;
    for by in ["ctrl-c", "-TERM"] {
        let mut child = in_a_terminal(&gateway);
        let (mut screen, mut seen) = (child.stdout.take().unwrap(), Vec::new());
        let has = |seen: &[u8], what: &str| String::from_utf8_lossy(seen).contains(what);
        let mut buffer = [0; 4096];
        while !has(&seen, "home ") || String::from_utf8_lossy(&seen).matches("\u{1b}[H").count() < 2 {
            let count = soon("a second picture", screen.read(&mut buffer)).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..count]);
        }
        assert!(has(&seen, "\u{1b}[?1049h\u{1b}[?25l") && !has(&seen, "\u{1b}[?1049l"));
        match by {
            "ctrl-c" => child.stdin.as_mut().unwrap().write_all(b"\x03").await.unwrap(),
            _ => signal(by, std::fs::read_to_string(gateway.folder().join("pid")).unwrap().trim().parse().unwrap()),
        }
        soon("the end", screen.read_to_end(&mut seen)).await.unwrap();
        assert!(has(&seen, "\u{1b}[?25h\u{1b}[?1049l"), "{by}: {}", String::from_utf8_lossy(&seen));
        let status = soon("the end", child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{by}");
    }
}

#[tokio::test]
async fn names_of_strangers_reach_no_terminal_as_they_are() {
    let agent =
        Agent::start("odd", &[json!({"id": HOSTILE, "name": HOSTILE, "description": HOSTILE, "tags": ["odd"]})]).await;
    let rule = "[[policy]]\nname = \"odd\"\nconfirm = 'skill.tags.exists(t, t == \"odd\")'\n";
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{rule}{}", agent.entry())).await;
    let (text, json) =
        (tapping(&gateway, &["--count", "1"]).await, tapping(&gateway, &["--count", "1", "--json"]).await);
    let answer = send(&gateway.plain(), "/agents/odd", &routed(HOSTILE, &json!({"skillId": HOSTILE}))).await;
    assert!(answer.json()["result"]["task"].is_object(), "{}", answer.text());
    let top = moongate(gateway.folder(), &["top", "--once"]).await;
    let (text, json) = (output(text).await.1, output(json).await.1);
    for shown in [&text, &json, &out(&top)] {
        let bad = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!shown.contains(bad), "{shown:?}");
    }
    assert!(text.contains("x\\u{1b}[2J") && out(&top).contains("x\\u{1b}[2J"), "{text}{}", out(&top));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["skill"], HOSTILE, "programs get it as it is");
}
