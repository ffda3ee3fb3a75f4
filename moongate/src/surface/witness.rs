//! This gateway as a witness of others' logs (C2SP tlog-witness): `POST /audit/witness/add-checkpoint`, and its key at
//! `GET /audit/witness/vkey`.
//!
//! - A log is known by its own signature, so nobody has to sign in; whose log is not in `[[audit.cosigns]]` hears 404.
//! - On the admin listener, and on the main one for callers with a certificate of another domain ([[peers]]).
//! - What was signed last is in the store before the answer leaves, so no two checkpoints of one log are signed that do not fit.
//! - Signing leaves no line in this gateway's own log: two gateways that sign for each other would never come to rest. What
//!   does not fit leaves one.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, no_such_path, problem_response};
use moongate_core::{Code, Listener, Problem};
use moongate_transport::Peer;

use super::Surface;
use crate::wire_up::witnesses::Answer;

const ADD: &str = "/audit/witness/add-checkpoint";
const KEY: &str = "/audit/witness/vkey";
/// A checkpoint, with the signatures of many, and a proof.
const BODY: usize = 64 * 1024;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Whether a path is the witness's.
pub(super) fn serves(path: &str) -> bool {
    path == ADD || path == KEY
}

impl Surface {
    /// Answers another log.
    pub(super) async fn witness(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let home = &self.endpoint.gateway().settings.load().domain;
        let neighbour = peer.certificate.as_ref().is_some_and(|certificate| certificate.domain != *home);
        if listener != Listener::Admin && !neighbour {
            return no_such_path(request.uri().path());
        }
        let answered = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, KEY) => self.witnessing.key().map(|key| text(200, format!("{key}\n"))),
            (&Method::POST, ADD) => self.add_checkpoint(request).await,
            _ => Err(Problem::new(Code::HttpMethodNotAllowed, "the key is read with GET, a checkpoint sent with POST")),
        };
        answered.unwrap_or_else(|problem| {
            tracing::debug!(code = %problem.code, "{}", problem.detail);
            problem_response(&problem)
        })
    }

    async fn add_checkpoint(&self, request: Request<Incoming>) -> Result<Response<ReplyBody>, Problem> {
        let body = match tokio::time::timeout(PATIENCE, Limited::new(request.into_body(), BODY).collect()).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(_)) => return Ok(text(400, "the body is too large\n")),
            Err(_) => return Err(Problem::new(Code::DeadlineExceeded, "the body did not arrive in time")),
        };
        Ok(match self.witnessing.add_checkpoint(&body).await? {
            Answer::Signed(lines) => text(200, lines),
            Answer::Refused(status, why) => text(status, format!("{why}\n")),
            Answer::Conflict(size) => {
                let mut response = text(409, format!("{size}\n"));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/x.tlog.size"));
                response
            }
        })
    }
}

fn text(status: u16, body: impl Into<Bytes>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
