//! Bad input of callers and bad behaviour of agents: a proper A2A error each time, nothing of the inside told, and the
//! gateway goes on.

use bytes::Bytes;
use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::client::{Whole, grpc};
use serde_json::json;

use crate::stage::*;

const LIMITS: &str =
    "[limits]\nbody_bytes = 65536\nanswer_bytes = 65536\njson_depth = 32\nparts = 20\nheader_bytes = 8192\n";

/// A send in some client's JSON around raw parts, metadata and text.
struct Shape {
    binding: Binding,
    version: Version,
}

impl Shape {
    fn path(&self) -> &'static str {
        match (self.binding, self.version) {
            (Binding::JsonRpc, _) => "/a2a",
            (_, Version::V1) => "/a2a/message:send",
            (_, Version::V03) => "/a2a/v1/message:send",
        }
    }

    /// The body, with this text for the parts' list and the message's further members.
    fn body(&self, parts: &str, more: &str) -> String {
        let (role, name, kind) = match (self.binding, self.version) {
            (_, Version::V1) => ("ROLE_USER", "parts", ""),
            (Binding::JsonRpc, Version::V03) => ("user", "parts", "\"kind\":\"message\","),
            (_, Version::V03) => ("ROLE_USER", "content", ""),
        };
        let params =
            format!("{{\"message\":{{{kind}\"messageId\":\"m\",\"role\":\"{role}\",\"{name}\":[{parts}]{more}}}}}");
        if self.binding != Binding::JsonRpc {
            return params;
        }
        let method = if self.version == Version::V1 { "SendMessage" } else { "message/send" };
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}")
    }

    fn part(&self, text: &str) -> String {
        let kind =
            if self.binding == Binding::JsonRpc && self.version == Version::V03 { "\"kind\":\"text\"," } else { "" };
        format!("{{{kind}\"text\":\"{text}\"}}")
    }

    async fn send(&self, gateway: &Gateway, kind: &str, body: impl Into<Bytes>) -> Whole {
        let version = if self.version == Version::V1 { "1.0" } else { "0.3" };
        let headers = [("content-type", kind), ("a2a-version", version)];
        raw::exchange(raw::address(&gateway.plain()), raw::request("POST", self.path(), &headers, body.into())).await
    }
}

const SHAPES: [Shape; 4] = [
    Shape { binding: Binding::JsonRpc, version: Version::V1 },
    Shape { binding: Binding::Http, version: Version::V1 },
    Shape { binding: Binding::JsonRpc, version: Version::V03 },
    Shape { binding: Binding::Http, version: Version::V03 },
];

