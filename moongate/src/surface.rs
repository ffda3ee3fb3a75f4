//! What each listener serves: the gateway's places, the API, and what operators look at.
//!
//! A browser page must not act as `local` just because it runs on this machine, so requests are refused if a foreign page
//! sent them (`Origin`) or if they came by a name that is not this machine's (`Host`).

mod approvals;
mod audit;
mod ca;
pub(crate) mod console;
mod deeds;
mod events;
pub(crate) mod lines;
mod oauth;
mod openapi;
mod overview;
mod people;
mod pulse;
mod push;
mod routes;
pub(crate) mod standing;
mod status;
mod timeline;
mod witness;

use std::sync::Arc;

use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use moongate_a2a::Endpoint;
use moongate_a2a::api::Api;
use moongate_a2a::endpoint::{Place, ReplyBody, json_response, no_such_path, problem_response};
use moongate_a2a::routing::registry::AgentRegistry;
use moongate_approval::channels::push::Push;
use moongate_console::{Console, Pages, Users};
use moongate_core::seam::{Store, identify};
use moongate_core::{Code, Listener, Principal, PrincipalKind, Problem, Proof};
use moongate_identity::Authority;
use moongate_telemetry::Telemetry;
use moongate_transport::{Drain, Handler, Peer};
use serde_json::json;

use crate::wire_up::record::Records;
use crate::wire_up::witnesses::Witnessing;
use crate::wire_up::{Boundary, Doorkeeper, Own};

pub(crate) use pulse::Pulse;
pub(crate) use standing::Standing;
pub(crate) use status::Status;

/// The host by which the gateway is known outside; a reload may change it.
pub(crate) type PublicHost = arc_swap::ArcSwapOption<String>;

/// All that is served.
pub(crate) struct Surface {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) api: Api,
    pub(crate) registry: Arc<AgentRegistry>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) records: Arc<Records>,
    pub(crate) status: Arc<Status>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) drain: Drain,
    /// Listeners that other machines reach: whoever comes there is known by a token, and operators look elsewhere.
    pub(crate) facing_out: Vec<Listener>,
    /// The host of `public_url`, as the configuration has it now.
    pub(crate) public_host: Arc<PublicHost>,
    pub(crate) verifier: Arc<Doorkeeper>,
    /// The gateway's own authorization server, while it is on.
    pub(crate) authority: Arc<Own>,
    pub(crate) pages: Pages,
    pub(crate) push: Arc<Push>,
    pub(crate) users: Users,
    pub(crate) console: Console,
    /// Where the console is served, if it is.
    pub(crate) admin: Option<std::net::SocketAddr>,
    pub(crate) pulse: Arc<Pulse>,
    /// The configuration as it stands, to look at.
    pub(crate) standing: Arc<Standing>,
    /// Room for those who read the audit log.
    pub(crate) readers: Arc<tokio::sync::Semaphore>,
    pub(crate) boundary: Arc<Boundary>,
    /// What witnesses say of the audit log, and what this gateway says of others'.
    pub(crate) witnessing: Arc<Witnessing>,
}

/// What one listener serves.
pub(crate) struct ListenerSurface {
    pub(crate) listener: Listener,
    pub(crate) surface: Arc<Surface>,
}

impl Handler for ListenerSurface {
    type Body = ReplyBody;

    async fn handle(self: &Arc<Self>, peer: Peer, mut request: Request<Incoming>) -> Response<ReplyBody> {
        strip(request.headers_mut());
        let surface = &self.surface;
        let facing_out = surface.facing_out.contains(&self.listener);
        // Pages are stricter about who sent a form, and where nobody is `local` no name is better than another.
        let judged_there = facing_out && Pages::serves(request.uri().path());
        if !judged_there && let Err(problem) = surface.check_origin(request.uri(), request.headers(), facing_out) {
            surface.turned_away(&peer, &request, &problem);
            return problem_response(&problem);
        }
        let path = request.uri().path();
        if let Some(place) = Place::of(path) {
            // On the heap, both: the connection moves the answer's future about, and these are large.
            let path = request.uri().path().to_owned();
            let presented = request.headers().contains_key(AUTHORIZATION);
            let response = Box::pin(surface.endpoint.handle(self.listener, peer, place, request)).await;
            return surface.pointing(&path, presented, response);
        }
        let path = path.to_owned();
        let response = Box::pin(surface.elsewhere(self.listener, facing_out, peer, request)).await;
        naming_what_fits(&path, response)
    }
}

