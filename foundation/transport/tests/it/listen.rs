//! Listeners: versions, limits, draining.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use moongate_core::Code;
use moongate_transport::{Listen, ListenLimits, PoolConfig, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Running, get, pool, post, soon, text};

fn limited(limits: ListenLimits) -> Listen {
    Listen { limits, ..Listen::default() }
}

async fn exchange_raw(running: &Running, request: &str) -> String {
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    // A server that refuses may close before it has read everything.
    let _ = tcp.write_all(request.as_bytes()).await;
    rest(&mut tcp).await
}

async fn rest(tcp: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = soon(tcp.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn http1_and_http2_share_a_port() {
    let running = Running::start(Listen::default());
    let pool = pool(PoolConfig::default());
    let h1 = soon(pool.send(&running.origin("http", false), get("/hello"))).await.unwrap();
    assert_eq!(text(h1).await, "hello HTTP/1.1");
    let h2 = soon(pool.send(&running.origin("http", true), get("/hello"))).await.unwrap();
    assert_eq!(text(h2).await, "hello HTTP/2.0");
    let peer = soon(pool.send(&running.origin("http", true), get("/peer"))).await.unwrap();
    assert_eq!(text(peer).await, "127.0.0.1 false");
}

#[tokio::test]
async fn a_preface_that_comes_in_pieces_is_still_http2() {
    let running = Running::start(Listen::default());
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    for piece in [&b"PRI * HT"[..], b"TP/2.0\r\n\r\nSM", b"\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0"] {
        tcp.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut frame = [0; 9];
    soon(tcp.read_exact(&mut frame)).await.unwrap();
    assert_eq!(frame[3], 4, "the server's first frame is SETTINGS");
}

#[tokio::test]
async fn requests_that_are_pipelined_are_answered_in_order() {
    let running = Running::start(Listen::default());
    let one = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\none";
    let two = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\ntwo";
    let answers = exchange_raw(&running, &format!("{one}{two}")).await;
    assert!(answers.find("one").unwrap() < answers.find("two").unwrap(), "{answers}");
}

#[tokio::test]
async fn a_head_over_the_limit_is_answered_431() {
    let running = Running::start(limited(ListenLimits { header_bytes: 4096, ..ListenLimits::default() }));
    for headers in [format!("x-long: {}\r\n", "y".repeat(5000)), "x-short: y\r\n".repeat(400)] {
        let answer = exchange_raw(&running, &format!("GET /hello HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let pool = pool(PoolConfig::default());
    let mut request = get("/hello");
    request.headers_mut().insert("x-long", "y".repeat(5000).parse().unwrap());
    let answer = soon(pool.send(&running.origin("http", true), request)).await.unwrap();
    assert_eq!(answer.status(), 431);
}

#[tokio::test]
async fn length_and_chunks_at_once_are_refused() {
    let running = Running::start(Listen::default());
    let smuggled = "0\r\n\r\nGET /peer HTTP/1.1\r\nhost: x\r\n\r\n";
    let head = format!(
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n",
        smuggled.len()
    );
    let answer = exchange_raw(&running, &format!("{head}\r\n{smuggled}")).await;
    assert!(!answer.contains("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn a_connection_over_the_cap_is_closed_at_once() {
    let running = Running::start(limited(ListenLimits { connections: 2, ..ListenLimits::default() }));
    let pool = pool(PoolConfig::default());
    let origin = running.origin("http", false);
    let held = [0, 1].map(|_| {
        let (pool, origin) = (pool.clone(), origin.clone());
        tokio::spawn(async move { text(pool.send(&origin, get("/held")).await.unwrap()).await })
    });
    for _ in 0..2 {
        soon(running.site.entered.notified()).await;
    }
    let mut third = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(rest(&mut third).await, "");
    running.site.release.notify_waiters();
    for task in held {
        assert_eq!(soon(task).await.unwrap(), "released");
    }
    assert_eq!(text(soon(pool.send(&origin, get("/hello"))).await.unwrap()).await, "hello HTTP/1.1");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let limits = ListenLimits { header_timeout: Duration::from_millis(100), ..ListenLimits::default() };
    let running = Running::start(limited(limits));
    for start in ["", "PRI * HTTP", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut tcp = TcpStream::connect(running.address).await.unwrap();
        tcp.write_all(start.as_bytes()).await.unwrap();
        assert!(!rest(&mut tcp).await.contains("200"), "{start:?}");
    }
}

#[tokio::test]
async fn a_handler_ends_when_its_caller_goes_away() {
    let running = Running::start(Listen::default());
    for h2 in [false, true] {
        let pool = pool(PoolConfig::default());
        let origin = running.origin("http", h2);
        tokio::select! {
            answer = pool.send(&origin, get("/held")) => panic!("answered: {answer:?}"),
            () = running.site.entered.notified() => {}
        }
        soon(running.site.dropped.notified()).await;
    }
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_refuses_what_is_new() {
    let running = Running::start(Listen::default());
    let pool = pool(PoolConfig::default());
    for h2 in [false, true] {
        // An idle connection, which must not hold the drain up.
        let idle = soon(pool.send(&running.origin("http", h2), get("/hello"))).await.unwrap();
        assert!(text(idle).await.starts_with("hello"));
    }
    let held = [false, true].map(|h2| {
        let (pool, origin) = (pool.clone(), running.origin("http", h2));
        tokio::spawn(async move { text(pool.send(&origin, get("/held")).await.unwrap()).await })
    });
    for _ in 0..2 {
        soon(running.site.entered.notified()).await;
    }
    let mut events = soon(pool.send(&running.origin("http", false), get("/events"))).await.unwrap().into_body();
    assert_eq!(soon(events.frame()).await.unwrap().unwrap().into_data().unwrap(), "data: first\n\n");
    assert!(!running.drain.draining());

    running.drain.begin();

    assert!(running.drain.draining());
    assert_eq!(soon(events.frame()).await.unwrap().unwrap().into_data().unwrap(), "data: last\n\n");
    assert!(soon(events.frame()).await.is_none());
    soon(async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.site.release.notify_waiters();
    for task in held {
        assert_eq!(soon(task).await.unwrap(), "released");
    }
    assert_eq!(soon(running.drain.drained(PATIENCE)).await, 0);
    assert_eq!(running.drain.open(), 0);
}

#[tokio::test]
async fn draining_past_its_deadline_closes_what_is_left() {
    let running = Running::start(Listen::default());
    let pool = pool(PoolConfig::default());
    let origin = running.origin("http", false);
    let held = tokio::spawn(async move { pool.send(&origin, post("/held", "x")).await });
    soon(running.site.entered.notified()).await;
    running.drain.begin();
    assert_eq!(running.drain.drained(Duration::from_millis(50)).await, 1);
    assert!(soon(held).await.unwrap().is_err());
    soon(running.site.dropped.notified()).await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = Running::start(Listen::default());
    let problem = bind(running.address).unwrap_err();
    assert_eq!(problem.code, Code::ListenFailed);
    assert!(problem.detail.contains(&running.address.to_string()), "{problem}");
}

#[tokio::test]
async fn one_drain_ends_all_listeners_that_share_it() {
    let running = Running::start(Listen::default());
    let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let second = tokio::spawn(moongate_transport::serve(
        bound,
        Listen::default(),
        Arc::clone(&running.site),
        running.drain.clone(),
    ));
    running.drain.begin();
    soon(second).await.unwrap();
}