#[tokio::test]
async fn bad_bodies_are_refused_in_the_callers_own_words() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], LIMITS).await;
    for shape in SHAPES {
        let part = shape.part("echo x");
        let deep = format!(",\"metadata\":{{\"a\":{}1{}}}", "[".repeat(60), "]".repeat(60));
        let many = vec![part.clone(); 21].join(",");
        let bytes = |text: String| Bytes::from(text);
        let mut broken = shape.body(&part, "").into_bytes();
        let at = broken.windows(4).position(|window| window == b"echo").unwrap();
        broken[at] = 0xff;
        let surrogate = shape.body(&shape.part("\\ud800 alone"), "");
        let cases: Vec<(&str, Bytes, &str, &str)> = vec![
            ("oversized", bytes(shape.body(&shape.part(&"x".repeat(70_000)), "")), "TOO_LARGE", "MG-0205"),
            ("deep", bytes(shape.body(&part, &deep)), "INVALID_REQUEST", "MG-0204"),
            ("a member twice", bytes(shape.body(&part, ",\"messageId\":\"n\"")), "INVALID_REQUEST", "MG-0203"),
            ("twice, escaped", bytes(shape.body(&part, ",\"message\\u0049d\":\"n\"")), "INVALID_REQUEST", "MG-0203"),
            (
                "twice, in both spellings",
                bytes(shape.body(&part, ",\"message_id\":\"n\"")),
                "INVALID_REQUEST",
                "MG-0203",
            ),
            (
                "twice, deep inside",
                bytes(shape.body(&part, ",\"metadata\":{\"x\":{\"a\":1,\"\\u0061\":2}}")),
                "INVALID_REQUEST",
                "MG-0203",
            ),
            ("bad UTF-8", broken.into(), "PARSE_ERROR", "MG-0202"),
            ("half a surrogate", bytes(surrogate), "PARSE_ERROR", "MG-0201"),
            ("cut off", bytes(shape.body(&part, "").trim_end_matches('}').to_owned()), "PARSE_ERROR", "MG-0201"),
            ("trailing comma", bytes(shape.body(&part, ",")), "PARSE_ERROR", "MG-0201"),
            ("two values", bytes(format!("{} {{}}", shape.body(&part, ""))), "PARSE_ERROR", "MG-0201"),
            ("NaN", bytes(shape.body(&part, ",\"metadata\":{\"n\":NaN}")), "PARSE_ERROR", "MG-0201"),
            ("a control character", bytes(shape.body(&shape.part("a\u{1}b"), "")), "PARSE_ERROR", "MG-0201"),
            ("too many parts", bytes(shape.body(&many, "")), "INVALID_PARAMS", "MG-0217"),
            ("no parts", bytes(shape.body("", "")), "INVALID_PARAMS", "MG-0209"),
        ];
        for (what, body, reason, code) in cases {
            let name = format!("{what}: {} {}", shape.binding.as_str(), shape.version.as_str());
            let answer = shape.send(&gateway, "application/json", body).await;
            let caller = Caller::new(&gateway.plain(), shape.binding, shape.version);
            let refusal = match caller.understand(Operation::Send, &answer) {
                Err(refusal) => refusal,
                Ok(value) => panic!("{name} was taken: {value}"),
            };
            assert_eq!(
                (refusal.reason.as_str(), refusal.gateway_code.as_deref()),
                (reason, Some(code)),
                "{name}: {refusal:?}"
            );
            let old_body = answer.json().get("type").is_some();
            assert_eq!(
                old_body,
                shape.binding == Binding::Http && shape.version == Version::V03,
                "{name}: {}",
                answer.text()
            );
        }
        let strange = shape.send(&gateway, "text/plain", shape.body(&part, "")).await;
        let refusal = Refusal::of(strange.status, &strange.json());
        assert_eq!(refusal.reason, "CONTENT_TYPE_NOT_SUPPORTED", "{}", strange.text());
        assert!(agent.received().is_empty(), "none of it reaches the agent");
    }
    let healthy = task(&Caller::rpc(&gateway.plain()), &saying("echo healthy")).await;
    assert_eq!(state(&healthy), "COMPLETED");
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_as_such() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], LIMITS).await;
    let address = raw::address(&gateway.plain());
    for (method, path, status) in [
        ("GET", "/a2a", 405),
        ("PUT", "/a2a", 405),
        ("DELETE", "/a2a/message:send", 405),
        ("GET", "/a2a/message:send", 405),
        ("PATCH", "/a2a/tasks/x", 405),
        ("GET", "/a2a/tasks/x:cancel", 405),
        ("POST", "/a2a/message:shout", 404),
        // No verb of A2A: a task's id may have colons, and tasks are not posted to.
        ("POST", "/a2a/tasks/x:explode", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/agents", 404),
        ("GET", "/agents/../secrets", 404),
        ("GET", "/a2a/tasks/%ff", 400),
        ("GET", "/a2a/tasks/x?historyLength=many", 400),
        ("GET", "/a2a/tasks?pageSize=1000", 400),
    ] {
        let answer = raw::exchange(address, raw::request(method, path, &[("a2a-version", "1.0")], "")).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let refusal = Refusal::of(answer.status, &answer.json());
        assert!(refusal.gateway_code.is_some() && !refusal.message.is_empty(), "{method} {path}: {}", answer.text());
    }
    let long = "x".repeat(20_000);
    let request = raw::request("GET", "/a2a/tasks/x", &[("a2a-version", "1.0"), ("x-long", &long)], "");
    assert_eq!(raw::exchange(address, request).await.status, 431);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"POST /a2a HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n",
    ] {
        let answer = raw::bytes(address, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let healthy = task(&Caller::rpc(&gateway.plain()), &saying("echo healthy")).await;
    assert_eq!(state(&healthy), "COMPLETED");
}

#[tokio::test]
async fn malformed_grpc_frames_end_with_a_status() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], LIMITS).await;
    let caller = Caller::new(&gateway.plain(), Binding::Grpc, Version::V1);
    let send = caller.request(Operation::Send, &saying("echo x"));
    let good = http_body_util::BodyExt::collect(send.into_body()).await.unwrap().to_bytes();
    let mut compressed = good.to_vec();
    compressed[0] = 1;
    let mut longer = good.to_vec();
    longer[4] = longer[4].wrapping_add(9);
    let two = [&good[..], &good[..]].concat();
    let huge = [&[0, 0x7f, 0xff, 0xff, 0xff][..], &[0; 16]].concat();
    let cases: [(&str, &str, Vec<u8>, i64, &str); 9] = [
        ("empty", "SendMessage", Vec::new(), 3, "INVALID_REQUEST"),
        ("half a prefix", "SendMessage", vec![0, 0, 0], 3, "INVALID_REQUEST"),
        ("cut off", "SendMessage", longer, 3, "INVALID_REQUEST"),
        ("compressed", "SendMessage", compressed, 3, "INVALID_REQUEST"),
        ("two messages", "SendMessage", two, 3, "INVALID_REQUEST"),
        ("too large", "SendMessage", huge, 8, "TOO_LARGE"),
        ("no protobuf", "SendMessage", grpc::frame(&[0xff; 12]).to_vec(), 3, "INVALID_REQUEST"),
        ("no message in it", "SendMessage", grpc::frame(b"").to_vec(), 3, "INVALID_PARAMS"),
        ("no such method", "Explode", good.to_vec(), 12, "METHOD_NOT_FOUND"),
    ];
    for (what, method, body, code, reason) in cases {
        let mut request = caller.request(Operation::Send, &saying("echo x"));
        *request.uri_mut() = format!("/lf.a2a.v1.A2AService/{method}").parse().unwrap();
        *request.body_mut() = Bytes::from(body).into();
        let answer = raw::collect(raw::begin_h2(caller.address, request).await).await;
        assert_eq!(answer.status, 200, "{what}: gRPC's own status tells");
        let refusal = grpc::refusal(&answer.headers).or_else(|| grpc::refusal(&answer.trailers));
        let refusal = refusal.unwrap_or_else(|| panic!("{what} was taken"));
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{what}: {refusal:?}");
    }
    for (change, code, reason) in [
        (json!({"parts": []}), 3, "INVALID_PARAMS"),
        (json!({"parts": vec![json!({"text": "x"}); 21]}), 3, "INVALID_PARAMS"),
        (json!({"messageId": ""}), 3, "INVALID_PARAMS"),
        (json!({"parts": [{"text": "x".repeat(70_000)}]}), 8, "TOO_LARGE"),
    ] {
        let mut params = saying("echo x");
        for (name, value) in change.as_object().unwrap() {
            params["message"][name] = value.clone();
        }
        let refusal = caller.call(Operation::Send, &params).await.unwrap_err();
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{refusal:?}");
    }
    let mut strange = caller.request(Operation::Send, &saying("echo x"));
    strange.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let answer = raw::collect(raw::begin_h2(caller.address, strange).await).await;
    assert_eq!(grpc::refusal(&answer.headers).unwrap().reason, "CONTENT_TYPE_NOT_SUPPORTED");
    assert!(agent.received().is_empty(), "none of it reaches the agent");
    caller.call(Operation::Send, &saying("echo healthy")).await.unwrap();
}

