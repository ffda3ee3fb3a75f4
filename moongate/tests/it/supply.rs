//! What agents lack and the gateway supplies: streams, subscriptions, lists, push notifications.

use moongate_testkit::agent::{Agent, Plan, Received};
use moongate_testkit::receiver::Receiver;
use serde_json::{Value, json};

use crate::stage::*;

const ALLOW: &str = "[egress]\nallow = [\"127.0.0.0/8\"]\n";

/// What a reader of a stream knows after each event: the state, or the artifact as it stands. Chunks and whole artifacts
/// come to the same.
fn known(events: &[Value]) -> Vec<String> {
    let mut artifact = String::new();
    let known = |event: &Value| {
        if event.get("artifactUpdate").is_none() {
            let status = event.get("task").or_else(|| event.get("statusUpdate")).unwrap();
            return state(status).to_owned();
        }
        let update = &event["artifactUpdate"];
        let parts = update["artifact"]["parts"].as_array().unwrap();
        let text: Vec<&str> = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
        let before = if update["append"] == true { format!("{artifact}|") } else { String::new() };
        artifact = before + &text.join("|");
        artifact.clone()
    };
    events.iter().map(known).collect()
}

/// What one client hears of one agent in each operation that has to do with tasks.
async fn heard(caller: &Caller, agent: &Agent, receiver: &Receiver) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: &str, line: String| told.push(format!("{what}: {line}"));
    let events = caller.events(Operation::Stream, &saying("stream 3")).await.unwrap();
    assert!(events[0].get("task").is_some(), "a stream begins with its task: {events:?}");
    tell("stream", format!("{:?}", known(&events)));
    let done = id(&events[0]["task"]);
    tell("get", task_line(&caller.call(Operation::Get, &on(&done)).await.unwrap()));
    tell("subscribe too late", caller.events(Operation::Subscribe, &on(&done)).await.unwrap_err().reason);
    tell("cancel too late", caller.call(Operation::Cancel, &on(&done)).await.unwrap_err().reason);
    tell("send", task_line(&task(caller, &saying("echo blocking")).await));

    let asked = caller.events(Operation::Stream, &saying("ask room")).await.unwrap();
    tell("a question", format!("{:?}", known(&asked)));
    let asked = id(&asked[0]["task"]);
    let answer = caller.events(Operation::Stream, &to_task(&asked, "kitchen")).await.unwrap();
    tell("its answer", format!("{:?}", known(&answer)));

    let slow = id(&task(caller, &at_once("slow light")).await);
    let config = json!({"taskId": slow, "id": "mine", "url": receiver.url(&format!("/{slow}"))});
    let made = caller.call(Operation::PushCreate, &config).await.unwrap();
    tell("push create", made["id"].to_string());
    tell("push get", caller.call(Operation::PushGet, &config).await.unwrap()["id"].to_string());
    tell(
        "push list",
        caller.call(Operation::PushList, &config).await.unwrap()["configs"].as_array().unwrap().len().to_string(),
    );
    let mut events = caller.open(Operation::Subscribe, &on(&slow)).await.unwrap();
    assert!(events.event().await.get("task").is_some(), "the snapshot comes first");
    agent.release(1);
    let rest = known(&events.rest().await.unwrap());
    tell("subscribe", format!("{:?}", rest.iter().filter(|line| *line != "WORKING").collect::<Vec<_>>()));
    let over = |event: &Value| state(&event["statusUpdate"]) == "COMPLETED" || event["status"]["state"] == "completed";
    let mine = |path: &str| path.ends_with(&slow);
    receiver.until("the end is pushed", |all| all.iter().any(|one| mine(&one.path) && over(&one.body))).await;
    caller.call(Operation::PushDelete, &config).await.unwrap();
    tell("push get afterwards", caller.call(Operation::PushGet, &config).await.unwrap_err().reason);

    let slow = id(&task(caller, &at_once("slow dark")).await);
    tell("cancel", state(&caller.call(Operation::Cancel, &on(&slow)).await.unwrap()).to_owned());
    tell("extended card", caller.call(Operation::ExtendedCard, &json!({})).await.unwrap_err().reason);
    if caller.version == Version::V1 {
        let list = caller.call(Operation::List, &json!({})).await.unwrap();
        let states: Vec<&str> = list["tasks"].as_array().unwrap().iter().map(state).collect();
        tell("list", format!("{:?}", &states[..5]));
    }
    told
}

