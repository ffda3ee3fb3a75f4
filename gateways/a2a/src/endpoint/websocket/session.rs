//! One socket: what comes in, the requests in work, and how it ends.
//!
//! All of it is one task: requests are futures that this task polls, so that whatever ends the socket drops them
//! together. That ends streams and waiting, never tasks, as with any client that goes away.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, Method};
use moongate_core::{Arrival, Code, Operation, Problem};
use moongate_transport::websocket::{Deaf, Ears, Heard, Mouth};
use moongate_wire::a2a::{Binding, Dialect, Version, error};
use moongate_wire::peek::{self, RpcId};
use tokio::sync::Notify;

use super::frame;
use super::pulse::{Beat, Pulse};
use super::queue::{self, Out};
use crate::dispatch::Reply;
use crate::endpoint::decode::{self, Speaker};
use crate::endpoint::encode::{self, Manner};
use crate::endpoint::path::Place;
use crate::endpoint::vigil::Over;
use crate::endpoint::{Answered, Endpoint, Failure};
use crate::supply::Stream;

/// Requests in work on one socket.
const REQUESTS: usize = 64;
/// Refusals that may wait to be written before nothing more is read.
const REFUSALS: usize = 16;
/// How long the last frames may take to go out.
const LAST_WORDS: Duration = Duration::from_secs(5);

const DIALECT: Dialect = Dialect { binding: Binding::JsonRpc, version: Version::V1 };

/// What all requests of a socket have in common.
pub(super) struct Line {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) arrival: Arrival,
    pub(super) place: Place,
    pub(super) headers: HeaderMap,
}

/// Close codes of this binding (its document, *Closing*).
mod code {
    pub(super) const NORMAL: u16 = 1000;
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const UNSUPPORTED: u16 = 1003;
    pub(super) const NOT_TEXT: u16 = 1007;
    pub(super) const TOO_LARGE: u16 = 1009;
    pub(super) const RESTART: u16 = 1012;
    pub(super) const BAD_FRAME: u16 = 4000;
    pub(super) const UNKNOWN_CALLER: u16 = 4001;
    pub(super) const VERSION: u16 = 4002;
}

/// How a socket ends.
enum End {
    /// The other side is gone already.
    Gone,
    /// With a close frame.
    Close(u16, String),
}

impl End {
    fn of(code: u16, problem: &Problem) -> Self {
        Self::Close(code, format!("{}: {}", problem.code, problem.detail))
    }
}

/// Serves a socket to its end.
pub(super) async fn serve(
    line: Line,
    over: Over,
    (mut ears, mouth): (Ears, Mouth),
    limit: usize,
    version: Result<(), Problem>,
) {
    if let Err(problem) = version {
        return mouth.close(ears, code::VERSION, &format!("{}: {}", problem.code, problem.detail)).await;
    }
    let (out, queue) = queue::queue();
    let mut writing = pin!(queue::write(mouth, queue));
    let mut session = Session::new(line, out, limit);
    let end = tokio::select! {
        end = session.listen(&mut ears, over) => end,
        _ = &mut writing => End::Gone,
    };
    drop(session);
    let End::Close(code, reason) = end else { return };
    if let Ok(Some(mouth)) = tokio::time::timeout(LAST_WORDS, writing).await {
        mouth.close(ears, code, &reason).await;
    }
}

/// A request that is over.
struct Done {
    key: Option<Box<str>>,
    /// The caller is not known any more.
    unknown: bool,
}

struct Session {
    line: Arc<Line>,
    out: Out,
    limit: usize,
    /// The ids in use, each with the bell that ends its stream.
    busy: HashMap<Box<str>, Arc<Notify>>,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>,
    pulse: Pulse,
    draining: bool,
}

impl Session {
    fn new(line: Line, out: Out, limit: usize) -> Self {
        let clock = &line.endpoint.gateway.clock;
        let pulse = Pulse::new(clock.mono());
        Self {
            line: Arc::new(line),
            out,
            limit,
            busy: HashMap::new(),
            work: FuturesUnordered::new(),
            pulse,
            draining: false,
        }
    }

