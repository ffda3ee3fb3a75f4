//! What the gateway shows to a target to be let in, where that is not the same for ever.

use std::fmt;

use bytes::Bytes;

use super::Later;
use crate::problem::Problem;

/// The value of a header, which is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(Bytes);

impl Shown {
    /// Keeps a value.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self(value.into())
    }

    /// The value itself; the caller answers for where it goes.
    pub fn expose(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(…)")
    }
}

/// The gateway's credential for one target, as the value of `Authorization`. Never made of what a caller sent.
pub trait Credential: Send + Sync {
    /// The credential, if it is at hand.
    fn ready(&self) -> Option<Shown>;

    /// The credential, got if it is not at hand; by one at a time, for all who wait.
    ///
    /// # Errors
    /// `CredentialUnavailable`; never with a secret in it.
    fn get(&self) -> Later<'_, Result<Shown, Problem>>;

    /// The target did not accept this one: another one, if there is another.
    fn renewed<'a>(&'a self, refused: &'a Shown) -> Later<'a, Option<Shown>>;
}
