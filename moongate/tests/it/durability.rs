//! Nothing acknowledged is lost: the gateway is killed in the middle of its work, again and again, while a ledger outside
//! holds what its clients heard and an agent outside counts what it was asked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moongate_core::seam::tasks::Filter;
use moongate_core::{Operation, TaskId};
use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::client::Caller;
use moongate_testkit::gateway::{Gateway, until};
use moongate_testkit::receiver::Receiver;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{MOONGATE, id, on, state};

/// How often it is killed; `MOONGATE_TEST_KILLS` asks for more.
const KILLS: u64 = 20;
const CLIENTS: u64 = 8;

/// What the clients heard of one task.
#[derive(Default)]
struct Heard {
    /// The end that they were told.
    end: Option<String>,
}

/// All that was heard, and what was asked for.
#[derive(Default)]
struct Ledger {
    tasks: Mutex<BTreeMap<String, Heard>>,
    asked: AtomicU64,
}

impl Ledger {
    fn hear(&self, task: &Value) {
        let mut tasks = self.tasks.lock().unwrap();
        let heard = tasks.entry(id(task)).or_default();
        let now = state(task);
        if ["COMPLETED", "FAILED", "CANCELED", "REJECTED"].contains(&now) {
            let before = heard.end.replace(now.to_owned());
            assert!(before.is_none_or(|before| before == now), "{task} had ended otherwise");
        }
    }
}

/// One request on a connection of its own; the body as far as it came.
async fn post(address: SocketAddr, path: &str, headers: &str, body: &Value) -> Option<(bool, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\na2a-version: 1.0\r\n{headers}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let whole = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await.ok()?.is_ok();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    Some((whole && length.is_none_or(|length: usize| body.len() == length), body.to_owned()))
}

fn sending(words: &str, key: u64, callback: &str, at_once: bool) -> Value {
    let config = json!({"id": "ledger", "url": format!("{callback}/{key}")});
    json!({
        "message": {"messageId": format!("m-{key}"), "role": "ROLE_USER", "parts": [{"text": words}]},
        "configuration": {"returnImmediately": at_once, "taskPushNotificationConfig": config},
    })
}

/// One client: asks in every way, for as long as somebody answers.
async fn client(address: SocketAddr, ledger: Arc<Ledger>, callback: String, way: u64) {
    for turn in way.. {
        let key = ledger.asked.fetch_add(1, Ordering::Relaxed);
        let told = match turn % 4 {
            0 => post(address, "/a2a/tasks", "", &sending(&format!("echo {key}"), key, &callback, true)).await,
            1 => post(address, "/a2a/message:send", "", &sending(&format!("echo {key}"), key, &callback, false)).await,
            2 => {
                let header = format!("idempotency-key: {key}\r\n");
                let send = sending(&format!("echo {key}"), key, &callback, true);
                post(address, "/a2a/message:send", &header, &send).await
            }
            _ => {
                post(address, "/a2a/message:stream", "", &sending(&format!("stream 3 {key}"), key, &callback, false))
                    .await
            }
        };
        let Some((whole, body)) = told else { return };
        if turn % 4 < 3 {
            if whole && let Ok(answer) = serde_json::from_str::<Value>(&body) {
                assert!(answer.get("error").is_none(), "{answer}");
                ledger.hear(&answer["task"]);
            }
        } else {
            hear_stream(&ledger, &body);
        }
        if !whole {
            return;
        }
    }
}

fn hear_stream(ledger: &Ledger, body: &str) {
    let mut task = None;
    for block in body.split("\n\n") {
        let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        if event.get("task").is_some() {
            ledger.hear(&event["task"]);
            task = Some(id(&event["task"]));
        }
        if let (Some(update), Some(id)) = (event.get("statusUpdate"), &task) {
            ledger.hear(&json!({"id": id, "status": update["status"]}));
        }
    }
}

