//! Instances that come, go and fail while requests go on.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::*;

/// One agent of two instances.
fn pair(one: &Agent, two: &Agent, more: &str) -> String {
    format!(
        "[balance]\npolicy = \"round_robin\"\nslow_start_seconds = 0\nretry_budget_percent = 100\n{more}\n\
         [[agents]]\nname = \"x\"\nqueue = false\ncard_url = \"{}\"\ninstances = [{{ label = \"b\", card_url = \"{}\" }}]\n",
        one.card_url(),
        two.card_url()
    )
}

#[tokio::test]
async fn requests_go_on_without_failure_when_an_instance_is_killed_and_comes_back() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    // Requests may be with the instance when it dies; that they may be repeated is the operator's word.
    let toml = format!("{}idempotent = [\"work\"]\n", pair(&one, &two, "[routing]\nprobe_seconds = 0.2\n"));
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let load = Load::with(gateway.plain(), "/agents/x", || routed("load", &json!({"skillId": "work"})));
    load.goes_on(20).await;
    assert!(!one.seen().is_empty() && !two.seen().is_empty());
    let address = two.kill().await;
    load.goes_on(50).await;
    eventually("its death is noticed", || async { health(&gateway, "x@b").await != "up" }).await;
    let again = Agent::at("two", &[json!("work")], address).await;
    eventually("its return is noticed", || async { health(&gateway, "x@b").await == "up" }).await;
    soon("it works again", again.got(1)).await;
    load.goes_on(20).await;
    assert!(load.stop().await > 90);
    let metrics = get(&gateway.admin(), "/metrics").await.text();
    assert!(sum(&metrics, "moongate_upstream_retries_total") >= 1, "{metrics}");
}

#[tokio::test]
async fn an_instance_that_died_unnoticed_costs_no_request() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let gateway = Gateway::start(MOONGATE, &pair(&one, &two, "[routing]\nprobe_seconds = 3600\n")).await;
    for _ in 0..6 {
        assert_eq!(send(&gateway.plain(), "/agents/x", &message("work")).await.status, 200);
    }
    assert!(!two.seen().is_empty());
    // Nothing says that these messages may be repeated: only such attempts are that cannot have arrived.
    two.kill().await;
    for _ in 0..10 {
        assert_eq!(send(&gateway.plain(), "/agents/x", &message("work")).await.agent(), "one");
    }
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().unwrap() as u64).sum()
}

#[tokio::test]
async fn what_may_have_reached_an_agent_is_never_sent_twice() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let gateway = Gateway::start(MOONGATE, &pair(&one, &two, "attempts = 3")).await;
    for agent in [&one, &two] {
        agent.set_manner(Manner::Closes);
    }
    let answer = send(&gateway.plain(), "/agents/x", &message("once")).await;
    assert!(matches!(answer.code().as_str(), "MG-0501" | "MG-0503"), "{}", answer.text());
    assert_eq!(one.seen().len() + two.seen().len(), 1, "the request reached one agent, once");
    // The operator may say that a skill can be asked for again.
    let toml = format!("{}idempotent = [\"work\"]\n", pair(&one, &two, "attempts = 3"));
    reload(&gateway, &toml).await;
    let answer = send(&gateway.plain(), "/agents/x", &routed("again", &json!({"skillId": "work"}))).await;
    assert!(answer.json().get("error").is_some());
    assert_eq!(one.seen().len() + two.seen().len(), 3, "each instance was tried once more");
}

#[tokio::test]
async fn an_instance_that_refuses_is_passed_over_and_set_aside() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let more = "consecutive_failures = 2\nbase_ejection_seconds = 1\nmax_ejected_percent = 50";
    let gateway = Gateway::start(MOONGATE, &pair(&one, &two, more)).await;
    two.set_manner(Manner::Unavailable);
    for _ in 0..8 {
        assert_eq!(send(&gateway.plain(), "/agents/x", &message("work")).await.agent(), "one");
    }
    assert_eq!(two.seen().len(), 2, "after two failures it gets nothing more");
    gateway
        .logged(0, |line| {
            line["instance"] == "x@b" && line["message"].as_str().is_some_and(|m| m.contains("set aside"))
        })
        .await;
    let metrics = get(&gateway.admin(), "/metrics").await.text();
    assert!(sum(&metrics, "moongate_upstream_ejections_total") >= 1, "{metrics}");
    // When its time is up, one request finds out that it is well again.
    two.set_manner(Manner::Message);
    let load = Load::start(gateway.plain(), "/agents/x");
    soon("the probe", two.got(4)).await;
    load.stop().await;
    gateway
        .logged(0, |line| line["instance"] == "x@b" && line["message"].as_str().is_some_and(|m| m.contains("is back")))
        .await;
}

#[tokio::test]
async fn nobody_left_is_told_at_once() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let gateway = Gateway::start(MOONGATE, &pair(&one, &two, "")).await;
    one.kill().await;
    two.kill().await;
    let answer = send(&gateway.plain(), "/agents/x", &message("anybody")).await;
    assert!(matches!(answer.code().as_str(), "MG-0501" | "MG-0304"), "{}", answer.text());
    assert_eq!(answer.json()["id"], 1);
}

