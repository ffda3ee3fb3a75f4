//! The console's places: pages at `/console/`, on the admin listener alone, and the API as they ask it in this process.
//!
//! - `POST /api/v1/console:link`: a link that works once, for whoever holds the operator's secret
//! - `GET /api/v1/overview`: [`super::overview`]
//! - `GET /api/v1/configuration`: [`super::standing`]
//!
//! All of it is for the holder of the operator's secret; what a page may ask, and for whom, is decided by
//! [`Caller::may_ask`](moongate_console::frame::Caller::may_ask).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use moongate_a2a::api::Api as A2aApi;
use moongate_a2a::endpoint::{ReplyBody, json_response, problem_response};
use moongate_console::frame::{Api, Caller, Question};
use moongate_console::{Users, Visitor};
use moongate_core::seam::Later;
use moongate_core::{Code, Listener, Principal, Problem};
use moongate_identity::people::{LINK as LASTS, UserName};
use moongate_transport::Peer;
use serde_json::{Value, json};

use super::deeds::{Doer, ended, field};
use super::people::whole;
use super::{Surface, approvals, events, lines, timeline};

/// The path that gives a link.
const LINK: &str = "/api/v1/console:link";
const OVERVIEW: &str = "/api/v1/overview";
const CONFIGURATION: &str = "/api/v1/configuration";
/// An answer that a page reads, at most.
const ANSWER: usize = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a path of the API stands here.
pub(super) fn is_api(path: &str) -> bool {
    [LINK, OVERVIEW, CONFIGURATION].contains(&path)
}

/// Where a browser at this machine spends a link; `localhost`, where that fits, is a name that passkeys can be bound to.
fn address(admin: SocketAddr, link: &str) -> String {
    let usual = matches!(admin.ip().to_string().as_str(), "127.0.0.1" | "::1");
    let host = if usual { format!("localhost:{}", admin.port()) } else { admin.to_string() };
    format!("http://{host}/console/sign-in?link={link}")
}

impl Surface {
    /// Answers a browser.
    pub(super) async fn console(self: &Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<ReplyBody> {
        if events::is_for_pages(request.uri().path()) {
            return self.page_events(peer, &request).await;
        }
        let (parts, body) = request.into_parts();
        let request = match whole(body).await {
            Ok(body) => Request::from_parts(parts, body),
            Err(problem) => {
                self.turned_away(&peer, &Request::from_parts(parts, ()), &problem);
                return problem_response(&problem);
            }
        };
        let visitor = Visitor { address: peer.remote.ip().to_canonical(), secure: peer.secure };
        let who = match self.console.caller(visitor, &request).await {
            Ok(who) => who,
            Err(problem) => return problem_response(&problem),
        };
        let by = who.as_ref().and_then(|who| self.console.by(visitor, &request, who));
        let (known, detail) = (by.is_some(), by.as_ref().and_then(|_| named(request.body())));
        let doer = Doer { known, detail, ..self.somebody(by.map(Into::into)) };
        let doing = match self.page_deed(&peer, &request, doer).await {
            Ok(doing) => doing,
            Err(refused) => return *refused,
        };
        let host = request.headers().get(HOST).cloned();
        let api = InProcess { surface: self, peer, host };
        let response = self.console.handle(&api, visitor, who.as_ref(), request).await;
        ended(doing, response.map(ReplyBody::whole))
    }

    /// Answers the operator who asks by the API.
    pub(super) async fn console_api(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let answered = async {
            self.operator(listener, peer, request.headers(), "the console and its views").await?;
            self.console_view(request.method(), request.uri().path()).await
        };
        answered.await.unwrap_or_else(|problem| problem_response(&problem))
    }

    /// A new link into the console, where it is served.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn console_link(&self) -> Result<Option<String>, Problem> {
        let Some(admin) = self.admin else { return Ok(None) };
        Ok(Some(address(admin, &self.console.invite()?)))
    }

