//! The foreign sides: a scripted origin on a thread of its own, and a handler for our listeners.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use moongate_transport::{Bound, Drain, Handler, Listen, Origin, Peer, Pool, PoolBody, PoolConfig, bind, serve};
use tokio::sync::Notify;

/// Nothing here takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits with a deadline.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}

/// An origin that follows a script, one thread a connection.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    /// `script` gets the number of the connection, from 1, and the connection.
    pub(crate) fn start(script: impl Fn(usize, Conversation) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, script) = (Arc::clone(&connections), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                let script = Arc::clone(&script);
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || script(number, Conversation::new(stream)));
            }
        });
        Self { address, connections }
    }

    /// Answers every request with the same text, for ever.
    pub(crate) fn constant(text: &'static str) -> Self {
        Self::start(move |_, mut talk| {
            while talk.read_request().is_some() {
                talk.answer(text);
            }
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::parse(&format!("http://{}/", self.address), false).unwrap()
    }
}

/// One connection of the origin.
pub(crate) struct Conversation {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Conversation {
    fn new(stream: TcpStream) -> Self {
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    /// The head and body of the next request; `None` at the end.
    pub(crate) fn read_request(&mut self) -> Option<(String, Vec<u8>)> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
            if head[before..].trim().is_empty() {
                break;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut body).ok()?;
        Some((head, body))
    }

    pub(crate) fn write(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
    }

    pub(crate) fn answer(&mut self, text: &str) {
        self.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()));
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Closes in an orderly way: the peer sees the end of the stream.
    pub(crate) fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A pool that trusts nobody, for plaintext.
pub(crate) fn pool(config: PoolConfig) -> Pool {
    Pool::new(config, Arc::new(client_config(rustls::RootCertStore::empty())))
}

pub(crate) fn client_config(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::new(body.into())).unwrap()
}

pub(crate) async fn text(answer: Response<PoolBody>) -> String {
    let bytes = soon(answer.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Lets the runtime look at its sockets.
pub(crate) async fn look_at_sockets() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// Answers `/hello` (with the version), `/echo`, `/held` (when released), `/events` (until draining) and `/peer`.
pub(crate) struct Site {
    pub(crate) drain: Drain,
    pub(crate) entered: Notify,
    pub(crate) release: Notify,
    pub(crate) dropped: Arc<Notify>,
}

type SiteBody = UnsyncBoxBody<Bytes, Infallible>;

struct TellsWhenDropped(Arc<Notify>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Handler for Site {
    type Body = SiteBody;

    async fn handle(self: &Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<SiteBody> {
        let whole = |text: String| Response::new(Full::from(text).boxed_unsync());
        match request.uri().path() {
            "/echo" => Response::new(Full::new(request.into_body().collect().await.unwrap().to_bytes()).boxed_unsync()),
            "/held" => {
                let _tells = TellsWhenDropped(Arc::clone(&self.dropped));
                self.entered.notify_one();
                self.release.notified().await;
                whole("released".to_owned())
            }
            "/events" => {
                let started = self.drain.started();
                let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"data: first\n\n")))]);
                let last = futures_util::stream::once(async move {
                    started.await;
                    Ok(Frame::data(Bytes::from_static(b"data: last\n\n")))
                });
                Response::new(StreamBody::new(first.chain(last)).boxed_unsync())
            }
            "/peer" => whole(format!("{} {}", peer.remote.ip(), peer.secure)),
            _ => whole(format!("hello {:?}", request.version())),
        }
    }
}

/// A running listener with a [`Site`] behind it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) site: Arc<Site>,
    pub(crate) drain: Drain,
    pub(crate) listen: Listen,
}

impl Running {
    pub(crate) fn start(listen: Listen) -> Self {
        let bound: Bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.local_addr();
        let drain = Drain::new();
        let site = Arc::new(Site {
            drain: drain.clone(),
            entered: Notify::new(),
            release: Notify::new(),
            dropped: Arc::new(Notify::new()),
        });
        tokio::spawn(serve(bound, listen.clone(), Arc::clone(&site), drain.clone()));
        Self { address, site, drain, listen }
    }

    pub(crate) fn open(&self) -> usize {
        self.listen.open.load(Ordering::SeqCst)
    }

    pub(crate) fn origin(&self, scheme: &str, h2: bool) -> Origin {
        Origin::parse(&format!("{scheme}://localhost:{}/", self.address.port()), h2).unwrap()
    }
}