#[tokio::test]
async fn an_agent_without_streams_and_push_looks_like_one_that_has_them() {
    let able = Agent::start(Plan::new("able")).await;
    let bare = Agent::start(Plan::new("bare").bare()).await;
    let gateway = gateway(&[&able, &bare], ALLOW).await;
    let receiver = Receiver::start().await;
    for (binding, version) in SPEAKERS.into_iter().filter(|speaker| speaker.0 != Binding::Grpc) {
        let mut told = Vec::new();
        for (name, agent) in [("able", &able), ("bare", &bare)] {
            let caller = Caller::new(&gateway.plain(), binding, version).at(&format!("/agents/{name}"));
            told.push(heard(&caller, agent, &receiver).await);
        }
        assert_eq!(told[0], told[1], "{} {}", binding.as_str(), version.as_str());
        let stream = "stream: [\"SUBMITTED\", \"WORKING\", \"chunk 1\", \"chunk 1|chunk 2\", \"chunk 1|chunk 2|chunk 3\", \"COMPLETED\"]";
        assert_eq!(told[0][0], stream);
    }
}

#[tokio::test]
async fn a_subscription_begins_with_the_task_and_stays_open_while_input_is_awaited() {
    let able = Agent::start(Plan::new("able")).await;
    let bare = Agent::start(Plan::new("bare").bare()).await;
    let gateway = gateway(&[&able, &bare], "").await;
    for (agent, binding) in
        [("able", Binding::JsonRpc), ("able", Binding::Http), ("able", Binding::Grpc), ("bare", Binding::JsonRpc)]
    {
        let caller = Caller::new(&gateway.plain(), binding, Version::V1).at(&format!("/agents/{agent}"));
        let tenant = (binding == Binding::Grpc).then_some(agent);
        let named = |mut params: Value| {
            params["tenant"] = json!(tenant);
            if tenant.is_none() {
                params.as_object_mut().unwrap().remove("tenant");
            }
            params
        };
        let asked = task(&caller, &named(saying("ask colour"))).await;
        assert_eq!(state(&asked), "INPUT_REQUIRED");
        let mut subscribed = caller.open(Operation::Subscribe, &named(on(&id(&asked)))).await.unwrap();
        let first = subscribed.event().await;
        assert_eq!(first["task"]["id"], asked["id"], "the snapshot comes first");
        assert_eq!(state(&first["task"]), "INPUT_REQUIRED");
        task(&caller, &named(to_task(&id(&asked), "blue"))).await;
        let rest = subscribed.rest().await.unwrap();
        assert_eq!(line(rest.last().unwrap()), "status COMPLETED []", "{agent}");
        assert!(
            lines(&rest).contains(&"artifact answer to blue append=false".to_owned()),
            "{agent}: {:?}",
            lines(&rest)
        );
    }
}

