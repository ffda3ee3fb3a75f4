//! What strangers see: cards and the search for skills.

use serde_json::{Value, json};

use crate::support::*;

const CARD: &str = "/.well-known/agent-card.json";
const OLDER: &str = "/.well-known/agent.json";
/// The WebSocket binding, as cards name it.
const SOCKET: &str = "https://w3id.org/moongate/bindings/websocket/v1";

fn skill(id: &str, name: &str, description: &str, tags: &[&str], examples: &[&str]) -> Value {
    json!({"id": id, "name": name, "description": description, "tags": tags, "examples": examples})
}

fn ids(card: &Value) -> Vec<String> {
    card["skills"].as_array().unwrap().iter().map(|skill| skill["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_aggregated_card_offers_the_skills_of_all_agents_at_the_gateway() {
    let lights = Agent::start("lights", &[json!("lights.set"), json!("lights.scene")]).await;
    let climate = Agent::start("climate", &[json!("climate.set")]).await;
    climate.set_card(|card| card["defaultInputModes"] = json!(["text/plain", "application/json"]));
    let toml = format!("domain = \"home.example\"\n{}{}", lights.entry(), climate.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let card = get(&gateway.plain(), CARD).await.json();
    assert_eq!(card["name"], "home.example");
    assert_eq!(ids(&card), ["climate.set", "lights.set", "lights.scene"]);
    assert_eq!(card["defaultInputModes"], json!(["text/plain", "application/json"]));
    let plain = gateway.plain();
    let authority = plain.trim_start_matches("http://");
    let expected = [
        ("JSONRPC", format!("{plain}/a2a")),
        ("HTTP+JSON", format!("{plain}/a2a")),
        ("GRPC", authority.to_owned()),
        (SOCKET, format!("ws://{authority}/a2a/ws")),
    ];
    let found: Vec<_> = card["supportedInterfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interface| {
            assert_eq!(interface["protocolVersion"], "1.0");
            (interface["protocolBinding"].as_str().unwrap(), interface["url"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(found, expected);
    for member in ["url", "preferredTransport", "protocolVersion", "supportsAuthenticatedExtendedCard"] {
        assert!(card.get(member).is_none(), "a pure 1.0 card has no {member}");
    }
    // What the card says is true: its first interface answers.
    let answer = send(&plain, "/a2a", &routed("hello", &json!({"skillId": "climate.set"}))).await;
    assert_eq!(answer.agent(), "climate");
    let main = get_main(&gateway, CARD).await.json();
    let socket = main["supportedInterfaces"][3]["url"].as_str().unwrap();
    assert!(socket.starts_with("wss://"), "{socket}");
    assert_eq!(
        main["supportedInterfaces"][0]["url"],
        format!("{}/a2a", gateway.url("main")),
        "each listener names itself"
    );
}

#[tokio::test]
async fn each_agent_has_a_card_of_its_own() {
    let agent = Agent::start("lights", &[json!("lights.set")]).await;
    let other = Agent::start("other", &[json!("other.do")]).await;
    let gateway = Gateway::start(MOONGATE, &format!("{}{}", agent.entry(), other.entry())).await;
    let plain = gateway.plain();
    let card = get(&plain, &format!("/agents/lights{CARD}")).await.json();
    assert_eq!((&card["name"], ids(&card)), (&json!("lights"), vec!["lights.set".to_owned()]));
    let urls: Vec<_> =
        card["supportedInterfaces"].as_array().unwrap().iter().map(|i| i["url"].as_str().unwrap()).collect();
    assert_eq!(
        urls,
        [
            format!("{plain}/agents/lights"),
            format!("{plain}/agents/lights"),
            plain.trim_start_matches("http://").into(),
            format!("{}/agents/lights/ws", plain.replace("http://", "ws://")),
        ]
    );
    assert_eq!(card["supportedInterfaces"][2]["tenant"], "lights", "gRPC has no path, so its interface names a tenant");
    let missing = get(&plain, &format!("/agents/nobody{CARD}")).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "MG-0301"));
}

#[tokio::test]
async fn older_clients_find_a_card_that_they_can_read() {
    let agent = Agent::start("lights", &[json!("lights.set")]).await;
    let gateway = Gateway::start(MOONGATE, &format!("{}legacy_card = true\n", agent.entry())).await;
    let plain = gateway.plain();
    for (path, base) in [(OLDER.to_owned(), "/a2a"), (format!("/agents/lights{OLDER}"), "/agents/lights")] {
        let card = get(&plain, &path).await.json();
        assert_eq!(
            (&card["protocolVersion"], &card["preferredTransport"]),
            (&json!("0.3.0"), &json!("JSONRPC")),
            "{path}"
        );
        assert_eq!(card["url"], format!("{plain}{base}"), "{path}");
        assert!(card["additionalInterfaces"].as_array().is_some_and(|list| !list.is_empty()), "{path}");
        assert!(card["supportedInterfaces"].is_array(), "{path} is read by newer clients too");
        assert!(!card["additionalInterfaces"].to_string().contains("/ws"), "{path}: 0.3 has no name for our binding");
        assert_eq!(ids(&card), ["lights.set"]);
    }
    let path = format!("/agents/lights{CARD}");
    let silent = get(&plain, &path).await.json();
    assert_eq!(silent["protocolVersion"], "0.3.0", "legacy_card: who names no version gets the merged card");
    let told = http("GET", &plain, &path, &[V1], None).await.json();
    assert!(told.get("protocolVersion").is_none());
}

#[tokio::test]
async fn caches_are_told_whether_a_card_has_changed() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let entry = agent.entry();
    let gateway = Gateway::start(MOONGATE, &entry).await;
    let plain = gateway.plain();
    for path in [CARD.to_owned(), OLDER.to_owned(), format!("/agents/a{CARD}")] {
        let full = get(&plain, &path).await;
        let (etag, modified) = (full.header("etag").to_owned(), full.header("last-modified").to_owned());
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        assert!(full.header("cache-control").contains("max-age"));
        let with = |header: &'static str, value: String| {
            let (plain, path) = (plain.clone(), path.clone());
            async move { http("GET", &plain, &path, &[(header, &value)], None).await }
        };
        for value in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            let answer = with("if-none-match", value.clone()).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{path} {value}");
            assert_eq!(answer.header("etag"), etag);
        }
        assert_eq!(with("if-none-match", "\"other\"".into()).await.status, 200);
        assert_eq!(with("if-modified-since", modified).await.status, 304);
        assert_eq!(with("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT".into()).await.status, 200);
        let head = http("HEAD", &plain, &path, &[], None).await;
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, etag.as_str()));
        assert_eq!(head.header("content-length"), full.body.len().to_string());
        assert_eq!(http("POST", &plain, &path, &[], Some(&json!({}))).await.status, 405);
    }
    let before = get(&plain, CARD).await.header("etag").to_owned();
    let other = Agent::start("b", &[json!("b.do")]).await;
    reload(&gateway, &format!("{entry}{}", other.entry())).await;
    let after = http("GET", &plain, CARD, &[("if-none-match", &before)], None).await;
    assert_eq!(after.status, 200, "a card with another skill is another card");
    assert_ne!(after.header("etag"), before);
}

