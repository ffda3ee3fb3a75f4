//! The A2A surface: versions, ids, content types, extensions, errors, cards and the draft's paths.

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::client::{Whole, grpc};
use serde_json::{Value, json};

use crate::stage::*;

async fn echo() -> (Agent, Gateway) {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], "").await;
    (agent, gateway)
}

async fn post(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: impl Into<String>) -> Whole {
    raw::exchange(raw::address(&gateway.plain()), raw::request("POST", path, headers, body.into())).await
}

async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Whole {
    raw::exchange(raw::address(&gateway.plain()), raw::request("GET", path, headers, "")).await
}

const JSON: (&str, &str) = ("content-type", "application/json");
const V1: (&str, &str) = ("a2a-version", "1.0");

fn rpc(id: &str, method: &str, params: &Value) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}")
}

fn refusal(answer: &Whole) -> Refusal {
    Refusal::of(answer.status, &answer.json())
}

#[tokio::test]
async fn the_id_comes_back_as_it_was_sent() {
    let (_agent, gateway) = echo().await;
    for id in ["\"a b\"", "\"\\u00e9\\n\"", "7", "-3", "0", "9007199254740993", "null"] {
        for (method, params) in [("SendMessage", saying("echo x")), ("GetTask", on("nobody")), ("Nonsense", json!({}))]
        {
            let answer = post(&gateway, "/a2a", &[JSON, V1], rpc(id, method, &params)).await;
            assert!(
                answer.body.starts_with(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},").as_bytes()),
                "{:?}",
                answer.body
            );
        }
        let request = rpc(id, "SendStreamingMessage", &saying("stream 1"));
        let stream = post(&gateway, "/a2a", &[JSON, V1], request).await;
        let text = String::from_utf8(stream.body.to_vec()).unwrap();
        let events: Vec<&str> = text.lines().filter(|line| line.starts_with("data:")).collect();
        assert!(events.len() >= 3);
        assert!(events.iter().all(|line| line.contains(&format!("\"id\":{id},"))), "{events:?}");
    }
}