#[tokio::test]
async fn weights_divide_the_work() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let toml = format!(
        "[balance]\npolicy = \"round_robin\"\nslow_start_seconds = 0\n[[agents]]\nname = \"x\"\ncard_url = \"{}\"\nweight = 3\n\
         instances = [{{ label = \"b\", card_url = \"{}\", weight = 1 }}]\n",
        one.card_url(),
        two.card_url()
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    for _ in 0..40 {
        assert_eq!(send(&gateway.plain(), "/agents/x", &message("work")).await.status, 200);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (30, 10));
}

#[tokio::test]
async fn the_least_busy_instance_is_next() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let toml = pair(&one, &two, "").replace("round_robin", "least_connections");
    let gateway = Gateway::start(MOONGATE, &toml).await;
    one.set_manner(Manner::Held);
    two.set_manner(Manner::Held);
    let plain = gateway.plain();
    let held: Vec<_> = (0..6)
        .map(|_| {
            let plain = plain.clone();
            tokio::spawn(async move { send(&plain, "/agents/x", &message("long")).await.status })
        })
        .collect();
    one.got(3).await;
    two.got(3).await;
    one.let_go();
    two.let_go();
    for held in held {
        assert_eq!(held.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn the_same_key_finds_the_same_instance() {
    let names = ["one", "two", "three", "four"];
    let mut agents = Vec::new();
    for name in names {
        agents.push(Agent::start(name, &[json!("work")]).await);
    }
    let instances: Vec<String> = agents[1..]
        .iter()
        .map(|agent| format!("{{ label = \"{}\", card_url = \"{}\" }}", agent.name, agent.card_url()))
        .collect();
    let toml = |balance: &str| {
        format!(
            "[balance]\nslow_start_seconds = 0\npolicy = \"consistent_hash\"\n{balance}\n[[agents]]\nname = \"x\"\ncard_url = \"{}\"\ninstances = [{}]\n",
            agents[0].card_url(),
            instances.join(", ")
        )
    };
    let gateway = Gateway::start(MOONGATE, &toml("key = \"principal\"")).await;
    let plain = gateway.plain();
    let mut found = BTreeMap::<String, usize>::new();
    for _ in 0..24 {
        *found.entry(send(&plain, "/agents/x", &message("hello")).await.agent()).or_default() += 1;
    }
    assert_eq!(found.len(), 1, "one caller, one instance: {found:?}");
    // By the conversation, many of them are spread.
    reload(&gateway, &toml("key = \"context\"")).await;
    let mut owners = BTreeMap::<String, usize>::new();
    for n in 0..40 {
        let mut params = message("hello");
        params["message"]["contextId"] = json!(format!("talk-{n}"));
        *owners.entry(send(&plain, "/agents/x", &params).await.agent()).or_default() += 1;
    }
    assert!(owners.len() >= 3, "{owners:?}");
}

#[tokio::test]
async fn an_agent_that_is_full_says_so() {
    let agent = Agent::start("full", &[json!("work")]).await;
    agent.set_manner(Manner::Held);
    let gateway = Gateway::start(MOONGATE, &format!("{}max_in_flight = 2\n", agent.entry())).await;
    let plain = gateway.plain();
    let held: Vec<_> = (0..2)
        .map(|_| {
            let plain = plain.clone();
            tokio::spawn(async move { send(&plain, "/agents/full", &message("long")).await.status })
        })
        .collect();
    agent.got(2).await;
    let answer = send(&plain, "/agents/full", &message("too much")).await;
    assert_eq!(answer.code(), "MG-0505", "{}", answer.text());
    agent.let_go();
    for held in held {
        assert_eq!(held.await.unwrap(), 200);
    }
    assert_eq!(send(&plain, "/agents/full", &message("now")).await.status, 200);
}

#[tokio::test]
async fn an_agent_may_be_balanced_in_a_way_of_its_own() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    let other = Agent::start("other", &[json!("other.do")]).await;
    let own = "balance = { policy = \"consistent_hash\", key = \"principal\" }\n";
    let toml = format!("{}{own}{}", pair(&one, &two, ""), other.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    for (agent, policy) in [("x", "consistent_hash"), ("other", "round_robin")] {
        let question = json!({"path": format!("/agents/{agent}"), "body": rpc("SendMessage", &message("hello"))});
        let view = http("POST", &gateway.admin(), "/api/v1/explain", &[], Some(&question)).await.json();
        assert_eq!(view["route"]["policy"], policy, "{view}");
    }
    for _ in 0..8 {
        assert_eq!(send(&gateway.plain(), "/agents/x", &message("hello")).await.status, 200);
    }
    let mut counts = [one.seen().len(), two.seen().len()];
    counts.sort_unstable();
    assert_eq!(counts, [0, 8], "one caller, one instance");
}