/// What the store itself says while nobody uses it.
async fn inspect(folder: &Path, ledger: &Ledger) {
    let store = moongate_store::open("sqlite:moongate.db", folder).unwrap();
    assert_eq!(store.inspect().await.unwrap(), Vec::<String>::new());
    let heard: Vec<TaskId> = ledger.tasks.lock().unwrap().keys().map(|id| TaskId::from(id.as_str())).collect();
    for id in heard {
        let stored = store.tasks().get(None, id.clone()).await.unwrap();
        let stored = stored.unwrap_or_else(|| panic!("the task {id} that a client heard of is lost"));
        let mut numbers = Vec::new();
        while let Some(after) = Some(numbers.last().copied().unwrap_or(0)) {
            let events = store.tasks().events(id.clone(), after, 100).await.unwrap();
            if events.is_empty() {
                break;
            }
            numbers.extend(events.iter().map(|event| event.seq));
        }
        assert_eq!(numbers, (1..=stored.task.seq).collect::<Vec<_>>(), "{id}");
        let tasks = ledger.tasks.lock().unwrap();
        if let Some(end) = &tasks[id.as_str()].end {
            assert_eq!(format!("{:?}", stored.task.state).to_uppercase(), *end, "the end of {id} was taken back");
        }
    }
    let listed = store.tasks().list(Filter { limit: 1, ..Filter::default() }).await.unwrap();
    assert!(listed.total >= ledger.tasks.lock().unwrap().len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_client_heard_of_is_lost_when_the_gateway_is_killed() {
    let kills = std::env::var("MOONGATE_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("MOONGATE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5eed_u64);
    println!("{kills} kills, seed {seed}");
    let agent = Agent::start(Plan::new("able")).await;
    let receiver = Receiver::start().await;
    let toml = format!(
        "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n{}",
        agent.entry("")
    );
    let mut gateway = Gateway::start(MOONGATE, &toml).await;
    let ledger = Arc::new(Ledger::default());
    let mut dice = seed;
    for _ in 0..kills {
        let address = gateway.address("plain").unwrap();
        let before = ledger.tasks.lock().unwrap().len();
        let clients: Vec<_> =
            (0..CLIENTS).map(|way| tokio::spawn(client(address, ledger.clone(), receiver.url("/push"), way))).collect();
        // Killed once a random number of further tasks was heard of: no clock decides when.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let enough = before + 5 + (dice >> 33) as usize % 60;
        let heard = until(|| async { (ledger.tasks.lock().unwrap().len() >= enough).then_some(()) });
        assert!(heard.await.is_some(), "the clients are answered:\n{}", gateway.log_text());
        gateway.kill().await;
        for client in clients {
            client.await.unwrap();
        }
        inspect(gateway.folder(), &ledger).await;
        gateway.restart().await;
    }
    println!("{}", settle(&gateway, &ledger, &agent, &receiver).await);
}

/// After the last restart everything comes to its end: tasks, executions and callbacks.
async fn settle(gateway: &Gateway, ledger: &Ledger, agent: &Agent, receiver: &Receiver) -> String {
    let caller = Caller::rpc(&gateway.plain());
    let heard: HashMap<String, Option<String>> =
        ledger.tasks.lock().unwrap().iter().map(|(id, heard)| (id.clone(), heard.end.clone())).collect();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (task, end) in &heard {
        let over = until(|| async {
            let told = caller.call(Operation::Get, &on(task)).await.unwrap();
            ["COMPLETED", "FAILED"].contains(&state(&told)).then_some(told)
        });
        let told = over.await.unwrap_or_else(|| panic!("the task {task} does not end"));
        assert!(end.as_deref().is_none_or(|end| end == state(&told)), "{task} was {end:?} and is {told}");
        *ends.entry(state(&told).to_owned()).or_default() += 1;
    }
    let mut executions: HashMap<String, usize> = HashMap::new();
    for request in agent.received() {
        let text = request.json()["params"]["message"]["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
        if !text.is_empty() {
            *executions.entry(text).or_default() += 1;
        }
    }
    let twice: Vec<_> = executions.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "executed twice: {twice:?}");
    callbacks(&heard.keys().cloned().collect(), receiver).await;
    format!("{} tasks heard of, {ends:?}; {} requests", heard.len(), ledger.asked.load(Ordering::Relaxed))
}

/// Each callback arrived at least once, in order, without a gap, and the end is the last of them.
async fn callbacks(tasks: &HashSet<String>, receiver: &Receiver) {
    let numbers = |all: &[moongate_testkit::receiver::Delivery]| {
        let mut numbers: HashMap<String, Vec<(u64, bool)>> = HashMap::new();
        for delivery in all {
            let (task, seq) = delivery.header("webhook-id").unwrap().rsplit_once(':').unwrap();
            let told = if delivery.body.get("task").is_some() {
                &delivery.body["task"]
            } else {
                &delivery.body["statusUpdate"]
            };
            let over = ["COMPLETED", "FAILED"].contains(&state(told));
            numbers.entry(task.to_owned()).or_default().push((seq.parse().unwrap(), over));
        }
        numbers
    };
    let missing = || {
        let numbers = numbers(&receiver.got());
        let over = |task: &&String| numbers.get(*task).is_some_and(|seen| seen.iter().any(|(_, over)| *over));
        let missing: Vec<String> = tasks.iter().filter(|task| !over(task)).cloned().collect();
        missing.iter().map(|task| format!("{task}: {:?}", numbers.get(task))).collect::<Vec<_>>()
    };
    let all_called = until(|| async { missing().is_empty().then_some(()) }).await;
    assert!(all_called.is_some(), "ends that were not called back: {:#?}", missing());
    for (task, seen) in numbers(&receiver.got()) {
        let mut next = 1;
        for (seq, _) in seen {
            assert!(seq <= next, "{task}: event {seq} was called back before {next}");
            next = next.max(seq + 1);
        }
    }
}
