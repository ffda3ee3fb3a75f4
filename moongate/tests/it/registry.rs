//! The registry as agents and operators use it: ways to register, heartbeats, restarts, and what is refused.

use serde_json::{Value, json};

use crate::support::*;

async fn api(gateway: &Gateway, method: &str, path: &str, body: Option<&Value>) -> Answer {
    http(method, &gateway.admin(), &format!("/api/v1{path}"), &[], body).await
}

async fn register(gateway: &Gateway, body: &Value) -> Answer {
    api(gateway, "POST", "/agents", Some(body)).await
}

async fn ask(gateway: &Gateway, agent: &str) -> Answer {
    send(&gateway.plain(), &format!("/agents/{agent}"), &message("hello")).await
}

#[tokio::test]
async fn an_agent_registers_by_the_url_of_its_card() {
    let agent = Agent::start("Kitchen Lights", &[json!("lights.set")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    let answer = register(&gateway, &json!({"card_url": agent.card_url()})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), "/api/v1/agents/kitchen-lights");
    let view = answer.json();
    assert_eq!(
        (&view["id"], &view["health"], &view["source"]),
        (&json!("kitchen-lights"), &json!("up"), &json!("api"))
    );
    assert_eq!((&view["skills"], &view["interfaces"]), (&json!(["lights.set"]), &json!(["JSONRPC/1.0"])));
    assert_eq!(ask(&gateway, "kitchen-lights").await.agent(), "Kitchen Lights");
    // The agent's own base will do as well.
    let base = format!("http://{}", agent.address);
    let answer = register(&gateway, &json!({"name": "by-base", "card_url": base})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(ask(&gateway, "by-base").await.agent(), "Kitchen Lights");
}

#[tokio::test]
async fn an_agent_registers_by_its_card() {
    let agent = Agent::start("lights", &[json!("lights.set")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    let answer = register(&gateway, &json!({"name": "mine", "card": agent.card()})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(ask(&gateway, "mine").await.agent(), "lights");
    assert_eq!(agent.cards_read(), 0, "the card that was given is enough");
}

#[tokio::test]
async fn an_agent_registers_in_the_form_of_the_draft() {
    let agent = Agent::start("lamp", &[]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    let skills = json!(["light.on", {"id": "light.off", "tags": ["light"], "description": "Puts the lamp out."}]);
    let body = json!({"id": "lamp", "skills": skills, "address": agent.rpc_url(), "protocol": "JSONRPC"});
    let answer = register(&gateway, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["skills"], json!(["light.on", "light.off"]));
    assert_eq!(ask(&gateway, "lamp").await.agent(), "lamp");
    let by_skill = send(&gateway.plain(), "/a2a", &routed("on", &json!({"skillId": "light.on"}))).await;
    assert_eq!(by_skill.agent(), "lamp");
    let card = get(&gateway.plain(), "/agents/lamp/.well-known/agent-card.json").await.json();
    assert_eq!(card["skills"][1]["description"], "Puts the lamp out.");
}

#[tokio::test]
async fn instances_of_one_name_share_its_work() {
    let one = Agent::start("one", &[json!("count")]).await;
    let two = Agent::start("two", &[json!("count")]).await;
    let gateway = Gateway::start(MOONGATE, "[balance]\npolicy = \"round_robin\"\nslow_start_seconds = 0\n").await;
    assert_eq!(register(&gateway, &json!({"name": "counter", "card_url": one.card_url()})).await.status, 201);
    let answer = register(&gateway, &json!({"name": "counter", "instance": "b", "card_url": two.card_url()})).await;
    assert_eq!((answer.status, answer.json()["id"].clone()), (201, json!("counter@b")), "{}", answer.text());
    for _ in 0..10 {
        assert_eq!(ask(&gateway, "counter").await.status, 200);
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 5));
    let card = get(&gateway.plain(), "/.well-known/agent-card.json").await.text();
    assert!(!card.contains("@b") && card.matches("\"count\"").count() >= 1, "{card}");
    assert_eq!(api(&gateway, "DELETE", "/agents/counter@b", None).await.status, 200);
    for _ in 0..4 {
        assert_eq!(ask(&gateway, "counter").await.agent(), "one");
    }
}

#[tokio::test]
async fn the_same_name_again_replaces_the_entry() {
    let old = Agent::start("old", &[json!("old.skill")]).await;
    let new = Agent::start("new", &[json!("new.skill")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    assert_eq!(register(&gateway, &json!({"name": "x", "card_url": old.card_url()})).await.status, 201);
    let answer = register(&gateway, &json!({"name": "x", "card_url": new.card_url(), "zone": "attic"})).await;
    assert_eq!((answer.status, answer.json()["zone"].clone()), (200, json!("attic")), "{}", answer.text());
    assert_eq!(ask(&gateway, "x").await.agent(), "new");
    let listed = api(&gateway, "GET", "/agents", None).await.json();
    assert_eq!(listed["agents"].as_array().unwrap().len(), 1);
    let skills = api(&gateway, "GET", "/skills?q=old.skill", None).await.json();
    assert!(!skills.to_string().contains("old.skill"), "{skills}");
}

#[tokio::test]
async fn an_agent_of_the_configuration_is_its_alone() {
    let (own, other) = (Agent::start("own", &[json!("print")]).await, Agent::start("other", &[json!("print")]).await);
    let mut gateway = Gateway::start(MOONGATE, "[store]\nurl = \"sqlite:moongate.db\"\n").await;
    let squatter = json!({"name": "printer", "instance": "b", "weight": 1000, "card_url": other.card_url()});
    assert_eq!(register(&gateway, &squatter).await.status, 201);
    let entry = format!(
        "[store]\nurl = \"sqlite:moongate.db\"\n[[agents]]\nname = \"printer\"\ncard_url = \"{}\"\n",
        own.card_url()
    );
    gateway.reload(&entry);
    eventually("the configured agent alone answers", || async {
        let view = api(&gateway, "GET", "/agents", None).await.json();
        let entries = view["agents"].as_array().unwrap();
        entries.len() == 1 && entries[0]["source"] == "config" && entries[0]["health"] == "up"
    })
    .await;
    for _ in 0..5 {
        assert_eq!(ask(&gateway, "printer").await.agent(), "own");
    }
    gateway.restart().await;
    gateway.ready().await;
    assert_eq!(api(&gateway, "GET", "/agents", None).await.json()["agents"].as_array().unwrap().len(), 1);
    assert_eq!(ask(&gateway, "printer").await.agent(), "own");
}

#[tokio::test]
async fn an_agent_that_deregisters_is_gone_at_once() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    register(&gateway, &json!({"name": "a", "card_url": agent.card_url()})).await;
    let answer = api(&gateway, "DELETE", "/agents/a", None).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"removed": "a"})));
    assert_eq!(ask(&gateway, "a").await.code(), "MG-0301");
    assert!(!get(&gateway.plain(), "/.well-known/agent-card.json").await.text().contains("a.do"));
    assert_eq!(api(&gateway, "DELETE", "/agents/a", None).await.code(), "MG-0705");
    assert_eq!(api(&gateway, "PUT", "/agents/a/heartbeat", None).await.code(), "MG-0705");
    assert_eq!(api(&gateway, "GET", "/agents/a", None).await.code(), "MG-0705");
}

#[tokio::test]
async fn silence_leads_from_up_over_suspect_to_down_and_a_beat_leads_back() {
    let toml = "[routing]\nheartbeat_seconds = 0.7\nheartbeat_ttl_seconds = 4\n";
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, toml).await;
    register(&gateway, &json!({"name": "a", "card_url": agent.card_url()})).await;
    let beat = || async { api(&gateway, "PUT", "/agents/a/heartbeat", None).await };
    let listed = || async { get(&gateway.plain(), "/.well-known/agent-card.json").await.text().contains("a.do") };
    let answer = beat().await;
    assert_eq!((answer.status, answer.json()["health"].clone()), (200, json!("up")));
    assert_eq!(answer.json()["interval_seconds"], json!(0.7), "the agent learns how often to beat");
    eventually("it is suspect", || async { health(&gateway, "a").await == "suspect" }).await;
    assert!(listed().await, "who is suspect is still offered");
    assert_eq!(ask(&gateway, "a").await.agent(), "a");
    eventually("it is down", || async { health(&gateway, "a").await == "down" }).await;
    assert!(!listed().await, "who is down is not offered");
    assert_eq!(api(&gateway, "GET", "/skills?q=a.do", None).await.json()["skills"], json!([]));
    gateway.logged(0, |line| line["agent"] == "a" && line["health"] == "down").await;
    assert_eq!(beat().await.json()["health"], "up");
    assert!(listed().await);
    assert_eq!(ask(&gateway, "a").await.agent(), "a");
}

#[tokio::test]
async fn an_agent_that_never_beats_is_judged_by_its_card() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, &format!("[routing]\nprobe_seconds = 0.2\n{}", agent.entry())).await;
    assert_eq!(health(&gateway, "a").await, "up");
    let address = agent.kill().await;
    eventually("it is down", || async { health(&gateway, "a").await == "down" }).await;
    let view = api(&gateway, "GET", "/agents/a", None).await.json();
    assert_eq!(view["problem"]["code"], "MG-0701", "{view}");
    let again = Agent::at("a", &[json!("a.do"), json!("a.more")], address).await;
    eventually("it is up again", || async { health(&gateway, "a").await == "up" }).await;
    let view = api(&gateway, "GET", "/agents/a", None).await.json();
    assert_eq!((&view["problem"], &view["skills"]), (&json!(null), &json!(["a.do", "a.more"])));
    assert_eq!(ask(&gateway, "a").await.agent(), "a");
    again.set_card(|card| card["skills"][0]["id"] = json!("a.renamed"));
    eventually("its new card is read", || async {
        get(&gateway.plain(), "/.well-known/agent-card.json").await.text().contains("a.renamed")
    })
    .await;
}