#[tokio::test]
async fn an_agent_that_forgets_the_id_does_not_confuse_the_client() {
    let new = Agent::start(Plan::new("new")).await;
    let old = Agent::start(Plan::new("old").speaking(Binding::JsonRpc, Version::V03)).await;
    let gateway = gateway(&[&new, &old], "").await;
    for name in ["new", "old"] {
        for version in [Version::V1, Version::V03] {
            let caller = Caller::new(&gateway.plain(), Binding::JsonRpc, version).at(&format!("/agents/{name}"));
            let answer = caller.whole(Operation::Send, &saying("wrong-id x")).await;
            let sent = caller.understand(Operation::Send, &answer).unwrap();
            assert_eq!(state(&sent["task"]), "COMPLETED", "{name} {}", version.as_str());
            assert_eq!(answer.json()["id"], 7, "{name} {}", version.as_str());
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_the_code_for_it() {
    let (agent, gateway) = echo().await;
    let good = rpc("1", "SendMessage", &saying("echo x"));
    let params = saying("echo x");
    for (body, code) in [
        (format!("{{\"jsonrpc\":\"2.0\",\"method\":\"SendMessage\",\"params\":{params}}}"), -32600),
        (format!("[{good}]"), -32600),
        ("[]".into(), -32600),
        ("7".into(), -32600),
        ("\"SendMessage\"".into(), -32600),
        (good.replace("2.0", "1.0"), -32600),
        (rpc("{}", "SendMessage", &params), -32600),
        (rpc("[1]", "SendMessage", &params), -32600),
        (rpc("true", "SendMessage", &params), -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}".into(), -32600),
        (rpc("1", "tasks/send", &params), -32601),
        (rpc("1", "sendmessage", &params), -32601),
        (rpc("1", "tasks/list", &json!({})), -32601),
        (rpc("1", "SendMessage", &json!([params])), -32602),
        (rpc("1", "SendMessage", &json!({})), -32602),
        (rpc("1", "GetTask", &json!({})), -32602),
        (rpc("1", "GetTask", &json!({"id": 5})), -32602),
        (rpc("1", "GetTask", &json!({"id": "x", "historyLength": -1})), -32602),
        (rpc("1", "ListTasks", &json!({"status": "DONE"})), -32602),
        ("{".into(), -32700),
        (String::new(), -32700),
    ] {
        let answer = post(&gateway, "/a2a", &[JSON, V1], body.clone()).await;
        let refusal = refusal(&answer);
        assert_eq!((refusal.code, answer.status), (code, 200), "{body}: {refusal:?}");
        assert!(refusal.gateway_code.is_some() && !refusal.reason.is_empty(), "{body}: {refusal:?}");
    }
    assert!(agent.received().is_empty(), "none of it reaches the agent");
}

#[tokio::test]
async fn versions_are_agreed_on_in_every_binding() {
    let (_agent, gateway) = echo().await;
    let new = rpc("1", "SendMessage", &saying("echo x"));
    let old_message = json!({"message": {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "echo x"}]}});
    let old = rpc("1", "message/send", &old_message);
    let rest = saying("echo x").to_string();
    let old_rest =
        json!({"message": {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "echo x"}]}}).to_string();
    let cases: [(&str, &str, Option<&str>, bool); 23] = [
        ("/a2a", &new, Some("1.0"), true),
        ("/a2a", &new, Some("1.0.7"), true),
        ("/a2a?A2A-Version=1.0", &new, None, true),
        ("/a2a", &new, None, false),
        ("/a2a", &new, Some(""), false),
        ("/a2a", &new, Some("0.3"), false),
        ("/a2a", &new, Some("99.0"), false),
        ("/a2a", &new, Some("1"), false),
        ("/a2a", &new, Some("one"), false),
        ("/a2a", &old, None, true),
        ("/a2a", &old, Some("0.3"), true),
        ("/a2a", &old, Some("0.3.0"), true),
        ("/a2a", &old, Some("99.0"), false),
        ("/a2a/message:send", &rest, Some("1.0"), true),
        ("/a2a/message:send?A2A-Version=1.0", &rest, None, true),
        ("/a2a/message:send", &rest, None, false),
        ("/a2a/message:send", &rest, Some("0.3"), false),
        ("/a2a/message:send", &rest, Some("2.0"), false),
        ("/a2a/v1/message:send", &old_rest, None, true),
        ("/a2a/v1/message:send", &old_rest, Some("0.3"), true),
        ("/a2a/v1/message:send", &old_rest, Some("99.0"), false),
        ("/a2a/tasks", &rest, None, true),
        ("/a2a/tasks", &rest, Some("99.0"), false),
    ];
    for (path, body, version, fine) in cases {
        let mut headers = vec![JSON];
        headers.extend(version.map(|version| ("a2a-version", version)));
        let answer = post(&gateway, path, &headers, body).await;
        let failed = answer.json().get("error").is_some();
        assert_eq!(!failed, fine, "{path} {version:?}: {}", answer.text());
        if failed {
            let refusal = refusal(&answer);
            assert_eq!(refusal.reason, "VERSION_NOT_SUPPORTED", "{path} {version:?}");
            let lacks = body.contains("SendMessage") && matches!(version, None | Some("" | "0.3"));
            assert!(!lacks || refusal.message.contains("A2A-Version"), "the message names the header: {refusal:?}");
        }
    }
    let caller = Caller::new(&gateway.plain(), Binding::Grpc, Version::V1);
    for (version, fine) in
        [(None, true), (Some("1.0"), true), (Some("1.0.7"), true), (Some("0.3"), false), (Some("99.0"), false)]
    {
        let mut request = caller.request(Operation::Send, &saying("echo x"));
        request.headers_mut().remove("a2a-version");
        if let Some(version) = version {
            request.headers_mut().insert("a2a-version", version.parse().unwrap());
        }
        let whole = raw::collect(raw::begin_h2(caller.address, request).await).await;
        let result = caller.understand(Operation::Send, &whole);
        assert_eq!(result.is_ok(), fine, "{version:?}: {result:?}");
        if let Err(refusal) = result {
            assert_eq!((refusal.reason.as_str(), refusal.code), ("VERSION_NOT_SUPPORTED", 9), "{version:?}");
        }
    }
    // A service of the older package with the newer version in its metadata.
    let mut request = caller.request(Operation::Send, &saying("echo x"));
    *request.uri_mut() = "/a2a.v1.A2AService/SendMessage".parse().unwrap();
    let whole = raw::collect(raw::begin_h2(caller.address, request).await).await;
    assert_eq!(grpc::refusal(&whole.headers).unwrap().reason, "VERSION_NOT_SUPPORTED");
}

