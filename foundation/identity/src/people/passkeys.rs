//! People's passkeys: made on the sign-up page or by somebody who is signed in, used instead of a password.
//!
//! Challenges are not stored: each carries its end and a code that only this gateway can make, over what it is for. One
//! that was answered is remembered until its end, in the transaction that it brought about, so it works once.
//!
//! A password alone answers nothing critical, also not by way of a new passkey: one that is made by somebody who has shown no
//! more than a password settles first. Whoever's password was stolen has that time to see it.

use std::time::Duration;

use moongate_core::seam::records::{Broken, Page, Record, change, look};
use moongate_core::{Code, Problem, Time};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{Opened, People, SignedIn, User, UserName, kinds, random, read, row, session, user};
use crate::passkey::{self, Ceremony, ClientData, Flaw, PublicKey};

/// How long a page with a challenge may stay open.
const CHALLENGE: Duration = Duration::from_secs(15 * 60);
/// How long a passkey settles that somebody made by a password.
pub const SETTLING: Duration = Duration::from_secs(15 * 60);
/// Passkeys of one person.
const MOST: usize = 16;
/// Characters of a passkey's label.
const LABEL: usize = 64;
const PURPOSE: &str = "passkey challenge";

/// The site that passkeys belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The host, to which passkeys are bound.
    pub host: String,
    /// The origins of its pages.
    pub origins: Vec<String>,
}

/// A passkey as its owner sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Passkey {
    /// The credential's id in base64url; empty in the row, whose key it is.
    #[serde(skip)]
    pub id: String,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub made_at: Time,
    /// When somebody last signed in with it.
    pub used_at: Option<Time>,
    /// From when on it answers what is critical; at once, if that was not put off.
    #[serde(default)]
    pub settles_at: Option<Time>,
    user: String,
    key: PublicKey,
    counter: u32,
}

impl Passkey {
    /// Whether it answers what is critical.
    pub fn is_settled(&self, now: Time) -> bool {
        self.settles_at.is_none_or(|settles_at| settles_at <= now)
    }
}

/// A browser's answer when a passkey was made: members of the object that the browser's call gives, in base64url.
#[derive(Deserialize)]
pub struct MadeAnswer {
    client_data: String,
    attestation: String,
}

/// A browser's answer at a sign-in, likewise.
#[derive(Deserialize)]
pub struct Answer {
    id: String,
    client_data: String,
    authenticator_data: String,
    signature: String,
    user_handle: Option<String>,
}

/// What a person signed by a passkey, for whoever checks it later: members in base64url, as browsers give them.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// The credential.
    pub credential: String,
    /// Its public key.
    pub key: PublicKey,
    /// `clientDataJSON`, with the challenge in it.
    pub client_data: String,
    /// `authenticatorData`.
    pub authenticator_data: String,
    /// The signature over the latter and the hash of the former.
    pub signature: String,
}

/// What a challenge is for.
enum Purpose<'a> {
    SignIn,
    /// A passkey for this person, as the person is now.
    Make(&'a User),
}

impl Purpose<'_> {
    fn text(&self) -> String {
        match self {
            Self::SignIn => "sign in".to_owned(),
            Self::Make(user) => format!("make {} {} {}", user.name, user.handle, user.epoch),
        }
    }
}

/// A challenge that was answered: when it would have ended, and its row's key.
struct Answered {
    key: String,
    ends_at: Time,
}

impl Answered {
    /// Remembers it; whether it is the first time.
    fn remember(&self, page: &dyn Page) -> Result<bool, Broken> {
        if page.record(kinds::ANSWERED, &self.key)?.is_some() {
            return Ok(false);
        }
        let record = Record { key: self.key.clone(), group: None, value: Vec::new(), expires_at: Some(self.ends_at) };
        page.put(kinds::ANSWERED, &record)?;
        Ok(true)
    }
}

