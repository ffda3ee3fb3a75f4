//! Delivers push notifications: what the event log owes to its receivers.
//!
//! Every push config has a cursor into its task's log. Events of one config leave in order, one at a time, each tried until a
//! 2xx or until its deadline; then the config is given up and can be redriven. 410 ends the config. A crash repeats at most
//! the delivery that was under way, under the same `webhook-id`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use moongate_core::seam::tasks::{Delivery, Settled};
use moongate_core::seam::{Dialer, Egress, Fetch, Vault};
use moongate_core::{Code, Operation, Problem, Time};
use moongate_transport::Origin;
use moongate_wire::a2a::Version;
use moongate_wire::a2a::legacy::{self, Style};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Tasks;
use super::pace::{self, Pace};
use super::push::PushConfig;

const TRY_MS: u64 = 10_000;
/// How long a delivery that was taken is put off, in case we die with it.
const LEASE: Duration = Duration::from_secs(30);
/// How long one waits for its turn at a receiver: with a whole try behind it, the lease still holds.
const TURN: Duration = Duration::from_secs(15);
/// Deliveries under way at once, and those of them to one origin: the rest of the places is for others.
const AT_ONCE: usize = 128;
const TO_ONE: usize = 32;
/// Who takes longer to answer is slow: more deliveries than it has places are put off, and do not wait for it here.
const SLOW: Duration = Duration::from_secs(1);
const PUT_OFF: Duration = Duration::from_secs(2);
const LONGEST_PUT_OFF: Duration = Duration::from_secs(60);
/// From so many on, origins that nothing is under way to are forgotten.
const REMEMBERED: usize = 4096;
/// Without news, the log is looked at this often.
const LOOK: Duration = Duration::from_secs(30);

/// Who is delivered to at present, and who has not answered lately.
#[derive(Clone, Default)]
struct Receivers(Arc<Mutex<HashMap<String, Receiver>>>);

struct Receiver {
    places: Arc<Semaphore>,
    /// Deliveries that have a place or wait for one.
    open: usize,
    /// When it answered last, and how long that had taken.
    heard: Time,
    took: Duration,
    pace: Pace,
    /// Deliveries that were put off since it answered last.
    put_off: u32,
}

/// Whether a delivery may go on its way.
enum Entry {
    Go(Visit),
    /// It is slow, and enough are under way; not before then.
    Full(Time),
    /// It has not answered lately; not before then.
    Closed(Time),
}

/// A delivery that has a place, or waits for one.
struct Visit {
    receivers: Receivers,
    origin: String,
    places: Arc<Semaphore>,
}

impl Receivers {
    fn enter(&self, origin: String, now: Time) -> Entry {
        let mut all = self.0.lock();
        if all.len() >= REMEMBERED {
            all.retain(|_, receiver| receiver.open > 0);
        }
        let receiver = all.entry(origin.clone()).or_insert_with(|| Receiver {
            places: Arc::new(Semaphore::new(TO_ONE)),
            open: 0,
            heard: now,
            took: Duration::ZERO,
            pace: Pace::default(),
            put_off: 0,
        });
        if receiver.open == 0 {
            receiver.heard = now;
        }
        if let Some(at) = receiver.pace.closed(now) {
            return Entry::Closed(at);
        }
        let slow = receiver.took.max(now.since(receiver.heard)) > SLOW;
        if (receiver.open >= TO_ONE && slow) || (receiver.open > 0 && receiver.pace.doubtful()) {
            // The more are put off, the later they come back: what cannot be delivered shall not keep the store busy.
            receiver.put_off = receiver.put_off.saturating_add(1);
            return Entry::Full(now.plus((PUT_OFF * (1 + receiver.put_off / 64)).min(LONGEST_PUT_OFF)));
        }
        receiver.open += 1;
        let places = receiver.places.clone();
        Entry::Go(Visit { receivers: self.clone(), origin, places })
    }
}

