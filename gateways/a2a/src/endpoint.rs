//! What the world sees: cards, and the A2A operations in three bindings and two versions on one port.
//!
//! - `GET /.well-known/agent-card.json`, `/.well-known/agent.json`, and the same under `/agents/{name}`
//! - `POST /a2a` and `/agents/{name}`: JSON-RPC, with and without a trailing slash
//! - `/a2a/message:send`, `/a2a/tasks/{id}`, … : HTTP+JSON; `/a2a/v1/…`: its 0.3 form; `POST /a2a/tasks`: the draft's
//! - `/lf.a2a.v1.A2AService/…`, `/a2a.v1.A2AService/…`: gRPC
//! - `/a2a/ws` and `/agents/{name}/ws`: JSON-RPC over WebSocket
//!
//! [`decode`] makes a call of a request, [`encode`] puts a reply into the client's binding, [`stream`] does so for
//! events. What lies between is the pipeline.

pub mod body;
mod cards;
mod decode;
mod encode;
mod intake;
mod path;
mod stream;
mod vigil;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use moongate_core::entry::{Deed, REFUSED};
use moongate_core::scope::Plane;
use moongate_core::seam::identify;
use moongate_core::{Arrival, Body, Code, Domain, Envelope, Listener, Mono, Principal, Problem, Target, TrafficClass};
use moongate_flow::{Dispatch, Flow, Ran, run};
use moongate_transport::Peer;
use moongate_wire::a2a::{Binding, Dialect, Version};

pub use body::ReplyBody;
pub use path::Place;
pub(crate) use websocket::BINDING as WEBSOCKET;

use crate::dispatch::{Live, Reply};
use crate::gateway::A2aGateway;
use crate::tasks::control::PAUSE_RESUME;
use decode::Decoded;
pub use vigil::{Over, Vigil};

/// The endpoint.
pub struct Endpoint {
    gateway: Arc<A2aGateway>,
    flow: Arc<Flow>,
    drain: moongate_transport::Drain,
    intake: intake::Intake,
}

impl Endpoint {
    /// An endpoint over this gateway and pipeline; streams are told when `drain` begins.
    pub fn new(gateway: Arc<A2aGateway>, flow: Arc<Flow>, drain: moongate_transport::Drain) -> Self {
        Self { gateway, flow, drain, intake: intake::Intake::default() }
    }

    /// The gateway behind it.
    pub fn gateway(&self) -> &Arc<A2aGateway> {
        &self.gateway
    }

    /// The end of all streams.
    pub fn drain(&self) -> &moongate_transport::Drain {
        &self.drain
    }

    /// How a request that begins now has come: a certificate of another domain makes it a foreign one.
    pub fn arrival(&self, listener: Listener, peer: Peer) -> Arrival {
        let Peer { remote, secure, certificate } = peer;
        let domain = match &certificate {
            Some(certificate) if *certificate.domain != *self.gateway.settings.load().domain => {
                Domain::Foreign(certificate.domain.clone())
            }
            _ => Domain::Local,
        };
        Arrival { listener, remote, secure, domain, certificate, at: self.gateway.clock.mono() }
    }

    /// Answers a request to one of our places.
    pub async fn handle(
        self: &Arc<Self>,
        listener: Listener,
        peer: Peer,
        place: Place,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        if let Place::Card { agent, older } = &place {
            return cards::answer(&self.gateway, listener, &request, agent.as_deref(), *older);
        }
        if place == Place::Keys {
            return cards::keys(&self.gateway, request.method());
        }
        let arrival = self.arrival(listener, peer);
        if let Place::Socket { agent } = place {
            return Box::pin(websocket::open(self, arrival, agent, request)).await;
        }
        let (parts, incoming) = request.into_parts();
        let speaker = decode::Speaker::of(&place, &parts);
        match self.answer(arrival, place, parts, incoming, &speaker).await {
            Ok(response) => response,
            Err(Failure { problem, dialect, id }) => encode::failure(&problem, dialect, &id, speaker.a2a_json),
        }
    }

