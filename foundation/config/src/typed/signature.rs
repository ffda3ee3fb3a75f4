//! Reads how an agent's card has to be signed: `signature` and `jwks` of `[[agents]]`.

use moongate_core::Code;

use super::Words;
use super::issuers::key_set;
use crate::problems::Mistake;
use crate::read::Table;
use crate::schema::{CardSignature, Signatures, Source};

const SIGNATURES: Words<Signatures> =
    &[("ignore", Signatures::Ignore), ("check", Signatures::Check), ("require", Signatures::Require)];

/// Reads it, and refuses what no card could meet.
pub(super) fn signature(table: &Table<'_>, source: Option<&Source>) -> CardSignature {
    let policy = table.word("signature", SIGNATURES).unwrap_or(Signatures::Check);
    let jwks = table.has("jwks").then(|| key_set(table));
    let wants = |what: &str, hint: &str| {
        let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{}` {what}", table.path));
        table.notes.mistake(mistake.at(table.place_of("signature"), "").hint(hint));
    };
    match source {
        Some(Source::Address { .. }) if policy == Signatures::Require => {
            wants(
                "has no card of its own that could be signed",
                "give it a `card_url` or a `card`, or leave `signature` out",
            );
        }
        Some(Source::Card(_) | Source::CardFile(_)) if policy == Signatures::Require && jwks.is_none() => {
            wants(
                "wants a signature, but nothing says by whose key",
                "name its keys, as `jwks = \"https://agent.example/jwks.json\"`: a card from a file has no address to look at",
            );
        }
        _ => {}
    }
    if jwks.is_some() && policy == Signatures::Ignore {
        wants("names keys (`jwks`) that nobody will use", "remove `jwks`, or `signature = \"ignore\"`");
    }
    CardSignature { policy, jwks }
}
