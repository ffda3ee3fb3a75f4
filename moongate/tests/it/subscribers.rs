//! Many who follow: all hear the same, slow ones hold up nobody, and who comes back misses and repeats nothing.

use futures_util::future::join_all;
use moongate_testkit::agent::{Agent, Plan};
use serde_json::json;

use crate::stage::{Caller, Gateway, MOONGATE, Operation, id, on, saying, state};

const TASKS: usize = 100;
const FOLLOWERS: usize = 10;
const CHUNKS: usize = 12;

/// Resident memory of the gateway, in KiB.
fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscribers_hear_the_same_while_some_do_not_read_at_all() {
    let agent = Agent::start(Plan::new("able")).await;
    let toml = format!(
        "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[limits]\nstreams = 2000\n{}",
        agent.entry("")
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut params = saying(&format!("steps {CHUNKS}"));
    params["configuration"] = json!({"returnImmediately": true});
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        tasks.push(id(&caller.call(Operation::Send, &params).await.unwrap()["task"]));
    }
    let mut followers = Vec::new();
    for task in &tasks {
        for _ in 0..FOLLOWERS {
            followers.push((task.clone(), caller.open(Operation::Subscribe, &on(task)).await.unwrap()));
        }
    }
    let before = resident(&gateway);
    // One follower of each task reads nothing until all others are through.
    let (slow, quick): (Vec<_>, Vec<_>) =
        followers.into_iter().enumerate().partition(|(index, _)| index % FOLLOWERS == 0);
    agent.release(TASKS * CHUNKS);
    let hear = |all: Vec<(usize, (String, moongate_testkit::client::Events))>| async move {
        let reading = all.into_iter().map(|(_, (task, events))| async move {
            let heard = events.rest().await.unwrap();
            let chunks = heard.iter().filter(|event| event.get("artifactUpdate").is_some()).count();
            let first = heard.first().unwrap();
            let known = first["task"]["artifacts"][0]["parts"].as_array().map_or(0, Vec::len);
            assert_eq!(known + chunks, CHUNKS, "{task} is heard whole, once: {heard:?}");
            assert_eq!(state(&heard.last().unwrap()["statusUpdate"]), "COMPLETED");
        });
        join_all(reading).await.len()
    };
    assert_eq!(hear(quick).await, TASKS * (FOLLOWERS - 1));
    assert!(resident(&gateway) < before + 100 * 1024, "{before} KiB grew to {} KiB", resident(&gateway));
    assert_eq!(hear(slow).await, TASKS);
}

#[tokio::test]
async fn who_reads_nothing_for_long_gets_everything_from_the_record() {
    // 16 MB: more than sockets, queues and the backlog in memory hold together, so that the rest comes from the record.
    const CHUNKS: usize = 500;
    let agent = Agent::start(Plan::new("able")).await;
    let toml =
        format!("[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{}", agent.entry(""));
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut params = saying(&format!("heavy {CHUNKS}"));
    params["configuration"] = json!({"returnImmediately": true});
    let task = id(&caller.call(Operation::Send, &params).await.unwrap()["task"]);
    let slow = caller.open(Operation::Subscribe, &on(&task)).await.unwrap();
    let quick = caller.open(Operation::Subscribe, &on(&task)).await.unwrap();
    agent.release(CHUNKS);
    let heard = quick.rest().await.unwrap();
    let late = slow.rest().await.unwrap();
    // The agent may have begun between the two.
    let chunks = |all: &[serde_json::Value]| {
        let chunks = all.iter().filter(|event| event.get("artifactUpdate").is_some());
        chunks.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(chunks(&heard).len(), CHUNKS);
    assert!(chunks(&heard) == chunks(&late), "what came late is the same, without a gap");
}
