//! Reads `[oauth]`: the gateway's own authorization server, which is on where this section stands.

use crate::read::Table;
use crate::schema::Oauth;

/// Reads the section.
pub(super) fn oauth(table: &Table<'_>) -> Oauth {
    Oauth {
        token_seconds: table.seconds("token_seconds").unwrap_or_default(),
        refresh_seconds: table.seconds("refresh_seconds").unwrap_or_default(),
        device_seconds: table.seconds("device_seconds").unwrap_or_default(),
        scopes: super::issuers::scopes(table),
    }
}
