//! What the gateway shows to a target to be let in, where that is not the same for ever.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::Later;
use crate::ids::TaskId;
use crate::problem::Problem;
use crate::scope::Scopes;

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

/// The access token by which a caller is known. No `Debug` shows it.
#[derive(Clone, Copy)]
pub struct Presented<'a>(&'a str);

impl<'a> Presented<'a> {
    /// Keeps a token.
    pub fn new(token: &'a str) -> Self {
        Self(token)
    }

    /// The token itself; the caller answers for where it goes.
    pub fn expose(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(…)")
    }
}

/// For whom the gateway asks its target.
#[derive(Clone, Debug)]
pub struct Behalf<'a> {
    /// The principal that asks, or that owns the task.
    pub id: &'a str,
    /// What the caller may do; of work that goes on without the caller, what that work began with.
    pub scopes: Cow<'a, Scopes>,
    /// The access token that the caller came with.
    pub token: Option<Presented<'a>>,
    /// The task that goes on without its caller.
    pub task: Option<&'a TaskId>,
}

/// The gateway's credential for one target, as the value of `Authorization`. Never what a caller sent; it may be fetched for
/// the caller, and is then shown for nobody else.
pub trait Credential: Send + Sync {
    /// The credential, if it is at hand.
    fn ready(&self, on: &Behalf<'_>) -> Option<Shown>;

    /// The credential, got if it is not at hand; by one at a time, for all who wait.
    ///
    /// # Errors
    /// `CredentialUnavailable`, and for one that is fetched for its caller `NoSubject`, `ExchangeRefused` and
    /// `ExchangeWidened`; never with a secret in it.
    fn get<'a>(&'a self, on: &'a Behalf<'a>) -> Later<'a, Result<Shown, Problem>>;

    /// The target did not accept this one: another one, if there is another.
    fn renewed<'a>(&'a self, on: &'a Behalf<'a>, refused: &'a Shown) -> Later<'a, Option<Shown>>;

    /// Gets what cannot be got once the caller has gone, for work that will go on then.
    ///
    /// # Errors
    /// As [`Credential::get`].
    fn prepare<'a>(&'a self, on: &'a Behalf<'a>) -> Later<'a, Result<(), Problem>> {
        let _ = on;
        Box::pin(async { Ok(()) })
    }

    /// From now on, this task's work may use what was got for this caller.
    fn entrust(&self, on: &Behalf<'_>, task: &TaskId) {
        let _ = (on, task);
    }
}
