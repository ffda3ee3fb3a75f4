//! How the program begins and ends, and whom it lets in.

use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn what_is_in_flight_ends_well_and_streams_are_told() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    agent.set_manner(Manner::Held);
    let mut gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let plain = gateway.plain();
    let mut rpc_stream = Events::open(&plain, "/agents/a", "SendStreamingMessage", &message("stream")).await.unwrap();
    let mut rest_stream = Events::of(&plain, "POST", "/agents/a/message:stream", &message("stream")).await.unwrap();
    assert!(rpc_stream.next().await.is_some() && rest_stream.next().await.is_some());
    let unary = {
        let plain = plain.clone();
        tokio::spawn(async move { send(&plain, "/agents/a", &message("unary")).await })
    };
    agent.got(3).await;
    gateway.ask_to_stop();
    gateway.logged(0, |line| line["message"].as_str().is_some_and(|text| text.contains("shuts down"))).await;

    let told = rpc_stream.next().await.expect("the stream is told");
    assert_eq!(code(&told.data), "MG-0902", "{told:?}");
    assert!(rpc_stream.next().await.is_none());
    let told = rest_stream.next().await.expect("the stream is told");
    assert_eq!((told.kind.as_str(), code(&told.data).as_str()), ("error", "MG-0902"), "{told:?}");
    assert!(rest_stream.next().await.is_none());

    agent.let_go();
    let answer = unary.await.unwrap();
    assert_eq!((answer.status, answer.agent().as_str()), (200, "a"), "what was in flight is answered");
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(Connection::open(&plain).await.is_err());
}

#[tokio::test]
async fn readiness_goes_first_and_life_last() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    agent.set_manner(Manner::Held);
    let mut gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let (plain, admin) = (gateway.plain(), gateway.admin());
    let held = tokio::spawn(async move { send(&plain, "/agents/a", &message("held")).await.status });
    agent.got(1).await;
    assert_eq!(get(&admin, "/readyz").await.status, 200);
    gateway.ask_to_stop();
    gateway.logged(0, |line| line["message"].as_str().is_some_and(|text| text.contains("shuts down"))).await;
    let answer = get(&admin, "/readyz").await;
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (503, Some("the gateway is shutting down")));
    assert_eq!(get(&admin, "/healthz").await.status, 200, "it lives as long as somebody waits for an answer");
    assert!(Connection::open(&gateway.plain()).await.is_err(), "nobody new is let in");
    agent.let_go();
    assert_eq!(held.await.unwrap(), 200);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn the_gateway_is_ready_once_every_configured_agent_was_tried() {
    let gateway =
        Gateway::start(MOONGATE, "[[agents]]\nname = \"gone\"\ncard_url = \"http://127.0.0.1:9/card.json\"\n").await;
    let admin = gateway.admin();
    assert_eq!(get(&admin, "/readyz").await.json(), json!({"status": "ready"}));
    assert_eq!(get(&admin, "/healthz").await.json(), json!({"status": "alive"}));
    assert_eq!(status(&gateway).await["agents"], json!({"up": 0, "suspect": 0, "down": 1}));
    assert_eq!(http("POST", &admin, "/healthz", &[], Some(&json!({}))).await.status, 405);
    assert_eq!(http("HEAD", &admin, "/readyz", &[], None).await.status, 200);
    assert_eq!(get(&admin, "/nowhere").await.code(), "MG-0213");
}

#[tokio::test]
async fn listeners_off_loopback_are_refused() {
    let folder = folder();
    for (listen, key) in [
        ("main = \"0.0.0.0:0\"", "listen.main"),
        ("plain = \"0.0.0.0:0\"", "listen.plain"),
        ("admin = \"[::]:0\"", "listen.admin"),
        ("plain = \"192.0.2.1:80\"", "listen.plain"),
    ] {
        std::fs::write(folder.path().join("moongate.toml"), format!("[listen]\n{listen}\n")).unwrap();
        for command in ["run", "check"] {
            let output = moongate(folder.path(), &[command]).await;
            let code = if command == "run" { 2 } else { 1 };
            assert_eq!(output.status.code(), Some(code), "{command} {key}: {}", err(&output));
            assert!(err(&output).contains("MG-0107"), "{command} {key}: {}", err(&output));
        }
    }
}

#[tokio::test]
async fn two_gateways_cannot_share_a_store_or_a_port() {
    let gateway = Gateway::start(MOONGATE, "").await;
    let second = moongate(gateway.folder(), &["run"]).await;
    assert_eq!(second.status.code(), Some(2));
    assert!(err(&second).contains("MG-0803"), "{}", err(&second));
    let folder = folder();
    let toml = format!("[listen]\nmain = \"off\"\nadmin = \"{}\"\n", gateway.address("admin").unwrap());
    std::fs::write(folder.path().join("moongate.toml"), toml).unwrap();
    let second = moongate(folder.path(), &["run"]).await;
    assert_eq!(second.status.code(), Some(2));
    assert!(err(&second).contains("MG-0110"), "{}", err(&second));
}

#[tokio::test]
async fn foreign_web_pages_are_refused() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let request = rpc("SendMessage", &message("hello"));
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    for base in [gateway.plain(), gateway.admin()] {
        for (headers, status) in [
            (vec![("origin", "https://evil.example")], 403),
            (vec![("origin", "null")], 403),
            (vec![("origin", "http://127.0.0.1.evil.example")], 403),
            (vec![("host", "evil.example")], 403),
            (vec![("host", "evil.example:80"), ("origin", "http://evil.example:80")], 403),
            (vec![("origin", base.as_str())], 200),
            (vec![("origin", "http://localhost:3000")], 200),
            (vec![("host", "localhost")], 200),
            (vec![("host", "[::1]:80")], 200),
            (vec![("origin", base.as_str()), ("authorization", operator.as_str())], 200),
            (vec![("origin", "https://evil.example"), ("authorization", operator.as_str())], 403),
        ] {
            let mut headers = headers;
            headers.push(V1);
            let answer = http("POST", &base, "/agents/a", &headers, Some(&request)).await;
            assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
            if status == 403 {
                assert_eq!(answer.code(), "MG-0403", "{headers:?}");
            }
            let card = http("GET", &base, "/.well-known/agent-card.json", &headers, None).await;
            assert_eq!(card.status, status, "{headers:?}");
        }
        let registration = json!({"name": "evil", "card_url": agent.card_url()});
        let answer =
            http("POST", &base, "/api/v1/agents", &[("origin", "https://evil.example")], Some(&registration)).await;
        assert_eq!(answer.status, 403);
    }
    assert_eq!(agent.seen().len(), 10, "nothing of a foreign page reached the agent");
}