    async fn answer(
        &self,
        arrival: Arrival,
        place: Place,
        parts: http::request::Parts,
        incoming: Incoming,
        speaker: &decode::Speaker,
    ) -> Result<Response<ReplyBody>, Failure> {
        let settings = self.gateway.settings.load_full();
        let fail = |problem| Failure::new(problem, speaker.dialect, Bytes::from_static(b"null"));
        let refused = |problem: Problem| {
            self.turned_away(&arrival, &place, &problem);
            fail(problem)
        };
        let who = self.gate(&arrival, &parts.headers).await.map_err(refused)?;
        // Kept until there is an answer: the body is needed for as long.
        let mut hold = self.intake.hold(&who, settings.body_bytes);
        let body = intake::collect(incoming, &parts, &mut hold).await.map_err(refused)?;
        let view = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "view=draft"));
        let decoded = decode::decode(&place, parts, body, speaker, &settings);
        let decoded = decoded.inspect_err(|failure| self.turned_away(&arrival, &place, &failure.problem))?;
        // Apart, so that whoever never ends a body does not hold the memory for all that would come after it.
        let Answered { reply, manner, activated, over } = Box::pin(self.carry_out(arrival, decoded, view)).await?;
        let mut response = match reply {
            Reply::Whole(whole) => encode::whole(whole, &manner)
                .map_err(|problem| Failure::new(problem, manner.dialect, manner.id.clone()))?,
            Reply::Stream(events) => stream::response(events, &manner, self.drain.clone(), over),
        };
        if let Some(list) = activated {
            response.headers_mut().insert("a2a-extensions", list);
        }
        Ok(response)
    }

    /// Enters in the record what never came so far that anybody knew what it wants. Who it is from is not said, as that may be
    /// what was wrong.
    fn turned_away(&self, arrival: &Arrival, place: &Place, problem: &Problem) {
        let target = place.agent().map_or_else(|| "-".into(), Into::into);
        self.gateway.recorder.note(Deed {
            operation: REFUSED.into(),
            source: "-".into(),
            domain: "-".into(),
            address: Some(arrival.remote.ip().to_canonical()),
            target,
            result: "failed",
            code: Some(problem.code),
            detail: None,
            about: None,
            intent: None,
            at: self.gateway.clock.now(),
        });
    }

    /// Who asks, as far as that is known before the body is read. Where nobody is let in without a credential, strangers
    /// are turned away here.
    async fn gate(&self, arrival: &Arrival, headers: &http::HeaderMap) -> Result<Arc<Principal>, Problem> {
        let verifier = &*self.flow.verifier;
        if let Some(Ok(who)) = verifier.known(arrival, None) {
            return Ok(who);
        }
        let who = identify(verifier, arrival, credential(headers)).await?;
        if who.scopes.any(Plane::A2a) {
            return Ok(who);
        }
        Err(Problem::new(Code::InsufficientScope, "the token gives no scope here").field("scope", "a2a:*:send"))
    }

    /// Sends a decoded request through the pipeline, whatever it came by.
    async fn carry_out(&self, arrival: Arrival, decoded: Decoded, view: bool) -> Result<Answered, Failure> {
        let settings = self.gateway.settings.load_full();
        let Decoded { call, head } = decoded;
        let manner = encode::Manner {
            dialect: call.dialect,
            style: call.style,
            plain_bytes: call.reads_plain_bytes(),
            id: call.rpc_id.clone(),
            a2a_json: call.service.a2a_json,
            operation: call.operation,
            draft: call.draft,
            view,
            base: call.base.clone(),
        };
        let declared = call.service.extensions.clone();
        let credential = credential(&call.headers).map(str::to_owned);
        let trace = self.trace(&call.headers, settings.traces, settings.sample_per_million);
        let vigil =
            manner.operation.is_streaming().then(|| Vigil::new(&self.flow.verifier, &arrival, credential.as_deref()));
        let envelope = Envelope {
            id: self.gateway.request_id(),
            arrival,
            head,
            body: Body::Whole(call.body.clone()),
            trace,
            class: TrafficClass::Normal,
            deadline: self.deadline(settings.request_timeout),
        };
        let Ran { trail, result } =
            run(&self.flow, &*self.gateway, &Live(&self.gateway), envelope, credential.as_deref(), call).await;
        let reply = result.map_err(|problem| Failure::new(problem, manner.dialect, manner.id.clone()))?;
        let over: Over = match (vigil, trail.principal) {
            (Some(vigil), Some(who)) => vigil.over(who, self.gateway.clock.clone()),
            _ => Box::pin(std::future::pending()),
        };
        let target = trail.route.map(|route| route.target);
        let activated = if declared.is_empty() { None } else { self.activated(&declared, target) };
        Ok(Answered { reply, manner, activated, over })
    }

    fn deadline(&self, limit: std::time::Duration) -> Mono {
        self.gateway.clock.mono().plus(limit)
    }

    /// The trace that the request belongs to; `None` if nobody traces.
    fn trace(
        &self,
        headers: &http::HeaderMap,
        exports: bool,
        sample: u32,
    ) -> Option<moongate_core::seam::TraceContext> {
        let header = headers.get("traceparent").and_then(|value| value.to_str().ok());
        (exports || header.is_some()).then(|| moongate_telemetry::trace::start(header, sample))
    }

    /// Names the extensions that took effect: ours, and those that the agent knows (A2A 1.0 §3.2.6).
    fn activated(&self, declared: &[String], target: Option<Target>) -> Option<http::HeaderValue> {
        let directory = self.gateway.directory.load();
        let agent = match &target {
            Some(Target::Agent { agent, .. }) => directory.agents.get(agent),
            _ => None,
        };
        let known = |uri: &&String| {
            *uri == crate::call::SKILL_ROUTING
                || *uri == PAUSE_RESUME
                || agent.is_some_and(|agent| agent.card.extensions.contains(uri))
        };
        let list: Vec<&str> = declared.iter().filter(known).map(String::as_str).collect();
        http::HeaderValue::from_str(&list.join(", ")).ok().filter(|_| !list.is_empty())
    }

    /// What would happen to a request, without calling anybody.
    pub async fn explain(
        &self,
        (listener, peer): (Listener, Peer),
        place: &Place,
        parts: http::request::Parts,
        body: Bytes,
    ) -> Ran<()> {
        let settings = self.gateway.settings.load_full();
        let arrival = self.arrival(listener, peer);
        let speaker = decode::Speaker::of(place, &parts);
        let decoded = match decode::decode(place, parts, body, &speaker, &settings) {
            Ok(decoded) => decoded,
            Err(failure) => return Ran { trail: moongate_flow::Trail::default(), result: Err(*failure.problem) },
        };
        let credential = credential(&decoded.call.headers).map(str::to_owned);
        let envelope = Envelope {
            id: self.gateway.request_id(),
            arrival,
            head: decoded.head,
            body: Body::Whole(decoded.call.body.clone()),
            trace: None,
            class: TrafficClass::Normal,
            deadline: self.deadline(settings.request_timeout),
        };
        run(&self.flow, &*self.gateway, &Explain, envelope, credential.as_deref(), decoded.call).await
    }
}

