//! The WebSocket binding, by a client of another make.

mod client;

use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::stage::*;
use client::refused;
pub(crate) use client::{Socket, VERSION};

const PARAMETERS: &str = "a2a-service-parameters";

async fn able() -> (Agent, Gateway) {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], "").await;
    (agent, gateway)
}

fn refusal(frame: &Value) -> Refusal {
    assert!(frame["error"].is_object(), "{frame}");
    Refusal::of(200, frame)
}

fn results(frames: &[Value]) -> Vec<Value> {
    frames.iter().map(|frame| frame["result"].clone()).collect()
}

fn numbers(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(|frame| frame["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {frame}"))).collect()
}

#[tokio::test]
async fn many_requests_share_a_socket_and_are_told_apart() {
    let (agent, gateway) = able().await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.ask("held", "SendMessage", &saying("slow lamp")).await;
    for n in 0..20 {
        socket.ask(n, "SendMessage", &saying(&format!("echo {n}"))).await;
    }
    let mut seen = Vec::new();
    for _ in 0..20 {
        let answer = socket.next().await;
        let n = answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(answer["result"]["task"]["artifacts"][0]["parts"][0]["text"], format!("{n}"), "{answer}");
        seen.push(n);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>(), "none waits for the one that is slow");
    agent.release(1);
    let answer = socket.next().await;
    assert_eq!((&answer["id"], state(&answer["result"]["task"])), (&json!("held"), "COMPLETED"));
    socket.leave().await;
}

#[tokio::test]
async fn answers_are_those_of_the_json_rpc_binding() {
    let (_agent, gateway) = able().await;
    let rpc = Caller::rpc(&gateway.plain());
    let done = id(&task(&rpc, &saying("echo once")).await);
    for path in ["/a2a/ws", "/agents/able/ws", "/a2a/ws?A2A-Version=1.0"] {
        let headers = if path.contains('?') { &[][..] } else { &[VERSION][..] };
        let mut socket = Socket::with(&gateway, path, headers).await;
        let base = path.split("/ws").next().unwrap();
        let rpc = rpc.clone().at(base);
        for (operation, method, params) in [
            (Operation::Get, "GetTask", on(&done)),
            (Operation::List, "ListTasks", json!({"pageSize": 1})),
            (Operation::Get, "GetTask", on("nobody")),
            (Operation::Cancel, "CancelTask", on(&done)),
            (Operation::Send, "SendMessage", json!({})),
            (Operation::ExtendedCard, "GetExtendedAgentCard", json!({})),
        ] {
            let mut answer = socket.call(method, &params).await;
            let mut whole = rpc.whole(operation, &params).await.json();
            for answer in [&mut answer, &mut whole] {
                answer.as_object_mut().unwrap().remove("id");
            }
            assert_eq!(answer, whole, "{path} {method}");
        }
        let answer = socket.call("Nonsense", &json!({})).await;
        assert_eq!(refusal(&answer).code, -32601);
        let answer = socket.call("message/send", &saying("echo old")).await;
        assert_eq!(refusal(&answer).code, -32601, "the binding is of 1.0 alone: {answer}");
    }
}

#[tokio::test]
async fn the_main_listener_serves_it_under_tls_where_the_card_says() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = Gateway::start(env!("CARGO_BIN_EXE_moongate"), &agent.entry("")).await;
    let card = crate::support::get_main(&gateway, "/agents/able/.well-known/agent-card.json").await.json();
    let interface = card["supportedInterfaces"].as_array().unwrap().last().unwrap();
    assert_eq!(interface["protocolBinding"], "https://w3id.org/moongate/bindings/websocket/v1");
    let path = interface["url"].as_str().unwrap().strip_prefix("wss://").unwrap();
    let path = &path[path.find('/').unwrap()..];
    let mut socket = Socket::over(crate::support::tls(&gateway).await, path, &[VERSION]).await;
    socket.ask(1, "SendStreamingMessage", &saying("stream 2")).await;
    assert_eq!(lines(&results(&socket.rest(1).await)).last().unwrap(), "status COMPLETED []");
    socket.leave().await;
}

