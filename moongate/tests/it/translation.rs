//! Any client with any agent: what passes unchanged, and what is translated.

use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};

use crate::stage::*;

const AGENTS: [(&str, Binding, Version); 4] = [
    ("rpc-new", Binding::JsonRpc, Version::V1),
    ("http-new", Binding::Http, Version::V1),
    ("rpc-old", Binding::JsonRpc, Version::V03),
    ("http-old", Binding::Http, Version::V03),
];

async fn agents() -> Vec<Agent> {
    let mut agents = Vec::new();
    for (name, binding, version) in AGENTS {
        let plan = Plan { extended: true, ..Plan::new(name).speaking(binding, version) };
        agents.push(Agent::start(plan).await);
    }
    agents
}

/// A client of one agent's base; over gRPC the tenant names the agent, for gRPC has no base.
struct Peer {
    caller: Caller,
    tenant: Option<String>,
}

impl Peer {
    fn new(gateway: &Gateway, (binding, version): (Binding, Version), agent: &str) -> Self {
        let caller = Caller::new(&gateway.plain(), binding, version).at(&format!("/agents/{agent}"));
        Self { caller, tenant: (binding == Binding::Grpc).then(|| agent.to_owned()) }
    }

    fn params(&self, mut params: Value) -> Value {
        if let Some(tenant) = &self.tenant {
            params["tenant"] = json!(tenant);
        }
        params
    }

    async fn call(&self, operation: Operation, params: Value) -> Result<Value, Refusal> {
        self.caller.call(operation, &self.params(params)).await
    }

    async fn task(&self, params: Value) -> Value {
        self.call(Operation::Send, params).await.unwrap()["task"].clone()
    }

    async fn events(&self, operation: Operation, params: Value) -> Result<Vec<Value>, Refusal> {
        self.caller.events(operation, &self.params(params)).await
    }

    fn name(&self) -> String {
        format!("{} {}", self.caller.binding.as_str(), self.caller.version.as_str())
    }
}

/// What one client hears of one agent, operation by operation, without ids and times.
async fn story(peer: &Peer, agent: &Agent) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: &str, line: String| told.push(format!("{what}: {line}"));

    let sent = peer.call(Operation::Send, saying("echo hello")).await.unwrap();
    tell("send", line(&sent));
    let done = id(&sent["task"]);
    tell("get", task_line(&peer.call(Operation::Get, on(&done)).await.unwrap()));
    let bare = peer.call(Operation::Get, json!({"id": done, "historyLength": 0})).await.unwrap();
    tell("get without history", task_line(&bare));
    tell("a bare message", line(&peer.call(Operation::Send, saying("message hi there")).await.unwrap()));

    let events = peer.events(Operation::Stream, saying("stream 3")).await.unwrap();
    lines(&events).into_iter().for_each(|line| tell("stream", line));
    let only = peer.events(Operation::Stream, saying("message in a stream")).await.unwrap();
    tell("a stream of one message", format!("{:?}", lines(&only)));

    let asking = peer.task(saying("ask lamp")).await;
    tell("a question", task_line(&asking));
    let answered = peer.task(to_task(&id(&asking), "the red one")).await;
    tell("the answer", task_line(&answered));
    tell("too late", peer.call(Operation::Send, to_task(&id(&asking), "more")).await.unwrap_err().reason);

    let slow = id(&peer.task(at_once("slow work")).await);
    agent.reached(&slow, "TASK_STATE_WORKING").await;
    tell("cancel", state(&peer.call(Operation::Cancel, on(&slow)).await.unwrap()).to_owned());
    agent.reached(&slow, "TASK_STATE_CANCELED").await;
    tell("cancel again", peer.call(Operation::Cancel, on(&slow)).await.unwrap_err().reason);
    tell("subscribe too late", peer.events(Operation::Subscribe, on(&slow)).await.unwrap_err().reason);
    tell("no such task", peer.call(Operation::Get, on("nobody-has-this")).await.unwrap_err().reason);
    tell("refused", peer.call(Operation::Send, saying("refuse")).await.unwrap_err().reason);
    told
}

