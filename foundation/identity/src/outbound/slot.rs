//! One credential that is fetched: at hand, on its way, or missed a moment ago. By the clock that it is given.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moongate_core::seam::Clock;
use moongate_core::seam::credential::Shown;
use moongate_core::{Code, Mono, Problem};
use tokio::sync::Mutex;

use super::request::Token;

/// A token whose server does not say for how long it is valid.
const UNSAID: Duration = Duration::from_secs(300);
/// The longest that a token is kept.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// After a failure, the next try waits so long.
const REST: Duration = Duration::from_secs(5);
/// A target that refuses a token gets another one this often at most.
const ANEW: Duration = Duration::from_secs(30);

/// A token at hand.
pub(super) struct Held {
    pub(super) shown: Shown,
    /// From when on another one is looked for.
    pub(super) ahead: Mono,
    /// Until when it serves.
    pub(super) until: Mono,
}

#[derive(Default)]
struct Tried {
    failed: Option<(Mono, Problem)>,
    /// When one was fetched because the target refused another.
    anew: Option<Mono>,
}

/// The place of one credential.
#[derive(Default)]
pub(super) struct Slot {
    held: ArcSwapOption<Held>,
    fetching: Mutex<Tried>,
}

/// Which token is wanted no more.
pub(super) enum Old {
    /// None is at hand.
    None,
    /// This one runs out.
    Ends(Shown),
    /// The target refuses this one.
    Refused(Shown),
}

impl Old {
    fn shown(&self) -> Option<&Shown> {
        match self {
            Self::None => None,
            Self::Ends(shown) | Self::Refused(shown) => Some(shown),
        }
    }
}

impl Slot {
    /// A token that serves now.
    pub(super) fn at_hand(&self, now: Mono) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| now < held.until)
    }

    /// Whether it is time to look for another one, and nobody does.
    pub(super) fn is_due(&self, held: &Held, now: Mono) -> bool {
        now >= held.ahead && self.fetching.try_lock().is_ok()
    }

    /// Forgets the token, if it is this one.
    pub(super) fn drop_held(&self, shown: &Shown) {
        if self.held.load_full().is_some_and(|held| held.shown == *shown) {
            self.held.store(None);
        }
    }

    /// Asks for a token, unless there is another one than `old` by the time that it is our turn; or, if it is the target that
    /// refuses the old one, unless that was so a moment ago.
    pub(super) async fn fetch<F>(&self, clock: &dyn Clock, old: Old, ask: impl FnOnce() -> F) -> Result<Shown, Problem>
    where
        F: Future<Output = Result<Token, Problem>>,
    {
        let mut tried = self.fetching.lock().await;
        let now = clock.mono();
        if let Some(held) = self.at_hand(now).filter(|held| old.shown() != Some(&held.shown)) {
            return Ok(held.shown.clone());
        }
        if let Some((at, problem)) = &tried.failed
            && now.since(*at) < REST
        {
            return Err(problem.clone());
        }
        if let Old::Refused(_) = old {
            if tried.anew.is_some_and(|at| now.since(at) < ANEW) {
                return Err(Problem::new(Code::CredentialUnavailable, "the agent refuses every credential"));
            }
            tried.anew = Some(now);
        }
        match ask().await {
            Ok(token) => {
                let valid = token.valid.unwrap_or(UNSAID).min(LONGEST);
                let (ahead, until) = (now.plus(valid.mul_f64(0.8)), now.plus(valid.mul_f64(0.9)));
                let shown = Shown::new(format!("Bearer {}", token.text));
                tried.failed = None;
                self.held.store(Some(Arc::new(Held { shown: shown.clone(), ahead, until })));
                Ok(shown)
            }
            Err(problem) => {
                // What neither the target takes nor the server renews is over.
                if let Old::Refused(shown) = &old {
                    self.drop_held(shown);
                }
                tried.failed = Some((now, problem.clone()));
                Err(problem)
            }
        }
    }
}