#[tokio::test]
async fn faulty_agents_are_blamed_in_every_binding_and_their_place_is_not_told() {
    let rpc = Agent::start(Plan::new("rpc")).await;
    let rest = Agent::start(Plan::new("rest").speaking(Binding::Http, Version::V1)).await;
    let old = Agent::start(Plan::new("old").speaking(Binding::JsonRpc, Version::V03)).await;
    let entries = [&rpc, &rest, &old].map(|agent| {
        agent.entry("timeout_seconds = 1\nqueue = false\n[agents.balance]\nconsecutive_failures = 1000\nsuccess_rate_percent = 0")
    });
    let gateway = with_entries(&entries, LIMITS).await;
    let cases = [
        ("hang", "TIMEOUT", "MG-0502"),
        ("stall", "TIMEOUT", "MG-0502"),
        ("break", "UNAVAILABLE", "MG-0503"),
        ("garbage", "INVALID_AGENT_RESPONSE", "MG-0504"),
        ("shape", "INVALID_AGENT_RESPONSE", "MG-0504"),
        ("html", "INVALID_AGENT_RESPONSE", "MG-0504"),
        ("500", "INVALID_AGENT_RESPONSE", "MG-0504"),
        ("503", "UNAVAILABLE", "MG-0501"),
        ("huge", "INVALID_AGENT_RESPONSE", "MG-0508"),
    ];
    for (agent, name) in [(&rpc, "rpc"), (&rest, "rest"), (&old, "old")] {
        let mut faults = Vec::new();
        for (binding, version) in SPEAKERS {
            for (word, reason, code) in cases {
                let caller = Caller::new(&gateway.plain(), binding, version).at(&format!("/agents/{name}"));
                let place = agent.address().to_string();
                faults.push(async move {
                    let told = format!("{word} of {name} over {} {}", binding.as_str(), version.as_str());
                    let mut params = saying(word);
                    if binding == Binding::Grpc {
                        params["tenant"] = json!(name);
                    }
                    let whole = caller.whole(Operation::Send, &params).await;
                    let refusal = caller.understand(Operation::Send, &whole).unwrap_err();
                    assert_eq!(
                        (refusal.reason.as_str(), refusal.gateway_code.as_deref()),
                        (reason, Some(code)),
                        "{told}: {refusal:?}"
                    );
                    let text = whole.text();
                    assert!(
                        !text.contains(&place) && !text.contains("127.0.0.1:"),
                        "{told} tells the agent's place: {text}"
                    );
                    assert!(!text.contains("traceback"), "{told} passes the agent's words: {text}");
                });
            }
        }
        futures_util::future::join_all(faults).await;
        let healthy =
            task(&Caller::rpc(&gateway.plain()).at(&format!("/agents/{name}")), &saying("echo healthy")).await;
        assert_eq!(state(&healthy), "COMPLETED", "{name} is still used");
    }
}

