//! The A2A Gateway's nouns under `/api/v1`: agents and skills, for operators and inside callers.
//!
//! - `GET /api/v1/agents`, `POST /api/v1/agents`, `GET`, `DELETE /api/v1/agents/{id}`, `PUT …/{id}/heartbeat`
//! - `GET /api/v1/skills?q=&tag=&input=&zone=&limit=`
//! - `POST /api/v1/explain`: which way a request would take
//! - `/api/v1/tasks`, `/api/v1/queue`, `/api/v1/store`: [`tasks`]
//!
//! Answers are JSON; errors have the form of the HTTP+JSON binding (AIP-193).

mod query;
mod tasks;

pub use query::Query as Parameters;

use std::sync::Arc;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use moongate_core::seam::{Verifier, identify};
use moongate_core::{Code, Listener, Principal, Problem, Proof};
use moongate_transport::{BoxError, Peer};
use serde_json::{Value, json};

use crate::endpoint::{Endpoint, Place, ReplyBody, credential, json_response, problem_response};
use crate::routing::directory::Visibility;
use crate::routing::registry::AgentRegistry;
use crate::routing::search::Query;

/// A registration is a card at most.
const BODY: usize = 2 * 1024 * 1024;
const HITS: u64 = 20;
const MOST_HITS: usize = 200;

/// The body of a request to the API: of a connection, or of a page in this process.
pub trait Payload: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send {}

impl<B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send> Payload for B {}

/// The API.
pub struct Api {
    endpoint: Arc<Endpoint>,
    registry: Arc<AgentRegistry>,
    verifier: Arc<dyn Verifier>,
}

impl Api {
    /// The API over this registry.
    pub fn new(endpoint: Arc<Endpoint>, registry: Arc<AgentRegistry>, verifier: Arc<dyn Verifier>) -> Self {
        Self { endpoint, registry, verifier }
    }

    /// Whether a path is one of ours.
    pub fn serves(path: &str) -> bool {
        ["agents", "skills", "explain", "tasks", "queue", "store"].iter().any(|own| {
            let rest = path.strip_prefix("/api/v1/").and_then(|path| path.strip_prefix(own));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        })
    }

    /// Answers a request.
    pub async fn handle(&self, listener: Listener, peer: Peer, request: Request<Incoming>) -> Response<ReplyBody> {
        match self.answer(listener, peer, request).await {
            Ok(response) => response,
            Err(problem) => {
                if let Some(inside) = &problem.inside {
                    tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
                }
                problem_response(&problem)
            }
        }
    }

