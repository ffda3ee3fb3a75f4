//! Signatures of cards: anybody can verify ours, and agents' are judged as their entries say.

use moongate_testkit::issuer::{Issuer, SigningKey, verifies};
use moongate_wire::a2a::card::signing;
use serde_json::{Value, json};

use crate::stage::{Caller, Operation, SPEAKERS, Version};
use crate::support::*;

const CARD: &str = "/.well-known/agent-card.json";
const OLDER: &str = "/.well-known/agent.json";
const KEYS: &str = "/.well-known/jwks.json";

/// The key ids under which a card's signatures hold; all of them must.
pub(crate) fn kids(card: &Value, keys: &Value) -> Vec<String> {
    let signed = signing::signed(card);
    let kid = |one: &moongate_core::seam::notary::Signature| {
        verifies(keys, &one.protected, &signed.forms, &one.signature).expect("the signature holds")
    };
    signed.signatures.iter().map(kid).collect()
}

/// Signs an agent's card as the text says.
fn sign(agent: &Agent, key: &SigningKey, header: &Value) {
    agent.set_card(|card| seal(card, key, header));
}

fn seal(card: &mut Value, key: &SigningKey, header: &Value) {
    let form = signing::forms(card).remove(0);
    let compact = key.sign(&header.to_string(), std::str::from_utf8(&form).unwrap());
    let parts: Vec<&str> = compact.split('.').collect();
    card["signatures"] = json!([{"protected": parts[0], "signature": parts[2]}]);
}

fn header(kid: &str, jku: &str) -> Value {
    json!({"alg": "ES256", "typ": "JOSE", "kid": kid, "jku": jku})
}

async fn view(gateway: &Gateway, name: &str) -> Value {
    get(&gateway.admin(), &format!("/api/v1/agents/{name}")).await.json()
}

#[tokio::test]
async fn every_card_of_1_0_is_signed_with_the_published_key() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let keys = get(&gateway.plain(), KEYS).await;
    assert_eq!((keys.status, keys.header("content-type")), (200, "application/jwk-set+json"));
    assert!(keys.json()["keys"][0].get("d").is_none());
    assert_eq!(http("POST", &gateway.plain(), KEYS, &[], Some(&json!({}))).await.status, 405);
    for listener in ["plain", "admin", "main"] {
        let read = async |path: &str| {
            if listener == "main" { get_main(&gateway, path).await } else { get(&gateway.url(listener), path).await }
        };
        assert_eq!(read(KEYS).await.json(), keys.json(), "{listener}");
        for path in [CARD.to_owned(), format!("/agents/lamp{CARD}")] {
            let card = read(&path).await.json();
            let kids = kids(&card, &keys.json());
            // `tags` is empty: the text keeps it, the libraries leave it out.
            assert_eq!((kids.len(), kids[0].as_str()), (2, keys.json()["keys"][0]["kid"].as_str().unwrap()), "{path}");
            let said = moongate_testkit::issuer::header(card["signatures"][0]["protected"].as_str().unwrap());
            let at = format!(
                "{}{KEYS}",
                card["supportedInterfaces"][0]["url"].as_str().unwrap().split("/a").next().unwrap()
            );
            assert_eq!(said, header(&kids[0], &at), "{path}");
        }
        for path in [OLDER.to_owned(), format!("/agents/lamp{OLDER}")] {
            assert!(read(&path).await.json().get("signatures").is_none(), "{path}");
        }
    }
    let mut card = get(&gateway.plain(), CARD).await.json();
    card["skills"][0]["description"] = json!("Opens the door.");
    let (signed, entry) = (signing::signed(&card), card["signatures"][0].clone());
    let text = |name: &str| entry[name].as_str().unwrap();
    assert_eq!(verifies(&keys.json(), text("protected"), &signed.forms, text("signature")), None, "a changed card");
}

#[tokio::test]
async fn a_card_that_did_not_change_keeps_its_signature_and_one_that_did_gets_another() {
    let lamp = Agent::start("lamp", &[json!("lamp.set")]).await;
    let hidden = Agent::start("hidden", &[json!("hidden.set")]).await;
    let door = Agent::start("door", &[json!("door.open")]).await;
    let gateway = Gateway::start(MOONGATE, &lamp.entry()).await;
    let path = format!("/agents/lamp{CARD}");
    let (all, one) = (get(&gateway.plain(), CARD).await, get(&gateway.plain(), &path).await);
    let register = async |agent: &Agent, visibility: &str| {
        let body = json!({"name": agent.name, "card_url": agent.card_url(), "visibility": visibility});
        assert_eq!(http("POST", &gateway.admin(), "/api/v1/agents", &[], Some(&body)).await.status, 201);
    };
    register(&hidden, "hidden").await;
    let again = get(&gateway.plain(), CARD).await;
    assert_eq!((again.body, again.headers["etag"].clone()), (all.body.clone(), all.headers["etag"].clone()));
    register(&door, "public").await;
    let changed = get(&gateway.plain(), CARD).await;
    assert_ne!(changed.headers["etag"], all.headers["etag"]);
    kids(&changed.json(), &get(&gateway.plain(), KEYS).await.json());
    assert_eq!(get(&gateway.plain(), &path).await.body, one.body, "another agent's card is as it was");
}

