//! Which browsers of which people are written to; durable, sealed, at most [`MOST`] for a person.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use moongate_core::seam::records::{Record, change, look};
use moongate_core::seam::{Store, Vault};
use moongate_core::{Problem, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::message::Reader;

const KIND: &str = "push.subscription";
/// Browsers of one person; the one that was heard of longest ago makes room.
const MOST: usize = 10;
/// Rows that are read at once.
const BATCH: usize = 500;

/// Who somebody is: the name, and what tells apart two people who have had that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name.
    pub name: String,
    /// What no other person ever has.
    pub handle: String,
}

/// One browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// What it is called here. It opens nothing.
    #[serde(skip)]
    pub key: String,
    /// Whose it is.
    pub person: Person,
    /// What the person calls it.
    pub label: String,
    /// Where it is written to; whoever knows it can write there too.
    pub(super) endpoint: String,
    p256dh: String,
    auth: String,
    /// Since when.
    pub made_at: Time,
}

impl Subscription {
    /// One that a browser has given.
    pub(super) fn new(person: Person, label: String, endpoint: String, keys: (String, String), now: Time) -> Self {
        let key = name_of(&endpoint);
        Self { key, person, label, endpoint, p256dh: keys.0, auth: keys.1, made_at: now }
    }

    /// The service that carries messages there.
    pub fn service(&self) -> &str {
        self.endpoint.split('/').nth(2).unwrap_or_default()
    }

    /// What messages are encrypted to; nothing if its keys are none.
    pub(super) fn reader(&self) -> Option<Reader> {
        let decoded = |text: &str| BASE64.decode(text.trim_end_matches('=')).ok();
        let reader = Reader { key: decoded(&self.p256dh)?, secret: decoded(&self.auth)? };
        reader.is_sound().then_some(reader)
    }
}

fn name_of(endpoint: &str) -> String {
    BASE64.encode(Sha256::digest(endpoint).get(..15).unwrap_or_default())
}

/// The rows.
pub(super) struct Rows {
    pub(super) store: Arc<dyn Store>,
    pub(super) vault: Arc<dyn Vault>,
}

impl Rows {
    /// Keeps one. The same browser again, whoever's it was, is the same row.
    pub(super) async fn keep(&self, subscription: &Subscription) -> Result<(), Problem> {
        let sealed = self.vault.seal(&serde_json::to_vec(subscription).unwrap_or_default());
        let group = subscription.person.name.clone();
        let row = Record { key: subscription.key.clone(), group: Some(group.clone()), value: sealed, expires_at: None };
        let vault = self.vault.clone();
        change(self.store.records(), move |page| {
            page.put(KIND, &row)?;
            let mut held: Vec<Subscription> =
                page.group(KIND, &group)?.iter().filter_map(|row| read(&*vault, row)).collect();
            held.sort_by_key(|one| (one.key == row.key, one.made_at));
            let surplus = held.len().saturating_sub(MOST);
            for old in held.iter().take(surplus) {
                page.remove(KIND, &old.key)?;
            }
            Ok(())
        })
        .await
    }

    /// All of them, by name.
    pub(super) async fn all(&self) -> Result<Vec<Subscription>, Problem> {
        let rows = look(self.store.records(), |page| {
            let mut rows: Vec<Record> = Vec::new();
            loop {
                let last = rows.last().map(|row| row.key.clone()).unwrap_or_default();
                let more = page.after(KIND, &last, BATCH)?;
                if more.is_empty() {
                    return Ok(rows);
                }
                rows.extend(more);
            }
        });
        Ok(rows.await?.iter().filter_map(|row| read(&*self.vault, row)).collect())
    }

    /// Removes one, if it is this person's, or whoever's; whether there was one.
    pub(super) async fn remove(&self, key: &str, of: Option<&Person>) -> Result<bool, Problem> {
        let (key, of, vault) = (key.to_owned(), of.cloned(), self.vault.clone());
        change(self.store.records(), move |page| {
            let row = page.record(KIND, &key)?;
            let theirs = |row: &Record| of.is_none() || read(&*vault, row).map(|one| one.person) == of;
            if row.as_ref().is_some_and(theirs) { page.remove(KIND, &key) } else { Ok(false) }
        })
        .await
    }
}

/// What a row says; one that this gateway did not seal says nothing.
fn read(vault: &dyn Vault, row: &Record) -> Option<Subscription> {
    let found: Subscription = serde_json::from_slice(&vault.open(&row.value)?).ok()?;
    Some(Subscription { key: row.key.clone(), ..found })
}
