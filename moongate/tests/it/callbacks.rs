//! Callbacks that strangers name: whatever an address is written like, the gateway goes nowhere but where it may.
//!
//! One listener stands where nobody may be sent, on 127.0.0.2 and on [::1]; only 127.0.0.1 is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use moongate_testkit::agent::{Agent, Plan};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::stage::*;

const ALLOW: &str = "[egress]\nallow = [\"127.0.0.1/32\"]\n";

/// Hosts that mean the forbidden listener to one reader of URLs or another.
const HOSTS: [&str; 51] = [
    "127.0.0.2",
    "127.0.0.2.",
    "127.0.2",
    "127.2",
    "127.2.",
    "2130706434",
    "2130706434.",
    "0x7f000002",
    "0X7F000002",
    "0x7f.0.0.2",
    "0x7f.0x0.0x0.0x2",
    "0x7f.2",
    "017700000002",
    "0177.0.0.2",
    "0177.0.0.02",
    "0177.2",
    "00000177.0.0.2",
    "127.0.0.002",
    "127.0.0.0x2",
    "127.000.000.002",
    "127.0x000002",
    "127.0.0.258",
    "%31%32%37.0.0.2",
    "127%2e0%2e0%2e2",
    "127\u{3002}0\u{3002}0\u{3002}2",
    "127\u{ff0e}0\u{ff0e}0\u{ff0e}2",
    "127\u{ff61}0\u{ff61}0\u{ff61}2",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.2",
    "\u{2460}\u{2461}\u{2466}.0.0.2",
    "127.0.0.\u{b2}",
    "0",
    "0.0.0.0",
    "0x0",
    "localhost.localdomain\\@127.0.0.2",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::1%25lo]",
    "[::1%lo]",
    "[::]",
    "[::ffff:127.0.0.2]",
    "[::ffff:7f00:2]",
    "[0:0:0:0:0:ffff:127.0.0.2]",
    "[::127.0.0.2]",
    "[::7f00:2]",
    "[64:ff9b::127.0.0.2]",
    "[64:ff9b::7f00:2]",
    "[2002:7f00:2::]",
    "[2001:0:7f00:2::]",
    "[::1",
    "::1",
];

/// What comes before or around a host with its port: see [`placed`].
const AROUND: [&str; 9] = [
    "http://user@@/hook",
    "http://user:password@@/hook",
    "http://127.0.0.1@@/hook",
    "http://127.0.0.1:80@@/hook",
    "http://@\\@127.0.0.1/hook",
    "http:\\\\@\\hook",
    "http:@/hook",
    "http://\t@/hook",
    "//@/hook",
];

/// Counts whoever comes.
async fn trap(address: &str, port: u16, caught: &Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let caught = caught.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            caught.fetch_add(1, Ordering::SeqCst);
        }
    });
    port
}

/// Answers every request on 127.0.0.1 by sending its client elsewhere; says how many came.
async fn turnpike(elsewhere: String, status: u16) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 65536]).await;
            counts.fetch_add(1, Ordering::SeqCst);
            let answer = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, asked)
}

#[tokio::test]
async fn no_way_of_writing_an_address_leads_a_callback_where_it_may_not_go() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], ALLOW).await;
    let caller = Caller::rpc(&gateway.plain());
    let caught = Arc::new(AtomicUsize::new(0));
    let port = trap("127.0.0.2", 0, &caught).await;
    trap("::1", port, &caught).await;
    let held = task(&caller, &at_once("slow push")).await;
    let around = AROUND.iter().map(|form| placed(form, &format!("127.0.0.2:{port}")));
    let plain =
        HOSTS.iter().flat_map(|host| [format!("http://{host}:{port}/hook"), format!("https://{host}:{port}/hook")]);
    let urls: Vec<String> = plain.chain(around).collect();
    assert!(urls.len() > 100, "{}", urls.len());
    for url in &urls {
        let config = json!({"taskId": held["id"], "url": url});
        match caller.call(Operation::PushCreate, &config).await {
            Err(refusal) => assert_eq!(refusal.reason, "INVALID_PARAMS", "{url}: {refusal:?}"),
            Ok(made) => panic!("{url} was taken: {made}"),
        }
        let mut sends = saying("echo hello");
        sends["configuration"] = json!({"taskPushNotificationConfig": {"url": url}});
        let refusal = caller.call(Operation::Send, &sends).await.unwrap_err();
        assert_eq!(refusal.reason, "INVALID_PARAMS", "{url}: {refusal:?}");
    }
    assert_eq!(caught.load(Ordering::SeqCst), 0);
    let sent = agent.received().iter().filter(|one| one.json()["method"] == "SendMessage").count();
    assert_eq!(sent, 1, "the agent hears nothing of these");
}

/// A form with the host behind `@@`, of which one stays, or else in the place of its first `@`.
fn placed(form: &str, host: &str) -> String {
    match form.split_once("@@") {
        Some((before, after)) => format!("{before}@{host}{after}"),
        None => form.replacen('@', host, 1),
    }
}

#[tokio::test]
async fn a_redirect_leads_a_callback_nowhere() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = gateway(&[&agent], ALLOW).await;
    let caller = Caller::rpc(&gateway.plain());
    let caught = Arc::new(AtomicUsize::new(0));
    let port = trap("127.0.0.2", 0, &caught).await;
    for status in [301, 302, 303, 307, 308] {
        let (url, asked) = turnpike(format!("http://127.0.0.2:{port}/inside"), status).await;
        let held = task(&caller, &at_once("slow push")).await;
        caller.call(Operation::PushCreate, &json!({"taskId": held["id"], "url": url})).await.unwrap();
        agent.release(1);
        crate::support::eventually("the callback is made", || async { asked.load(Ordering::SeqCst) > 0 }).await;
        until_state(&caller, &id(&held), "COMPLETED").await;
    }
    // What was told to go elsewhere is tried again where it was meant to go, and not there.
    let (url, asked) = turnpike(format!("http://127.0.0.2:{port}/inside"), 307).await;
    let held = task(&caller, &at_once("slow push")).await;
    caller.call(Operation::PushCreate, &json!({"taskId": held["id"], "url": url})).await.unwrap();
    agent.release(1);
    crate::support::eventually("the callback is tried again", || async { asked.load(Ordering::SeqCst) > 1 }).await;
    assert_eq!(caught.load(Ordering::SeqCst), 0, "nobody was led inside");
}
