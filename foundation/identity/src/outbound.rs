//! Credentials that the gateway fetches to be let in by targets: access tokens of the target's own authorization server, for
//! itself ([`ClientCredentials`], RFC 6749 §4.4) or for its caller ([`TokenExchange`], RFC 8693).
//!
//! - One request at a time fetches, for all who wait; whoever asks may go away, what was begun is ended and kept.
//! - A token serves for nine tenths of the time that it is valid, and is fetched again ahead of that, beside the requests.
//! - After a failure nobody is asked for a moment. A target that refuses a token gets another one at most every half minute.
//! - The gateway proves itself by its secret (RFC 6749 §2.3.1) or by a signed assertion (RFC 7523 §2.2). Neither it nor a
//!   token stands in a message, a log or a `Debug`.

mod assertion;
mod exchange;
mod request;
mod slot;
mod voucher;

use std::sync::Arc;

use moongate_core::seam::credential::{Behalf, Credential, Shown};
use moongate_core::seam::{Clock, Dialer, Later};
use moongate_core::{Code, Problem};

pub use assertion::AssertionKey;
pub use exchange::{Subject, TokenExchange};
use request::Wanted;
pub use request::{Proof, TokenRequest};
use slot::{Old, Slot};
pub use voucher::Voucher;

/// Access tokens for one target. Cheap to clone.
#[derive(Clone)]
pub struct ClientCredentials(Arc<Inner>);

struct Inner {
    request: TokenRequest,
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    slot: Slot,
}

impl ClientCredentials {
    /// Nothing is fetched before somebody asks.
    pub fn new(request: TokenRequest, clock: Arc<dyn Clock>, dialer: Arc<dyn Dialer>) -> Self {
        Self(Arc::new(Inner { request, clock, dialer, slot: Slot::default() }))
    }

    async fn fetch(&self, old: Old) -> Result<Shown, Problem> {
        let this = self.clone();
        ended(tokio::spawn(async move {
            let inner = &*this.0;
            let ask = async || inner.request.send(&*inner.dialer, inner.clock.now(), Wanted::Own).await;
            inner.slot.fetch(&*inner.clock, old, || logged(&inner.request, ask())).await
        }))
        .await
    }
}

/// What a task of its own found, so that whoever waits may go away.
async fn ended(fetching: tokio::task::JoinHandle<Result<Shown, Problem>>) -> Result<Shown, Problem> {
    let broken = || Problem::new(Code::CredentialUnavailable, "fetching a credential broke off");
    fetching.await.unwrap_or_else(|_| Err(broken()))
}

/// The same, and a failure is told to the operator.
async fn logged<T>(request: &TokenRequest, asked: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    asked.await.inspect_err(|problem| {
        tracing::warn!(target_of = %request.name, %problem, inside = problem.inside, "no credential for an agent");
    })
}

impl Credential for ClientCredentials {
    fn ready(&self, _: &Behalf<'_>) -> Option<Shown> {
        let now = self.0.clock.mono();
        let held = self.0.slot.at_hand(now)?;
        if self.0.slot.is_due(&held, now) {
            let (this, old) = (self.clone(), Old::Ends(held.shown.clone()));
            tokio::spawn(async move { this.fetch(old).await.map(|_| ()) });
        }
        Some(held.shown.clone())
    }

    fn get<'a>(&'a self, on: &'a Behalf<'a>) -> Later<'a, Result<Shown, Problem>> {
        Box::pin(async move {
            match self.ready(on) {
                Some(shown) => Ok(shown),
                None => self.fetch(Old::None).await,
            }
        })
    }

    fn renewed<'a>(&'a self, _: &'a Behalf<'a>, refused: &'a Shown) -> Later<'a, Option<Shown>> {
        Box::pin(async move { self.fetch(Old::Refused(refused.clone())).await.ok().filter(|shown| shown != refused) })
    }
}

#[cfg(test)]
mod tests;