/// Says in a refusal of a method which ones there are.
fn naming_what_fits(path: &str, mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(methods) = routes::allowed(path).and_then(|methods| HeaderValue::try_from(methods).ok())
    {
        response.headers_mut().entry(ALLOW).or_insert(methods);
    }
    response
}

/// Something of ours broke.
fn internal(detail: &str, inside: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Internal, detail.to_owned()).inside(inside)
}

/// Headers by which a proxy in front of a server says whom it has identified. There is none in front of this one that is
/// believed, so nobody behind this line sees what a caller says of itself.
const IDENTITY: [&str; 12] = [
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-remote-user",
    "remote-user",
    "x-client-cert",
    "client-cert",
    "client-cert-chain",
    "x-ssl-client-cert",
    "ssl-client-cert",
];
const IDENTITY_FAMILIES: [&str; 6] =
    ["x-spiffe-", "x-auth-request-", "x-ssl-client-", "ssl-client-", "x-client-cert-", "x-amzn-mtls-"];

/// Removes what stands in [`IDENTITY`] and [`IDENTITY_FAMILIES`].
fn strip(headers: &mut HeaderMap) {
    let claims =
        |name: &str| IDENTITY.contains(&name) || IDENTITY_FAMILIES.iter().any(|family| name.starts_with(family));
    let claimed: Vec<_> = headers.keys().filter(|name| claims(name.as_str())).cloned().collect();
    for name in claimed {
        headers.remove(name);
    }
}

impl Surface {
    /// Answers what the description of the API names, and what is read at an address of the API by its head alone as if it were
    /// read: whoever sends it on leaves the body out.
    async fn elsewhere(
        self: &Arc<Self>,
        listener: Listener,
        facing_out: bool,
        peer: Peer,
        mut request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        if *request.method() == Method::HEAD && request.uri().path().starts_with("/api/") {
            *request.method_mut() = Method::GET;
        }
        let path = request.uri().path();
        let reading = match routes::known(request.method(), path) {
            routes::Known::Served => self.reading(listener, &peer, &request).await,
            routes::Known::Unlogged => Ok(None),
            routes::Known::Nothing => return no_such_path(path),
            routes::Known::Otherwise => {
                let detail = "the method does not fit this path; see /api/v1/openapi.json";
                return problem_response(&Problem::new(Code::HttpMethodNotAllowed, detail));
            }
        };
        match reading {
            Ok(reading) => deeds::ended(reading, self.beside(listener, facing_out, peer, request).await),
            Err(refused) => *refused,
        }
    }

    /// Answers what is beside A2A.
    async fn beside(
        self: &Arc<Self>,
        listener: Listener,
        facing_out: bool,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let path = request.uri().path();
        if Authority::serves(path) {
            return Box::pin(self.authorize(peer, request)).await;
        }
        if Pages::serves(path) {
            return Box::pin(self.page(peer, request)).await;
        }
        if listener == Listener::Admin && Console::serves(path) {
            return Box::pin(self.console(peer, request)).await;
        }
        if let Some(task) = timeline::task_of(path) {
            return Box::pin(self.timeline(listener, peer, &task, request)).await;
        }
        let about = [
            console::is_api,
            Users::serves,
            oauth::is_api,
            approvals::is_about,
            push::is_about,
            ca::is_about,
            Api::serves,
        ];
        if about.iter().any(|serves| serves(path)) {
            return Box::pin(self.administered(listener, peer, request)).await;
        }
        if events::serves(path) {
            return Box::pin(self.events(listener, peer, request)).await;
        }
        if lines::is_about(path) {
            return Box::pin(self.lines(listener, peer, request)).await;
        }
        if witness::serves(path) {
            return Box::pin(self.witness(listener, peer, request)).await;
        }
        if audit::serves(path) {
            return Box::pin(self.audit(listener, peer, request)).await;
        }
        if facing_out && path != "/healthz" {
            return no_such_path(path);
        }
        self.operations(request.method(), path)
    }