#[tokio::test]
async fn registered_agents_survive_a_restart_and_a_kill() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let other = Agent::start("b", &[json!("b.do")]).await;
    let mut gateway = Gateway::start(MOONGATE, "[routing]\nprobe_seconds = 0.5\n").await;
    let body =
        json!({"name": "a", "card_url": agent.card_url(), "zone": "attic", "weight": 7, "visibility": "extended"});
    assert_eq!(register(&gateway, &body).await.status, 201);
    assert_eq!(register(&gateway, &json!({"name": "gone", "card_url": other.card_url()})).await.status, 201);
    assert_eq!(api(&gateway, "DELETE", "/agents/gone", None).await.status, 200);
    gateway.restart().await;
    let back = |gateway: &Gateway, name: &'static str| {
        let admin = gateway.admin();
        async move {
            eventually("the entry is up again", || async {
                get(&admin, &format!("/api/v1/agents/{name}")).await.json()["health"] == "up"
            })
            .await;
        }
    };
    back(&gateway, "a").await;
    let view = api(&gateway, "GET", "/agents/a", None).await.json();
    assert_eq!((&view["zone"], &view["weight"], &view["source"]), (&json!("attic"), &json!(7), &json!("api")));
    assert!(!get(&gateway.plain(), "/.well-known/agent-card.json").await.text().contains("a.do"));
    assert_eq!(ask(&gateway, "a").await.agent(), "a");
    assert_eq!(api(&gateway, "GET", "/agents/gone", None).await.status, 404);
    // What was acknowledged is on disk, however the process ends.
    assert_eq!(register(&gateway, &json!({"name": "b", "card_url": other.card_url()})).await.status, 201);
    gateway.kill().await;
    gateway.restart().await;
    for name in ["a", "b"] {
        back(&gateway, name).await;
        assert_eq!(ask(&gateway, name).await.agent(), name);
    }
}

