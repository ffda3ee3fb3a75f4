//! Web Push (RFC 8030): the browsers of people who may answer show that something waits.
//!
//! - A message carries the question's id and its class, encrypted to one browser. The browser's own worker writes the words and makes
//!   the link to the page, which asks to sign in: whoever forges a message can make a telephone ring, and nothing else.
//! - A browser gives the address that it is written to, so it is judged like any stranger's URL: by the host, which has to be one of the
//!   push services of the configuration, and by the egress guard.
//! - A service that knows a subscription no more (404, 410) is not written to again. Whoever may not answer any more is not told.

mod message;
mod subscriptions;
mod vapid;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::seam::{Clock, Dialer, Egress, Fetch, Later, Store, Vault};
use moongate_core::{Code, Problem};
use moongate_transport::Origin;
use parking_lot::{Mutex, RwLock};
use serde_json::json;

use super::http::not_told;
use vapid::Vapid;

pub use subscriptions::{Person, Subscription};

/// The services of the browsers that are in use.
pub const SERVICES: [&str; 4] =
    ["fcm.googleapis.com", "*.push.services.mozilla.com", "*.push.apple.com", "*.notify.windows.com"];
/// Bytes of an endpoint at most.
const ENDPOINT: usize = 1024;
/// Characters of a label at most.
const LABEL: usize = 40;
/// Browsers that are written to at once.
const AT_ONCE: usize = 8;
const TRY_MS: u64 = 10_000;
const ANSWER: usize = 4096;
/// Questions that are remembered as told to some and not to others.
const HALF_TOLD: usize = 1024;

/// What the configuration says of push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Hosts of push services; `*.` in front stands for any names before it.
    pub services: Vec<String>,
    /// Whom a push service writes to about us: a `mailto:` or an `https:` URL.
    pub contact: String,
}

/// Subscriptions and the key that they are bound to. There from the start, whether or not a channel is configured.
pub struct Push {
    rows: subscriptions::Rows,
    vapid: Vapid,
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    egress: Arc<dyn Egress>,
    terms: RwLock<Option<Terms>>,
}

/// What stands in the way of push.
pub struct Ways {
    /// Sends.
    pub dialer: Arc<dyn Dialer>,
    /// Judges endpoints.
    pub egress: Arc<dyn Egress>,
}

impl Push {
    /// Opens what the store keeps, and makes the key if there is none.
    ///
    /// # Errors
    /// The store cannot be read, or its key is another gateway's.
    pub async fn open(
        store: Arc<dyn Store>,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
        ways: Ways,
    ) -> Result<Arc<Self>, Problem> {
        let vapid = Vapid::open(&store, &vault).await?;
        let Ways { dialer, egress } = ways;
        let (rows, terms) = (subscriptions::Rows { store, vault }, RwLock::default());
        Ok(Arc::new(Self { rows, vapid, clock, dialer, egress, terms }))
    }

    /// On by these terms from now on, or off.
    pub fn configure(&self, terms: Option<Terms>) {
        *self.terms.write() = terms;
    }

    /// The key that a browser subscribes by; nothing while push is off.
    pub fn public_key(&self) -> Option<String> {
        self.terms.read().as_ref().map(|_| self.vapid.public())
    }

