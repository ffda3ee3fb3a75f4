//! The endpoints that programs call: which paths they have, and what is done before and after the protocol crate answers.
//!
//! - The pages for people, `/oauth/authorize` and `/oauth/device`, are not here: they want a session and a look.
//! - Work goes on in a task of its own: a caller that goes away in the middle leaves no grant half done.
//! - Whoever is gone gets no new tokens: a refresh for a person that is not known any more is refused.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use moongate_core::{Certificate, Problem};
use oauth_as::Body;
use oauth_as::metadata::{WELL_KNOWN_PATH, issuer_path, well_known_path};
use oauth_as::mtls::TLS_CLIENT_AUTH;
use oauth_as::store::Storage as _;
use serde_json::{Value, json};

use super::consent::broken;
use super::storage::{ASKING, Asking};
use super::{Authority, audience, caller, certified, form};

/// The largest body that an endpoint reads.
pub const BODY: usize = 16 * 1024;
/// All networks together.
const ALL: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// Where OpenID clients look for the same document.
const ALIAS: &str = "/.well-known/openid-configuration";
/// Where a resource says who issues its tokens (RFC 9728 §3).
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const ENDPOINTS: [&str; 5] =
    ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke", "/oauth/introspect", "/oauth/jwks"];

/// A path below another one, or that one itself.
fn is_at(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Authority {
    /// Whether a path is one of the endpoints for programs.
    pub fn serves(path: &str) -> bool {
        ENDPOINTS.contains(&path) || [WELL_KNOWN_PATH, ALIAS, RESOURCE].iter().any(|place| is_at(path, place))
    }

    /// Answers a program; `remote` is shown to the person who is asked about a device.
    /// `certificate` is the one that the request's connection has shown and that holds.
    pub async fn handle(
        self: &Arc<Self>,
        remote: IpAddr,
        certificate: Option<Arc<Certificate>>,
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let this = self.clone();
        let answering = tokio::spawn(async move { this.paced(remote, certificate.as_deref(), request).await });
        answering.await.unwrap_or_else(|_| refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error"))
    }

    /// Where a caller without the right token learns where it would get one (RFC 9728 §5.1). Where it is not known at all
    /// (`wanting`), the scopes are named too, and whether what it `presented` was no good (RFC 6750 §3.1).
    pub fn pointer(&self, path: &str, wanting: bool, presented: bool) -> String {
        let state = self.state.load();
        let place = if is_at(path, "/a2a") { "/a2a" } else { "" };
        let (origin, own) = (origin(&state.terms.issuer), issuer_path(&state.terms.issuer));
        let mut text = String::from(if wanting && presented { "error=\"invalid_token\", " } else { "" });
        text.push_str(&format!("resource_metadata=\"{origin}{RESOURCE}{own}{place}\""));
        if wanting {
            let words: Vec<&str> = state.terms.scopes.words().iter().map(|word| &**word).collect();
            text.push_str(&format!(", scope=\"{}\"", words.join(" ")));
        }
        text
    }

    /// Answers, unless too much of what this network sent was wrong. Behind a proxy on this machine everybody comes from loopback:
    /// there nobody is kept out for what others did.
    async fn paced(
        &self,
        remote: IpAddr,
        certificate: Option<&Certificate>,
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let is_counted = !remote.to_canonical().is_loopback();
        if is_counted && self.failures.is_over(remote, self.clock.mono()) {
            return slow_down();
        }
        let client = caller::named(&request);
        let response = self.answer(remote, certificate, request).await;
        let response = self.signed(client, response).await;
        if is_counted && is_failure(&response) {
            self.failures.note(remote, self.clock.mono());
        }
        response
    }

    async fn answer(
        &self,
        remote: IpAddr,
        certificate: Option<&Certificate>,
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let path = request.uri().path();
        if is_at(path, RESOURCE) {
            return self.resource(request.method(), path);
        }
        if path == "/oauth/jwks" && matches!(*request.method(), Method::GET | Method::HEAD) {
            return document(&self.keys.jwks());
        }
        let pairs = std::str::from_utf8(request.body()).map(form::pairs).unwrap_or_default();
        if let Some(name) = form::excess(&pairs) {
            let error = if name == "scope" { "invalid_scope" } else { "invalid_request" };
            return told(refused(StatusCode::BAD_REQUEST, error), &format!("{name} is too long"));
        }
        let (begins, now) = (path == "/oauth/device_authorization", self.clock.mono());
        if begins && (!self.pace.allows(remote, now) || self.begun.is_over(ALL, now)) {
            return slow_down();
        }
        let mut scopes = form::words(&pairs, "scope");
        if let Some(token) = form::first(&pairs, "refresh_token") {
            match self.is_for_nobody(token).await {
                Ok(false) => scopes.extend(self.grants.refresh_scopes(token).await),
                Ok(true) => return refused(StatusCode::BAD_REQUEST, "invalid_grant"),
                Err(problem) => {
                    tracing::error!(%problem, "a refresh token cannot be looked up");
                    return refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
                }
            }
        }
        let asks_about = form::first(&pairs, "token").filter(|_| path == "/oauth/introspect").map(str::to_owned);
        let exchange = match self.exchange(path, &pairs).await {
            Ok(exchange) => exchange,
            Err(refusal) => return refusal,
        };
        let request = exchange.iter().fold(request, |request, one| one.posed(request));
        let asking = Asking { remote: Some(remote), scopes, exchange: exchange.clone(), ..Asking::default() };
        let full = asking.full.clone();
        let response = self.spoken(asking, certificate, &pairs, request).await;
        if full.load(Ordering::Acquire) {
            return told(slow_down(), "the client holds too many tokens that have not run out; it is to use those");
        }
        if begins && response.status().is_success() {
            self.begun.note(ALL, now);
        }
        let response = exchange.iter().fold(response, |response, one| one.answered(response));
        match asks_about {
            Some(token) if response.status().is_success() => self.current(&token, response).await,
            _ => response,
        }
    }

    /// What the protocol says: the crate's endpoints, or ours for a client that comes with a certificate.
    async fn spoken(
        &self,
        mut asking: Asking,
        certificate: Option<&Certificate>,
        pairs: &[(String, String)],
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let state = self.state.load_full();
        // A connection lives longer than its handshake.
        let now = self.clock.now();
        if let Some(certificate) = certificate.filter(|one| one.expires_at.is_none_or(|end| end > now)) {
            match self.certified(&request, pairs).await {
                Ok(Some(client)) => {
                    asking.certificate = certified::thumbprint(certificate).ok();
                    let path = request.uri().path();
                    let answering = certified::answer(&state.server, path, pairs, (client, certificate));
                    return ASKING.scope(asking, answering).await;
                }
                Ok(None) => {}
                Err(problem) => {
                    tracing::error!(%problem, "a client cannot be looked up");
                    return refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
                }
            }
        }
        let is_metadata = is_metadata(request.uri().path());
        let Some(request) = routed(named_once(request), &state.terms.issuer) else {
            return refused(StatusCode::NOT_FOUND, "invalid_request");
        };
        let response = ASKING.scope(asking, state.service.handle(request)).await.map(Body::into_bytes);
        if !is_metadata || !response.status().is_success() {
            return response;
        }
        response.map(|body| {
            let mut document = serde_json::from_slice(&body).unwrap_or_default();
            correct(&mut document, state.terms.certificates);
            document.to_string().into()
        })
    }

    /// What is said about a token, as far as it holds at this moment: the protocol crate knows neither people nor what changed.
    async fn current(&self, token: &str, said: Response<Bytes>) -> Response<Bytes> {
        let about: Value = serde_json::from_slice(said.body()).unwrap_or_default();
        if about.get("active") != Some(&Value::Bool(true)) {
            return said;
        }
        match self.standing(token).await {
            Ok(Some(standing)) => {
                let words: Vec<&str> = standing.scopes.words().iter().map(|word| &**word).collect();
                said.map(|_| with(about, "scope", &words.join(" ")))
            }
            Ok(None) => said.map(|_| Bytes::from(json!({ "active": false }).to_string())),
            Err(problem) => {
                tracing::error!(%problem, "a token cannot be looked up");
                refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
        }
    }

    /// Whether a refresh token speaks for a person that is not known any more.
    async fn is_for_nobody(&self, token: &str) -> Result<bool, Problem> {
        let Some(record) = self.grants.get_refresh_token(token).await.map_err(broken)? else { return Ok(false) };
        let Some(user) = &record.subject else { return Ok(false) };
        Ok(self.rights(user, record.grant_established_at).await?.is_none())
    }

    /// The resource's own document (RFC 9728 §3.2): the gateway as a whole, or its A2A endpoint.
    fn resource(&self, method: &Method, path: &str) -> Response<Bytes> {
        let state = self.state.load();
        let named = path.strip_prefix(RESOURCE).unwrap_or_default();
        let mut resources = audience(&state.terms.issuer).into_iter();
        let resource = match named {
            // Behind a proxy that cuts a path off, too.
            "" => resources.next(),
            named => resources.find(|resource| issuer_path(resource) == named),
        };
        let Some(resource) = resource.filter(|_| matches!(*method, Method::GET | Method::HEAD)) else {
            return refused(StatusCode::NOT_FOUND, "invalid_request");
        };
        document(&json!({
            "resource": resource,
            "authorization_servers": [state.terms.issuer],
            "bearer_methods_supported": ["header"],
            "scopes_supported": state.terms.scopes.words().iter().map(|word| word.to_string()).collect::<Vec<_>>(),
        }))
    }
}

/// A client that proves itself in a header and repeats its id in the body says nothing twice (RFC 8628 §3.1 wants the id there);
/// the protocol crate takes it for a second proof. Any other id than its own stays, and is refused.
fn named_once(request: Request<Bytes>) -> Request<Bytes> {
    let Some(id) = request.headers().get(AUTHORIZATION).and_then(basic_id) else { return request };
    let Ok(text) = std::str::from_utf8(request.body()) else { return request };
    let repeats = |pair: &&str| form::pairs(pair).iter().any(|(key, value)| key == "client_id" && *value == id);
    let kept: Vec<&str> = text.split('&').filter(|pair| !repeats(pair)).collect();
    let body = Bytes::from(kept.join("&"));
    request.map(|_| body)
}

/// The id of `Basic` credentials (RFC 6749 §2.3.1: form-encoded, then base64).
pub(super) fn basic_id(value: &HeaderValue) -> Option<String> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let plain = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest.trim()).ok())??;
    form::decoded(std::str::from_utf8(&plain).ok()?.split_once(':')?.0)
}