#[tokio::test]
async fn an_entry_of_the_configuration_cannot_be_changed_over_the_api() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let other = Agent::start("b", &[json!("b.do")]).await;
    let gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let answer = register(&gateway, &json!({"name": "a", "card_url": other.card_url()})).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0703"), "{}", answer.text());
    let answer = api(&gateway, "DELETE", "/agents/a", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0703"));
    assert_eq!(ask(&gateway, "a").await.agent(), "a");
}

#[tokio::test]
async fn an_entry_belongs_to_whoever_made_it() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    let body = json!({"name": "a", "card_url": agent.card_url()});
    let admin = gateway.admin();
    let as_operator = |method: &'static str, path: &'static str| {
        let (admin, operator, body) = (admin.clone(), operator.clone(), body.clone());
        async move { http(method, &admin, path, &[("authorization", &operator)], Some(&body)).await }
    };
    assert_eq!(as_operator("POST", "/api/v1/agents").await.status, 201);
    for answer in [
        register(&gateway, &body).await,
        api(&gateway, "DELETE", "/agents/a", None).await,
        api(&gateway, "PUT", "/agents/a/heartbeat", None).await,
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0704"), "{}", answer.text());
    }
    assert_eq!(as_operator("DELETE", "/api/v1/agents/a").await.status, 200);
    assert_eq!(register(&gateway, &body).await.status, 201);
    assert_eq!(
        as_operator("DELETE", "/api/v1/agents/a").await.status,
        200,
        "operators may change every entry of the API"
    );
    let answer = http("GET", &admin, "/api/v1/agents", &[("authorization", "Bearer wrong")], None).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "MG-0401"));
}