#[tokio::test]
async fn subscribers_hear_the_same_in_the_same_order_and_leaving_cancels_nothing() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], "").await;
    let rpc = Caller::rpc(&gateway.plain());
    let http = Caller::new(&gateway.plain(), Binding::Http, Version::V1);
    let old = Caller::new(&gateway.plain(), Binding::JsonRpc, Version::V03);
    let mut origin = rpc.open(Operation::Stream, &saying("steps 5")).await.unwrap();
    let task = id(&origin.event().await["task"]);
    agent.reached(&task, "TASK_STATE_WORKING").await;
    until_state(&rpc, &task, "WORKING").await;
    let mut listeners = Vec::new();
    for caller in [&rpc, &http, &old, &rpc] {
        let mut events = caller.open(Operation::Subscribe, &on(&task)).await.unwrap();
        let first = events.event().await;
        assert_eq!(first["task"]["id"], json!(task), "the snapshot comes first");
        listeners.push(events);
    }
    agent.release(1);
    let leaver = listeners.pop().unwrap();
    drop(leaver);
    drop(origin);
    agent.release(4);
    let mut heard = Vec::new();
    for events in listeners {
        heard.push(lines(&events.rest().await.unwrap()));
    }
    let chunks: Vec<String> = (1..=5).map(|n| format!("artifact chunk {n} append={}", n > 1)).collect();
    let told: Vec<String> = heard[0].iter().filter(|line| line.starts_with("artifact")).cloned().collect();
    assert_eq!(told, chunks);
    assert_eq!(heard[0].last().unwrap(), "status COMPLETED []");
    assert!(heard.iter().all(|lines| *lines == heard[0]), "{heard:#?}");
    assert_eq!(state(&agent.task(&task).unwrap()), "COMPLETED", "nobody cancelled it");
    assert!(!agent.received().iter().any(|request| request.json()["method"] == "CancelTask"));
}

