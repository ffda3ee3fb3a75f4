//! Clients that prove who they are by the certificate of their connection (RFC 8705, `tls_client_auth`).
//!
//! - A client is registered with the identity that its certificate has at this gateway: the SPIFFE id, or `device/NAME`. Who
//!   that is was verified when the connection was made ([`crate::mtls`]); here it is compared.
//! - What such a client gets is bound to the certificate (§3): an access token counts only on a connection that shows it.
//! - A refresh token is bound to the client, not to one certificate (§7.1): certificates are renewed more often than people
//!   want to be asked.
//! - The protocol crate's own endpoints never see a connection, so requests of these clients, and no others, are read here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use moongate_core::Certificate;
use oauth_as::mtls::{CertificateThumbprint, ClientCertificate, ExpectedSubject, MtlsClientRegistration};
use oauth_as::server::{ClientCredential, TokenRequest, TokenRequestContext};
use oauth_as::store::{Storage as _, StorageError};
use oauth_as::token::TokenTypeHint;
use oauth_as::{ClientAuth, ClientId, ErrorCode, ErrorResponse, GrantType, ScopeSet};
use serde::Serialize;

use super::form;
use super::{Authority, Server};

/// What a client proves itself by.
pub(super) fn auth(identity: &str) -> ClientAuth {
    ClientAuth::Mtls {
        registration: MtlsClientRegistration::TlsClientAuth(ExpectedSubject::SanUri(identity.to_owned())),
    }
}

/// The identity that a client was registered with, if it proves itself by a certificate.
pub(super) fn identity(auth: &ClientAuth) -> Option<&str> {
    match auth {
        ClientAuth::Mtls { registration: MtlsClientRegistration::TlsClientAuth(expected) } => Some(expected.value()),
        _ => None,
    }
}

/// How the crate calls a certificate.
pub(super) fn thumbprint(certificate: &Certificate) -> Result<CertificateThumbprint, ErrorResponse> {
    CertificateThumbprint::from_base64url(&URL_SAFE_NO_PAD.encode(certificate.thumbprint))
        .map_err(|_| ErrorResponse::new(ErrorCode::ServerError))
}

type Answer = Result<Response<Bytes>, ErrorResponse>;
type Pairs = [(String, String)];

impl Authority {
    /// The client that a request is of, if it is one that proves itself by its connection's certificate and by nothing else.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn certified(
        &self,
        request: &Request<Bytes>,
        pairs: &Pairs,
    ) -> Result<Option<ClientId>, StorageError> {
        let otherwise = ["client_secret", "client_assertion"].iter().any(|name| form::first(pairs, name).is_some());
        let Some(id) = form::first(pairs, "client_id") else { return Ok(None) };
        if otherwise || request.method() != Method::POST || request.headers().contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        let id = ClientId::new(id);
        let client = self.grants.get_client(&id).await?;
        Ok(client.filter(|client| identity(&client.auth).is_some()).map(|_| id))
    }
}

/// Answers a client that [`Authority::certified`] named.
pub(super) async fn answer(
    server: &Server,
    path: &str,
    pairs: &Pairs,
    (client, certificate): (ClientId, &Certificate),
) -> Response<Bytes> {
    answered(server, path, pairs, (client, certificate)).await.unwrap_or_else(|error| {
        // RFC 6749 §5.2: 401 is for who tried in the header.
        let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let status = if status == StatusCode::UNAUTHORIZED { StatusCode::BAD_REQUEST } else { status };
        let mut response = said(&error);
        *response.status_mut() = status;
        response
    })
}

async fn answered(
    server: &Server,
    path: &str,
    pairs: &Pairs,
    (client, certificate): (ClientId, &Certificate),
) -> Answer {
    let names = [&*certificate.id];
    let shown = ClientCertificate::from_thumbprint(thumbprint(certificate)?).with_san_uri(&names);
    let credential = ClientCredential::certificate(&shown);
    match path {
        "/oauth/token" => token(server, pairs, client, credential).await,
        "/oauth/device_authorization" => {
            let scope = scope(pairs)?;
            let begun = server.device_authorization_with_credential(&client, &credential, scope.as_ref()).await?;
            Ok(said(&begun))
        }
        "/oauth/introspect" => {
            let token = required(pairs, "token")?;
            Ok(said(&server.introspection_response_with_credential(&client, &credential, token).await?))
        }
        "/oauth/revoke" => {
            let token = required(pairs, "token")?;
            let hint = form::first(pairs, "token_type_hint").and_then(|hint| hint.parse::<TokenTypeHint>().ok());
            server.revoke_with_credential(&client, &credential, token, hint).await?;
            Ok(spoken(StatusCode::OK, Bytes::new()))
        }
        _ => Err(invalid("there is no such endpoint")),
    }
}

async fn token(server: &Server, pairs: &Pairs, client_id: ClientId, credential: ClientCredential<'_>) -> Answer {
    let grant = GrantType::parse(required(pairs, "grant_type")?);
    let text = |name| required(pairs, name).map(str::to_owned);
    let client_secret = None;
    let request = match grant {
        Some(GrantType::ClientCredentials) => {
            TokenRequest::ClientCredentials { client_id, client_secret, scope: scope(pairs)? }
        }
        Some(GrantType::AuthorizationCode) => TokenRequest::AuthorizationCode {
            client_id,
            client_secret,
            code: text("code")?,
            redirect_uri: form::first(pairs, "redirect_uri").map(str::to_owned),
            code_verifier: form::first(pairs, "code_verifier").map(str::to_owned),
        },
        Some(GrantType::DeviceCode) => {
            TokenRequest::DeviceCode { client_id, client_secret, device_code: text("device_code")? }
        }
        Some(GrantType::RefreshToken) => TokenRequest::RefreshToken {
            client_id,
            client_secret,
            refresh_token: text("refresh_token")?,
            scope: scope(pairs)?,
        },
        _ => return Err(ErrorResponse::new(ErrorCode::UnsupportedGrantType)),
    };
    let resources: Vec<String> =
        pairs.iter().filter(|(name, _)| name == "resource").map(|(_, value)| value.clone()).collect();
    let mut context = TokenRequestContext::new(credential).with_resources(&resources);
    context.authorization_details = form::first(pairs, "authorization_details");
    server.token_with_context(request, context).await.map(|token| said(&token))
}

fn scope(pairs: &Pairs) -> Result<Option<ScopeSet>, ErrorResponse> {
    let scope = form::first(pairs, "scope").map(ScopeSet::parse).transpose();
    scope.map_err(|_| ErrorResponse::new(ErrorCode::InvalidScope).with_description("the scope is no list of words"))
}

fn required<'p>(pairs: &'p Pairs, name: &'static str) -> Result<&'p str, ErrorResponse> {
    form::first(pairs, name).ok_or_else(|| invalid(format!("{name} is missing")))
}

fn invalid(why: impl Into<std::borrow::Cow<'static, str>>) -> ErrorResponse {
    ErrorResponse::new(ErrorCode::InvalidRequest).with_description(why)
}

fn said<T: Serialize>(what: &T) -> Response<Bytes> {
    match serde_json::to_vec(what) {
        Ok(body) => spoken(StatusCode::OK, body.into()),
        Err(_) => spoken(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"{\"error\":\"server_error\"}")),
    }
}

fn spoken(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let has_body = !body.is_empty();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if has_body {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
