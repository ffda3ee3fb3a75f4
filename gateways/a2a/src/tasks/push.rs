//! Push notifications (A2A 1.0 §4.3, §13.2): the gateway itself delivers them, whether or not the agent could.
//!
//! A config lives as long as its task's row. Deliveries of one config leave in order, one at a time, each tried until a
//! 2xx or until a quarter of an hour has passed; 410 ends the config. Addresses are strangers' choice, so every one goes
//! through the egress guard, when the config is made (the literal) and at each delivery (every resolved address).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use moongate_core::seam::{Dialer, Egress, Fetch};
use moongate_core::{Code, Problem};
use moongate_wire::a2a::Version;
use moongate_wire::a2a::legacy::{self, Style};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::Row;

/// The most push configs of one task.
pub const LIMIT: usize = 16;
const TRY_MS: u64 = 10_000;
const GIVE_UP: Duration = Duration::from_secs(900);
const BACK_OFF_CAP: Duration = Duration::from_secs(60);

/// One push config.
#[derive(Debug)]
pub struct PushConfig {
    /// Its id, unique within the task.
    pub id: String,
    /// Where to deliver.
    pub url: String,
    /// The `TaskPushNotificationConfig`, canonical, with the client's ids; holds its credentials.
    pub document: Value,
    /// In which dialect its maker speaks; decides the payload.
    pub version: Version,
    stopped: AtomicBool,
    wake: tokio::sync::Notify,
}

impl PushConfig {
    /// Reads a canonical config for the task `task_id`.
    ///
    /// # Errors
    /// `InvalidParams` if it has no URL, `EgressRefused` if the URL may not be called.
    pub fn read(mut document: Value, task_id: &str, version: Version, egress: &dyn Egress) -> Result<Self, Problem> {
        let url = document.get("url").and_then(Value::as_str).filter(|url| !url.is_empty()).map(str::to_owned);
        let Some(url) = url else {
            return Err(Problem::new(Code::InvalidParams, "a push notification config needs a url")
                .field("url", "is missing or empty"));
        };
        egress.judge_url(&url)?;
        let id = match document.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            // As the reference SDKs do it, so that the same config given again replaces itself.
            None => task_id.to_owned(),
        };
        presentable(&document)?;
        if let Some(members) = document.as_object_mut() {
            members.insert("id".into(), json!(id));
            members.insert("taskId".into(), json!(task_id));
            members.remove("tenant");
        }
        Ok(Self { id, url, document, version, stopped: AtomicBool::new(false), wake: tokio::sync::Notify::new() })
    }

    /// Ends deliveries.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("content-type".to_owned(), self.content_type().to_owned())];
        if let Some(token) = self.document.get("token").and_then(Value::as_str).filter(|token| !token.is_empty()) {
            headers.push(("x-a2a-notification-token".to_owned(), token.to_owned()));
        }
        if let Some(authentication) = self.document.get("authentication") {
            let text = |name: &str| authentication.get(name).and_then(Value::as_str).unwrap_or_default();
            if !text("scheme").is_empty() && !text("credentials").is_empty() {
                headers.push(("authorization".to_owned(), format!("{} {}", text("scheme"), text("credentials"))));
            }
        }
        headers
    }

    fn content_type(&self) -> &'static str {
        match self.version {
            Version::V1 => "application/a2a+json",
            Version::V03 => "application/json",
        }
    }

    /// The body of one delivery: the event itself, or for older receivers the whole task.
    fn payload(&self, row: &Row, event: &Bytes) -> Option<Bytes> {
        match self.version {
            Version::V1 => Some(event.clone()),
            Version::V03 => {
                let task = legacy::result_from_v1(moongate_core::Operation::Get, Style::Kind, row.value()).ok()?;
                serde_json::to_vec(&task).ok().map(Bytes::from)
            }
        }
    }
}

/// Whether token and credentials can stand in headers at all; better told now than found at each delivery.
fn presentable(document: &Value) -> Result<(), Problem> {
    let members = ["/token", "/authentication/scheme", "/authentication/credentials"];
    for pointer in members {
        let text = document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if http::HeaderValue::from_str(text).is_err() {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            return Err(Problem::new(Code::InvalidParams, format!("{field} cannot stand in a header"))
                .field(field, "holds line breaks or other control characters"));
        }
    }
    Ok(())
}

