//! One agent of the demonstration: a process of its own with a port of its own, found by its card.
//!
//! The agents share what has nothing to do with A2A (listening, ending with their parent) and a memory of tasks; what
//! they speak is written out by hand in each of them. Nothing of the gateway's reading or translating is used here, so
//! gateway and agents understand each other only because both follow the protocol.
//!
//! - stdout says `READY <port>` once the port is open.
//! - With `--until-stdin-closes` the agent ends when its parent does, however that ended.

mod environment;
mod lighting;
mod message;
mod refusal;
mod rpc;
mod security;
mod tasks;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use moongate_core::Problem;
use moongate_transport::{Drain, Handler, Listen, Peer, bind, serve};
use serde_json::Value;

use crate::cli::output::data;
use crate::cli::{Ending, Failure, runtime, terminated};

const CARD: &str = "/.well-known/agent-card.json";
/// A command to a lamp is never longer.
const BODY: usize = 256 * 1024;
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Arguments of one agent of the demonstration.
#[derive(Args)]
pub(crate) struct DemoAgent {
    /// Which agent.
    role: RoleName,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End when standard input is closed.
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    /// Lamps; A2A 1.0, HTTP+JSON.
    Lighting,
    /// Doors and alarm; A2A 1.0, JSON-RPC, with streams.
    Security,
    /// Heating; A2A 0.3, JSON-RPC.
    Environment,
}

/// Runs one agent until it is told to stop.
pub(crate) fn agent(arguments: &DemoAgent) -> Result<Ending, Failure> {
    runtime()?.block_on(async {
        match arguments.role {
            RoleName::Lighting => run(arguments, lighting::Lighting::default()).await,
            RoleName::Security => run(arguments, security::Security::default()).await,
            RoleName::Environment => run(arguments, environment::Environment::default()).await,
        }?;
        Ok(Ending::Yes)
    })
}

async fn run<R: Role>(arguments: &DemoAgent, role: R) -> Result<(), Problem> {
    let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)))?;
    let address = bound.local_addr();
    let handler = Arc::new(Served { role: Arc::new(role), base: format!("http://{address}") });
    let drain = Drain::new();
    let serving = tokio::spawn(serve(bound, Listen::default(), handler, drain.clone()));
    data(&format!("READY {}", address.port()));
    tokio::select! {
        () = terminated() => {}
        () = stdin_closed(arguments.until_stdin_closes) => {}
    }
    drain.begin();
    drain.drained(LAST_REQUESTS).await;
    let _ = serving.await;
    Ok(())
}

/// Ready when nobody holds the other end of standard input any more. Reading blocks, so a thread does it.
async fn stdin_closed(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (closed, heard) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut ignored = [0; 64];
        while stdin.read(&mut ignored).is_ok_and(|read| read > 0) {}
        let _ = closed.send(());
    });
    let _ = heard.await;
}

/// A request as an agent sees it.
struct Asked {
    method: Method,
    path: String,
    query: String,
    version: String,
    body: Bytes,
}

/// What an agent answers.
enum Answer {
    Json(StatusCode, Value),
    Events(Events),
}

/// The data of server-sent events.
type Events = Pin<Box<dyn Stream<Item = Value> + Send>>;

/// What makes one agent differ from another.
trait Role: Send + Sync + 'static {
    /// The content type of its answers.
    const CONTENT_TYPE: &'static str;
    /// Its card; `base` is its own address.
    fn card(&self, base: &str) -> Value;
    /// Answers everything else.
    fn answer(self: &Arc<Self>, asked: Asked) -> impl Future<Output = Answer> + Send;
}

struct Served<R> {
    role: Arc<R>,
    base: String,
}

impl<R: Role> Handler for Served<R> {
    type Body = UnsyncBoxBody<Bytes, Infallible>;

    async fn handle(self: &Arc<Self>, _peer: Peer, request: Request<Incoming>) -> Response<Self::Body> {
        let (head, body) = request.into_parts();
        if head.uri.path() == CARD && matches!(head.method, Method::GET | Method::HEAD) {
            return json_response(StatusCode::OK, "application/json", &self.role.card(&self.base));
        }
        let Ok(body) = Limited::new(body, BODY).collect().await else {
            let words = serde_json::json!({"error": {"code": 413, "message": "the body is too large or broke off"}});
            return json_response(StatusCode::PAYLOAD_TOO_LARGE, "application/json", &words);
        };
        let version = head.headers.get("a2a-version").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = Asked {
            version: version.to_owned(),
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: body.to_bytes(),
        };
        match self.role.answer(asked).await {
            Answer::Json(status, value) => json_response(status, R::CONTENT_TYPE, &value),
            Answer::Events(events) => {
                let frames = events.map(|event| Ok(Frame::data(Bytes::from(format!("data: {event}\n\n")))));
                response(StatusCode::OK, "text/event-stream", StreamBody::new(frames).boxed_unsync())
            }
        }
    }
}

fn json_response(status: StatusCode, kind: &'static str, value: &Value) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    response(status, kind, Full::from(value.to_string()).boxed_unsync())
}

fn response<B>(status: StatusCode, kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
