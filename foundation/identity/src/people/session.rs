//! Sessions: a random text that a browser keeps in a cookie, and what the store knows of it.

use std::time::Duration;

use moongate_core::seam::records::{Broken, Page, change, look};
use moongate_core::{Problem, Time};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{People, User, kinds, random, read, row, user};

/// How long a session lasts without being used.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session lasts at most.
pub const ABSOLUTE: Duration = Duration::from_secs(12 * 60 * 60);
/// How long after a sign-in one may change how one signs in.
pub const FRESH: Duration = Duration::from_secs(15 * 60);
/// How exactly it is written down when a session was used.
const NOTED: Duration = Duration::from_secs(60);
/// Sessions of one person; one more ends the oldest.
const MOST: usize = 16;

/// A session that was just opened.
pub struct Opened {
    /// The cookie's value, which is known to nobody else.
    pub cookie: String,
    /// Who signed in.
    pub user: User,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("user", &self.user.name).finish_non_exhaustive()
    }
}

/// Somebody whose session holds.
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// Whether the person signed in a moment ago: whoever finds an open browser must not make it their own.
    pub is_fresh: bool,
    /// Whether more than a password was shown in this session: the operator's link, or a passkey that is settled.
    pub is_proven: bool,
    cookie: String,
}

impl SignedIn {
    /// What forms of this session carry, so that no other page can send them. It says nothing about the cookie.
    pub fn form_token(&self) -> String {
        random::hashed(&format!("form {}", self.cookie))
    }

    /// The key of the session's row.
    pub(super) fn key(&self) -> String {
        random::hashed(&self.cookie)
    }

    /// Whether a form carries it.
    pub fn accepts_form(&self, token: &str) -> bool {
        self.form_token().as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("user", &self.user.name).finish_non_exhaustive()
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Session {
    user: String,
    epoch: u64,
    made_at: Time,
    seen_at: Time,
    /// Whether more than a password was shown in it.
    #[serde(default)]
    proven: bool,
}

impl Session {
    fn ends_at(&self) -> Time {
        self.made_at.plus(ABSOLUTE).min(self.seen_at.plus(IDLE))
    }

    fn write(&self, page: &dyn Page, key: &str) -> Result<(), Broken> {
        let mut record = row(key, Some(&self.user), self);
        record.expires_at = Some(self.ends_at());
        page.put(kinds::SESSION, &record)
    }
}

impl People {
    /// Whose session this cookie is, if it is one that holds.
    ///
    /// # Errors
    /// The store fails.
    pub async fn session(&self, cookie: &str) -> Result<Option<SignedIn>, Problem> {
        let (key, now) = (random::hashed(cookie), self.clock.now());
        let wanted = key.clone();
        let found = look(self.store.records(), move |page| {
            let Some(session) = page.record(kinds::SESSION, &wanted)?.as_ref().and_then(read::<Session>) else {
                return Ok(None);
            };
            let owner = user(page, &session.user)?;
            let holds = |user: &User| !user.disabled && user.epoch == session.epoch && now < session.ends_at();
            Ok(owner.filter(holds).map(|user| (user, session)))
        });
        let Some((user, session)) = found.await? else { return Ok(None) };
        if now.since(session.seen_at) >= NOTED {
            change(self.store.records(), move |page| {
                // It may have ended meanwhile, and must not come back.
                let Some(record) = page.record(kinds::SESSION, &key)? else { return Ok(()) };
                let Some(session) = read::<Session>(&record) else { return Ok(()) };
                Session { seen_at: now.max(session.seen_at), ..session }.write(page, &key)
            })
            .await?;
        }
        let (is_fresh, is_proven) = (now.since(session.made_at) < FRESH, session.proven);
        Ok(Some(SignedIn { user, is_fresh, is_proven, cookie: cookie.to_owned() }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), Problem> {
        let key = random::hashed(cookie);
        change(self.store.records(), move |page| page.remove(kinds::SESSION, &key)).await.map(drop)
    }

    /// Opens a session for somebody who has proved to be `known`, if that person has not been changed since and `also`
    /// agrees in the same transaction; `proven`, if by more than a password.
    pub(super) async fn open(
        &self,
        known: &User,
        proven: bool,
        mut also: impl FnMut(&dyn Page) -> Result<bool, Broken> + Send + 'static,
    ) -> Result<Option<Opened>, Problem> {
        let (known, now) = (known.clone(), self.clock.now());
        let cookie = random::text(32)?;
        let key = random::hashed(&cookie);
        let opened = change(self.store.records(), move |page| {
            let current = user(page, known.name.as_str())?;
            let Some(user) = current.filter(|user| user.is_still(&known)) else {
                return Ok(None);
            };
            if !also(page)? {
                return Ok(None);
            }
            write_new(page, &key, &user, (now, proven))?;
            Ok(Some(user))
        });
        Ok(opened.await?.map(|user| Opened { cookie, user }))
    }
}

/// Writes a new session of this person, and ends the oldest if there are too many.
pub(super) fn write_new(page: &dyn Page, key: &str, user: &User, (now, proven): (Time, bool)) -> Result<(), Broken> {
    let mut held: Vec<(Time, String)> = page
        .group(kinds::SESSION, user.name.as_str())?
        .iter()
        .filter_map(|record| Some((read::<Session>(record)?.seen_at, record.key.clone())))
        .collect();
    held.sort_unstable();
    for (_, oldest) in held.iter().take((held.len() + 1).saturating_sub(MOST)) {
        page.remove(kinds::SESSION, oldest)?;
    }
    Session { user: user.name.to_string(), epoch: user.epoch, made_at: now, seen_at: now, proven }.write(page, key)
}

/// More than a password was shown in this session.
pub(super) fn prove(page: &dyn Page, key: &str) -> Result<(), Broken> {
    match page.record(kinds::SESSION, key)?.as_ref().and_then(read::<Session>) {
        Some(session) if !session.proven => Session { proven: true, ..session }.write(page, key),
        _ => Ok(()),
    }
}
