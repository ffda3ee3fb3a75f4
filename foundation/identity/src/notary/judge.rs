//! Whether somebody's signature holds, and by whose keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::seam::notary::{Finding, KeysAt, Signature, Signed, Trust};
use serde_json::{Map, Value};

use super::Notary;
use crate::jwt::{Algorithm, Key, KeySet, object};

/// The longest protected header and signature.
const LONG: usize = 8 * 1024;

/// By which key a signature says that it was made.
struct Named {
    algorithm: Algorithm,
    kid: String,
}

/// The first signature that holds decides; then what speaks loudest against the document.
pub(super) async fn judge(notary: &Notary, signed: &Signed, trust: &Trust) -> Finding {
    let mut worst = Finding::Unsigned;
    for signature in &signed.signatures {
        let finding = one(notary, signature, &signed.forms, trust).await;
        match (&finding, &worst) {
            (Finding::Holds { .. }, _) => return finding,
            (Finding::Broken(_), Finding::Broken(_)) => {}
            (Finding::Broken(_), _) | (Finding::Unreachable(_), Finding::Unknown(_)) | (_, Finding::Unsigned) => {
                worst = finding;
            }
            _ => {}
        }
    }
    worst
}

async fn one(notary: &Notary, signature: &Signature, forms: &[Vec<u8>], trust: &Trust) -> Finding {
    let broken = |why: &str| Finding::Broken(format!("the card's signature {why}"));
    let header = match header(signature) {
        Ok(header) => header,
        Err(why) => return broken(why),
    };
    let at = match place(&header, trust) {
        Ok(at) => at,
        Err(why) => return Finding::Unknown(format!("the card's signature {why}")),
    };
    let named = match named(&header) {
        Ok(named) => named,
        Err(why) => return broken(why),
    };
    if forms.is_empty() {
        return broken("covers numbers that readers take differently: nobody can say what was signed");
    }
    let keys = notary.keys(&at);
    let now = notary.clock.mono();
    let Ok(held) = keys.get(&notary.dialer, now).await else {
        let place = match &at {
            KeysAt::File(path) => path.display().to_string(),
            KeysAt::Url(url) => url.clone(),
        };
        return Finding::Unreachable(format!("the keys that the card is signed with cannot be read from {place}"));
    };
    if let Err(why) = holds(signature, &named, &held, forms) {
        // Its signer may have changed keys since.
        let newer = match keys.newer(&notary.dialer, now).await {
            Ok(newer) if !std::sync::Arc::ptr_eq(&newer, &held) => newer,
            _ => return broken(why),
        };
        if let Err(why) = holds(signature, &named, &newer, forms) {
            return broken(why);
        }
    }
    Finding::Holds { kid: named.kid }
}

type Header = Map<String, Value>;

fn header(signature: &Signature) -> Result<Header, &'static str> {
    if signature.protected.len() > LONG || signature.signature.len() > LONG {
        return Err("is too long");
    }
    let header = object(&signature.protected).ok_or("has a header that is no plain JSON object")?;
    if header.contains_key("crit") {
        return Err("demands what this gateway does not know (crit)");
    }
    if header.get("jku").is_some_and(|jku| !jku.is_string()) {
        return Err("names its keys by something that is no URL (jku)");
    }
    Ok(header)
}

fn text<'a>(header: &'a Header, name: &str) -> Option<&'a str> {
    header.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn named(header: &Header) -> Result<Named, &'static str> {
    let algorithm =
        text(header, "alg").and_then(Algorithm::parse).ok_or("has an algorithm that is not accepted (alg)")?;
    let kid = text(header, "kid").ok_or("names no key (kid)")?.to_owned();
    Ok(Named { algorithm, kid })
}

/// Where the keys of a signature are looked for: never where only the signature itself says so.
fn place(header: &Header, trust: &Trust) -> Result<KeysAt, &'static str> {
    if let Some(keys) = &trust.keys {
        return Ok(keys.clone());
    }
    let jku = text(header, "jku").ok_or("does not say where its key is published (jku), and no keys are configured")?;
    let own = trust.from.as_deref().and_then(origin);
    let named = origin(jku).ok_or("names its keys by something that is no URL (jku)")?;
    if own.is_some_and(|own| own == named) {
        return Ok(KeysAt::Url(jku.to_owned()));
    }
    Err("names keys on another host than the card's own (jku), and no keys are configured")
}

/// Scheme, host and port; `None` for whatever two readers could take differently.
fn origin(url: &str) -> Option<(bool, String, u16)> {
    if url.len() > 2048 || !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let (scheme, rest) = url.split_once("://")?;
    let secure = match scheme {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next().filter(|text| !text.is_empty() && !text.contains('@'))?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, if secure { 443 } else { 80 }),
    };
    Some((secure, host.to_ascii_lowercase(), port))
}

fn holds(signature: &Signature, named: &Named, keys: &KeySet, forms: &[Vec<u8>]) -> Result<(), &'static str> {
    let fits = |key: &&Key| key.id.as_ref() == Some(&named.kid) && key.algorithms.contains(&named.algorithm);
    let candidates: Vec<&Key> = keys.keys.iter().filter(fits).collect();
    if candidates.is_empty() {
        return Err("is made with a key that its signer does not publish (kid)");
    }
    let found = forms.iter().any(|form| {
        let text = format!("{}.{}", signature.protected, URL_SAFE_NO_PAD.encode(form));
        candidates.iter().any(|key| key.verifies(&signature.signature, text.as_bytes(), named.algorithm))
    });
    if found { Ok(()) } else { Err("does not hold: the card is not as it was signed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_is_the_same_in_any_writing_and_another_is_another() {
        let card = "https://agent.example/.well-known/agent-card.json";
        let trust = Trust { keys: None, from: Some(card.to_owned()) };
        let look = |jku: &str| {
            let header = Header::from_iter([("jku".to_owned(), Value::from(jku))]);
            place(&header, &trust)
        };
        for same in ["https://agent.example/jwks.json", "https://AGENT.example:443/a/b?c", "https://agent.example"] {
            assert_eq!(look(same), Ok(KeysAt::Url(same.to_owned())), "{same}");
        }
        for other in [
            "https://agent.example.evil.example/jwks.json",
            "https://evil.example/https://agent.example/",
            "https://agent.example@evil.example/",
            "https://agent.example:444/jwks.json",
            "http://agent.example/jwks.json",
            "https://evil.example\\@agent.example/",
            "https://agent.example%2eevil.example/",
            "ftp://agent.example/",
            "//agent.example/",
            "https:///agent.example/",
            "https://agent.example:x/",
            "",
        ] {
            assert!(look(other).is_err(), "{other}");
        }
        let given = Trust { keys: None, from: None };
        let header = Header::from_iter([("jku".to_owned(), Value::from(card))]);
        assert!(place(&header, &given).is_err(), "a card that was handed over has no origin");
        let named = Trust { keys: Some(KeysAt::Url("https://keys.example/".into())), from: Some(card.to_owned()) };
        assert_eq!(place(&header, &named), Ok(KeysAt::Url("https://keys.example/".into())));
    }
}
