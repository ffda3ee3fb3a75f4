//! Questions that wait for people, for the operator at this machine.
//!
//! - `GET /api/v1/approvals`: those that wait, the oldest first; with `?state=past`, the newest that are over
//! - `GET /api/v1/approvals/{id}`, `POST /api/v1/approvals/{id}:approve` and `:deny`
//!
//! Reading decides nothing. Whoever holds the operator's secret is at the gateway's machine; no caller without it, `local`
//! included, sees or answers a question, so an agent cannot say yes to itself.

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, json_response, no_such_path, problem_response};
use moongate_approval::desk::Answer;
use moongate_core::{Code, Listener, Principal, Problem};
use moongate_transport::Peer;
use serde_json::json;

use super::Surface;

const NOUN: &str = "/api/v1/approvals";
/// Questions that are over and listed at most.
const PAST: usize = 200;

/// Whether a path is about questions.
pub(super) fn is_about(path: &str) -> bool {
    path.strip_prefix(NOUN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Surface {
    /// Answers the operator.
    pub(super) async fn approvals(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        self.about_approvals(listener, peer, request).await.unwrap_or_else(|problem| {
            if let Some(inside) = &problem.inside {
                tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
            }
            problem_response(&problem)
        })
    }

    async fn about_approvals(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let who = self.operator(listener, peer, request.headers(), "questions for people").await?;
        self.answer_approvals(&who, request.method(), request.uri()).await
    }

    /// Answers the operator, whom the caller of this has made sure of.
    pub(super) async fn answer_approvals(
        &self,
        who: &Principal,
        method: &Method,
        uri: &Uri,
    ) -> Result<Response<ReplyBody>, Problem> {
        let desk = &self.endpoint.gateway().desk;
        let rest = uri.path().strip_prefix(NOUN).unwrap_or_default().trim_matches('/');
        let past = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "state=past"));
        match (method, rest.rsplit_once(':')) {
            (&Method::GET, None) if rest.is_empty() => {
                let found = if past { desk.past(PAST).await? } else { desk.pending().await? };
                let views: Vec<_> = found.iter().map(moongate_approval::Stored::view).collect();
                Ok(json_response(StatusCode::OK, &json!({ "approvals": views })))
            }
            (&Method::GET, None) => {
                let found = desk.find(rest).await?;
                let missing = || Problem::new(Code::NoSuchQuestion, format!("there is no question {rest}"));
                Ok(json_response(StatusCode::OK, &found.ok_or_else(missing)?.view()))
            }
            (&Method::POST, Some((id, verb @ ("approve" | "deny")))) => {
                let answer = if verb == "approve" { Answer::Secret } else { Answer::No };
                let decided = desk.decide(id, who.id.clone(), answer).await?;
                Ok(json_response(StatusCode::OK, &decided.view()))
            }
            (_, None | Some((_, "approve" | "deny"))) => Err(Problem::new(
                Code::HttpMethodNotAllowed,
                "questions are read with GET and answered with POST; see /api/v1/openapi.json",
            )),
            _ => Ok(no_such_path(uri.path())),
        }
    }
}