    /// Takes what a browser gave: its endpoint, and its key and secret in base64.
    ///
    /// # Errors
    /// Push is off; the endpoint or the keys are not acceptable; the store fails.
    pub async fn subscribe(
        &self,
        person: Person,
        label: &str,
        endpoint: &str,
        keys: (&str, &str),
    ) -> Result<Subscription, Problem> {
        let refused =
            |why: &str| Problem::new(Code::SubscriptionRefused, format!("this browser cannot be told: {why}"));
        {
            let terms = self.terms.read();
            let off = || Problem::new(Code::PushOff, "no browser is told: push is off");
            let terms = terms.as_ref().ok_or_else(off)?;
            let origin = Origin::parse(endpoint, false).ok().filter(|_| endpoint.len() <= ENDPOINT);
            let origin = origin.ok_or_else(|| refused("what it gave is no address"))?;
            // Otherwise by its very address only, of which the guard knows at once whether it is near.
            let usual = origin.secure && [443, 8443].contains(&origin.port);
            if !usual && origin.host.parse::<IpAddr>().is_err() {
                return Err(refused("what it gave is no https URL of the usual ports"));
            }
            if !terms.services.iter().any(|service| is_of(&origin.host, service)) {
                return Err(refused("its push service is none of those that the gateway writes to"));
            }
        }
        self.egress.judge_url(endpoint).map_err(|_| refused("its push service may not be called from here"))?;
        let label = crate::document::visible(label).chars().take(LABEL).collect();
        let keys = (keys.0.to_owned(), keys.1.to_owned());
        let subscription = Subscription::new(person, label, endpoint.to_owned(), keys, self.clock.now());
        if subscription.reader().is_none() {
            return Err(refused("its keys are none"));
        }
        self.rows.keep(&subscription).await?;
        Ok(subscription)
    }

    /// All subscriptions, or one person's.
    ///
    /// # Errors
    /// The store fails.
    pub async fn subscriptions(&self, of: Option<&Person>) -> Result<Vec<Subscription>, Problem> {
        let mut all = self.rows.all().await?;
        all.retain(|one| of.is_none_or(|person| one.person == *person));
        Ok(all)
    }

    /// Ends one, if it is this person's, or whoever's; whether there was one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn unsubscribe(&self, key: &str, of: Option<&Person>) -> Result<bool, Problem> {
        self.rows.remove(key, of).await
    }

    /// Writes to one browser.
    ///
    /// # Errors
    /// Another try may help.
    async fn write(&self, to: &Subscription, notice: &Notice, contact: &str) -> Result<Taken, Problem> {
        let problem = |why: &'static str| Problem::new(Code::NotTold, why);
        let reader = to.reader().ok_or_else(|| problem("a browser's keys are none"))?;
        let origin = Origin::parse(&to.endpoint, false).map_err(|_| problem("a browser's address is none"))?;
        let now = self.clock.now();
        let payload = json!({"id": &*notice.id, "class": notice.class.as_str()}).to_string();
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers = vec![
            header("content-type", "application/octet-stream".to_owned()),
            header("content-encoding", "aes128gcm".to_owned()),
            header("authorization", self.vapid.authorization(&origin.to_string(), contact, now)?),
            // What nobody saw before it ran out is no news.
            header("ttl", notice.expires_at.since(now).as_secs().to_string()),
            header("urgency", "high".to_owned()),
            // The same again replaces what has not been fetched yet.
            header("topic", notice.id.chars().filter(char::is_ascii_alphanumeric).take(32).collect()),
        ];
        let fetch = Fetch {
            method: "POST",
            url: to.endpoint.clone(),
            headers,
            body: Bytes::from(message::encrypt(&reader, payload.as_bytes())?),
            timeout_ms: TRY_MS,
            limit: ANSWER,
            body_wanted: false,
            egress: Some(self.egress.clone()),
        };
        match self.dialer.fetch(fetch).await.map_err(not_told)?.status {
            200..300 => Ok(Taken::Told),
            404 | 410 => Ok(Taken::Gone),
            // The same message will be refused again (RFC 8030 §5): too many of them, and being busy, pass.
            status @ 400..500 if status != 408 && status != 429 => Ok(Taken::Refused(status)),
            status => Err(Problem::new(Code::NotTold, format!("the push service {} answers {status}", origin.host))),
        }
    }
}

/// What a push service made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It will reach the browser.
    Told,
    /// The browser has ended its subscription.
    Gone,
    /// It does not take it, and would not take it later.
    Refused(u16),
}

/// Whether a host is one of these.
fn is_of(host: &str, service: &str) -> bool {
    match service.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        None => host == service,
    }
}

