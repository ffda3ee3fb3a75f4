//! People at the console: what each scope shows, and who says yes.

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::authenticator::Authenticator;
use serde_json::json;

use super::{operator, running};
use crate::people::operate;
use crate::stage::{Caller, saying, state, task};
use crate::support::*;

const OAUTH: &str = "[oauth]\nscopes = [\"a2a:*:*\"]\n";
const DOORS: &str = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"door.open\"'\n";
const PASSWORD: &str = "correct horse battery";

/// A browser in which somebody with these scopes is signed in.
pub(crate) async fn somebody(gateway: &Gateway, name: &str, scopes: &[&str]) -> Browser {
    let body = json!({"name": name, "scopes": scopes, "password": PASSWORD});
    assert_eq!(operate(gateway, "POST", "/users", Some(&body)).await.status, 201);
    let mut browser = Browser::by_name(&gateway.admin());
    let fields = [("name", name), ("password", PASSWORD), ("next", "/console/")];
    let answer = browser.post("/oauth/sign-in", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/console/"), "{}", answer.text());
    browser
}

#[tokio::test]
async fn scopes_say_which_pages_somebody_sees() {
    let gateway = running(OAUTH).await;
    let mut nobody = somebody(&gateway, "nobody", &["a2a:*:*"]).await;
    let mut looks = somebody(&gateway, "looks", &["admin:console"]).await;
    let mut answers = somebody(&gateway, "answers", &["approve"]).await;
    for (path, expected) in [
        ("/console/", [403, 200, 303]),
        ("/console/agents", [403, 200, 403]),
        ("/console/approvals", [403, 403, 200]),
        ("/console/nowhere", [404, 404, 404]),
    ] {
        let seen = [nobody.get(path).await, looks.get(path).await, answers.get(path).await];
        assert_eq!(seen.map(|answer| answer.status), expected, "{path}");
    }
    assert_eq!(answers.get("/console/").await.header("location"), "/console/approvals");
    looks.get("/console/").await;
    assert!(!looks.page.contains("href=\"/console/approvals\""), "{}", looks.page);
    let added = looks.submit("/console/passkey", &[("name", "friend")]).await;
    assert_eq!(added.status, 403, "people are added by the operator");
}

#[tokio::test]
async fn a_session_by_link_sees_questions_and_answers_none() {
    let skills = ["lights.set", "door.open"].map(str::to_owned).to_vec();
    let agent = Agent::start(Plan { skills, ..Plan::new("home") }).await;
    let gateway = running(&format!("{OAUTH}{}{DOORS}", agent.entry(""))).await;
    let mut params = saying("open the door");
    params["message"]["metadata"] = json!({ROUTING: {"skillId": "door.open"}});
    let asked = task(&Caller::rpc(&gateway.plain()), &params).await;
    assert_eq!(state(&asked), "AUTH_REQUIRED", "{asked}");
    let pending = || async { operate(&gateway, "GET", "/approvals", None).await.json()["approvals"].clone() };
    let question = pending().await[0]["id"].as_str().unwrap().to_owned();

    let mut browser = operator(&gateway).await;
    let page = browser.get("/console/approvals").await.text();
    assert!(page.contains("open the door") && page.contains("doors"), "{page}");
    assert!(!page.contains("decision"), "no answer is given here: {page}");
    assert!(browser.get("/console/").await.text().contains("A question waits"), "{}", browser.page);
    let token = browser.field("form");
    for decision in ["approve", "deny"] {
        let fields = [("form", token.as_str()), ("decision", decision)];
        for path in [format!("/approvals/{question}"), format!("/console/approvals/{question}")] {
            let answer = browser.post(&path, &fields).await;
            assert!([403, 404, 405].contains(&answer.status), "{decision} {path}: {}", answer.status);
        }
        let answer = browser.post(&format!("/api/v1/approvals/{question}:{decision}"), &[]).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    let still = pending().await;
    assert_eq!((&still[0]["state"], &still[0]["votes"]), (&json!("pending"), &json!([])));
}

#[tokio::test]
async fn the_operator_comes_back_by_passkey_with_no_right_to_answer() {
    let gateway = running(OAUTH).await;
    let mut browser = operator(&gateway).await;
    browser.get("/console/passkey").await;
    let refused = browser.submit("/console/passkey", &[("name", "not a name!")]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let fields = [("name", "olga"), ("display_name", "Olga"), ("scopes", "approve"), ("scope", "approve")];
    let page = browser.submit("/console/passkey", &fields).await.text();
    let url = page.split_once("class=\"button\" href=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let olga = operate(&gateway, "GET", "/users/olga", None).await.json();
    assert_eq!(olga["scopes"], json!(["admin:console", "audit:read"]), "{olga}");

    let mut own = Browser::by_name(&gateway.admin());
    own.get(url.strip_prefix(&own.base).unwrap()).await;
    let code = own.field("code");
    let challenge = own.options("/oauth/sign-up/passkey")["challenge"].as_str().unwrap().to_owned();
    let authenticator = Authenticator::es256("localhost", &own.base);
    let made = authenticator.made_answer(&challenge).to_string();
    assert_eq!(own.post("/oauth/sign-up/passkey", &[("code", &code), ("answer", &made)]).await.status, 303);

    let mut later = Browser::by_name(&gateway.admin());
    assert!(later.get("/console/sign-in").await.text().contains("/oauth/sign-in?next=/console/"));
    later.get("/oauth/sign-in?next=/console/").await;
    let challenge = later.options("/oauth/sign-in/passkey")["challenge"].as_str().unwrap().to_owned();
    let signed = authenticator.answer(&challenge).to_string();
    let fields = [("answer", signed.as_str()), ("next", "/console/")];
    let came = later.post("/oauth/sign-in/passkey", &fields).await;
    assert_eq!((came.status, came.header("location")), (303, "/console/"), "{}", came.text());
    assert!(later.get("/console/").await.text().contains("Olga"), "{}", later.page);
    assert_eq!(later.get("/console/approvals").await.status, 403);
    assert_eq!(later.get("/approvals").await.status, 403);
}
