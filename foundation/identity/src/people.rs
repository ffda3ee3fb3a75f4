//! People: who may sign in at the gateway's pages, and how they prove that they are they.
//!
//! - An operator adds a person and hands over a link; with it the person chooses a password or makes a passkey
//!   ([`People::invite`]). Or the operator sets a password.
//! - A sign-in by password is slowed down after failures, by name and by address, costs the same for people who do not exist,
//!   and says only that it failed. A sign-in by passkey needs no name.
//! - A session is a random text in a cookie, stored as its hash. It ends when it has been idle for half an hour, after
//!   twelve hours, and when the person signs out, changes the password, is disabled or removed.
//!
//! What people may allow programs to do in their name is bounded by their scopes; who asks them is the authorization server.

mod attempts;
mod invitation;
mod operators;
mod passkeys;
mod password;
mod random;
mod session;
mod user;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::records::{Broken, Page, Record, change, look};
use moongate_core::seam::{Clock, Later, Store, Vault};
use moongate_core::{Code, Problem, Retry, Time};
use parking_lot::Mutex;

use crate::authority::standing::{self, Rights};
use crate::epoch::Epoch;
use crate::names;
use password::Hasher;

pub use attempts::Attempts;
pub use invitation::{INVITATION, Invitation};
pub use operators::{LINK, Operators, SESSION, Seat};
pub use passkeys::{Answer, MadeAnswer, Passkey, Receipt, SETTLING, Site};
pub use password::{LONGEST, Password, SHORTEST};
pub use session::{ABSOLUTE, FRESH, IDLE, Opened, SignedIn};
pub use user::{NewUser, User, UserName};

mod kinds {
    //! The kinds of rows that people are made of.

    /// A person, by name.
    pub(super) const USER: &str = crate::names::USER;
    /// A session, by its cookie's hash; grouped by person.
    pub(super) const SESSION: &str = "session";
    /// A link by which a person signs up, by its hash; grouped by person.
    pub(super) const INVITATION: &str = "invitation";
    /// A passkey, by its credential id; grouped by person.
    pub(super) const PASSKEY: &str = "passkey";
    /// Challenges that were answered.
    pub(super) const ANSWERED: &str = "answered-challenge";
}

/// The people of one gateway.
pub struct People {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    vault: Arc<dyn Vault>,
    hasher: Hasher,
    attempts: Mutex<Attempts>,
    epoch: Mutex<Option<Epoch>>,
}