/// A URL without its path.
fn origin(url: &str) -> &str {
    url.strip_suffix(issuer_path(url)).unwrap_or(url)
}

/// Whether the server's own metadata is asked for.
fn is_metadata(path: &str) -> bool {
    [WELL_KNOWN_PATH, ALIAS].iter().any(|place| is_at(path, place))
}

/// What the crate says of itself in its metadata (RFC 8414), as it is here: no client is registered with a secret that signs, and
/// some may be known by their certificate (RFC 8705 §2.1.1, §3.3), which the crate cannot know.
fn correct(document: &mut Value, certificates: bool) {
    let mut listed = |name: &str, change: &dyn Fn(&mut Vec<Value>)| {
        if let Some(list) = document.get_mut(name).and_then(Value::as_array_mut) {
            change(list);
        }
    };
    listed("token_endpoint_auth_signing_alg_values_supported", &|algorithms| algorithms.retain(|one| one != "HS256"));
    listed("token_endpoint_auth_methods_supported", &|methods| {
        methods.retain(|one| one != "client_secret_jwt");
        if certificates {
            methods.push(TLS_CLIENT_AUTH.into());
        }
    });
    if let Some(members) = document.as_object_mut().filter(|_| certificates) {
        members.insert("tls_client_certificate_bound_access_tokens".to_owned(), true.into());
    }
}