#[tokio::test]
async fn a_stream_is_many_responses_and_an_end() {
    let (_agent, gateway) = able().await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    for id in [json!("a stream"), json!(7)] {
        socket.ask(id.clone(), "SendStreamingMessage", &saying("stream 3")).await;
        let events = socket.rest(id).await;
        let told = lines(&results(&events));
        assert!(told[0].starts_with("task "), "{told:?}");
        assert_eq!(told.last().unwrap(), "status COMPLETED []");
        let numbers = numbers(&events);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
    socket.ask(1, "SendStreamingMessage", &saying("message hello")).await;
    assert_eq!(lines(&results(&socket.rest(1).await)), ["message hello"]);
    socket.ask(1, "SendStreamingMessage", &json!({})).await;
    let answer = socket.next().await;
    assert_eq!(refusal(&answer).code, -32602, "what fails before the first event is no stream");
    assert!(answer.get("streamEnd").is_none(), "{answer}");
    socket.ask(1, "SendStreamingMessage", &saying("noise now")).await;
    let broken = loop {
        let frame = socket.next().await;
        if frame.get("error").is_some() {
            break frame;
        }
    };
    assert_eq!((&broken["id"], &broken["streamEnd"]), (&json!(1), &json!(true)), "{broken}");
    assert_eq!(refusal(&broken).gateway_code.as_deref(), Some("MG-0504"));
}

#[tokio::test]
async fn ending_a_stream_ends_no_task_and_frees_its_id() {
    let (agent, gateway) = able().await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.ask("s", "SendStreamingMessage", &saying("steps 2")).await;
    let task = id(&socket.next().await["result"]["task"]);
    agent.reached(&task, "TASK_STATE_WORKING").await;
    socket.text(json!({"jsonrpc": "2.0", "id": "s", "cancelStream": true}).to_string()).await;
    socket.rest("s").await;
    socket.text(json!({"jsonrpc": "2.0", "id": "s", "cancelStream": true}).to_string()).await;
    socket.ask("s", "SubscribeToTask", &on(&task)).await;
    assert_eq!(socket.next().await["result"]["task"]["id"], json!(task));
    agent.release(2);
    let events = results(&socket.rest("s").await);
    assert_eq!(lines(&events).last().unwrap(), "status COMPLETED []", "the task went on");
    assert!(!agent.received().iter().any(|request| request.json()["method"] == "CancelTask"));
}

#[tokio::test]
async fn a_client_that_comes_back_misses_and_repeats_nothing() {
    let (agent, gateway) = able().await;
    let rpc = Caller::rpc(&gateway.plain());
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.ask(1, "SendStreamingMessage", &saying("steps 6")).await;
    let first = socket.next().await;
    let task = id(&first["result"]["task"]);
    let mut seen = vec![first["seq"].as_u64().unwrap()];
    agent.release(2);
    let mut chunks = Vec::new();
    while chunks.len() < 2 {
        let frame = socket.next().await;
        seen.push(frame["seq"].as_u64().unwrap());
        chunks.extend(Some(line(&frame["result"])).filter(|line| line.starts_with("artifact")));
    }
    drop(socket);
    agent.release(2);
    agent.heard("the stream is open", |request| request.json()["method"] == "SendStreamingMessage").await;
    until_state(&rpc, &task, "WORKING").await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.ask_with(2, "SubscribeToTask", &on(&task), json!({"fromSeq": seen.last().unwrap()})).await;
    let snapshot = socket.next().await;
    assert_eq!(snapshot["result"]["task"]["id"], json!(task), "the task comes first");
    assert_eq!(snapshot["seq"], json!(seen.last().unwrap()), "and is no event");
    agent.release(2);
    let rest = socket.rest(2).await;
    seen.extend(numbers(&rest));
    chunks.extend(lines(&results(&rest)).into_iter().filter(|line| line.starts_with("artifact")));
    let expected: Vec<String> = (1..=6).map(|n| format!("artifact chunk {n} append={}", n > 1)).collect();
    assert_eq!(chunks, expected);
    let from = seen[0];
    assert_eq!(seen, (from..from + seen.len() as u64).collect::<Vec<_>>(), "each number once");

    // Once more when all is over: the same events, from the record.
    socket.ask_with(3, "SubscribeToTask", &on(&task), json!({"fromSeq": from})).await;
    let again = socket.rest(3).await;
    assert_eq!(numbers(&again), seen);
    socket.ask(3, "SubscribeToTask", &on(&task)).await;
    assert_eq!(refusal(&socket.next().await).reason, "UNSUPPORTED_OPERATION");
    socket.ask_with(3, "GetTask", &on(&task), json!({"fromSeq": 1})).await;
    assert_eq!(refusal(&socket.next().await).code, -32602, "only a subscription begins somewhere");
}

#[tokio::test]
async fn an_event_stream_goes_on_behind_the_last_event_id() {
    let (agent, gateway) = able().await;
    let address = raw::address(&gateway.plain());
    let rpc = |method: &str, params: &Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let json = ("content-type", "application/json");
    let ids = |text: &str| -> Vec<u64> {
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
    };
    agent.release(3);
    let body = rpc("SendStreamingMessage", &saying("steps 3")).to_string();
    let all = raw::exchange(address, raw::request("POST", "/a2a", &[json, VERSION], body)).await;
    let all = String::from_utf8(all.body.to_vec()).unwrap();
    let numbers = ids(&all);
    assert!(numbers.len() >= 5 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{all}");
    let first = all.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let task = id(&serde_json::from_str::<Value>(first).unwrap()["result"]["task"]);
    let last = numbers[1].to_string();
    let again = ("last-event-id", last.as_str());
    for old in [false, true] {
        let method = if old { "tasks/resubscribe" } else { "SubscribeToTask" };
        let version = ("a2a-version", if old { "0.3" } else { "1.0" });
        let body = rpc(method, &on(&task)).to_string();
        let rest = raw::exchange(address, raw::request("POST", "/a2a", &[json, version, again], body)).await;
        assert_eq!(ids(&String::from_utf8_lossy(&rest.body)), numbers[1..], "{method}: {}", rest.text());
    }
    let path = format!("/a2a/tasks/{task}:subscribe");
    let rest = raw::exchange(address, raw::request("GET", &path, &[VERSION, again], "")).await;
    assert_eq!(ids(&String::from_utf8_lossy(&rest.body)), numbers[1..], "{}", rest.text());
    let wrong = raw::exchange(address, raw::request("GET", &path, &[VERSION, ("last-event-id", "x")], "")).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}

#[tokio::test]
async fn service_parameters_hold_for_the_connection_or_for_a_frame() {
    const URI: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";
    let (one, two) = (Agent::start(Plan::new("one")).await, Agent::start(Plan::new("two")).await);
    let gateway = gateway(&[&one, &two], "").await;
    let mut socket = Socket::with(&gateway, "/a2a/ws", &[VERSION, ("moongate-skill", "one.talk")]).await;
    let answer = socket.call("SendMessage", &saying("echo 1")).await;
    assert!(id(&answer["result"]["task"]).starts_with("one"), "{answer}");
    assert!(answer.get(PARAMETERS).is_none());
    let own = json!({PARAMETERS: {"Moongate-Skill": "two.talk", "A2A-Extensions": format!("{URI}, urn:unknown")}});
    socket.ask_with(2, "SendMessage", &saying("echo 2"), own.clone()).await;
    let answer = socket.next().await;
    assert!(id(&answer["result"]["task"]).starts_with("two"), "{answer}");
    assert_eq!(answer[PARAMETERS], json!({"A2A-Extensions": URI}), "what took effect is told");
    let seen = two.last_received();
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    assert!(!body.contains(PARAMETERS), "the binding's members are not the agent's business: {body}");
    socket.ask_with(3, "SendStreamingMessage", &saying("stream 1"), own).await;
    let events = socket.rest(3).await;
    assert_eq!(events[0][PARAMETERS], json!({"A2A-Extensions": URI}));
    assert!(events[1..].iter().all(|event| event.get(PARAMETERS).is_none()));
    let answer = socket.call("SendMessage", &saying("echo 3")).await;
    assert!(id(&answer["result"]["task"]).starts_with("one"), "a frame's parameters end with it: {answer}");

    let (same, key) = (saying("echo 4"), json!({PARAMETERS: {"Idempotency-Key": "k"}}));
    socket.ask_with(4, "SendMessage", &same, key.clone()).await;
    let first = socket.next().await;
    socket.ask_with(4, "SendMessage", &same, key).await;
    let again = socket.next().await;
    assert_eq!(again["result"]["task"]["id"], first["result"]["task"]["id"], "{first} {again}");
    for (parameters, code) in [
        (json!({"Authorization": "Bearer x"}), -32602),
        (json!({"Host": "elsewhere"}), -32602),
        (json!({"Transfer-Encoding": "chunked"}), -32602),
        (json!({"A2A-Version": 1}), -32602),
        (json!(["A2A-Version"]), -32602),
        (json!({"A2A-Version": "0.3"}), -32009),
        (json!({"A2A-Version": "99.0"}), -32009),
    ] {
        socket.ask_with(5, "GetTask", &on("x"), json!({PARAMETERS: parameters})).await;
        let answer = socket.next().await;
        assert_eq!((refusal(&answer).code, &answer["id"]), (code, &json!(5)), "{answer}");
    }
}

#[tokio::test]
async fn handshakes_that_cannot_be_accepted_are_refused_with_the_reason() {
    let (_agent, gateway) = able().await;
    for (method, changes, status, code) in [
        ("GET", &[("upgrade", "")][..], 426, "MG-0219"),
        ("GET", &[("sec-websocket-version", "8")], 426, "MG-0219"),
        ("GET", &[("sec-websocket-key", "x")], 400, "MG-0219"),
        ("GET", &[("sec-websocket-protocol", "")], 400, "MG-0219"),
        ("GET", &[("sec-websocket-protocol", "a2a.v1")], 400, "MG-0219"),
        ("POST", &[], 405, "MG-0214"),
        ("GET", &[("authorization", "Bearer nothing")], 401, "MG-0401"),
        ("GET", &[("origin", "https://elsewhere.example")], 403, "MG-0403"),
    ] {
        let answer = refused(&gateway, method, changes).await;
        assert_eq!(answer.status, status, "{changes:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], status, "{changes:?}");
        assert_eq!(Refusal::of(status, &answer.json()).gateway_code.as_deref(), Some(code), "{changes:?}");
    }
    let answer = refused(&gateway, "GET", &[("sec-websocket-version", "8")]).await;
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    assert_eq!(
        raw::collect(raw::begin_h2(raw::address(&gateway.plain()), raw::request("GET", "/a2a/ws", &[], "")).await)
            .await
            .status,
        426
    );
}

#[tokio::test]
async fn what_ends_a_socket_is_told_by_its_close_code() {
    let (_agent, gateway) = able().await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}).to_string();
    for (frame, code, word) in [
        (Message::text("{"), 4000, "MG-0201"),
        (Message::text("7"), 4000, "MG-0206"),
        (Message::text(""), 4000, "MG-0201"),
        (Message::text(format!("[{call}]")), 1003, "MG-0207"),
        (Message::binary(call.clone().into_bytes()), 1003, "MG-0206"),
        (Message::text(" ".repeat(1024 * 1024 + 1)), 1009, "MG-0205"),
        (Message::text(format!("{}{call}", " ".repeat(8 * 1024 * 1024))), 1009, "MG-0205"),
    ] {
        let mut socket = Socket::open(&gateway, "/a2a/ws").await;
        socket.send(frame).await;
        let (told, reason) = socket.closed().await;
        assert_eq!((told, reason.split(':').next().unwrap()), (code, word), "{reason}");
    }
    for headers in [&[][..], &[("a2a-version", "0.3")], &[("a2a-version", "2.0")]] {
        let mut socket = Socket::with(&gateway, "/a2a/ws", headers).await;
        let (code, reason) = socket.closed().await;
        assert_eq!((code, reason.split(':').next().unwrap()), (4002, "MG-0211"), "{reason}");
    }
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.text(format!("{}{call}", " ".repeat(1024 * 1024 - call.len()))).await;
    assert_eq!(refusal(&socket.next().await).code, -32001, "a frame of just the limit is read");
}

#[tokio::test]
async fn frames_that_are_no_requests_are_refused_and_the_socket_stays() {
    let (agent, gateway) = able().await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    for (frame, id, code) in [
        (json!({"jsonrpc": "2.0", "method": "SendMessage", "params": saying("echo x")}), json!(null), -32600),
        (json!({"jsonrpc": "2.0", "id": null, "method": "GetTask", "params": {"id": "x"}}), json!(null), -32600),
        (json!({"jsonrpc": "2.0", "id": {}, "method": "GetTask"}), json!(null), -32600),
        (json!({"jsonrpc": "2.0", "cancelStream": true}), json!(null), -32600),
        (json!({"jsonrpc": "2.0", "id": 1, "cancelStream": false}), json!(1), -32602),
        (json!({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "cancelStream": true}), json!(1), -32600),
        (json!({"jsonrpc": "2.0", "id": 1, "result": {}}), json!(1), -32600),
        (json!({"jsonrpc": "1.0", "id": 1, "method": "GetTask"}), json!(1), -32600),
        (json!({"id": 1}), json!(1), -32600),
        (
            json!({"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": "x"}, "fromSeq": "1"}),
            json!(1),
            -32602,
        ),
    ] {
        socket.text(frame.to_string()).await;
        let answer = socket.next().await;
        assert_eq!((refusal(&answer).code, &answer["id"]), (code, &id), "{frame}: {answer}");
    }
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"a","id":"b"}}"#;
    socket.text(twice).await;
    assert_eq!(refusal(&socket.next().await).gateway_code.as_deref(), Some("MG-0203"));
    assert!(agent.received().is_empty(), "no agent heard of any of it");

    socket.ask("x", "SendMessage", &saying("slow one")).await;
    agent.heard("the first request", |_| true).await;
    socket.text(r#"{"jsonrpc":"2.0","id":"\u0078","method":"GetTask","params":{"id":"x"}}"#).await;
    let answer = socket.next().await;
    assert_eq!((refusal(&answer).code, &answer["id"]), (-32600, &json!("x")), "the id is in use: {answer}");
    agent.release(1);
    assert_eq!(state(&socket.next().await["result"]["task"]), "COMPLETED", "the first one is answered all the same");
    let answer = socket.call("GetTask", &on("x")).await;
    assert_eq!(refusal(&answer).code, -32001, "and then the id is free");
}