#[tokio::test]
async fn content_types_are_mirrored_and_strange_ones_refused() {
    let (agent, gateway) = echo().await;
    let body = saying("echo x").to_string();
    let a2a = ("content-type", "application/a2a+json");
    let accept = ("accept", "application/a2a+json");
    for (headers, kind) in [
        (vec![JSON, V1], "application/json"),
        (vec![a2a, V1], "application/a2a+json"),
        (vec![JSON, accept, V1], "application/a2a+json"),
        (vec![("content-type", "application/json; charset=utf-8"), V1], "application/json"),
        (vec![("content-type", "Application/A2A+JSON;charset=utf-8"), V1], "application/a2a+json"),
        (vec![V1], "application/json"),
    ] {
        let answer = post(&gateway, "/a2a/message:send", &headers, body.clone()).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{headers:?}");
        let headers: Vec<_> = headers.into_iter().collect();
        let refused = post(&gateway, "/a2a/message:send", &headers, "{}").await;
        assert_eq!((refused.status, refused.header("content-type")), (400, Some(kind)), "{headers:?}");
    }
    for kind in
        ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let headers = [("content-type", kind), V1];
        let rest = post(&gateway, "/a2a/message:send", &headers, body.clone()).await;
        assert_eq!((rest.status, refusal(&rest).reason.as_str()), (400, "CONTENT_TYPE_NOT_SUPPORTED"), "{kind}");
        let asked = post(&gateway, "/a2a", &headers, rpc("1", "SendMessage", &saying("echo x"))).await;
        assert_eq!((asked.status, refusal(&asked).code), (200, -32005), "{kind}");
    }
    assert_eq!(agent.received().len(), 6, "what is refused reaches nobody");
}

#[tokio::test]
async fn trailing_slashes_agents_bases_and_tenants_lead_to_the_agent() {
    let one = Agent::start(Plan::new("one")).await;
    let two = Agent::start(Plan::new("two")).await;
    let gateway = gateway(&[&one, &two], "").await;
    let body = |params: &Value| rpc("1", "SendMessage", params);
    for path in ["/agents/two", "/agents/two/"] {
        let answer = post(&gateway, path, &[JSON, V1], body(&saying("echo x"))).await;
        assert!(answer.text().contains("two-task"), "{path}: {}", answer.text());
    }
    let mut named = saying("echo x");
    named["tenant"] = json!("one");
    for path in ["/a2a", "/a2a/"] {
        let answer = post(&gateway, path, &[JSON, V1], body(&named)).await;
        assert!(answer.text().contains("one-task"), "{path}: {}", answer.text());
    }
    assert!(one.last_received().json()["params"].get("tenant").is_none(), "the agent has no such tenant");
    let answer = post(&gateway, "/a2a/two/message:send", &[JSON, V1], saying("echo x").to_string()).await;
    assert!(answer.text().contains("two-task"), "{}", answer.text());
    let differing = post(&gateway, "/agents/two", &[JSON, V1], body(&named)).await;
    assert_eq!(refusal(&differing).code, -32602);
    let nobody = post(&gateway, "/agents/nobody", &[JSON, V1], body(&saying("echo x"))).await;
    assert_eq!((nobody.status, refusal(&nobody).reason.as_str()), (404, "NOT_FOUND"));
    let unclear = post(&gateway, "/a2a", &[JSON, V1], body(&saying("zzz qqq"))).await;
    assert_eq!(refusal(&unclear).reason, "NO_SKILL", "two agents, and nothing says which");
}

#[tokio::test]
async fn extensions_pass_in_both_directions_and_required_ones_are_demanded() {
    let known = "https://example.org/ext/known/v1";
    let demanded = "https://example.org/ext/demanded/v1";
    let free = Agent::start(Plan { extensions: vec![known.into()], ..Plan::new("free") }).await;
    let strict = Agent::start(Plan { demands: Some(demanded.into()), ..Plan::new("strict") }).await;
    let gateway = gateway(&[&free, &strict], "").await;
    let wish = format!("{known}, https://example.org/ext/unknown/v1");
    let caller = Caller::rpc(&gateway.plain()).at("/agents/free").with("a2a-extensions", &wish);
    let answer = caller.whole(Operation::Send, &saying("echo x")).await;
    assert_eq!(answer.header("a2a-extensions"), Some(known), "only what took effect");
    assert!(free.last_received().header("a2a-extensions").unwrap().contains(known));
    for (binding, version) in SPEAKERS.into_iter().filter(|speaker| speaker.0 != Binding::Grpc) {
        let caller = Caller::new(&gateway.plain(), binding, version).at("/agents/strict");
        let refusal = caller.call(Operation::Send, &saying("echo x")).await.unwrap_err();
        assert_eq!(refusal.reason, "EXTENSION_SUPPORT_REQUIRED", "{} {}", binding.as_str(), version.as_str());
        assert!(refusal.message.contains(demanded));
        let header = if version == Version::V03 { "x-a2a-extensions" } else { "a2a-extensions" };
        let caller = caller.with(header, demanded);
        caller.call(Operation::Send, &saying("echo x")).await.unwrap();
        assert_eq!(strict.last_received().header("a2a-extensions"), Some(demanded));
    }
}

