//! Who is let in by a token, and what scopes reach.

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::issuer::{Issuer, SigningKey};
use serde_json::{Value, json};

use crate::stage::{Binding, Caller, Gateway, MOONGATE, Operation, Refusal, SPEAKERS, id, on, saying, state};
use crate::support::{ROUTING, at_main, get_main, reload};

/// A gateway with an agent of two skills, which accepts the tokens of an issuer.
async fn bed(scopes: &[&str]) -> (Agent, Issuer, Gateway) {
    let skills = ["lights.set", "blinds.open"].map(str::to_owned).to_vec();
    let agent = Agent::start(Plan { skills, ..Plan::new("home") }).await;
    let issuer = Issuer::start().await;
    let gateway = Gateway::start(MOONGATE, &toml(&agent, &issuer, scopes)).await;
    (agent, issuer, gateway)
}

fn toml(agent: &Agent, issuer: &Issuer, scopes: &[&str]) -> String {
    let listen =
        "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    format!("{listen}{}\n{}", agent.entry(""), issuer.entry(scopes, ""))
}

fn bearing(gateway: &Gateway, token: &str) -> Caller {
    Caller::rpc(&gateway.plain()).with("authorization", &format!("Bearer {token}"))
}

/// A message for a skill.
fn for_skill(skill: &str) -> Value {
    let mut params = saying("echo hello");
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

fn told(refusal: &Refusal) -> &str {
    refusal.gateway_code.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_token_lets_its_holder_in_with_what_it_and_the_operator_allow() {
    let (_agent, issuer, gateway) = bed(&["a2a:*:send", "a2a:*:get"]).await;
    for (binding, version) in SPEAKERS {
        let token = issuer.token("openid a2a:*:*");
        let caller = Caller::new(&gateway.plain(), binding, version).with("authorization", &format!("Bearer {token}"));
        let sent = caller.call(Operation::Send, &saying("echo hello")).await.unwrap();
        assert_eq!(state(&sent["task"]), "COMPLETED", "{sent}");
        let refusal = caller.call(Operation::Cancel, &on(&id(&sent["task"]))).await.unwrap_err();
        assert_eq!((told(&refusal), refusal.reason.as_str()), ("MG-0407", "PERMISSION_DENIED"), "{refusal:?}");
        assert!(refusal.message.contains(":cancel"), "{refusal:?}");
        if binding == Binding::Http {
            assert_eq!(refusal.status, 403);
        }
    }
}

#[tokio::test]
async fn whose_task_it_is_stays_a_secret_between_callers() {
    let (_agent, issuer, gateway) = bed(&["a2a:*:*"]).await;
    let alice = bearing(&gateway, &issuer.token("a2a:*:*"));
    let bob = bearing(&gateway, &issuer.token_with("a2a:*:*", |_, claims| claims["sub"] = json!("bob")));
    let task = id(&alice.call(Operation::Send, &saying("echo hello")).await.unwrap()["task"]);
    for operation in [Operation::Get, Operation::Cancel, Operation::Subscribe] {
        let unknown = bob.call(operation, &on("no-such-task")).await.unwrap_err();
        let refusal = bob.call(operation, &on(&task)).await.unwrap_err();
        assert_eq!(refusal.code, unknown.code);
        assert_eq!(refusal.message.replace(&task, "X"), unknown.message.replace("no-such-task", "X"));
    }
    assert_eq!(bob.call(Operation::List, &json!({})).await.unwrap()["totalSize"], 0);
    assert_eq!(alice.call(Operation::List, &json!({})).await.unwrap()["totalSize"], 1);
}

#[tokio::test]
async fn scopes_are_those_of_skills() {
    let (agent, issuer, gateway) = bed(&["a2a:*:*"]).await;
    let caller = bearing(&gateway, &issuer.token("a2a:lights.set:send a2a:lights.set:get"));
    let sent = caller.call(Operation::Send, &for_skill("lights.set")).await.unwrap();
    assert_eq!(state(&caller.call(Operation::Get, &on(&id(&sent["task"]))).await.unwrap()), "COMPLETED");
    let refusal = caller.call(Operation::Send, &for_skill("blinds.open")).await.unwrap_err();
    assert!(told(&refusal) == "MG-0407" && refusal.message.contains("a2a:blinds.open:send"), "{refusal:?}");
    let refusal = caller.call(Operation::Cancel, &on(&id(&sent["task"]))).await.unwrap_err();
    assert!(told(&refusal) == "MG-0407" && refusal.message.contains("a2a:lights.set:cancel"), "{refusal:?}");
    // The agent could take what names no skill as any of its skills.
    let refusal = caller.call(Operation::Send, &saying("echo hello")).await.unwrap_err();
    assert!(told(&refusal) == "MG-0407" && refusal.message.contains("blinds.open"), "{refusal:?}");
    // Nor does a task open the way to another skill, a list to others' tasks, or a message to push notifications.
    let all = bearing(&gateway, &issuer.token("a2a:*:*"));
    let mut asks = for_skill("lights.set");
    asks["message"]["parts"][0]["text"] = json!("ask");
    let open = id(&all.call(Operation::Send, &asks).await.unwrap()["task"]);
    let mut sneaks = for_skill("blinds.open");
    sneaks["message"]["taskId"] = json!(open);
    let mut pushes = for_skill("lights.set");
    pushes["configuration"] = json!({"taskPushNotificationConfig": {"url": "https://hooks.invalid/"}});
    let heard_meanwhile = agent.received().len();
    for (operation, params, missing) in [
        (Operation::Send, sneaks, "a2a:blinds.open:send"),
        (Operation::Send, pushes, "a2a:lights.set:push"),
        (Operation::List, json!({}), "a2a:*:list"),
    ] {
        let caller = bearing(&gateway, &issuer.token("a2a:lights.set:send a2a:lights.set:get a2a:lights.set:list"));
        let refusal = caller.call(operation, &params).await.unwrap_err();
        assert!(told(&refusal) == "MG-0407" && refusal.message.contains(missing), "{refusal:?}");
    }
    assert_eq!(agent.received().len(), heard_meanwhile, "the agent hears nothing of these");
    let heard = heard_meanwhile;
    let none = bearing(&gateway, &issuer.token("openid profile"));
    for (operation, params) in [(Operation::Send, for_skill("lights.set")), (Operation::List, json!({}))] {
        assert_eq!(told(&none.call(operation, &params).await.unwrap_err()), "MG-0407");
    }
    assert_eq!(agent.received().len(), heard, "the agent hears nothing of it");
}

#[tokio::test]
async fn a_stream_ends_with_its_callers_token() {
    let (agent, issuer, gateway) = bed(&["a2a:*:*"]).await;
    for (binding, version) in SPEAKERS {
        let short = issuer.token_with("a2a:*:*", |_, claims| {
            claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 2);
            claims["jti"] = json!(format!("{} {}", binding.as_str(), version.as_str()));
        });
        let caller = Caller::new(&gateway.plain(), binding, version).with("authorization", &format!("Bearer {short}"));
        let events = caller.open(Operation::Stream, &saying("slow work")).await.unwrap();
        let refusal = events.rest().await.unwrap_err();
        assert_eq!(told(&refusal), "MG-0401", "{} {}: {refusal:?}", binding.as_str(), version.as_str());
    }
    agent.release(SPEAKERS.len());
}

#[tokio::test]
async fn a_stream_ends_when_its_issuer_is_trusted_no_more_or_less() {
    let (agent, issuer, gateway) = bed(&["a2a:*:*"]).await;
    let caller = bearing(&gateway, &issuer.token("a2a:*:send a2a:*:get"));
    let open = || async { caller.open(Operation::Stream, &saying("slow work")).await.unwrap() };
    let kept = open().await;
    reload(&gateway, &toml(&agent, &issuer, &["a2a:*:send", "a2a:*:get", "a2a:*:list"])).await;
    agent.release(1);
    kept.rest().await.expect("it may do all that it did");
    for less in [toml(&agent, &issuer, &["a2a:*:send"]), toml(&agent, &Issuer::start().await, &["a2a:*:*"])] {
        reload(&gateway, &toml(&agent, &issuer, &["a2a:*:*"])).await;
        let ended = open().await;
        reload(&gateway, &less).await;
        assert_eq!(told(&ended.rest().await.unwrap_err()), "MG-0401");
    }
}

#[tokio::test]
async fn one_caller_has_no_more_than_its_share_of_streams() {
    let agent = Agent::start(Plan::new("home")).await;
    let issuer = Issuer::start().await;
    let toml = format!("{}\n[limits]\nstreams = 8\n", toml(&agent, &issuer, &["a2a:*:*"]));
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let alice = bearing(&gateway, &issuer.token("a2a:*:*"));
    let bob = bearing(&gateway, &issuer.token_with("a2a:*:*", |_, claims| claims["sub"] = json!("bob")));
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(alice.open(Operation::Stream, &saying("slow work")).await.unwrap());
    }
    let refusal = alice.open(Operation::Stream, &saying("slow work")).await.err().unwrap();
    assert_eq!(told(&refusal), "MG-0608", "{refusal:?}");
    let others = bob.open(Operation::Stream, &saying("slow work")).await.unwrap();
    agent.release(3);
    for events in open {
        events.rest().await.unwrap();
    }
    others.rest().await.unwrap();
    let again =
        moongate_testkit::gateway::until(|| async { alice.open(Operation::Stream, &saying("echo x")).await.ok() });
    assert!(again.await.is_some(), "what has ended counts no more");
}