impl People {
    /// A challenge for a sign-in, in base64url.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn challenge(&self) -> Result<String, Problem> {
        self.challenge_for(&Purpose::SignIn)
    }

    /// A challenge for a new passkey of this person.
    ///
    /// # Errors
    /// As [`People::challenge`].
    pub fn challenge_to_make(&self, user: &User) -> Result<String, Problem> {
        self.challenge_for(&Purpose::Make(user))
    }

    /// The person's passkeys.
    ///
    /// # Errors
    /// The store fails.
    pub async fn passkeys(&self, name: &UserName) -> Result<Vec<Passkey>, Problem> {
        let name = name.clone();
        look(self.store.records(), move |page| {
            let rows = page.group(kinds::PASSKEY, name.as_str())?;
            Ok(rows
                .iter()
                .filter_map(|record| Some(Passkey { id: record.key.clone(), ..read::<Passkey>(record)? }))
                .collect())
        })
        .await
    }

    /// Adds a passkey for somebody who is signed in.
    ///
    /// # Errors
    /// `PasskeyRefused`, with what does not hold.
    pub async fn add_passkey(
        &self,
        who: &SignedIn,
        site: &Site,
        label: &str,
        answer: &MadeAnswer,
    ) -> Result<(), Problem> {
        let (mut made, answered) = self.made(&who.user, site, label, answer)?;
        made.settles_at = (!who.is_proven).then(|| made.made_at.plus(SETTLING));
        let known = who.user.clone();
        let added = change(self.store.records(), move |page| {
            let same = user(page, known.name.as_str())?.is_some_and(|user| user.is_still(&known));
            Ok(same && answered.remember(page)? && keep(page, &made)?)
        });
        if added.await? { Ok(()) } else { Err(not_kept()) }
    }

    /// Uses a sign-up link with a new passkey instead of a password, and signs in.
    ///
    /// # Errors
    /// `InvitationSpent`; `PasskeyRefused`.
    pub async fn accept_passkey(
        &self,
        code: &str,
        site: &Site,
        label: &str,
        answer: &MadeAnswer,
    ) -> Result<Opened, Problem> {
        let user = self.invited(code).await?;
        let (made, answered) = self.made(&user, site, label, answer)?;
        self.enter(code, move |page, _| Ok(answered.remember(page)? && keep(page, &made)?)).await
    }

    /// Removes one of the person's passkeys; whether there was one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove_passkey(&self, who: &SignedIn, id: &str) -> Result<bool, Problem> {
        let (name, id) = (who.user.name.to_string(), id.to_owned());
        change(self.store.records(), move |page| match page.record(kinds::PASSKEY, &id)? {
            Some(record) if record.group.as_deref() == Some(name.as_str()) => page.remove(kinds::PASSKEY, &id),
            _ => Ok(false),
        })
        .await
    }

    /// Signs somebody in by passkey.
    ///
    /// # Errors
    /// `PasskeyRefused`.
    pub async fn sign_in_by_passkey(&self, site: &Site, answer: &Answer) -> Result<Opened, Problem> {
        let client = read_client(&answer.client_data, Ceremony::SignIn, site)?;
        let answered = self.answered(&client, &Purpose::SignIn)?;
        let id = answer.id.clone();
        let found = look(self.store.records(), move |page| {
            let Some(held) = page.record(kinds::PASSKEY, &id)?.as_ref().and_then(read::<Passkey>) else {
                return Ok(None);
            };
            Ok(user(page, &held.user)?.map(|user| (held, user)))
        });
        let unknown = || flawed(Flaw("this gateway does not know the passkey"));
        let (held, user) = found.await?.ok_or_else(unknown)?;
        if answer.user_handle.as_ref().is_some_and(|handle| *handle != user.handle) {
            return Err(unknown());
        }
        let (data, signature) = (bytes(&answer.authenticator_data)?, bytes(&answer.signature)?);
        let counter = passkey::assertion(&site.host, &held.key, &client, &data, &signature).map_err(flawed)?;
        let (id, now) = (answer.id.clone(), self.clock.now());
        let opened = self.open(&user, held.is_settled(now), move |page| {
            let Some(held) = page.record(kinds::PASSKEY, &id)?.as_ref().and_then(read::<Passkey>) else {
                return Ok(false);
            };
            // A counter that does not rise is that of a copy; synchronised passkeys have none.
            let rises = counter > held.counter || counter == 0 && held.counter == 0;
            if !rises || !answered.remember(page)? {
                return Ok(false);
            }
            let owner = held.user.clone();
            page.put(kinds::PASSKEY, &row(&id, Some(&owner), &Passkey { counter, used_at: Some(now), ..held }))?;
            Ok(true)
        });
        opened.await?.ok_or_else(|| flawed(Flaw("the answer came before, or the person is disabled")))
    }

    /// Checks that somebody who is signed in has answered this challenge with a passkey of their own; with one that is settled,
    /// if what they are asked is `critical`.
    ///
    /// # Errors
    /// `PasskeyRefused`.
    pub async fn assert(
        &self,
        who: &SignedIn,
        site: &Site,
        (challenge, critical): (&[u8], bool),
        answer: &Answer,
    ) -> Result<Receipt, Problem> {
        let client = read_client(&answer.client_data, Ceremony::SignIn, site)?;
        if client.challenge != challenge {
            return Err(flawed(Flaw("the answer is to another question")));
        }
        let (id, known) = (answer.id.clone(), who.user.clone());
        let found = look(self.store.records(), move |page| {
            let same = user(page, known.name.as_str())?.is_some_and(|user| user.is_still(&known));
            let held = page.record(kinds::PASSKEY, &id)?.as_ref().and_then(read::<Passkey>);
            Ok(held.filter(|held| same && held.user == known.name.as_str()))
        });
        let held = found.await?.ok_or_else(|| flawed(Flaw("it is not one of yours")))?;
        let (data, signature) = (bytes(&answer.authenticator_data)?, bytes(&answer.signature)?);
        let counter = passkey::assertion(&site.host, &held.key, &client, &data, &signature).map_err(flawed)?;
        let (id, now, session) = (answer.id.clone(), self.clock.now(), who.key());
        if critical && !held.is_settled(now) {
            return Err(unsettled(&held, now));
        }
        let receipt = Receipt {
            credential: answer.id.clone(),
            key: held.key.clone(),
            client_data: answer.client_data.clone(),
            authenticator_data: answer.authenticator_data.clone(),
            signature: answer.signature.clone(),
        };
        let kept = change(self.store.records(), move |page| {
            let Some(held) = page.record(kinds::PASSKEY, &id)?.as_ref().and_then(read::<Passkey>) else {
                return Ok(false);
            };
            if !(counter > held.counter || counter == 0 && held.counter == 0) {
                return Ok(false);
            }
            if held.is_settled(now) {
                session::prove(page, &session)?;
            }
            let owner = held.user.clone();
            page.put(kinds::PASSKEY, &row(&id, Some(&owner), &Passkey { counter, used_at: Some(now), ..held }))?;
            Ok(true)
        });
        if kept.await? { Ok(receipt) } else { Err(flawed(Flaw("it was copied, or removed this very moment"))) }
    }

    /// A new passkey of this person, checked and not yet kept.
    fn made(&self, user: &User, site: &Site, label: &str, answer: &MadeAnswer) -> Result<(Passkey, Answered), Problem> {
        let client = read_client(&answer.client_data, Ceremony::Registration, site)?;
        let answered = self.answered(&client, &Purpose::Make(user))?;
        let made = passkey::registration(&site.host, &bytes(&answer.attestation)?).map_err(flawed)?;
        let label: String = label.trim().chars().filter(|character| !character.is_control()).take(LABEL).collect();
        let label = if label.is_empty() { "Passkey".to_owned() } else { label };
        let passkey = Passkey {
            id: random::encode(&made.id),
            label,
            made_at: self.clock.now(),
            used_at: None,
            settles_at: None,
            user: user.name.to_string(),
            key: made.key,
            counter: made.counter,
        };
        Ok((passkey, answered))
    }

    /// `nonce | end | HMAC(what it is for, nonce, end)`.
    fn challenge_for(&self, purpose: &Purpose<'_>) -> Result<String, Problem> {
        let nonce = random::bytes::<16>()?;
        let end = self.clock.now().plus(CHALLENGE).0.to_be_bytes();
        let head = [nonce.as_slice(), &end].concat();
        let code = self.vault.mac(PURPOSE, &[&head, purpose.text().as_bytes()].concat());
        Ok(random::encode(&[head.as_slice(), &code].concat()))
    }

    fn answered(&self, client: &ClientData, purpose: &Purpose<'_>) -> Result<Answered, Problem> {
        let stale = Flaw("the page was open for too long, or is not one of this gateway's");
        let (head, code) = client.challenge.split_at_checked(24).ok_or_else(|| flawed(stale))?;
        let expected = self.vault.mac(PURPOSE, &[head, purpose.text().as_bytes()].concat());
        let ends_at = Time(head.last_chunk::<8>().map_or(0, |end| u64::from_be_bytes(*end)));
        if !bool::from(expected.ct_eq(code)) || self.clock.now() >= ends_at {
            return Err(flawed(stale));
        }
        Ok(Answered { key: random::encode(head), ends_at })
    }
}