impl Visit {
    fn note(&self, taken: bool, began: Time, now: Time) {
        if let Some(receiver) = self.receivers.0.lock().get_mut(&self.origin) {
            (receiver.heard, receiver.took, receiver.put_off) = (now, now.since(began), 0);
            if taken { receiver.pace.succeeded() } else { receiver.pace.failed(began, now) }
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut all = self.receivers.0.lock();
        let Some(receiver) = all.get_mut(&self.origin) else { return };
        receiver.open -= 1;
        if receiver.open == 0 && !receiver.pace.doubtful() {
            all.remove(&self.origin);
        }
    }
}

/// What deliveries need.
#[derive(Clone)]
pub struct Courier {
    /// Sends.
    pub dialer: Arc<dyn Dialer>,
    /// Judges addresses.
    pub egress: Arc<dyn Egress>,
    /// How long an event is tried.
    pub give_up: Duration,
}

/// Delivers whatever is owed, for ever.
pub async fn run(tasks: Arc<Tasks>, courier: Courier) {
    let (places, receivers) = (Arc::new(Semaphore::new(AT_ONCE)), Receivers::default());
    // What an earlier run had taken when it died is put off until then at the latest; nobody else has it any more. What this
    // run takes is put off farther.
    let mut orphaned = Some(tasks.home.clock.now().plus(LEASE - Duration::from_millis(1)));
    let mut set_back = None;
    loop {
        let poked = tasks.home.deliver.notified();
        let now = tasks.home.clock.now();
        let free = u32::try_from(places.available_permits()).unwrap_or(1);
        let until = set_back.take().or(orphaned).unwrap_or(now);
        let taken = match tasks.store().tasks().deliveries(until, now.plus(LEASE), free).await {
            Ok(taken) => {
                if taken.len() < free as usize {
                    orphaned = None;
                }
                taken
            }
            Err(problem) => {
                tracing::warn!(%problem, "what is owed to push receivers cannot be read");
                Vec::new()
            }
        };
        // While more of those may follow, what fails waits for its turn behind them.
        let not_before = orphaned.unwrap_or(now);
        let some = !taken.is_empty();
        for delivery in taken {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (tasks, courier, receivers) = (tasks.clone(), courier.clone(), receivers.clone());
            tokio::spawn(async move {
                courier.one(&tasks, &receivers, delivery, not_before).await;
                drop(place);
                tasks.home.deliver.notify_one();
            });
        }
        if (some || set_back.is_some()) && places.available_permits() > 0 {
            continue;
        }
        let next = tasks.store().tasks().next_delivery().await.ok().flatten();
        // Farther ahead than any pause: the clock was set back.
        set_back = next.filter(|at| at.since(now) > pace::LONGEST + 2 * LEASE);
        let pause = next.map_or(LOOK, |at| at.since(tasks.home.clock.now()).min(LOOK));
        let _ = tokio::time::timeout(pause.max(Duration::from_millis(20)), poked).await;
    }
}

impl Courier {
    async fn one(&self, tasks: &Arc<Tasks>, receivers: &Receivers, delivery: Delivery, not_before: Time) {
        let mut end = match PushConfig::stored(&delivery.config, &*tasks.home.vault) {
            Some(config) => self.visit(tasks, receivers, &delivery, &config).await,
            None => Settled::Dead("the config cannot be read with this gateway's key".into()),
        };
        if let Settled::Again { at, .. } | Settled::Later(at) = &mut end {
            *at = (*at).max(not_before.plus(Duration::from_millis(1)));
        }
        if let Settled::Dead(reason) = &end {
            tracing::warn!(task = %delivery.task, reason, "a push notification was given up; `moongate tasks redrive` tries again");
        }
        let gone = end == Settled::Gone;
        let (task, id, seq) = (delivery.task.clone(), delivery.config.id.clone(), delivery.event.seq);
        if let Err(problem) = tasks.store().tasks().settle(task, id, seq, end).await {
            tracing::warn!(task = %delivery.task, %problem, "a delivery could not be noted; it will be repeated");
        }
        if gone && let Some(row) = tasks.home.held(delivery.task.as_str()) {
            row.remove_config(&delivery.config.id);
        }
    }

    /// Tries once, when it is the receiver's turn.
    async fn visit(
        &self,
        tasks: &Arc<Tasks>,
        receivers: &Receivers,
        delivery: &Delivery,
        config: &PushConfig,
    ) -> Settled {
        let now = tasks.home.clock.now();
        let visit = match receivers.enter(origin(&config.url), now) {
            Entry::Go(visit) => visit,
            Entry::Full(at) => return Settled::Later(at),
            // Its origin did not answer others a moment ago: as good as a try.
            Entry::Closed(at) => {
                let since = delivery.config.since.unwrap_or(now);
                if now.since(since) >= self.give_up {
                    return Settled::Dead("the receiver's origin does not answer".into());
                }
                return Settled::Again { at: at.plus(pace::pause(0)), since };
            }
        };
        // Not so long that what was taken is taken again meanwhile.
        let Ok(Ok(_place)) = tokio::time::timeout(TURN, visit.places.acquire()).await else {
            return Settled::Later(tasks.home.clock.now().plus(PUT_OFF));
        };
        self.deliver(tasks, delivery, config, &visit).await
    }

    async fn deliver(&self, tasks: &Arc<Tasks>, delivery: &Delivery, config: &PushConfig, visit: &Visit) -> Settled {
        let now = tasks.home.clock.now();
        let since = delivery.config.since.unwrap_or(now);
        let body = match self.payload(tasks, delivery, config).await {
            Ok(Some(body)) => body,
            Ok(None) => return Settled::Taken,
            Err(problem) => {
                tracing::info!(task = %delivery.task, %problem, "a push notification cannot be made at present");
                return Settled::Again { at: now.plus(pace::pause(delivery.config.attempt)), since };
            }
        };
        let mut headers = config.headers();
        let id = format!("{}:{}", delivery.task, delivery.event.seq);
        headers.extend(signature(&*tasks.home.vault, &config.url, &id, now, &body));
        let fetch = Fetch {
            method: "POST",
            url: config.url.clone(),
            headers,
            body,
            timeout_ms: TRY_MS,
            limit: 64 * 1024,
            body_wanted: false,
            egress: Some(self.egress.clone()),
        };
        let fetched = self.dialer.fetch(fetch).await;
        visit.note(fetched.is_ok(), now, tasks.home.clock.now());
        let why = match fetched {
            Ok(answer) if (200..300).contains(&answer.status) => return Settled::Taken,
            Ok(answer) if answer.status == 410 => return Settled::Gone,
            Ok(answer) => format!("the receiver answered {}", answer.status),
            Err(problem) if problem.code == Code::EgressRefused => return Settled::Dead(problem.to_string()),
            Err(problem) => problem.to_string(),
        };
        tracing::info!(task = %delivery.task, attempt = delivery.config.attempt + 1, why, "a push notification was not taken");
        if now.since(since) >= self.give_up {
            return Settled::Dead(why);
        }
        Settled::Again { at: now.plus(pace::pause(delivery.config.attempt)), since }
    }

