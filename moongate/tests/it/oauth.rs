//! The authorization server as programs and operators meet it: clients by the command line, tokens over HTTP, and their end.

use http_body_util::{BodyExt as _, Full};
use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};

use crate::stage::{Caller, Gateway, MOONGATE, Operation, Refusal, SPEAKERS, saying, state};
use crate::support::{Answer, at_main, eventually, get, get_main, http as ask, moongate, out, reload, soon};
use crate::websocket::{Socket, VERSION};

const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
const OAUTH: &str = "[oauth]\nscopes = [\"a2a:*:send\", \"a2a:*:get\"]\n";

async fn command(gateway: &Gateway, words: &[&str]) -> std::process::Output {
    let config = gateway.config();
    let words = [&["--config", config.to_str().unwrap(), "--json"], words].concat();
    moongate(gateway.folder(), &words).await
}

async fn told(gateway: &Gateway, words: &[&str]) -> Value {
    let output = command(gateway, words).await;
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", crate::support::err(&output));
    serde_json::from_str(&out(&output)).unwrap()
}

/// A program with a secret.
async fn robot(gateway: &Gateway) -> String {
    let view = told(gateway, &["clients", "add", "robot", "--scope", "a2a:*:send"]).await;
    assert_eq!((&view["proof"], &view["grants"]), (&json!("client_secret"), &json!(["client_credentials"])));
    view["secret"].as_str().unwrap().to_owned()
}

