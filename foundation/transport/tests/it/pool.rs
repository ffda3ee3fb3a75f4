//! Connections to agents: kept, replaced, given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body::Body as _;
use http_body_util::BodyExt;
use moongate_transport::{Listen, Origin, PoolConfig, Stage};
use tokio::sync::mpsc;

use crate::support::{PATIENCE, Running, Scripted, get, look_at_sockets, pool, post, soon, text};

#[tokio::test]
async fn one_connection_serves_a_thousand_requests() {
    let server = Scripted::constant("hello");
    let pool = pool(PoolConfig::default());
    let origin = pool.origin(&server.origin());
    for _ in 0..1000 {
        let answer = soon(origin.send(post("/", "ping"))).await.unwrap();
        assert_eq!(text(answer).await, "hello");
    }
    assert_eq!((server.connections(), pool.idle()), (1, 1));
}

#[tokio::test]
async fn the_request_arrives_as_it_was_sent() {
    let (heard, mut hears) = mpsc::channel(1);
    let server = Scripted::start(move |_, mut talk| {
        while let Some(request) = talk.read_request() {
            heard.blocking_send(request).unwrap();
            talk.answer("");
        }
    });
    let pool = pool(PoolConfig::default());
    let large = vec![b'x'; 8 * 1024 * 1024];
    let sent =
        soon(pool.send(&server.origin(), post("http://elsewhere.example/a2a?x=1", large.clone()))).await.unwrap();
    assert!(sent.into_body().is_end_stream());
    let (head, body) = soon(hears.recv()).await.unwrap();
    assert!(head.starts_with("POST /a2a?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
    assert_eq!(body, large);
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn answers_without_a_body_give_the_connection_back() {
    let server = Scripted::start(|_, mut talk| {
        while let Some((head, _)) = talk.read_request() {
            let status = if head.starts_with("HEAD") { "200 OK\r\ncontent-length: 12" } else { "204 No Content" };
            talk.write(&format!("HTTP/1.1 {status}\r\n\r\n"));
        }
    });
    let pool = pool(PoolConfig::default());
    for _ in 0..3 {
        let mut request = get("/");
        *request.method_mut() = http::Method::HEAD;
        drop(soon(pool.send(&server.origin(), request)).await.unwrap());
        drop(soon(pool.send(&server.origin(), get("/"))).await.unwrap());
    }
    assert_eq!((server.connections(), pool.idle()), (1, 1));
}

#[tokio::test]
async fn an_idle_connection_that_the_peer_closed_is_replaced_without_error() {
    let (closed, mut closes) = mpsc::channel(1);
    let server = Scripted::start(move |number, mut talk| {
        talk.read_request().unwrap();
        talk.answer(if number == 1 { "first" } else { "second" });
        if number == 1 {
            talk.close();
            closed.blocking_send(()).unwrap();
        } else {
            talk.read_request();
        }
    });
    let pool = pool(PoolConfig::default());
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "first");
    soon(closes.recv()).await.unwrap();
    look_at_sockets().await;
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "second");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_says_close_is_not_kept() {
    let server = Scripted::start(|_, mut talk| {
        talk.read_request().unwrap();
        talk.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        talk.read_request();
    });
    let pool = pool(PoolConfig::default());
    for _ in 0..2 {
        assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "ok");
        assert_eq!(pool.idle(), 0);
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_whole() {
    let server = Scripted::start(|_, mut talk| {
        talk.read_request().unwrap();
        talk.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        talk.close();
    });
    let pool = pool(PoolConfig::default());
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "until the end");
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_an_idle_connection() {
    let (wrote, mut writes) = mpsc::channel(1);
    let server = Scripted::start(move |number, mut talk| {
        while talk.read_request().is_some() {
            talk.answer(if number == 1 { "first" } else { "second" });
            if number == 1 {
                talk.write("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled");
                wrote.blocking_send(()).unwrap();
            }
        }
    });
    let pool = pool(PoolConfig::default());
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "first");
    soon(writes.recv()).await.unwrap();
    look_at_sockets().await;
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "second");
}

#[tokio::test]
async fn a_peer_that_closes_in_the_middle_of_the_body_is_an_error_of_the_body() {
    for head in ["content-length: 100\r\n\r\npart of it", "transfer-encoding: chunked\r\n\r\na\r\npart of it\r\n"] {
        let server = Scripted::start(move |_, mut talk| {
            talk.read_request().unwrap();
            talk.write(&format!("HTTP/1.1 200 OK\r\n{head}"));
            talk.close();
        });
        let pool = pool(PoolConfig::default());
        let mut body = soon(pool.send(&server.origin(), get("/"))).await.unwrap().into_body();
        let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "part of it");
        let error = soon(body.frame()).await.unwrap().unwrap_err();
        assert_eq!(error.stage, Stage::Body, "{error}");
        assert_eq!(pool.idle(), 0);
    }
}