#[tokio::test]
async fn every_client_hears_the_same_story_from_every_agent() {
    let agents = agents().await;
    let gateway = gateway(&agents.iter().collect::<Vec<_>>(), "").await;
    let mut expected: Option<Vec<String>> = None;
    for (agent, (name, ..)) in agents.iter().zip(AGENTS) {
        for speaker in SPEAKERS {
            let peer = Peer::new(&gateway, speaker, name);
            let mut told = story(&peer, agent).await;
            if speaker.1 == Version::V03 {
                // 0.3 has no way to ask for no history: 0 means all of it there.
                told.retain(|line| !line.starts_with("get without history"));
            }
            let expected = expected.get_or_insert_with(|| told.clone());
            let mut expected = expected.clone();
            if speaker.1 == Version::V03 {
                expected.retain(|line| !line.starts_with("get without history"));
            }
            assert_eq!(told, expected, "{} with {name}", peer.name());
        }
    }
    let told = expected.unwrap();
    for line in [
        "send: task COMPLETED says [] made [\"hello\"] after [\"ROLE_USER: echo hello\"]",
        "get without history: COMPLETED says [] made [\"hello\"] after []",
        "stream: artifact chunk 2 append=true",
        "too late: UNSUPPORTED_OPERATION",
        "cancel: CANCELED",
        "cancel again: TASK_NOT_CANCELABLE",
        "subscribe too late: UNSUPPORTED_OPERATION",
        "no such task: TASK_NOT_FOUND",
        "refused: CONTENT_TYPE_NOT_SUPPORTED",
    ] {
        assert!(
            told.iter().any(|held| held == line || held.replace("at work", "").contains(line)),
            "{line} not in {told:#?}"
        );
    }
}

#[tokio::test]
async fn parts_metadata_and_extended_cards_survive_every_translation() {
    let agents = agents().await;
    let gateway = gateway(&agents.iter().collect::<Vec<_>>(), "").await;
    let parts = json!([
        {"text": "echo parts", "metadata": {"n": 1.5, "deep": {"list": [null, true, "é"]}}},
        {"url": "https://files.example/a.pdf", "filename": "a.pdf", "mediaType": "application/pdf"},
        {"data": {"room": "kitchen", "on": false, "nested": [{"x": 1}]}},
    ]);
    for (agent, (name, ..)) in agents.iter().zip(AGENTS) {
        for speaker in SPEAKERS {
            let peer = Peer::new(&gateway, speaker, name);
            let mut params = saying("");
            params["message"]["parts"] = parts.clone();
            params["message"]["metadata"] = json!({"trace": "t-1"});
            let task = peer.task(params.clone()).await;
            let said = &agent.task(&id(&task)).unwrap()["history"][0];
            assert_eq!(floats(&said["parts"]), floats(&parts), "{} to {name}", peer.name());
            assert_eq!(said["metadata"], params["message"]["metadata"], "{} to {name}", peer.name());
            assert_eq!(said["messageId"], params["message"]["messageId"]);
            let back = &task["history"][0]["parts"];
            assert_eq!(floats(back), floats(&parts), "{} from {name}", peer.name());

            let card = peer.call(Operation::ExtendedCard, json!({})).await.unwrap();
            let skills: Vec<&Value> = card["skills"].as_array().unwrap().iter().map(|skill| &skill["id"]).collect();
            assert!(skills.contains(&&json!("secret.skill")), "{} of {name}: {card}", peer.name());
            assert!(!card.to_string().contains(&agent.address().to_string()), "the agent's address shows: {card}");
        }
    }
}

