//! Which browsers are told of questions, for the operator at this machine.
//!
//! - `GET /api/v1/push`: whose they are, what carries messages to them, since when; nothing by which one could write to them
//! - `DELETE /api/v1/push/{key}`

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, json_response, problem_response};
use moongate_core::{Code, Listener, Problem};
use moongate_transport::Peer;
use serde_json::json;

use super::Surface;

const NOUN: &str = "/api/v1/push";

/// Whether a path is about subscriptions.
pub(super) fn is_about(path: &str) -> bool {
    path.strip_prefix(NOUN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Surface {
    /// Answers the operator.
    pub(super) async fn subscriptions(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        self.about_subscriptions(listener, peer, request).await.unwrap_or_else(|problem| {
            if let Some(inside) = &problem.inside {
                tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
            }
            problem_response(&problem)
        })
    }

    async fn about_subscriptions(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Problem> {
        self.operator(listener, peer, request.headers(), "subscriptions of people's browsers").await?;
        let rest = request.uri().path().strip_prefix(NOUN).unwrap_or_default().trim_matches('/');
        match (request.method(), rest) {
            (&Method::GET, "") => {
                let all = self.push.subscriptions(None).await?;
                let views: Vec<_> = all
                    .iter()
                    .map(|one| {
                        json!({"key": one.key, "person": one.person.name, "label": one.label, "service": one.service(),
                               "made_at": one.made_at.0})
                    })
                    .collect();
                Ok(json_response(
                    StatusCode::OK,
                    &json!({ "on": self.push.public_key().is_some(), "subscriptions": views }),
                ))
            }
            (&Method::DELETE, key) if !key.is_empty() => {
                if self.push.unsubscribe(key, None).await? {
                    return Ok(json_response(StatusCode::OK, &json!({ "removed": key })));
                }
                Err(Problem::new(Code::NoSuchSubscription, format!("there is no subscription {key}")))
            }
            _ => Err(Problem::new(
                Code::HttpMethodNotAllowed,
                "subscriptions are read with GET and removed with DELETE; see /api/v1/openapi.json",
            )),
        }
    }
}
