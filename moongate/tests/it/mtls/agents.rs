//! Agents of another domain that may do less than their domain.

use moongate_testkit::gateway::until;
use moongate_testkit::issuer::Issuer;

use super::*;

const NAV: &str = "spiffe://car.example/nav";
const RADIO: &str = "spiffe://car.example/radio";
const BODY: &str = "spiffe://car.example/nav/body";

/// The home's configuration with these agents of the car, and these scopes of it.
fn naming(home: &Home, scopes: &str, agents: &str) -> String {
    let before = "scopes = [\"a2a:lights.set:send\", \"a2a:lights.set:get\", \"a2a:*:subscribe\"]\n";
    assert!(home.toml.contains(before));
    home.toml.replace(before, &format!("scopes = [{scopes}]\nagents = [{agents}]\n"))
}

async fn code(home: &Home, uri: &str, skill: &str, headers: &[(&str, &str)]) -> String {
    let answer = home.say(&home.car.client(uri), skill, headers).await.unwrap();
    if is_done(&answer) { "done".to_owned() } else { answer.code() }
}

#[tokio::test]
async fn an_agent_may_do_what_its_domain_and_its_own_entry_both_allow() {
    let home = Home::start("").await;
    let agents = format!(
        "{{ spiffe = \"{NAV}\", scopes = [\"a2a:lights.set:send\", \"a2a:*:get\"] }}, {{ spiffe = \"{RADIO}\" }}"
    );
    home.gateway.reload(&naming(&home, "\"a2a:lights.set:*\"", &agents));
    let closed = until(|| async { (code(&home, RADIO, "lights.set", &[]).await == "MG-0407").then_some(()) }).await;
    assert!(closed.is_some(), "an entry without scopes gives nothing");
    assert_eq!(code(&home, NAV, "lights.set", &[]).await, "done");
    for other in [CAR, BODY] {
        assert_eq!(code(&home, other, "lights.set", &[]).await, "done", "{other} is not named");
    }
    for uri in [NAV, CAR] {
        assert_eq!(code(&home, uri, "blinds.open", &[]).await, "MG-0407", "{uri}: its domain may not");
    }
    // What the domain could do of it, and the agent may not.
    for (uri, allowed) in [(NAV, false), (CAR, true)] {
        let mut connection = home.open(Some(&home.car.client(uri))).await.unwrap();
        let sent = connection.send("POST", "/a2a", &VERSION, Some(&rpc("SendMessage", &for_skill("lights.set")))).await;
        let task = sent.unwrap().json()["result"]["task"]["id"].clone();
        for (method, reached) in [("GetTask", true), ("CancelTask", allowed)] {
            let call = rpc(method, &json!({"id": task}));
            let answer = connection.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap();
            assert_eq!(answer.code() != "MG-0407", reached, "{uri} {method}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_reload_changes_what_an_agent_may_do_on_connections_that_are_open() {
    let home = Home::start("").await;
    let mut connection = home.open(Some(&home.car.client(NAV))).await.unwrap();
    let call = rpc("SendMessage", &for_skill("lights.set"));
    assert!(is_done(&connection.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()));
    let scopes = "\"a2a:lights.set:send\"";
    home.gateway.reload(&naming(&home, scopes, &format!("{{ spiffe = \"{NAV}\", scopes = [] }}")));
    let connection = tokio::sync::Mutex::new(connection);
    let said = || async { connection.lock().await.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap() };
    let closed = until(|| async { (said().await.code() == "MG-0407").then_some(()) }).await;
    assert!(closed.is_some(), "the open connection stays, and gives nothing");
    home.gateway.reload(&naming(&home, scopes, &format!("{{ spiffe = \"{NAV}\", scopes = [{scopes}] }}")));
    assert!(until(|| async { is_done(&said().await).then_some(()) }).await.is_some(), "and it gives it again");
}

#[tokio::test]
async fn a_token_beside_a_certificate_is_worth_what_all_of_them_allow() {
    let issuer = Issuer::start().await;
    let home = Home::start(&issuer.entry(&["a2a:*:send", "locks:write"], "domain = \"car.example\"")).await;
    let agents = format!("{{ spiffe = \"{NAV}\", scopes = [\"a2a:lights.set:send\"] }}, {{ spiffe = \"{RADIO}\" }}");
    home.gateway.reload(&naming(&home, "\"a2a:*:*\"", &agents));
    let token = format!("Bearer {}", issuer.token("a2a:*:*"));
    let bearing = [("authorization", token.as_str())];
    let closed =
        until(|| async { (code(&home, RADIO, "lights.set", &bearing).await == "MG-0407").then_some(()) }).await;
    assert!(closed.is_some(), "whatever the token says");
    assert_eq!(code(&home, NAV, "lights.set", &bearing).await, "done");
    assert_eq!(code(&home, NAV, "blinds.open", &bearing).await, "MG-0407", "the agent may not");
    assert_eq!(code(&home, CAR, "blinds.open", &bearing).await, "done", "its domain may");
}