#[tokio::test]
async fn a_new_key_works_at_once_and_an_issuer_that_is_down_locks_nobody_out() {
    let (_agent, mut issuer, gateway) = bed(&["a2a:*:*"]).await;
    let old = issuer.token("a2a:*:*");
    bearing(&gateway, &old).call(Operation::Send, &saying("echo one")).await.unwrap();
    assert_eq!(issuer.asked(), 1);
    issuer.rotate("key-2");
    let callers: Vec<Caller> = (0..8)
        .map(|n| bearing(&gateway, &issuer.token_with("a2a:*:*", |_, claims| claims["jti"] = json!(n))))
        .collect();
    let params = saying("echo two");
    let all = callers.iter().map(|caller| caller.call(Operation::Send, &params));
    for sent in futures_util::future::join_all(all).await {
        assert_eq!(state(&sent.unwrap()["task"]), "COMPLETED");
    }
    assert_eq!(issuer.asked(), 2, "eight tokens with the new key cost one look");
    // Invented keys cost the issuer nothing more.
    for n in 0..5 {
        let token = issuer.token_with("a2a:*:*", |header, _| header["kid"] = json!(format!("invented-{n}")));
        let refusal = bearing(&gateway, &token).call(Operation::Send, &saying("echo")).await.unwrap_err();
        assert_eq!(told(&refusal), "MG-0401");
    }
    assert_eq!(issuer.asked(), 2);
    issuer.set_down(true);
    let fresh = issuer.token_with("a2a:*:*", |_, claims| claims["jti"] = json!("later"));
    bearing(&gateway, &fresh).call(Operation::Send, &saying("echo three")).await.unwrap();
}

