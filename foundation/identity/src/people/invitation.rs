//! Links by which people sign up: an operator hands one over, and the person alone learns the password, or makes a passkey.
//!
//! A link works once and for a quarter of an hour; a newer one for the same person replaces it. Looking at its page uses
//! nothing up. For somebody who has signed up before it is the only way back in: with it, password, passkeys and sessions end, and
//! what was allowed to programs is void.

use std::time::Duration;

use moongate_core::seam::records::{Broken, Page, change, look};
use moongate_core::{Code, Problem, Time};
use serde::{Deserialize, Serialize};

use super::{
    Opened, Password, People, User, UserName, begin_anew, kinds, put_user, random, read, remove_group, row, session,
    user,
};

/// How long a link works.
pub const INVITATION: Duration = Duration::from_secs(15 * 60);

/// A link's secret part.
pub struct Invitation {
    /// What stands in the link.
    pub code: String,
    /// Until when it works.
    pub expires_at: Time,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Held {
    user: String,
    epoch: u64,
    expires_at: Time,
}

impl People {
    /// Makes a link for a person: the only way in from then on.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn invite(&self, name: &UserName) -> Result<Invitation, Problem> {
        let (code, expires_at) = (random::text(32)?, self.clock.now().plus(INVITATION));
        let (key, now) = (random::hashed(&code), self.clock.now());
        self.alter(name, move |page, user| {
            begin_anew(page, user, now)?;
            let held = Held { user: user.name.to_string(), epoch: user.epoch, expires_at };
            let mut record = row(&key, Some(user.name.as_str()), &held);
            record.expires_at = Some(expires_at);
            page.put(kinds::INVITATION, &record)
        })
        .await?;
        Ok(Invitation { code, expires_at })
    }

    /// Who is invited by this code.
    ///
    /// # Errors
    /// `InvitationSpent` if it is spent, has run out, or never was.
    pub async fn invited(&self, code: &str) -> Result<User, Problem> {
        let (key, now) = (random::hashed(code), self.clock.now());
        look(self.store.records(), move |page| guest(page, &key, now)).await?.ok_or_else(spent)
    }

    /// Uses a link: sets the password and signs in.
    ///
    /// # Errors
    /// As [`People::invited`].
    pub async fn accept(&self, code: &str, password: Password) -> Result<Opened, Problem> {
        self.invited(code).await?;
        let hash = self.hasher.hash(password).await?;
        self.enter(code, move |_, user| {
            user.password = Some(hash.clone());
            Ok(true)
        })
        .await
    }

    /// Uses a link, does with its person what `how` does, and signs in; all of it or nothing.
    pub(super) async fn enter(
        &self,
        code: &str,
        mut how: impl FnMut(&dyn Page, &mut User) -> Result<bool, Broken> + Send + 'static,
    ) -> Result<Opened, Problem> {
        let (key, now, cookie) = (random::hashed(code), self.clock.now(), random::text(32)?);
        let session = random::hashed(&cookie);
        let entered = change(self.store.records(), move |page| {
            let Some(mut user) = guest(page, &key, now)? else { return Ok(None) };
            if !how(page, &mut user)? {
                return Ok(None);
            }
            page.remove(kinds::INVITATION, &key)?;
            remove_group(page, kinds::SESSION, user.name.as_str())?;
            user.epoch += 1;
            put_user(page, &user)?;
            session::write_new(page, &session, &user, (now, true))?;
            Ok(Some(user))
        });
        let user = entered.await?.ok_or_else(spent)?;
        Ok(Opened { cookie, user })
    }
}

/// The person of a link that holds.
fn guest(page: &dyn Page, key: &str, now: Time) -> Result<Option<User>, Broken> {
    let held = page.record(kinds::INVITATION, key)?.as_ref().and_then(read::<Held>);
    let Some(held) = held.filter(|held| now < held.expires_at) else { return Ok(None) };
    Ok(user(page, &held.user)?.filter(|user| !user.disabled && user.epoch == held.epoch))
}

fn spent() -> Problem {
    Problem::new(Code::InvitationSpent, "the link has been used, or has run out")
}