#[tokio::test]
async fn the_key_survives_a_restart_and_lies_sealed_in_the_store() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let mut gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let (keys, card) = (get(&gateway.plain(), KEYS).await.json(), get(&gateway.plain(), CARD).await.json());
    gateway.restart().await;
    assert_eq!(get(&gateway.plain(), KEYS).await.json(), keys);
    kids(&card, &keys);
}

#[tokio::test]
async fn extended_cards_are_signed_for_clients_of_1_0_in_every_binding() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let secret = Agent::start("vault", &[json!("vault.open")]).await;
    let toml = format!("{}{}visibility = \"extended\"\n", agent.entry(), secret.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let keys = get(&gateway.plain(), KEYS).await.json();
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let card = caller.call(Operation::ExtendedCard, &json!({})).await.unwrap();
        assert!(card.to_string().contains("vault.open"), "{card}");
        match version {
            Version::V1 => assert_eq!(kids(&card, &keys).len(), 2, "{}", binding.as_str()),
            Version::V03 => assert!(card.get("signatures").is_none(), "{}", binding.as_str()),
        }
    }
}

#[tokio::test]
async fn a_signature_that_holds_is_noted_and_the_gateways_own_stands_in_its_place() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let key = SigningKey::new("lamp-key");
    agent.publish(&json!({"keys": [key.jwk()]}));
    sign(&agent, &key, &header("lamp-key", &agent.keys_url()));
    let gateway = Gateway::start(MOONGATE, &format!("{}signature = \"require\"\n", agent.entry())).await;
    assert_eq!(view(&gateway, "lamp").await["signature"], json!({"state": "verified", "kid": "lamp-key"}));
    let card = get(&gateway.plain(), &format!("/agents/lamp{CARD}")).await.json();
    let ours = get(&gateway.plain(), KEYS).await.json();
    assert!(!kids(&card, &ours).contains(&"lamp-key".to_owned()));
}

#[tokio::test]
async fn what_does_not_hold_is_refused_with_its_reason() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let key = SigningKey::new("lamp-key");
    agent.publish(&json!({"keys": [key.jwk()]}));
    let good = header("lamp-key", &agent.keys_url());
    let cases: [(&str, &dyn Fn(), &str); 6] = [
        ("changed", &|| agent.set_card(|card| card["description"] = json!("Another one.")), "not as it was signed"),
        ("another's key", &|| sign(&agent, &SigningKey::new("lamp-key"), &good), "not as it was signed"),
        ("a key that nobody published", &|| sign(&agent, &key, &header("other", &agent.keys_url())), "(kid)"),
        ("no key named", &|| sign(&agent, &key, &json!({"alg": "ES256", "jku": agent.keys_url()})), "(kid)"),
        (
            "alg none",
            &|| sign(&agent, &key, &json!({"alg": "none", "kid": "lamp-key", "jku": agent.keys_url()})),
            "(alg)",
        ),
        (
            "HS256",
            &|| sign(&agent, &key, &json!({"alg": "HS256", "kid": "lamp-key", "jku": agent.keys_url()})),
            "(alg)",
        ),
    ];
    let gateway = Gateway::start(MOONGATE, "").await;
    for (what, spoil, why) in cases {
        sign(&agent, &key, &good);
        spoil();
        let body = json!({"name": "lamp", "card_url": agent.card_url()});
        let answer = http("POST", &gateway.admin(), "/api/v1/agents", &[], Some(&body)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0416"), "{what}: {}", answer.text());
        assert!(answer.text().contains(why), "{what}: {}", answer.text());
        assert_eq!(health(&gateway, "lamp").await, "gone", "{what}");
    }
    sign(&agent, &key, &good);
    let body = json!({"name": "lamp", "card_url": agent.card_url()});
    let answer = http("POST", &gateway.admin(), "/api/v1/agents", &[], Some(&body)).await;
    assert_eq!((answer.status, &answer.json()["signature"]["state"]), (201, &json!("verified")));
}