/// What deliveries need.
#[derive(Clone)]
pub struct Courier {
    /// Sends.
    pub dialer: Arc<dyn Dialer>,
    /// Judges addresses.
    pub egress: Arc<dyn Egress>,
}

impl Courier {
    /// Delivers every event of the row from now on, beginning with the task as it stands if `snapshot` is set.
    pub fn start(&self, row: &Arc<Row>, config: Arc<PushConfig>, snapshot: bool) {
        let (document, state, mut events) = row.follow();
        let (courier, row) = (self.clone(), row.clone());
        let first = snapshot.then(|| wrap_task(&document));
        if state.is_terminal() && first.is_none() {
            return;
        }
        tokio::spawn(async move {
            if let Some(first) = first
                && (!courier.deliver(&row, &config, &first).await || state.is_terminal())
            {
                return;
            }
            loop {
                let stopped = config.wake.notified();
                if config.is_stopped() {
                    return;
                }
                let received = tokio::select! {
                    received = events.recv() => received,
                    () = stopped => return,
                };
                let (event, last) = match received {
                    Ok(event) => (event.canonical.clone(), event.state.is_terminal() && events.is_empty()),
                    Err(RecvError::Lagged(_)) => (wrap_task(&row.document()), false),
                    Err(RecvError::Closed) => return,
                };
                if !courier.deliver(&row, &config, &event).await || last {
                    return;
                }
            }
        });
    }

    /// Delivers one event; false if the config has ended.
    async fn deliver(&self, row: &Row, config: &PushConfig, event: &Bytes) -> bool {
        let Some(body) = config.payload(row, event) else { return true };
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(500);
        loop {
            if config.is_stopped() {
                return false;
            }
            let fetch = Fetch {
                method: "POST",
                url: config.url.clone(),
                headers: config.headers(),
                body: body.clone(),
                timeout_ms: TRY_MS,
                limit: 64 * 1024,
                egress: Some(self.egress.clone()),
            };
            match self.dialer.fetch(fetch).await {
                Ok(answer) if (200..300).contains(&answer.status) => return true,
                Ok(answer) if answer.status == 410 => {
                    row.remove_config(&config.id);
                    return false;
                }
                Ok(answer) => tracing::info!(task = %row.id, status = answer.status, "a push notification was refused"),
                Err(problem) if problem.code == Code::EgressRefused => {
                    tracing::warn!(task = %row.id, %problem, "a push notification may not be delivered");
                    return false;
                }
                Err(problem) => tracing::info!(task = %row.id, %problem, "a push notification could not be delivered"),
            }
            if waited > GIVE_UP {
                tracing::warn!(task = %row.id, "a push notification was given up; the receiver did not take it in time");
                return true;
            }
            let jittered = pause.mul_f64(0.5 + jitter() / 2.0);
            tokio::time::sleep(jittered).await;
            waited += jittered;
            pause = (pause * 2).min(BACK_OFF_CAP);
        }
    }
}

/// A number in 0..1 that differs between callers.
fn jitter() -> f64 {
    f64::from(u16::from_le_bytes([uuid::Uuid::new_v4().as_bytes()[0], uuid::Uuid::new_v4().as_bytes()[1]])) / 65_536.0
}

/// A task as a `StreamResponse`.
pub fn wrap_task(document: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(document.len() + 10);
    out.extend_from_slice(br#"{"task":"#);
    out.extend_from_slice(document);
    out.push(b'}');
    out.into()
}

/// A config as clients may read it back.
pub fn render(config: &PushConfig) -> Value {
    config.document.clone()
}

/// A list of configs, canonical.
pub fn render_all(configs: &[Arc<PushConfig>]) -> Value {
    let mut answer = Map::new();
    answer.insert("configs".into(), configs.iter().map(|config| render(config)).collect());
    answer.insert("nextPageToken".into(), json!(""));
    Value::Object(answer)
}
