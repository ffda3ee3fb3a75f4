//! One request to a token endpoint, and its answer read strictly (RFC 6749 §4.4, §5; RFC 8693 §2).

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_config::Secret;
use moongate_core::seam::{Dialer, Fetch, Fetched};
use moongate_core::{Code, Problem, Scope, Time};
use serde_json::Value;

use super::AssertionKey;

const PATIENCE: u64 = 10_000;
const SIZE: usize = 64 * 1024;
/// The longest token.
const LONG: usize = 16 * 1024;
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a server says of the caller, not of the gateway or itself (RFC 6749 §5.2, RFC 8693 §2.2.2, OpenID Connect §3.1.2.6).
const OF_THE_CALLER: [&str; 8] = [
    "invalid_grant",
    "invalid_request",
    "invalid_target",
    "invalid_scope",
    "access_denied",
    "consent_required",
    "interaction_required",
    "login_required",
];

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

/// For whom a token is wanted.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// For the gateway itself.
    Own,
    /// For a caller, who is known by this token of this type (RFC 8693 §3).
    Exchange {
        /// The token.
        subject: &'a str,
        /// Its type, without the common part of the name.
        kind: &'static str,
    },
}

/// A token as it came.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) valid: Option<Duration>,
}

impl TokenRequest {
    pub(super) async fn send(&self, dialer: &dyn Dialer, now: Time, wanted: Wanted<'_>) -> Result<Token, Problem> {
        let fetch = self.fetch(now, wanted).ok_or_else(|| self.failed("the gateway cannot sign for it"))?;
        let answer = dialer
            .fetch(fetch)
            .await
            .map_err(|problem| self.failed("nobody answers at its token endpoint").inside(problem))?;
        match wanted {
            Wanted::Own => self.read(&answer).map(|(token, _)| token),
            Wanted::Exchange { .. } => self.exchanged(&answer),
        }
    }

    fn fetch(&self, now: Time, wanted: Wanted<'_>) -> Option<Fetch> {
        let mut headers = vec![
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ];
        let mut form = match wanted {
            Wanted::Own => String::from("grant_type=client_credentials"),
            Wanted::Exchange { .. } => format!("grant_type={}", encoded(EXCHANGE)),
        };
        let mut add = |name: &str, value: &str| {
            let _ = write!(form, "&{name}={}", encoded(value));
        };
        if let Wanted::Exchange { subject, kind } = wanted {
            add("subject_token", subject);
            add("subject_token_type", &format!("urn:ietf:params:oauth:token-type:{kind}"));
            add("requested_token_type", ACCESS_TOKEN);
        }
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

    /// A token for a caller: it gives what was asked for, or less, and is an access token (RFC 8693 §2.2.1).
    fn exchanged(&self, answer: &Fetched) -> Result<Token, Problem> {
        let (token, value) = self.read(answer).map_err(|problem| match of_the_caller(answer) {
            Some(word) => {
                let detail =
                    format!("the authorization server of the agent {} refuses this caller ({word})", self.name);
                Problem { inside: problem.inside, ..Problem::new(Code::ExchangeRefused, detail) }
            }
            None => problem,
        })?;
        let widened = |what: &str| {
            let detail = format!("the authorization server of the agent {} gave {what}", self.name);
            Problem::new(Code::ExchangeWidened, detail)
        };
        if value.get("issued_token_type").and_then(Value::as_str) != Some(ACCESS_TOKEN) {
            return Err(widened("something else than an access token"));
        }
        match value.get("scope") {
            // What was asked for, then (RFC 6749 §5.1).
            None | Some(Value::Null) => Ok(token),
            Some(Value::String(given)) if self.covers(given) => Ok(token),
            Some(_) => Err(widened("more than was asked for")),
        }
    }

    /// Whether every scope of these was asked for, or lies in one that was.
    fn covers(&self, given: &str) -> bool {
        let asked: Vec<&str> = self.scope.as_deref().unwrap_or_default().split_whitespace().collect();
        let within = |one: &str| {
            let read = Scope::parse(one);
            asked.iter().any(|asked| {
                let wide = Scope::parse(asked);
                *asked == one || wide.zip(read.as_ref()).is_some_and(|(wide, one)| wide.covers(one))
            })
        };
        given.split_whitespace().all(within)
    }

    fn read(&self, answer: &Fetched) -> Result<(Token, Value), Problem> {
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
        let token = Token { text: token.to_owned(), valid: seconds.map(Duration::from_secs) };
        Ok((token, value))
    }

    fn failed(&self, why: &str) -> Problem {
        let detail = format!("the gateway has no credential for the agent {}: {why}", self.name);
        Problem::new(Code::CredentialUnavailable, detail)
    }
}

/// The server's word, if that is about the caller.
fn of_the_caller(answer: &Fetched) -> Option<&'static str> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    let said = value.get("error")?.as_str()?;
    OF_THE_CALLER.into_iter().find(|word| (400..500).contains(&answer.status) && *word == said)
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
        let fetch = request().fetch(Time(0), Wanted::Own).unwrap();
        assert_eq!(&*fetch.body, b"grant_type=client_credentials&scope=a+b&resource=https%3A%2F%2Flights.test%2F");
        let basic = fetch.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
        let pair = STANDARD.decode(basic.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(pair, b"gate+way:s%3Ae%26c%2Bret");
        assert!(!format!("{:?}", request()).contains("ret\""), "{:?}", request());
    }