impl People {
    /// The people that this store knows.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, vault: Arc<dyn Vault>) -> Self {
        Self { store, clock, vault, hasher: Hasher::new(), attempts: Mutex::default(), epoch: Mutex::default() }
    }

    /// What is raised whenever somebody's rights may have changed: tokens of that person are looked at anew.
    pub fn tell(&self, epoch: Epoch) {
        *self.epoch.lock() = Some(epoch);
    }

    fn changed(&self) {
        if let Some(epoch) = &*self.epoch.lock() {
            epoch.rise();
        }
    }

    /// Adds a person, who cannot sign in yet unless a password is given.
    ///
    /// # Errors
    /// `UserExists`, if the name is somebody's or was; `InvalidParams` for what cannot be said of a person.
    pub async fn add(&self, new: NewUser, password: Option<Password>) -> Result<User, Problem> {
        let mut user = new.make(self.clock.now())?;
        if let Some(password) = password {
            user.password = Some(self.hasher.hash(password).await?);
        }
        let made = user.clone();
        let added = change(self.store.records(), move |page| {
            let holder = names::holder(page, made.name.as_str())?;
            if holder.is_none() {
                put_user(page, &made)?;
            }
            Ok(holder)
        });
        match added.await? {
            None => Ok(user),
            Some(holder) => Err(holder.refusal(Code::UserExists, user.name.as_str())),
        }
    }

    /// All people, by name.
    ///
    /// # Errors
    /// The store fails.
    pub async fn all(&self) -> Result<Vec<User>, Problem> {
        look(self.store.records(), |page| {
            let mut users: Vec<User> = Vec::new();
            loop {
                let last = users.last().map(|user| user.name.to_string()).unwrap_or_default();
                let rows = page.after(kinds::USER, &last, 200)?;
                users.extend(rows.iter().filter_map(read::<User>));
                if rows.len() < 200 {
                    return Ok(users);
                }
            }
        })
        .await
    }

    /// The person of this name, disabled or not.
    ///
    /// # Errors
    /// The store fails.
    pub async fn find(&self, name: &UserName) -> Result<Option<User>, Problem> {
        let name = name.clone();
        look(self.store.records(), move |page| user(page, name.as_str())).await
    }

    /// Removes a person with all passkeys, sessions and links. Nobody is called so again.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn remove(&self, name: &UserName) -> Result<(), Problem> {
        let (gone, now) = (name.clone(), self.clock.now());
        let removed = change(self.store.records(), move |page| {
            for kind in [kinds::SESSION, kinds::INVITATION, kinds::PASSKEY] {
                remove_group(page, kind, gone.as_str())?;
            }
            let there = page.remove(kinds::USER, gone.as_str())?;
            if there {
                names::retire(page, gone.as_str(), now)?;
            }
            Ok(there)
        });
        let removed = removed.await?;
        self.changed();
        if removed { Ok(()) } else { Err(no_such(name)) }
    }

    /// Keeps a person out, or lets one in again. Sessions and links end either way, and what the person allowed programs is void
    /// from then on.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn disable(&self, name: &UserName, disabled: bool) -> Result<User, Problem> {
        let now = self.clock.now();
        self.alter(name, move |page, user| {
            user.disabled = disabled;
            user.grants_since = Some(now);
            remove_group(page, kinds::INVITATION, user.name.as_str())
        })
        .await
    }

    /// Changes what a person is called or may allow, from now on and for tokens that there are.
    ///
    /// # Errors
    /// `NoSuchUser`; `InvalidParams` for what cannot be said of a person.
    pub async fn amend(
        &self,
        name: &UserName,
        display_name: Option<&str>,
        scopes: Option<Vec<String>>,
    ) -> Result<User, Problem> {
        let display_name = display_name.map(|display_name| user::shown(name, display_name)).transpose()?;
        scopes.as_deref().map(user::checked).transpose()?;
        let wanted = name.clone();
        let amended = change(self.store.records(), move |page| {
            let Some(mut user) = user(page, wanted.as_str())? else { return Ok(None) };
            user.display_name = display_name.clone().unwrap_or(user.display_name);
            user.scopes = scopes.clone().unwrap_or(user.scopes);
            put_user(page, &user)?;
            Ok(Some(user))
        });
        let amended = amended.await?;
        self.changed();
        amended.ok_or_else(|| no_such(name))
    }

    /// Sets a password for a person, in the operator's name: the only way in from then on. Passkeys, sessions and links end, and
    /// what was allowed to programs is void: whoever took the account over is out.
    ///
    /// # Errors
    /// `NoSuchUser`.
    pub async fn set_password(&self, name: &UserName, password: Password) -> Result<User, Problem> {
        let hash = self.hasher.hash(password).await?;
        let now = self.clock.now();
        self.alter(name, move |page, user| {
            begin_anew(page, user, now)?;
            user.password = Some(hash.clone());
            Ok(())
        })
        .await
    }

    /// Signs somebody in by name and password.
    ///
    /// # Errors
    /// `SignInRefused`, whatever was wrong; `TooManyAttempts` when it comes too early after failures.
    pub async fn sign_in(&self, name: &str, password: &str, from: IpAddr) -> Result<Opened, Problem> {
        // What is no name is slowed down as one that nobody has.
        let known = UserName::read(name);
        let name = known.as_ref().map_or("", UserName::as_str).to_owned();
        self.attempts.lock().begin(&name, from, self.clock.mono()).map_err(too_early)?;
        let judged = self.judged(known.as_ref(), password).await;
        match &judged {
            Ok(Some(_)) => self.attempts.lock().succeeded(&name, from),
            Ok(None) => {}
            // Too many at this moment, or the store fails: the person did nothing wrong.
            Err(_) => self.attempts.lock().forgive(&name, from),
        }
        judged?.ok_or_else(refused)
    }

    /// A session, if the password is that person's.
    async fn judged(&self, name: Option<&UserName>, password: &str) -> Result<Option<Opened>, Problem> {
        let found = match name {
            Some(name) => self.find(name).await?,
            None => None,
        };
        let hash = found.as_ref().filter(|user| !user.disabled).and_then(|user| user.password.clone());
        let fits = self.hasher.verify(password.to_owned(), hash).await?;
        match found.filter(|_| fits) {
            Some(user) => self.open(&user, false, |_| Ok(true)).await,
            None => Ok(None),
        }
    }

    /// Changes one's own password; all other sessions end, and a new one goes on.
    ///
    /// # Errors
    /// As [`People::sign_in`], if the current password is wrong; whoever has none yet needs none.
    pub async fn change_password(
        &self,
        who: &SignedIn,
        current: &str,
        new: Password,
        from: IpAddr,
    ) -> Result<Opened, Problem> {
        let name = &who.user.name;
        if who.user.has_password() {
            self.sign_in(name.as_str(), current, from).await?;
        }
        let (hash, known) = (self.hasher.hash(new).await?, who.user.clone());
        let renewed = change(self.store.records(), move |page| {
            let current = user(page, known.name.as_str())?;
            // Whoever was changed meanwhile is asked again: an operator's word is the later one.
            let Some(mut user) = current.filter(|user| user.is_still(&known)) else { return Ok(None) };
            user.password = Some(hash.clone());
            user.epoch += 1;
            for kind in [kinds::SESSION, kinds::INVITATION] {
                remove_group(page, kind, user.name.as_str())?;
            }
            put_user(page, &user)?;
            Ok(Some(user))
        });
        let user = renewed.await?.ok_or_else(refused)?;
        self.changed();
        self.open(&user, false, |_| Ok(true)).await?.ok_or_else(refused)
    }

    /// Changes the person's row in one transaction, and ends all sessions.
    async fn alter(
        &self,
        name: &UserName,
        mut how: impl FnMut(&dyn Page, &mut User) -> Result<(), Broken> + Send + 'static,
    ) -> Result<User, Problem> {
        let wanted = name.clone();
        let altered = change(self.store.records(), move |page| {
            let Some(mut user) = user(page, wanted.as_str())? else { return Ok(None) };
            user.epoch += 1;
            how(page, &mut user)?;
            remove_group(page, kinds::SESSION, user.name.as_str())?;
            put_user(page, &user)?;
            Ok(Some(user))
        });
        let altered = altered.await?;
        self.changed();
        altered.ok_or_else(|| no_such(name))
    }
}

