//! What people are asked about although no rule says so.

use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};

use super::{LISTEN, command, home, open_the_door, question, sent, told, waiting};
use crate::audit::lines;
use crate::stage::{Caller, Gateway, MOONGATE, SPEAKERS, id, saying, state, task, until_state};
use crate::support::{ROUTING, err, reload};

fn wish(skill: &str) -> Value {
    let mut params = saying("echo go");
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

#[tokio::test]
async fn doors_and_locks_wait_for_a_person_on_a_fresh_install() {
    let skill = |id: &str, tag: &str| json!({"id": id, "name": id, "description": "does it", "tags": [tag]});
    let skills =
        [skill("lights.set", "lamp"), skill("openGarage", "x"), skill("run", "front-door"), skill("files.delete", "x")];
    let agent = Agent::start(Plan { card: json!({ "skills": skills }), ..Plan::new("home") }).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}", agent.entry(""))).await;
    let caller = Caller::rpc(&gateway.plain());
    for free in ["lights.set", "files.delete"] {
        assert_eq!(state(&task(&caller, &wish(free)).await), "COMPLETED", "{free}");
    }
    for (asked, answer) in [("openGarage", "no"), ("run", "yes")] {
        let held = task(&caller, &wish(asked)).await;
        assert_eq!(state(&held), "AUTH_REQUIRED", "{asked}");
        let name = question(&gateway, &id(&held)).await;
        let shown = told(&gateway, &["show", &name]).await;
        assert_eq!((&shown["rule"], &shown["class"]), (&json!("sensitive by default"), &json!("sensitive")));
        told(&gateway, &[answer, &name]).await;
        until_state(&caller, &id(&held), if answer == "yes" { "COMPLETED" } else { "REJECTED" }).await;
    }
    assert_eq!(state(&task(&caller, &saying("echo anything")).await), "AUTH_REQUIRED", "no skill is any skill");
    assert_eq!(sent(&agent), 3);
}

#[tokio::test]
async fn a_rule_that_allows_lifts_it_and_switching_it_off_is_written_down() {
    let (agent, gateway) = home("[store]\nurl = \"sqlite:home.db\"\n").await;
    for (binding, version) in SPEAKERS {
        let held = task(&Caller::new(&gateway.plain(), binding, version), &open_the_door("echo open")).await;
        assert_eq!(state(&held), "AUTH_REQUIRED", "{binding:?} {version:?}");
        told(&gateway, &["no", &question(&gateway, &id(&held)).await]).await;
    }
    let on = format!("{LISTEN}{}[store]\nurl = \"sqlite:home.db\"\n", agent.entry(""));
    let allow = "[[policy]]\nname = \"door is fine\"\nallow = 'skill.id == \"door.open\"'\n";
    reload(&gateway, &format!("{on}{allow}")).await;
    let caller = Caller::rpc(&gateway.plain());
    assert_eq!(state(&task(&caller, &open_the_door("echo open")).await), "COMPLETED");
    reload(&gateway, &format!("{on}[approvals]\nsensitive_by_default = false\n")).await;
    assert_eq!(state(&task(&caller, &open_the_door("echo open")).await), "COMPLETED");
    reload(&gateway, &on).await;
    assert_eq!(state(&task(&caller, &open_the_door("echo open")).await), "AUTH_REQUIRED");
    let said = lines(&gateway, &["--operation", "approval.default"], 3).await;
    let words: Vec<&str> = said.iter().map(|line| line["detail"].as_str().unwrap()).collect();
    assert_eq!(words, ["on", "off", "on"]);
}

#[tokio::test]
async fn a_caller_that_waits_for_the_end_may_wait_for_people_too() {
    let (agent, gateway) = home("[approvals]\nhold_seconds = 60\n").await;
    let caller = Caller::rpc(&gateway.plain());
    for (answer, becomes) in [("yes", "COMPLETED"), ("no", "REJECTED")] {
        let params = open_the_door("echo open");
        let (ended, ()) = tokio::join!(task(&caller, &params), async {
            let name = soon_asked(&gateway).await;
            told(&gateway, &[answer, &name]).await;
        });
        assert_eq!(state(&ended), becomes, "it never heard of AUTH_REQUIRED: {ended}");
    }
    assert_eq!(sent(&agent), 1);
    let listed = command(&gateway, &["list"]).await;
    assert!(listed.status.success(), "{}", err(&listed));
}

/// The one question that waits, once it does.
pub(super) async fn soon_asked(gateway: &Gateway) -> String {
    let asked = crate::support::until(|| async { waiting(gateway).await.first().cloned() }).await;
    asked.expect("somebody is asked")["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_one_instance_can_open_is_asked_about_whichever_gets_it() {
    let door = json!({"id": "door.open", "name": "Open", "description": "Opens it.", "tags": ["x"]});
    let lamp = json!({"id": "lights.set", "name": "Set", "description": "Sets them.", "tags": ["x"]});
    let start = |skills: Value| Agent::start(Plan { card: json!({ "skills": skills }), ..Plan::new("twins") });
    let (first, second) = (start(json!([lamp])).await, start(json!([lamp, door])).await);
    let entry = first.entry("");
    let other = second.entry("").lines().find(|line| line.starts_with("card_url")).unwrap().to_owned();
    let toml = format!("{LISTEN}{entry}\n[[agents.instances]]\nlabel = \"b\"\n{other}\n");
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let caller = Caller::rpc(&gateway.plain()).at("/agents/twins");
    let asked = crate::support::until(|| async {
        let answer = task(&caller, &saying("echo open the door")).await;
        (state(&answer) == "AUTH_REQUIRED").then_some(())
    });
    asked.await.expect("once both cards are read, it is asked about");
    assert_eq!(sent(&second), 0);
}

#[tokio::test]
async fn whoever_sends_from_the_command_line_may_say_yes_as_the_operator() {
    let (agent, gateway) = home("").await;
    let config = gateway.config();
    let sending = ["--config", config.to_str().unwrap(), "send", "--skill", "door.open", "echo open"];
    let sent_out = crate::support::moongate(gateway.folder(), &sending).await;
    assert!(err(&sent_out).contains("moongate approve yes"), "{}", err(&sent_out));
    told(&gateway, &["yes", &soon_asked(&gateway).await]).await;
    crate::support::eventually("it goes out", || async { sent(&agent) == 1 }).await;
}