#[tokio::test]
async fn a_signature_cannot_send_the_gateway_to_keys_elsewhere() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let elsewhere = Issuer::start().await;
    let jku = format!("{}/jwks", elsewhere.url());
    sign(&agent, elsewhere.key(), &header("key-1", &jku));
    let gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let signature = view(&gateway, "lamp").await["signature"].clone();
    assert_eq!(signature["state"], "unverified");
    assert!(signature["detail"].as_str().unwrap().contains("(jku)"), "{signature}");
    reload(&gateway, &format!("{}signature = \"require\"\n", agent.entry())).await;
    eventually("it is refused", || async { view(&gateway, "lamp").await["problem"]["code"] == "MG-0416" }).await;
    assert_eq!(health(&gateway, "lamp").await, "down");
    assert_eq!(elsewhere.asked(), 0, "nobody asked there");
    // The operator may say that these keys count.
    reload(&gateway, &format!("{}signature = \"require\"\njwks = \"{jku}\"\n", agent.entry())).await;
    eventually("it is taken", || async { view(&gateway, "lamp").await["signature"]["kid"] == "key-1" }).await;
    assert_eq!(elsewhere.asked(), 1);
}

#[tokio::test]
async fn a_signature_that_is_taken_off_is_missed_where_one_is_demanded() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    assert_eq!(view(&gateway, "lamp").await["signature"], json!({"state": "unsigned"}));
    reload(&gateway, &format!("{}signature = \"require\"\n", agent.entry())).await;
    eventually("it is refused", || async { view(&gateway, "lamp").await["problem"]["code"] == "MG-0416" }).await;
    assert_eq!(send(&gateway.plain(), "/agents/lamp", &message("hello")).await.code(), "MG-0304");
    let detail = view(&gateway, "lamp").await["problem"]["detail"].clone();
    assert!(detail.as_str().unwrap().contains("the card is not signed"), "{detail}");
    reload(&gateway, &format!("{}signature = \"ignore\"\n", agent.entry())).await;
    eventually("it is back", || async { health(&gateway, "lamp").await == "up" }).await;
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_count_against_a_card_only_where_they_are_demanded() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let elsewhere = Issuer::start().await;
    elsewhere.set_down(true);
    let jku = format!("{}/jwks", elsewhere.url());
    sign(&agent, elsewhere.key(), &header("key-1", &jku));
    let gateway = Gateway::start(MOONGATE, &format!("{}jwks = \"{jku}\"\n", agent.entry())).await;
    let lamp = view(&gateway, "lamp").await;
    assert_eq!((&lamp["problem"]["code"], &lamp["health"]), (&json!("MG-0417"), &json!("down")), "{lamp}");
    reload(&gateway, &format!("{}signature = \"ignore\"\n", agent.entry())).await;
    eventually("it is taken", || async { view(&gateway, "lamp").await["signature"]["state"] == "unchecked" }).await;
}

#[tokio::test]
async fn an_agents_extended_card_is_judged_and_signed_again() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let key = SigningKey::new("lamp-key");
    agent.publish(&json!({"keys": [key.jwk()]}));
    agent.set_card(|card| card["capabilities"]["extendedAgentCard"] = json!(true));
    let said = header("lamp-key", &agent.keys_url());
    sign(&agent, &key, &said);
    let gateway = Gateway::start(MOONGATE, &format!("{}signature = \"require\"\n", agent.entry())).await;
    let ours = get(&gateway.plain(), KEYS).await.json();
    let ask = async || call(&gateway.plain(), "/agents/lamp", "GetExtendedAgentCard", &json!({})).await;
    let mut card = agent.card();
    card["skills"][0]["description"] = json!("For members.");
    seal(&mut card, &key, &said);
    agent.set_extended(card.clone());
    let answer = ask().await.json()["result"].clone();
    assert_eq!(answer["skills"][0]["description"], "For members.");
    assert!(!kids(&answer, &ours).contains(&"lamp-key".to_owned()));
    card["skills"][0]["description"] = json!("For nobody.");
    agent.set_extended(card.clone());
    let refused = ask().await;
    assert!(refused.code() == "MG-0504" && refused.text().contains("not as it was signed"), "{}", refused.text());
    card.as_object_mut().unwrap().remove("signatures");
    agent.set_extended(card);
    assert_eq!(ask().await.code(), "MG-0504");
}

#[tokio::test]
async fn an_older_card_does_not_stand_in_for_one_that_does_not_hold() {
    let agent = Agent::start("lamp", &[json!("lamp.set")]).await;
    let key = SigningKey::new("lamp-key");
    agent.publish(&json!({"keys": [key.jwk()]}));
    agent.set_older(agent.card());
    sign(&agent, &key, &header("lamp-key", &agent.keys_url()));
    agent.set_card(|card| card["description"] = json!("Another one."));
    let gateway = Gateway::start(MOONGATE, "").await;
    let base = agent.card_url().replace(CARD, "");
    let body = json!({"name": "lamp", "card_url": base});
    let answer = http("POST", &gateway.admin(), "/api/v1/agents", &[], Some(&body)).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0416"), "{}", answer.text());
}
