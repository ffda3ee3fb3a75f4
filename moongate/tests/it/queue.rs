//! Tasks that wait: for agents that are away, by somebody's wish, and until their time is over.

use moongate_testkit::agent::{Agent as Scripted, Plan};
use serde_json::{Value, json};

use crate::stage::{Binding, Caller, Operation, SPEAKERS, Version, id, on, saying, state, until_state, with_entries};
use crate::support::{Agent, Gateway, MOONGATE, Manner, eventually, http};

const PAUSE: &str = "https://w3id.org/moongate/extensions/pause-resume/v1";
const LISTEN: &str = "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n";

/// A gateway with an agent that is away; `more` is further configuration of the agent.
async fn away(more: &str) -> (Agent, Gateway) {
    let agent = Agent::start("hub", &[json!("hub.do")]).await;
    agent.set_manner(Manner::Unavailable);
    let entry = format!("[[agents]]\nname = \"hub\"\ncard_url = \"{}\"\n{more}\n", agent.card_url());
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{entry}")).await;
    (agent, gateway)
}

fn at_once(words: &str) -> Value {
    let mut params = saying(words);
    params["configuration"] = json!({"returnImmediately": true});
    params
}

/// The texts that the agent was asked while it was there.
fn texts(agent: &Agent, from: usize) -> Vec<String> {
    let text = |params: &Value| params["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
    agent.seen()[from..].iter().filter(|seen| seen.method == "SendMessage").map(|seen| text(&seen.params)).collect()
}

#[tokio::test]
async fn a_message_to_an_agent_that_is_away_waits_for_it_also_over_a_restart() {
    let (agent, mut gateway) = away("").await;
    let mut waiting = Vec::new();
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let sent = caller.call(Operation::Send, &at_once(&format!("{} {}", binding.as_str(), version.as_str()))).await;
        let task = sent.unwrap()["task"].clone();
        assert_eq!(state(&task), "SUBMITTED", "{task}");
        waiting.push(id(&task));
    }
    let listed = Caller::rpc(&gateway.plain()).call(Operation::List, &json!({})).await.unwrap();
    assert_eq!(listed["totalSize"], SPEAKERS.len());
    gateway.restart().await;
    let from = agent.seen().len();
    agent.set_manner(Manner::Done);
    let caller = Caller::rpc(&gateway.plain());
    for task in &waiting {
        let done = until_state(&caller, task, "COMPLETED").await;
        assert_eq!((&done["id"], &done["history"][0]["role"]), (&json!(task), &json!("ROLE_USER")), "{done}");
    }
    let mut heard = texts(&agent, from);
    heard.sort();
    heard.dedup();
    assert_eq!(heard.len(), SPEAKERS.len(), "each was handed over: {heard:?}");
}

#[tokio::test]
async fn who_waits_gets_the_end_and_a_stream_begins_with_the_waiting_task() {
    let (agent, gateway) = away("").await;
    let plain = gateway.plain();
    let blocking = {
        let caller = Caller::rpc(&plain);
        tokio::spawn(async move { caller.call(Operation::Send, &saying("blocking")).await })
    };
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&plain, binding, version);
        let mut events = caller.open(Operation::Stream, &saying("streamed")).await.unwrap();
        let first = events.event().await;
        assert_eq!(state(&first["task"]), "SUBMITTED", "{first}");
        agent.set_manner(Manner::Done);
        let rest = events.rest().await.unwrap();
        let last = rest.last().unwrap();
        assert_eq!(state(&last["statusUpdate"]), "COMPLETED", "{} {}: {rest:?}", binding.as_str(), version.as_str());
        agent.set_manner(Manner::Unavailable);
    }
    agent.set_manner(Manner::Done);
    assert_eq!(state(&blocking.await.unwrap().unwrap()["task"]), "COMPLETED");
}

#[tokio::test]
async fn a_message_in_answer_becomes_a_finished_task() {
    let (agent, gateway) = away("").await;
    let caller = Caller::rpc(&gateway.plain());
    let task = caller.call(Operation::Send, &at_once("hello")).await.unwrap()["task"].clone();
    agent.set_manner(Manner::Message);
    let done = until_state(&caller, &id(&task), "COMPLETED").await;
    let said = &done["status"]["message"]["parts"][0]["text"];
    assert_eq!((said, &done["artifacts"][0]["parts"][0]["text"]), (&json!("hub: hello"), said), "{done}");
}

