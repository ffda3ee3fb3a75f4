//! Tokens for callers: what agents are shown in place of a caller's token (RFC 8693), and who gets what.

use moongate_testkit::agent::{Agent as Scripted, Plan};
use moongate_testkit::issuer::{Issuer, header, verifies};
use moongate_testkit::token_endpoint::{Asked, TokenEndpoint};
use serde_json::json;

use crate::stage::{
    Binding, Caller, Gateway, MOONGATE, Operation, Refusal, SPEAKERS, at_once, id, on, saying, state, until_state,
    with_entries,
};
use crate::support::{Agent, Manner, eventually, get};

const SECRET: &str = "s3cret-of-the-gateway";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const LISTEN: &str =
    "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";

fn exchange(endpoint: &TokenEndpoint, more: &str) -> String {
    let url = endpoint.url();
    format!(
        "auth = {{ exchange = {{ token_url = \"{url}\", client_id = \"gateway\", client_secret = \"{SECRET}\", \
         scope = \"home.use\", resource = \"https://home.test/\"{more} }} }}\n"
    )
}

fn bearing(gateway: &Gateway, token: &str) -> Caller {
    Caller::rpc(&gateway.plain()).with("authorization", &format!("Bearer {token}"))
}

fn told(refusal: &Refusal) -> &str {
    refusal.gateway_code.as_deref().unwrap_or_default()
}

fn subject(asked: &Asked) -> String {
    asked.member("subject_token").unwrap()
}

/// The authorizations that a scripted agent was shown, each once.
fn shown(agent: &Scripted) -> Vec<String> {
    let mut shown: Vec<String> =
        agent.received().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    shown.sort();
    shown.dedup();
    shown
}

#[tokio::test]
async fn a_callers_token_goes_to_the_token_endpoint_and_the_agent_is_shown_what_came_for_it() {
    let issuer = Issuer::start().await;
    for (binding, version) in SPEAKERS.into_iter().filter(|(binding, _)| *binding != Binding::Grpc) {
        let agent = Scripted::start(Plan::new("home").speaking(binding, version)).await;
        let endpoint = TokenEndpoint::start(600).await;
        let gateway = with_entries(&[agent.entry(&exchange(&endpoint, ""))], &issuer.entry(&["a2a:*:*"], "")).await;
        let token = issuer.token("a2a:*:*");
        for (binding, version) in SPEAKERS {
            let caller =
                Caller::new(&gateway.plain(), binding, version).with("authorization", &format!("Bearer {token}"));
            let sent = caller.call(Operation::Send, &saying("echo hello")).await.unwrap();
            assert_eq!(state(&sent["task"]), "COMPLETED", "{sent}");
            caller.events(Operation::Stream, &saying("stream 1")).await.unwrap();
        }
        for seen in agent.received() {
            assert_eq!(seen.header("authorization"), Some("Bearer token-1"), "{}", seen.path);
            let whole = format!("{:?} {}", seen.headers, String::from_utf8_lossy(&seen.body));
            assert!(!whole.contains(&token), "{whole}");
        }
        let asked = endpoint.asked();
        assert_eq!(asked.len(), 1, "one exchange for all requests with one token");
        assert_eq!(asked[0].authorization, "Basic Z2F0ZXdheTpzM2NyZXQtb2YtdGhlLWdhdGV3YXk=");
        for (name, value) in [
            ("grant_type", GRANT),
            ("subject_token", &token),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("scope", "home.use"),
            ("resource", "https://home.test/"),
        ] {
            assert_eq!(asked[0].member(name).as_deref(), Some(value));
        }
        for secret in [SECRET, "token-1", &token] {
            assert!(!gateway.log_text().contains(secret), "{secret} is in the log");
        }
    }
}

#[tokio::test]
async fn each_caller_gets_a_token_of_its_own_and_none_without_one_to_exchange() {
    let (issuer, agent) = (Issuer::start().await, Scripted::start(Plan::new("home")).await);
    let endpoint = TokenEndpoint::start(600).await;
    let gateway = with_entries(&[agent.entry(&exchange(&endpoint, ""))], &issuer.entry(&["a2a:*:*"], "")).await;
    let (alice, bob) =
        (issuer.token("a2a:*:*"), issuer.token_with("a2a:*:*", |_, claims| claims["sub"] = json!("bob")));
    for (token, expected) in [(&alice, "Bearer token-1"), (&bob, "Bearer token-2"), (&alice, "Bearer token-1")] {
        bearing(&gateway, token).call(Operation::Send, &saying("echo hello")).await.unwrap();
        assert_eq!(agent.last_received().header("authorization"), Some(expected));
    }
    let asked = endpoint.asked();
    assert_eq!(asked.iter().map(subject).collect::<Vec<_>>(), [alice, bob]);
    let before = agent.received().len();
    // A program of this machine, and the operator, whose secret is no token.
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    for caller in [Caller::rpc(&gateway.plain()), bearing(&gateway, secret.trim())] {
        let refusal = caller.call(Operation::Send, &saying("echo hello")).await.unwrap_err();
        assert_eq!((told(&refusal), refusal.reason.as_str()), ("MG-0438", "PERMISSION_DENIED"), "{refusal:?}");
    }
    assert_eq!((endpoint.asked().len(), agent.received().len()), (2, before));
}

