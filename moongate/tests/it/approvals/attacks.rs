//! Attacks on what people decide, over the wire, that no other test tells of: the request is exchanged for another one, and so
//! many questions wait that the gateway is killed under them.

use std::sync::Arc;

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::issuer::Issuer;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{DOORS, home, open_the_door, question, sent, told, waiting};
use crate::stage::{Caller, Gateway, MOONGATE, Operation, id, on, state, task, until_state};
use crate::support::{eventually, http};

#[tokio::test]
async fn what_was_asked_about_cannot_be_exchanged_for_something_else() {
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain()).with("idempotency-key", "the-same");
    let asked = open_the_door("echo the small door");
    let waits = id(&task(&caller, &asked).await);
    let name = question(&gateway, &waits).await;

    // The same message id, and the same key, with other words.
    let mut other = asked.clone();
    other["message"]["parts"][0]["text"] = json!("echo all doors");
    let refused = caller.call(Operation::Send, &other).await.unwrap_err();
    assert!(refused.gateway_code.is_some(), "{refused:?}");
    let plain = Caller::rpc(&gateway.plain());
    let another = id(&task(&plain, &other).await);
    assert_ne!(another, waits, "other words are another question");
    // Words behind those that are asked about.
    let mut behind = other.clone();
    behind["message"]["taskId"] = json!(waits);
    behind["message"]["messageId"] = json!("m-behind");
    let behind = tokio::spawn({
        let plain = plain.clone();
        async move { plain.call(Operation::Send, &behind).await }
    });
    let shown = told(&gateway, &["show", &name]).await;
    assert_eq!(shown["document"]["params"]["message"]["parts"][0]["text"], "echo the small door");
    told(&gateway, &["yes", &name]).await;
    until_state(&plain, &waits, "COMPLETED").await;
    assert!(plain.call(Operation::Send, &other).await.is_ok(), "which waits, as the first time");
    behind.abort();
    assert_eq!(sent(&agent), 1, "one message went out");
    let words = agent.received().iter().map(|one| one.json().to_string()).collect::<Vec<_>>().join("\n");
    assert!(words.contains("the small door") && !words.contains("all doors"), "{words}");
}

/// So many callers ask so often.
const CALLERS: usize = 4_000;
const QUESTIONS: usize = 10_000;

#[tokio::test]
async fn ten_thousand_questions_of_four_thousand_callers_outlive_a_kill() {
    let agent = Agent::start(Plan { skills: vec!["door.open".to_owned()], ..Plan::new("home") }).await;
    let issuer = Issuer::start().await;
    let limits = "[limits]\nwaiting = 20000\ntasks = 30000\n[store]\nurl = \"sqlite:home.db\"\n";
    let wait = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"door.open\"'\nwait_seconds = 3600\n";
    let entries = format!("{}{}", agent.entry(""), issuer.entry(&["a2a:*:*"], ""));
    let mut gateway = Gateway::start(MOONGATE, &format!("{}{limits}{entries}{wait}", super::LISTEN)).await;
    let (room, mut asking) = (Arc::new(Semaphore::new(64)), JoinSet::new());
    for n in 0..QUESTIONS {
        let who = format!("caller-{}", n % CALLERS);
        let token = format!("Bearer {}", issuer.token_with("a2a:*:*", |_, claims| claims["sub"] = json!(who)));
        let caller = Caller::rpc(&gateway.plain()).with("authorization", &token);
        let seat = room.clone().acquire_owned().await.unwrap();
        asking.spawn(async move {
            let asked = id(&task(&caller, &open_the_door(&format!("echo {n}"))).await);
            drop(seat);
            (token, asked, n)
        });
    }
    let mut all: Vec<(String, String, usize)> = asking.join_all().await;
    all.sort_by_key(|(.., n)| *n);
    gateway.kill().await;
    gateway.restart().await;
    let found: Vec<Value> = waiting(&gateway).await;
    assert_eq!(found.len(), QUESTIONS);
    for (n, answer, becomes) in [(17, "yes", "COMPLETED"), (9_999, "no", "REJECTED")] {
        let (token, asked, _) = &all[n];
        let caller = Caller::rpc(&gateway.plain()).with("authorization", token);
        let one = found.iter().find(|one| one["document"]["target"]["task"] == asked.as_str()).unwrap();
        assert!(one["sentence"].as_str().unwrap().contains(&format!("echo {n}\"")), "{one}");
        assert_eq!(state(&caller.call(Operation::Get, &on(asked)).await.unwrap()), "AUTH_REQUIRED");
        told(&gateway, &[answer, one["id"].as_str().unwrap()]).await;
        until_state(&caller, asked, becomes).await;
    }
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    for one in found.iter().filter(|one| one["sentence"].as_str().unwrap().contains("echo 1")).take(200) {
        let path = format!("/api/v1/approvals/{}:approve", one["id"].as_str().unwrap());
        http("POST", &gateway.admin(), &path, &[("authorization", &operator)], None).await;
    }
    eventually("each of them goes out", || async { sent(&agent) == 200 }).await;
    assert_eq!(waiting(&gateway).await.len(), QUESTIONS - 201);
    // How long each took from the yes, as a distribution.
    let metrics = http("GET", &gateway.admin(), "/metrics", &[], None).await.text();
    let told: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("moongate_approval_dispatch_seconds")).collect();
    assert!(told.contains(&"moongate_approval_dispatch_seconds_count 200"), "{told:#?}");
    println!("{}", told.join("\n"));
}
