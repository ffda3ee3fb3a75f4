//! Delivers push notifications: what the event log owes to its receivers.
//!
//! Every push config has a cursor into its task's log. Events of one config leave in order, one at a time, each tried until a
//! 2xx or until its deadline; then the config is given up and can be redriven. 410 ends the config. A crash repeats at most
//! the delivery that was under way, under the same `webhook-id`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use moongate_core::seam::tasks::{Delivery, Settled};
use moongate_core::seam::{Dialer, Egress, Fetch, Vault};
use moongate_core::{Code, Operation, Problem, Time};
use moongate_wire::a2a::Version;
use moongate_wire::a2a::legacy::{self, Style};
use tokio::sync::Semaphore;

use super::Tasks;
use super::push::PushConfig;

const TRY_MS: u64 = 10_000;
/// How long a delivery that was taken is put off, in case we die with it.
const LEASE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Deliveries under way at once.
const AT_ONCE: usize = 64;
/// Without news, the log is looked at this often.
const LOOK: Duration = Duration::from_secs(30);

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
    let places = Arc::new(Semaphore::new(AT_ONCE));
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
            let (tasks, courier) = (tasks.clone(), courier.clone());
            tokio::spawn(async move {
                courier.one(&tasks, delivery, not_before).await;
                drop(place);
                tasks.home.deliver.notify_one();
            });
        }
        if (some || set_back.is_some()) && places.available_permits() > 0 {
            continue;
        }
        let next = tasks.store().tasks().next_delivery().await.ok().flatten();
        // Farther ahead than any pause: the clock was set back.
        set_back = next.filter(|at| at.since(now) > LONGEST_PAUSE + 2 * LEASE);
        let pause = next.map_or(LOOK, |at| at.since(tasks.home.clock.now()).min(LOOK));
        let _ = tokio::time::timeout(pause.max(Duration::from_millis(20)), poked).await;
    }
}

impl Courier {
    async fn one(&self, tasks: &Arc<Tasks>, delivery: Delivery, not_before: Time) {
        let mut end = match PushConfig::stored(&delivery.config, &*tasks.home.vault) {
            Some(config) => self.deliver(tasks, &delivery, &config).await,
            None => Settled::Dead("the config cannot be read with this gateway's key".into()),
        };
        if let Settled::Again { at, .. } = &mut end {
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

    /// Tries once.
    async fn deliver(&self, tasks: &Arc<Tasks>, delivery: &Delivery, config: &PushConfig) -> Settled {
        let now = tasks.home.clock.now();
        let since = delivery.config.since.unwrap_or(now);
        let body = match self.payload(tasks, delivery, config).await {
            Ok(Some(body)) => body,
            Ok(None) => return Settled::Taken,
            Err(problem) => {
                tracing::info!(task = %delivery.task, %problem, "a push notification cannot be made at present");
                return Settled::Again { at: again(now, delivery.config.attempt), since };
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
            egress: Some(self.egress.clone()),
        };
        let why = match self.dialer.fetch(fetch).await {
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
        Settled::Again { at: again(now, delivery.config.attempt), since }
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
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    format!("webhook {}", origin.to_ascii_lowercase())
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

/// Exponential, with full jitter above half of it.
fn again(now: Time, attempt: u32) -> Time {
    let pause = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(attempt.min(20))).min(LONGEST_PAUSE);
    now.plus(pause.mul_f64(0.5 + super::queue::chance() / 2.0))
}
