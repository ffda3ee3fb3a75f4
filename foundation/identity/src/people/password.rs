//! Passwords: the rules for choosing one, and argon2id.
//!
//! - Length is what counts: at least 12 characters, at most 1 KiB, whatever they are (NIST SP 800-63B-4 §3.1.1).
//! - argon2id with 19 MiB, two passes, one lane: OWASP's parameters for machines with little memory.
//! - Hashing happens beside the runtime's threads, two at a time, and few may wait: memory and processors stay bounded
//!   however many try to sign in.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use moongate_core::{Code, Problem};
use tokio::sync::Semaphore;

use super::random;
use super::user::Hash;

/// Characters of a password at least.
pub const SHORTEST: usize = 12;
/// Bytes of a password at most.
pub const LONGEST: usize = 1024;
/// Hashes that are computed at once.
const AT_ONCE: usize = 2;
/// Hashes that are computed or waited for.
const PLACES: usize = 34;
/// KiB of memory a hash takes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What is checked when there is no such person: it costs as much, and nothing fits it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";

/// A password that keeps the rules; never shown.
pub struct Password(zeroize::Zeroizing<String>);

impl Password {
    /// Checks the rules.
    ///
    /// # Errors
    /// `PasswordRefused`, with the rule that is broken.
    pub fn choose(text: &str) -> Result<Self, Problem> {
        let refused = |why: String| Err(Problem::new(Code::PasswordRefused, why));
        if text.chars().count() < SHORTEST {
            return refused(format!("the password has fewer than {SHORTEST} characters"));
        }
        if text.len() > LONGEST {
            return refused(format!("the password is longer than {LONGEST} bytes"));
        }
        let first = text.chars().next();
        if text.chars().all(|character| Some(character) == first) {
            return refused("the password is one character again and again".to_owned());
        }
        Ok(Self(zeroize::Zeroizing::new(text.to_owned())))
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where passwords are hashed and checked.
pub(super) struct Hasher {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(AT_ONCE)), places: Arc::new(Semaphore::new(PLACES)) }
    }

    pub(super) async fn hash(&self, password: Password) -> Result<Hash, Problem> {
        let salt = random::bytes::<16>()?;
        self.run(move || {
            let hash: Result<PasswordHash, _> = argon2()?.hash_password_with_salt(password.0.as_bytes(), &salt);
            hash.map(|hash| Hash(hash.to_string())).map_err(failed)
        })
        .await
    }

    /// Whether the password fits; `None` for somebody who does not exist or has none takes as long as a wrong one.
    pub(super) async fn verify(&self, password: String, hash: Option<Hash>) -> Result<bool, Problem> {
        // What nobody can have chosen is not worth the time, and says nothing about who exists.
        if password.len() > LONGEST {
            return Ok(false);
        }
        self.run(move || {
            let (text, exists) = match &hash {
                Some(hash) => (hash.0.as_str(), true),
                None => (NOBODY, false),
            };
            Ok(argon2()?.verify_password(password.as_bytes(), text).is_ok() && exists)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let crowded = |_| Problem::new(Code::TooManyAttempts, "too many people sign in at this moment; try again soon");
        let place = self.places.clone().try_acquire_owned().map_err(crowded)?;
        let turn = self.running.clone().acquire_owned().await.map_err(failed)?;
        // The turn goes with the work: who went away meanwhile makes no room for more of it.
        let done = tokio::task::spawn_blocking(move || {
            let _held = (turn, place);
            work()
        });
        done.await.map_err(failed)?
    }
}

fn argon2() -> Result<Argon2<'static>, Problem> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::Internal, "the password could not be hashed").inside(error)
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;

    use super::*;

    #[test]
    fn length_is_the_rule_and_nothing_else_is() {
        for good in ["correct horse", "十二個字的密碼也是可以用的", "            a", &"ab".repeat(512)] {
            assert!(Password::choose(good).is_ok(), "{good}");
        }
        for bad in ["", "eleven char", "aaaaaaaaaaaaaaa", "ééééééééééé", &"ab".repeat(513)] {
            assert_eq!(Password::choose(bad).unwrap_err().code, Code::PasswordRefused, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_right_password_fits_and_hashes_never_repeat() {
        let hasher = Hasher::new();
        let password = || Password::choose("correct horse battery").unwrap();
        let (one, other) = (hasher.hash(password()).await.unwrap(), hasher.hash(password()).await.unwrap());
        assert_ne!(one.0, other.0, "salted");
        assert!(one.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.0);
        assert!(hasher.verify("correct horse battery".into(), Some(one.clone())).await.unwrap());
        assert!(!hasher.verify("correct horse battery ".into(), Some(one)).await.unwrap());
        assert!(!hasher.verify("correct horse battery".into(), None).await.unwrap());
    }

    #[test]
    fn nobody_costs_what_somebody_costs() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&nobody).unwrap().m_cost(), MEMORY_KIB);
        assert_eq!(Params::try_from(&nobody).unwrap().t_cost(), PASSES);
        assert_eq!(nobody.hash.unwrap().as_bytes().len(), 32);
        assert_eq!(nobody.salt.unwrap().as_ref().len(), 18);
    }

    #[tokio::test]
    async fn two_hashes_at_once_and_few_that_wait() {
        let hasher = Hasher::new();
        let held = hasher.running.clone().acquire_many_owned(2).await.unwrap();
        let mut waiting: Vec<_> = (0..PLACES).map(|_| Box::pin(hasher.verify("wrong".into(), None))).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for one in &mut waiting {
            assert!(one.as_mut().poll(&mut context).is_pending(), "nothing is hashed beyond two at once");
        }
        let beyond = hasher.verify("wrong".into(), None).await.unwrap_err();
        assert_eq!(beyond.code, Code::TooManyAttempts);
        drop(waiting);
        drop(held);
        assert!(!hasher.verify("wrong".into(), None).await.unwrap(), "who gave up made room");
    }
}