    async fn answer(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let arrival = self.endpoint.arrival(listener, peer.clone());
        let who = identify(&*self.verifier, &arrival, credential(request.headers())).await?;
        if who.proof != Proof::Loopback {
            let detail = "this is for callers at the gateway's own machine; others have the agent cards and A2A";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        self.ask(&who, (listener, peer), request).await
    }

    /// Answers somebody whom the caller of this has made sure of, as pages in this process have.
    ///
    /// # Errors
    /// What the paths refuse.
    pub async fn ask<B: Payload>(
        &self,
        who: &Principal,
        (listener, peer): (Listener, Peer),
        request: Request<B>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let method = request.method().clone();
        let rest = path.strip_prefix("/api/v1/").unwrap_or_default();
        let segments: Vec<String> = rest.split('/').map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (method, segments.as_slice()) {
            (Method::GET, ["agents"]) => {
                Ok(json_response(StatusCode::OK, &json!({"agents": self.registry.views(who)})))
            }
            (Method::POST, ["agents"]) => self.register(who, request).await,
            (Method::GET, ["agents", id]) => match self.registry.view(id, who) {
                Some(view) => Ok(json_response(StatusCode::OK, &view)),
                None => Err(Problem::new(Code::NoSuchEntry, format!("there is no entry {id}"))),
            },
            (Method::DELETE, ["agents", id]) => {
                may_register(who)?;
                self.registry.remove(who, id).await?;
                Ok(json_response(StatusCode::OK, &json!({ "removed": id })))
            }
            (Method::PUT | Method::POST, ["agents", id, "heartbeat"]) => {
                may_register(who)?;
                Ok(json_response(StatusCode::OK, &self.registry.beat(who, id).await?))
            }
            (Method::GET, ["skills"]) => self.skills(request.uri().query()),
            (Method::POST, ["explain"]) => self.explain(listener, peer, request).await,
            (_, ["agents"] | ["agents", _] | ["agents", _, "heartbeat"] | ["skills"] | ["explain"]) => {
                Err(wrong_method())
            }
            (_, [noun, ..]) if tasks::serves(noun) => self.operate(who, &segments, request).await,
            _ => Err(no_such_path(&path)),
        }
    }

    async fn register<B: Payload>(&self, who: &Principal, request: Request<B>) -> Result<Response<ReplyBody>, Problem> {
        may_register(who)?;
        let body = body_of(request).await?;
        let (view, made) = self.registry.register(who, &body).await?;
        let status = if made { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = json_response(status, &view);
        let location = view.get("id").and_then(Value::as_str).map(|id| format!("/api/v1/agents/{id}"));
        if let Some(value) = location.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(LOCATION, value);
        }
        Ok(response)
    }

    /// Searches skills: by id, tag, attribute and words, each hit with its score and why.
    fn skills(&self, asked: Option<&str>) -> Result<Response<ReplyBody>, Problem> {
        let asked = query::Query::read(asked, &["q", "tag", "input", "zone", "limit"])?;
        let limit = asked.number("limit", (1, MOST_HITS as u64), HITS)? as usize;
        let directory = self.endpoint.gateway().directory.load();
        // The index knows agents that are down; searchers should not.
        let query = Query {
            text: asked.text("q"),
            tag: asked.text("tag"),
            input: asked.text("input"),
            zone: asked.text("zone"),
            limit: MOST_HITS,
        };
        let hits: Vec<Value> = directory
            .index
            .search(&query)
            .into_iter()
            .filter_map(|hit| {
                let doc = directory.index.docs().get(hit.doc)?;
                let agent = directory.agents.get(&doc.agent)?;
                if !agent.is_up() || agent.settings.visibility == Visibility::Hidden {
                    return None;
                }
                Some(json!({
                    "skill": doc.id, "agent": doc.agent, "name": doc.name, "description": doc.description,
                    "tags": doc.tags, "zone": doc.zone, "score": (f64::from(hit.score) * 1000.0).round() / 1000.0,
                    "reason": hit.reason,
                }))
            })
            .take(limit)
            .collect();
        Ok(json_response(StatusCode::OK, &json!({ "skills": hits })))
    }

    /// Runs the pipeline for a request without calling anybody.
    async fn explain<B: Payload>(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<B>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let credential = request.headers().get(http::header::AUTHORIZATION).cloned();
        let body = body_of(request).await?;
        let path = body.get("path").and_then(Value::as_str).unwrap_or("/a2a").to_owned();
        let place = Place::of(&path)
            .filter(|place| matches!(place, Place::Rpc { .. } | Place::Rest { .. }))
            .ok_or_else(|| {
                Problem::new(Code::InvalidParams, "path is not that of an A2A endpoint")
                    .field("path", "names no endpoint")
            })?;
        let method = body.get("method").and_then(Value::as_str).unwrap_or("POST");
        let mut builder = http::Request::builder().method(method).uri(&path).header("a2a-version", "1.0");
        if let Some(credential) = credential {
            builder = builder.header(http::header::AUTHORIZATION, credential);
        }
        for (name, value) in body.get("headers").and_then(Value::as_object).into_iter().flatten() {
            builder = builder.header(name, value.as_str().unwrap_or_default());
        }
        let asked = builder.body(()).map_err(|error| {
            Problem::new(Code::InvalidParams, format!("the request to explain is malformed: {error}"))
        })?;
        let payload: Bytes = serde_json::to_vec(body.get("body").unwrap_or(&Value::Null)).unwrap_or_default().into();
        let ran = self.endpoint.explain((listener, peer), &place, asked.into_parts().0, payload).await;
        let trail = ran.trail;
        let view = json!({
            "principal": trail.principal.as_ref().map(|who| json!({
                "id": who.id, "kind": who.kind.as_str(), "domain": who.domain, "proof": who.proof.as_str(), "scopes": who.scopes.words(),
            })),
            "resolved": trail.resolved.as_ref().map(|resolved| json!({
                "rule": resolved.rule,
                "skill": resolved.skill,
                "score": resolved.score.map(|score| f64::from(score) / 1000.0),
                "candidates": resolved.candidates.iter().map(|c| json!({"agent": c.agent, "weight": c.weight, "pinned": c.pinned})).collect::<Vec<_>>(),
            })),
            "cleared_by": trail.cleared_by,
            "asked_by": trail.asked_by,
            "route": trail.route.as_ref().map(|route| match &route.target {
                moongate_core::Target::Agent { agent, instance } => json!({"agent": agent, "instance": instance, "adapter": route.adapter, "policy": route.policy}),
                moongate_core::Target::Here => json!({"here": true}),
            }),
            "problem": ran.result.as_ref().err().map(|problem| json!({
                "code": problem.code.to_string(), "detail": problem.detail, "hint": problem.code.hint(),
                "fields": problem.fields.iter().map(|f| json!({"field": f.field, "description": f.description})).collect::<Vec<_>>(),
            })),
        });
        Ok(json_response(StatusCode::OK, &view))
    }
}

fn no_such_path(path: &str) -> Problem {
    Problem::new(Code::NoSuchPath, format!("there is nothing at {path}; see /api/v1/openapi.json"))
}

fn wrong_method() -> Problem {
    Problem::new(Code::HttpMethodNotAllowed, "the method does not fit this path; see /api/v1/openapi.json")
}

fn may_register(who: &Principal) -> Result<(), Problem> {
    if who.has_scope("register") {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "registering agents needs the scope register"))
}

async fn body_of<B: Payload>(request: Request<B>) -> Result<Value, Problem> {
    let reading = Limited::new(request.into_body(), BODY).collect();
    let bytes = match tokio::time::timeout(std::time::Duration::from_secs(30), reading).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(_)) => return Err(Problem::new(Code::BodyTooLarge, format!("the body is larger than {BODY} bytes"))),
        Err(_) => return Err(Problem::new(Code::DeadlineExceeded, "the body did not arrive in time")),
    };
    moongate_wire::json::check(&bytes, &moongate_wire::json::Limits::default())?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::BodyNotJson, format!("the body is not JSON: {error}")))
}

/// Percent-decodes; what is malformed stays as it is.
pub fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (*first, hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