#[tokio::test]
async fn what_waits_is_cancelled_at_once_and_its_agent_never_hears_of_it() {
    let (agent, gateway) = away("").await;
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let task = caller.call(Operation::Send, &at_once("never")).await.unwrap()["task"].clone();
        let over = caller.call(Operation::Cancel, &on(&id(&task))).await.unwrap();
        assert_eq!(state(&over), "CANCELED");
        let again = caller.call(Operation::Cancel, &on(&id(&task))).await.unwrap_err();
        assert_eq!(again.reason, "TASK_NOT_CANCELABLE");
    }
    let from = agent.seen().len();
    agent.set_manner(Manner::Done);
    let caller = Caller::rpc(&gateway.plain());
    let after = caller.call(Operation::Send, &at_once("after")).await.unwrap()["task"].clone();
    until_state(&caller, &id(&after), "COMPLETED").await;
    assert_eq!(texts(&agent, from), ["after"]);
}

#[tokio::test]
async fn what_is_paused_waits_also_over_a_restart_and_goes_on_when_resumed() {
    let (agent, mut gateway) = away("").await;
    let mut held = Vec::new();
    for (binding, version) in SPEAKERS.into_iter().filter(|speaker| speaker.1 == Version::V1) {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let task = id(&caller.call(Operation::Send, &at_once("held")).await.unwrap()["task"]);
        let paused = pause(&caller, &task).await;
        assert_eq!((state(&paused), &paused["metadata"][PAUSE]["paused"]), ("SUBMITTED", &json!(true)), "{paused}");
        assert_eq!(pause(&caller, &task).await["metadata"], paused["metadata"], "twice is once");
        held.push((binding, task));
    }
    gateway.restart().await;
    let from = agent.seen().len();
    agent.set_manner(Manner::Done);
    let rpc = Caller::rpc(&gateway.plain());
    let other = rpc.call(Operation::Send, &saying("others go on")).await.unwrap();
    assert!(other.get("task").is_some(), "{other}");
    for (binding, task) in held {
        let caller = Caller::new(&gateway.plain(), binding, Version::V1);
        assert_eq!(state(&rpc.call(Operation::Get, &on(&task)).await.unwrap()), "SUBMITTED");
        let resumed = caller.call(Operation::Resume, &on(&task)).await.unwrap();
        assert_eq!(resumed["metadata"][PAUSE]["paused"], false, "{resumed}");
        let done = until_state(&rpc, &task, "COMPLETED").await;
        assert_eq!(done["id"], task.as_str());
        assert_eq!(
            caller.call(Operation::Pause, &on(&task)).await.unwrap_err().gateway_code.as_deref(),
            Some("MG-0603")
        );
    }
    assert_eq!(texts(&agent, from).iter().filter(|text| *text == "held").count(), 3);
}

/// Pauses, even if the task is being tried at this very moment.
async fn pause(caller: &Caller, task: &str) -> Value {
    let paused = moongate_testkit::gateway::until(|| async { caller.call(Operation::Pause, &on(task)).await.ok() });
    paused.await.expect("it is paused between two tries")
}

#[tokio::test]
async fn what_an_agent_works_on_is_paused_by_agents_that_can_and_refused_by_others() {
    let able = Scripted::start(Plan { extensions: vec![PAUSE.into()], ..Plan::new("able") }).await;
    let unable = Scripted::start(Plan::new("unable")).await;
    let gateway = with_entries(&[able.entry(""), unable.entry("")], "").await;
    for (binding, version) in SPEAKERS.into_iter().filter(|speaker| speaker.1 == Version::V1) {
        let of = |name: &str| Caller::new(&gateway.plain(), binding, version).at(&format!("/agents/{name}"));
        let params = |name: &str| {
            let mut params = at_once("slow work");
            if binding == Binding::Grpc {
                params["tenant"] = json!(name);
            }
            params
        };
        let task = id(&of("unable").call(Operation::Send, &params("unable")).await.unwrap()["task"]);
        let refusal = of("unable").call(Operation::Pause, &on(&task)).await.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.gateway_code.as_deref()),
            ("UNSUPPORTED_OPERATION", Some("MG-0605"))
        );
        let task = id(&of("able").call(Operation::Send, &params("able")).await.unwrap()["task"]);
        let paused = of("able").call(Operation::Pause, &on(&task)).await.unwrap();
        assert_eq!(paused["metadata"][PAUSE]["paused"], true);
        able.heard("the wish", |request| request.json()["method"] == "PauseTask").await;
        of("able").call(Operation::Resume, &on(&task)).await.unwrap();
        able.heard("the wish", |request| request.json()["method"] == "ResumeTask").await;
        able.release(1);
        until_state(&of("able"), &task, "COMPLETED").await;
    }
    unable.release(3);
}

