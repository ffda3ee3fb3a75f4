//! The authorization server's places: endpoints for programs on every listener, and the operators' API over clients and tokens.
//!
//! - `GET`, `POST /api/v1/clients`, `GET`, `DELETE /api/v1/clients/{id}`, `POST /api/v1/clients/{id}:disable` and `:enable`
//! - `GET /api/v1/tokens`, `DELETE /api/v1/tokens/{id}`, `GET /api/v1/tokens/keys`, `POST /api/v1/tokens:rotate-key`
//!
//! The API is for the operator at this machine alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use moongate_a2a::endpoint::{ReplyBody, json_response, no_such_path, problem_response};
use moongate_core::{Code, Listener, Problem};
use moongate_identity::Authority;
use moongate_identity::authority::clients::{ClientProof, NewClient};
use moongate_identity::authority::web::BODY;
use moongate_transport::Peer;
use serde_json::{Value, json};

use super::Surface;
use super::deeds::ended;

/// Tokens that are listed at most.
const LISTED: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a path is one of the operators' API here.
pub(super) fn is_api(path: &str) -> bool {
    ["/api/v1/clients", "/api/v1/tokens"]
        .iter()
        .any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':'])))
}

impl Surface {
    /// Answers a program.
    pub(super) async fn authorize(&self, peer: Peer, request: Request<Incoming>) -> Response<ReplyBody> {
        let Some(authority) = self.authority.load_full() else { return no_such_path(request.uri().path()) };
        let (parts, body) = request.into_parts();
        let body = match whole(body).await {
            Ok(body) => body,
            Err(problem) => {
                self.turned_away(&peer, &Request::from_parts(parts, ()), &problem);
                return problem_response(&problem);
            }
        };
        let request = Request::from_parts(parts, body);
        let mut doing = match self.program_deed(&peer, &request).await {
            Ok(doing) => doing,
            Err(refused) => return *refused,
        };
        let response = authority.handle(peer.remote.ip().to_canonical(), peer.certificate.clone(), request).await;
        if let (Some(doing), Some(error)) = (&mut doing, error_of(&response)) {
            doing.told(&format!("error={error}"));
        }
        ended(doing, response.map(ReplyBody::whole))
    }

    /// Answers the operator.
    pub(super) async fn administer(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let answered = self.about_clients(listener, peer, request).await;
        answered.unwrap_or_else(|problem| {
            if let Some(inside) = &problem.inside {
                tracing::warn!(code = %problem.code, inside, "{}", problem.detail);
            }
            problem_response(&problem)
        })
    }

