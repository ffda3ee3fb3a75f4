//! A receiver of push notifications, which answers as it is told and remembers everything.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::soon;

/// One notification.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The path, with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, if it is JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Bytes,
    /// What it was answered with.
    pub answered: u16,
}

impl Delivery {
    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A running receiver; ends when dropped.
pub struct Receiver {
    address: SocketAddr,
    got: watch::Receiver<Vec<Delivery>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts one that says 204 to everything.
    pub async fn start() -> Self {
        Self::answering(&[]).await
    }

    /// Starts one that answers with these statuses first, then with 204.
    pub async fn answering(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, got) = watch::channel(Vec::new());
        let statuses: VecDeque<u16> = statuses.iter().copied().collect();
        let server = tokio::spawn(serve(listener, Arc::new(told), Arc::new(Mutex::new(statuses))));
        Self { address, got, server }
    }

    /// A URL of its own for each path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that came.
    pub fn got(&self) -> Vec<Delivery> {
        self.got.borrow().clone()
    }

    /// Waits until what came satisfies the test, and returns it.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let mut got = self.got.clone();
        soon(what, got.wait_for(|all| enough(all))).await.unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, told: Arc<watch::Sender<Vec<Delivery>>>, statuses: Arc<Mutex<VecDeque<u16>>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (told, statuses) = (told.clone(), statuses.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (told, statuses) = (told.clone(), statuses.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let answered = statuses.lock().unwrap().pop_front().unwrap_or(204);
                let path = parts.uri.to_string();
                let (bytes, body) = (body.clone(), serde_json::from_slice(&body).unwrap_or_default());
                told.send_modify(|all| all.push(Delivery { path, headers: parts.headers, body, bytes, answered }));
                Ok::<_, Infallible>(Response::builder().status(answered).body(Empty::<Bytes>::new()).unwrap())
            }
        });
        connections.spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