#[tokio::test]
async fn lists_filter_and_page_and_ask_no_agent() {
    let (one, two) = (Agent::start(Plan::new("one")).await, Agent::start(Plan::new("two").bare()).await);
    let gateway = gateway(&[&one, &two], "").await;
    let rpc = Caller::rpc(&gateway.plain());
    for n in 0..5 {
        task(&rpc.clone().at("/agents/one"), &saying(&format!("echo {n}"))).await;
    }
    let asking = task(&rpc.clone().at("/agents/two"), &saying("ask which")).await;
    for (binding, version) in SPEAKERS.into_iter().filter(|speaker| speaker.1 == Version::V1) {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let list = async |params: Value| caller.call(Operation::List, &params).await.unwrap();
        let all = list(json!({})).await;
        assert_eq!(
            (all["tasks"].as_array().unwrap().len(), &all["totalSize"], &all["pageSize"]),
            (6, &json!(6), &json!(50)),
            "{all}"
        );
        assert_eq!(all["nextPageToken"], "");
        assert_eq!(all["tasks"][0]["id"], asking["id"], "the newest comes first");
        assert!(all["tasks"].as_array().unwrap().iter().all(|task| task.get("artifacts").is_none()), "{all}");
        let waiting = list(json!({"status": "TASK_STATE_INPUT_REQUIRED"})).await;
        assert_eq!(waiting["totalSize"], 1);
        let context = list(json!({"contextId": asking["contextId"]})).await;
        assert_eq!(context["tasks"][0]["id"], asking["id"]);
        assert_eq!(list(json!({"contextId": "nobody's"})).await["totalSize"], 0);
        let shown = list(json!({"includeArtifacts": true, "status": "TASK_STATE_COMPLETED"})).await;
        assert!(
            shown["tasks"].as_array().unwrap().iter().all(|task| task["artifacts"][0]["parts"][0]["text"].is_string()),
            "{shown}"
        );
        assert_eq!(list(json!({"statusTimestampAfter": "2099-01-01T00:00:00Z"})).await["totalSize"], 0);
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = list(json!({"pageSize": 4, "pageToken": token})).await;
            seen.extend(page["tasks"].as_array().unwrap().iter().map(id));
            token = page["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
        }
        let order: Vec<String> = all["tasks"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(seen, order, "pages hold everything once, in order");
        for bad in [
            json!({"pageSize": 101}),
            json!({"pageSize": -1}),
            json!({"pageToken": "forged"}),
            json!({"historyLength": -1}),
        ] {
            let refusal = caller.call(Operation::List, &bad).await.unwrap_err();
            assert_eq!(refusal.reason, "INVALID_PARAMS", "{bad} over {}", binding.as_str());
        }
    }
    let of_one = rpc.clone().at("/agents/one").call(Operation::List, &json!({})).await.unwrap();
    assert_eq!(of_one["totalSize"], 5, "a base shows its own agent's tasks");
    let listed = |request: &Received| request.json()["method"] == "ListTasks";
    assert!(!one.received().iter().chain(&two.received()).any(listed), "lists are answered from the index");
}

#[tokio::test]
async fn push_notifications_carry_token_credentials_and_every_event() {
    let able = Agent::start(Plan::new("able")).await;
    let bare = Agent::start(Plan::new("bare").bare()).await;
    let gateway = gateway(&[&able, &bare], ALLOW).await;
    for agent in [&able, &bare] {
        let name = if std::ptr::eq(agent, &able) { "able" } else { "bare" };
        let receiver = Receiver::answering(&[500]).await;
        let caller = Caller::rpc(&gateway.plain()).at(&format!("/agents/{name}"));
        let held = task(&caller, &at_once("slow push")).await;
        let config = json!({
            "taskId": held["id"], "url": receiver.url("/hook"), "token": "tok-1",
            "authentication": {"scheme": "Bearer", "credentials": "cred-1"},
        });
        caller.call(Operation::PushCreate, &config).await.unwrap();
        agent.release(1);
        let over = |event: &Value| state(&event["statusUpdate"]) == "COMPLETED";
        let got = receiver.until("the last event is delivered", |all| all.iter().any(|one| over(&one.body))).await;
        assert_eq!(got[0].answered, 500);
        assert_eq!(got[0].body, got[1].body, "what was refused is tried again, before anything else");
        for delivery in &got {
            assert_eq!(delivery.header("content-type"), Some("application/a2a+json"));
            assert_eq!(delivery.header("x-a2a-notification-token"), Some("tok-1"));
            assert_eq!(delivery.header("authorization"), Some("Bearer cred-1"));
            assert_eq!(delivery.path, "/hook");
            assert_eq!(delivery.body.as_object().unwrap().len(), 1, "a StreamResponse: {}", delivery.body);
        }
        let told = lines(&got[1..].iter().map(|one| one.body.clone()).collect::<Vec<_>>());
        assert!(told.contains(&"artifact push append=false".to_owned()), "{name}: {told:?}");
        assert_eq!(told.iter().filter(|line| line.starts_with("status COMPLETED")).count(), 1, "{told:?}");
    }
}

#[tokio::test]
async fn a_config_in_the_send_counts_and_older_clients_get_the_whole_task() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], ALLOW).await;
    for (binding, version) in
        [(Binding::JsonRpc, Version::V1), (Binding::JsonRpc, Version::V03), (Binding::Http, Version::V03)]
    {
        let receiver = Receiver::start().await;
        let caller = Caller::new(&gateway.plain(), binding, version);
        let mut params = saying("echo told");
        params["configuration"] =
            json!({"taskPushNotificationConfig": {"id": "inline", "url": receiver.url("/inline"), "token": "tok-2"}});
        task(&caller, &params).await;
        let got = receiver.until("something is delivered", |all| !all.is_empty()).await;
        let last = got.last().unwrap();
        assert_eq!(last.header("x-a2a-notification-token"), Some("tok-2"));
        if version == Version::V1 {
            assert_eq!(state(&last.body["task"]), "COMPLETED", "{}", last.body);
        } else {
            assert_eq!((&last.body["kind"], &last.body["status"]["state"]), (&json!("task"), &json!("completed")));
            assert_eq!(last.header("content-type"), Some("application/json"));
        }
        let seen = String::from_utf8_lossy(&agent.last_received().body).into_owned();
        assert!(
            !seen.contains("inline") && seen.contains("echo told"),
            "the agent must not learn of the receiver: {seen}"
        );
    }
}