    /// Takes frames and carries them out until something ends the socket.
    async fn listen(&mut self, ears: &mut Ears, mut over: Over) -> End {
        let clock = self.line.endpoint.gateway.clock.clone();
        let mut drain = pin!(self.line.endpoint.drain.started());
        loop {
            if self.draining && self.work.is_empty() {
                return End::of(code::RESTART, &draining());
            }
            let wait = match self.pulse.beat(clock.mono()) {
                Beat::Wait(span) => span,
                Beat::Ping => {
                    self.out.ping();
                    continue;
                }
                Beat::Gone => return End::Gone,
            };
            let reads = self.busy.len() + REFUSALS >= self.work.len();
            tokio::select! {
                biased;
                why = &mut over => return End::of(code::UNKNOWN_CALLER, &why),
                Some(done) = self.work.next() => {
                    if let Some(key) = done.key {
                        self.busy.remove(&key);
                    }
                    if done.unknown {
                        return End::of(code::UNKNOWN_CALLER, &Problem::new(Code::Unauthenticated, "the caller is not known"));
                    }
                }
                () = &mut drain, if !self.draining => self.draining = true,
                heard = ears.hear(), if reads => {
                    self.pulse.heard(clock.mono());
                    if let Some(end) = self.hear(heard) {
                        return end;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn hear(&mut self, heard: Result<Heard, Deaf>) -> Option<End> {
        let (code, problem) = match heard {
            Ok(Heard::Text(text)) => return self.take(text),
            Ok(Heard::Alive) => return None,
            Ok(Heard::Closing) => return Some(End::Close(code::NORMAL, String::new())),
            Ok(Heard::Binary) => {
                (code::UNSUPPORTED, Problem::new(Code::NotARequest, "binary frames are not part of this binding"))
            }
            Err(Deaf::TooLarge) => {
                let detail = format!("the frame is larger than {} bytes", self.limit);
                (code::TOO_LARGE, Problem::new(Code::BodyTooLarge, detail))
            }
            Err(Deaf::NotText) => (code::NOT_TEXT, Problem::new(Code::BodyNotUtf8, "the frame is not UTF-8")),
            Err(Deaf::Malformed(error)) => {
                tracing::debug!(%error, "a socket broke");
                (code::PROTOCOL, Problem::new(Code::NotARequest, "that is no WebSocket frame"))
            }
            Err(Deaf::Gone) => return Some(End::Gone),
        };
        Some(End::of(code, &problem))
    }

    /// Takes one text frame.
    fn take(&mut self, text: Bytes) -> Option<End> {
        let settings = self.line.endpoint.gateway.settings.load_full();
        let frame = match peek::frame(&text, &settings.json) {
            Ok(frame) => frame,
            Err(problem) if problem.code == Code::BatchRefused => return Some(End::of(code::UNSUPPORTED, &problem)),
            Err(problem) if problem.code == Code::BodyNotJson || !is_object(&text) => {
                return Some(End::of(code::BAD_FRAME, &problem));
            }
            // The object has an id perhaps, but one that could be read in two ways.
            Err(problem) => return self.refuse(b"null", &problem),
        };
        let id = match frame.id {
            RpcId::Raw(span) if span.bytes(&text) != b"null" => span,
            _ => {
                let why =
                    "the member id is missing: a socket carries no notifications, and answers are told apart by it";
                return self.refuse(b"null", &Problem::new(Code::NotARequest, why));
            }
        };
        let (raw, key) = (id.of(&text), frame::key(&text, id));
        let not_now = if let Some(problem) = &frame.wrong {
            Some((**problem).clone())
        } else if frame.cancels {
            if !frame.is_request {
                // Of a stream that has just ended by itself there is nothing left to end.
                self.busy.get(&key).inspect(|bell| bell.notify_one());
                return None;
            }
            Some(Problem::new(Code::NotARequest, "a frame is a request or ends a stream, not both"))
        } else if self.busy.contains_key(&key) {
            Some(Problem::new(Code::NotARequest, "the id is in use on this socket"))
        } else if self.draining {
            Some(draining())
        } else if self.busy.len() >= REQUESTS {
            Some(Problem::new(Code::Overloaded, format!("{REQUESTS} requests are in work on this socket already")))
        } else {
            None
        };
        if let Some(problem) = not_now {
            return self.refuse(&raw, &problem);
        }
        let bell = Arc::new(Notify::new());
        self.busy.insert(key.clone(), bell.clone());
        let (line, out) = (self.line.clone(), self.out.clone());
        self.work.push(Box::pin(async move {
            let unknown = line.answer(text, frame, raw, &bell, &out).await;
            Done { key: Some(key), unknown }
        }));
        None
    }

    /// Answers with an error, without making a request of the frame.
    fn refuse(&mut self, id: &[u8], problem: &Problem) -> Option<End> {
        let (text, out) = (error::to_jsonrpc(problem, Version::V1, id), self.out.clone());
        self.work.push(Box::pin(async move {
            out.put(text).await;
            Done { key: None, unknown: false }
        }));
        None
    }
}

fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

fn draining() -> Problem {
    Problem::new(Code::Draining, "the gateway is shutting down; connect again")
}

impl Line {
    /// Answers one request to its end; tells whether the caller was not known.
    async fn answer(&self, text: Bytes, frame: peek::Frame, id: Bytes, bell: &Notify, out: &Out) -> bool {
        let failure = match self.carry_out(&text, &frame, id).await {
            Ok(Answered { reply: Reply::Whole(whole), manner, activated, .. }) => {
                match encode::rpc_whole(&whole, &manner) {
                    Ok(response) => {
                        out.put(frame::naming(response, activated.as_ref())).await;
                        return false;
                    }
                    Err(problem) => Failure::new(problem, DIALECT, manner.id),
                }
            }
            Ok(Answered { reply: Reply::Stream(events), manner, activated, .. }) => {
                self.relay(events, &manner, activated, bell, out).await;
                return false;
            }
            Err(failure) => failure,
        };
        let Failure { problem, id, .. } = failure;
        out.put(error::to_jsonrpc(&problem, Version::V1, &id)).await;
        problem.code == Code::Unauthenticated
    }

    /// Takes the way of every request; the frame is the body that the JSON-RPC binding would have got.
    async fn carry_out(&self, text: &Bytes, frame: &peek::Frame, id: Bytes) -> Result<Answered, Failure> {
        let gateway = &self.endpoint.gateway;
        let fail = |problem| Failure::new(problem, DIALECT, id.clone());
        let mut parts = http::Request::new(()).into_parts().0;
        parts.method = Method::POST;
        parts.headers = frame::headers(&self.headers, frame).map_err(fail)?;
        let speaker = Speaker::of(&self.place, &parts);
        if speaker.version().map_err(fail)? != Some(Version::V1) {
            return Err(fail(Problem::new(Code::UnsupportedVersion, "this binding is of A2A 1.0 alone")));
        }
        let settings = gateway.settings.load_full();
        let decoded = decode::decode(&self.place, parts, frame.request(text), &speaker, &settings);
        let turned_away = |failure: &Failure| self.endpoint.turned_away(&self.arrival, &self.place, &failure.problem);
        let decoded = decoded.inspect_err(turned_away)?;
        if frame.from.is_some() && decoded.call.operation != Operation::Subscribe {
            let why = "belongs to SubscribeToTask alone";
            return Err(fail(Problem::new(Code::InvalidParams, format!("fromSeq {why}")).field("fromSeq", why)));
        }
        let arrival = Arrival { at: gateway.clock.mono(), ..self.arrival.clone() };
        self.endpoint.carry_out(arrival, decoded, false).await
    }

    /// Hands a stream on, event by event, as fast as the socket takes them.
    async fn relay(
        &self,
        mut events: Stream,
        manner: &Manner,
        mut activated: Option<http::HeaderValue>,
        bell: &Notify,
        out: &Out,
    ) {
        let mut drain = pin!(self.endpoint.drain.started());
        loop {
            let next = tokio::select! {
                biased;
                () = bell.notified() => None,
                next = events.next() => next,
                () = &mut drain => Some(Err(draining())),
            };
            let piece = match next {
                Some(Ok(piece)) => piece,
                Some(Err(problem)) => {
                    if let Some(inside) = &problem.inside {
                        tracing::warn!(code = %problem.code, inside, "a stream broke: {}", problem.detail);
                    }
                    return out.put(frame::broken(&problem, &manner.id)).await;
                }
                None => break,
            };
            let event = frame::event(&manner.id, &piece.canonical, piece.seq);
            let event = frame::naming(event, activated.take().as_ref());
            let stopped = tokio::select! {
                biased;
                () = out.put(event) => false,
                () = bell.notified() => true,
            };
            if piece.last || stopped {
                break;
            }
        }
        // What the stream holds is let go before the client may use its id again.
        drop(events);
        out.put(frame::end(&manner.id)).await;
    }
}
