//! What a message may mean, and whose word counts for that: a rule cannot be talked around.

use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};

use super::{LISTEN, command, home, open_the_door, question, sent, told};
use crate::stage::{Caller, Gateway, MOONGATE, Operation, id, saying, state, task, to_task, until_state};
use crate::support::{ROUTING, http, out};

const TAGGED: &str = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.tags.exists(t, t == \"door\")'\n";

/// An agent with a lamp, and a door that says so by its tag.
fn plan(name: &str, tag: &str) -> Plan {
    let skill = |id: &str, tag: &str| json!({"id": id, "name": id, "description": format!("does {id}"), "tags": [tag]});
    let skills = [skill("lights.set", "lamp"), skill("door.open", tag)];
    Plan { card: json!({ "skills": skills }), ..Plan::new(name) }
}

fn named(words: &str, skill: &str) -> Value {
    let mut params = saying(words);
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

async fn register(gateway: &Gateway, name: &str, agent: &Agent) {
    let body = json!({"name": name, "card_url": agent.card_url()});
    let made = http("POST", &gateway.plain(), "/api/v1/agents", &[], Some(&body)).await;
    assert!((200..300).contains(&made.status), "{}", made.text());
}

#[tokio::test]
async fn a_message_that_names_no_skill_may_be_taken_as_any() {
    let agent = Agent::start(plan("home", "door")).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{TAGGED}", agent.entry(""))).await;
    for at in ["", "/agents/home"] {
        let caller = Caller::rpc(&gateway.plain()).at(if at.is_empty() { "/a2a" } else { at });
        let asked = task(&caller, &saying("echo open the door")).await;
        assert_eq!(state(&asked), "AUTH_REQUIRED", "{at}: {asked}");
    }
    let caller = Caller::rpc(&gateway.plain());
    assert_eq!(state(&task(&caller, &named("echo on", "lights.set")).await), "COMPLETED");
    assert_eq!(sent(&agent), 1);
}

#[tokio::test]
async fn a_follow_up_that_names_another_skill_is_judged_as_both() {
    let agent = Agent::start(plan("home", "door")).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{TAGGED}", agent.entry(""))).await;
    let caller = Caller::rpc(&gateway.plain());
    let begun = id(&task(&caller, &named("ask which", "lights.set")).await);
    let mut more = to_task(&begun, "the door");
    more["message"]["metadata"] = json!({ROUTING: {"skillId": "door.open"}});
    let (refusal, _) = tokio::join!(caller.call(Operation::Send, &more), async {
        told(&gateway, &["no", &super::defaults::soon_asked(&gateway).await]).await
    });
    assert_eq!(refusal.unwrap_err().gateway_code.as_deref(), Some("MG-0404"));
    caller.call(Operation::Send, &to_task(&begun, "the lamp")).await.unwrap();
}

#[tokio::test]
async fn words_behind_many_others_are_read_by_the_rules_too() {
    let agent = Agent::start(plan("home", "none")).await;
    let rule = "[[policy]]\nname = \"words\"\ndeny = 'text.contains(\"unlock\")'\n";
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{rule}", agent.entry(""))).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut parts = saying("echo on");
    parts["message"]["parts"] = json!([{"text": "echo"}, {"text": "x".repeat(5000)}, {"text": "please unlock"}]);
    for asked in [saying("echo unlock"), saying(&format!("echo {} unlock", "x".repeat(5000))), parts] {
        let refusal = caller.call(Operation::Send, &asked).await.unwrap_err();
        assert_eq!(refusal.gateway_code.as_deref(), Some("MG-0403"), "{refusal:?}");
    }
    assert_eq!(sent(&agent), 0);
}

#[tokio::test]
async fn tags_and_lifted_questions_are_those_of_the_agent_that_gets_it() {
    let (lock, other) = (Agent::start(plan("lock", "door")).await, Agent::start(plan("aaa", "none")).await);
    let lifted = "[[policy]]\nallow = 'agent == \"aaa\"'\n";
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{TAGGED}{lifted}", lock.entry(""))).await;
    register(&gateway, "aaa", &other).await;
    for (at, skill) in [("/agents/lock", "door.open"), ("/a2a", "lock/door.open"), ("/agents/lock", "")] {
        let caller = Caller::rpc(&gateway.plain()).at(at);
        let params = if skill.is_empty() { saying("echo open") } else { named("echo open", skill) };
        let answer = caller.call(Operation::Send, &params).await.unwrap();
        assert_eq!(state(&answer["task"]), "AUTH_REQUIRED", "{at} {skill}: {answer}");
    }
    assert_eq!(sent(&lock), 0);
}

#[tokio::test]
async fn a_yes_is_for_the_agent_that_was_there_and_not_for_another_of_its_name() {
    let (first, second) = (Agent::start(plan("lock", "door")).await, Agent::start(plan("lock", "door")).await);
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{TAGGED}")).await;
    register(&gateway, "lock", &first).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &named("echo open", "door.open")).await);
    let name = question(&gateway, &asked).await;
    register(&gateway, "lock", &second).await;
    told(&gateway, &["yes", &name]).await;
    until_state(&caller, &asked, "REJECTED").await;
    assert_eq!((sent(&first), sent(&second)), (0, 0));
}

#[tokio::test]
async fn what_nobody_would_read_is_not_asked_about() {
    let (agent, gateway) = home(super::DOORS).await;
    let refusal = Caller::rpc(&gateway.plain()).call(Operation::Send, &open_the_door(&"x".repeat(70_000))).await;
    assert_eq!(refusal.unwrap_err().gateway_code.as_deref(), Some("MG-0404"));
    assert_eq!(sent(&agent), 0);
    assert!(out(&command(&gateway, &[]).await).contains("\"approvals\":[]"));
}
