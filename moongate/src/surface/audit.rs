//! The log as it is served, on the admin listener alone.
//!
//! `GET /audit/checkpoint` and `GET /audit/tile/…` are the running shard as C2SP tlog-tiles; `/audit/<shard>/…` is any.
//! Checkpoints, keys and hashes say nothing about anybody and are for everybody there; lines are for holders of `audit:read`.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, no_such_path, problem_response};
use moongate_audit::{Files, Tile};
use moongate_core::seam::identify;
use moongate_core::{Code, Listener, Principal, Problem};
use moongate_transport::Peer;

use super::Surface;

/// Whether a path is one of the log's.
pub(super) fn serves(path: &str) -> bool {
    path.starts_with("/audit/")
}

/// What is asked for.
enum Asked {
    Checkpoint,
    Witnessed,
    Key,
    Tile(Tile),
}

impl Asked {
    fn read(place: &str) -> Option<Self> {
        match place {
            "checkpoint" => Some(Self::Checkpoint),
            "witnessed" => Some(Self::Witnessed),
            "vkey" => Some(Self::Key),
            tile => tile.strip_prefix("tile/").and_then(Tile::parse).map(Self::Tile),
        }
    }

    fn is_public(&self) -> bool {
        !matches!(self, Self::Tile(Tile { level: None, .. }))
    }

    fn answer(&self, files: &Files) -> Result<Response<ReplyBody>, Problem> {
        let (bytes, kind, forever) = match self {
            Self::Checkpoint => (files.published()?, "text/plain; charset=utf-8", false),
            Self::Witnessed => {
                let none = || Problem::new(Code::NoSuchEntryLogged, "no witness has signed this log yet");
                (files.witnessed().ok_or_else(none)?.into_bytes(), "text/plain; charset=utf-8", false)
            }
            Self::Key => (format!("{}\n", files.vkey()?).into_bytes(), "text/plain; charset=utf-8", false),
            Self::Tile(tile) => {
                let size = files.signed(&files.vkey()?)?.checkpoint.size;
                (files.tile(*tile, size)?, "application/octet-stream", true)
            }
        };
        let mut response = Response::new(ReplyBody::whole(bytes));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        // A tile of a width is the same for all time.
        let keep = match (forever, self.is_public()) {
            (true, true) => "public, max-age=31536000, immutable",
            (true, false) => "private, max-age=31536000, immutable",
            (false, _) => "no-cache",
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        Ok(response)
    }
}

impl Surface {
    /// Answers a reader of the log.
    pub(super) async fn audit(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        if listener != Listener::Admin {
            return no_such_path(request.uri().path());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return problem_response(&Problem::new(Code::HttpMethodNotAllowed, "this is read with GET"));
        }
        let answered = self.read_log(listener, peer, &request).await;
        answered.unwrap_or_else(|problem| {
            tracing::debug!(code = %problem.code, "{}", problem.detail);
            problem_response(&problem)
        })
    }

    async fn read_log(
        &self,
        listener: Listener,
        peer: Peer,
        request: &Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let off = || Problem::new(Code::AuditOff, "this gateway keeps no audit log");
        let log = self.records.log().ok_or_else(off)?;
        let path = request.uri().path();
        let place = path.strip_prefix("/audit/").unwrap_or_default();
        let (shard, place) = match place.split_once('/') {
            Some((name, rest)) if moongate_audit::is_shard(name) => (name.to_owned(), rest),
            _ => (log.current().0, place),
        };
        let Some(asked) = Asked::read(place) else { return Ok(no_such_path(path)) };
        if !asked.is_public() {
            self.may_read(listener, peer, request).await?;
        }
        let folder = log.folder().join(shard);
        if !folder.is_dir() {
            return Ok(no_such_path(path));
        }
        let read = tokio::task::spawn_blocking(move || asked.answer(&Files::at(folder)));
        read.await.map_err(|_| Problem::new(Code::Internal, "the log could not be read"))?
    }

    /// Lines are for the operator, and for holders of `audit:read`.
    pub(super) async fn may_read(
        &self,
        listener: Listener,
        peer: Peer,
        request: &Request<Incoming>,
    ) -> Result<(), Problem> {
        let who = self.caller(listener, peer, request).await?;
        if who.has_scope("audit:read") {
            return Ok(());
        }
        let problem = Problem::new(Code::InsufficientScope, "lines of the audit log want the scope audit:read");
        Err(problem.field("scope", "audit:read"))
    }

    /// Whoever a request is from.
    pub(super) async fn caller<B>(
        &self,
        listener: Listener,
        peer: Peer,
        request: &Request<B>,
    ) -> Result<Arc<Principal>, Problem> {
        let arrival = self.endpoint.arrival(listener, peer);
        let credential = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        identify(&*self.verifier, &arrival, credential).await
    }
}