    async fn about_clients(
        &self,
        listener: Listener,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Problem> {
        self.operator(listener, peer, request.headers(), "clients and tokens").await?;
        let authority = self.authority.load_full();
        let authority = authority.ok_or_else(|| Problem::new(Code::OauthOff, "the configuration has no [oauth]"))?;
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.trim_start_matches("/api/v1/").trim_end_matches('/').split('/').collect();
        match (request.method().clone(), segments.as_slice()) {
            (Method::GET, ["clients"]) => Ok(ok(&json!({"clients": authority.clients().await?}))),
            (Method::POST, ["clients"]) => register(&authority, request).await,
            (Method::GET, ["clients", id]) => Ok(ok(&authority.client(id).await?)),
            (Method::DELETE, ["clients", id]) => {
                authority.remove_client(id).await?;
                Ok(ok(&json!({ "removed": id })))
            }
            (Method::POST, ["clients", target]) => match target.rsplit_once(':') {
                Some((id, "disable")) => Ok(ok(&authority.disable_client(id, true).await?)),
                Some((id, "enable")) => Ok(ok(&authority.disable_client(id, false).await?)),
                _ => Ok(no_such_path(&path)),
            },
            (Method::GET, ["tokens"]) => Ok(ok(&json!({"tokens": authority.tokens(LISTED).await?}))),
            (Method::GET, ["tokens", "keys"]) => Ok(ok(&keys(&authority))),
            (Method::POST, ["tokens:rotate-key"]) => {
                authority.rotate_key().await?;
                Ok(ok(&keys(&authority)))
            }
            (Method::DELETE, ["tokens", id]) => {
                let revoked = authority.revoke_token(id).await?;
                let missing = || Problem::new(Code::NoSuchEntry, format!("there is no token {id}"));
                if revoked { Ok(ok(&json!({ "revoked": id }))) } else { Err(missing()) }
            }
            (_, ["clients" | "tokens" | "tokens:rotate-key"] | ["clients" | "tokens", _]) => Err(Problem::new(
                Code::HttpMethodNotAllowed,
                "the method does not fit this path; see /api/v1/openapi.json",
            )),
            _ => Ok(no_such_path(&path)),
        }
    }

    /// Says in a refusal where tokens come from (RFC 9728 §5.1), if they come from here.
    pub(super) fn pointing(
        &self,
        path: &str,
        presented: bool,
        mut response: Response<ReplyBody>,
    ) -> Response<ReplyBody> {
        if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return response;
        }
        let Some(authority) = self.authority.load_full() else { return response };
        let Some(said) = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()) else {
            return response;
        };
        let between = if said == "Bearer" { " " } else { ", " };
        let wanting = response.status() == StatusCode::UNAUTHORIZED;
        let text = format!("{said}{between}{}", authority.pointer(path, wanting, presented));
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

/// What a refusal is called in the protocol's own words (RFC 6749 §5.2).
fn error_of(response: &Response<Bytes>) -> Option<String> {
    let body: Value = serde_json::from_slice(response.body()).ok().filter(|_| !response.status().is_success())?;
    body.get("error")?.as_str().map(str::to_owned)
}

fn ok(value: &Value) -> Response<ReplyBody> {
    json_response(StatusCode::OK, value)
}

fn keys(authority: &Authority) -> Value {
    let keys = authority
        .keys()
        .into_iter()
        .map(|key| json!({"id": key.id, "made_at": key.made_at.0, "replaced_at": key.replaced_at.map(|at| at.0)}));
    json!({"keys": keys.collect::<Vec<_>>()})
}

/// A body that is short enough and comes in time.
pub(super) async fn whole(body: Incoming) -> Result<Bytes, Problem> {
    match tokio::time::timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(_)) => Err(Problem::new(Code::BodyTooLarge, format!("the body is larger than {BODY} bytes"))),
        Err(_) => Err(Problem::new(Code::DeadlineExceeded, "the body did not arrive in time")),
    }
}

async fn register(authority: &Arc<Authority>, request: Request<Incoming>) -> Result<Response<ReplyBody>, Problem> {
    let bytes = whole(request.into_body()).await?;
    moongate_wire::json::check(&bytes, &moongate_wire::json::Limits::default())?;
    let body: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::BodyNotJson, format!("the body is not JSON: {error}")))?;
    let (mut view, secret) = authority.add_client(described(&body)?).await?;
    if let (Some(secret), Some(view)) = (secret, view.as_object_mut()) {
        view.insert("secret".to_owned(), json!(secret));
    }
    Ok(json_response(StatusCode::CREATED, &view))
}

/// The client that a body describes.
fn described(body: &Value) -> Result<NewClient, Problem> {
    const KNOWN: [&str; 8] = ["id", "name", "proof", "jwks", "certificate", "grants", "scopes", "redirect_uris"];
    let wrong = |field: &str, why: &str| {
        Problem::new(Code::InvalidParams, format!("`{field}` {why}")).field(field.to_owned(), why.to_owned())
    };
    let members = body.as_object().ok_or_else(|| wrong("body", "is no object"))?;
    if let Some(stray) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(wrong(stray, "is not known here"));
    }
    let texts = |name: &str| -> Result<Vec<String>, Problem> {
        let Some(value) = members.get(name) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| wrong(name, "is no list"))?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "holds no texts"))).collect()
    };
    let certificate = members.get("certificate").map(|value| value.as_str().unwrap_or_default());
    let proof = match (members.get("proof").and_then(Value::as_str), members.get("jwks"), certificate) {
        (Some("none"), None, None) => ClientProof::Public,
        (Some("client_secret"), None, None) => ClientProof::Secret,
        (Some("private_key_jwt"), Some(keys), None) => ClientProof::Keys(keys.clone()),
        (Some("tls_client_auth"), None, Some(identity)) => ClientProof::Certificate(identity.to_owned()),
        _ => {
            return Err(wrong(
                "proof",
                "is none, client_secret, private_key_jwt with `jwks`, or tls_client_auth with `certificate`",
            ));
        }
    };
    Ok(NewClient {
        id: members.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
        name: members.get("name").and_then(Value::as_str).map(str::to_owned),
        proof,
        grants: texts("grants")?,
        scopes: texts("scopes")?,
        redirect_uris: texts("redirect_uris")?,
    })
}
