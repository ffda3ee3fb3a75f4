//! The fixture agent: speaks A2A JSON-RPC 1.0 and 0.3 and answers at once, with as little work as an honest answer
//! takes, so that what stands before it is what is measured.
//!
//! - `POST /message` answers a send with a bare Message, `POST /task` with a finished Task, `POST /legacy` as
//!   `/message` but with a 0.3 card; `/n/{i}` are any number of further agents like `/message`.
//! - Streams: Task, statusUpdate working, artifactUpdates, statusUpdate completed, each flushed by itself; at `/paced`
//!   with a pause between two events, as an agent that thinks.
//! - `GET {base}/.well-known/agent-card.json` is the card; without a base, that of `/message`.
//!
//! The method's name says the version. Answers repeat the request's `id`, `messageId` (as `re-…`) and `contextId`, so
//! that the caller can tell that this answer belongs to its request.

mod answer;
mod body;
mod card;
mod request;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::fault::Fault;
use crate::{Ending, runtime};
use answer::Dialect;
use body::{Events, Reply};
use request::Rpc;

/// `moongate-bench agent`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many artifactUpdates a stream has, between its first two events and its last.
    #[arg(long, default_value_t = 20)]
    artifacts: u32,
    /// The pause between two events at `/paced`.
    #[arg(long, default_value_t = 10)]
    pause_ms: u64,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// What every request needs to know.
struct Agent {
    address: SocketAddr,
    artifacts: u32,
    pause: Duration,
}

/// Serves until it is stopped.
pub(crate) fn main(options: &Options) -> Result<Ending, Fault> {
    runtime(options.threads)?.block_on(serve(options)).map_err(|error| Fault::new("agent", error))?;
    Ok(Ending::Yes)
}

async fn serve(options: &Options) -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let address = listener.local_addr()?;
    println!("READY {}", address.port());
    let pause = Duration::from_millis(options.pause_ms);
    let agent = Arc::new(Agent { address, artifacts: options.artifacts, pause });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let agent = agent.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let agent = agent.clone();
                async move { Ok::<_, Infallible>(agent.answer(request).await) }
            });
            // A caller that hangs up is no concern of an agent's.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Agent {
    async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        let base = request.uri().path().trim_matches('/').to_owned();
        if let Some(base) = base.strip_suffix(".well-known/agent-card.json") {
            return match *request.method() {
                Method::GET => json(card::card(base.trim_matches('/'), self.address)),
                _ => status(StatusCode::METHOD_NOT_ALLOWED),
            };
        }
        if *request.method() != Method::POST || base.is_empty() {
            return status(StatusCode::NOT_FOUND);
        }
        let Ok(body) = request.into_body().collect().await else { return status(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let Some(rpc) = Rpc::read(&body) else { return status(StatusCode::BAD_REQUEST) };
        let pause = (base == "paced").then_some(self.pause);
        match &*rpc.method {
            "SendMessage" if base == "task" => json(answer::task(Dialect::V1, &rpc)),
            "SendMessage" => json(answer::message(Dialect::V1, &rpc)),
            "message/send" if base == "task" => json(answer::task(Dialect::V03, &rpc)),
            "message/send" => json(answer::message(Dialect::V03, &rpc)),
            "SendStreamingMessage" => stream(Events::new(Dialect::V1, &rpc, self.artifacts, pause)),
            "message/stream" => stream(Events::new(Dialect::V03, &rpc, self.artifacts, pause)),
            _ => json(answer::unknown_method(&rpc)),
        }
    }
}

fn json(body: String) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn stream(events: Events) -> Response<Reply> {
    let mut response = Response::new(Reply::Events(events));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn status(code: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(bytes::Bytes::new()));
    *response.status_mut() = code;
    response
}
