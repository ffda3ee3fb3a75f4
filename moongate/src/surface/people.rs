//! The console's places: pages for people, while the authorization server is on, and people under `/api/v1/users`.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, json_response, no_such_path, problem_response};
use moongate_console::Visitor;
use moongate_console::pages::FORM;
use moongate_core::seam::identify;
use moongate_core::{Arrival, Code, Domain, Listener, Problem};
use moongate_transport::Peer;

use super::Surface;
use super::deeds::{Doer, ended};

const PATIENCE: Duration = Duration::from_secs(30);

impl Surface {
    /// Answers a browser.
    pub(super) async fn page(&self, peer: Peer, request: Request<Incoming>) -> Response<ReplyBody> {
        if self.authority.load().is_none() {
            return no_such_path(request.uri().path());
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
        let arrived = match self.pages.arrive(visitor, request).await {
            Ok(arrived) => arrived,
            Err(refused) => return refused.map(ReplyBody::whole),
        };
        let doer = Doer { claimed: arrived.claimed().map(str::to_owned), ..self.somebody(arrived.by().cloned()) };
        let doing = match self.page_deed(&peer, arrived.request(), doer).await {
            Ok(doing) => doing,
            Err(refused) => return *refused,
        };
        let response = self.pages.handle(arrived).await;
        ended(doing, response.map(ReplyBody::whole))
    }

    /// Answers the operator.
    pub(super) async fn users(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        match self.about_users(listener, peer, request).await {
            Ok(response) => response,
            Err(problem) => {
                if let Some(inside) = &problem.inside {
                    tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
                }
                problem_response(&problem)
            }
        }
    }

    async fn about_users(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Problem> {
        let at = self.endpoint.gateway().clock.mono();
        // Only the secret makes an operator, never a certificate.
        let arrival = Arrival {
            listener,
            remote: peer.remote,
            secure: peer.secure,
            domain: Domain::Local,
            certificate: None,
            at,
        };
        let credential = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let who = identify(&*self.verifier, &arrival, credential).await?;
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, whole(body).await?);
        let (status, view) = self.users.handle(&who, request).await?;
        Ok(json_response(status, &view))
    }
}

pub(super) async fn whole(body: Incoming) -> Result<Bytes, Problem> {
    match tokio::time::timeout(PATIENCE, Limited::new(body, FORM).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(_)) => Err(Problem::new(Code::BodyTooLarge, format!("the body is larger than {FORM} bytes"))),
        Err(_) => Err(Problem::new(Code::DeadlineExceeded, "the body did not arrive in time")),
    }
}
