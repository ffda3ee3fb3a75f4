//! The WebSocket binding (`docs/reference/bindings/websocket.md`): JSON-RPC requests as text frames, many at once on one
//! connection, streams among them.
//!
//! - `GET B/ws`, subprotocol `a2a.v1.jsonrpc` ⇄ 101; what is no such handshake is refused with 400, 405 or 426, a
//!   caller that is not known with 401
//! - `{jsonrpc,id,method,params}` ⇄ `{jsonrpc,id,result}`, or for a stream `{jsonrpc,id,result,seq}` again and again and
//!   then `{jsonrpc,id,result:null,streamEnd:true}`
//! - `{jsonrpc,id,cancelStream:true}` ends a stream, never its task
//!
//! A frame becomes the HTTP request that would have carried it, without the binding's own members, and takes the same
//! way: the same decode, pipeline and encode as the JSON-RPC binding. Here stands only what a socket adds: which
//! requests are in work ([`session`]), what waits to be written ([`queue`]), whether the other side is there
//! ([`pulse`]), and how frames look ([`frame`]).

mod frame;
mod pulse;
mod queue;
mod session;

use std::sync::Arc;

use http::header::{ALLOW, CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use moongate_core::seam::identify as identify_caller;
use moongate_core::{AgentName, Arrival, Code, Problem};
use moongate_transport::websocket::{Offer, Refusal};
use moongate_wire::a2a::{Version, error};
use serde_json::Value;

use super::body::ReplyBody;
use super::decode::Speaker;
use super::path::Place;
use super::vigil::{Over, Vigil};
use super::{Endpoint, json_response, problem_response};
use session::Line;

/// The binding's name in cards.
pub(crate) const BINDING: &str = "https://w3id.org/moongate/bindings/websocket/v1";
/// The subprotocol.
const PROTOCOL: &str = "a2a.v1.jsonrpc";
/// The largest frame, unless bodies must be smaller still.
const FRAME_BYTES: usize = 1024 * 1024;

/// Accepts a handshake and serves the socket, or says what is wrong with it.
pub(super) async fn open(
    endpoint: &Arc<Endpoint>,
    arrival: Arrival,
    agent: Option<AgentName>,
    mut request: Request<Incoming>,
) -> Response<ReplyBody> {
    let http = request.version();
    let offer = match Offer::of(&mut request) {
        Ok(offer) => offer,
        Err(refusal) => return refused(refusal, http),
    };
    if !offer.protocols().iter().any(|protocol| protocol == PROTOCOL) {
        let detail = format!("the subprotocol spoken here is {PROTOCOL}; name it in Sec-WebSocket-Protocol");
        return problem_response(&Problem::new(Code::HandshakeRefused, detail));
    }
    let over = match identify(endpoint, &arrival, &request).await {
        Ok(over) => over,
        Err(problem) => {
            endpoint.turned_away(&arrival, &Place::Rpc { agent }, &problem);
            return problem_response(&problem);
        }
    };
    let place = Place::Rpc { agent };
    let (parts, _) = request.into_parts();
    let version = match Speaker::of(&place, &parts).version() {
        Ok(Some(Version::V1)) => Ok(()),
        Ok(_) => Err(Problem::new(
            Code::UnsupportedVersion,
            "this binding is of A2A 1.0: send the header A2A-Version: 1.0, or ?A2A-Version=1.0",
        )),
        Err(problem) => Err(problem),
    };
    let line = Line { endpoint: endpoint.clone(), arrival, place, headers: frame::of_connection(parts.headers) };
    let response = offer.accept(PROTOCOL, ReplyBody::Whole(None));
    let limit = endpoint.gateway.settings.load().body_bytes.min(FRAME_BYTES);
    // One task for each socket: its session. It ends with the connection.
    tokio::spawn(async move {
        match offer.open(limit).await {
            Ok(halves) => session::serve(line, over, halves, limit, version).await,
            Err(error) => tracing::debug!(%error, "a connection ended before it became a socket"),
        }
    });
    response
}

/// Who opens the socket; ready when that credential ends. Requests are judged one by one all the same.
async fn identify(endpoint: &Endpoint, arrival: &Arrival, request: &Request<Incoming>) -> Result<Over, Problem> {
    let credential = super::credential(request.headers());
    let vigil = Vigil::new(&endpoint.flow.verifier, arrival, credential);
    let principal = identify_caller(&*endpoint.flow.verifier, arrival, credential).await?;
    Ok(vigil.over(principal, endpoint.gateway.clock.clone()))
}

fn refused(refusal: Refusal, http: http::Version) -> Response<ReplyBody> {
    let code = if refusal == Refusal::Method { Code::HttpMethodNotAllowed } else { Code::HandshakeRefused };
    let problem = Problem::new(code, refusal.to_string());
    let mut response = problem_response(&problem);
    if matches!(refusal, Refusal::NoUpgrade | Refusal::Version) {
        let mut told: Value = serde_json::from_slice(&error::to_http(&problem, Version::V1).1).unwrap_or_default();
        if let Some(code) = told.pointer_mut("/error/code") {
            *code = Value::from(StatusCode::UPGRADE_REQUIRED.as_u16());
        }
        response = json_response(StatusCode::UPGRADE_REQUIRED, &told);
    }
    let headers = response.headers_mut();
    match refusal {
        Refusal::Method => drop(headers.insert(ALLOW, HeaderValue::from_static("GET"))),
        Refusal::Version => drop(headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))),
        // HTTP/2 has no such header (RFC 9113 §8.2.2).
        Refusal::NoUpgrade if http == http::Version::HTTP_11 => {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        Refusal::NoUpgrade | Refusal::Key => {}
    }
    response
}
