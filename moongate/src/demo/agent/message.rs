//! Reading a message, which looks alike enough in A2A 0.3 and 1.0, and words about tasks.

use moongate_core::seam::Clock;
use moongate_telemetry::SystemClock;
use serde_json::Value;
use uuid::Uuid;

use super::refusal::{Kind, Refusal};

/// How a client names the skill that it wants (`docs/reference/extensions/skill-routing.md`).
const ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// What somebody said.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) skill: Option<String>,
    pub(super) zone: String,
    pub(super) task: Option<String>,
    pub(super) context: Option<String>,
}

impl Said {
    /// Reads the params of a send; `role` is what this version calls the user.
    pub(super) fn read(params: &Value, role: &str) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::new(Kind::Params, what);
        let message =
            params.get("message").filter(|message| message.is_object()).ok_or_else(|| wrong("`message` is missing"))?;
        let text =
            |name: &str| message.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        text("messageId").ok_or_else(|| wrong("`message.messageId` is missing"))?;
        if text("role").as_deref() != Some(role) {
            return Err(wrong(&format!("`message.role` is not {role}")));
        }
        let parts = message.get("parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
        let parts = parts.ok_or_else(|| wrong("`message.parts` is missing or empty"))?;
        let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
        if texts.len() != parts.len() {
            return Err(wrong("`message.parts`: this agent understands text only"));
        }
        let routing = message.get("metadata").and_then(|metadata| metadata.get(ROUTING));
        let routed =
            |name: &str| routing.and_then(|routing| routing.get(name)).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            text: texts.join(" ").to_lowercase(),
            skill: routed("skillId"),
            zone: routed("zone").unwrap_or_default().to_lowercase(),
            task: text("taskId"),
            context: text("contextId"),
        })
    }

    /// The words, without punctuation but for decimal points and minus signs.
    pub(super) fn words(&self) -> Vec<&str> {
        let outer = |letter: char| !letter.is_alphanumeric() && letter != '-';
        self.text.split_whitespace().map(|word| word.trim_matches(outer)).filter(|word| !word.is_empty()).collect()
    }

    /// Whether one of these words was said.
    pub(super) fn says(&self, any: &[&str]) -> bool {
        self.words().iter().any(|word| any.contains(word))
    }

    /// Whether something was asked rather than ordered.
    pub(super) fn asks(&self) -> bool {
        self.text.trim_end().ends_with('?') || self.says(&["status", "which"])
    }

    /// The conversation: the one that was named, or a new one.
    pub(super) fn context(&self) -> String {
        self.context.clone().unwrap_or_else(new_id)
    }
}

/// A skill that this agent lacks was named.
pub(super) fn no_skill(id: &str) -> Refusal {
    Refusal::new(Kind::Params, format!("this agent has no skill {id}"))
}

/// A fresh id.
pub(super) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// This moment, as timestamps are written.
pub(super) fn now() -> Option<String> {
    let millis = SystemClock.now().0;
    let nanos = u32::try_from(millis % 1000).ok()? * 1_000_000;
    moongate_wire::a2a::timestamp::format(i64::try_from(millis / 1000).ok()?, nanos)
}
