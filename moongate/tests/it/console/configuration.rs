//! The configuration at the console: what is in force, where it stands, and nothing of what is secret.

use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};

use super::{CONFIG, operator};
use crate::people::operate;
use crate::support::*;

const CANARY: &str = "canary-6b1f0c2e";

async fn view(gateway: &Gateway) -> Value {
    operate(gateway, "GET", "/configuration", None).await.json()
}

fn key<'v>(view: &'v Value, path: &str) -> &'v Value {
    let keys = view["keys"].as_array().unwrap();
    keys.iter().find(|key| key["path"] == path).unwrap_or_else(|| panic!("no {path} in {view}"))
}

#[tokio::test]
async fn every_key_says_its_value_and_where_it_stands() {
    let gateway = Gateway::start(MOONGATE, &format!("{CONFIG}[limits]\nparts = 7\n")).await;
    let now = view(&gateway).await;
    let parts = key(&now, "limits.parts");
    assert_eq!(
        (&parts["value"], &parts["origin"], &parts["line"]),
        (&json!("7"), &json!("file"), &json!(7)),
        "{parts}"
    );
    assert_eq!(key(&now, "limits.json_depth")["origin"], "default");
    assert_eq!(key(&now, "domain")["value"], "\"home.example\"");

    reload(&gateway, &format!("{CONFIG}[limits]\nparts = 8\n[store]\nurl = \"memory:\"\n")).await;
    let now = view(&gateway).await;
    assert_eq!(key(&now, "limits.parts")["value"], "8");
    let store = key(&now, "store.url");
    assert_eq!(store["waits"], "\"memory:\"", "{store}");
    assert!(store["value"].as_str().unwrap().contains("sqlite:"), "what needs a restart is not in force: {store}");
    let page = operator(&gateway).await.get("/console/configuration").await.text();
    for words in ["from the next start", "needs restart", "1 taken over", "json_depth"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
}

#[tokio::test]
async fn secrets_are_nowhere_also_when_a_change_is_refused() {
    let agent = Agent::start(Plan::new("lamp")).await;
    let secret = format!("auth.api_key = \"{CANARY}\"\n");
    let gateway = Gateway::start(MOONGATE, &format!("{CONFIG}{}{secret}", agent.entry(""))).await;
    let misspelt = secret.replace("api_key", "api_kee");
    gateway.reload(&format!("{CONFIG}{}{misspelt}", agent.entry("")));
    eventually("the refusal is told", || async { status(&gateway).await["configuration"]["refused"] == 1 }).await;
    let now = view(&gateway).await;
    assert_eq!(key(&now, "agents[0].auth.api_key")["value"], "•••");
    assert!(now["changes"]["last_error"].as_str().unwrap().contains("api_kee"), "{now}");
    let mut browser = operator(&gateway).await;
    let page = browser.get("/console/configuration").await.text();
    assert!(page.contains("api_kee") && page.contains("•••"), "{page}");
    assert!(browser.get("/console/").await.text().contains("was refused"), "{}", browser.page);
    for text in [now.to_string(), page, browser.page.clone(), status(&gateway).await.to_string(), gateway.log_text()] {
        assert!(!text.contains(CANARY), "{text}");
    }
}