impl standing::People for People {
    fn rights<'a>(&'a self, user: &'a str) -> Later<'a, Result<Option<Rights>, Problem>> {
        Box::pin(async move {
            let Some(name) = UserName::read(user) else { return Ok(None) };
            let found = self.find(&name).await?.filter(|user| !user.disabled);
            Ok(found.map(|user| Rights { scopes: user.rights(), since: user.since() }))
        })
    }
}

/// An attempt that came too early by so much.
pub fn too_early(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let what = format!("too many attempts; try again in {seconds} s");
    Problem::new(Code::TooManyAttempts, what).retry(Retry::Later(Some(wait)))
}

fn refused() -> Problem {
    Problem::new(Code::SignInRefused, "the name or the password is wrong")
}

fn no_such(name: &UserName) -> Problem {
    Problem::new(Code::NoSuchUser, format!("there is no user {name}"))
}

/// Ends every way in that there is, and all that the person allowed.
fn begin_anew(page: &dyn Page, user: &mut User, now: Time) -> Result<(), Broken> {
    user.password = None;
    user.grants_since = Some(now);
    remove_group(page, kinds::PASSKEY, user.name.as_str())?;
    remove_group(page, kinds::INVITATION, user.name.as_str())
}

fn user(page: &dyn Page, name: &str) -> Result<Option<User>, Broken> {
    Ok(page.record(kinds::USER, name)?.as_ref().and_then(read))
}

fn put_user(page: &dyn Page, user: &User) -> Result<(), Broken> {
    page.put(kinds::USER, &row(user.name.as_str(), None, user))
}

fn remove_group(page: &dyn Page, kind: &str, group: &str) -> Result<(), Broken> {
    for record in page.group(kind, group)? {
        page.remove(kind, &record.key)?;
    }
    Ok(())
}

fn row(key: &str, group: Option<&str>, value: &impl serde::Serialize) -> Record {
    let value = serde_json::to_vec(value).unwrap_or_default();
    Record { key: key.to_owned(), group: group.map(str::to_owned), value, expires_at: None }
}

fn read<T: serde::de::DeserializeOwned>(record: &Record) -> Option<T> {
    serde_json::from_slice(&record.value).ok()
}