#[tokio::test]
async fn a_bad_card_is_named_while_the_others_work() {
    let good = Agent::start("good", &[json!("good.do")]).await;
    let bad = Agent::start("bad", &[json!("bad.do")]).await;
    bad.set_card(|card| card["skills"][0]["tags"] = json!("not a list"));
    let gone = Agent::start("gone", &[json!("gone.do")]).await;
    let gone_entry = gone.entry();
    gone.kill().await;
    let toml = format!("[routing]\nprobe_seconds = 0.2\n{}{}{gone_entry}", good.entry(), bad.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    assert_eq!(ask(&gateway, "good").await.agent(), "good");
    let view = api(&gateway, "GET", "/agents/bad", None).await.json();
    assert_eq!((&view["health"], &view["problem"]["code"]), (&json!("down"), &json!("MG-0702")), "{view}");
    assert_eq!(view["problem"]["fields"][0]["field"], "skills[0].tags", "{view}");
    let view = api(&gateway, "GET", "/agents/gone", None).await.json();
    assert_eq!(view["problem"]["code"], "MG-0701", "{view}");
    assert_eq!(ask(&gateway, "bad").await.code(), "MG-0304");
    let card = get(&gateway.plain(), "/.well-known/agent-card.json").await.text();
    assert!(card.contains("good.do") && !card.contains("bad.do"));
    gateway.logged(0, |line| line["agent"] == "bad" && line.to_string().contains("skills[0].tags")).await;

    // Over the API nothing is kept of what is wrong.
    for (name, url, code) in [("bad-2", bad.card_url(), "MG-0702"), ("gone-2", gone_url(&gone_entry), "MG-0701")] {
        let answer = register(&gateway, &json!({"name": name, "card_url": url})).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
        assert_eq!(api(&gateway, "GET", &format!("/agents/{name}"), None).await.status, 404);
    }
    let answer = register(&gateway, &json!({"name": "bad-2", "card_url": bad.card_url()})).await;
    assert_eq!((answer.status, answer.fields()), (400, vec!["skills[0].tags".to_owned()]));
    // Once it is mended, it is there without anybody's doing.
    bad.set_card(|card| card["skills"][0]["tags"] = json!([]));
    eventually("the mended card is read", || async { health(&gateway, "bad").await == "up" }).await;
    assert_eq!(ask(&gateway, "bad").await.agent(), "bad");
}

fn gone_url(entry: &str) -> String {
    entry.split('"').find(|text| text.starts_with("http")).unwrap().to_owned()
}

#[tokio::test]
async fn a_registration_that_says_too_much_or_too_little_names_the_member() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    for (body, field) in [
        (json!({}), "card_url"),
        (json!({"card_url": agent.card_url(), "colour": "red"}), "colour"),
        (json!({"card_url": agent.card_url(), "weight": 0}), "weight"),
        (json!({"card_url": agent.card_url(), "card": agent.card()}), "card_url"),
        (json!({"name": "a b", "card_url": agent.card_url()}), "name"),
        (json!({"address": agent.rpc_url(), "skills": [{}]}), "skills[0].id"),
        (json!({"address": agent.rpc_url(), "skills": ["x"], "protocol": "SOAP"}), "protocol"),
        (json!({"card_url": "http://198.51.100.7/card.json"}), "card_url"),
    ] {
        let answer = register(&gateway, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0209"), "{body}: {}", answer.text());
        assert_eq!(answer.fields(), [field], "{body}");
    }
    let no_json = http("POST", &gateway.admin(), "/api/v1/agents", &[], Some(&json!("text"))).await;
    assert_eq!(no_json.code(), "MG-0209");
}

#[tokio::test]
async fn a_card_that_names_another_host_is_refused() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    agent.set_card(|card| card["supportedInterfaces"][0]["url"] = json!("http://10.1.2.3:9000/rpc"));
    let gateway = Gateway::start(MOONGATE, "").await;
    let answer = register(&gateway, &json!({"name": "a", "card_url": agent.card_url()})).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "MG-0702"), "{}", answer.text());
    assert_eq!(answer.fields(), ["supportedInterfaces[0].url"]);
    assert!(answer.text().contains("another host"), "{}", answer.text());
    // One that listens everywhere and says so means the place where it was found.
    let everywhere = agent.rpc_url().replace("127.0.0.1", "0.0.0.0");
    agent.set_card(|card| card["supportedInterfaces"][0]["url"] = json!(everywhere));
    assert_eq!(register(&gateway, &json!({"name": "a", "card_url": agent.card_url()})).await.status, 201);
    assert_eq!(ask(&gateway, "a").await.agent(), "a");
}