    async fn console_view(&self, method: &Method, path: &str) -> Result<Response<ReplyBody>, Problem> {
        match (method, path) {
            (&Method::POST, LINK) => {
                let off = "there is no console: the configuration opens no admin listener";
                let url = self.console_link()?.ok_or_else(|| Problem::new(Code::ConsoleOff, off))?;
                Ok(json_response(StatusCode::CREATED, &json!({"url": url, "seconds": LASTS.as_secs()})))
            }
            (&Method::GET, CONFIGURATION) => {
                let reloads = self.status.view(self.registry.census());
                Ok(json_response(StatusCode::OK, &self.standing.view(&reloads)))
            }
            (&Method::GET, OVERVIEW) => Ok(json_response(StatusCode::OK, &self.overview().await?)),
            _ => Err(Problem::new(
                Code::HttpMethodNotAllowed,
                "the method does not fit this path; see /api/v1/openapi.json",
            )),
        }
    }

    /// The API, asked by somebody who has been made sure of.
    async fn asked(
        &self,
        who: &Principal,
        peer: Peer,
        request: Request<Bytes>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let path = request.uri().path();
        if Users::serves(path) {
            let (status, view) = self.users.handle(who, request).await?;
            return Ok(json_response(status, &view));
        }
        if approvals::is_about(path) {
            return self.answer_approvals(who, (request.method(), request.uri()), request.body()).await;
        }
        if lines::is_about(path) {
            return self.answer_lines(request.method(), request.uri()).await;
        }
        if is_api(path) {
            return self.console_view(request.method(), path).await;
        }
        if let Some(task) = timeline::task_of(path) {
            return Ok(json_response(StatusCode::OK, &self.timeline_of(&task).await?));
        }
        if A2aApi::serves(path) {
            return self.api.ask(who, (Listener::Admin, peer), request.map(Full::new)).await;
        }
        Err(Problem::new(Code::NoSuchPath, format!("there is nothing at {path}; see /api/v1/openapi.json")))
    }
}

/// The person whom a form of somebody who is known is about.
fn named(body: &[u8]) -> Option<Arc<str>> {
    UserName::read(&field(body, "name")?).map(|name| format!("name={name}").into())
}

/// The API for one request of a browser.
struct InProcess<'s> {
    surface: &'s Surface,
    peer: Peer,
    host: Option<HeaderValue>,
}

impl Api for InProcess<'_> {
    fn ask<'a>(&'a self, who: &'a Caller, question: Question) -> Later<'a, Result<Value, Problem>> {
        Box::pin(async move {
            who.may_ask(&question.method, &question.path)?;
            let domain = &self.surface.endpoint.gateway().settings.load().domain.clone();
            let mut request = Request::builder().method(question.method).uri(question.path);
            if let Some(host) = &self.host {
                request = request.header(HOST, host);
            }
            let request = request
                .body(question.body)
                .map_err(|error| Problem::new(Code::InvalidParams, "the page asks for no path").inside(error))?;
            let operator = Principal::operator(domain);
            let asked = self.surface.asked(&operator, self.peer.clone(), request);
            let response = tokio::time::timeout(PATIENCE, asked).await;
            let late = |_| Problem::new(Code::DeadlineExceeded, "the answer took too long");
            let body = Limited::new(response.map_err(late)??.into_body(), ANSWER).collect().await;
            let large = |_| Problem::new(Code::BodyTooLarge, "the answer is too large for a page");
            serde_json::from_slice(&body.map_err(large)?.to_bytes())
                .map_err(|error| Problem::new(Code::Internal, "the API's answer is no JSON").inside(error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_the_machine_so_that_passkeys_can_be_bound_to_it() {
        for (admin, url) in [
            ("127.0.0.1:7444", "http://localhost:7444/console/sign-in?link=x"),
            ("[::1]:7444", "http://localhost:7444/console/sign-in?link=x"),
            ("127.0.0.2:7444", "http://127.0.0.2:7444/console/sign-in?link=x"),
        ] {
            assert_eq!(admin.parse().map(|admin| address(admin, "x")).unwrap_or_default(), url);
        }
    }
}