#[tokio::test]
async fn what_the_server_refuses_or_widens_reaches_no_agent() {
    let (issuer, agent) = (Issuer::start().await, Scripted::start(Plan::new("home")).await);
    let endpoint = TokenEndpoint::start(600).await;
    let gateway = with_entries(&[agent.entry(&exchange(&endpoint, ""))], &issuer.entry(&["a2a:*:*"], "")).await;
    for (number, (status, word, code)) in
        [(400, "invalid_grant", "MG-0439"), (401, "invalid_client", "MG-0418")].into_iter().enumerate()
    {
        endpoint.refuse(Some((status, json!({"error": word, "error_description": SECRET}))));
        let token = issuer.token_with("a2a:*:*", |_, claims| claims["jti"] = json!(word));
        for _ in 0..2 {
            let refusal = bearing(&gateway, &token).call(Operation::Send, &saying("echo hello")).await.unwrap_err();
            assert_eq!(told(&refusal), code, "{refusal:?}");
            assert!(refusal.message.contains(word) && !refusal.message.contains(SECRET), "{refusal:?}");
            assert!(!refusal.message.contains(&token) && !refusal.message.contains("127.0.0.1"), "{refusal:?}");
            assert_eq!(endpoint.asked().len(), number + 1, "after a refusal the endpoint is left alone");
        }
    }
    endpoint.refuse(None);
    endpoint.grant("home.use home.see");
    let token = issuer.token_with("a2a:*:*", |_, claims| claims["jti"] = json!("wide"));
    let refusal = bearing(&gateway, &token).call(Operation::Send, &saying("echo hello")).await.unwrap_err();
    assert_eq!(told(&refusal), "MG-0440", "{refusal:?}");
    endpoint.refuse(Some((200, json!({"access_token": "x", "token_type": "Bearer", "issued_token_type": "urn:x"}))));
    let token = issuer.token_with("a2a:*:*", |_, claims| claims["jti"] = json!("other"));
    let refusal = bearing(&gateway, &token).call(Operation::Send, &saying("echo hello")).await.unwrap_err();
    assert_eq!(told(&refusal), "MG-0440", "{refusal:?}");
    assert!(agent.received().is_empty());
}

#[tokio::test]
async fn a_token_that_the_agent_refuses_is_exchanged_anew_once() {
    let (issuer, agent) = (Issuer::start().await, Scripted::start(Plan::new("home")).await);
    let endpoint = TokenEndpoint::start(600).await;
    let gateway = with_entries(&[agent.entry(&exchange(&endpoint, ""))], &issuer.entry(&["a2a:*:*"], "")).await;
    let caller = bearing(&gateway, &issuer.token("a2a:*:*"));
    caller.call(Operation::Send, &saying("echo hello")).await.unwrap();
    agent.accept_only("Bearer token-2");
    caller.call(Operation::Send, &saying("echo hello")).await.unwrap();
    assert_eq!((endpoint.asked().len(), agent.last_received().header("authorization")), (2, Some("Bearer token-2")));
    agent.accept_only("nothing");
    for _ in 0..3 {
        let refusal = caller.call(Operation::Send, &saying("echo hello")).await.unwrap_err();
        assert_eq!(told(&refusal), "MG-0507", "{refusal:?}");
    }
    assert_eq!(endpoint.asked().len(), 2);
}

/// A gateway whose only agent is away, and wants tokens for its callers.
async fn away(endpoint: &TokenEndpoint, more: (&str, &str)) -> (Agent, Gateway) {
    let agent = Agent::start("hub", &[json!("hub.do")]).await;
    agent.set_manner(Manner::Unavailable);
    let entry =
        format!("[[agents]]\nname = \"hub\"\ncard_url = \"{}\"\n{}", agent.card_url(), exchange(endpoint, more.0));
    let gateway =
        Gateway::start(MOONGATE, &format!("{}{LISTEN}{entry}{}", if more.0.is_empty() { "" } else { PUBLIC }, more.1))
            .await;
    (agent, gateway)
}