async fn post(base: &str, path: &str, secret: &str, form: &str) -> Answer {
    let stream = tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::post(path).header("host", base.trim_start_matches("http://"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let request = request
        .header("authorization", basic(secret))
        .body(Full::<bytes::Bytes>::new(form.to_owned().into_bytes().into()));
    let (parts, body) = soon("an answer", sender.send_request(request.unwrap())).await.unwrap().into_parts();
    let body = soon("the body", body.collect()).await.unwrap().to_bytes();
    driver.abort();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

fn basic(secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("robot:{secret}")))
}

async fn token(gateway: &Gateway, secret: &str) -> String {
    let answer = post(&gateway.plain(), "/oauth/token", secret, "grant_type=client_credentials").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

async fn send(gateway: &Gateway, token: &str) -> Result<Value, Refusal> {
    let caller = Caller::rpc(&gateway.plain()).with("authorization", &format!("Bearer {token}"));
    caller.call(Operation::Send, &saying("echo hello")).await
}

fn code(refusal: &Refusal) -> &str {
    refusal.gateway_code.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_registered_program_gets_a_token_and_uses_it_until_it_is_revoked() {
    let agent = Agent::start(Plan::new("home")).await;
    let mut gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{OAUTH}{}", agent.entry(""))).await;
    let secret = robot(&gateway).await;
    let first = token(&gateway, &secret).await;
    assert_eq!(state(&send(&gateway, &first).await.unwrap()["task"]), "COMPLETED");
    let caller = Caller::rpc(&gateway.plain()).with("authorization", &format!("Bearer {first}"));
    let refusal = caller.call(Operation::List, &json!({})).await.unwrap_err();
    assert_eq!(code(&refusal), "MG-0407", "its scopes are those of its registration");

    gateway.restart().await;
    send(&gateway, &first).await.unwrap();
    let listed = told(&gateway, &["token", "list"]).await;
    let name = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(listed["tokens"][0]["client"], "robot");
    told(&gateway, &["token", "rotate-key"]).await;
    let second = token(&gateway, &secret).await;
    for good in [&first, &second] {
        send(&gateway, good).await.unwrap();
    }
    told(&gateway, &["token", "revoke", &name]).await;
    assert_eq!(code(&send(&gateway, &first).await.unwrap_err()), "MG-0401", "at once");
    send(&gateway, &second).await.unwrap();

    told(&gateway, &["clients", "disable", "robot"]).await;
    assert_eq!(code(&send(&gateway, &second).await.unwrap_err()), "MG-0401");
    assert_eq!(post(&gateway.plain(), "/oauth/token", &secret, "grant_type=client_credentials").await.status, 401);
    told(&gateway, &["clients", "enable", "robot"]).await;
    send(&gateway, &second).await.unwrap();
    told(&gateway, &["clients", "remove", "robot"]).await;
    assert_eq!(code(&send(&gateway, &second).await.unwrap_err()), "MG-0401");
    assert!(!gateway.log_text().contains(&secret) && !gateway.log_text().contains(&second), "no secret in the log");
}

#[tokio::test]
async fn what_a_token_has_opened_ends_when_it_is_revoked() {
    let agent = Agent::start(Plan::new("home")).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{OAUTH}{}", agent.entry(""))).await;
    let secret = robot(&gateway).await;
    let ended = token(&gateway, &secret).await;
    let name = told(&gateway, &["token", "list"]).await["tokens"][0]["id"].as_str().unwrap().to_owned();
    let kept = token(&gateway, &secret).await;
    let bearer = |token: &str| format!("Bearer {token}");
    let mut streams = Vec::new();
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version).with("authorization", &bearer(&ended));
        streams.push(caller.open(Operation::Stream, &saying("slow work")).await.unwrap());
    }
    let caller = Caller::rpc(&gateway.plain()).with("authorization", &bearer(&kept));
    let mut other = caller.open(Operation::Stream, &saying("slow work")).await.unwrap();
    other.event().await;
    let mut socket = Socket::with(&gateway, "/a2a/ws", &[VERSION, ("authorization", &bearer(&ended))]).await;
    socket.ask(1, "SendStreamingMessage", &saying("slow work")).await;

    told(&gateway, &["token", "revoke", &name]).await;
    for stream in streams {
        let refusal = soon("the end of the stream", stream.rest()).await.unwrap_err();
        assert_eq!(code(&refusal), "MG-0401", "{refusal:?}");
    }
    let (close, reason) = socket.closed().await;
    assert_eq!(close, 4001, "{reason}");
    // What other tokens have opened goes on.
    agent.release(2 * SPEAKERS.len() + 4);
    soon("the end of the other", other.rest()).await.unwrap();
}

#[tokio::test]
async fn what_waits_for_somebody_who_is_gone_is_not_carried_out() {
    let agent = crate::support::Agent::start("hub", &[json!("hub.do")]).await;
    agent.set_manner(crate::support::Manner::Unavailable);
    let entry = format!("[[agents]]\nname = \"hub\"\ncard_url = \"{}\"\n", agent.card_url());
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{OAUTH}{entry}")).await;
    let secret = robot(&gateway).await;
    let caller = |token: &str| Caller::rpc(&gateway.plain()).with("authorization", &format!("Bearer {token}"));
    let token = token(&gateway, &secret).await;
    let waiting = caller(&token).call(Operation::Send, &crate::stage::at_once("open")).await.unwrap();
    let local = Caller::rpc(&gateway.plain());
    let kept = local.call(Operation::Send, &crate::stage::at_once("on")).await.unwrap();
    told(&gateway, &["clients", "disable", "robot"]).await;
    let before = agent.seen().len();
    agent.set_manner(crate::support::Manner::Done);
    crate::stage::until_state(&local, &crate::stage::id(&kept["task"]), "COMPLETED").await;
    told(&gateway, &["clients", "enable", "robot"]).await;
    let views = told(&gateway, &["tasks", "show", &crate::stage::id(&waiting["task"])]).await;
    assert!(views.to_string().contains("TASK_STATE_REJECTED"), "{views}");
    let texts: Vec<_> = agent.seen()[before..].iter().map(|seen| seen.params.to_string()).collect();
    assert!(texts.iter().all(|text| !text.contains("\"open\"")), "{texts:?}");
}

#[tokio::test]
async fn clients_are_the_operators_and_only_at_this_machine() {
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{OAUTH}")).await;
    for path in ["/api/v1/clients", "/api/v1/tokens"] {
        let answer = get(&gateway.admin(), path).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0403"), "whoever is merely here may not");
    }
    let body = json!({"id": "x", "proof": "none", "grants": ["device_code"], "scopes": ["a2a:*:send"]});
    let answer = ask("POST", &gateway.admin(), "/api/v1/clients", &[], Some(&body)).await;
    assert_eq!(answer.status, 403);
    for (words, why) in [
        (vec!["clients", "add", "a b", "--scope", "a2a:*:send"], "MG-0209"),
        (vec!["clients", "add", "app", "--scope", "a2a:*:cancel"], "MG-0209"),
        (vec!["clients", "add", "app", "--scope", "admin:*"], "MG-0209"),
        (vec!["clients", "add", "app", "--public", "--scope", "a2a:*:send"], "MG-0209"),
        (vec!["clients", "add", "app", "--grant", "code", "--scope", "a2a:*:send"], "MG-0209"),
        (vec!["clients", "show", "nobody"], "MG-0423"),
        (vec!["token", "revoke", "0123456789abcdef"], "MG-0705"),
    ] {
        let output = command(&gateway, &words).await;
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(crate::support::err(&output).contains(why), "{words:?}: {}", crate::support::err(&output));
    }
    robot(&gateway).await;
    let output = command(&gateway, &["clients", "add", "robot", "--scope", "a2a:*:send"]).await;
    assert!(crate::support::err(&output).contains("MG-0424"));
    let off = Gateway::start(MOONGATE, LISTEN).await;
    let output = command(&off, &["clients", "list"]).await;
    assert!(crate::support::err(&output).contains("MG-0425"), "{}", crate::support::err(&output));
}

#[tokio::test]
async fn the_server_comes_and_goes_with_its_section() {
    let agent = Agent::start(Plan::new("home")).await;
    let entry = agent.entry("");
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{entry}")).await;
    let document = "/.well-known/oauth-authorization-server";
    assert_eq!(get(&gateway.plain(), document).await.status, 404);
    let changes = reload(&gateway, &format!("{LISTEN}{OAUTH}{entry}")).await;
    assert_eq!(changes["oauth.scopes"], "applied");
    let metadata = get(&gateway.plain(), document).await.json();
    assert_eq!(metadata["issuer"], gateway.plain(), "where there is no public_url");
    assert_eq!(get(&gateway.admin(), document).await.json(), metadata);
    let secret = robot(&gateway).await;
    let token = token(&gateway, &secret).await;
    send(&gateway, &token).await.unwrap();

    let narrow = OAUTH.replace("\"a2a:*:send\", ", "");
    reload(&gateway, &format!("{LISTEN}{narrow}{entry}")).await;
    assert_eq!(code(&send(&gateway, &token).await.unwrap_err()), "MG-0407", "no more than the operator allows now");
    reload(&gateway, &format!("{LISTEN}{entry}")).await;
    assert_eq!(code(&send(&gateway, &token).await.unwrap_err()), "MG-0401");
    eventually("the documents are gone", || async { get(&gateway.plain(), document).await.status == 404 }).await;
}

#[tokio::test]
async fn whoever_comes_from_elsewhere_learns_where_tokens_are_given() {
    let agent = Agent::start(Plan::new("home")).await;
    let listen = "public_url = \"https://agents.test\"\n[listen]\nmain = \"0.0.0.0:0\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
    let gateway = Gateway::start(MOONGATE, &format!("{listen}{OAUTH}{}", agent.entry(""))).await;
    let secret = robot(&gateway).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": saying("echo hello")});
    let post = async |path: &str, kind: &str, credential: &str, body: String| {
        let request = http::Request::post(path).header("a2a-version", "1.0").header("content-type", kind);
        let request = request.header("authorization", credential).body(Full::new(body.into_bytes().into()));
        at_main(&gateway, request.unwrap()).await
    };
    let answer = post("/a2a", "application/json", "Bearer x", call.to_string()).await;
    let challenge = answer.headers["www-authenticate"].to_str().unwrap().to_owned();
    assert_eq!(
        (answer.status, challenge.as_str()),
        (
            401,
            "Bearer error=\"invalid_token\", resource_metadata=\"https://agents.test/.well-known/oauth-protected-resource/a2a\", \
             scope=\"a2a:*:send a2a:*:get\""
        )
    );
    let resource = get_main(&gateway, "/.well-known/oauth-protected-resource/a2a").await.json();
    assert_eq!(
        (&resource["resource"], &resource["authorization_servers"]),
        (&json!("https://agents.test/a2a"), &json!(["https://agents.test"]))
    );
    let card = get_main(&gateway, "/.well-known/agent-card.json").await.json();
    let way = |scheme: &str, scopes: &[&str]| json!({"schemes": {scheme: {"list": scopes}}});
    assert_eq!(card["securityRequirements"], json!([way("oauth", &[]), way("token", &[])]), "{card}");
    let scheme = &card["securitySchemes"]["oauth"]["oauth2SecurityScheme"];
    assert_eq!(scheme["oauth2MetadataUrl"], "https://agents.test/.well-known/oauth-authorization-server");
    assert_eq!(scheme["flows"]["clientCredentials"]["tokenUrl"], "https://agents.test/oauth/token");
    assert_eq!(
        get_main(&gateway, "/.well-known/oauth-authorization-server").await.json()["issuer"],
        "https://agents.test"
    );
    let (skill, scopes) = (&card["skills"][0], ["a2a:home.talk:send"]);
    assert_eq!(skill["securityRequirements"], json!([way("oauth", &scopes), way("token", &scopes)]), "{skill}");
    let old = get_main(&gateway, "/.well-known/agent.json").await.json();
    assert_eq!(old["securitySchemes"]["oauth"]["type"], "oauth2");
    assert_eq!(
        old["securitySchemes"]["oauth"]["flows"]["clientCredentials"]["tokenUrl"],
        "https://agents.test/oauth/token"
    );
    assert_eq!(old["skills"][0]["security"][0], json!({"oauth": scopes}));
    let form = "grant_type=client_credentials&resource=https%3A%2F%2Fagents.test%2Fa2a".to_owned();
    let answer = post("/oauth/token", "application/x-www-form-urlencoded", &basic(&secret), form).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    let answer = post("/a2a", "application/json", &token, call.to_string()).await;
    assert_eq!(answer.json()["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{}", answer.text());
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}).to_string();
    let answer = post("/a2a", "application/json", &token, list).await;
    let challenge = answer.headers["www-authenticate"].to_str().unwrap().to_owned();
    assert!(answer.status == 403 && challenge.contains("insufficient_scope"), "{challenge}");
    assert!(challenge.contains("resource_metadata=") && challenge.matches("scope=").count() == 1, "{challenge}");
    assert_eq!(get_main(&gateway, "/api/v1/clients").await.status, 401);
    let large = "x".repeat(17 * 1024);
    assert_eq!(post("/oauth/token", "application/x-www-form-urlencoded", "Bearer x", large).await.status, 413);
}