#[tokio::test]
async fn configs_are_kept_apart_and_one_that_is_gone_is_dropped() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], ALLOW).await;
    let caller = Caller::rpc(&gateway.plain());
    let (gone, kept) = (Receiver::answering(&[410]).await, Receiver::start().await);
    let held = id(&task(&caller, &at_once("steps 3")).await);
    for (name, receiver) in [("gone", &gone), ("kept", &kept)] {
        let config = json!({"taskId": held, "id": name, "url": receiver.url("/")});
        caller.call(Operation::PushCreate, &config).await.unwrap();
    }
    let again = json!({"taskId": held, "id": "kept", "url": kept.url("/replaced")});
    caller.call(Operation::PushCreate, &again).await.unwrap();
    agent.release(3);
    let over = |event: &Value| state(&event["statusUpdate"]) == "COMPLETED";
    let got = kept.until("the end is pushed", |all| all.iter().any(|one| over(&one.body))).await;
    let chunks: Vec<String> = got.iter().map(|one| line(&one.body)).filter(|line| line.contains("chunk")).collect();
    let expected: Vec<String> = (1..=3).map(|n| format!("artifact chunk {n} append={}", n > 1)).collect();
    assert_eq!(chunks, expected, "each event once, in order");
    assert!(got.iter().filter(|one| line(&one.body).contains("chunk")).all(|one| one.path == "/replaced"));
    let list = caller.call(Operation::PushList, &json!({"taskId": held})).await.unwrap();
    let left: Vec<&Value> = list["configs"].as_array().unwrap().iter().map(|config| &config["id"]).collect();
    assert_eq!(left, [&json!("kept")], "410 ends a config");
    assert_eq!(gone.got().len(), 1, "and nothing more is sent there");
    for receiver in [&gone, &kept] {
        let late = json!({"taskId": held, "id": "late", "url": receiver.url("/late")});
        caller.call(Operation::PushCreate, &late).await.unwrap();
    }
}

#[tokio::test]
async fn addresses_that_strangers_may_not_name_are_refused_as_configs() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], "").await;
    let caller = Caller::rpc(&gateway.plain());
    let held = task(&caller, &at_once("slow push")).await;
    for url in [
        "http://127.0.0.1:9000/x",
        "https://127.0.0.1/x",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest",
        "http://example.org/x",
        "https://example.org:22/x",
        "file:///etc/passwd",
        "https://user:pw@example.org/",
        "https://0x7f000001/",
        "nonsense",
    ] {
        let config = json!({"taskId": held["id"], "url": url});
        let refusal = caller.call(Operation::PushCreate, &config).await.unwrap_err();
        assert_eq!(refusal.reason, "INVALID_PARAMS", "{url}: {refusal:?}");
    }
    let list = caller.call(Operation::PushList, &json!({"taskId": held["id"]})).await.unwrap();
    assert_eq!(list["configs"], json!([]));
}

#[tokio::test]
async fn an_agent_whose_flags_are_repeated_is_refused_what_it_denies() {
    let bare = Agent::start(Plan::new("bare").bare()).await;
    let gateway = with_entries(&[bare.entry("capabilities = \"agent\"")], ALLOW).await;
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let held = task(&caller, &saying("ask it")).await;
        let refusal = caller.events(Operation::Stream, &saying("echo no")).await.unwrap_err();
        assert_eq!(refusal.reason, "UNSUPPORTED_OPERATION", "{}", binding.as_str());
        let refusal = caller.events(Operation::Subscribe, &on(&id(&held))).await.unwrap_err();
        assert_eq!(refusal.reason, "UNSUPPORTED_OPERATION", "{}", binding.as_str());
        let config = json!({"taskId": held["id"], "id": "c", "url": "http://127.0.0.1:9/x"});
        let refusal = caller.call(Operation::PushCreate, &config).await.unwrap_err();
        assert_eq!(refusal.reason, "PUSH_NOTIFICATION_NOT_SUPPORTED", "{}", binding.as_str());
    }
    let card = raw::exchange(
        raw::address(&gateway.plain()),
        raw::request("GET", "/agents/bare/.well-known/agent-card.json", &[], ""),
    )
    .await;
    assert_eq!(card.json()["capabilities"]["streaming"], false);
}

