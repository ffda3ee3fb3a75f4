//! Messages and roles.
//!
//! ProtoJSON of 0.3 calls the parts `content` and has no `referenceTaskIds`; `kind` JSON has both under today's names.

use moongate_core::Problem;
use serde_json::{Map, Value};

use super::Style;
use super::baggage::{Shape, V1_KEY, Way, settle};
use super::fields::{At, Fields, Put, as_list, each};
use super::part;

const MESSAGE: Shape = Shape {
    v1: &["messageId", "contextId", "taskId", "role", "parts", "metadata", "extensions", "referenceTaskIds"],
    v03: &[
        "kind",
        "messageId",
        "contextId",
        "taskId",
        "role",
        "parts",
        "content",
        "metadata",
        "extensions",
        "referenceTaskIds",
    ],
    only_v1: &["referenceTaskIds"],
};

/// Whether the JSON is of the `kind` sort, whatever its binding promised (the 0.3 SDK for JavaScript uses it on REST).
pub(super) fn is_kind_json(message: &Value) -> bool {
    message.get("kind").is_some() || message.get("parts").is_some()
}

/// A 0.3 message as 1.0 says it.
pub(super) fn to_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    fields.kind("message")?;
    let mut out = Map::new();
    out.put("messageId", Some(fields.key("messageId")?));
    out.put("contextId", fields.text("contextId")?);
    out.put("taskId", fields.text("taskId")?);
    let role = fields.take("role")?;
    let mut metadata = fields.object("metadata")?;
    out.put("role", Some(role_to_v1(role, metadata.as_mut(), &at.member("role"))?));
    let parts = fields.take_any(&["parts", "content"])?;
    if parts.is_none() && !at.absent_is_default() {
        return Err(at.member("parts").wrong("is required"));
    }
    let parts_at = at.member("parts");
    out.put("parts", Some(each(as_list(parts, &parts_at)?, &parts_at, part::to_v1)?));
    out.put_list("extensions", fields.strings("extensions")?);
    out.put_list("referenceTaskIds", fields.strings("referenceTaskIds")?);
    settle(&mut out, metadata, fields.rest(), Way::ToV1, &MESSAGE);
    Ok(Value::Object(out))
}

/// A 1.0 message as 0.3 says it.
pub(super) fn from_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    let mut kept = Map::new();
    let proto = at.style() == Style::Proto;
    if !proto {
        out.put("kind", Some("message"));
    }
    out.put("messageId", fields.take("messageId")?);
    out.put("contextId", fields.text("contextId")?);
    out.put("taskId", fields.text("taskId")?);
    let role = fields.take("role")?;
    out.put("role", Some(role_from_v1(role, &at.member("role"), &mut kept)?));
    let parts = each(fields.list("parts")?, &at.member("parts"), part::from_v1)?;
    out.put(if proto { "content" } else { "parts" }, Some(parts));
    out.put_list("extensions", fields.strings("extensions")?);
    let references = fields.strings("referenceTaskIds")?;
    if proto { &mut kept } else { &mut out }.put_list("referenceTaskIds", references);
    let metadata = fields.object("metadata")?;
    kept.put_rest(fields.rest());
    settle(&mut out, metadata, kept, Way::FromV1, &MESSAGE);
    Ok(Value::Object(out))
}

const UNSPECIFIED: &str = "ROLE_UNSPECIFIED";

fn role_to_v1(
    role: Option<Value>,
    metadata: Option<&mut Map<String, Value>>,
    at: &At<'_>,
) -> Result<&'static str, Problem> {
    let role = match role {
        None if at.absent_is_default() => return Ok(UNSPECIFIED),
        None => return Err(at.wrong("is required")),
        Some(role) => role,
    };
    match (role.as_str(), role.as_i64()) {
        (Some("user" | "ROLE_USER"), _) | (_, Some(1)) => Ok("ROLE_USER"),
        (Some("agent"), _) if was_unspecified(metadata) => Ok(UNSPECIFIED),
        (Some("agent" | "ROLE_AGENT"), _) | (_, Some(2)) => Ok("ROLE_AGENT"),
        (Some(UNSPECIFIED), _) | (_, Some(0)) => Ok(UNSPECIFIED),
        _ => Err(at.wrong("must be \"user\" or \"agent\"")),
    }
}

/// 0.3 knows no unspecified role; we had written `agent` and noted it.
fn was_unspecified(metadata: Option<&mut Map<String, Value>>) -> bool {
    let Some(Value::Object(travelled)) = metadata.and_then(|metadata| metadata.get_mut(V1_KEY)) else { return false };
    let noted = travelled.get("role").and_then(Value::as_str) == Some(UNSPECIFIED);
    if noted {
        travelled.shift_remove("role");
    }
    noted
}

fn role_from_v1(role: Option<Value>, at: &At<'_>, kept: &mut Map<String, Value>) -> Result<&'static str, Problem> {
    let (user, agent) = match at.style() {
        Style::Kind => ("user", "agent"),
        Style::Proto => ("ROLE_USER", "ROLE_AGENT"),
    };
    let role = role.unwrap_or_else(|| UNSPECIFIED.into());
    match (role.as_str(), role.as_i64()) {
        (Some("ROLE_USER"), _) | (_, Some(1)) => Ok(user),
        (Some("ROLE_AGENT"), _) | (_, Some(2)) => Ok(agent),
        (Some(UNSPECIFIED), _) | (_, Some(0)) if at.style() == Style::Proto => Ok(UNSPECIFIED),
        (Some(UNSPECIFIED), _) | (_, Some(0)) => {
            kept.put("role", Some(UNSPECIFIED));
            Ok(agent)
        }
        _ => Err(at.wrong("must be ROLE_USER or ROLE_AGENT")),
    }
}
