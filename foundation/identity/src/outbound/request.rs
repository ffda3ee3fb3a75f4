//! One request to a token endpoint, and its answer read strictly (RFC 6749 §4.4, §5).

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_config::Secret;
use moongate_core::seam::{Dialer, Fetch, Fetched};
use moongate_core::{Code, Problem, Time};
use serde_json::Value;

use super::AssertionKey;

const PATIENCE: u64 = 10_000;
const SIZE: usize = 64 * 1024;
/// The longest token.
const LONG: usize = 16 * 1024;
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the gateway proves who it is.
#[derive(Debug)]
pub enum Proof {
    /// By a secret, as the password of HTTP Basic.
    Secret(Secret),
    /// By an assertion that it signs.
    Assertion(AssertionKey),
}

/// What is asked of a token endpoint.
#[derive(Debug)]
pub struct TokenRequest {
    /// The target's name, for messages.
    pub name: String,
    /// The endpoint.
    pub url: String,
    /// Who the gateway is there.
    pub client: String,
    /// How it proves that.
    pub proof: Proof,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// Whom it is meant for, as some servers call it.
    pub audience: Option<String>,
    /// Whom it is meant for (RFC 8707).
    pub resource: Option<String>,
}

/// A token as it came.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) valid: Option<Duration>,
}

impl TokenRequest {
    pub(super) async fn send(&self, dialer: &dyn Dialer, now: Time) -> Result<Token, Problem> {
        let fetch = self.fetch(now).ok_or_else(|| self.failed("the gateway cannot sign for it"))?;
        let answer = dialer
            .fetch(fetch)
            .await
            .map_err(|problem| self.failed("nobody answers at its token endpoint").inside(problem))?;
        self.read(&answer)
    }

    fn fetch(&self, now: Time) -> Option<Fetch> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        let mut form = String::from("grant_type=client_credentials");
        let mut add = |name: &str, value: &str| {
            let _ = write!(form, "&{name}={}", encoded(value));
        };
        for (name, value) in [("scope", &self.scope), ("audience", &self.audience), ("resource", &self.resource)] {
            if let Some(value) = value {
                add(name, value);
            }
        }
        match &self.proof {
            Proof::Secret(secret) => {
                let pair = format!("{}:{}", encoded(&self.client), encoded(secret.expose()));
                headers.push(("authorization".to_owned(), format!("Basic {}", STANDARD.encode(pair))));
            }
            Proof::Assertion(key) => {
                add("client_id", &self.client);
                add("client_assertion_type", ASSERTION);
                add("client_assertion", &key.sign(&self.client, &self.url, now)?);
            }
        }
        Some(Fetch {
            method: "POST",
            url: self.url.clone(),
            headers,
            body: form.into(),
            timeout_ms: PATIENCE,
            limit: SIZE,
            body_wanted: true,
            egress: None,
        })
    }

    fn read(&self, answer: &Fetched) -> Result<Token, Problem> {
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if answer.status != 200 {
            // The codes of RFC 6749 §5.2 are words; whatever else a server writes there is not repeated.
            let word = |code: &&str| code.len() <= 40 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let why = text("error").filter(word).map(|code| format!(" ({code})")).unwrap_or_default();
            let problem = self.failed(&format!("its token endpoint refuses the gateway{why}"));
            return Err(problem.inside(format!("HTTP {} from {}", answer.status, self.url)));
        }
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(self.failed("its token endpoint gives no bearer token"));
        }
        let plain = |token: &&str| {
            !token.is_empty() && token.len() <= LONG && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let token = text("access_token").filter(plain);
        let token = token.ok_or_else(|| self.failed("its token endpoint gives no token that a header can carry"))?;
        let seconds = value.get("expires_in").and_then(|value| match value {
            // Some servers write it as a text.
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        });
        Ok(Token { text: token.to_owned(), valid: seconds.map(Duration::from_secs) })
    }

    fn failed(&self, why: &str) -> Problem {
        let detail = format!("the gateway has no credential for the agent {}: {why}", self.name);
        Problem::new(Code::CredentialUnavailable, detail)
    }
}

/// `application/x-www-form-urlencoded`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> TokenRequest {
        TokenRequest {
            name: "lights".into(),
            url: "https://idp.test/token".into(),
            client: "gate way".into(),
            proof: Proof::Secret(Secret::new("s:e&c+ret")),
            scope: Some("a b".into()),
            audience: None,
            resource: Some("https://lights.test/".into()),
        }
    }

    fn answer(status: u16, body: &str) -> Fetched {
        Fetched { status, headers: Vec::new(), body: body.as_bytes().to_vec().into() }
    }

    #[test]
    fn a_secret_is_the_password_and_nothing_of_it_stands_in_the_form() {
        let fetch = request().fetch(Time(0)).unwrap();
        assert_eq!(&*fetch.body, b"grant_type=client_credentials&scope=a+b&resource=https%3A%2F%2Flights.test%2F");
        let basic = fetch.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
        let pair = STANDARD.decode(basic.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"gate+way:s%3Ae%26c%2Bret");
        assert!(!format!("{:?}", request()).contains("ret\""), "{:?}", request());
    }

    #[test]
    fn answers_are_read_strictly() {
        let good = r#"{"access_token":"abc","token_type":"bearer","expires_in":60}"#;
        let token = request().read(&answer(200, good)).unwrap();
        assert_eq!((token.text.as_str(), token.valid), ("abc", Some(Duration::from_secs(60))));
        for (status, body, why) in [
            (401, r#"{"error":"invalid_client"}"#, "(invalid_client)"),
            (400, r#"{"error":"<script> s:e&c+ret"}"#, "refuses the gateway"),
            (302, good, "refuses the gateway"),
            (200, r#"{"access_token":"abc","token_type":"DPoP"}"#, "no bearer token"),
            (200, r#"{"access_token":"a\r\nb","token_type":"Bearer"}"#, "no token that a header"),
            (200, r#"{"access_token":"","token_type":"Bearer"}"#, "no token that a header"),
            (200, "<html>", "no bearer token"),
        ] {
            let problem = request().read(&answer(status, body)).err().unwrap();
            assert_eq!(problem.code, Code::CredentialUnavailable);
            assert!(problem.detail.contains(why) && !problem.detail.contains("script"), "{body}: {}", problem.detail);
        }
    }
}