#[tokio::test]
async fn hidden_agents_are_in_no_card_and_extended_ones_in_the_extended_card_only() {
    let open = Agent::start("open", &[json!("open.do")]).await;
    let inner = Agent::start("inner", &[json!("inner.do")]).await;
    let secret = Agent::start("secret", &[json!("secret.do")]).await;
    let toml = format!(
        "{}{}visibility = \"extended\"\n{}visibility = \"hidden\"\n",
        open.entry(),
        inner.entry(),
        secret.entry()
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let plain = gateway.plain();
    let card = get(&plain, CARD).await.json();
    assert_eq!((ids(&card), &card["capabilities"]["extendedAgentCard"]), (vec!["open.do".to_owned()], &json!(true)));
    let extended = call(&plain, "/a2a", "GetExtendedAgentCard", &json!({})).await.json();
    assert_eq!(ids(&extended["result"]), ["inner.do", "open.do"]);
    let skills = get(&gateway.admin(), "/api/v1/skills?q=secret.do").await.json();
    assert!(!skills.to_string().contains("secret.do"), "{skills}");
    // Hidden is not forbidden: who knows the address reaches it.
    assert_eq!(send(&plain, "/agents/secret", &message("hello")).await.agent(), "secret");
}

#[tokio::test]
async fn skills_that_collide_appear_with_their_agents_name() {
    let front = Agent::start("front", &[skill("blinds.open", "Open door", "Opens the front door.", &[], &[])]).await;
    let garage = Agent::start("garage", &[skill("blinds.open", "Open door", "Opens the garage door.", &[], &[])]).await;
    let same = [skill("lights.set", "Lights", "Sets lights.", &[], &[])];
    let (one, two) = (Agent::start("one", &same).await, Agent::start("two", &same).await);
    let toml: String = [&front, &garage, &one, &two].iter().map(|agent| agent.entry()).collect();
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let plain = gateway.plain();
    let card = get(&plain, CARD).await.json();
    assert_eq!(ids(&card), ["front/blinds.open", "garage/blinds.open", "lights.set"]);
    for agent in ["front", "garage"] {
        let answer = send(&plain, "/a2a", &routed("go", &json!({"skillId": format!("{agent}/blinds.open")}))).await;
        assert_eq!(answer.agent(), agent);
    }
    let bare = send(&plain, "/a2a", &routed("go", &json!({"skillId": "blinds.open"}))).await;
    assert_eq!(bare.code(), "MG-0302");
    assert!(bare.text().contains("front/blinds.open, garage/blinds.open"), "{}", bare.text());
}

#[tokio::test]
async fn no_card_betrays_an_inside_address() {
    let agent = Agent::start("inside", &[json!("inside.do")]).await;
    let address = agent.address;
    agent.set_card(|card| {
        card["documentationUrl"] = json!(format!("http://{address}/docs"));
        card["iconUrl"] = json!("http://10.0.0.5/icon.png");
        card["provider"] = json!({"organization": "Inside", "url": format!("http://localhost:{}/", address.port())});
        card["securitySchemes"] =
            json!({"key": {"openIdConnectSecurityScheme": {"openIdConnectUrl": format!("http://{address}/oidc")}}});
        card["securityRequirements"] = json!([{"schemes": {"key": {"list": []}}}]);
        card["signatures"] = json!([{"protected": "eyJhbGciOiJFUzI1NiJ9", "signature": "c2ln"}]);
    });
    let gateway = Gateway::start(MOONGATE, &format!("domain = \"home.example\"\n{}", agent.entry())).await;
    let port = format!(":{}", address.port());
    for base in [gateway.plain(), gateway.admin()] {
        for path in
            [CARD.to_owned(), OLDER.to_owned(), format!("/agents/inside{CARD}"), format!("/agents/inside{OLDER}")]
        {
            let answer = get(&base, &path).await;
            assert_eq!(answer.status, 200);
            for word in [port.as_str(), "10.0.0.5", "localhost", "oidc", "c2ln", "/rpc"] {
                assert!(!answer.text().contains(word), "{path} says {word}: {}", answer.text());
            }
        }
    }
}

/// A home whose skills are described in English and Chinese.
async fn home() -> (Vec<Agent>, Gateway) {
    let lights = Agent::start(
        "lights",
        &[
            skill(
                "lights.set",
                "Switch lights",
                "Turns the lights of a room on or off.",
                &["light", "home"],
                &["turn on the kitchen lights"],
            ),
            skill(
                "lights.brightness",
                "调节灯光亮度",
                "按百分比调亮或调暗房间里的灯。",
                &["light", "亮度"],
                &["把卧室的灯调到百分之三十"],
            ),
        ],
    )
    .await;
    let climate = Agent::start(
        "climate",
        &[skill(
            "climate.set_temperature",
            "设置温度",
            "设定空调、暖气或地暖的目标温度。",
            &["climate", "空调"],
            &["空调调到二十六度"],
        )],
    )
    .await;
    let car = Agent::start(
        "car",
        &[skill(
            "car.range",
            "Remaining range",
            "Tells how far the car can drive on its battery.",
            &["car", "battery"],
            &["how far can I drive"],
        )],
    )
    .await;
    let toml = format!("{}zone = \"kitchen\"\n{}{}", lights.entry(), climate.entry(), car.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    (vec![lights, climate, car], gateway)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn skills_are_found_by_what_they_do_in_two_languages() {
    let (_agents, gateway) = home().await;
    for (words, expected) in [
        ("turn on the lamp", "lights.set"),
        ("how far does the battery take me", "car.range"),
        ("dim the lights", "lights.brightness"),
        ("空调温度", "climate.set_temperature"),
        ("把灯调暗", "lights.brightness"),
        ("打开厨房的灯", "lights.set"),
    ] {
        let found = get(&gateway.admin(), &format!("/api/v1/skills?q={}", encoded(words))).await.json();
        let first = &found["skills"][0];
        assert_eq!(first["skill"], expected, "{words}: {found}");
        let score = first["score"].as_f64().unwrap();
        assert!(score > 0.0 && score <= 1.0, "{words}: {score}");
        assert!(first["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{words}: {found}");
        let scores: Vec<f64> =
            found["skills"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{words}: {scores:?}");
    }
    let nothing = get(&gateway.admin(), "/api/v1/skills?q=quantum+chromodynamics").await.json();
    assert_eq!(nothing["skills"], json!([]));
}

#[tokio::test]
async fn skills_are_found_by_id_tag_zone_and_input() {
    let (_agents, gateway) = home().await;
    let search = |query: &'static str| {
        let admin = gateway.admin();
        async move {
            let found = get(&admin, &format!("/api/v1/skills?{query}")).await.json();
            found["skills"].as_array().unwrap().clone()
        }
    };
    let names = |hits: &[Value]| hits.iter().map(|hit| hit["skill"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let exact = search("q=car.range").await;
    assert_eq!((&exact[0]["score"], &exact[0]["reason"]), (&json!(1.0), &json!("id car.range")));
    assert_eq!((&exact[0]["skill"], &exact[0]["agent"]), (&json!("car.range"), &json!("car")));
    assert_eq!(names(&search("tag=light").await), ["lights.brightness", "lights.set"]);
    let tagged = search(&*Box::leak(format!("tag={}", encoded("空调")).into_boxed_str())).await;
    assert_eq!(names(&tagged), ["climate.set_temperature"]);
    assert!(tagged[0]["reason"].as_str().unwrap().contains("空调"), "{tagged:?}");
    let in_kitchen = search("zone=kitchen").await;
    assert_eq!(names(&in_kitchen), ["lights.brightness", "lights.set"]);
    assert_eq!(in_kitchen[0]["zone"], "kitchen");
    assert_eq!(names(&search("zone=kitchen&tag=light&limit=1").await).len(), 1);
    assert_eq!(search("zone=attic").await, Vec::<Value>::new());
    assert_eq!(search("input=text/plain").await.len(), 4);
    assert_eq!(search("input=video/mp4").await, Vec::<Value>::new());
    for (query, field) in [("limit=0", "limit"), ("limit=x", "limit"), ("colour=red", "colour")] {
        let answer = get(&gateway.admin(), &format!("/api/v1/skills?{query}")).await;
        assert_eq!((answer.status, answer.fields()), (400, vec![field.to_owned()]), "{query}");
    }
}