#[tokio::test]
async fn a_socket_carries_64_requests_at_once() {
    let (agent, gateway) = able().await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    for n in 0..64 {
        socket.ask(n, "SendMessage", &saying(&format!("slow {n}"))).await;
    }
    socket.ask(64, "SendMessage", &saying("echo more")).await;
    let answer = socket.next().await;
    assert_eq!((&answer["id"], refusal(&answer).gateway_code.as_deref()), (&json!(64), Some("MG-0903")));
    agent.release(64);
    for _ in 0..64 {
        let answer = socket.next().await;
        assert_eq!(state(&answer["result"]["task"]), "COMPLETED", "{answer}");
    }
    let answer = socket.call("SendMessage", &saying("echo more")).await;
    assert_eq!(state(&answer["result"]["task"]), "COMPLETED");
}

#[tokio::test]
async fn a_client_that_reads_late_hears_everything_in_order() {
    const CHUNKS: usize = 900;
    let (_agent, gateway) = able().await;
    let rpc = Caller::rpc(&gateway.plain());
    let tcp = tokio::net::TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4096).unwrap();
    let tcp = tcp.connect(raw::address(&gateway.plain())).await.unwrap();
    let mut socket = Socket::over(tcp, "/a2a/ws", &[VERSION]).await;
    socket.ask(1, "SendStreamingMessage", &saying(&format!("stream {CHUNKS}"))).await;
    let task = id(&socket.next().await["result"]["task"]);
    until_state(&rpc, &task, "COMPLETED").await;
    let told = lines(&results(&socket.rest(1).await));
    let chunks: Vec<&String> = told.iter().filter(|line| line.starts_with("artifact")).collect();
    let expected: Vec<String> = (1..=CHUNKS).map(|n| format!("artifact chunk {n} append={}", n > 1)).collect();
    assert_eq!(chunks, expected.iter().collect::<Vec<_>>());
    assert_eq!(told.last().unwrap(), "status COMPLETED []");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_nothing() {
    let (agent, gateway) = able().await;
    let rpc = Caller::rpc(&gateway.plain());
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.ask(1, "SendStreamingMessage", &saying("slow stream")).await;
    let streamed = id(&socket.next().await["result"]["task"]);
    socket.ask(2, "SendMessage", &saying("slow send")).await;
    agent.heard("both", |request| request.json()["method"] == "SendMessage").await;
    drop(socket);
    agent.release(2);
    until_state(&rpc, &streamed, "COMPLETED").await;
    let all = moongate_testkit::gateway::until(|| async {
        let list = rpc.call(Operation::List, &json!({"status": "TASK_STATE_COMPLETED"})).await.unwrap();
        (list["totalSize"] == 2).then_some(())
    });
    if all.await.is_none() {
        let all = rpc.call(Operation::List, &json!({})).await.unwrap();
        panic!("the blocking send comes to its end too: {all} {:?}", agent.received());
    }
    assert!(!agent.received().iter().any(|request| request.json()["method"] == "CancelTask"));
}

