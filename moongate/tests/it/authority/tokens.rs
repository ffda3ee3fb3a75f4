//! What a token is worth while clients, people, keys and time go their ways.

use std::net::IpAddr;
use std::time::Duration;

use moongate_core::{Code, PrincipalKind};
use moongate_identity::authority::clients::{ClientProof, NewClient};
use moongate_identity::authority::consent::Authorization;
use moongate_identity::people::{NewUser, UserName};
use serde_json::Value;

use super::{CALLER, ISSUER, NOW, Scene, alice, scene, text};

const DEVICE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";

/// A machine's own token.
async fn machine(scene: &Scene, scope: &str) -> (u16, Value, String) {
    let secret = scene.client("robot", ClientProof::Secret, "client_credentials", &["a2a:*:*"]).await;
    let form = format!("grant_type=client_credentials&scope={scope}");
    let (status, answer) = scene.post("/oauth/token", Some(("robot", &secret)), &form).await;
    (status, answer, secret)
}

/// A device that alice let in: its tokens.
pub(super) async fn device(scene: &Scene) -> Value {
    scene.client("tv", ClientProof::Public, "device_code", &["a2a:*:*"]).await;
    let (status, begun) = scene.post("/oauth/device_authorization", None, "client_id=tv&scope=a2a:*:*").await;
    assert_eq!(status, 200, "{begun}");
    let question = scene.authority.device_question(&text(&begun, "user_code")).await.unwrap();
    assert_eq!((question.asked.client_name.as_str(), question.remote), ("The tv", Some(CALLER)));
    assert_eq!(question.asked.scopes, ["a2a:*:*"]);
    let form = format!("grant_type={DEVICE}&client_id=tv&device_code={}", text(&begun, "device_code"));
    let (_, pending) = scene.post("/oauth/token", None, &form).await;
    assert_eq!(text(&pending, "error"), "authorization_pending");
    scene.authority.device_answer(&text(&begun, "user_code"), "alice", true).await.unwrap();
    scene.wait(Duration::from_secs(5));
    let (status, tokens) = scene.post("/oauth/token", None, &form).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

/// A browser's query of the program `app`.
fn query(scope: &str, redirect: &str) -> String {
    format!(
        "response_type=code&client_id=app&state=s&scope={scope}&redirect_uri={redirect}\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
    )
}

/// The form by which `app` gets its tokens, of where the browser was sent.
fn redeeming(there: &str) -> String {
    let code = there.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap();
    format!(
        "grant_type=authorization_code&client_id=app&code={code}&redirect_uri=https%3A%2F%2Fapp.example%2Fback\
         &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
}

pub(super) async fn refreshed(scene: &Scene, refresh: &str) -> (u16, Value) {
    let form = format!("grant_type=refresh_token&client_id=tv&refresh_token={refresh}");
    scene.post("/oauth/token", None, &form).await
}

#[tokio::test]
async fn a_program_gets_a_token_for_itself_and_no_more_than_it_asked_for() {
    let scene = scene("memory:").await;
    let (status, answer, secret) = machine(&scene, "a2a:lights:send").await;
    assert_eq!(status, 200, "{answer}");
    let who = scene.verified(&text(&answer, "access_token")).await.unwrap();
    assert_eq!((&*who.id, who.kind), ("home.example/robot", PrincipalKind::Agent));
    assert!(who.has_scope("a2a:lights:send") && !who.has_scope("a2a:lights:get") && !who.has_scope("a2a:door:send"));

    for scope in ["register", "admin:*", "a2a:lights:send%20mcp:x:y"] {
        let form = format!("grant_type=client_credentials&scope={scope}");
        let (status, answer) = scene.post("/oauth/token", Some(("robot", &secret)), &form).await;
        assert_eq!((status, text(&answer, "error").as_str()), (400, "invalid_scope"), "{scope}");
    }
    let (status, _) = scene.post("/oauth/token", Some(("robot", "guess")), "grant_type=client_credentials").await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn what_was_known_of_a_token_is_void_once_something_ends() {
    let scene = scene("memory:").await;
    let (_, answer, secret) = machine(&scene, "a2a:*:send").await;
    let token = text(&answer, "access_token");
    scene.verified(&token).await.unwrap();
    assert!(scene.tokens.known(&token).is_some());

    scene.authority.disable_client("robot", true).await.unwrap();
    assert!(scene.tokens.known(&token).is_none());
    assert_eq!(scene.verified(&token).await.err().map(|problem| problem.code), Some(Code::Unauthenticated));
    scene.authority.disable_client("robot", false).await.unwrap();
    scene.verified(&token).await.unwrap();

    let (status, _) = scene.post("/oauth/revoke", Some(("robot", &secret)), &format!("token={token}")).await;
    assert_eq!(status, 200);
    assert!(scene.tokens.known(&token).is_none() && scene.verified(&token).await.is_err());

    let form = "grant_type=client_credentials&scope=a2a:*:send";
    let (_, answer) = scene.post("/oauth/token", Some(("robot", &secret)), form).await;
    let token = text(&answer, "access_token");
    scene.verified(&token).await.unwrap();
    scene.authority.remove_client("robot").await.unwrap();
    assert!(scene.tokens.known(&token).is_none() && scene.verified(&token).await.is_err());
}

#[tokio::test]
async fn an_id_is_given_once_and_never_to_a_program_and_a_person() {
    let scene = scene("memory:").await;
    let people = scene.people();
    let add = async |id: &str| {
        let scopes = vec!["a2a:*:send".to_owned()];
        let (proof, grants) = (ClientProof::Secret, vec!["client_credentials".to_owned()]);
        let new = NewClient { id: id.to_owned(), name: None, proof, grants, scopes, redirect_uris: Vec::new() };
        let added = scene.authority.add_client(new).await;
        added.map(drop).map_err(|problem| (problem.code, problem.detail.to_string()))
    };
    let person = async |name: &str| {
        let new = NewUser { name: UserName::read(name).unwrap(), display_name: String::new(), scopes: Vec::new() };
        people.add(new, None).await.map(drop).map_err(|problem| (problem.code, problem.detail.to_string()))
    };
    let until = |name: &str| {
        format!(
            "the name {name} was somebody's until 2026-09-01; tasks of that time are still kept under it: choose another, \
             or disable and enable instead of removing"
        )
    };
    add("Robot").await.unwrap();
    assert_eq!(person("robot").await, Err((Code::UserExists, "there is a client robot already".to_owned())));
    scene.authority.remove_client("Robot").await.unwrap();
    assert_eq!(add("Robot").await, Err((Code::ClientExists, until("Robot"))));
    assert_eq!(person("robot").await, Err((Code::UserExists, until("robot"))));

    person("carol").await.unwrap();
    assert_eq!(add("Carol").await, Err((Code::ClientExists, "there is a user Carol already".to_owned())));
    people.remove(&UserName::read("carol").unwrap()).await.unwrap();
    assert_eq!(add("carol").await, Err((Code::ClientExists, until("carol"))));
    assert_eq!(person("carol").await, Err((Code::UserExists, until("carol"))));
}

#[tokio::test]
async fn a_device_speaks_for_its_person_within_what_both_may() {
    let scene = scene("memory:").await;
    let tokens = device(&scene).await;
    let token = text(&tokens, "access_token");
    let who = scene.verified(&token).await.unwrap();
    assert_eq!((&*who.id, who.kind), ("home.example:alice", PrincipalKind::User));
    assert!(who.has_scope("a2a:x:send") && !who.has_scope("a2a:x:cancel"), "alice may not cancel");

    *scene.household.0.lock() = Some(alice("a2a:*:get", NOW));
    scene.authority.epoch().rise();
    assert!(!scene.verified(&token).await.unwrap().has_scope("a2a:x:send"));
    *scene.household.0.lock() = None;
    scene.authority.epoch().rise();
    assert!(scene.verified(&token).await.is_err(), "alice is gone");
    let (status, answer) = refreshed(&scene, &text(&tokens, "refresh_token")).await;
    assert_eq!((status, text(&answer, "error").as_str()), (400, "invalid_grant"));

    // Somebody else is called alice now.
    *scene.household.0.lock() = Some(alice("a2a:*:*", NOW.plus(Duration::from_secs(60))));
    scene.authority.epoch().rise();
    assert!(scene.verified(&token).await.is_err());
    assert_eq!(refreshed(&scene, &text(&tokens, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn a_consent_holds_what_the_person_could_give_and_never_grows() {
    let scene = scene("memory:").await;
    let tokens = device(&scene).await;
    assert_eq!(text(&tokens, "scope"), "a2a:*:get a2a:*:send", "the answer names what was given");
    scene.client("app", ClientProof::Public, "authorization_code", &["a2a:*:*"]).await;
    let yes = scene.authority.authorization_answer(&query("a2a:*:*", "https://app.example/back"), "alice", true).await;
    let (status, app) = scene.post("/oauth/token", None, &redeeming(&yes.unwrap())).await;
    assert_eq!((status, text(&app, "scope").as_str()), (200, "a2a:*:get a2a:*:send"), "{app}");

    *scene.household.0.lock() = Some(alice("a2a:*:*", NOW));
    scene.authority.epoch().rise();
    let (status, refreshed) = refreshed(&scene, &text(&tokens, "refresh_token")).await;
    assert_eq!(status, 200, "{refreshed}");
    for tokens in [&tokens, &app, &refreshed] {
        let who = scene.verified(&text(tokens, "access_token")).await.unwrap();
        assert!(who.has_scope("a2a:x:send") && !who.has_scope("a2a:x:cancel"), "the page said that it does not get it");
    }

    *scene.household.0.lock() = Some(alice("", NOW));
    let (_, begun) = scene.post("/oauth/device_authorization", None, "client_id=tv&scope=a2a:*:*").await;
    let code = text(&begun, "user_code");
    let nothing = scene.authority.device_answer(&code, "alice", true).await;
    assert_eq!(nothing.err().map(|problem| problem.code), Some(Code::AuthorizationRefused));
    scene.authority.device_answer(&code, "alice", false).await.unwrap();
}

#[tokio::test]
async fn a_stranger_locks_nobody_out_but_the_own_network() {
    let scene = scene("memory:").await;
    let (_, _, secret) = machine(&scene, "a2a:*:send").await;
    let form = "grant_type=client_credentials";
    let stranger = |last: u8| IpAddr::from([198, 51, 100, last]);
    let mut refused = Vec::new();
    for n in 0..200_u16 {
        let path = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"][usize::from(n % 3)];
        let guess = Some(("robot", "guess"));
        refused.push(scene.post_from(stranger(7), path, guess, &format!("{form}&token=x")).await.0);
    }
    assert_eq!((refused[..60].iter().all(|status| *status == 401), refused[60]), (true, 429), "{refused:?}");
    for last in 8..80 {
        for _ in 0..60 {
            scene.post_from(stranger(last), "/oauth/token", Some(("robot", "guess")), form).await;
        }
    }
    let (status, answer) = scene.post("/oauth/token", Some(("robot", &secret)), form).await;
    assert_eq!(status, 200, "4000 guesses in a minute are no reason to refuse the right secret: {answer}");
    assert_eq!(scene.post_from(stranger(7), "/oauth/token", Some(("robot", &secret)), form).await.0, 429);
    scene.wait(Duration::from_secs(60));
    assert_eq!(scene.post_from(stranger(7), "/oauth/token", Some(("robot", &secret)), form).await.0, 200);
}

#[tokio::test]
async fn nobody_fills_the_store_with_codes() {
    let scene = scene("memory:").await;
    scene.client("tv", ClientProof::Public, "device_code", &["a2a:*:*"]).await;
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(scene.post("/oauth/device_authorization", None, "client_id=tv").await.0);
    }
    assert_eq!((answers.iter().filter(|status| **status == 200).count(), answers[24]), (20, 429));
    scene.wait(Duration::from_secs(60));
    assert_eq!(scene.post("/oauth/device_authorization", None, "client_id=tv").await.0, 200);

    let long = "x".repeat(2049);
    let words = vec!["a2a:x:send"; 65].join("+");
    let wide = format!("a2a:x:send+{}", "a".repeat(4096));
    for (form, error) in [
        (format!("scope={words}"), "invalid_scope"),
        (format!("scope={wide}"), "invalid_scope"),
        (format!("state={long}"), "invalid_request"),
        (format!("resource={long}"), "invalid_request"),
    ] {
        let form = format!("client_id=tv&{form}");
        let (status, answer) = scene.post("/oauth/device_authorization", None, &form).await;
        assert_eq!((status, text(&answer, "error").as_str()), (400, error));
    }
    scene.client("app", ClientProof::Public, "authorization_code", &["a2a:*:*"]).await;
    let long = query(&words, "https://app.example/back");
    let refused = scene.authority.authorization_question(&long).await;
    assert_eq!(refused.err().map(|problem| problem.code), Some(Code::AuthorizationRefused));
}

#[tokio::test]
async fn many_networks_together_begin_a_bounded_number_of_sign_ins() {
    let scene = scene("memory:").await;
    scene.client("tv", ClientProof::Public, "device_code", &["a2a:*:*"]).await;
    let mut answers = Vec::new();
    for n in 0..700_u16 {
        let from = IpAddr::from([198, 51, 100, u8::try_from(n / 20).unwrap()]);
        answers.push(scene.post_from(from, "/oauth/device_authorization", None, "client_id=tv").await.0);
    }
    assert!(answers[..600].iter().all(|status| *status == 200) && answers[600..].iter().all(|status| *status == 429));
    scene.wait(Duration::from_secs(60));
    assert_eq!(scene.post("/oauth/device_authorization", None, "client_id=tv").await.0, 200);
}

#[tokio::test]
async fn a_program_holds_a_bounded_number_of_tokens_for_itself() {
    let scene = scene("memory:").await;
    let (_, _, secret) = machine(&scene, "a2a:*:send").await;
    let form = "grant_type=client_credentials";
    for n in 1..1000 {
        let (status, answer) = scene.post("/oauth/token", Some(("robot", &secret)), form).await;
        assert_eq!(status, 200, "{n}: {answer}");
    }
    let (status, answer) = scene.post("/oauth/token", Some(("robot", &secret)), form).await;
    assert_eq!((status, text(&answer, "error").as_str()), (429, "slow_down"), "{answer}");
    scene.wait(Duration::from_secs(3600));
    assert_eq!(scene.post("/oauth/token", Some(("robot", &secret)), form).await.0, 200, "the old ones ran out");
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_ends_the_whole_grant() {
    let scene = scene("sqlite:grants.db").await;
    let first = device(&scene).await;
    let (status, second) = refreshed(&scene, &text(&first, "refresh_token")).await;
    assert_eq!(status, 200, "{second}");
    scene.verified(&text(&second, "access_token")).await.unwrap();

    let (status, answer) = refreshed(&scene, &text(&first, "refresh_token")).await;
    assert_eq!((status, text(&answer, "error").as_str()), (400, "invalid_grant"));
    for tokens in [&first, &second] {
        let token = text(tokens, "access_token");
        assert!(scene.tokens.known(&token).is_none() && scene.verified(&token).await.is_err());
    }
    assert_eq!(refreshed(&scene, &text(&second, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn a_persons_end_is_the_end_of_all_that_speaks_for_them() {
    let scene = scene("memory:").await;
    let tokens = device(&scene).await;
    assert_eq!(scene.authority.forget_user("alice").await.unwrap(), 2, "an access and a refresh token");
    assert!(scene.verified(&text(&tokens, "access_token")).await.is_err());
    assert_eq!(refreshed(&scene, &text(&tokens, "refresh_token")).await.0, 400);
    assert_eq!(scene.authority.forget_user("alice").await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_asks_about_a_token_learns_what_it_is_worth_now() {
    let scene = scene("memory:").await;
    let secret = scene.client("app", ClientProof::Secret, "authorization_code", &["a2a:*:*"]).await;
    let app = Some(("app", secret.as_str()));
    let yes = scene.authority.authorization_answer(&query("a2a:*:*", "https://app.example/back"), "alice", true).await;
    let (_, tokens) = scene.post("/oauth/token", app, &redeeming(&yes.unwrap())).await;
    let about = async |name: &str| {
        let form = format!("token={}", text(&tokens, name));
        let (status, answer) = scene.post("/oauth/introspect", app, &form).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let answer = about("access_token").await;
    assert_eq!((&answer["active"], text(&answer, "scope").as_str()), (&Value::Bool(true), "a2a:*:get a2a:*:send"));
    assert_eq!(text(&answer, "sub"), "alice");

    *scene.household.0.lock() = Some(alice("a2a:lights:send", NOW));
    scene.authority.epoch().rise();
    let answer = about("access_token").await;
    assert_eq!((&answer["active"], text(&answer, "scope").as_str()), (&Value::Bool(true), "a2a:lights:send"));

    *scene.household.0.lock() = None;
    scene.authority.epoch().rise();
    assert_eq!(about("access_token").await, serde_json::json!({"active": false}), "alice is disabled");
}

#[tokio::test]
async fn a_code_is_good_for_one_answer_and_for_ten_minutes() {
    let scene = scene("memory:").await;
    scene.client("tv", ClientProof::Public, "device_code", &["a2a:*:*"]).await;
    scene.client("app", ClientProof::Public, "authorization_code", &["a2a:*:*"]).await;
    let (status, answer) = scene.post("/oauth/device_authorization", None, "client_id=app").await;
    assert_eq!((status, text(&answer, "error").as_str()), (400, "unauthorized_client"), "off unless it was registered");

    let begin = || scene.post("/oauth/device_authorization", None, "client_id=tv");
    let code = text(&begin().await.1, "user_code");
    let letters: String = code.chars().filter(|letter| *letter != '-').collect();
    assert!(letters.len() == 8 && letters.chars().all(|letter| "BCDFGHJKLMNPQRSTVWXZ".contains(letter)), "{code}");
    scene.authority.device_answer(&letters.to_lowercase(), "alice", false).await.unwrap();
    let again = scene.authority.device_answer(&code, "alice", true).await;
    assert_eq!(again.err().map(|problem| problem.code), Some(Code::DeviceCodeUnknown), "the first answer counts");

    let code = text(&begin().await.1, "user_code");
    for nobody in ["bob", "tv"] {
        let answered = scene.authority.device_answer(&code, nobody, true).await;
        assert_eq!(answered.err().map(|problem| problem.code), Some(Code::DeviceCodeUnknown));
    }
    scene.wait(Duration::from_secs(601));
    let late = scene.authority.device_question(&code).await;
    assert_eq!(late.err().map(|problem| problem.code), Some(Code::DeviceCodeUnknown));
    let mut seen = Code::DeviceCodeUnknown;
    for _ in 0..100 {
        seen = scene.authority.device_question("BBBB-BBBB").await.err().unwrap().code;
    }
    assert_eq!(seen, Code::TooManyGuesses);
}

#[tokio::test]
async fn a_browser_goes_only_where_the_client_is_registered() {
    let scene = scene("memory:").await;
    scene.client("app", ClientProof::Public, "authorization_code", &["a2a:*:*"]).await;
    let elsewhere = scene.authority.authorization_question(&query("a2a:x:send", "https://evil.example/back")).await;
    assert_eq!(elsewhere.err().map(|problem| problem.code), Some(Code::AuthorizationRefused));
    let good = query("a2a:x:send", "https://app.example/back");
    let Authorization::Ask { asked, .. } = scene.authority.authorization_question(&good).await.unwrap() else {
        panic!("a person is asked")
    };
    assert_eq!(asked.scopes, ["a2a:x:send"]);
    let no = scene.authority.authorization_answer(&good, "alice", false).await.unwrap();
    assert!(no.contains("error=access_denied") && no.contains("iss=https%3A%2F%2Fgw.home.example"), "{no}");
    let plain = good.replace("S256", "plain");
    let Authorization::Redirect(to) = scene.authority.authorization_question(&plain).await.unwrap() else {
        panic!("PKCE is S256 or nothing")
    };
    assert!(to.contains("error=invalid_request"), "{to}");

    let yes = scene.authority.authorization_answer(&good, "alice", true).await.unwrap();
    let form = redeeming(&yes);
    let (status, tokens) = scene.post("/oauth/token", None, &form).await;
    assert_eq!(status, 200, "{tokens}");
    let token = text(&tokens, "access_token");
    scene.verified(&token).await.unwrap();
    let (status, _) = scene.post("/oauth/token", None, &form).await;
    assert_eq!(status, 400, "a code is good once");
    assert!(scene.verified(&token).await.is_err(), "and a second use ends what the first one got");
}

#[tokio::test]
async fn tokens_survive_a_new_key_and_a_restart_and_say_whose_they_are() {
    let scene = scene("sqlite:grants.db").await;
    let (_, answer, secret) = machine(&scene, "a2a:*:send").await;
    let token = text(&answer, "access_token");
    let before = scene.get("/oauth/jwks").await.1;
    let key = scene.authority.rotate_key().await.unwrap();
    let after = scene.get("/oauth/jwks").await.1;
    assert_eq!(after["keys"].as_array().unwrap().len(), 2);
    assert_eq!((&after["keys"][0]["kid"], &after["keys"][1]), (&Value::from(key.id.as_str()), &before["keys"][0]));
    scene.verified(&token).await.unwrap();
    let form = "grant_type=client_credentials&resource=https%3A%2F%2Fother.example";
    let (status, answer) = scene.post("/oauth/token", Some(("robot", &secret)), form).await;
    assert_eq!((status, text(&answer, "error").as_str()), (400, "invalid_target"), "no tokens for other resources");
    let form = format!("grant_type=client_credentials&resource={ISSUER}/a2a");
    let (_, answer) = scene.post("/oauth/token", Some(("robot", &secret)), &form).await;
    scene.verified(&text(&answer, "access_token")).await.unwrap();

    scene.wait(Duration::from_secs(3600));
    assert!(scene.tokens.known(&token).is_none());
    scene.wait(Duration::from_secs(31));
    assert!(scene.verified(&token).await.is_err(), "it has run out");
    let file = std::fs::read(scene.folder.path().join("grants.db")).unwrap();
    let log = std::fs::read(scene.folder.path().join("grants.db-wal")).unwrap_or_default();
    for secret in [token.as_bytes(), secret.as_bytes()] {
        assert!(![&file, &log].iter().any(|bytes| bytes.windows(secret.len()).any(|part| part == secret)));
    }
}

#[tokio::test]
async fn the_documents_name_what_there_is() {
    let scene = scene("memory:").await;
    let (status, server) = scene.get("/.well-known/oauth-authorization-server").await;
    assert_eq!((status, text(&server, "issuer").as_str()), (200, ISSUER));
    assert_eq!(scene.get("/.well-known/openid-configuration").await.1, server);
    assert_eq!(server["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(server["authorization_response_iss_parameter_supported"], true);
    for (name, path) in [
        ("token_endpoint", "token"),
        ("device_authorization_endpoint", "device_authorization"),
        ("revocation_endpoint", "revoke"),
        ("introspection_endpoint", "introspect"),
        ("authorization_endpoint", "authorize"),
        ("jwks_uri", "jwks"),
    ] {
        assert_eq!(text(&server, name), format!("{ISSUER}/oauth/{path}"));
    }
    let (_, resource) = scene.get("/.well-known/oauth-protected-resource").await;
    assert_eq!(
        (text(&resource, "resource").as_str(), &resource["authorization_servers"][0]),
        (ISSUER, &Value::from(ISSUER))
    );
    let (_, resource) = scene.get("/.well-known/oauth-protected-resource/a2a").await;
    assert_eq!(text(&resource, "resource"), format!("{ISSUER}/a2a"));
    assert_eq!(scene.get("/.well-known/oauth-protected-resource/else").await.0, 404);
    let grants = server["grant_types_supported"].to_string();
    assert!(!grants.contains("password") && !grants.contains("implicit"), "{grants}");
}
