//! Yeses that answer the very same again for some minutes.

use serde_json::{Value, json};

use super::{DOORS, LISTEN, home, open_the_door, question, refused, sent, told, waiting};
use crate::audit::lines;
use crate::stage::{Caller, Operation, SPEAKERS, Version, id, on, state, task, until_state};
use crate::support::{http, reload};

async fn remembered(gateway: &crate::stage::Gateway) -> Vec<Value> {
    told(gateway, &["remembered"]).await["remembered"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_very_same_is_answered_alike_and_anything_else_is_asked_about() {
    let store = "[store]\nurl = \"sqlite:home.db\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n";
    let (agent, gateway) = home(&format!("{DOORS}{store}")).await;
    let caller = Caller::rpc(&gateway.plain());
    let first = id(&task(&caller, &open_the_door("echo open")).await);
    let name = question(&gateway, &first).await;
    assert_eq!(told(&gateway, &["yes", &name, "--remember", "600"]).await["state"], "approved");
    until_state(&caller, &first, "COMPLETED").await;
    let kept = &remembered(&gateway).await[0];
    assert_eq!((&kept["id"], &kept["by"], &kept["requester"]), (&json!(name), &json!("operator"), &json!("local")));
    // More often than anybody might ask people within an hour.
    // A 0.3 client asks for the answer at once by default, which is another request.
    let speakers = SPEAKERS.into_iter().filter(|(_, version)| *version == Version::V1);
    for (binding, version) in speakers.cycle().take(12) {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let again = id(&task(&caller, &open_the_door("echo open")).await);
        until_state(&caller, &again, "COMPLETED").await;
    }
    assert_eq!(sent(&agent), 13);
    let said = lines(&gateway, &["--operation", "approval.approved"], 13).await;
    assert!(said[12]["detail"].as_str().unwrap().contains("by=remembered"), "{said:?}");
    assert_eq!(said[12]["source"]["id"], "operator");
    let past = told(&gateway, &["list", "--past"]).await;
    assert_eq!(past["approvals"][0]["receipts"][0]["remembered"], name.as_str());

    let mut elsewhere = open_the_door("echo open");
    elsewhere["message"]["contextId"] = json!("another");
    let reporting = |url: &str| {
        let mut asked = open_the_door("echo open");
        asked["configuration"] = json!({"taskPushNotificationConfig": {"url": url, "token": "t"}});
        asked
    };
    let (here, there) = (reporting("http://127.0.0.1:9/a"), reporting("http://127.0.0.1:9/b"));
    for (other, callbacks) in [
        (open_the_door("echo open all"), json!([])),
        (elsewhere, json!([])),
        (here, json!([{"url": "http://127.0.0.1:9/a"}])),
        (there, json!([{"url": "http://127.0.0.1:9/b"}])),
    ] {
        let asked = id(&task(&caller, &other).await);
        let name = question(&gateway, &asked).await;
        assert_eq!(told(&gateway, &["show", &name]).await["document"]["callbacks"], callbacks);
        told(&gateway, &["no", &name]).await;
    }
    told(&gateway, &["forget", &name]).await;
    assert_eq!(refused(&gateway, &["forget", &name]).await, "MG-0460");
    assert_eq!(state(&task(&caller, &open_the_door("echo open")).await), "AUTH_REQUIRED");
}

#[tokio::test]
async fn what_was_remembered_ends_with_a_no_with_other_rules_and_with_the_setting() {
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let on = format!("{LISTEN}{}{DOORS}", agent.entry(""));
    let asked = id(&task(&caller, &open_the_door("echo open")).await);
    told(&gateway, &["yes", &question(&gateway, &asked).await, "--remember", "900"]).await;
    assert_eq!(state(&task(&caller, &open_the_door("echo open")).await), "COMPLETED");

    let more = "[[policy]]\nname = \"more\"\ndeny = 'skill.id == \"gate.open\"'\n";
    reload(&gateway, &format!("{on}{more}")).await;
    let other = id(&task(&caller, &open_the_door("echo open")).await);
    assert_eq!(question(&gateway, &other).await.len(), 32, "other rules, another question");

    reload(&gateway, &format!("{on}[approvals]\nremember_seconds = 0\n")).await;
    assert!(remembered(&gateway).await.is_empty());
    let again = id(&task(&caller, &open_the_door("echo open")).await);
    let name = question(&gateway, &again).await;
    reload(&gateway, &on).await;
    assert_eq!(remembered(&gateway).await.len(), 1, "it is allowed again, and its time is not over");
    told(&gateway, &["no", &name]).await;
    assert!(remembered(&gateway).await.is_empty(), "a no takes back what was said to the very same");
    assert_eq!(state(&task(&caller, &open_the_door("echo open")).await), "AUTH_REQUIRED");
}

#[tokio::test]
async fn what_is_critical_is_never_remembered_and_nothing_longer_than_allowed() {
    let critical =
        "[oauth]\n[[policy]]\nname = \"doors\"\nclass = \"critical\"\nconfirm = 'skill.id == \"door.open\"'\n";
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("echo open")).await);
    let name = question(&gateway, &asked).await;
    for seconds in ["901", "0"] {
        assert_eq!(refused(&gateway, &["yes", &name, "--remember", seconds]).await, "MG-0209");
    }
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    let path = format!("/api/v1/approvals/{name}:approve");
    for wrong in [json!({"remember": 1}), json!([]), json!({"remember_seconds": -1}), json!({"remember_seconds": "9"})]
    {
        let answer = http("POST", &gateway.admin(), &path, &[("authorization", &operator)], Some(&wrong)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0209"), "{wrong}");
    }
    assert_eq!(told(&gateway, &["show", &name]).await["state"], "pending", "none of them was a yes");
    told(&gateway, &["no", &name]).await;

    reload(&gateway, &format!("{LISTEN}{}{critical}", agent.entry(""))).await;
    let asked = id(&task(&caller, &open_the_door("echo open")).await);
    let name = question(&gateway, &asked).await;
    assert_eq!(refused(&gateway, &["yes", &name, "--remember", "60"]).await, "MG-0462");
    assert_eq!(waiting(&gateway).await.len(), 1);
    assert_eq!(sent(&agent), 0);
}

#[tokio::test]
async fn a_caller_that_waits_itself_has_the_same_answered_alike() {
    let cancels = "[[policy]]\nname = \"cancels\"\nconfirm = 'operation == \"cancel\"'\n";
    let (_agent, gateway) = home(&format!("{cancels}[approvals]\nsensitive_by_default = false\n")).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &crate::stage::saying("ask which")).await);
    let cancel = on(&asked);
    let (refusal, ()) = tokio::join!(caller.call(Operation::Cancel, &cancel), async {
        let name = super::defaults::soon_asked(&gateway).await;
        told(&gateway, &["yes", &name, "--remember", "60"]).await;
    });
    assert_eq!(state(&refusal.unwrap()), "CANCELED");
    let again = caller.call(Operation::Cancel, &cancel).await.unwrap_err();
    assert_eq!(again.gateway_code.as_deref(), Some("MG-0602"), "nobody was asked about the very same: {again:?}");
}