#[tokio::test]
async fn the_description_of_the_api_tells_the_truth() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, "").await;
    let document = get(&gateway.admin(), "/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    let question = json!({"path": "/a2a", "body": rpc("SendMessage", &message("hello"))});
    let registration = json!({"name": "a", "card_url": agent.card_url()});
    let mut told = Vec::new();
    for (method, path, at, body, statuses) in [
        ("post", "/agents", "/agents", Some(&registration), [201, 400]),
        ("post", "/agents", "/agents", Some(&registration), [200, 400]),
        ("get", "/agents", "/agents", None, [200, 0]),
        ("get", "/agents/{id}", "/agents/a", None, [200, 404]),
        ("put", "/agents/{id}/heartbeat", "/agents/a/heartbeat", None, [200, 404]),
        ("post", "/agents/{id}/heartbeat", "/agents/a/heartbeat", None, [200, 404]),
        ("get", "/skills", "/skills?q=a.do&limit=5", None, [200, 400]),
        ("post", "/explain", "/explain", Some(&question), [200, 400]),
        ("get", "/status", "/status", None, [200, 0]),
        ("delete", "/agents/{id}", "/agents/a", None, [200, 404]),
    ] {
        let answer = api(&gateway, &method.to_uppercase(), at, body).await;
        assert_eq!(answer.status, statuses[0], "{method} {path}: {}", answer.text());
        described(&document, path, method, &answer);
        told.push((method, path));
    }
    // Every path answers a mistake in the described form, too.
    for (method, path, at, body, status) in [
        ("post", "/agents", "/agents", Some(json!({"x": 1})), 400),
        ("get", "/agents/{id}", "/agents/nobody", None, 404),
        ("delete", "/agents/{id}", "/agents/nobody", None, 404),
        ("put", "/agents/{id}/heartbeat", "/agents/nobody/heartbeat", None, 404),
        ("get", "/skills", "/skills?colour=red", None, 400),
        ("post", "/explain", "/explain", Some(json!({"path": "/elsewhere"})), 400),
    ] {
        let answer = api(&gateway, &method.to_uppercase(), at, body.as_ref()).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        described(&document, path, method, &answer);
    }
    told.push(("get", "/openapi.json"));
    // Tasks and the store, users, clients, tokens, approvals, the authority and the console's views are tried where their
    // commands are, and what is not below `/api/v1` where it belongs.
    let elsewhere = ["/tasks", "/queue", "/store", "/users", "/clients", "/tokens", "/approvals", "/push", "/ca/"];
    let views = ["/events", "/overview", "/console", "/audit", "/configuration"];
    let here = |path: &str, item: &Value| {
        item.get("servers").is_none() && !elsewhere.iter().chain(&views).any(|noun| path.starts_with(noun))
    };
    for (path, operations) in document["paths"].as_object().unwrap().iter().filter(|(path, item)| here(path, item)) {
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            assert!(told.contains(&(method.as_str(), path.as_str())), "{method} {path} is described but was not tried");
        }
    }
    let answer = api(&gateway, "PATCH", "/agents", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "MG-0214"));
}

/// Checks an answer against the schema that the description gives for its status.
pub(crate) fn described(document: &Value, path: &str, method: &str, answer: &Answer) {
    let responses = &document["paths"][path][method]["responses"];
    let status = answer.status.to_string();
    let response = responses.get(&status).unwrap_or(&responses["default"]);
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path} {status} has no schema");
    assert!(answer.header("content-type").starts_with("application/json"), "{method} {path}");
    fits(document, schema, &answer.json(), &format!("{method} {path} {status}"));
}

/// The part of JSON Schema that the description uses.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{at}: no {name}"));
        return fits(document, schema, value, at);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: unknown type {other}"),
    };
    assert!(kinds.is_empty() || kinds.into_iter().any(is), "{at}: {value} is not {}", schema["type"]);
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{at}: {value} is not one of {choices:?}");
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(value.get(name).is_some(), "{at}: {name} is missing in {value}");
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            fits(document, inner, value, &format!("{at}.{name}"));
        }
    }
    if let (Some(known), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for name in members.keys() {
            assert!(known.contains_key(name), "{at}: {name} is not described");
        }
    }
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(document, &schema["items"], item, &format!("{at}[{n}]"));
    }
}