#[tokio::test]
async fn ids_that_two_agents_both_use_lead_back_to_the_right_one() {
    let one = Agent::start(Plan { ids: "same".into(), ..Plan::new("one") }).await;
    let two = Agent::start(Plan { ids: "same".into(), ..Plan::new("two") }).await;
    let gateway = gateway(&[&one, &two], ALLOW).await;
    for (n, (binding, version)) in SPEAKERS.into_iter().filter(|speaker| speaker.0 != Binding::Grpc).enumerate() {
        let at = |name: &str| Caller::new(&gateway.plain(), binding, version).at(&format!("/agents/{name}"));
        let first = task(&at("one"), &saying("ask one")).await;
        let second = task(&at("two"), &saying("ask two")).await;
        assert_eq!(first["id"], format!("same-{n}"), "the first keeps the agent's id");
        assert_ne!(second["id"], first["id"]);
        assert_eq!(second["history"][0]["taskId"], second["id"], "the mapped id stands everywhere: {second}");
        let domain = Caller::new(&gateway.plain(), binding, version);
        let got = domain.call(Operation::Get, &on(&id(&second))).await.unwrap();
        assert_eq!(got["id"], second["id"]);
        assert!(task_line(&got).contains("which two?"), "{got}");
        let events = domain.events(Operation::Stream, &to_task(&id(&second), "go on")).await.unwrap();
        assert!(!format!("{events:?}").contains(&format!("\"same-{n}\"")), "the agent's own id shows: {events:?}");
        assert_eq!(state(&two.task(&format!("same-{n}")).unwrap()), "COMPLETED");
        assert_eq!(state(&one.task(&format!("same-{n}")).unwrap()), "INPUT_REQUIRED");
        let first = task(&domain, &to_task(&id(&first), "go on too")).await;
        assert_eq!(state(&first), "COMPLETED");
        assert_eq!(state(&one.task(&format!("same-{n}")).unwrap()), "COMPLETED");
    }
}

#[tokio::test]
async fn ids_that_were_never_seen_are_not_found_and_no_agent_is_asked() {
    let agent = Agent::start(Plan::new("able")).await;
    let adopted = Agent::start(Plan::new("adopted")).await;
    let gateway = with_entries(&[agent.entry(""), adopted.entry("adopt = true")], ALLOW).await;
    // Tasks that the agents have, but nobody got from here.
    for agent in [&agent, &adopted] {
        let direct = Caller { address: agent.address(), base: "/rpc".into(), ..Caller::rpc(&gateway.plain()) };
        task(&direct, &saying("echo direct")).await;
    }
    let before = agent.received().len();
    for (binding, version) in SPEAKERS {
        for base in ["/a2a", "/agents/able"] {
            let caller = Caller::new(&gateway.plain(), binding, version).at(base);
            for task in ["able-task-0", "adopted-task-0", "nobody"] {
                let name = format!("{task} at {base} over {} {}", binding.as_str(), version.as_str());
                for operation in [Operation::Get, Operation::Cancel] {
                    assert_eq!(caller.call(operation, &on(task)).await.unwrap_err().reason, "TASK_NOT_FOUND", "{name}");
                }
                let stream = caller.events(Operation::Subscribe, &on(task)).await.unwrap_err();
                assert_eq!(stream.reason, "TASK_NOT_FOUND", "{name}");
                let send = caller.call(Operation::Send, &to_task(task, "echo in")).await.unwrap_err();
                assert_eq!(send.reason, "TASK_NOT_FOUND", "{name}");
                let config = json!({"taskId": task, "id": "c", "url": "http://127.0.0.1:9/x"});
                for operation in [Operation::PushCreate, Operation::PushGet, Operation::PushList, Operation::PushDelete]
                {
                    assert_eq!(
                        caller.call(operation, &config).await.unwrap_err().reason,
                        "TASK_NOT_FOUND",
                        "{operation:?} {name}"
                    );
                }
            }
        }
    }
    assert_eq!(agent.received().len(), before, "no agent is asked on a stranger's behalf");
    let known =
        Caller::rpc(&gateway.plain()).at("/agents/adopted").call(Operation::Get, &on("adopted-task-0")).await.unwrap();
    assert_eq!(state(&known), "COMPLETED", "an agent with adopt is asked on its own base");
}