#[tokio::test]
async fn streams_that_break_say_so_and_the_task_can_still_be_followed() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = with_entries(&[agent.entry("timeout_seconds = 1\nqueue = false")], LIMITS).await;
    let faults = [
        ("break", "UNAVAILABLE", "MG-0503"),
        ("leave", "UNAVAILABLE", "MG-0503"),
        ("noise", "INVALID_AGENT_RESPONSE", "MG-0504"),
    ];
    for ((word, reason, code), (binding, version)) in
        faults.into_iter().flat_map(|fault| SPEAKERS.map(|one| (fault, one)))
    {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let name = format!("{word} over {} {}", binding.as_str(), version.as_str());
        let mut events = caller.open(Operation::Stream, &saying(word)).await.unwrap();
        let first = events.event().await;
        let mut refusal = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => assert!(refusal.is_none(), "{name}: nothing follows the error"),
                Err(why) => refusal = Some(why),
            }
        }
        let refusal = refusal.unwrap_or_else(|| panic!("{name}: the stream just ended"));
        assert_eq!((refusal.reason.as_str(), refusal.gateway_code.as_deref()), (reason, Some(code)), "{name}");
        assert!(!format!("{refusal:?}").contains("127.0.0.1"), "{name}");
        let task = id(&first["task"]);
        agent.release(1);
        agent.reached(&task, "TASK_STATE_COMPLETED").await;
        let ended = until_state(&caller, &task, "COMPLETED").await;
        assert!(task_line(&ended).contains("all of it"), "{name}: {ended}");
    }
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        for (word, reason) in [
            ("hang", "TIMEOUT"),
            ("garbage", "INVALID_AGENT_RESPONSE"),
            ("html", "INVALID_AGENT_RESPONSE"),
            ("503", "UNAVAILABLE"),
        ] {
            let refusal = caller.events(Operation::Stream, &saying(word)).await.unwrap_err();
            assert_eq!(refusal.reason, reason, "{word} over {} {}", binding.as_str(), version.as_str());
        }
    }
}

#[tokio::test]
async fn an_agent_that_is_gone_is_unavailable_and_its_tasks_are_still_told() {
    let agent = Agent::start(Plan::new("able")).await;
    let place = agent.address().to_string();
    let gateway = with_entries(&[agent.entry("queue = false")], "").await;
    let caller = Caller::rpc(&gateway.plain());
    let done = id(&task(&caller, &saying("echo before")).await);
    drop(agent);
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let whole = caller.whole(Operation::Send, &saying("echo after")).await;
        let refusal = caller.understand(Operation::Send, &whole).unwrap_err();
        assert_eq!(refusal.reason, "UNAVAILABLE", "{refusal:?}");
        assert!(!whole.text().contains(&place), "{}", whole.text());
        let told = caller.call(Operation::Get, &on(&done)).await.unwrap();
        assert_eq!(state(&told), "COMPLETED", "what was heard is remembered");
    }
}

#[tokio::test]
async fn callers_that_break_off_stop_neither_tasks_nor_gateway() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], LIMITS).await;
    let caller = Caller::rpc(&gateway.plain());
    let body = "{\"jsonrpc\":\"2.0\"";
    let half =
        format!("POST /a2a HTTP/1.1\r\nhost: localhost\r\na2a-version: 1.0\r\ncontent-length: 500\r\n\r\n{body}");
    for _ in 0..20 {
        raw::cut_off(caller.address, half.as_bytes()).await;
        let waiting = caller.open(Operation::Stream, &saying("slow reader")).await.unwrap();
        drop(waiting);
    }
    agent.release(20);
    let done = moongate_testkit::gateway::until(|| async {
        let list = caller.call(Operation::List, &json!({"status": "TASK_STATE_COMPLETED"})).await.unwrap();
        (list["totalSize"] == 20).then_some(())
    });
    assert!(done.await.is_some(), "the tasks went on without their callers");
    caller.call(Operation::Send, &saying("echo healthy")).await.unwrap();
}
