//! Which certificates their authorities have taken back: lists (RFC 5280 §5) of one trust domain, kept fresh.
//!
//! - [`Crl`]: what a list must be to be accepted.
//! - [`Lists`]: a snapshot of the accepted ones; [`ChainVerifier`] verifies peers by it, [`Lists::revoked`] says which
//!   open connections must end.
//! - [`Revocations`]: the cache. It asks its sources ahead of `nextUpdate`, keeps what it accepted in the store, so that
//!   a restart without network enforces the same, and tells by its epoch when something changed.
//!
//! A new list is in force before it is durable: a store that fails delays no revocation. What a source answers can only
//! replace a list by a newer one of the same authority; silence, errors and forgeries leave the list at hand in force.
//!
//! Sources are the operator's. Distribution points that certificates name are not followed. No OCSP.

mod authorities;
mod crl;
mod event;
mod facts;
mod feed;
mod lists;
mod schedule;
mod verifier;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use moongate_core::seam::records::{self, Record};
use moongate_core::seam::{Clock, Dialer, Store};
use moongate_core::{Problem, Time};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

pub use authorities::{Authorities, Authority};
pub use crl::{Crl, CrlRefused, LARGEST, Place};
pub use event::{Event, Hook, logged};
pub use facts::{Covers, Facts, Number};
pub use feed::Source;
pub use lists::{CertificateId, Lists, Policy, State};
pub use verifier::ChainVerifier;

use feed::{Answer, Feed};

/// Whether these bytes are a revocation list, whoever signed it.
pub(crate) fn is_list(bytes: &[u8]) -> bool {
    facts::unwrap_pem(bytes).is_ok_and(|der| Facts::read(&der).is_ok())
}

const KIND: &str = "crl";
/// [`Revocations::run`] looks at the clock this often, whatever is due: clocks are set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
const SHORTEST_SLEEP: Duration = Duration::from_millis(100);

/// What the cache is made of.
pub struct Settings {
    /// The trust domain.
    pub domain: String,
    /// Its authorities.
    pub authorities: Authorities,
    /// Where its lists are.
    pub sources: Vec<Source>,
    /// What happens without them.
    pub policy: Policy,
}

/// What the cache stands on.
#[derive(Clone)]
pub struct Seams {
    /// Keeps accepted lists.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Fetches.
    pub dialer: Arc<dyn Dialer>,
    /// Takes events.
    pub hook: Hook,
}

/// The cache of one trust domain.
pub struct Revocations {
    domain: Arc<str>,
    authorities: Arc<Authorities>,
    seams: Seams,
    lists: ArcSwap<Lists>,
    epoch: watch::Sender<u64>,
    /// Held while a snapshot is replaced by one made of it.
    swapping: Mutex<Vec<(String, State)>>,
    /// Lists in force that are not in the store yet.
    unsaved: Mutex<HashMap<Place, Bytes>>,
    /// Held while sources are asked: once at a time.
    feeds: tokio::sync::Mutex<Vec<Feed>>,
}

impl Revocations {
    /// A cache without lists. [`Revocations::restore`] it before anyone is verified by it.
    pub fn new(settings: Settings, seams: Seams) -> Arc<Self> {
        let authorities = Arc::new(settings.authorities);
        let lists = Lists::none(&settings.domain, authorities.clone(), settings.policy);
        Arc::new(Self {
            domain: lists.domain.clone(),
            authorities,
            seams,
            epoch: watch::channel(lists.epoch).0,
            lists: ArcSwap::from_pointee(lists),
            swapping: Mutex::default(),
            unsaved: Mutex::default(),
            feeds: tokio::sync::Mutex::new(settings.sources.into_iter().map(Feed::new).collect()),
        })
    }

    /// The trust domain.
    pub fn domain(&self) -> &Arc<str> {
        &self.domain
    }

    /// The domain, and how its lists are asked for.
    pub fn asked(self: &Arc<Self>) -> (Arc<str>, crate::mtls::Snapshot) {
        let this = self.clone();
        (self.domain.clone(), Arc::new(move || this.snapshot()))
    }

    /// The lists as they are now.
    pub fn snapshot(&self) -> Arc<Lists> {
        self.lists.load_full()
    }

    /// Tells when the epoch has risen. The snapshot is at least as new as what it tells.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Takes back into force what was accepted before; how many lists. What the domain's authorities did not sign, as they
    /// are now, stays where it is and out of force.
    ///
    /// # Errors
    /// The store cannot be read. Then nothing may be trusted: an old list could come again unnoticed.
    pub async fn restore(&self) -> Result<usize, Problem> {
        let group = self.domain.to_string();
        let rows = records::look(self.seams.store.records(), move |page| page.group(KIND, &group)).await?;
        let mut restored = 0;
        for row in rows {
            let authorities = self.authorities.clone();
            match blocking(move || Crl::read(&row.value, &authorities)).await? {
                Ok(list) => {
                    restored += 1;
                    self.put_in_force(Arc::new(list));
                }
                Err(reason) => {
                    let source = format!("the store ({})", row.key);
                    (self.seams.hook)(&Event::Refused { domain: self.domain.clone(), source, reason });
                }
            }
        }
        self.look_at_the_clock(self.seams.clock.now());
        Ok(restored)
    }