const PUBLIC: &str = "public_url = \"https://gw.home.test\"\ndomain = \"home.test\"\n";

/// What the agent was shown by messages that it took or refused.
fn shown_by_sends(agent: &Agent) -> Vec<String> {
    let sends = agent.seen().into_iter().filter(|seen| seen.method == "SendMessage");
    let mut shown: Vec<String> = sends.map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned()).collect();
    shown.dedup();
    shown
}

#[tokio::test]
async fn a_task_that_waits_goes_out_with_what_was_got_for_its_owner_while_that_lives() {
    let (issuer, endpoint) = (Issuer::start().await, TokenEndpoint::start(600).await);
    let (agent, gateway) = away(&endpoint, ("", &issuer.entry(&["a2a:*:*"], ""))).await;
    let nobody = Caller::rpc(&gateway.plain()).call(Operation::Send, &at_once("hello")).await.unwrap_err();
    assert_eq!(told(&nobody), "MG-0438", "at once, and not when it is too late: {nobody:?}");
    let alice = bearing(&gateway, &issuer.token("a2a:*:*"));
    let wide = bearing(&gateway, &issuer.token_with("a2a:*:*", |_, claims| claims["jti"] = json!("another")));
    let waiting = alice.call(Operation::Send, &at_once("hello")).await.unwrap()["task"].clone();
    assert_eq!(state(&waiting), "SUBMITTED", "{waiting}");
    // What goes into the queue before any agent is tried is no different.
    let keyed = |caller: Caller| caller.with("idempotency-key", "once");
    let nobody = keyed(Caller::rpc(&gateway.plain())).call(Operation::Send, &at_once("hello")).await.unwrap_err();
    assert_eq!(told(&nobody), "MG-0438", "{nobody:?}");
    let bob = issuer.token_with("a2a:*:*", |_, claims| claims["sub"] = json!("bob"));
    let bob = keyed(bearing(&gateway, &bob));
    let his = bob.call(Operation::Send, &at_once("hello")).await.unwrap()["task"].clone();
    let other = wide.call(Operation::Send, &at_once("hello")).await.unwrap()["task"].clone();
    agent.set_manner(Manner::Done);
    for task in [&waiting, &other] {
        until_state(&alice, &id(task), "COMPLETED").await;
    }
    until_state(&bob, &id(&his), "COMPLETED").await;
    let mut seen = shown_by_sends(&agent);
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["Bearer token-1", "Bearer token-2", "Bearer token-3"], "each with what came for its own token");
    assert_eq!(endpoint.asked().len(), 3);
}

#[tokio::test]
async fn a_task_that_waits_for_longer_than_its_owners_token_fails_and_says_why() {
    let (issuer, endpoint) = (Issuer::start().await, TokenEndpoint::start(2).await);
    let (agent, gateway) = away(&endpoint, ("", &issuer.entry(&["a2a:*:*"], ""))).await;
    let alice = bearing(&gateway, &issuer.token("a2a:*:*"));
    let waiting = alice.call(Operation::Send, &at_once("hello")).await.unwrap()["task"].clone();
    let failed = until_state(&alice, &id(&waiting), "FAILED").await;
    let why = failed["status"]["message"]["parts"][0]["text"].as_str().unwrap();
    assert!(why.contains("has run out") && why.contains("hub"), "{failed}");
    assert_eq!(endpoint.asked().len(), 1);
    drop(agent);
}

#[tokio::test]
async fn by_the_gateways_word_callers_need_no_token_and_what_waits_goes_out_later_too() {
    let endpoint = TokenEndpoint::start(600).await;
    let (agent, gateway) = away(&endpoint, (", subject = \"assertion\"", "")).await;
    let caller = Caller::rpc(&gateway.plain());
    let waiting = caller.call(Operation::Send, &at_once("hello")).await.unwrap()["task"].clone();
    eventually("it was tried", || async { !endpoint.asked().is_empty() }).await;
    agent.set_manner(Manner::Done);
    until_state(&caller, &id(&waiting), "COMPLETED").await;
    caller.call(Operation::Send, &saying("hello")).await.unwrap();
    let asked = endpoint.asked();
    assert_eq!(asked[0].member("subject_token_type").as_deref(), Some("urn:ietf:params:oauth:token-type:jwt"));
    let keys = get(&gateway.plain(), "/.well-known/jwks.json").await.json();
    let mut scopes = Vec::new();
    let mut ids = Vec::new();
    for one in &asked {
        let assertion = subject(one);
        let parts: Vec<&str> = assertion.split('.').collect();
        let claims = header(parts[1]);
        assert!(verifies(&keys, parts[0], &[claims.to_string().into_bytes()], parts[2]).is_some(), "{assertion}");
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("https://gw.home.test"), &json!("local")));
        assert_eq!((&claims["aud"], &claims["act"]), (&json!(endpoint.url()), &json!({"sub": "home.test"})));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
        scopes.push(claims["scope"].as_str().unwrap().to_owned());
        ids.push(claims["jti"].clone());
    }
    scopes.sort();
    scopes.dedup();
    // What waits began as a message for the only skill; who is here may do more.
    assert_eq!(scopes, ["a2a:*:* register", "a2a:hub.do:send"]);
    ids.dedup();
    assert_eq!(ids.len(), asked.len(), "each is used once");
    let card = get(&gateway.plain(), "/.well-known/agent-card.json").await.json();
    let own = crate::cards_signed::kids(&card, &keys);
    let voucher = header(subject(&asked[0]).split('.').next().unwrap());
    assert!(!own.contains(&voucher["kid"].as_str().unwrap().to_owned()), "cards are signed with another key");
}