#[tokio::test]
async fn the_operators_api_is_as_it_is_described() {
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{OAUTH}")).await;
    let document = get(&gateway.admin(), "/api/v1/openapi.json").await.json();
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let credential = format!("Bearer {}", secret.trim());
    let operate = async |method: &str, path: &str, body: Option<&Value>| {
        let headers = [("authorization", credential.as_str())];
        ask(&method.to_uppercase(), &gateway.admin(), &format!("/api/v1{path}"), &headers, body).await
    };
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    let new =
        json!({"id": "robot", "proof": "client_secret", "grants": ["client_credentials"], "scopes": ["a2a:*:send"]});
    let signing = json!({"id": "signer", "name": "A signer", "proof": "private_key_jwt", "jwks": keys,
        "grants": ["authorization_code"], "scopes": ["a2a:*:get"], "redirect_uris": ["https://app.test/back"]});
    let made = operate("post", "/clients", Some(&new)).await.json();
    token(&gateway, made["secret"].as_str().unwrap()).await;
    let listed = operate("get", "/tokens", None).await.json()["tokens"][0]["id"].as_str().unwrap().to_owned();
    let one = format!("/tokens/{listed}");
    let mut tried = vec![("post".to_owned(), "/clients".to_owned())];
    for (method, path, at, body, status) in [
        ("post", "/clients", "/clients", Some(&signing), 201),
        ("post", "/clients", "/clients", Some(&signing), 409),
        ("post", "/clients", "/clients", Some(&json!({"id": "x", "colour": "red"})), 400),
        ("get", "/clients", "/clients", None, 200),
        ("get", "/clients/{id}", "/clients/signer", None, 200),
        ("get", "/clients/{id}", "/clients/nobody", None, 404),
        ("post", "/clients/{id}:disable", "/clients/signer:disable", None, 200),
        ("post", "/clients/{id}:enable", "/clients/signer:enable", None, 200),
        ("post", "/clients/{id}:enable", "/clients/nobody:enable", None, 404),
        ("delete", "/clients/{id}", "/clients/signer", None, 200),
        ("get", "/tokens", "/tokens", None, 200),
        ("delete", "/tokens/{id}", &one, None, 200),
        ("delete", "/tokens/{id}", &one, None, 404),
        ("get", "/tokens/keys", "/tokens/keys", None, 200),
        ("post", "/tokens:rotate-key", "/tokens:rotate-key", None, 200),
    ] {
        let answer = operate(method, at, body).await;
        assert_eq!(answer.status, status, "{method} {at}: {}", answer.text());
        crate::registry::described(&document, path, method, &answer);
        tried.push((method.to_owned(), path.to_owned()));
    }
    let ours = |path: &str| ["/clients", "/tokens"].iter().any(|noun| path.starts_with(noun));
    for (path, operations) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| ours(path)) {
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            assert!(tried.contains(&(method.clone(), path.clone())), "{method} {path} is described but was not tried");
        }
    }
    assert_eq!(operate("put", "/clients", None).await.status, 405);
}