#[tokio::test]
async fn a_key_makes_one_task_of_a_request_that_comes_twice_and_a_message_id_does_not() {
    let (agent, gateway) = away("").await;
    agent.set_manner(Manner::Done);
    let plain = gateway.plain();
    let mut params = saying("once");
    params["message"]["messageId"] = json!("the-same");
    let keyed = Caller::rpc(&plain).with("idempotency-key", "key-1");
    let first = keyed.call(Operation::Send, &params).await.unwrap()["task"].clone();
    assert_eq!(state(&first), "COMPLETED");
    let again = keyed.call(Operation::Send, &params).await.unwrap()["task"].clone();
    assert_eq!(first["id"], again["id"]);
    assert_eq!(texts(&agent, 0), ["once"]);
    params["message"]["parts"][0]["text"] = json!("another");
    let refusal = keyed.call(Operation::Send, &params).await.unwrap_err();
    assert_eq!(refusal.gateway_code.as_deref(), Some("MG-0609"), "{refusal:?}");
    let bare = Caller::rpc(&plain);
    let (one, two) =
        (bare.call(Operation::Send, &params).await.unwrap(), bare.call(Operation::Send, &params).await.unwrap());
    assert_ne!(one["task"]["id"], two["task"]["id"]);
    for (name, value) in [("idempotency-key", ""), ("moongate-priority", "10"), ("last-event-id", "seven")] {
        let refusal = Caller::rpc(&plain).with(name, value).call(Operation::Send, &params).await.unwrap_err();
        assert_eq!(refusal.reason, "INVALID_PARAMS", "{name}");
    }
}

#[tokio::test]
async fn a_keyed_request_that_waits_for_the_end_is_not_in_its_own_way() {
    let (agent, gateway) = away("max_in_flight = 1").await;
    agent.set_manner(Manner::Done);
    let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", "key-1");
    let task = keyed.call(Operation::Send, &saying("alone")).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "COMPLETED", "{task}");
}

#[tokio::test]
async fn a_key_goes_with_what_begins_a_task_and_is_refused_where_it_would_be_ignored() {
    let (agent, gateway) = away("").await;
    agent.set_manner(Manner::Done);
    let caller = Caller::rpc(&gateway.plain());
    let task = id(&caller.call(Operation::Send, &saying("first")).await.unwrap()["task"]);
    let heard = agent.seen().len();
    let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", "key-1");
    let refusal = keyed.call(Operation::Send, &crate::stage::to_task(&task, "more")).await.unwrap_err();
    assert_eq!(refusal.reason, "INVALID_PARAMS", "{refusal:?}");
    assert_eq!(agent.seen().len(), heard, "the agent hears nothing of it");
}