#[tokio::test]
async fn a_gateway_that_shuts_down_ends_streams_answers_the_rest_and_closes() {
    let (agent, mut gateway) = able().await;
    let mut idle = Socket::open(&gateway, "/a2a/ws").await;
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    socket.ask("stream", "SendStreamingMessage", &saying("slow stream")).await;
    assert!(socket.next().await["result"]["task"].is_object());
    socket.ask("send", "SendMessage", &saying("slow send")).await;
    agent.heard("both", |request| request.json()["method"] == "SendMessage").await;
    gateway.ask_to_stop();
    assert_eq!(idle.closed().await.0, 1012);
    let told = loop {
        let frame = socket.next().await;
        if frame.get("error").is_some() {
            break frame;
        }
    };
    assert_eq!((&told["id"], &told["streamEnd"]), (&json!("stream"), &json!(true)));
    assert_eq!(refusal(&told).gateway_code.as_deref(), Some("MG-0902"));
    socket.ask("late", "GetTask", &on("x")).await;
    let late = socket.next().await;
    assert_eq!((&late["id"], refusal(&late).gateway_code.as_deref()), (&json!("late"), Some("MG-0902")));
    agent.release(2);
    let answer = socket.next().await;
    assert_eq!((&answer["id"], state(&answer["result"]["task"])), (&json!("send"), "COMPLETED"), "{answer}");
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1012, "{reason}");
    drop((idle, socket));
    assert_eq!(gateway.ended().await.code(), Some(0));
}