/// Keeps a new passkey, unless it is known already or there are too many.
fn keep(page: &dyn Page, passkey: &Passkey) -> Result<bool, Broken> {
    if page.record(kinds::PASSKEY, &passkey.id)?.is_some() {
        return Ok(false);
    }
    if page.group(kinds::PASSKEY, &passkey.user)?.len() >= MOST {
        return Ok(false);
    }
    page.put(kinds::PASSKEY, &row(&passkey.id, Some(&passkey.user), passkey))?;
    Ok(true)
}

fn unsettled(held: &Passkey, now: Time) -> Problem {
    let minutes = held.settles_at.map_or(0, |settles_at| settles_at.since(now).as_secs().div_ceil(60));
    let what = format!(
        "the passkey is refused: it was made a moment ago by somebody who had shown a password only, and answers what is \
         critical in {minutes} min"
    );
    Problem::new(Code::PasskeyRefused, what)
}

fn not_kept() -> Problem {
    flawed(Flaw("it is known already, there are too many, or the page was sent before"))
}

fn read_client(text: &str, ceremony: Ceremony, site: &Site) -> Result<ClientData, Problem> {
    ClientData::read(&bytes(text)?, ceremony, &site.origins).map_err(flawed)
}

fn bytes(text: &str) -> Result<Vec<u8>, Problem> {
    random::decode(text).ok_or_else(|| flawed(Flaw("the answer is not base64url")))
}

fn flawed(flaw: Flaw) -> Problem {
    Problem::new(Code::PasskeyRefused, format!("the passkey is refused: {}", flaw.0))
}