#[tokio::test]
async fn each_error_has_its_code_its_status_and_an_error_info() {
    let (_agent, gateway) = echo().await;
    let done = id(&task(&Caller::rpc(&gateway.plain()), &saying("echo x")).await);
    let bad_push = json!({"taskId": done, "id": "nothing"});
    let cases = [
        (Operation::Get, on("nobody"), "TASK_NOT_FOUND", (-32001, 5, 404), (-32001, 404)),
        (Operation::Cancel, on(&done), "TASK_NOT_CANCELABLE", (-32002, 9, 400), (-32002, 409)),
        (Operation::Send, to_task(&done, "x"), "UNSUPPORTED_OPERATION", (-32004, 9, 400), (-32004, 501)),
        (Operation::PushGet, bad_push, "TASK_NOT_FOUND", (-32001, 5, 404), (-32001, 404)),
        (Operation::ExtendedCard, json!({}), "UNSUPPORTED_OPERATION", (-32004, 9, 400), (-32004, 501)),
        (Operation::Send, saying("refuse"), "CONTENT_TYPE_NOT_SUPPORTED", (-32005, 3, 400), (-32005, 415)),
        (Operation::Send, saying("garbage"), "INVALID_AGENT_RESPONSE", (-32006, 13, 500), (-32006, 502)),
    ];
    for (operation, params, reason, new, old) in cases {
        for (binding, version) in SPEAKERS {
            let name = format!("{operation:?} over {} {}", binding.as_str(), version.as_str());
            let refusal = Caller::new(&gateway.plain(), binding, version).call(operation, &params).await.unwrap_err();
            assert_eq!((refusal.reason.as_str(), refusal.domain.as_str()), (reason, "a2a-protocol.org"), "{name}");
            let code = match (binding, version) {
                (Binding::JsonRpc, Version::V1) => new.0,
                (Binding::Grpc, _) => new.1,
                (Binding::Http, Version::V1) => new.2,
                (Binding::JsonRpc, Version::V03) => old.0,
                (Binding::Http, Version::V03) => old.1,
            };
            assert_eq!(refusal.code, code, "{name}: {refusal:?}");
            assert!(!refusal.message.is_empty(), "{name}");
            assert_eq!(refusal.status, if binding == Binding::Http { code as u16 } else { 200 }, "{name}");
        }
    }
}

#[tokio::test]
async fn the_drafts_creation_of_a_task_answers_at_once_and_always_with_a_task() {
    let (agent, gateway) = echo().await;
    for (base, version) in [("/a2a", None), ("/agents/able", None), ("/a2a", Some(V1))] {
        let mut headers = vec![JSON];
        headers.extend(version);
        let answer = post(&gateway, &format!("{base}/tasks"), &headers, saying("slow draft").to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let task = answer.json()["task"].clone();
        assert!(["SUBMITTED", "WORKING"].contains(&state(&task)), "it does not wait: {task}");
        let location = answer.header("location").unwrap().to_owned();
        assert_eq!(location, format!("{base}/tasks/{}", id(&task)));
        agent.release(1);
        let caller = Caller::rpc(&gateway.plain());
        until_state(&caller, &id(&task), "COMPLETED").await;
        let plain = get(&gateway, &location, &[]).await;
        assert_eq!(plain.json()["id"], task["id"]);
        let view = get(&gateway, &format!("{location}?view=draft"), &[]).await.json();
        let members: Vec<&str> = view.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["task_id", "status", "artifacts", "messages"], "{view}");
        assert_eq!((&view["task_id"], view["artifacts"][0]["parts"][0]["text"].as_str()), (&task["id"], Some("draft")));
        assert_eq!(view["messages"][0]["parts"][0]["text"], "slow draft");
    }
    let said = post(&gateway, "/a2a/tasks", &[JSON], saying("message just words").to_string()).await;
    assert_eq!(said.status, 201);
    let task = said.json()["task"].clone();
    let task = until_state(&Caller::rpc(&gateway.plain()), &id(&task), "COMPLETED").await;
    assert_eq!(state(&task), "COMPLETED", "a message becomes a finished task: {task}");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "just words");
    let kept = get(&gateway, said.header("location").unwrap(), &[]).await;
    assert_eq!((kept.status, kept.json()["id"].clone()), (200, task["id"].clone()), "{}", kept.text());
    let listed = get(&gateway, "/a2a/tasks?view=draft", &[]).await.json();
    assert!(listed["tasks"].as_array().unwrap().iter().all(|task| task.get("task_id").is_some()), "{listed}");
    let mut blocking = saying("echo waited for");
    blocking["configuration"] = json!({"returnImmediately": false});
    let waited = post(&gateway, "/a2a/tasks", &[JSON], blocking.to_string()).await;
    assert_eq!(state(&waited.json()["task"]), "COMPLETED", "false is false: {}", waited.text());
}