    /// The operator at this machine, for what is nobody else's.
    async fn operator(
        &self,
        listener: Listener,
        peer: Peer,
        headers: &HeaderMap,
        what: &str,
    ) -> Result<Arc<Principal>, Problem> {
        let arrival = self.endpoint.arrival(listener, peer);
        let credential = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let who = identify(&*self.verifier, &arrival, credential).await?;
        if who.proof == Proof::Loopback && who.kind == PrincipalKind::Operator {
            return Ok(who);
        }
        Err(Problem::new(Code::Forbidden, format!("{what} are for the operator at the gateway's machine")))
    }

    /// Answers a request to the API, and enters what it changes in the record.
    async fn administered(&self, listener: Listener, peer: Peer, request: Request<Incoming>) -> Response<ReplyBody> {
        let doing = match self.api_deed(listener, &peer, &request).await {
            Ok(doing) => doing,
            Err(refused) => return *refused,
        };
        let path = request.uri().path();
        let response = if console::is_api(path) {
            Box::pin(self.console_api(listener, peer, request)).await
        } else if Users::serves(path) {
            Box::pin(self.users(listener, peer, request)).await
        } else if oauth::is_api(path) {
            Box::pin(self.administer(listener, peer, request)).await
        } else if approvals::is_about(path) {
            Box::pin(self.approvals(listener, peer, request)).await
        } else if push::is_about(path) {
            Box::pin(self.subscriptions(listener, peer, request)).await
        } else if ca::is_about(path) {
            Box::pin(self.announced(listener, peer, request)).await
        } else {
            Box::pin(self.api.handle(listener, peer, request)).await
        };
        deeds::ended(doing, response)
    }

    /// Health, readiness, metrics, status and the description of the API.
    fn operations(&self, method: &Method, path: &str) -> Response<ReplyBody> {
        let known = ["/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/openapi.json"];
        if !known.contains(&path) {
            return no_such_path(path);
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return problem_response(&Problem::new(Code::HttpMethodNotAllowed, "this is read with GET"));
        }
        match path {
            "/healthz" => json_response(StatusCode::OK, &json!({"status": "alive"})),
            "/readyz" => self.ready(),
            "/metrics" => {
                let mut response = Response::new(ReplyBody::whole(self.telemetry.metrics().encode()));
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                response
            }
            "/api/v1/status" => {
                let mut view = self.status.view(self.registry.census());
                if let Some(members) = view.as_object_mut() {
                    members.insert("audit".to_owned(), self.witnessing.view(self.records.health().err()));
                }
                json_response(StatusCode::OK, &view)
            }
            _ => json_response(StatusCode::OK, &openapi::document()),
        }
    }

    /// Ready once every configured agent's card has been tried, and while the store and the audit log take writes.
    fn ready(&self) -> Response<ReplyBody> {
        let reason = if self.drain.draining() {
            Some("the gateway is shutting down".to_owned())
        } else if !self.registry.is_ready() {
            Some("the configured agents have not all been tried yet".to_owned())
        } else {
            self.store.health().and_then(|()| self.records.health()).err().map(|problem| problem.to_string())
        };
        match reason {
            None => json_response(StatusCode::OK, &json!({"status": "ready"})),
            Some(reason) => {
                json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not ready", "reason": reason}))
            }
        }
    }

    /// Refuses what a foreign web page sent through somebody's browser.
    ///
    /// Where nobody is let in for being at this machine, it may be called by whatever name.
    fn check_origin(&self, uri: &Uri, headers: &HeaderMap, facing_out: bool) -> Result<(), Problem> {
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.to_str().unwrap_or("null");
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if !self.is_own(host) {
                return Err(Problem::new(Code::Forbidden, "requests of foreign web pages are refused"));
            }
        }
        let host =
            headers.get(HOST).and_then(|value| value.to_str().ok()).or_else(|| uri.authority().map(|a| a.as_str()));
        match host {
            Some(host) if !facing_out && !self.is_own(host) => Err(Problem::new(
                Code::Forbidden,
                "the request names a host that is not this gateway; call it by its address, or set public_url",
            )),
            _ => Ok(()),
        }
    }

    /// Whether `host[:port]` is a name of this machine, or the public one.
    fn is_own(&self, authority: &str) -> bool {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let local = host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        local || self.public_host.load().as_ref().is_some_and(|public| public.eq_ignore_ascii_case(host))
    }
}