    /// Asks the sources that are due, all at once, and says when the next one is. One call works at a time; others wait.
    pub async fn tick(&self) -> Time {
        let mut feeds = self.feeds.lock().await;
        let now = self.seams.clock.now();
        let due = feeds.iter_mut().filter(|feed| feed.due <= now);
        futures_util::future::join_all(due.map(|feed| self.ask(feed))).await;
        self.save().await;
        let now = self.seams.clock.now();
        self.look_at_the_clock(now);
        let next = feeds.iter().map(|feed| feed.due).chain(self.lists.load().next_change(now)).min();
        next.unwrap_or_else(|| now.plus(LONGEST_SLEEP))
    }

    /// Keeps the lists fresh for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let next = self.tick().await;
            let wait = next.since(self.seams.clock.now()).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask(&self, feed: &mut Feed) {
        let answer = feed.ask(&*self.seams.dialer).await;
        let now = self.seams.clock.now();
        let (bytes, mark) = match answer {
            Ok(Answer::Same) => return feed.unchanged(now),
            Ok(Answer::List(bytes, mark)) => (bytes, mark),
            Err(problem) => {
                feed.failed(None, now);
                let (domain, source) = (self.domain.clone(), feed.source.to_string());
                self.trouble(feed, format!("{:?}", problem.inside), Event::Unreachable { domain, source, problem });
                return;
            }
        };
        match self.take(bytes, now).await {
            Ok(life) => feed.given(mark, life, now),
            Err(reason) => {
                // Waiting mends this one, and nothing else.
                let patient = matches!(reason, CrlRefused::NotYetValid(_));
                feed.failed((!patient).then_some(mark), now);
                let (domain, source) = (self.domain.clone(), feed.source.to_string());
                self.trouble(feed, reason.to_string(), Event::Refused { domain, source, reason });
            }
        }
    }

    /// Tells of a trouble, unless it is the one that was told last.
    fn trouble(&self, feed: &mut Feed, words: String, event: Event) {
        if feed.trouble.as_ref() != Some(&words) {
            feed.trouble = Some(words);
            (self.seams.hook)(&event);
        }
    }

    /// Accepts a list or refuses it; from when till when it holds.
    async fn take(&self, bytes: Bytes, now: Time) -> Result<(Time, Time), CrlRefused> {
        let (held, authorities, text) = (self.snapshot(), self.authorities.clone(), bytes.clone());
        let accepted = blocking(move || Crl::accept(&text, &authorities, now, held.all())).await;
        let list = accepted.unwrap_or(Err(CrlRefused::Malformed("reading it broke off")))?;
        let (place, life) = (list.place(), (list.this_update(), list.next_update()));
        if self.put_in_force(Arc::new(list)) {
            self.unsaved.lock().insert(place, bytes);
        }
        Ok(life)
    }

    /// Whether that changed something.
    fn put_in_force(&self, list: Arc<Crl>) -> bool {
        let swapping = self.swapping.lock();
        let lists = self.lists.load_full();
        // Another source may have had a newer one meanwhile.
        if let Some(held) = lists.all().find(|held| held.place() == list.place())
            && (held.same(&list) || list.older_than(held))
        {
            return false;
        }
        let event = Event::Accepted {
            domain: self.domain.clone(),
            authority: list.authority().to_owned(),
            number: list.number().map(ToString::to_string),
            next_update: list.next_update(),
            epoch: lists.epoch() + 1,
        };
        self.swap(lists.with(list));
        drop(swapping);
        (self.seams.hook)(&event);
        true
    }

    fn swap(&self, lists: Lists) {
        let epoch = lists.epoch;
        self.lists.store(Arc::new(lists));
        self.epoch.send_replace(epoch);
    }

    /// Tells which authorities' lists stand otherwise than when the clock was last looked at.
    fn look_at_the_clock(&self, now: Time) {
        let mut told = self.swapping.lock();
        let lists = self.lists.load_full();
        let standing: Vec<(String, State)> =
            lists.standing(now).into_iter().map(|(name, state)| (name.to_owned(), state)).collect();
        let same_kind = |one: &State, other: &State| std::mem::discriminant(one) == std::mem::discriminant(other);
        let turned: Vec<(String, State)> = standing
            .iter()
            .enumerate()
            .filter(|(at, (_, state))| !told.get(*at).is_some_and(|(_, before)| same_kind(before, state)))
            .map(|(_, one)| one.clone())
            .collect();
        *told = standing;
        if !turned.is_empty() {
            self.swap(lists.later());
        }
        drop(told);
        for (authority, state) in turned {
            (self.seams.hook)(&Event::Turned { domain: self.domain.clone(), authority, state });
        }
    }

    async fn save(&self) {
        let unsaved: Vec<(Place, Bytes)> =
            self.unsaved.lock().iter().map(|(place, list)| (*place, list.clone())).collect();
        for (place, list) in unsaved {
            let record = Record {
                key: self.key(place),
                group: Some(self.domain.to_string()),
                value: list.to_vec(),
                expires_at: None,
            };
            let saved = records::change(self.seams.store.records(), move |page| page.put(KIND, &record)).await;
            match saved {
                Ok(()) => {
                    self.unsaved.lock().remove(&place);
                }
                Err(problem) => (self.seams.hook)(&Event::Unsaved { domain: self.domain.clone(), problem }),
            }
        }
    }

    fn key(&self, place: Place) -> String {
        let digest = Sha256::new().chain_update(&*self.domain).chain_update([0]).chain_update(place.to_string());
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocations").field("domain", &self.domain).field("lists", &self.lists).finish_non_exhaustive()
    }
}

/// Does what takes long with large lists, where nobody waits behind it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let broke =
        |error| Problem::new(moongate_core::Code::Internal, "reading a revocation list broke off").inside(error);
    tokio::task::spawn_blocking(work).await.map_err(broke)
}
