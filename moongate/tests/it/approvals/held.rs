//! What cannot wait as a task of its own: its caller holds the connection while people are asked.

use moongate_testkit::agent::Agent;
use serde_json::json;

use super::defaults::soon_asked;
use super::{DOORS, LISTEN, home, open_the_door, question, refused, sent, told, waiting};
use crate::audit::lines;
use crate::stage::{Caller, Gateway, Operation, SPEAKERS, id, on, saying, state, task, to_task, until_state};
use crate::support::{ROUTING, eventually, http, reload, soon};

const STORE: &str = "[store]\nurl = \"sqlite:home.db\"\n";
const CANCELS: &str = "[[policy]]\nname = \"cancels\"\nconfirm = 'operation == \"cancel\"'\n";

/// A home whose door's task waits for its caller's answer; people have said yes once.
async fn asking(more: &str) -> (Agent, Gateway, String) {
    let (agent, gateway) = home(&format!("{STORE}{more}")).await;
    let caller = Caller::rpc(&gateway.plain());
    let begun = id(&task(&caller, &open_the_door("ask which door")).await);
    told(&gateway, &["yes", &question(&gateway, &begun).await]).await;
    until_state(&caller, &begun, "INPUT_REQUIRED").await;
    (agent, gateway, begun)
}

#[tokio::test]
async fn a_follow_up_goes_to_the_agent_after_a_yes_and_not_after_a_no() {
    for (binding, version) in SPEAKERS {
        let (agent, gateway, begun) = asking("").await;
        let caller = Caller::new(&gateway.plain(), binding, version);
        let heard = agent.received().len();
        let more = to_task(&begun, "the front one");
        let (refusal, ()) = tokio::join!(caller.call(Operation::Send, &more), async {
            let name = soon_asked(&gateway).await;
            let shown = told(&gateway, &["show", &name]).await;
            assert_eq!((&shown["held"], &shown["document"]["target"]["task"]), (&json!(true), &json!(begun)));
            assert_eq!(shown["document"]["params"]["message"]["parts"][0]["text"], "the front one");
            assert_eq!(agent.received().len(), heard, "the agent hears nothing before");
            told(&gateway, &["no", &name]).await;
        });
        let refusal = refusal.unwrap_err();
        assert!(
            refusal.gateway_code.as_deref() == Some("MG-0404") && refusal.message.contains("said no"),
            "{refusal:?}"
        );
        assert_eq!(state(&caller.call(Operation::Get, &on(&begun)).await.unwrap()), "INPUT_REQUIRED");

        let (done, name) = tokio::join!(caller.call(Operation::Send, &more), async {
            let name = soon_asked(&gateway).await;
            told(&gateway, &["yes", &name]).await;
            name
        });
        let done = done.unwrap();
        assert!(done.to_string().contains("COMPLETED"), "{done}");
        assert_eq!(told(&gateway, &["show", &name]).await["state"], "consumed");
        let went = lines(&gateway, &["--operation", "approval.dispatch"], 4).await;
        assert!(went[3]["result"] == "done" && went[3]["approval"] == name.as_str(), "{went:?}");
    }
}

#[tokio::test]
async fn a_follow_up_goes_out_as_it_was_shown_and_says_which_skill_it_is_about() {
    let (agent, gateway) = home(&format!("{STORE}{DOORS}")).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut lights = saying("ask which room");
    lights["message"]["metadata"] = json!({ROUTING: {"skillId": "lights.set"}});
    let begun = id(&task(&caller, &lights).await);
    let mut more = to_task(&begun, "the front one");
    more["message"]["metadata"] = json!({ROUTING: {"skillId": "door.open"}});
    let beside =
        json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": more, "evil": {"cmd": "open all"}});
    let base = gateway.plain();
    let headers = [("a2a-version", "1.0"), ("content-type", "application/json")];
    let (answer, ()) = tokio::join!(http("POST", &base, "/a2a", &headers, Some(&beside)), async {
        let name = soon_asked(&gateway).await;
        let shown = told(&gateway, &["show", &name]).await;
        assert_eq!(shown["document"]["target"]["skill"], "door.open");
        assert!(shown["sentence"].as_str().unwrap().contains("skill door.open"), "{shown}");
        told(&gateway, &["yes", &name]).await;
    });
    assert!(answer.text().contains("COMPLETED"), "{}", answer.text());
    let went = agent.last_received().json();
    assert!(went.to_string().contains("the front one") && !went.to_string().contains("evil"), "{went}");
}