#[tokio::test]
async fn cards_name_the_gateway_only_and_are_cached_as_cards_are() {
    let one = Agent::start(Plan::new("one")).await;
    let gateway = gateway(&[&one], "").await;
    let address = raw::address(&gateway.plain()).to_string();
    for path in [
        "/.well-known/agent-card.json",
        "/.well-known/agent.json",
        "/agents/one/.well-known/agent-card.json",
        "/agents/one/.well-known/agent.json",
    ] {
        let card = get(&gateway, path, &[]).await;
        assert_eq!(card.status, 200, "{path}");
        assert!(!card.text().contains(&one.address().to_string()), "{path} tells the agent's address");
        let document = card.json();
        let interfaces = document["supportedInterfaces"].as_array().unwrap();
        let bindings: Vec<&str> = interfaces.iter().filter_map(|one| one["protocolBinding"].as_str()).collect();
        for binding in ["JSONRPC", "HTTP+JSON", "GRPC"] {
            assert!(bindings.contains(&binding), "{path}: {bindings:?}");
        }
        assert!(interfaces.iter().all(|one| one["url"].as_str().unwrap().contains(&address)), "{interfaces:?}");
        assert_eq!(
            document.get("url").is_some(),
            path.ends_with("agent.json"),
            "{path}: only the older place has older members"
        );
        assert_eq!(document["capabilities"]["streaming"], true);
        assert_eq!(document["skills"][0]["id"], "one.talk");
        assert_eq!(document.get("signatures").is_some(), path.ends_with("agent-card.json"), "{path}");
        let etag = card.header("etag").unwrap().to_owned();
        assert!(card.header("last-modified").is_some() && card.header("cache-control").unwrap().contains("max-age"));
        let same = get(&gateway, path, &[("if-none-match", &etag)]).await;
        assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some(etag.as_str())), "{path}");
        let date = card.header("last-modified").unwrap().to_owned();
        assert_eq!(get(&gateway, path, &[("if-modified-since", &date)]).await.status, 304);
        assert_eq!(get(&gateway, path, &[("if-none-match", "\"other\"")]).await.status, 200);
        let head = raw::exchange(raw::address(&gateway.plain()), raw::request("HEAD", path, &[], "")).await;
        assert_eq!(
            (head.status, head.body.len(), head.header("content-length")),
            (200, 0, Some(card.body.len().to_string().as_str()))
        );
        assert_eq!(post(&gateway, path, &[JSON], "{}").await.status, 405);
    }
}