#[tokio::test]
async fn credentials_of_push_receivers_reach_no_agent_and_no_file() {
    let (agent, mut gateway) = away("").await;
    let caller = Caller::rpc(&gateway.plain());
    for (name, manner) in [
        ("taskPushNotificationConfig", Manner::Done),
        ("pushNotificationConfig", Manner::Done),
        ("taskPushNotificationConfig", Manner::Unavailable),
        ("pushNotificationConfig", Manner::Unavailable),
    ] {
        agent.set_manner(manner);
        let mut params = at_once("tell me");
        params["configuration"][name] = json!({"url": "https://hooks.invalid/hook", "token": "hidden-token",
            "authentication": {"scheme": "Bearer", "credentials": "hidden-credential"}});
        let task = id(&caller.call(Operation::Send, &params).await.unwrap()["task"]);
        let configs = caller.call(Operation::PushList, &json!({"taskId": task})).await.unwrap();
        assert_eq!(configs["configs"][0]["token"], "hidden-token", "{name}, {manner:?}: it is a config: {configs}");
        let config = &configs["configs"][0];
        assert_eq!((&config["id"], &config["taskId"]), (&json!(task), &json!(task)), "{name}, {manner:?}");
        agent.set_manner(Manner::Done);
        until_state(&caller, &task, "COMPLETED").await;
    }
    for seen in agent.seen() {
        assert!(!seen.params.to_string().contains("hidden"), "{}", seen.params);
    }
    gateway.kill().await;
    let mut looked = 0;
    for entry in std::fs::read_dir(gateway.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("moongate.db") {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"hidden"), "{}", path.display());
            looked += usize::from(bytes.windows(7).any(|window| window == b"tell me"));
        }
    }
    assert!(looked > 0, "the tasks themselves are in the store's files");
}

#[tokio::test]
async fn where_the_operator_says_so_a_message_id_is_a_key() {
    let (agent, gateway) = away("dedup = \"message-id\"").await;
    agent.set_manner(Manner::Done);
    let caller = Caller::rpc(&gateway.plain());
    let params = saying("once");
    let first = caller.call(Operation::Send, &params).await.unwrap()["task"].clone();
    let again = caller.call(Operation::Send, &params).await.unwrap()["task"].clone();
    assert_eq!((&first["id"], texts(&agent, 0).len()), (&again["id"], 1));
}

#[tokio::test]
async fn a_task_that_is_being_handed_over_is_not_cut_off_by_a_stop() {
    let (agent, mut gateway) = away("").await;
    agent.set_manner(Manner::Held);
    let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", "key-1");
    let task = id(&keyed.call(Operation::Send, &at_once("hold on")).await.unwrap()["task"]);
    agent.got(1).await;
    gateway.ask_to_stop();
    gateway.logged(0, |line| line["message"].as_str().is_some_and(|text| text.contains("shuts down"))).await;
    agent.let_go();
    assert_eq!(gateway.ended().await.code(), Some(0));
    gateway.restart().await;
    until_state(&Caller::rpc(&gateway.plain()), &task, "COMPLETED").await;
    assert_eq!(texts(&agent, 0), ["hold on"], "it was handed over once");
}

#[tokio::test]
async fn what_a_crash_cuts_off_is_sent_again_only_if_its_skill_may_be() {
    let (agent, mut gateway) = away("idempotent = [\"hub.do\"]").await;
    agent.set_manner(Manner::Held);
    let mut tasks = Vec::new();
    for (key, skill) in [("key-1", Some("hub.do")), ("key-2", None)] {
        let mut params = at_once(key);
        if let Some(skill) = skill {
            params["message"]["metadata"] = json!({crate::support::ROUTING: {"skillId": skill}});
        }
        let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", key);
        tasks.push(id(&keyed.call(Operation::Send, &params).await.unwrap()["task"]));
    }
    agent.got(2).await;
    gateway.kill().await;
    agent.set_manner(Manner::Done);
    gateway.restart().await;
    let caller = Caller::rpc(&gateway.plain());
    until_state(&caller, &tasks[0], "COMPLETED").await;
    let failed = until_state(&caller, &tasks[1], "FAILED").await;
    assert!(failed["status"]["message"]["parts"][0]["text"].as_str().unwrap().contains("not known"), "{failed}");
    let mut heard = texts(&agent, 0);
    heard.sort();
    assert_eq!(heard, ["key-1", "key-1", "key-2"]);
}

#[tokio::test]
async fn deadlines_run_on_during_a_pause_where_the_operator_says_so() {
    let (_agent, gateway) = away("schedule_to_start_seconds = 0.5\n[tasks]\npause_deadline = \"run\"").await;
    let caller = Caller::rpc(&gateway.plain());
    let task = id(&caller.call(Operation::Send, &at_once("hold")).await.unwrap()["task"]);
    assert_eq!(pause(&caller, &task).await["metadata"][PAUSE]["paused"], true);
    let ended = until_state(&caller, &task, "FAILED").await;
    assert!(ended["status"]["message"]["parts"][0]["text"].as_str().unwrap().contains("schedule-to-start"), "{ended}");
}

