//! `POST /api/v1/ca/{name}:init`, `:issue`, `:revoke`, `:crl` and `POST /api/v1/tasks:webhook-secret`: the operator says what is
//! about to be done by the files of the gateway's authority (`moongate ca`) or read from the key of its store, so that it is in the
//! audit log, which only the running gateway can write.
//!
//! Nothing else happens here: the line is what is asked for. It is on the disk before this is answered.

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, json_response, problem_response};
use moongate_core::Listener;
use moongate_transport::Peer;
use serde_json::json;

use super::Surface;

/// Whether a path is one of these.
pub(super) fn is_about(path: &str) -> bool {
    path.starts_with("/api/v1/ca/") || path == "/api/v1/tasks:webhook-secret"
}

impl Surface {
    /// Answers the operator.
    pub(super) async fn announced(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let what = "what is done by the gateway's own files";
        match self.operator(listener, peer, request.headers(), what).await {
            Ok(_) => json_response(StatusCode::OK, &json!({"noted": self.records.log().is_some()})),
            Err(problem) => problem_response(&problem),
        }
    }
}
