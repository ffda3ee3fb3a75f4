//! One token: what it says, and whether it may say it. No input, no output, no clock.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::Time;
use moongate_wire::json;
use serde_json::{Map, Value};

use super::keys::{Key, KeySet};

/// The most bytes of a token.
const SIZE: usize = 8 * 1024;
/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(30);
/// The longest that a token may be valid.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Keys that are tried for a token that names none.
const UNNAMED: usize = 1;

/// Algorithms of signatures. Nothing symmetric, nothing without a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// RSA PKCS #1 v1.5 with SHA-256; verified, never made.
    Rs256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::EdDsa, Self::Ps256, Self::Rs256];

    /// Its name in JWS (RFC 7518, RFC 8037).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of this name, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    pub(super) fn foreign(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// What a token claims.
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) client: String,
    /// Scopes, separated by blanks.
    pub(super) scope: String,
    pub(super) expires_at: Time,
    /// The certificate that it is bound to, by its SHA-256 (RFC 8705 §3.1).
    pub(super) bound_to: Option<[u8; 32]>,
    audience: Vec<String>,
    issued_at: Time,
    not_before: Option<Time>,
}

/// A token in compact form, read and not yet believed.
pub(super) struct Token<'a> {
    signed: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    key: Option<String>,
    pub(super) claims: Claims,
}

type Why = &'static str;

impl<'a> Token<'a> {
    /// Reads it, and refuses whatever two readers could read differently.
    pub(super) fn read(text: &'a str) -> Result<Self, Why> {
        if text.len() > SIZE {
            return Err("is too long");
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("is not one that this gateway gave or knows how to read");
        };
        let header = object(header).ok_or("has a header that is no plain JSON object")?;
        if header.contains_key("crit") {
            return Err("demands what this gateway does not know (crit)");
        }
        let kind = text_of(&header, "typ").ok_or("has no type (typ)")?;
        let kind = kind.strip_prefix("application/").unwrap_or(kind);
        if !kind.eq_ignore_ascii_case("at+jwt") {
            return Err("is no access token (typ is not at+jwt)");
        }
        let algorithm =
            text_of(&header, "alg").and_then(Algorithm::parse).ok_or("has an algorithm that is not accepted")?;
        let key = match header.get("kid") {
            None => None,
            Some(Value::String(key)) if !key.is_empty() => Some(key.clone()),
            Some(_) => return Err("names its key by something that is no text"),
        };
        let claims = object(payload).ok_or("has claims that are no plain JSON object")?;
        let claims = Claims::read(&claims)?;
        let signed = text.get(..header_and_payload(text, signature)).ok_or("is not one that can be read")?;
        Ok(Self { signed, signature, algorithm, key, claims })
    }

    /// Whether its algorithm, audience and times are acceptable.
    pub(super) fn fits(&self, algorithms: &[Algorithm], audience: &[String], now: Time) -> Result<(), Why> {
        let claims = &self.claims;
        if !algorithms.contains(&self.algorithm) {
            return Err("has an algorithm that is not accepted of its issuer");
        }
        if !claims.audience.iter().any(|named| audience.contains(named)) {
            return Err("is meant for somebody else (aud)");
        }
        if now >= claims.expires_at.plus(LEEWAY) {
            return Err("has run out");
        }
        let soon = now.plus(LEEWAY);
        if claims.issued_at > soon || claims.not_before.is_some_and(|at| at > soon) {
            return Err("is not valid yet");
        }
        if claims.expires_at <= claims.issued_at || claims.expires_at.since(claims.issued_at) > LONGEST {
            return Err("is valid for longer than 24 hours");
        }
        Ok(())
    }

    /// The keys of a set that may have signed it.
    pub(super) fn candidates<'k>(&self, keys: &'k KeySet) -> Vec<&'k Key> {
        let fits = |key: &&Key| key.algorithms.contains(&self.algorithm);
        match &self.key {
            Some(id) => keys.keys.iter().filter(|key| key.id.as_ref() == Some(id)).filter(fits).collect(),
            None => {
                let found: Vec<&Key> = keys.keys.iter().filter(fits).collect();
                if found.len() > UNNAMED { Vec::new() } else { found }
            }
        }
    }

    /// Whether this key made its signature.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        key.verifies(self.signature, self.signed.as_bytes(), self.algorithm)
    }
}

impl Claims {
    fn read(claims: &Map<String, Value>) -> Result<Self, Why> {
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => {
                let texts: Option<Vec<String>> = many.iter().map(|one| one.as_str().map(str::to_owned)).collect();
                texts.ok_or("has an audience that is no text (aud)")?
            }
            _ => return Err("has no audience (aud)"),
        };
        let subject = text_of(claims, "sub").filter(|text| !text.is_empty() && text.len() <= 256);
        let subject = subject.ok_or("names nobody (sub)")?;
        if subject.chars().any(char::is_control) {
            return Err("names somebody in control characters (sub)");
        }
        Ok(Self {
            issuer: text_of(claims, "iss").ok_or("has no issuer (iss)")?.to_owned(),
            subject: subject.to_owned(),
            client: text_of(claims, "client_id").ok_or("names no client (client_id)")?.to_owned(),
            scope: scope(claims).ok_or("has scopes that are no text (scope)")?,
            expires_at: moment(claims, "exp").flatten().ok_or("has no end (exp)")?,
            issued_at: moment(claims, "iat").flatten().ok_or("has no beginning (iat)")?,
            not_before: moment(claims, "nbf").ok_or("has a beginning that is no number (nbf)")?,
            bound_to: binding(claims)?,
            audience,
        })
    }
}

/// What `cnf` binds a token to: a certificate and nothing else (RFC 7800, RFC 8705 §3.1).
fn binding(claims: &Map<String, Value>) -> Result<Option<[u8; 32]>, Why> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let digest = members.and_then(|members| text_of(members, "x5t#S256"));
    let digest = digest.ok_or("is bound to a key that this gateway cannot check (cnf)")?;
    let bytes = URL_SAFE_NO_PAD.decode(digest).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or("is bound to what is no certificate (cnf)")
}

/// `scope` (RFC 9068), or `scp` as some issuers write it: a text or a list.
fn scope(claims: &Map<String, Value>) -> Option<String> {
    match claims.get("scope").or_else(|| claims.get("scp")) {
        None => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(many)) => {
            let texts: Option<Vec<&str>> = many.iter().map(Value::as_str).collect();
            Some(texts?.join(" "))
        }
        Some(_) => None,
    }
}

fn text_of<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// Seconds since 1970, possibly with a fraction (RFC 7519 §2). `None` if it is there and no such number.
fn moment(object: &Map<String, Value>, name: &str) -> Option<Option<Time>> {
    let Some(value) = object.get(name) else { return Some(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=253_402_300_799.0).contains(seconds))?;
    Some(Some(Time((seconds * 1000.0) as u64)))
}

/// A part of the token as a JSON object without members that come twice.
pub(crate) fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    let limits = json::Limits { depth: 16, parts: 1000 };
    json::check(&bytes, &limits).ok()?;
    match serde_json::from_slice(&bytes).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Where the signed part ends: before the last dot.
fn header_and_payload(text: &str, signature: &str) -> usize {
    text.len().saturating_sub(signature.len() + 1)
}
