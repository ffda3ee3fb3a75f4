//! Reads what the gateway shows to an agent to be let in: `auth`, `client_cert` and `client_key` of `[[agents]]`.

use moongate_core::Code;

use super::Words;
use super::agents::secret;
use crate::problems::Mistake;
use crate::read::Table;
use crate::schema::{Auth, ClientCertificate, ClientProof, ExchangeSubject, OauthClient};
use crate::secret::Secret;
use crate::url::{Reach, Url};

/// Headers that the gateway writes itself, or that belong to one connection.
const RESERVED: [&str; 17] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "traceparent",
    "tracestate",
];

const SUBJECTS: Words<ExchangeSubject> =
    &[("token", ExchangeSubject::Token), ("assertion", ExchangeSubject::Assertion)];

/// Reads `auth`.
pub(super) fn auth(table: &Table<'_>) -> Option<Auth> {
    let inner = table.table("auth")?;
    if table.has("authorization") {
        let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{}` has `authorization` and `auth`", table.path));
        let mistake = mistake.at(table.place_of("authorization"), "this").at(table.place_of("auth"), "and this");
        table.notes.mistake(mistake.hint("keep one of them"));
    }
    let given: Vec<&str> =
        ["bearer", "api_key", "oauth", "exchange"].into_iter().filter(|way| inner.has(way)).collect();
    let [way] = given.as_slice() else {
        let message = format!("`{}` says {}", inner.path, if given.is_empty() { "nothing" } else { "several things" });
        let hint = "give it one of `bearer`, `api_key`, `oauth` and `exchange`";
        table.notes.mistake(Mistake::new(Code::ConfigWrongValue, message).at(table.place_of("auth"), "").hint(hint));
        return None;
    };
    if inner.has("header") && *way != "api_key" {
        inner.wrong("header", format!("`{}` has a `header` but no `api_key`", inner.path), "remove `header`");
    }
    match *way {
        "bearer" => {
            let token = secret(&inner, "bearer")?;
            let value = Secret::new(format!("Bearer {}", token.expose()));
            Some(Auth::Header { name: "authorization".to_owned(), value })
        }
        "api_key" => Some(Auth::Header { name: header(&inner)?, value: secret(&inner, "api_key")? }),
        "exchange" => exchange(&inner.table("exchange")?),
        _ => oauth(&inner.table("oauth")?).map(Auth::Oauth),
    }
}

fn header(table: &Table<'_>) -> Option<String> {
    let name = table.text("header").unwrap_or_else(|| "x-api-key".to_owned()).to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(plain) {
        table.wrong("header", format!("{name:?} is no name of a header"), "take a word, as \"X-API-Key\"");
        return None;
    }
    if RESERVED.contains(&name.as_str())
        || ["a2a-", "x-a2a-", "moongate-", "grpc-"].iter().any(|own| name.starts_with(own))
    {
        table.wrong(
            "header",
            format!("the header {name} is the gateway's own to write"),
            "take another one, as \"X-API-Key\"",
        );
        return None;
    }
    Some(name)
}

fn exchange(table: &Table<'_>) -> Option<Auth> {
    let subject = table.word("subject", SUBJECTS).unwrap_or_default();
    // Without it nobody could tell whether what comes is more than was asked for.
    let scope = table.required("scope");
    let client = oauth(table)?;
    (!scope.trim().is_empty()).then_some(Auth::Exchange { client, subject })
}

fn oauth(table: &Table<'_>) -> Option<OauthClient> {
    let token_url = table.required("token_url");
    match Url::parse(&token_url) {
        Ok(url) if url.secure || url.reach() == Reach::Loopback => {}
        Ok(_) => table.wrong("token_url", "a secret would go there in clear text", "use https"),
        Err(why) if !token_url.is_empty() => {
            let message = format!("`{}` is not a URL: {why}", table.path_of("token_url"));
            table.wrong("token_url", message, "write it as \"https://…\"");
        }
        Err(_) => {}
    }
    let client_id = table.required("client_id");
    if table.has("client_secret") == table.has("private_key") {
        let what =
            if table.has("private_key") { "both `client_secret` and `private_key`" } else { "no secret and no key" };
        let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{}` has {what}", table.path));
        table
            .notes
            .mistake(mistake.at(table.place.clone(), "").hint("give it one of `client_secret` and `private_key`"));
        return None;
    }
    let proof = match table.path("private_key") {
        Some(path) => {
            table.notes.files.borrow_mut().push(path.clone());
            ClientProof::Key { path, id: table.text("key_id") }
        }
        None => ClientProof::Secret(secret(table, "client_secret")?),
    };
    let [scope, audience, resource] = ["scope", "audience", "resource"].map(|key| table.text(key));
    Some(OauthClient { token_url, client_id, proof, scope, audience, resource })
}

/// Reads `client_cert` and `client_key`.
pub(super) fn certificate(table: &Table<'_>) -> Option<ClientCertificate> {
    let (cert, key) = (table.path("client_cert"), table.path("client_key"));
    for path in [&cert, &key].into_iter().flatten() {
        table.notes.files.borrow_mut().push(path.clone());
    }
    match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientCertificate { cert, key }),
        (None, None) => None,
        (cert, _) => {
            let (there, missing) =
                if cert.is_some() { ("client_cert", "client_key") } else { ("client_key", "client_cert") };
            table.wrong(
                there,
                format!("`{}` has `{there}` but no `{missing}`", table.path),
                "give it both, or neither",
            );
            None
        }
    }
}