#[tokio::test]
async fn a_card_that_lies_does_not_lead_the_gateway_astray() {
    let other = Agent::start(Plan::new("other")).await;
    let elsewhere = json!({"supportedInterfaces": [
        {"url": "http://198.51.100.7/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]});
    let liar = Agent::start(Plan { card: elsewhere, ..Plan::new("liar") }).await;
    // It says that it streams, and refuses to.
    let boast = json!({"capabilities": {"streaming": true, "pushNotifications": true}});
    let boaster = Agent::start(Plan { card: boast, ..Plan::new("boaster") }.bare()).await;
    let gateway = gateway(&[&other, &liar, &boaster], "").await;
    let caller = Caller::rpc(&gateway.plain());
    let refusal = caller.clone().at("/agents/liar").call(Operation::Send, &saying("echo x")).await.unwrap_err();
    assert!(refusal.gateway_code.is_some(), "{refusal:?}");
    assert!(liar.received().is_empty() && !refusal.message.contains("198.51"), "{refusal:?}");
    let boasted = caller.clone().at("/agents/boaster");
    let refusal = boasted.events(Operation::Stream, &saying("stream 2")).await.unwrap_err();
    assert_eq!(refusal.reason, "UNSUPPORTED_OPERATION", "the agent's own word");
    let asked = task(&boasted, &saying("ask it")).await;
    let mut events = boasted.open(Operation::Subscribe, &on(&id(&asked))).await.unwrap();
    assert_eq!(state(&events.event().await["task"]), "INPUT_REQUIRED");
    let healthy = task(&caller.at("/agents/other"), &saying("echo fine")).await;
    assert_eq!(state(&healthy), "COMPLETED");
}

#[tokio::test]
async fn what_concerns_one_hop_only_does_not_pass() {
    let (agent, gateway) = echo().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version)
            .with("cookie", "session=secret")
            .with("forwarded", "for=192.0.2.1")
            .with("x-forwarded-for", "192.0.2.1")
            .with("x-custom", "mine")
            .with("traceparent", trace);
        caller.call(Operation::Send, &saying("echo x")).await.unwrap();
        let got = agent.last_received();
        for name in ["cookie", "authorization", "forwarded", "x-forwarded-for", "x-custom", "te", "proxy-authorization"]
        {
            assert_eq!(got.header(name), None, "{name} over {}", binding.as_str());
        }
        let passed = got.header("traceparent").unwrap();
        assert_eq!(passed.split('-').nth(1), trace.split('-').nth(1), "the trace goes on: {passed}");
        assert_ne!(passed, trace, "with a step of the gateway's own");
        assert_eq!(got.header("a2a-version"), Some("1.0"), "the agent's version, not the client's");
        assert_eq!(got.header("host"), Some(agent.address().to_string().as_str()));
    }
}

#[tokio::test]
async fn a_subscription_is_opened_by_post_and_get_and_by_both_paths() {
    let (agent, gateway) = echo().await;
    let caller = Caller::new(&gateway.plain(), Binding::Http, Version::V1);
    for (method, verb) in [("POST", ":subscribe"), ("GET", ":subscribe"), ("POST", "/subscribe"), ("GET", "/subscribe")]
    {
        let held = id(&task(&caller, &at_once("slow watch")).await);
        let request = raw::request(method, &format!("/a2a/tasks/{held}{verb}"), &[V1], "");
        let response = raw::begin(caller.address, request).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream", "{method} {verb}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        agent.release(1);
        let text = raw::collect(response).await.text();
        assert!(text.contains("TASK_STATE_COMPLETED") && !text.contains("event: error"), "{method} {verb}: {text}");
    }
}

#[tokio::test]
async fn history_is_as_long_as_was_asked_for_and_holds_every_message() {
    let (_agent, gateway) = echo().await;
    for (binding, version) in SPEAKERS.into_iter().filter(|speaker| speaker.1 == Version::V1) {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let asked = id(&task(&caller, &saying("ask first")).await);
        task(&caller, &to_task(&asked, "second")).await;
        let history = async |length: Option<i64>| {
            let params = length.map_or_else(|| on(&asked), |length| json!({"id": asked, "historyLength": length}));
            let task = caller.call(Operation::Get, &params).await.unwrap();
            let said = |message: &Value| message["parts"][0]["text"].as_str().unwrap().to_owned();
            task["history"].as_array().map(|history| {
                let users = history.iter().filter(|message| message["role"] == "ROLE_USER");
                (history.len(), users.map(said).collect::<Vec<_>>())
            })
        };
        let whole = history(None).await.unwrap();
        assert_eq!(whole.1, ["ask first", "second"], "{}", binding.as_str());
        assert_eq!(history(Some(100)).await.unwrap(), whole);
        assert_eq!(history(Some(1)).await.unwrap().0, 1);
        assert_eq!(history(Some(0)).await.map_or(0, |history| history.0), 0, "{}", binding.as_str());
        let mut elsewhere = to_task(&asked, "x");
        elsewhere["message"]["contextId"] = json!("another-context");
        let refusal = caller.call(Operation::Send, &elsewhere).await.unwrap_err();
        assert!(["INVALID_PARAMS", "UNSUPPORTED_OPERATION"].contains(&refusal.reason.as_str()), "{refusal:?}");
    }
}
