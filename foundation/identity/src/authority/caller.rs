//! Which client a request turned out to be of, for the record: one that has proved it, and no other.
//!
//! The protocol crate answers and does not say who it was that it let in. A request that it has granted, and that names one client
//! only, in whatever place, is of that client; where the client is one that proves itself at all, it has.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use moongate_core::entry::By;
use oauth_as::store::Storage as _;
use oauth_as::{ClientAuth, ClientId};
use serde_json::Value;

use super::{Authority, form, web};

/// The client that a request names, if it names just one.
pub(super) fn named(request: &Request<Bytes>) -> Option<ClientId> {
    if request.method() != Method::POST {
        return None;
    }
    let pairs = std::str::from_utf8(request.body()).map(form::pairs).unwrap_or_default();
    let mut names: Vec<String> =
        pairs.iter().filter(|(name, _)| name == "client_id").map(|(_, value)| value.clone()).collect();
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        names.push(web::basic_id(header)?);
    }
    for (_, assertion) in pairs.iter().filter(|(name, _)| name == "client_assertion") {
        names.push(subject(assertion)?);
    }
    names.dedup();
    match names.as_slice() {
        [one] => Some(ClientId::new(one.as_str())),
        _ => None,
    }
}

/// Whom a signed word is about; whether the signature holds is looked at by whoever believes it.
fn subject(assertion: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

impl Authority {
    /// The same answer, which says whose request it was, if the client has proved it.
    pub(super) async fn signed(&self, client: Option<ClientId>, mut response: Response<Bytes>) -> Response<Bytes> {
        let Some(id) = client.filter(|_| response.status().is_success()) else { return response };
        match self.grants.get_client(&id).await {
            Ok(Some(client)) if !matches!(client.auth, ClientAuth::Public) => {
                // As its tokens name it.
                response.extensions_mut().insert(By(format!("{}/{id}", self.name).into()));
            }
            Ok(_) => {}
            Err(problem) => tracing::error!(?problem, "a client cannot be looked up"),
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: Option<&str>, body: &str) -> Option<String> {
        let mut request = Request::post("/oauth/token");
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        named(&request.body(Bytes::from(body.to_owned())).unwrap()).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_request_that_names_two_clients_is_of_neither() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"watch"}"#);
        let assertion = format!("client_assertion=e30.{claims}.x");
        // watch:secret
        let basic = Some("Basic d2F0Y2g6c2VjcmV0");
        assert_eq!(of(None, "client_id=watch").as_deref(), Some("watch"));
        assert_eq!(of(basic, "").as_deref(), Some("watch"));
        assert_eq!(of(basic, "client_id=watch").as_deref(), Some("watch"));
        assert_eq!(of(None, &assertion).as_deref(), Some("watch"));
        for (header, body) in [
            (None, "".to_owned()),
            (None, "client_id=watch&client_id=bob".to_owned()),
            (basic, "client_id=bob".to_owned()),
            (None, format!("{assertion}&client_id=bob")),
            (Some("Bearer x"), "client_id=watch".to_owned()),
            (None, "client_id=watch&client_assertion=x".to_owned()),
        ] {
            assert_eq!(of(header, &body), None, "{body}");
        }
    }
}