/// A change of a good token's header and claims.
type Change = fn(&mut Value, &mut Value);

/// What may be wrong with claims and headers.
const CHANGES: [(&str, Change); 30] = [
    ("another issuer", |_, claims| claims["iss"] = json!("https://elsewhere.test")),
    ("no issuer", |_, claims| drop(claims.as_object_mut().unwrap().remove("iss"))),
    ("another audience", |_, claims| claims["aud"] = json!("https://elsewhere.test")),
    ("no audience", |_, claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
    ("an audience that is a number", |_, claims| claims["aud"] = json!([7])),
    ("run out", |_, claims| claims["exp"] = json!(claims["iat"].as_u64().unwrap() - 60)),
    ("no end", |_, claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
    ("an end that is a text", |_, claims| claims["exp"] = json!(claims["exp"].to_string())),
    ("an end beyond numbers", |_, claims| claims["exp"] = json!(1e300)),
    ("an end that is negative", |_, claims| claims["exp"] = json!(-1)),
    ("not yet", |_, claims| claims["nbf"] = json!(claims["iat"].as_u64().unwrap() + 120)),
    ("a beginning that is a text", |_, claims| claims["nbf"] = json!("0")),
    ("made in the future", |_, claims| claims["iat"] = json!(claims["iat"].as_u64().unwrap() + 120)),
    ("no beginning", |_, claims| drop(claims.as_object_mut().unwrap().remove("iat"))),
    ("valid for too long", |_, claims| claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 86_401)),
    ("nobody", |_, claims| drop(claims.as_object_mut().unwrap().remove("sub"))),
    ("nobody in particular", |_, claims| claims["sub"] = json!("")),
    ("a name with control characters", |_, claims| claims["sub"] = json!("a\nb")),
    ("scopes that are a number", |_, claims| claims["scope"] = json!(7)),
    ("bound to a key", |_, claims| claims["cnf"] = json!({"jkt": "x"})),
    ("bound to a certificate that is not shown", |_, claims| claims["cnf"] = json!({"x5t#S256": "A".repeat(43)})),
    ("bound to what is no certificate", |_, claims| claims["cnf"] = json!({"x5t#S256": "AAAA"})),
    ("bound twice", |_, claims| claims["cnf"] = json!({"x5t#S256": "A".repeat(43), "jkt": "x"})),
    ("bound to nothing", |_, claims| claims["cnf"] = json!({})),
    ("an id token", |header, _| header["typ"] = json!("JWT")),
    ("no type", |header, _| drop(header.as_object_mut().unwrap().remove("typ"))),
    ("an unknown demand", |header, _| header["crit"] = json!(["exp"])),
    ("no signature by its own word", |header, _| header["alg"] = json!("none")),
    ("a symmetric algorithm", |header, _| header["alg"] = json!("HS256")),
    ("an algorithm that is not its issuer's", |header, _| header["alg"] = json!("RS256")),
];

/// Tokens that are wrong, each in one way.
fn wrong_tokens(issuer: &Issuer) -> Vec<(String, String)> {
    let mut tokens: Vec<(String, String)> =
        CHANGES.into_iter().map(|(what, change)| (what.to_owned(), issuer.token_with("a2a:*:*", change))).collect();
    let good = issuer.token("a2a:*:*");
    let (header, claims) = issuer.good("a2a:*:*");
    let stranger = SigningKey::new("key-1");
    let parts: Vec<&str> = good.split('.').collect();
    let twice = claims.to_string().replacen('{', "{\"sub\":\"mallory\",", 1);
    let own_key = json!({"alg": "ES256", "typ": "at+jwt", "kid": "key-1", "jwk": stranger.jwk()});
    tokens.extend(
        [
            ("another's key under the same id", stranger.sign(&header.to_string(), &claims.to_string())),
            ("a key that it brings along", stranger.sign(&own_key.to_string(), &claims.to_string())),
            ("a member twice", issuer.key().sign(&header.to_string(), &twice)),
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("a signature of zeros", format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86))),
            (
                "another's signature",
                format!("{}.{}.{}", parts[0], parts[1], issuer.token("a").split('.').next_back().unwrap()),
            ),
            ("two parts", format!("{}.{}", parts[0], parts[1])),
            ("four parts", format!("{good}.{}", parts[2])),
            ("padding", format!("{}=.{}.{}", parts[0], parts[1], parts[2])),
            ("too long", format!("{}.{}.{}", parts[0], "A".repeat(9000), parts[2])),
            ("a header that is a list", issuer.key().sign("[]", &claims.to_string())),
            ("claims that are none", issuer.key().sign(&header.to_string(), "null")),
            (
                "claims that are deep",
                issuer.key().sign(&header.to_string(), &format!("{}1{}", "[".repeat(3000), "]".repeat(3000))),
            ),
            ("claims that are not UTF-8", format!("{}.{}.{}", parts[0], "_____w", parts[2])),
            ("dots", "...".to_owned()),
            ("nothing", String::new()),
        ]
        .map(|(what, token)| (what.to_owned(), token)),
    );
    tokens
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused() {
    let (_agent, issuer, gateway) = bed(&["a2a:*:*"]).await;
    let tokens = wrong_tokens(&issuer);
    let good = issuer.token("a2a:*:*");
    assert!(tokens.len() >= 40, "{}", tokens.len());
    for (what, token) in &tokens {
        let refusal = bearing(&gateway, token).call(Operation::Send, &saying("echo hello")).await.unwrap_err();
        assert_eq!((told(&refusal), refusal.status), ("MG-0401", 401), "{what}: {refusal:?}");
        assert!(token.len() < 20 || !refusal.message.contains(&token[..20]), "{what}: the error repeats the token");
    }
    assert!(!gateway.log_text().contains(good.split('.').nth(1).unwrap()), "no token stands in the log");
    let sent = bearing(&gateway, &good).call(Operation::Send, &saying("echo hello")).await.unwrap();
    assert_eq!(state(&sent["task"]), "COMPLETED", "the good one is let in");
}

