//! Credentials that the gateway fetches to be let in by targets: access tokens of the target's own authorization server
//! (OAuth 2.0 client credentials, RFC 6749 §4.4).
//!
//! - One request at a time fetches, for all who wait; whoever asks may go away, what was begun is ended and kept.
//! - A token serves for nine tenths of the time that it is valid, and is fetched again ahead of that, beside the requests.
//! - After a failure nobody is asked for a moment. A target that refuses a token gets another one at most every half minute.
//! - The gateway proves itself by its secret (RFC 6749 §2.3.1) or by a signed assertion (RFC 7523 §2.2). Neither it nor a
//!   token stands in a message, a log or a `Debug`.

mod assertion;
mod request;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moongate_core::seam::credential::{Credential, Shown};
use moongate_core::seam::{Clock, Dialer, Later};
use moongate_core::{Code, Mono, Problem};
use tokio::sync::Mutex;

pub use assertion::AssertionKey;
pub use request::{Proof, TokenRequest};

/// A token whose server does not say for how long it is valid.
const UNSAID: Duration = Duration::from_secs(300);
/// The longest that a token is kept.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// After a failure, the next try waits so long.
const REST: Duration = Duration::from_secs(5);
/// A target that refuses a token gets another one this often at most.
const ANEW: Duration = Duration::from_secs(30);

/// A token at hand.
struct Held {
    shown: Shown,
    /// From when on another one is looked for.
    ahead: Mono,
    /// Until when it serves.
    until: Mono,
}

#[derive(Default)]
struct Tried {
    failed: Option<(Mono, Problem)>,
    /// When one was fetched because the target refused another.
    anew: Option<Mono>,
}

/// Access tokens for one target. Cheap to clone.
#[derive(Clone)]
pub struct ClientCredentials(Arc<Inner>);

struct Inner {
    request: TokenRequest,
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    held: ArcSwapOption<Held>,
    fetching: Mutex<Tried>,
}

impl ClientCredentials {
    /// Nothing is fetched before somebody asks.
    pub fn new(request: TokenRequest, clock: Arc<dyn Clock>, dialer: Arc<dyn Dialer>) -> Self {
        let inner = Inner { request, clock, dialer, held: ArcSwapOption::empty(), fetching: Mutex::default() };
        Self(Arc::new(inner))
    }

    /// A token that serves now.
    fn at_hand(&self) -> Option<Arc<Held>> {
        let now = self.0.clock.mono();
        self.0.held.load_full().filter(|held| now < held.until)
    }

    /// Fetches a token, unless there is another one than `old` by the time that it is our turn; or, if it is the target that
    /// refuses the old one, unless that was so a moment ago.
    async fn fetch(&self, old: Option<Shown>, refused: bool) -> Result<Shown, Problem> {
        let this = self.clone();
        let fetching = tokio::spawn(async move {
            let inner = &this.0;
            let mut tried = inner.fetching.lock().await;
            if let Some(held) = this.at_hand().filter(|held| old.as_ref() != Some(&held.shown)) {
                return Ok(held.shown.clone());
            }
            let now = inner.clock.mono();
            if let Some((at, problem)) = &tried.failed
                && now.since(*at) < REST
            {
                return Err(problem.clone());
            }
            if refused {
                if tried.anew.is_some_and(|at| now.since(at) < ANEW) {
                    return Err(Problem::new(Code::CredentialUnavailable, "the agent refuses every credential"));
                }
                tried.anew = Some(now);
            }
            match inner.request.send(&*inner.dialer, inner.clock.now()).await {
                Ok(token) => {
                    let valid = token.valid.unwrap_or(UNSAID).min(LONGEST);
                    let (ahead, until) = (now.plus(valid.mul_f64(0.8)), now.plus(valid.mul_f64(0.9)));
                    let shown = Shown::new(format!("Bearer {}", token.text));
                    tried.failed = None;
                    inner.held.store(Some(Arc::new(Held { shown: shown.clone(), ahead, until })));
                    Ok(shown)
                }
                Err(problem) => {
                    tracing::warn!(target_of = %inner.request.name, %problem, inside = problem.inside, "no credential for an agent");
                    tried.failed = Some((now, problem.clone()));
                    Err(problem)
                }
            }
        });
        let broken = || Problem::new(Code::CredentialUnavailable, "fetching a credential broke off");
        fetching.await.unwrap_or_else(|_| Err(broken()))
    }
}

impl Credential for ClientCredentials {
    fn ready(&self) -> Option<Shown> {
        let held = self.at_hand()?;
        if self.0.clock.mono() >= held.ahead && self.0.fetching.try_lock().is_ok() {
            let (this, old) = (self.clone(), held.shown.clone());
            tokio::spawn(async move { this.fetch(Some(old), false).await.map(|_| ()) });
        }
        Some(held.shown.clone())
    }

    fn get(&self) -> Later<'_, Result<Shown, Problem>> {
        Box::pin(async move {
            match self.ready() {
                Some(shown) => Ok(shown),
                None => self.fetch(None, false).await,
            }
        })
    }

    fn renewed<'a>(&'a self, refused: &'a Shown) -> Later<'a, Option<Shown>> {
        Box::pin(async move { self.fetch(Some(refused.clone()), true).await.ok().filter(|shown| shown != refused) })
    }
}

#[cfg(test)]
mod tests;