    /// The body of one delivery: the event itself, or for older receivers the whole task; `None` if that is gone.
    async fn payload(
        &self,
        tasks: &Arc<Tasks>,
        delivery: &Delivery,
        config: &PushConfig,
    ) -> Result<Option<Bytes>, Problem> {
        if config.version == Version::V1 {
            return Ok(Some(delivery.event.payload.clone()));
        }
        let Some(row) = tasks.any(&delivery.task).await? else { return Ok(None) };
        row.saved().await?;
        let task = legacy::result_from_v1(Operation::Get, Style::Kind, row.value())?;
        Ok(Some(serde_json::to_vec(&task).unwrap_or_default().into()))
    }
}

/// The purpose for which the vault derives the secret of a receiver: its origin, so that no receiver can sign for another.
pub fn secret_of(url: &str) -> String {
    format!("webhook {}", origin(url))
}

/// Scheme, host and port in one spelling; of what is no URL, the text itself.
fn origin(url: &str) -> String {
    Origin::parse(url, false).map_or_else(|_| url.to_owned(), |origin| origin.to_string())
}

/// That secret as receivers' libraries want it (Standard Webhooks 1.0).
pub fn webhook_secret(vault: &dyn Vault, url: &str) -> String {
    let secret = vault.derive(&secret_of(url));
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(secret))
}

/// The headers of Standard Webhooks 1.0: who receives the same id twice has got a repetition.
fn signature(vault: &dyn Vault, url: &str, id: &str, now: Time, body: &[u8]) -> [(String, String); 3] {
    let seconds = now.0 / 1000;
    let mut signed = format!("{id}.{seconds}.").into_bytes();
    signed.extend_from_slice(body);
    let mac = base64::engine::general_purpose::STANDARD.encode(vault.mac(&secret_of(url), &signed));
    [
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), seconds.to_string()),
        ("webhook-signature".to_owned(), format!("v1,{mac}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(receivers: &Receivers, origin: &str, now: u64) -> Option<Visit> {
        match receivers.enter(origin.to_owned(), Time(now)) {
            Entry::Go(visit) => Some(visit),
            Entry::Full(_) | Entry::Closed(_) => None,
        }
    }

    #[test]
    fn a_slow_receiver_gets_its_share_of_places_and_a_quick_one_what_it_likes() {
        let receivers = Receivers::default();
        let quick: Vec<_> = (0..100).filter_map(|_| go(&receivers, "https://quick", 1000)).collect();
        assert_eq!(quick.len(), 100);
        quick[0].note(true, Time(1000), Time(1500));
        assert!(go(&receivers, "https://quick", 2400).is_some());
        let slow: Vec<_> = (0..TO_ONE).filter_map(|_| go(&receivers, "https://slow", 1000)).collect();
        assert_eq!(slow.len(), TO_ONE);
        assert!(go(&receivers, "https://slow", 2001).is_none(), "nothing came back for a second");
        slow[0].note(true, Time(1000), Time(9000));
        assert!(go(&receivers, "https://slow", 9001).is_none(), "what came back had taken long");
        assert!(go(&receivers, "https://other", 9001).is_some());
        drop(slow);
        assert!(go(&receivers, "https://slow", 9001).is_some());
    }

    #[test]
    fn a_receiver_that_does_not_answer_is_left_alone_and_then_asked_by_one() {
        let receivers = Receivers::default();
        let visits: Vec<_> = (0..3).filter_map(|_| go(&receivers, "https://gone", 1000)).collect();
        visits.iter().for_each(|visit| visit.note(false, Time(1000), Time(2000)));
        drop(visits);
        assert!(matches!(receivers.enter("https://gone".into(), Time(2001)), Entry::Closed(at) if at <= Time(2500)));
        let probe = go(&receivers, "https://gone", 2500).unwrap();
        assert!(go(&receivers, "https://gone", 2500).is_none());
        probe.note(true, Time(2500), Time(2600));
        assert!(go(&receivers, "https://gone", 2600).is_some());
        drop(probe);
    }

    #[test]
    fn an_origin_has_one_secret_however_it_is_written() {
        for url in ["https://h.example/a", "https://H.example:443", "https://h.example?x=/y"] {
            assert_eq!(secret_of(url), "webhook https://h.example", "{url}");
        }
        assert_ne!(secret_of("http://h.example/"), secret_of("https://h.example/"));
    }
}
