//! Reads `[audit]`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::read::Table;
use crate::schema::{Audit, Cosigned, Witness};

/// What stands before a key that signs notes, and before one that cosigns checkpoints of others (C2SP signed-note).
const SIGNS: u8 = 1;
const COSIGNS: u8 = 4;

/// Reads the section.
pub(super) fn audit(table: &Table<'_>) -> Audit {
    Audit {
        on: table.flag("on"),
        dir: table.path("dir"),
        keep_months: table.integer("keep_months"),
        witness_seconds: table.seconds("witness_seconds").unwrap_or_default(),
        witnesses: table.tables("witnesses").iter().map(witness).collect(),
        cosigns: table.tables("cosigns").iter().map(cosigned).collect(),
    }
}

fn witness(table: &Table<'_>) -> Witness {
    let url = if table.has("url") { table.text("url").unwrap_or_default() } else { table.required("url") };
    let url = url.trim_end_matches('/').to_owned();
    Witness { name: table.required("name"), url, key: key(table, COSIGNS) }
}

fn cosigned(table: &Table<'_>) -> Cosigned {
    let (origin, key) = (table.required("origin"), key(table, SIGNS));
    let name = key.split('+').next().unwrap_or_default();
    if !key.is_empty() && !origin.is_empty() && name != origin && !name.starts_with(&format!("{origin}/")) {
        let message = format!("`{}` is the key of {name:?}, not of {origin:?}", table.path_of("key"));
        table.wrong("key", message, "write the key of that log, or of one of its months");
    }
    Cosigned { origin, key }
}

/// A public key as `name+id+key`.
fn key(table: &Table<'_>, kind: u8) -> String {
    let key = table.required("key");
    let mut parts = key.splitn(3, '+');
    let (name, id, point) = (parts.next(), parts.next(), parts.next().and_then(|point| STANDARD.decode(point).ok()));
    let right = name.is_some_and(|name| !name.is_empty())
        && id.is_some_and(|id| id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        && point.is_some_and(|point| point.len() == 33 && point.first() == Some(&kind));
    if !key.is_empty() && !right {
        let whose = if kind == COSIGNS { "a witness" } else { "a log" };
        let hint = "write the line NAME+ID+KEY as its owner publishes it; a Moongate's are at /audit/vkey and /audit/witness/vkey";
        table.wrong("key", format!("`{}` is no public key of {whose}", table.path_of("key")), hint);
    }
    key
}
