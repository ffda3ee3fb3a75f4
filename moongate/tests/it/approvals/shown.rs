//! What people and programs are shown of questions: who has answered, all that goes out with a yes, and how to ask for it.

use serde_json::json;

use super::{DOORS, home, open_the_door, person, question, told};
use crate::people::operate;
use crate::stage::{Caller, Gateway, id, task};
use crate::support::{err, http, moongate, out};

async fn shown(gateway: &Gateway, words: &[&str]) -> String {
    let config = gateway.config();
    let output = moongate(gateway.folder(), &[&["--config", config.to_str().unwrap()], words].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    out(&output).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn whoever_looks_sees_who_has_answered_and_what_goes_out_beside_the_words() {
    let two = format!("{DOORS}people = 2\n[oauth]\n");
    let (_agent, gateway) = home(&two).await;
    let extension = "https://x.example/force";
    let caller = Caller::rpc(&gateway.plain()).with("a2a-extensions", extension);
    let mut wish = open_the_door("open");
    wish["message"]["parts"].as_array_mut().unwrap().push(json!({"url": "https://x.example/plan.pdf"}));
    let name = question(&gateway, &id(&task(&caller, &wish).await)).await;
    let before = shown(&gateway, &["approve", "show", &name]).await;
    assert!(before.contains("said yes 0 of 2 what would be sent"), "{before}");
    told(&gateway, &["yes", &name]).await;
    let text = shown(&gateway, &["approve", "show", &name]).await;
    for words in [
        "said yes 1 of 2 yes by operator, with the operator's secret at 2",
        "(no receipt)",
        &format!("extension {extension}"),
        "points to https://x.example/plan.pdf",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (mut alice, _) = person(&gateway, "alice", &["approve"]).await;
    alice.get(&format!("/approvals/{name}")).await;
    for words in [extension, "Sent to the agent", "https://x.example/plan.pdf", "not what lies there", "1 of 2"] {
        assert!(alice.page.contains(words), "{words}: {}", alice.page);
    }
    told(&gateway, &["no", &name]).await;
    assert!(shown(&gateway, &["approve", "show", &name]).await.contains("no by operator, at 2"));
}

#[tokio::test]
async fn a_critical_question_is_answered_at_a_page_and_the_command_line_says_so() {
    let more = "[oauth]\n[[policy]]\nname = \"vault\"\nconfirm = 'skill.id == \"door.open\"'\nclass = \"critical\"\n";
    let (_agent, gateway) = home(more).await;
    let config = gateway.config();
    let sending = ["--config", config.to_str().unwrap(), "send", "--skill", "door.open", "echo open"];
    let sent_out = err(&moongate(gateway.folder(), &sending).await);
    assert!(sent_out.contains("with a passkey") && sent_out.contains("/approvals/"), "{sent_out}");
    assert!(!sent_out.contains("approve yes"), "{sent_out}");
}

#[tokio::test]
async fn a_list_is_as_long_as_it_is_asked_for_and_nothing_unknown_is_asked() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    for words in ["one", "two", "three"] {
        task(&caller, &open_the_door(words)).await;
    }
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = [("authorization", format!("Bearer {}", secret.trim()))];
    let headers = [(operator[0].0, operator[0].1.as_str())];
    let get = async |method: &'static str, query: &str| {
        http(method, &gateway.admin(), &format!("/api/v1/approvals{query}"), &headers, None).await
    };
    let all = get("GET", "").await.json()["approvals"].clone();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let two = get("GET", "?limit=2").await.json()["approvals"].clone();
    assert_eq!(two.as_array().unwrap()[..], all.as_array().unwrap()[..2], "the oldest come first");
    for id in all.as_array().unwrap() {
        told(&gateway, &["no", id["id"].as_str().unwrap()]).await;
    }
    let past = get("GET", "?state=past&limit=1").await.json();
    assert_eq!(past["approvals"].as_array().unwrap().len(), 1);
    for wrong in ["?limit=0", "?limit=1001", "?limit=x", "?stat=past", "?state=past&state=past", "?state=odd"] {
        let answer = get("GET", wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0209"), "{wrong}");
    }
}

#[tokio::test]
async fn the_head_alone_is_read_as_the_whole_is_and_a_refusal_names_what_fits() {
    let (_agent, gateway) = home(DOORS).await;
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    let headers = [("authorization", operator.as_str())];
    for path in [
        "approvals",
        "users",
        "clients",
        "agents",
        "skills",
        "tasks",
        "store",
        "overview",
        "configuration",
        "status",
        "openapi.json",
        "audit",
        "push",
    ] {
        let path = format!("/api/v1/{path}");
        let whole = http("GET", &gateway.admin(), &path, &headers, None).await;
        let head = http("HEAD", &gateway.admin(), &path, &headers, None).await;
        assert_eq!(head.status, whole.status, "{path}");
        assert!(head.text().is_empty(), "{path}: {}", head.text());
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
        let stranger = http("HEAD", &gateway.admin(), &path, &[("authorization", "Bearer 0123")], None).await;
        let asked = http("GET", &gateway.admin(), &path, &[("authorization", "Bearer 0123")], None).await;
        assert_eq!(stranger.status, asked.status, "{path}: nothing more is told by the head");
    }
    for (method, path, allowed) in [
        ("PUT", "approvals", "GET, HEAD"),
        ("GET", "approvals/7:approve", "POST"),
        ("HEAD", "approvals/7:approve", "POST"),
        ("DELETE", "tasks", "GET, HEAD"),
        ("GET", "explain", "POST"),
        ("POST", "overview", "GET, HEAD"),
    ] {
        let answer = http(method, &gateway.admin(), &format!("/api/v1/{path}"), &headers, None).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_is_given_a_right_that_means_nothing() {
    let (_agent, gateway) = home("[oauth]\nscopes = [\"a2a:*:*\", \"locks:write\"]\n").await;
    for scope in ["nonsense", "approv", "locks:read", "a2a:lights:sned", "admin:everything", "audit:write"] {
        let answer = operate(&gateway, "POST", "/users", Some(&json!({"name": "bob", "scopes": [scope]}))).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0209"), "{scope}: {}", answer.text());
        if scope == "nonsense" {
            assert!(answer.text().contains("approve, a2a:SKILL:VERB"), "{}", answer.text());
        }
    }
    let known = ["approve", "audit:read", "admin:console", "a2a:*:send", "a2a:door.open:*", "register", "locks:write"];
    let answer = operate(&gateway, "POST", "/users", Some(&json!({"name": "bob", "scopes": known}))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let amended = operate(&gateway, "PATCH", "/users/bob", Some(&json!({"scopes": ["approv"]}))).await;
    assert_eq!(amended.status, 400, "{}", amended.text());
}