#[tokio::test]
async fn an_agent_works_on_so_many_queued_tasks_and_no_more() {
    let other = Agent::start("porch", &[json!("porch.do")]).await;
    let second = format!("[[agents]]\nname = \"porch\"\ncard_url = \"{}\"", other.card_url());
    let (agent, gateway) = away(&format!("concurrency = 2\n{second}")).await;
    agent.set_manner(Manner::Held);
    let caller = Caller::rpc(&gateway.plain());
    let mut tasks = Vec::new();
    for number in 0..5 {
        let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", &format!("key-{number}"));
        let params = json!({"tenant": "hub", "message": at_once("busy")["message"], "configuration": {"returnImmediately": true}});
        tasks.push(id(&keyed.call(Operation::Send, &params).await.unwrap()["task"]));
    }
    agent.got(2).await;
    // What waits for the other agent is handed over meanwhile, again and again: so the queue has looked at this one too.
    for number in 0..5 {
        let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", &format!("other-{number}"));
        let params = json!({"tenant": "porch", "message": saying("free")["message"]});
        assert_eq!(state(&keyed.call(Operation::Send, &params).await.unwrap()["task"]), "COMPLETED");
    }
    assert_eq!(texts(&agent, 0).len(), 2, "the others wait");
    agent.set_manner(Manner::Done);
    agent.let_go();
    for task in &tasks {
        until_state(&caller, task, "COMPLETED").await;
    }
}

#[tokio::test]
async fn an_agent_that_takes_one_at_a_time_is_not_taken_for_one_that_is_away() {
    let (agent, gateway) = away("max_in_flight = 1\n[tasks]\nattempts = 1").await;
    agent.set_manner(Manner::Done);
    let callers: Vec<Caller> =
        (0..8).map(|number| Caller::rpc(&gateway.plain()).with("idempotency-key", &format!("key-{number}"))).collect();
    let params = saying("one of many");
    let all = callers.iter().map(|caller| caller.call(Operation::Send, &params));
    for sent in futures_util::future::join_all(all).await {
        assert_eq!(state(&sent.unwrap()["task"]), "COMPLETED", "none is set aside");
    }
    // Nor is one that finds the place taken by a caller who asked directly.
    let heard = agent.seen().len();
    agent.set_manner(Manner::Held);
    let direct = Caller::rpc(&gateway.plain());
    let busy = tokio::spawn(async move { direct.call(Operation::Send, &saying("in its way")).await });
    agent.got(heard + 1).await;
    let keyed = Caller::rpc(&gateway.plain()).with("idempotency-key", "late");
    let late = id(&keyed.call(Operation::Send, &at_once("late")).await.unwrap()["task"]);
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    eventually("it was tried", || async {
        let path = format!("/api/v1/tasks/{late}");
        let shown = http("GET", &gateway.admin(), &path, &[("authorization", &operator)], None).await.json();
        shown["attempt"].as_u64().unwrap() > 0
    })
    .await;
    agent.set_manner(Manner::Done);
    agent.let_go();
    busy.await.unwrap().unwrap();
    until_state(&keyed, &late, "COMPLETED").await;
}

#[tokio::test]
async fn no_more_tasks_wait_than_the_operator_allows() {
    let (agent, gateway) = away("[limits]\nwaiting = 3").await;
    let caller = Caller::rpc(&gateway.plain());
    let (keyed, once) = (Caller::rpc(&gateway.plain()).with("idempotency-key", "key-1"), at_once("once"));
    let mut waiting = vec![id(&keyed.call(Operation::Send, &once).await.unwrap()["task"])];
    let callers: Vec<Caller> = (0..12).map(|_| Caller::rpc(&gateway.plain())).collect();
    let params = at_once("wait");
    let all = callers.iter().map(|caller| caller.call(Operation::Send, &params));
    for sent in futures_util::future::join_all(all).await {
        match sent {
            Ok(sent) => waiting.push(id(&sent["task"])),
            Err(refusal) => assert_eq!(refusal.gateway_code.as_deref(), Some("MG-0610"), "{refusal:?}"),
        }
    }
    assert_eq!(waiting.len(), 3, "however many come at once");
    let again = keyed.call(Operation::Send, &once).await.unwrap()["task"].clone();
    assert_eq!(id(&again), waiting[0], "who repeats a request hears of its task, full or not");
    let refusal = caller.call(Operation::Send, &at_once("one more")).await.unwrap_err();
    assert_eq!(refusal.gateway_code.as_deref(), Some("MG-0610"), "{refusal:?}");
    caller.call(Operation::Cancel, &on(&waiting[0])).await.unwrap();
    waiting.push(id(&caller.call(Operation::Send, &at_once("there is room again")).await.unwrap()["task"]));
    agent.set_manner(Manner::Done);
    for task in &waiting[1..] {
        until_state(&caller, task, "COMPLETED").await;
    }
}

