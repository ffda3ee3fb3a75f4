//! One token for another (RFC 8693): who acts for whom, what that is worth, and when it ends.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::{Code, Principal, PrincipalKind, Scope, Scopes};
use moongate_identity::authority::clients::{ClientProof, NewClient};
use moongate_identity::authority::standing::Standing;
use serde_json::{Value, json};

use super::tokens::{device, refreshed};
use super::{NOW, Scene, alice, scene, text};

const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
const ACCESS_TOKEN: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
/// Where refusals are not counted.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A client that proves itself by a secret and may use this grant.
type Relay = (&'static str, String);

async fn relay(scene: &Scene, id: &'static str, scopes: &[&str]) -> Relay {
    (id, scene.client(id, ClientProof::Secret, "token_exchange", scopes).await)
}

/// Exchanges a token; status and answer.
async fn exchange(scene: &Scene, relay: &Relay, subject: &str, more: &str) -> (u16, Value) {
    let form = format!("grant_type={GRANT}&subject_token={subject}&subject_token_type={ACCESS_TOKEN}{more}");
    scene.post_from(HERE, "/oauth/token", Some((relay.0, &relay.1)), &form).await
}

async fn exchanged(scene: &Scene, relay: &Relay, subject: &str, more: &str) -> String {
    let (status, answer) = exchange(scene, relay, subject, more).await;
    assert_eq!(status, 200, "{answer}");
    text(&answer, "access_token")
}

async fn refused(scene: &Scene, relay: &Relay, subject: &str, more: &str) -> String {
    let (status, answer) = exchange(scene, relay, subject, more).await;
    assert!(matches!(status, 400 | 401), "{more}: {status} {answer}");
    text(&answer, "error")
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

async fn machine(scene: &Scene, id: &str, scopes: &[&str]) -> (String, String) {
    let secret = scene.client(id, ClientProof::Secret, "client_credentials", scopes).await;
    let (status, answer) =
        scene.post_from(HERE, "/oauth/token", Some((id, &secret)), "grant_type=client_credentials").await;
    assert_eq!(status, 200, "{answer}");
    (text(&answer, "access_token"), secret)
}

/// Whom a token names.
async fn holder(scene: &Scene, token: &str) -> Arc<Principal> {
    scene.tokens.verify(token).await.unwrap().on(None).unwrap()
}

async fn is_worthless(scene: &Scene, token: &str) -> bool {
    let refused = scene.tokens.verify(token).await.err().map(|problem| problem.code);
    scene.tokens.known(token).is_none() && refused == Some(Code::Unauthenticated)
}

#[tokio::test]
async fn a_persons_token_becomes_the_clients_own_that_says_who_acts_for_whom() {
    let scene = scene("sqlite:grants.db").await;
    let tv = text(&device(&scene).await, "access_token");
    let butler = relay(&scene, "butler", &["a2a:lights.set:*", "a2a:door.open:send"]).await;
    let (status, answer) = exchange(&scene, &butler, &tv, "&scope=a2a:lights.set:*+a2a:stove.light:send").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(text(&answer, "issued_token_type"), "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((&answer["token_type"], &answer["refresh_token"]), (&json!("Bearer"), &Value::Null));
    // Alice may send and get, the television anything, the butler anything with the lights, and so much was asked for.
    assert_eq!(text(&answer, "scope"), "a2a:lights.set:get a2a:lights.set:send", "{answer}");
    let token = text(&answer, "access_token");
    let said = claims(&token);
    assert_eq!((&said["sub"], &said["client_id"]), (&json!("alice"), &json!("butler")));
    assert_eq!(said["act"], json!({"sub": "butler", "client_id": "butler"}), "{said}");
    let who = holder(&scene, &token).await;
    assert_eq!((&*who.id, who.kind), ("home.example:alice", PrincipalKind::User));
    assert!(who.has_scope("a2a:lights.set:send") && !who.has_scope("a2a:door.open:send"));
    let own = Some((butler.0, butler.1.as_str()));
    let (_, about) = scene.post("/oauth/introspect", own, &format!("token={token}")).await;
    assert_eq!((&about["active"], &about["sub"]), (&json!(true), &json!("alice")), "{about}");
    assert_eq!(about["act"], json!({"sub": "butler", "client_id": "butler"}), "{about}");
    let (_, metadata) = scene.get("/.well-known/oauth-authorization-server").await;
    let grants: Vec<&str> =
        metadata["grant_types_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(grants.contains(&"urn:ietf:params:oauth:grant-type:token-exchange"), "{metadata}");
}

#[tokio::test]
async fn a_programs_token_goes_on_speaking_for_that_program() {
    let scene = scene("memory:").await;
    let (robot, _) = machine(&scene, "robot", &["a2a:*:send"]).await;
    let butler = relay(&scene, "butler", &["a2a:*:*"]).await;
    let token = exchanged(&scene, &butler, &robot, "").await;
    let said = claims(&token);
    assert_eq!(
        (&said["sub"], &said["client_id"], &said["act"]["sub"]),
        (&json!("robot"), &json!("butler"), &json!("butler"))
    );
    let who = holder(&scene, &token).await;
    assert_eq!((&*who.id, who.kind), ("home.example/robot", PrincipalKind::Agent));
    assert_eq!(who.scopes, Scopes::read("a2a:*:send"));
}

#[tokio::test]
async fn only_who_was_registered_for_it_exchanges_and_only_what_counts() {
    let scene = scene("memory:").await;
    let (robot, secret) = machine(&scene, "robot", &["a2a:*:send"]).await;
    let butler = relay(&scene, "butler", &["a2a:lights.set:send"]).await;
    let robots = ("robot", secret);
    for more in ["", "&scope=a2a:door.open:get"] {
        assert_eq!(refused(&scene, &robots, &robot, more).await, "unauthorized_client");
    }
    assert_eq!(refused(&scene, &("butler", "guess".to_owned()), &robot, "").await, "invalid_client");
    for subject in ["", "x", &format!("{robot}x"), &robot.replace('.', "")] {
        assert_eq!(refused(&scene, &butler, subject, "").await, "invalid_request", "{subject}");
    }
    for (more, error) in [
        ("&scope=a2a:door.open:send", "invalid_scope"),
        ("&scope=register", "invalid_scope"),
        ("&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Arefresh_token", "invalid_request"),
        ("&resource=https%3A%2F%2Fother.example", "invalid_target"),
        ("&audience=other", "invalid_target"),
    ] {
        assert_eq!(refused(&scene, &butler, &robot, more).await, error, "{more}");
    }
    let actor = exchanged(&scene, &butler, &robot, "").await;
    let named = format!("&actor_token={actor}&actor_token_type={ACCESS_TOKEN}");
    assert_eq!(refused(&scene, &butler, &robot, &named).await, "invalid_request", "nobody else is named as the actor");
    let jwt = ACCESS_TOKEN.replace("access_token", "jwt");
    for form in [
        format!("grant_type={GRANT}&subject_token={robot}&subject_token_type={jwt}"),
        // A second one is no way around the first.
        format!("grant_type={GRANT}&subject_token=x&subject_token={robot}&subject_token_type={ACCESS_TOKEN}"),
    ] {
        let (status, answer) = scene.post_from(HERE, "/oauth/token", Some((butler.0, &butler.1)), &form).await;
        assert_eq!((status, text(&answer, "error").as_str()), (400, "invalid_request"), "{answer}");
    }
    let public = NewClient {
        id: "page".to_owned(),
        name: None,
        proof: ClientProof::Public,
        grants: vec!["token_exchange".to_owned()],
        scopes: vec!["a2a:*:send".to_owned()],
        redirect_uris: Vec::new(),
    };
    assert_eq!(scene.authority.add_client(public).await.err().map(|problem| problem.code), Some(Code::InvalidParams));
    // A person who is gone is nobody's subject any more.
    let tv = text(&device(&scene).await, "access_token");
    *scene.household.0.lock() = None;
    scene.authority.epoch().rise();
    assert_eq!(refused(&scene, &butler, &tv, "").await, "invalid_request");
}

#[tokio::test]
async fn it_ends_with_the_token_that_it_came_from_however_that_ends() {
    let scene = scene("memory:").await;
    let butler = relay(&scene, "butler", &["a2a:*:*"]).await;
    let valet = relay(&scene, "valet", &["a2a:*:*"]).await;
    let ends: [(&str, &str); 4] =
        [("revoked", "r1"), ("its client disabled", "r2"), ("its client removed", "r3"), ("run out", "r4")];
    for (how, id) in ends {
        let (robot, secret) = machine(&scene, id, &["a2a:*:send"]).await;
        scene.wait(Duration::from_secs(600));
        let one = exchanged(&scene, &butler, &robot, "").await;
        let two = exchanged(&scene, &valet, &one, "").await;
        assert_eq!(claims(&two)["exp"], claims(&robot)["exp"], "no longer than the first");
        for token in [&one, &two] {
            assert_eq!(&*holder(&scene, token).await.id, format!("home.example/{id}"), "{how}");
            assert!(scene.tokens.known(token).is_some());
        }
        match how {
            "revoked" => {
                scene.post_from(HERE, "/oauth/revoke", Some((id, &secret)), &format!("token={robot}")).await;
            }
            "its client disabled" => drop(scene.authority.disable_client(id, true).await.unwrap()),
            "its client removed" => scene.authority.remove_client(id).await.unwrap(),
            _ => scene.wait(Duration::from_secs(3031)),
        }
        for token in [&one, &two] {
            assert!(is_worthless(&scene, token).await, "{how}");
        }
        let own = Some((valet.0, valet.1.as_str()));
        let (_, about) = scene.post_from(HERE, "/oauth/introspect", own, &format!("token={two}")).await;
        assert_eq!(about, json!({"active": false}), "{how}");
        assert_eq!(refused(&scene, &valet, &one, "").await, "invalid_request", "{how}");
    }
    // In the middle of the line, too.
    let (robot, _) = machine(&scene, "r5", &["a2a:*:send"]).await;
    let one = exchanged(&scene, &butler, &robot, "").await;
    let two = exchanged(&scene, &valet, &one, "").await;
    scene.post_from(HERE, "/oauth/revoke", Some((butler.0, &butler.1)), &format!("token={one}")).await;
    assert!(is_worthless(&scene, &one).await && is_worthless(&scene, &two).await);
    holder(&scene, &robot).await;
}

#[tokio::test]
async fn it_ends_with_the_persons_grant_and_shrinks_with_the_persons_rights() {
    let scene = scene("memory:").await;
    let butler = relay(&scene, "butler", &["a2a:*:*"]).await;
    let first = device(&scene).await;
    let token = exchanged(&scene, &butler, &text(&first, "access_token"), "").await;
    assert!(holder(&scene, &token).await.has_scope("a2a:lights.set:send"));
    *scene.household.0.lock() = Some(alice("a2a:*:get", NOW));
    scene.authority.epoch().rise();
    let who = holder(&scene, &token).await;
    assert!(!who.has_scope("a2a:lights.set:send") && who.has_scope("a2a:lights.set:get"));
    // A refresh token that was stolen ends all that came of the grant.
    assert_eq!(refreshed(&scene, &text(&first, "refresh_token")).await.0, 200);
    assert_eq!(refreshed(&scene, &text(&first, "refresh_token")).await.0, 400);
    assert!(is_worthless(&scene, &token).await);
}

#[tokio::test]
async fn four_act_for_one_another_and_no_fifth() {
    let scene = scene("memory:").await;
    let (mut token, _) = machine(&scene, "robot", &["a2a:*:send"]).await;
    let relays = ["one", "two", "three", "four", "five"];
    for (number, id) in relays.into_iter().enumerate() {
        let relay = relay(&scene, id, &["a2a:*:*"]).await;
        if number == 4 {
            let (status, answer) = exchange(&scene, &relay, &token, "").await;
            assert_eq!((status, text(&answer, "error").as_str()), (400, "invalid_request"), "{answer}");
            assert!(text(&answer, "error_description").contains("four act"), "{answer}");
        } else {
            token = exchanged(&scene, &relay, &token, "").await;
        }
    }
    let mut act = &claims(&token)["act"];
    for id in relays[..4].iter().rev() {
        assert_eq!(act["sub"], **id, "the last to act is outermost");
        act = &act["act"];
    }
    assert_eq!(act, &Value::Null);
    assert_eq!(&*holder(&scene, &token).await.id, "home.example/robot");
}

#[tokio::test]
async fn one_token_is_exchanged_for_a_bounded_number() {
    let scene = scene("memory:").await;
    let (robot, _) = machine(&scene, "robot", &["a2a:*:send"]).await;
    let butler = relay(&scene, "butler", &["a2a:*:*"]).await;
    for _ in 0..100 {
        exchanged(&scene, &butler, &robot, "").await;
    }
    assert_eq!(exchange(&scene, &butler, &robot, "").await.0, 429);
    let (other, _) = machine(&scene, "other", &["a2a:*:send"]).await;
    exchanged(&scene, &butler, &other, "").await;
}

/// A small pseudo-random sequence (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn scopes(&mut self) -> Vec<String> {
        let scope = |dice: &mut Self| {
            let (skill, verb) = (["*", "*", "lights", "door"][dice.below(4)], ["*", "*", "send", "get"][dice.below(4)]);
            format!("a2a:{skill}:{verb}")
        };
        (0..=self.below(2)).map(|_| scope(self)).collect()
    }
}

fn read(scopes: &[String]) -> Scopes {
    Scopes::read(&scopes.join(" "))
}

fn covers(wide: &Scopes, narrow: &Scopes) -> bool {
    narrow.words().iter().all(|word| Scope::parse(word).is_some_and(|scope| wide.covers(&scope)))
}

#[tokio::test]
async fn rights_never_grow_along_whatever_chain_of_exchanges() {
    const SEED: u64 = 0x5eed;
    let scene = scene("memory:").await;
    let mut dice = Dice(SEED);
    let ids: [&'static str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];
    let mut clients = Vec::new();
    for id in ids {
        let scopes = dice.scopes();
        let words: Vec<&str> = scopes.iter().map(String::as_str).collect();
        clients.push((relay(&scene, id, &words).await, read(&scopes)));
    }
    let (mut given, mut none) = ([0; 5], 0);
    for round in 0..120 {
        let told = format!("round {round} of seed {SEED:#x}");
        let scopes = dice.scopes();
        let words: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let (mut token, _) = machine(&scene, &format!("m{round}"), &words).await;
        let mut rights = read(&scopes);
        for length in 1..=5 {
            let (client, own) = &clients[dice.below(ids.len())];
            let asked = if dice.below(2) == 0 { Vec::new() } else { dice.scopes() };
            let more = if asked.is_empty() { String::new() } else { format!("&scope={}", asked.join("+")) };
            let mut expected = rights.meet(own);
            if !asked.is_empty() {
                expected = expected.meet(&read(&asked));
            }
            let (status, answer) = exchange(&scene, client, &token, &more).await;
            if status != 200 {
                let error = text(&answer, "error");
                let right = if length == 5 { error == "invalid_request" } else { error == "invalid_scope" };
                assert!(right && (length == 5 || expected.words().is_empty()), "{told}: {answer}");
                none += 1;
                break;
            }
            let got = Scopes::read(&text(&answer, "scope"));
            token = text(&answer, "access_token");
            let Standing { scopes: worth, actors, .. } = scene.authority.standing(&token).await.unwrap().unwrap();
            for now in [&got, &worth, &holder(&scene, &token).await.scopes] {
                assert!(covers(&rights, now) && covers(own, now), "{told}: {now:?} of {rights:?} by {own:?}");
                assert!(covers(now, &expected) && covers(&expected, now), "{told}: {now:?} and not {expected:?}");
            }
            assert_eq!(actors, length, "{told}");
            (rights, given[length - 1]) = (got, given[length - 1] + 1);
        }
    }
    assert!(given[..4].iter().all(|count| *count > 5) && given[4] == 0 && none > 10, "{given:?} {none}");
}