/// Numbers as Protobuf's Struct has them: all of them are floats.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(floats).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), floats(value))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn push_configs_read_the_same_in_every_dialect() {
    let agents = agents().await;
    let gateway = gateway(&agents.iter().collect::<Vec<_>>(), "[egress]\nallow = [\"127.0.0.0/8\"]\n").await;
    for (agent, (name, ..)) in agents.iter().zip(AGENTS) {
        for speaker in SPEAKERS {
            let peer = Peer::new(&gateway, speaker, name);
            let task = id(&peer.task(at_once("slow push")).await);
            let asked = agent.received().len();
            let config = json!({
                "taskId": task, "id": "mine", "url": "http://127.0.0.1:9/hook", "token": "secret",
                "authentication": {"scheme": "Bearer", "credentials": "letmein"},
            });
            let made = peer.call(Operation::PushCreate, config.clone()).await.unwrap();
            assert_eq!(made["url"], config["url"], "{} with {name}: {made}", peer.name());
            let params = json!({"taskId": task, "id": "mine"});
            let read = peer.call(Operation::PushGet, params.clone()).await.unwrap();
            for member in ["id", "taskId", "url", "token", "authentication"] {
                assert_eq!(read[member], config[member], "{member}: {} with {name}: {read}", peer.name());
            }
            let list = peer.call(Operation::PushList, json!({"taskId": task})).await.unwrap();
            assert_eq!(list["configs"].as_array().unwrap().len(), 1, "{} with {name}: {list}", peer.name());
            peer.call(Operation::PushDelete, params.clone()).await.unwrap();
            peer.call(Operation::PushDelete, params.clone()).await.unwrap();
            let list = peer.call(Operation::PushList, json!({"taskId": task})).await.unwrap();
            assert_eq!(list["configs"].as_array().map_or(0, Vec::len), 0, "{} with {name}: {list}", peer.name());
            let gone = peer.call(Operation::PushGet, params).await.unwrap_err();
            assert_eq!(gone.reason, "TASK_NOT_FOUND", "{} with {name}", peer.name());
            let asked = &agent.received()[asked..];
            assert!(asked.iter().all(|request| !String::from_utf8_lossy(&request.body).contains("127.0.0.1:9")));
        }
    }
}

#[tokio::test]
async fn alike_peers_exchange_the_very_bytes() {
    let agents = agents().await;
    let gateway = gateway(&agents.iter().collect::<Vec<_>>(), "").await;
    let address = raw::address(&gateway.plain());
    let new = "{ \"message\" :{\"messageId\":\"odd-1\",\t\"role\":\"ROLE_USER\",\"parts\":[ {\"text\":\"\\u006fdd\", \"x-part\":1.0e2} ], \
               \"x-message\":[null , -0.0]},\n \"x-params\":{\"b\":1,\"a\":2} }";
    let old = "{\"message\": {\"kind\":\"message\", \"messageId\":\"odd-2\",\"role\":\"user\",\"x\":1.50,\
               \"parts\":[{\"kind\":\"text\",\"text\":\"odd\"}]} , \"x-params\":{}}";
    let rpc = |method: &str, params: &str| {
        format!("{{ \"id\":\"a-b\",\"x-top\":1,\"params\": {params}, \"method\":\"{method}\" ,\"jsonrpc\":\"2.0\"}}")
    };
    let cases = [
        (0, "/agents/rpc-new", rpc("SendMessage", new), Some("1.0")),
        (1, "/agents/http-new/message:send", new.to_owned(), Some("1.0")),
        (2, "/agents/rpc-old", rpc("message/send", old), None),
    ];
    for (agent, path, body, version) in cases {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(version.map(|version| ("a2a-version", version)));
        let answer = raw::exchange(address, raw::request("POST", path, &headers, body.clone())).await;
        assert_eq!(agents[agent].last_received().body, body, "{path}");
        assert_eq!(answer.body, agents[agent].last_sent(), "{path}");
        assert!(answer.text().contains("x-vendor") && answer.text().contains("[1.50, 2e3, null]"), "{path}");
    }
}

#[tokio::test]
async fn events_of_alike_peers_keep_their_bytes() {
    let agent = Agent::start(Plan::new("talker")).await;
    let gateway = gateway(&[&agent], "").await;
    let caller = Caller::rpc(&gateway.plain());
    let request = caller.request(Operation::Stream, &saying("stream 2"));
    let through = raw::exchange(caller.address, request).await;
    let direct = Caller { address: agent.address(), base: "/rpc".into(), ..caller };
    let request = direct.request(Operation::Stream, &saying("stream 2"));
    let directly = raw::exchange(direct.address, request).await;
    let plain = |text: &[u8]| {
        // The two runs differ in what the agent counts and the client mints, and the gateway numbers the events.
        let text: String =
            String::from_utf8_lossy(text).split_inclusive('\n').filter(|line| !line.starts_with("id: ")).collect();
        let text = text.replace("talker-task-1", "talker-task-0");
        let text = text.replace("talker-context-1", "talker-context-0");
        without(&without(&text, "message-"), "\"timestamp\":\"")
    };
    assert_eq!(plain(&through.body), plain(&directly.body));
}

/// A text without what follows `begin` up to the next quotation mark, wherever it stands.
fn without(text: &str, begin: &str) -> String {
    let mut pieces = text.split(begin);
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |all, piece| all + piece.split_once('"').unwrap().1)
}