/// Says whether somebody may answer questions; nothing if there is no such person any more.
pub type Answers = Arc<dyn Fn(Person) -> Later<'static, Result<Option<bool>, Problem>> + Send + Sync>;

/// The channel.
pub struct WebPush {
    /// The subscriptions.
    pub push: Arc<Push>,
    /// What the configuration says.
    pub terms: Terms,
    /// Who may answer.
    pub answers: Answers,
    half_told: Mutex<BTreeMap<Arc<str>, BTreeSet<String>>>,
}

impl WebPush {
    /// A channel to these subscriptions.
    pub fn new(push: Arc<Push>, terms: Terms, answers: Answers) -> Self {
        Self { push, terms, answers, half_told: Mutex::default() }
    }

    /// The browsers of those who may answer, by services that are still accepted.
    async fn readers(&self) -> Result<Vec<Subscription>, Problem> {
        let mut readers = Vec::new();
        for one in self.push.subscriptions(None).await? {
            match (self.answers)(one.person.clone()).await? {
                Some(true) => readers.push(one),
                Some(false) => {}
                None => {
                    self.push.unsubscribe(&one.key, None).await?;
                }
            }
        }
        let accepted = |one: &Subscription| {
            let host = Origin::parse(&one.endpoint, false).map(|origin| origin.host).unwrap_or_default();
            self.terms.services.iter().any(|service| is_of(&host, service))
        };
        readers.retain(accepted);
        Ok(readers)
    }

    async fn write(&self, to: &Subscription, notice: &Notice) -> Result<Taken, Problem> {
        let taken = self.push.write(to, notice, &self.terms.contact).await?;
        match taken {
            Taken::Told => {
                let mut half = self.half_told.lock();
                if half.len() >= HALF_TOLD && !half.contains_key(&notice.id) {
                    half.clear();
                }
                half.entry(notice.id.clone()).or_default().insert(to.key.clone());
            }
            Taken::Gone => {
                tracing::info!(person = to.person.name, service = to.service(), "a browser has ended its subscription");
                self.push.unsubscribe(&to.key, None).await?;
            }
            Taken::Refused(status) => {
                tracing::warn!(person = to.person.name, service = to.service(), status, "a browser cannot be told");
            }
        }
        Ok(taken)
    }
}

impl Notifier for WebPush {
    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            let mut readers = self.readers().await?;
            if readers.is_empty() {
                return Err(Problem::new(Code::NotTold, "no browser of anybody who may answer has subscribed"));
            }
            let done = self.half_told.lock().get(&notice.id).cloned().unwrap_or_default();
            readers.retain(|one| !done.contains(&one.key));
            let written = futures_util::stream::iter(readers).map(|to| async move { self.write(&to, notice).await });
            let results: Vec<Result<Taken, Problem>> = written.buffer_unordered(AT_ONCE).collect().await;
            let taken = results.into_iter().collect::<Result<Vec<Taken>, Problem>>()?;
            let anybody = self.half_told.lock().remove(&notice.id).is_some();
            // One browser that can never be told holds up no other; that nobody was told is said.
            let refused =
                taken.iter().find_map(|one| if let Taken::Refused(status) = one { Some(status) } else { None });
            match refused.filter(|_| !anybody) {
                Some(status) => Err(Problem::new(Code::NotTold, format!("every push service refuses, with {status}"))),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn services_are_known_by_whole_names() {
        for (host, service, expected) in [
            ("fcm.googleapis.com", "fcm.googleapis.com", true),
            ("updates.push.services.mozilla.com", "*.push.services.mozilla.com", true),
            ("push.services.mozilla.com", "*.push.services.mozilla.com", false),
            ("evilpush.services.mozilla.com", "*.push.services.mozilla.com", false),
            ("fcm.googleapis.com.evil.example", "fcm.googleapis.com", false),
            ("127.0.0.1", "*.push.apple.com", false),
        ] {
            assert_eq!(is_of(host, service), expected, "{host} {service}");
        }
    }
}
