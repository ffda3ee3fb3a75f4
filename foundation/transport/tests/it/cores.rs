//! A runtime for each core: connections are spread over them, and stay.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use moongate_transport::{Cores, Drain, Handler, Listen, Origin, Peer, Pool, PoolConfig, bind, serve};

use crate::support::{PATIENCE, Scripted, get, pool, soon, text};

/// Asks an origin for each request, and says which thread did so.
struct Forwarding {
    pool: Pool,
    origin: Origin,
}

impl Handler for Forwarding {
    type Body = Full<Bytes>;

    async fn handle(self: &Arc<Self>, _peer: Peer, _request: Request<Incoming>) -> Response<Full<Bytes>> {
        let answer = text(soon(self.pool.send(&self.origin, get("/"))).await.unwrap()).await;
        let thread = std::thread::current().name().unwrap().to_owned();
        Response::new(format!("{answer} by {thread}").into())
    }
}

fn start(server: &Scripted, cores: usize, max_per_origin: usize) -> (SocketAddr, Drain, Arc<Cores>) {
    let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = bound.local_addr();
    let config = PoolConfig { cores, max_per_origin, connect_timeout: PATIENCE, ..PoolConfig::default() };
    let handler = Arc::new(Forwarding { pool: pool(config), origin: server.origin() });
    let cores = Arc::new(Cores::start(cores).unwrap());
    let listen = Listen { cores: Some(cores.clone()), ..Listen::default() };
    let drain = Drain::new();
    tokio::spawn(serve(bound, listen, handler, drain.clone()));
    (address, drain, cores)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One exchange on a kept connection; the body of the answer.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.contains("\r\n\r\nhello by core-") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

async fn ask_all(address: SocketAddr, connections: usize, rounds: usize) -> BTreeMap<String, usize> {
    let asking = tokio::task::spawn_blocking(move || {
        let mut open: Vec<TcpStream> = (0..connections).map(|_| connect(address)).collect();
        let mut seen = BTreeMap::new();
        for stream in &mut open {
            let first = ask(stream);
            for _ in 1..rounds {
                assert_eq!(ask(stream), first, "a connection stays on its core");
            }
            *seen.entry(first).or_default() += 1;
        }
        seen
    });
    soon(asking).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_spread_evenly_and_each_core_keeps_its_own_to_an_origin() {
    let server = Scripted::constant("hello");
    let (address, _drain, _cores) = start(&server, 3, 100);
    let seen = ask_all(address, 6, 3).await;
    let expected = [("hello by core-1", 2), ("hello by core-2", 2), ("hello by core-3", 2)];
    assert_eq!(seen, expected.map(|(text, count)| (text.to_owned(), count)).into());
    assert_eq!(server.connections(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_an_origin_takes_no_more_connections_a_core_uses_anothers() {
    let server = Scripted::constant("hello");
    let (address, _drain, _cores) = start(&server, 2, 1);
    let seen = ask_all(address, 2, 5).await;
    assert_eq!(seen.len(), 2);
    assert_eq!(server.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_on_cores_drain_like_others() {
    let server = Scripted::constant("hello");
    let (address, drain, _cores) = start(&server, 2, 10);
    let idle = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        ask(&mut stream);
        stream
    });
    let mut stream = soon(idle).await.unwrap();
    assert_eq!(drain.open(), 1);
    drain.begin();
    assert_eq!(soon(drain.drained(PATIENCE)).await, 0);
    let closed = tokio::task::spawn_blocking(move || stream.read(&mut [0; 16]));
    assert_eq!(soon(closed).await.unwrap().unwrap(), 0);
}