/// The dispatch that calls nobody: a run with it shows which way a request would take.
struct Explain;

impl Dispatch<A2aGateway> for Explain {
    type Answer = ();
    const RECORDS: bool = false;

    async fn dispatch(
        &self,
        _clearance: moongate_core::Clearance,
        _order: moongate_flow::pipeline::Order<A2aGateway>,
    ) -> Result<(), Problem> {
        Ok(())
    }

    async fn ask(
        &self,
        challenge: moongate_core::Challenge,
        _order: moongate_flow::pipeline::Order<A2aGateway>,
    ) -> Result<(), Problem> {
        Err(moongate_flow::pipeline::unconfirmed(&challenge, ""))
    }

    fn result((): &()) -> &'static str {
        "explained"
    }
}

/// What came of a request, and how its client wants to hear it.
pub(crate) struct Answered {
    reply: Reply,
    manner: encode::Manner,
    /// The extensions that took effect, if the client declared any.
    activated: Option<http::HeaderValue>,
    /// When the caller's credential ends, and with it a stream.
    over: Over,
}

/// A problem and the manner in which it must be told.
pub(crate) struct Failure {
    pub(crate) problem: Box<Problem>,
    pub(crate) dialect: Dialect,
    pub(crate) id: Bytes,
}

impl Failure {
    fn new(problem: Problem, dialect: Dialect, id: Bytes) -> Self {
        Self { problem: Box::new(problem), dialect, id }
    }
}

/// The manner of clients that have not said how they speak.
pub(crate) const PLAIN: Dialect = Dialect { binding: Binding::Http, version: Version::V1 };

/// The value of the request's one `Authorization` header. One that cannot be read, or one of several, is a credential all the
/// same, and none that holds.
pub(crate) fn credential(headers: &http::HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { "" } else { first.to_str().unwrap_or_default() })
}

/// An answer to a request for which there is no place.
pub fn no_such_path(path: &str) -> Response<ReplyBody> {
    let shown: String = path.chars().take(200).collect();
    let problem = Problem::new(Code::NoSuchPath, format!("there is nothing at {shown}"));
    encode::failure(&problem, PLAIN, &Bytes::new(), false)
}

/// A problem outside the A2A operations, in the form of the HTTP+JSON binding.
pub fn problem_response(problem: &Problem) -> Response<ReplyBody> {
    let mut response = encode::failure(problem, PLAIN, &Bytes::new(), false);
    // For the line of the record that says how it ended.
    response.extensions_mut().insert(problem.code);
    response
}

/// A JSON answer.
pub fn json_response(status: StatusCode, value: &serde_json::Value) -> Response<ReplyBody> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    encode::typed(status, "application/json", body.into())
}
