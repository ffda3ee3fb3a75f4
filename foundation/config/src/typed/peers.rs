//! Reads `[[peers]]` and `[[devices]]`: whose client certificates are accepted, and for what.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moongate_core::Code;

use super::issuers::{given, name};
use super::{Words, is_domain};
use crate::problems::Mistake;
use crate::read::Table;
use crate::schema::{Device, Jwks, Peer, PeerAgent, Revocation};
use crate::url::Url;

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Hard,
    Soft,
    Off,
}

const REVOCATIONS: Words<Word> = &[("hard", Word::Hard), ("soft", Word::Soft), ("off", Word::Off)];

/// How SHA-256 of nothing begins.
const NOTHING: [u8; 4] = [0xe3, 0xb0, 0xc4, 0x42];

/// Reads one trust domain.
pub(super) fn peer(table: &Table<'_>) -> Peer {
    let domain = table.required("domain");
    if !domain.is_empty() {
        is_domain(table, &domain);
    }
    let bundle = table.notes.resolve(&table.required("bundle"));
    table.notes.files.borrow_mut().push(bundle.clone());
    let crl = crl(table);
    let word = table.word("revocation", REVOCATIONS).unwrap_or(Word::Hard);
    if word != Word::Off && crl.is_empty() {
        let message = format!("`{}` has no `crl`: nobody of {domain:?} could be let in", table.path);
        let mistake = Mistake::new(Code::ConfigWrongValue, message).at(table.place.clone(), "in this table");
        let hint = "say where its revocation lists are, or accept revoked certificates until they run out by `revocation = \"off\"`";
        table.notes.mistake(mistake.hint(hint));
    }
    let grace = table.seconds("grace_seconds").unwrap_or_default();
    let revocation = match word {
        Word::Hard => Revocation::Hard,
        Word::Soft => Revocation::Soft(grace),
        Word::Off => Revocation::Off,
    };
    let agents = table.tables("agents").iter().map(|table| agent(table, &domain)).collect();
    Peer { domain, bundle, scopes: given(table), agents, crl, revocation }
}

/// Reads an agent of a domain. One that no certificate could be of would go on with all that the domain may do.
fn agent(table: &Table<'_>, domain: &str) -> PeerAgent {
    let id = if table.has("spiffe") { spiffe(table).unwrap_or_default() } else { table.required("spiffe") };
    let inside = id.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(domain));
    if !(id.is_empty() || domain.is_empty() || inside.is_some_and(|path| path.starts_with('/'))) {
        let hint = format!("its agents are called \"spiffe://{domain}/…\"");
        table.wrong("spiffe", format!("`{}` is not of the domain {domain:?}", table.path_of("spiffe")), hint);
    }
    PeerAgent { spiffe: id, scopes: given(table) }
}

fn crl(table: &Table<'_>) -> Vec<Jwks> {
    let read = table.texts("crl").into_iter().map(|(text, place)| {
        if !text.contains("://") {
            return Jwks::File(table.notes.resolve(&text));
        }
        if let Err(why) = Url::parse(&text) {
            let mistake = Mistake::new(Code::ConfigWrongValue, format!("{text:?} is not a URL: {why}"));
            table.notes.mistake(mistake.at(place, "").hint("write it as \"http://…\" or \"https://…\""));
        }
        Jwks::Url(text)
    });
    read.collect()
}

/// Reads one device.
pub(super) fn device(table: &Table<'_>) -> Device {
    let pin = table.required("pin");
    let read = pin.strip_prefix("sha256:").and_then(digest);
    let wrong = match read {
        None if !pin.is_empty() => Some("is not `sha256:` and 32 bytes in base64 or hex"),
        Some(pin) if pin.starts_with(&NOTHING) => Some("is the digest of nothing: whatever made it was given no key"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        let hint = "make it by: openssl x509 -in device.pem -pubkey -noout | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64";
        table.wrong("pin", format!("`{}` {wrong}", table.path_of("pin")), hint);
    }
    Device { name: name(table), pin: read.unwrap_or_default(), scopes: given(table) }
}

/// Reads the id of an agent of another domain.
pub(super) fn spiffe(table: &Table<'_>) -> Option<String> {
    let id = table.text("spiffe")?;
    let path = id.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).map(|(_, path)| path);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let named = |path: &str| path.bytes().all(plain) && !path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if !path.is_some_and(named) {
        let hint = "write it as its certificate does: \"spiffe://DOMAIN/PATH\"";
        table.wrong("spiffe", format!("`{}` is no SPIFFE id", table.path_of("spiffe")), hint);
        return None;
    }
    Some(id)
}

/// 32 bytes, in base64 or in hex with or without colons.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return STANDARD.decode(text).ok()?.try_into().ok();
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_in_base64_and_in_hex() {
        let bytes: [u8; 32] = std::array::from_fn(|at| at as u8 * 7);
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [STANDARD.encode(bytes), hex.concat(), hex.join(":").to_lowercase()] {
            assert_eq!(digest(&text), Some(bytes), "{text}");
        }
        for text in ["", "00", "zz", &STANDARD.encode(&bytes[1..]), &"é".repeat(32)] {
            assert_eq!(digest(text), None, "{text}");
        }
    }
}