    #[test]
    fn answers_are_read_strictly() {
        let good = r#"{"access_token":"abc","token_type":"bearer","expires_in":60}"#;
        let (token, _) = request().read(&answer(200, good)).unwrap();
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

    #[test]
    fn an_exchange_sends_the_subject_with_its_type_and_asks_for_an_access_token() {
        let fetch = request().fetch(Time(0), Wanted::Exchange { subject: "a.b&c", kind: "access_token" }).unwrap();
        let form = String::from_utf8(fetch.body.to_vec()).unwrap();
        let token_type = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
        let expected = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=a.b%26c\
             &subject_token_type={token_type}&requested_token_type={token_type}&scope=a+b&resource=https%3A%2F%2Flights.test%2F"
        );
        assert_eq!(form, expected);
    }

    #[test]
    fn what_is_exchanged_never_gives_more_than_was_asked_for() {
        let wide = || TokenRequest { scope: Some("home.use a2a:*:send".into()), ..request() };
        let body = |scope: &str, kind: &str| {
            let common = r#""access_token":"abc","token_type":"Bearer""#;
            format!(r#"{{{common},"issued_token_type":"urn:ietf:params:oauth:token-type:{kind}"{scope}}}"#)
        };
        for scope in ["", r#","scope":"home.use""#, r#","scope":"""#, r#","scope":"a2a:lights.set:send home.use""#] {
            let body = body(scope, "access_token");
            assert!(wide().exchanged(&answer(200, &body)).is_ok(), "{body}");
        }
        for (scope, kind) in [
            (r#","scope":"home.use home.see""#, "access_token"),
            (r#","scope":"a2a:*:*""#, "access_token"),
            (r#","scope":"*""#, "access_token"),
            (r#","scope":["home.use"]"#, "access_token"),
            (r#","scope":"home.use""#, "refresh_token"),
            ("", "id_token"),
        ] {
            let body = body(scope, kind);
            assert_eq!(wide().exchanged(&answer(200, &body)).err().unwrap().code, Code::ExchangeWidened, "{body}");
        }
        let untyped = r#"{"access_token":"abc","token_type":"Bearer"}"#;
        assert_eq!(wide().exchanged(&answer(200, untyped)).err().unwrap().code, Code::ExchangeWidened);
    }

    #[test]
    fn what_a_server_says_of_the_caller_is_told_apart_from_what_it_says_of_the_gateway() {
        for (status, word, code) in [
            (400, "invalid_grant", Code::ExchangeRefused),
            (403, "access_denied", Code::ExchangeRefused),
            (401, "invalid_client", Code::CredentialUnavailable),
            (400, "<script>", Code::CredentialUnavailable),
            (503, "invalid_grant", Code::CredentialUnavailable),
        ] {
            let body = format!(r#"{{"error":"{word}","error_description":"s:e&c+ret"}}"#);
            let problem = request().exchanged(&answer(status, &body)).err().unwrap();
            assert_eq!(problem.code, code, "{status} {word}");
            assert!(!problem.detail.contains("script") && !problem.detail.contains("ret"), "{}", problem.detail);
        }
    }
}
