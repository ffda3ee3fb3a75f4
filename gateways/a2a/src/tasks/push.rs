//! Push configs (A2A 1.0 §4.3, §13.2): the gateway itself delivers, whether or not the agent could ([`super::courier`]).
//!
//! A config lives as long as its task. In the store it is sealed, since it holds credentials. Addresses are strangers'
//! choice, so the literal is judged when a config is made, and every resolved address at each delivery.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::tasks::PushRow;
use moongate_core::seam::{Egress, Vault};
use moongate_core::{Code, Problem, Time};
use moongate_wire::a2a::Version;
use serde_json::{Map, Value, json};

/// The most push configs of one task.
pub const LIMIT: usize = 16;

/// What a send calls the push config that it carries: A2A 1.0's names, and those of older clients.
const INLINE: [&str; 6] = [
    "taskPushNotificationConfig",
    "task_push_notification_config",
    "pushNotificationConfig",
    "push_notification_config",
    "pushNotification",
    "push_notification",
];

/// Takes the push config out of a send's parameters: neither an agent nor the task's record gets its credentials.
pub fn take_inline(params: &mut Value) -> Option<Value> {
    let configuration = params.get_mut("configuration")?.as_object_mut()?;
    INLINE.into_iter().filter_map(|name| configuration.remove(name)).fold(None, |found, value| found.or(Some(value)))
}

/// One push config.
#[derive(Clone)]
pub struct PushConfig {
    /// Its id, unique within the task.
    pub id: String,
    /// Where to deliver.
    pub url: String,
    /// The `TaskPushNotificationConfig`, canonical, with the client's ids; holds its credentials.
    pub document: Value,
    /// In which dialect its maker speaks; decides the payload.
    pub version: Version,
}

impl std::fmt::Debug for PushConfig {
    /// Without the URL and the credentials, which may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushConfig").field("id", &self.id).field("version", &self.version).finish_non_exhaustive()
    }
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
        Ok(Self { id, url, document, version })
    }

    /// The same config for a task whose id was not known when it was read.
    #[must_use]
    pub fn of_task(mut self, task_id: &str) -> Self {
        if self.id.is_empty() {
            task_id.clone_into(&mut self.id);
        }
        if let Some(members) = self.document.as_object_mut() {
            members.insert("id".into(), json!(self.id));
            members.insert("taskId".into(), json!(task_id));
        }
        self
    }

    /// A config as the store has it; `None` if its seal does not open.
    pub fn stored(row: &PushRow, vault: &dyn Vault) -> Option<Self> {
        let opened = vault.open(&row.sealed)?;
        let mut kept: Value = serde_json::from_slice(&opened).ok()?;
        let version =
            if kept.get("version").and_then(Value::as_str) == Some("0.3") { Version::V03 } else { Version::V1 };
        let document = kept.get_mut("config").map(Value::take)?;
        let url = document.get("url").and_then(Value::as_str)?.to_owned();
        Some(Self { id: row.id.clone(), url, document, version })
    }

    /// The config as the store keeps it; deliveries begin behind event `delivered`.
    pub fn row(&self, vault: &dyn Vault, delivered: u64, now: Time) -> PushRow {
        let kept = json!({"version": self.version.as_str(), "config": self.document});
        let sealed = vault.seal(&serde_json::to_vec(&kept).unwrap_or_default());
        let (id, sealed) = (self.id.clone(), sealed.into());
        PushRow { id, sealed, delivered, attempt: 0, due_at: now, since: None, dead: None }
    }

    /// The headers that each delivery has.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
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