#[tokio::test]
async fn the_word_names_whoever_asks() {
    let (issuer, agent) = (Issuer::start().await, Scripted::start(Plan::new("home")).await);
    let endpoint = TokenEndpoint::start(600).await;
    let entry = agent.entry(&exchange(&endpoint, ", subject = \"assertion\""));
    let toml = format!("{PUBLIC}{LISTEN}{entry}{}", issuer.entry(&["a2a:*:*"], ""));
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let token = issuer.token("a2a:*:send");
    bearing(&gateway, &token).call(Operation::Send, &saying("echo hello")).await.unwrap();
    let assertion = subject(&endpoint.asked()[0]);
    let claims = header(assertion.split('.').nth(1).unwrap());
    assert_eq!((&claims["sub"], &claims["scope"]), (&json!("idp:alice"), &json!("a2a:*:send")));
    let form = endpoint.asked()[0].form.clone();
    assert!(!form.contains(&token), "the caller's token is not needed and stays here");
    assert_eq!(shown(&agent), ["Bearer token-1"]);
    // It says who asks, and lets nobody in here.
    let refusal = bearing(&gateway, &assertion).call(Operation::Send, &saying("echo hello")).await.unwrap_err();
    assert_eq!(told(&refusal), "MG-0401", "{refusal:?}");
}

#[tokio::test]
async fn a_task_that_runs_is_followed_with_what_was_got_for_its_owner() {
    let (issuer, agent) = (Issuer::start().await, Scripted::start(Plan::new("home").bare()).await);
    let endpoint = TokenEndpoint::start(600).await;
    let gateway = with_entries(&[agent.entry(&exchange(&endpoint, ""))], &issuer.entry(&["a2a:*:*"], "")).await;
    let alice = bearing(&gateway, &issuer.token("a2a:*:*"));
    let task = alice.call(Operation::Send, &at_once("steps 3")).await.unwrap()["task"].clone();
    let looked = agent.heard("nobody but the gateway asks", |seen| seen.json()["method"] == "GetTask").await;
    assert_eq!(looked.header("authorization"), Some("Bearer token-1"));
    agent.release(10);
    until_state(&alice, &id(&task), "COMPLETED").await;
    assert_eq!((shown(&agent), endpoint.asked().len()), (vec!["Bearer token-1".to_owned()], 1));
}

#[tokio::test]
async fn an_owner_who_comes_back_brings_the_means_to_follow_a_task_again() {
    let (issuer, agent) = (Issuer::start().await, Scripted::start(Plan::new("home").bare()).await);
    let endpoint = TokenEndpoint::start(2).await;
    let more = format!("{}[log]\nformat = \"json\"\nlevel = \"debug\"\n", issuer.entry(&["a2a:*:*"], ""));
    let gateway = with_entries(&[agent.entry(&exchange(&endpoint, ""))], &more).await;
    let alice = bearing(&gateway, &issuer.token("a2a:*:*"));
    let task = alice.call(Operation::Send, &at_once("steps 1")).await.unwrap()["task"].clone();
    eventually("nobody can follow it", || async { gateway.log_text().contains("has run out") }).await;
    assert_eq!(endpoint.asked().len(), 1, "the gateway has nothing to exchange on its own");
    endpoint.last(600);
    let mut events = alice.open(Operation::Subscribe, &on(&id(&task))).await.unwrap();
    events.event().await;
    agent.release(10);
    let last = events.rest().await.unwrap().pop().unwrap();
    assert_eq!(state(&last["statusUpdate"]), "COMPLETED", "{last}");
    assert_eq!(endpoint.asked().len(), 2);
}
