//! Whether a client may be registered as it is described.

use moongate_core::{Code, Problem, Scope, Scopes};
use oauth_as::GrantType;
use oauth_as::jwt::{Jwk, JwsAlg};
use serde_json::Value;

use super::{ClientProof, GRANTS, NewClient, allowed};

/// Keys of one client at most.
const KEYS: usize = 8;
/// Redirect URIs of one client at most, and the bytes of one.
const REDIRECTS: (usize, usize) = (16, 1024);

pub(super) fn wrong(field: &str, why: impl Into<String>) -> Problem {
    let why = why.into();
    Problem::new(Code::InvalidParams, format!("the client cannot be registered: {why}")).field(field, why)
}

/// Checks it all; the grants that it gets.
pub(super) fn all(new: &NewClient, most: &Scopes) -> Result<Vec<GrantType>, Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if new.id.is_empty() || new.id.len() > 64 || !new.id.bytes().all(plain) {
        return Err(wrong("id", "an id has letters, digits, `.`, `_` and `-`, at most 64 of them"));
    }
    if new.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > 128 || name.chars().any(char::is_control)) {
        return Err(wrong("name", "a name is a line of at most 128 bytes"));
    }
    scopes(&new.scopes, most)?;
    new.redirect_uris.iter().try_for_each(|uri| redirect(uri))?;
    if new.redirect_uris.len() > REDIRECTS.0 {
        return Err(wrong("redirect_uris", format!("at most {} redirect URIs", REDIRECTS.0)));
    }
    grants(new)
}

fn scopes(words: &[String], most: &Scopes) -> Result<(), Problem> {
    if words.is_empty() {
        return Err(wrong("scopes", "a client without scopes can do nothing; name some"));
    }
    for word in words {
        let scope = Scope::written(word).map_err(|why| wrong("scopes", format!("{word:?} is no scope: {why}")))?;
        if !most.covers(&scope) {
            let why = format!("{word} is more than `[oauth] scopes` allow, which are {}", allowed(most));
            return Err(wrong("scopes", why));
        }
    }
    Ok(())
}

fn grants(new: &NewClient) -> Result<Vec<GrantType>, Problem> {
    let mut grants = Vec::new();
    for name in &new.grants {
        let known = GRANTS.iter().find(|(known, _)| known == name);
        let (_, grant) = known.ok_or_else(|| {
            wrong(
                "grants",
                format!("{name:?} is no grant; there are authorization_code, device_code, client_credentials, token_exchange"),
            )
        })?;
        grants.push(*grant);
    }
    grants.dedup();
    let public = new.proof == ClientProof::Public;
    if grants.is_empty() {
        return Err(wrong("grants", "a client that may use no grant gets no token; name one"));
    }
    if public && grants.contains(&GrantType::ClientCredentials) {
        return Err(wrong("grants", "client_credentials is for clients that prove who they are"));
    }
    let proves = matches!(new.proof, ClientProof::Secret | ClientProof::Keys(_));
    if !proves && grants.contains(&GrantType::TokenExchange) {
        return Err(wrong("grants", "token_exchange is for clients that prove who they are by a secret or by keys"));
    }
    if grants.contains(&GrantType::AuthorizationCode) && new.redirect_uris.is_empty() {
        return Err(wrong("redirect_uris", "authorization_code wants a redirect URI"));
    }
    // Where a person said yes, the program may go on without asking anew.
    let person = [GrantType::AuthorizationCode, GrantType::DeviceCode];
    if grants.iter().any(|grant| person.contains(grant)) && !grants.contains(&GrantType::RefreshToken) {
        grants.push(GrantType::RefreshToken);
    }
    Ok(grants)
}

/// An https URI, http on loopback (RFC 8252 §7.3), or a private scheme named after a domain (§7.1).
fn redirect(uri: &str) -> Result<(), Problem> {
    let refuse = |why: &str| Err(wrong("redirect_uris", format!("{uri:?} {why}")));
    if uri.len() > REDIRECTS.1 || uri.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return refuse("is no URI");
    }
    if uri.contains('#') {
        return refuse("has a fragment");
    }
    let Some((scheme, rest)) = uri.split_once(':') else { return refuse("is no absolute URI") };
    let authority = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    match (scheme, authority) {
        (_, Some(authority)) if authority.contains('@') => refuse("names a user"),
        ("https", Some(host)) if !host.is_empty() => Ok(()),
        ("http", Some(authority)) => {
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let loopback = ["127.0.0.1", "[::1]", "localhost"].contains(&host) || authority == "[::1]";
            if loopback { Ok(()) } else { refuse("would send the code in clear text; http is for 127.0.0.1 and [::1]") }
        }
        (scheme, _) if scheme.contains('.') => Ok(()),
        _ => refuse("is neither https, nor http on loopback, nor of a private scheme as com.example.app"),
    }
}

/// A name that a certificate can have at this gateway.
pub(super) fn identity(text: &str) -> Result<(), Problem> {
    let device = text.strip_prefix("device/").is_some_and(|name| !name.is_empty());
    if device || crate::spiffe::SpiffeId::parse(text).is_ok() {
        return Ok(());
    }
    Err(wrong("certificate", format!("{text:?} is neither spiffe://DOMAIN/PATH nor device/NAME")))
}

/// The keys of a set, all of one algorithm.
pub(super) fn keys(set: &Value) -> Result<(JwsAlg, Vec<Jwk>), Problem> {
    let listed = set.get("keys").and_then(Value::as_array).ok_or_else(|| wrong("jwks", "it has no list `keys`"))?;
    if listed.is_empty() || listed.len() > KEYS {
        return Err(wrong("jwks", format!("it has {} keys; one to {KEYS} may be", listed.len())));
    }
    let mut alg = None;
    let mut keys = Vec::new();
    for key in listed {
        let key = Jwk::from_json(key).map_err(|error| wrong("jwks", error.to_string()))?;
        let fits = match &key {
            Jwk::Ec { .. } => JwsAlg::Es256,
            Jwk::Okp { .. } => JwsAlg::EdDsa,
            Jwk::Rsa { .. } => return Err(wrong("jwks", "RSA keys are not taken; use ES256 or EdDSA")),
        };
        if *alg.get_or_insert(fits) != fits {
            return Err(wrong("jwks", "all keys of a client are of one kind"));
        }
        keys.push(key);
    }
    alg.map(|alg| (alg, keys)).ok_or_else(|| wrong("jwks", "it has no keys"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_go_to_https_to_loopback_or_to_an_app() {
        for good in [
            "https://app.example/back?x=1",
            "http://127.0.0.1:9000/cb",
            "http://[::1]:9/",
            "http://[::1]/",
            "com.example.app:/cb",
        ] {
            assert!(redirect(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "app.example/back",
            "http://app.example/",
            "https://app.example/#x",
            "https://a@b.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https:///x",
            "http://127.0.0.1.evil.example/",
            "https://app.example/a b",
        ] {
            assert!(redirect(bad).is_err(), "{bad}");
        }
    }
}