#[tokio::test]
async fn a_listener_that_faces_other_machines_lets_nobody_in_without_a_token() {
    let agent = Agent::start(Plan::new("home")).await;
    let issuer = Issuer::start().await;
    let toml = toml(&agent, &issuer, &["a2a:*:*"]).replace("main = \"off\"", "main = \"0.0.0.0:0\"");
    let hidden = Agent::start(Plan::new("secret")).await;
    let toml = format!("public_url = \"https://agents.test\"\n{toml}\n{}", hidden.entry("visibility = \"hidden\""));
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": saying("echo hello")});
    let post = async |credential: Option<&str>| {
        let mut request =
            http::Request::post("/agents/home").header("a2a-version", "1.0").header("content-type", "application/json");
        if let Some(credential) = credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        at_main(&gateway, request.body(call.to_string().into_bytes().into()).unwrap()).await
    };
    for credential in [None, Some(secret.trim()), Some("x")] {
        let answer = post(credential).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "MG-0401"), "{:?}", answer.json());
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    // A stranger's body is not waited for, let alone read.
    let mut stranger = crate::support::tls(&gateway).await;
    let head =
        "POST /a2a HTTP/1.1\r\nhost: agents.test\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{";
    tokio::io::AsyncWriteExt::write_all(&mut stranger, head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    crate::support::soon("a refusal", tokio::io::AsyncReadExt::read_exact(&mut stranger, &mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    for path in ["/metrics", "/api/v1/status", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(get_main(&gateway, path).await.status, 404, "{path}");
    }
    assert_eq!(get_main(&gateway, "/api/v1/agents").await.status, 401);
    for path in ["/api/v1/agents", "/api/v1/skills?q=x", "/api/v1/tasks"] {
        let request = http::Request::get(path).header("authorization", format!("Bearer {}", issuer.token("a2a:*:*")));
        let answer = at_main(&gateway, request.body(http_body_util::Full::default()).unwrap()).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0403"), "{path} is for this machine");
    }
    let answer = post(Some(&issuer.token("openid"))).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0407"), "a token that is good for nothing here");
    assert!(answer.headers["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
    let twice = http::Request::post("/a2a").header("authorization", format!("Bearer {}", issuer.token("a2a:*:*")));
    let twice = twice.header("authorization", "Bearer x").body(http_body_util::Full::default()).unwrap();
    assert_eq!(at_main(&gateway, twice).await.status, 401, "of two credentials none holds");
    assert_eq!(get_main(&gateway, "/agents/secret/.well-known/agent-card.json").await.status, 404);
    assert_eq!(crate::support::get(&gateway.plain(), "/agents/secret/.well-known/agent-card.json").await.status, 200);
    for path in ["/.well-known/agent-card.json", "/agents/home/.well-known/agent-card.json"] {
        let card = get_main(&gateway, path).await.json();
        assert_eq!(card["securitySchemes"]["token"]["httpAuthSecurityScheme"]["scheme"], "Bearer", "{card}");
        assert_eq!(card["securityRequirements"], json!([{"schemes": {"token": {"list": []}}}]));
        // What the gateway wants of callers is signed with the rest.
        let keys = get_main(&gateway, "/.well-known/jwks.json").await.json();
        assert_eq!(crate::cards_signed::kids(&card, &keys).len(), 2);
        let own = crate::support::get(&gateway.plain(), path).await.json();
        assert_eq!(
            (&own["securitySchemes"], &own["securityRequirements"]),
            (&Value::Null, &Value::Null),
            "nobody needs one here"
        );
    }
    let answer = post(Some(&issuer.token("a2a:*:*"))).await;
    assert_eq!(
        (answer.status, &answer.json()["result"]["task"]["status"]["state"]),
        (200, &json!("TASK_STATE_COMPLETED"))
    );
}