#[tokio::test]
async fn what_people_said_is_in_the_log_before_anything_comes_of_it() {
    let (_agent, mut gateway) = home(&format!("{STORE}{DOORS}")).await;
    let caller = Caller::rpc(&gateway.plain());
    for n in 1..=8 {
        let asked = id(&task(&caller, &open_the_door(&format!("echo {n}"))).await);
        told(&gateway, &["no", &question(&gateway, &asked).await]).await;
        until_state(&caller, &asked, "REJECTED").await;
        gateway.kill().await;
        gateway.restart().await;
        assert_eq!(lines(&gateway, &["--operation", "approval.denied"], n).await.len(), n);
    }
}

#[tokio::test]
async fn whoever_goes_away_is_not_asked_for_any_more() {
    let (agent, gateway, begun) = asking("").await;
    let (base, more) = (gateway.plain(), to_task(&begun, "the front one"));
    let heard = agent.received().len();
    let gone = tokio::spawn(async move { Caller::rpc(&base).call(Operation::Send, &more).await });
    let name = soon_asked(&gateway).await;
    gone.abort();
    let _ = gone.await;
    eventually("the question is taken back", || async { waiting(&gateway).await.is_empty() }).await;
    assert_eq!(refused(&gateway, &["yes", &name]).await, "MG-0461");
    assert_eq!(
        (told(&gateway, &["show", &name]).await["state"].clone(), agent.received().len()),
        (json!("cancelled"), heard)
    );
}

#[tokio::test]
async fn a_yes_to_a_follow_up_is_void_under_other_rules_and_after_a_restart() {
    let (agent, mut gateway, begun) = asking("").await;
    let caller = Caller::rpc(&gateway.plain());
    let (heard, more) = (agent.received().len(), to_task(&begun, "the front one"));
    let others = format!("{LISTEN}{}{STORE}[[policy]]\ndeny = 'operation == \"list\"'\n", agent.entry(""));
    let (refusal, ()) = tokio::join!(caller.call(Operation::Send, &more), async {
        let name = soon_asked(&gateway).await;
        reload(&gateway, &others).await;
        assert_eq!(refused(&gateway, &["yes", &name]).await, "MG-0461", "its yes would count for nothing");
    });
    assert!(refusal.unwrap_err().message.contains("are others by now"));
    let (base, again) = (gateway.plain(), more.clone());
    let cut = tokio::spawn(async move { Caller::rpc(&base).call(Operation::Send, &again).await });
    let name = soon_asked(&gateway).await;
    gateway.kill().await;
    assert!(!matches!(soon("the call ends", cut).await, Ok(Ok(_))), "the connection is cut");
    gateway.restart().await;
    assert!(waiting(&gateway).await.is_empty());
    assert_eq!(told(&gateway, &["show", &name]).await["state"], "cancelled");
    assert_eq!(agent.received().len(), heard);
}

#[tokio::test]
async fn a_cancellation_that_a_rule_wants_confirmed_waits_with_its_caller() {
    let (agent, gateway, begun) = asking(CANCELS).await;
    let caller = Caller::rpc(&gateway.plain());
    let cancel = on(&begun);
    let (cancelled, ()) = tokio::join!(caller.call(Operation::Cancel, &cancel), async {
        let name = soon_asked(&gateway).await;
        assert_eq!(told(&gateway, &["show", &name]).await["document"]["operation"], "cancel");
        told(&gateway, &["yes", &name]).await;
    });
    assert_eq!((state(&cancelled.unwrap()), sent(&agent)), ("CANCELED", 1));
}
