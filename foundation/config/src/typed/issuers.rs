//! Reads `[[issuers]]`: whose tokens are accepted, and for what.

use moongate_core::scope::Plane;
use moongate_core::{Scope, Scopes};

use super::url;
use crate::read::Table;
use crate::schema::{Issuer, Jwks};
use crate::url::{Reach, Url};

/// Algorithms by their names in JWS. Nothing symmetric: whoever could verify could sign.
const ALGORITHMS: [&str; 5] = ["ES256", "ES384", "EdDSA", "PS256", "RS256"];

/// Reads one issuer.
pub(super) fn issuer(table: &Table<'_>) -> Issuer {
    Issuer {
        name: caller(table),
        issuer: if table.has("issuer") { url(table, "issuer").unwrap_or_default() } else { table.required("issuer") },
        jwks: key_set(table),
        audience: audience(table),
        scopes: scopes(table),
        domain: table.text("domain").inspect(|domain| super::is_domain(table, domain)),
        algorithms: algorithms(table),
    }
}

/// The key `name`: letters, digits, `.`, `_` and `-`.
pub(super) fn name(table: &Table<'_>) -> String {
    let name = table.required("name");
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.is_empty() && (name.len() > 64 || !name.bytes().all(plain)) {
        table.wrong(
            "name",
            format!("`{}` cannot be {name:?}", table.path_of("name")),
            "it takes letters, digits, `.`, `_` and `-`",
        );
    }
    name
}

/// The name of an issuer: that of other kinds of callers would make its callers look like them.
fn caller(table: &Table<'_>) -> String {
    let name = name(table);
    if ["device", "spiffe", "local", "operator"].contains(&name.to_ascii_lowercase().as_str()) {
        let hint = "callers of other kinds are called so; choose another name, as \"idp\"";
        table.wrong("name", format!("`{}` cannot be {name:?}", table.path_of("name")), hint);
    }
    name
}

/// Somebody's public keys: a file, or a URL that nobody on the way can change.
pub(super) fn key_set(table: &Table<'_>) -> Jwks {
    let text = table.required("jwks");
    if !text.contains("://") {
        return Jwks::File(table.notes.resolve(&text));
    }
    match Url::parse(&text) {
        Ok(url) if url.secure || url.reach() == Reach::Loopback => {}
        Ok(_) => table.wrong("jwks", "keys that come in clear text could be anybody's", "use https"),
        Err(why) => {
            table.wrong("jwks", format!("`{}` is not a URL: {why}", table.path_of("jwks")), "write it as \"https://…\"")
        }
    }
    Jwks::Url(text)
}

fn audience(table: &Table<'_>) -> Vec<String> {
    let audience: Vec<String> = table.texts("audience").into_iter().map(|(text, _)| text).collect();
    if audience.iter().all(String::is_empty) {
        let hint = "name this gateway as its tokens do, as `audience = [\"https://agents.home.example\"]`";
        table.wrong(
            "audience",
            format!("`{}` names no audience: tokens for somebody else would be accepted", table.path),
            hint,
        );
    }
    audience
}

/// Scopes that tokens may give.
pub(super) fn scopes(table: &Table<'_>) -> Scopes {
    if table.texts("scopes").is_empty() {
        let hint = "say what its tokens may give, as `scopes = [\"a2a:*:*\"]`";
        table.wrong("scopes", format!("`{}` allows no scope: its tokens would be good for nothing", table.path), hint);
    }
    given(table)
}

/// The scopes that the key `scopes` names. Looking after agents and the gateway itself is for this machine alone.
pub(super) fn given(table: &Table<'_>) -> Scopes {
    let wrong = |text: &str, why: &str| {
        let hint = "what may be given is `a2a:SKILL:VERB`, where `*` is a whole segment and the verbs are send, get, list, cancel, subscribe and push, and what agents' cards demand for a skill, as `locks:write`";
        table.wrong("scopes", format!("{text:?} is no scope that callers of other machines may have{why}"), hint);
    };
    let texts = table.texts("scopes");
    let read = texts.iter().filter_map(|(text, _)| match Scope::written(text) {
        Ok(scope) if scope.plane() == Some(Plane::A2a) || scope.is_other() => Some(scope),
        Ok(_) => {
            wrong(text, "");
            None
        }
        Err(why) => {
            wrong(text, &format!(": {why}"));
            None
        }
    });
    Scopes::new(read.collect::<Vec<_>>())
}

fn algorithms(table: &Table<'_>) -> Vec<String> {
    let named: Vec<String> = table.texts("algorithms").into_iter().map(|(text, _)| text).collect();
    for text in named.iter().filter(|text| !ALGORITHMS.contains(&text.as_str())) {
        let hint = format!("the algorithms are {}", ALGORITHMS.join(", "));
        table.wrong("algorithms", format!("the algorithm {text:?} is not accepted"), hint);
    }
    if named.is_empty() {
        table.wrong(
            "algorithms",
            format!("`{}` accepts no algorithm", table.path),
            format!("name some of {}", ALGORITHMS.join(", ")),
        );
    }
    named
}
