//! Questions that wait for people, for the operator at this machine.
//!
//! - `GET /api/v1/approvals`: those that wait, the oldest first; with `?state=past`, the newest that are over; with
//!   `?state=remembered`, the yeses that answer the very same again; with `limit`, so many at most
//! - `GET /api/v1/approvals/{id}`, `POST /api/v1/approvals/{id}:approve`, `:deny` and `:forget`
//!
//! Reading decides nothing. Whoever holds the operator's secret is at the gateway's machine; no caller without it, `local`
//! included, sees or answers a question, so an agent cannot say yes to itself.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use moongate_a2a::api::Parameters;
use moongate_a2a::endpoint::{ReplyBody, json_response, no_such_path, problem_response};
use moongate_approval::Desk;
use moongate_approval::desk::Answer;
use moongate_approval::desk::memory::Memory;
use moongate_core::{Code, Listener, Principal, Problem};
use moongate_transport::Peer;
use serde_json::{Value, json};

use super::Surface;
use super::oauth::whole;

const NOUN: &str = "/api/v1/approvals";
/// Questions that are over and listed, unless a `limit` says otherwise. Of those that wait all are.
const PAST: u64 = 100;
/// What a `limit` may be at most.
const MOST: u64 = 1000;

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
        let (parts, body) = request.into_parts();
        let body = if parts.method == Method::POST { whole(body).await? } else { Bytes::new() };
        self.answer_approvals(&who, (&parts.method, &parts.uri), &body).await
    }

    /// Answers the operator, whom the caller of this has made sure of.
    pub(super) async fn answer_approvals(
        &self,
        who: &Principal,
        (method, uri): (&Method, &Uri),
        body: &Bytes,
    ) -> Result<Response<ReplyBody>, Problem> {
        let desk = &self.endpoint.gateway().desk;
        let rest = uri.path().strip_prefix(NOUN).unwrap_or_default().trim_matches('/');
        match (method, rest.rsplit_once(':')) {
            (&Method::GET, None) if rest.is_empty() => listed(desk, uri.query()).await,
            (&Method::GET, None) => {
                let found = desk.find(rest).await?;
                let missing = || Problem::new(Code::NoSuchQuestion, format!("there is no question {rest}"));
                Ok(json_response(StatusCode::OK, &found.ok_or_else(missing)?.view()))
            }
            (&Method::POST, Some((id, "approve"))) => {
                let decided = match remembered(body)? {
                    Some(span) => desk.remember(id, who.id.clone(), Answer::Secret, span).await?,
                    None => desk.decide(id, who.id.clone(), Answer::Secret).await?,
                };
                Ok(json_response(StatusCode::OK, &decided.view()))
            }
            (&Method::POST, Some((id, "deny"))) => {
                Ok(json_response(StatusCode::OK, &desk.decide(id, who.id.clone(), Answer::No).await?.view()))
            }
            (&Method::POST, Some((id, "forget"))) => {
                desk.forget(id).await?;
                Ok(json_response(StatusCode::OK, &json!({ "forgotten": id })))
            }
            (_, None | Some((_, "approve" | "deny" | "forget"))) => Err(Problem::new(
                Code::HttpMethodNotAllowed,
                "questions are read with GET and answered with POST; see /api/v1/openapi.json",
            )),
            _ => Ok(no_such_path(uri.path())),
        }
    }
}

/// The questions, or the remembered yeses, that a query is about.
async fn listed(desk: &Desk, query: Option<&str>) -> Result<Response<ReplyBody>, Problem> {
    let query = Parameters::read(query, &["state", "limit"])?;
    let state = query.text("state");
    let limit = |absent: u64| {
        let limit = query.number("limit", (1, MOST), absent)?;
        Ok::<_, Problem>(usize::try_from(limit).unwrap_or(usize::MAX))
    };
    let found = match state {
        None | Some("pending") => {
            let mut pending = desk.pending().await?;
            pending.truncate(limit(u64::MAX)?);
            pending
        }
        Some("past") => desk.past(limit(PAST)?).await?,
        Some("remembered") => {
            let limit = limit(u64::MAX)?;
            let views: Vec<Value> = desk.memories().await?.iter().take(limit).map(Memory::view).collect();
            return Ok(json_response(StatusCode::OK, &json!({ "remembered": views })));
        }
        Some(_) => {
            let why = "is none of pending, past and remembered";
            return Err(Problem::new(Code::InvalidParams, format!("`state` {why}")).field("state", why));
        }
    };
    let mut views: Vec<Value> = found.iter().map(moongate_approval::Stored::view).collect();
    if state == Some("past") {
        // Whoever wants to read one again asks for it; many of them may be very long.
        views.iter_mut().filter_map(|view| view.get_mut("document")?.as_object_mut()).for_each(|document| {
            document.remove("params");
        });
    }
    Ok(json_response(StatusCode::OK, &json!({ "approvals": views })))
}

/// How long a yes is to be remembered, if its body says so.
fn remembered(body: &Bytes) -> Result<Option<Duration>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::BodyNotJson, format!("the body is not JSON: {error}")))?;
    let wrong = |field: &str, why: &str| {
        Problem::new(Code::InvalidParams, format!("`{field}` {why}")).field(field.to_owned(), why.to_owned())
    };
    let members = body.as_object().ok_or_else(|| wrong("body", "is not an object"))?;
    if let Some(other) = members.keys().find(|name| *name != "remember_seconds") {
        return Err(wrong(other, "is not known here"));
    }
    let seconds = |value: &Value| value.as_u64().ok_or_else(|| wrong("remember_seconds", "is not a whole number"));
    Ok(members.get("remember_seconds").map(seconds).transpose()?.map(Duration::from_secs))
}
