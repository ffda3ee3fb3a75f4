//! Fetching for other rooms: the guard is asked about everything before anything connects.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use moongate_core::seam::{Dialer, Egress, Fetch, Later};
use moongate_core::{Code, Problem};
use moongate_transport::{HttpDialer, Pool, PoolConfig, Resolve};

use crate::support::{Scripted, client_config, soon};

/// Answers every name with the same addresses.
struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve(&self, _host: String, port: u16) -> Later<'_, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(self.0.iter().map(|ip| SocketAddr::new(*ip, port)).collect()) })
    }
}

/// Lets one address through and remembers what it was asked.
#[derive(Default)]
struct Judge {
    lets: Vec<IpAddr>,
    urls: Mutex<Vec<String>>,
    asked: Mutex<Vec<IpAddr>>,
}

impl Egress for Judge {
    fn judge_url(&self, url: &str) -> Result<(), Problem> {
        self.urls.lock().unwrap().push(url.to_owned());
        if url.contains("forbidden") { Err(Problem::new(Code::EgressRefused, "no")) } else { Ok(()) }
    }

    fn allows(&self, address: SocketAddr, _secure: bool) -> bool {
        self.asked.lock().unwrap().push(address.ip());
        self.lets.contains(&address.ip())
    }
}

fn dialer(addresses: &[&str]) -> HttpDialer {
    let resolver = Fixed(addresses.iter().map(|text| text.parse().unwrap()).collect());
    let tls = client_config(rustls::RootCertStore::empty());
    HttpDialer::new(Pool::with_resolver(PoolConfig::default(), &tls, Arc::new(resolver)))
}

fn judge(lets: &[&str]) -> Arc<Judge> {
    Arc::new(Judge { lets: lets.iter().map(|text| text.parse().unwrap()).collect(), ..Judge::default() })
}

fn fetch(url: String, egress: Option<Arc<Judge>>) -> Fetch {
    Fetch {
        method: "POST",
        url,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from_static(b"{}"),
        timeout_ms: 5000,
        limit: 1024,
        body_wanted: true,
        egress: egress.map(|judge| judge as Arc<dyn Egress>),
    }
}

#[tokio::test]
async fn a_refused_answer_is_dropped_and_a_judged_one_connected_to() {
    let server = Scripted::constant("pong");
    let judge = judge(&["127.0.0.1"]);
    let url = format!("http://callback.example:{}/hook", server.address.port());
    let fetched = soon(dialer(&["10.0.0.1", "127.0.0.1", "::1"]).fetch(fetch(url.clone(), Some(judge.clone())))).await;
    let fetched = fetched.unwrap();
    assert_eq!((fetched.status, &fetched.body[..]), (200, &b"pong"[..]));
    assert_eq!(fetched.header("content-length"), Some("4"));
    assert_eq!(*judge.urls.lock().unwrap(), [url]);
    assert_eq!(judge.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_name_of_refused_addresses_looks_unreachable_and_nothing_connects() {
    let server = Scripted::constant("pong");
    let url = format!("http://callback.example:{}/hook", server.address.port());
    let problem = soon(dialer(&["127.0.0.1"]).fetch(fetch(url, Some(judge(&[]))))).await.unwrap_err();
    assert_eq!(problem.code, Code::AgentUnreachable);
    assert!(!problem.detail.contains("127.0.0.1") && !problem.detail.contains("guard"), "{problem}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_literal_address_is_judged_too() {
    let server = Scripted::constant("pong");
    let judge = judge(&[]);
    let url = format!("http://{}/hook", server.address);
    assert!(soon(dialer(&[]).fetch(fetch(url, Some(judge.clone())))).await.is_err());
    assert_eq!(*judge.asked.lock().unwrap(), [server.address.ip()]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_judge_of_the_url_has_the_first_word() {
    let judge = judge(&["127.0.0.1"]);
    let url = "http://forbidden.example/hook".to_owned();
    let problem = soon(dialer(&["127.0.0.1"]).fetch(fetch(url, Some(judge.clone())))).await.unwrap_err();
    assert_eq!(problem.code, Code::EgressRefused);
    assert!(judge.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_guarded_call_never_uses_a_kept_connection() {
    let server = Scripted::constant("pong");
    let dialer = dialer(&["127.0.0.1"]);
    let url = format!("http://callback.example:{}/hook", server.address.port());
    soon(dialer.fetch(fetch(url.clone(), None))).await.unwrap();
    soon(dialer.fetch(fetch(url.clone(), None))).await.unwrap();
    assert_eq!(server.connections(), 1);
    assert!(soon(dialer.fetch(fetch(url.clone(), Some(judge(&[]))))).await.is_err());
    soon(dialer.fetch(fetch(url, Some(judge(&["127.0.0.1"]))))).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let target = Scripted::constant("inside");
    let location = format!("http://{}/", target.address);
    let server = Scripted::start(move |_, mut talk| {
        talk.read_request().unwrap();
        talk.write(&format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"));
        talk.read_request();
    });
    let url = format!("http://callback.example:{}/", server.address.port());
    let fetched = soon(dialer(&["127.0.0.1"]).fetch(fetch(url, None))).await.unwrap();
    assert_eq!(fetched.status, 302);
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_cut_off() {
    for head in ["content-length: 100000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n10000\r\n"] {
        let server = Scripted::start(move |_, mut talk| {
            talk.read_request().unwrap();
            talk.write(&format!("HTTP/1.1 200 OK\r\n{head}{}", "x".repeat(2000)));
            talk.read_request();
        });
        let url = format!("http://callback.example:{}/", server.address.port());
        let problem = soon(dialer(&["127.0.0.1"]).fetch(fetch(url.clone(), None))).await.unwrap_err();
        assert_eq!(problem.code, Code::AgentAnswerTooLarge);
        let careless = Fetch { body_wanted: false, ..fetch(url, None) };
        assert_eq!(
            soon(dialer(&["127.0.0.1"]).fetch(careless)).await.unwrap().status,
            200,
            "who asks for no body gets none"
        );
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let server = Scripted::start(|_, mut talk| {
        talk.read_request().unwrap();
        talk.read_request();
    });
    let url = format!("http://callback.example:{}/", server.address.port());
    let request = Fetch { timeout_ms: 100, ..fetch(url, None) };
    let problem = soon(dialer(&["127.0.0.1"]).fetch(request)).await.unwrap_err();
    assert_eq!(problem.code, Code::AgentTimeout);
}

#[tokio::test]
async fn a_dead_address_does_not_hide_a_living_one() {
    let server = Scripted::constant("pong");
    let url = format!("http://agent.example:{}/", server.address.port());
    // Nobody listens on that port of 127.0.0.2.
    let fetched = soon(dialer(&["127.0.0.2", "127.0.0.1"]).fetch(fetch(url, None))).await.unwrap();
    assert_eq!(&fetched.body[..], b"pong");
}
