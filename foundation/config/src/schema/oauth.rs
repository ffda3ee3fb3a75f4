//! The section `[oauth]`.

use std::time::Duration;

use moongate_core::Scopes;

/// The gateway's own authorization server.
#[derive(Clone, Debug, PartialEq)]
pub struct Oauth {
    /// How long access tokens are valid; a day at most.
    pub token_seconds: Duration,
    /// How long a person's consent goes on, from refresh to refresh.
    pub refresh_seconds: Duration,
    /// How long a device waits for a person.
    pub device_seconds: Duration,
    /// What its tokens may give at most.
    pub scopes: Scopes,
}

/// For each key of [`Oauth`], whether it changed; all have where the section came or went.
pub(crate) struct OauthChange {
    pub(crate) token_seconds: bool,
    pub(crate) refresh_seconds: bool,
    pub(crate) device_seconds: bool,
    pub(crate) scopes: bool,
}

impl Oauth {
    pub(crate) fn differs(old: Option<&Self>, new: Option<&Self>) -> OauthChange {
        OauthChange {
            token_seconds: old.map(|own| own.token_seconds) != new.map(|own| own.token_seconds),
            refresh_seconds: old.map(|own| own.refresh_seconds) != new.map(|own| own.refresh_seconds),
            device_seconds: old.map(|own| own.device_seconds) != new.map(|own| own.device_seconds),
            scopes: old.map(|own| &own.scopes) != new.map(|own| &own.scopes),
        }
    }
}