#[tokio::test]
async fn a_peer_that_closes_instead_of_answering_is_an_error_of_the_request() {
    let server = Scripted::start(|_, mut talk| {
        talk.read_request().unwrap();
        talk.close();
    });
    let pool = pool(PoolConfig::default());
    let error = soon(pool.send(&server.origin(), post("/", "once"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Request, "{error}");
    assert!(!error.unsent());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_an_error_of_the_request() {
    let server = Scripted::start(|_, mut talk| {
        talk.read_request().unwrap();
        talk.write("SSH-2.0-OpenSSH_9.9\r\n\r\n");
        talk.read_request();
    });
    let pool = pool(PoolConfig::default());
    let error = soon(pool.send(&server.origin(), get("/"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Request, "{error}");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_an_error_of_the_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = Origin::parse(&format!("http://{free}/"), false).unwrap();
    let error = soon(pool(PoolConfig::default()).send(&origin, get("/"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Connect, "{error}");
    assert!(error.unsent());
}

#[tokio::test]
async fn a_body_that_is_dropped_early_closes_its_connection() {
    let (ended, mut ends) = mpsc::channel(1);
    let server = Scripted::start(move |number, mut talk| {
        talk.read_request().unwrap();
        if number == 1 {
            talk.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n");
            assert!(talk.read_request().is_none());
            ended.blocking_send(()).unwrap();
        } else {
            talk.answer("second");
        }
    });
    let pool = pool(PoolConfig::default());
    let mut body = soon(pool.send(&server.origin(), get("/"))).await.unwrap().into_body();
    assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "event");
    drop(body);
    soon(ends.recv()).await.unwrap();
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "second");
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_connection() {
    let (ended, mut ends) = mpsc::channel(1);
    let server = Scripted::start(move |_, mut talk| {
        talk.read_request().unwrap();
        ended.blocking_send("asked").unwrap();
        assert!(talk.read_request().is_none());
        ended.blocking_send("closed").unwrap();
    });
    let pool = pool(PoolConfig::default());
    let origin = server.origin();
    tokio::select! {
        answer = pool.send(&origin, get("/")) => panic!("answered: {answer:?}"),
        said = ends.recv() => assert_eq!(said, Some("asked")),
    }
    assert_eq!(soon(ends.recv()).await, Some("closed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_may_be_read_by_another_task_than_the_one_that_asked() {
    let (go, goes) = std::sync::mpsc::channel::<()>();
    let goes = std::sync::Mutex::new(goes);
    let server = Scripted::start(move |_, mut talk| {
        while talk.read_request().is_some() {
            talk.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            for _ in 0..3 {
                goes.lock().unwrap().recv().unwrap();
                talk.write("5\r\nevent\r\n");
            }
            talk.write("0\r\n\r\n");
        }
    });
    let pool = pool(PoolConfig::default());
    for _ in 0..20 {
        let mut body = soon(pool.send(&server.origin(), get("/"))).await.unwrap().into_body();
        let go = go.clone();
        let reader = tokio::spawn(async move {
            let mut seen = 0;
            for _ in 0..3 {
                go.send(()).unwrap();
                assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "event");
                seen += 1;
            }
            assert!(body.frame().await.is_none());
            seen
        });
        assert_eq!(soon(reader).await.unwrap(), 3);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_slow_reader_holds_the_sender_back() {
    const WHOLE: usize = 64 * 1024 * 1024;
    let (stalled, mut stalls) = mpsc::channel(1);
    let server = Scripted::start(move |_, mut talk| {
        use std::io::Write;
        talk.read_request().unwrap();
        talk.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {WHOLE}\r\n\r\n"));
        talk.stream().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let chunk = vec![7_u8; 64 * 1024];
        let mut written = 0;
        while written < WHOLE {
            let left = chunk.len().min(WHOLE - written);
            match talk.stream().write(&chunk[..left]) {
                Ok(count) => written += count,
                Err(_) => {
                    stalled.blocking_send(written).unwrap();
                    talk.stream().set_write_timeout(Some(PATIENCE)).unwrap();
                }
            }
        }
        talk.read_request();
    });
    let pool = pool(PoolConfig::default());
    let mut body = soon(pool.send(&server.origin(), get("/"))).await.unwrap().into_body();
    let mut read = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap().len();
    let written = soon(stalls.recv()).await.unwrap();
    assert!(written < WHOLE / 2, "{written} bytes were taken although nobody read them");
    while let Some(frame) = soon(body.frame()).await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!((read, pool.idle()), (WHOLE, 1));
}

#[tokio::test]
async fn a_full_origin_lets_requests_wait_for_a_connection() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let server = Scripted::start(move |_, mut talk| {
        while talk.read_request().is_some() {
            most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            busy.fetch_sub(1, Ordering::SeqCst);
            talk.answer("served");
        }
    });
    let pool = pool(PoolConfig { max_per_origin: 2, connect_timeout: PATIENCE, ..PoolConfig::default() });
    let origin = pool.origin(&server.origin());
    let answers = join_all((0..40).map(|_| async { text(soon(origin.send(get("/"))).await.unwrap()).await })).await;
    assert!(answers.iter().all(|answer| answer == "served"));
    assert!(server.connections() <= 2 && peak.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn waiting_for_a_connection_has_an_end() {
    let (_hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Scripted::start(move |_, mut talk| {
        talk.read_request().unwrap();
        talk.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let _ = held.lock().unwrap().recv();
    });
    let config = PoolConfig { max_per_origin: 1, connect_timeout: Duration::from_millis(200), ..PoolConfig::default() };
    let pool = pool(config);
    let _open = soon(pool.send(&server.origin(), get("/"))).await.unwrap();
    let error = soon(pool.send(&server.origin(), get("/"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Connect, "{error}");
}

#[tokio::test]
async fn a_connection_that_idles_too_long_is_closed() {
    let (ended, mut ends) = mpsc::channel(1);
    let server = Scripted::start(move |_, mut talk| {
        while talk.read_request().is_some() {
            talk.answer("hello");
        }
        ended.blocking_send(()).unwrap();
    });
    let pool = pool(PoolConfig { idle_timeout: Duration::from_millis(40), ..PoolConfig::default() });
    assert_eq!(text(soon(pool.send(&server.origin(), get("/"))).await.unwrap()).await, "hello");
    soon(ends.recv()).await.unwrap();
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_asked_for() {
    let server = Scripted::constant("hello");
    let pool = pool(PoolConfig { idle_per_origin: 3, ..PoolConfig::default() });
    let origin = pool.origin(&server.origin());
    let open = join_all((0..8).map(|_| soon(origin.send(get("/"))))).await;
    for answer in open {
        assert_eq!(text(answer.unwrap()).await, "hello");
    }
    assert_eq!(pool.idle(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_shares_one_connection_and_replaces_it() {
    let first = Running::start(Listen::default());
    let pool = pool(PoolConfig::default());
    let origin = pool.origin(&first.origin("http", true));
    let answers = join_all((0..100).map(|index| {
        let origin = Arc::clone(&origin);
        async move { text(soon(origin.send(post("/echo", format!("{index}")))).await.unwrap()).await }
    }))
    .await;
    assert!(answers.iter().enumerate().all(|(index, answer)| *answer == index.to_string()));
    assert_eq!(first.open(), 1);

    first.drain.begin();
    assert_eq!(soon(first.drain.drained(PATIENCE)).await, 0);
    let error = soon(origin.send(get("/hello"))).await.unwrap_err();
    assert!(error.unsent(), "{error}");
}

#[tokio::test]
async fn trailers_arrive_after_the_body() {
    let server = Scripted::start(|_, mut talk| {
        while talk.read_request().is_some() {
            talk.write("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n");
        }
    });
    let pool = pool(PoolConfig::default());
    let collected =
        soon(soon(pool.send(&server.origin(), get("/"))).await.unwrap().into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), Bytes::from_static(b"ok"));
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn an_exchange_is_polled_only_when_its_socket_has_news() {
    let server = Scripted::constant("hello");
    let pool = pool(PoolConfig::default());
    let origin = pool.origin(&server.origin());
    assert_eq!(text(soon(origin.send(get("/"))).await.unwrap()).await, "hello");
    let mut polls = 0;
    for _ in 0..100 {
        let mut exchange =
            std::pin::pin!(async { origin.send(post("/", "ping")).await.unwrap().into_body().collect().await });
        let answer = soon(std::future::poll_fn(|cx| {
            polls += 1;
            exchange.as_mut().poll(cx)
        }));
        assert_eq!(answer.await.unwrap().to_bytes(), "hello");
    }
    // Once to send and once to receive; a few more, where the runtime says so for reasons of its own.
    assert!(polls <= 220, "{polls} polls for 100 exchanges");
    assert_eq!(server.connections(), 1);
}