#[tokio::test]
async fn what_a_card_demands_is_given_by_the_operator_like_any_other_scope() {
    let demand = json!([{"schemes": {"own": {"list": ["locks:write"]}}}]);
    let skill = json!({"id": "talk", "name": "t", "description": "t", "tags": [], "securityRequirements": demand});
    let agent = Agent::start(Plan { card: json!({"skills": [skill]}), ..Plan::new("home") }).await;
    let more = OAUTH.replace("\"a2a:*:get\"", "\"a2a:*:get\", \"locks:write\"");
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{more}{}", agent.entry(""))).await;
    let metadata = get(&gateway.plain(), "/.well-known/oauth-authorization-server").await.json();
    assert!(metadata["scopes_supported"].as_array().unwrap().contains(&json!("locks:write")), "{metadata}");
    for (words, why) in [
        (["clients", "add", "robot", "--scope", "locks:read"], "is more than `[oauth] scopes` allow"),
        (["clients", "add", "robot", "--scope", "locks:*"], "`*` stands for"),
        (["clients", "add", "robot", "--scope", "A2A:*:send"], "a2a:SKILL:VERB"),
        (["users", "add", "alice", "--scope", "a2:talk:send"], "did you mean a2a:talk:send?"),
    ] {
        let output = command(&gateway, &words).await;
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(crate::support::err(&output).contains(why), "{words:?}: {}", crate::support::err(&output));
    }
    let view = told(&gateway, &["clients", "add", "robot", "--scope", "a2a:talk:send", "--scope", "locks:write"]).await;
    let secret = view["secret"].as_str().unwrap();
    assert_eq!(state(&send(&gateway, &token(&gateway, secret).await).await.unwrap()["task"]), "COMPLETED");
    let form = "grant_type=client_credentials&scope=a2a:talk:send";
    let narrow = post(&gateway.plain(), "/oauth/token", secret, form).await.json();
    let refusal = send(&gateway, narrow["access_token"].as_str().unwrap()).await.unwrap_err();
    assert!(code(&refusal) == "MG-0407" && refusal.message.ends_with("missing: locks:write"), "{refusal:?}");
    // The operator takes it back: tokens that were given are worth that much less.
    let given = token(&gateway, secret).await;
    reload(&gateway, &format!("{LISTEN}{OAUTH}{}", agent.entry(""))).await;
    assert_eq!(code(&send(&gateway, &given).await.unwrap_err()), "MG-0407");
}