/// The request as the protocol crate knows its paths: below the issuer's own.
fn routed(request: Request<Bytes>, issuer: &str) -> Option<Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let own = if is_metadata(path) { well_known_path(issuer) } else { format!("{}{path}", issuer_path(issuer)) };
    parts.uri = own.parse().ok()?;
    Some(Request::from_parts(parts, Body::from(body)))
}

fn document(value: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// The same, with what is the matter.
pub(super) fn told(response: Response<Bytes>, why: &str) -> Response<Bytes> {
    response.map(|body| with(serde_json::from_slice(&body).unwrap_or_default(), "error_description", why))
}

/// An object with another text in it.
fn with(mut object: Value, name: &str, text: &str) -> Bytes {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), Value::from(text));
    }
    Bytes::from(object.to_string())
}

/// Whether somebody was refused for what they sent; a device that asks whether its person has answered is not.
fn is_failure(response: &Response<Bytes>) -> bool {
    let error = || serde_json::from_slice::<Value>(response.body()).unwrap_or_default();
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS => false,
        status if status.is_client_error() => error().get("error") != Some(&Value::from("authorization_pending")),
        _ => false,
    }
}

fn slow_down() -> Response<Bytes> {
    let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "slow_down");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

/// An error of RFC 6749 §5.2.
pub(super) fn refused(status: StatusCode, error: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(json!({ "error": error }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
