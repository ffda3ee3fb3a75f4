//! Barriers: what was revoked stays revoked for what was under way at that moment.
//!
//! A token that is issued while its client, family or consent is revoked would be written after the revocation has removed all
//! the others. So a revocation leaves a barrier, which every such write looks at in its own transaction.

use std::time::SystemTime;

use moongate_core::seam::records::Broken;
use oauth_as::ClientId;
use oauth_as::store::{RevocationBarrier, RevocationWindow};
use serde::{Deserialize, Serialize};

use super::super::rows::{BARRIER, CLIENT, Entry, Sheet, hashed};

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Row {
    recorded_at: SystemTime,
    until: SystemTime,
}

fn of_client(id: &ClientId) -> String {
    hashed(&format!("client {id}"))
}

fn of_family(family: &str) -> String {
    hashed(&format!("family {family}"))
}

/// Its client's id comes with its length, so that no two pairs read alike.
fn of_consent(id: &ClientId, subject: &str) -> String {
    hashed(&format!("consent {} {id} {subject}", id.as_str().len()))
}

/// Raises a barrier, or an old one further.
pub(in super::super) fn raise(
    sheet: &Sheet<'_>,
    barrier: &RevocationBarrier,
    window: RevocationWindow,
) -> Result<(), Broken> {
    let key = match barrier {
        RevocationBarrier::Client(id) => of_client(id),
        RevocationBarrier::TokenFamily(family) => of_family(family),
        RevocationBarrier::Consent { client_id, subject } => of_consent(client_id, subject),
    };
    let old: Option<Row> = sheet.read(BARRIER, &key)?;
    let row = Row {
        recorded_at: old.map_or(window.recorded_at, |old| old.recorded_at.max(window.recorded_at)),
        until: old.map_or(window.until, |old| old.until.max(window.until)),
    };
    sheet.write(BARRIER, &key, Entry { value: &row, group: None, until: Some(row.until) })
}

/// Whether a barrier covers what was granted at that moment. One that cannot be read covers everything.
fn covers(sheet: &Sheet<'_>, key: &str, granted_at: SystemTime) -> Result<Option<bool>, Broken> {
    if !sheet.has(BARRIER, key)? {
        return Ok(None);
    }
    let row: Option<Row> = sheet.read(BARRIER, key)?;
    Ok(Some(row.is_none_or(|row| granted_at <= row.recorded_at)))
}

/// Whether nothing may be issued any more under a grant.
pub(super) fn is_revoked(
    sheet: &Sheet<'_>,
    client: &ClientId,
    family: Option<&str>,
    subject: Option<&str>,
    granted_at: SystemTime,
) -> Result<bool, Broken> {
    if let Some(covered) = covers(sheet, &of_client(client), granted_at)?
        && (covered || !sheet.has(CLIENT, client.as_str())?)
    {
        return Ok(true);
    }
    if let Some(subject) = subject
        && covers(sheet, &of_consent(client, subject), granted_at)? == Some(true)
    {
        return Ok(true);
    }
    match family {
        // A family is never granted anew.
        Some(family) => sheet.has(BARRIER, &of_family(family)),
        None => Ok(false),
    }
}