#[tokio::test]
async fn the_urgent_goes_first_and_one_at_a_time_means_one() {
    let (agent, gateway) = away("concurrency = 1").await;
    let mut tasks = Vec::new();
    for priority in ["9", "4", "0", "5"] {
        let caller = Caller::rpc(&gateway.plain()).with("moongate-priority", priority);
        tasks.push(id(&caller.call(Operation::Send, &at_once(priority)).await.unwrap()["task"]));
    }
    let from = agent.seen().len();
    agent.set_manner(Manner::Done);
    let caller = Caller::rpc(&gateway.plain());
    for task in &tasks {
        until_state(&caller, task, "COMPLETED").await;
    }
    let mut heard = texts(&agent, from);
    heard.dedup();
    // What was being tried when the agent came back may be any of them; the others follow by urgency.
    let rest: Vec<&String> = heard[heard.len() - 3..].iter().collect();
    assert!(rest.is_sorted(), "{heard:?}");
}

#[tokio::test]
async fn a_task_ends_when_its_time_is_over() {
    let why = |task: &Value| task["status"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
    for timeout in ["schedule-to-start", "schedule-to-close"] {
        let (_agent, gateway) = away(&format!("{}_seconds = 0.3", timeout.replace('-', "_"))).await;
        let caller = Caller::rpc(&gateway.plain());
        let task = caller.call(Operation::Send, &saying("too late")).await.unwrap()["task"].clone();
        assert_eq!(state(&task), "FAILED", "whoever waits is told");
        assert!(why(&task).contains(timeout), "{task}");
    }
    for timeout in ["heartbeat", "start-to-close"] {
        let agent = Scripted::start(Plan::new("quiet")).await;
        let entry = agent.entry(&format!("{}_seconds = 0.3", timeout.replace('-', "_")));
        let gateway = with_entries(&[entry], "").await;
        let caller = Caller::rpc(&gateway.plain());
        let task = caller.call(Operation::Send, &at_once("slow and silent")).await.unwrap()["task"].clone();
        let task = until_state(&caller, &id(&task), "FAILED").await;
        assert!(why(&task).contains(timeout), "{task}");
        agent.heard("the agent is told", |request| request.json()["method"] == "CancelTask").await;
    }
}

#[tokio::test]
async fn after_so_many_tries_a_task_is_set_aside_and_its_caller_is_told() {
    let agent = Agent::start("hub", &[json!("hub.do")]).await;
    agent.set_manner(Manner::Unavailable);
    let toml =
        format!("{LISTEN}[tasks]\nattempts = 2\n[[agents]]\nname = \"hub\"\ncard_url = \"{}\"\n", agent.card_url());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let caller = Caller::rpc(&gateway.plain());
    let task = caller.call(Operation::Send, &at_once("hopeless")).await.unwrap()["task"].clone();
    let aside = moongate_testkit::gateway::until(|| async {
        let told = caller.call(Operation::Get, &on(&id(&task))).await.unwrap();
        told["status"].get("message").is_some().then_some(told)
    });
    let aside = aside.await.expect("it is set aside");
    assert_eq!(state(&aside), "SUBMITTED", "an operator may redrive it: {aside}");
    agent.set_manner(Manner::Done);
    let other = caller.call(Operation::Send, &saying("others are served")).await.unwrap();
    assert_eq!(state(&other["task"]), "COMPLETED");
    assert_eq!(state(&caller.call(Operation::Get, &on(&id(&task))).await.unwrap()), "SUBMITTED");
}
