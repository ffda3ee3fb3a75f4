//! Results of send, and the events of streams.
//!
//! 1.0 wraps: `{"task":…}`, `{"message":…}`, `{"statusUpdate":…}`, `{"artifactUpdate":…}`. So does ProtoJSON of 0.3.
//! `kind` JSON is bare and says `kind`; some old servers leave even that out, then the members tell.
//!
//! A status update of 0.3 has a required `final`. Towards 0.3 it is true on the last event and at terminal **and**
//! interrupted states: 0.3 clients read on until it comes. From 0.3 it says no more than that the stream ends.

use moongate_core::Problem;
use serde_json::{Map, Value};

use super::baggage::{Shape, Way, settle};
use super::fields::{At, Fields, Put};
use super::{LegacyEvent, Style, message, task};

const STATUS_UPDATE: Shape = Shape {
    v1: &["taskId", "contextId", "status", "metadata"],
    v03: &["kind", "taskId", "contextId", "status", "final", "metadata"],
    only_v1: &[],
};

const ARTIFACT_UPDATE: Shape = Shape {
    v1: &["taskId", "contextId", "artifact", "append", "lastChunk", "metadata"],
    v03: &["kind", "taskId", "contextId", "artifact", "append", "lastChunk", "metadata"],
    only_v1: &[],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    Task,
    Message,
    StatusUpdate,
    ArtifactUpdate,
}

impl Payload {
    const ALL: [Self; 4] = [Self::Task, Self::Message, Self::StatusUpdate, Self::ArtifactUpdate];

    /// The member of the wrapper, in both versions' protos.
    fn member(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Message => "message",
            Self::StatusUpdate => "statusUpdate",
            Self::ArtifactUpdate => "artifactUpdate",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Message => "message",
            Self::StatusUpdate => "status-update",
            Self::ArtifactUpdate => "artifact-update",
        }
    }
}

/// A 0.3 result of send, or event, as 1.0 says it.
pub(super) fn to_v1(value: Value, at: At<'_>) -> Result<LegacyEvent, Problem> {
    let (payload, inner, wrapped) = find_legacy(value, &at)?;
    let at = if wrapped { at.member(payload.member()) } else { at };
    let mut last = payload == Payload::Message;
    let inner = match payload {
        Payload::Task => task::to_v1(inner, at)?,
        Payload::Message => message::to_v1(inner, at)?,
        Payload::StatusUpdate => {
            let (update, is_final) = status_update_to_v1(inner, at)?;
            last = is_final;
            update
        }
        Payload::ArtifactUpdate => artifact_update(inner, at, Way::ToV1)?,
    };
    Ok(LegacyEvent { value: wrap(payload, inner), last })
}

fn find_legacy(value: Value, at: &At<'_>) -> Result<(Payload, Value, bool), Problem> {
    let Value::Object(mut map) = value else { return Err(at.wrong("must be an object")) };
    if let Some(kind) = map.get("kind").filter(|kind| !kind.is_null()) {
        let found = Payload::ALL.into_iter().find(|payload| kind.as_str() == Some(payload.kind()));
        let kind_at = at.member("kind");
        let payload = found
            .ok_or_else(|| kind_at.wrong("must be \"task\", \"message\", \"status-update\" or \"artifact-update\""))?;
        return Ok((payload, Value::Object(map), false));
    }
    let has = |names: &[&str]| names.iter().any(|name| map.get(*name).is_some_and(|value| !value.is_null()));
    if has(&["taskId", "task_id"]) && has(&["artifact"]) {
        return Ok((Payload::ArtifactUpdate, Value::Object(map), false));
    }
    if has(&["taskId", "task_id"]) && has(&["status"]) {
        return Ok((Payload::StatusUpdate, Value::Object(map), false));
    }
    if has(&["messageId", "message_id"]) {
        return Ok((Payload::Message, Value::Object(map), false));
    }
    if has(&["id"]) && has(&["status"]) {
        return Ok((Payload::Task, Value::Object(map), false));
    }
    let mut found = None;
    for (name, payload) in [
        ("task", Payload::Task),
        ("message", Payload::Message),
        ("msg", Payload::Message),
        ("statusUpdate", Payload::StatusUpdate),
        ("status_update", Payload::StatusUpdate),
        ("artifactUpdate", Payload::ArtifactUpdate),
        ("artifact_update", Payload::ArtifactUpdate),
    ] {
        let inner = map.shift_remove(name).filter(|inner| !inner.is_null());
        if inner.is_some_and(|inner| found.replace((payload, inner, true)).is_some()) {
            return Err(at.wrong("must hold only one task, message or update"));
        }
    }
    found.ok_or_else(|| at.wrong("must hold a task, a message or an update"))
}

/// A 1.0 result of send, or event, as 0.3 says it.
pub(super) fn from_v1(value: Value, at: At<'_>, last: bool) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut found = None;
    for payload in Payload::ALL {
        let inner = fields.take(payload.member())?;
        if inner.is_some_and(|inner| found.replace((payload, inner)).is_some()) {
            return Err(at.wrong("must hold only one task, message or update"));
        }
    }
    let (payload, inner) = found.ok_or_else(|| at.wrong("must hold a task, a message or an update"))?;
    let inside = at.member(payload.member());
    let inner = match payload {
        Payload::Task => task::from_v1(inner, inside)?,
        Payload::Message => message::from_v1(inner, inside)?,
        Payload::StatusUpdate => status_update_from_v1(inner, inside, last)?,
        Payload::ArtifactUpdate => artifact_update(inner, inside, Way::FromV1)?,
    };
    Ok(match at.style() {
        Style::Kind => inner,
        Style::Proto => wrap(payload, inner),
    })
}

fn wrap(payload: Payload, inner: Value) -> Value {
    Value::Object(Map::from_iter([(payload.member().to_owned(), inner)]))
}

fn status_update_to_v1(value: Value, at: At<'_>) -> Result<(Value, bool), Problem> {
    let mut fields = Fields::open(value, at)?;
    fields.kind(Payload::StatusUpdate.kind())?;
    let is_final = fields.boolean("final")?.unwrap_or(false);
    let mut out = Map::new();
    out.put("taskId", Some(fields.key("taskId")?));
    out.put("contextId", Some(fields.text("contextId")?.unwrap_or_default()));
    let status = fields.take("status")?;
    out.put("status", Some(task::status_to_v1(status, at.member("status"))?));
    let metadata = fields.object("metadata")?;
    settle(&mut out, metadata, fields.rest(), Way::ToV1, &STATUS_UPDATE);
    Ok((Value::Object(out), is_final))
}

fn status_update_from_v1(value: Value, at: At<'_>, last: bool) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    if at.style() == Style::Kind {
        out.put("kind", Some(Payload::StatusUpdate.kind()));
    }
    out.put("taskId", fields.take("taskId")?);
    out.put("contextId", task::context(&mut fields)?);
    let status = fields.take("status")?;
    let state_at = at.member("status");
    let state = status.as_ref().and_then(|status| status.get("state"));
    let state = task::state_from_v1(state, &state_at.member("state"))?;
    out.put("status", Some(task::status_from_v1(status, state_at)?));
    out.put("final", Some(last || state.is_terminal() || state.is_interrupted()));
    let metadata = fields.object("metadata")?;
    settle(&mut out, metadata, fields.rest(), Way::FromV1, &STATUS_UPDATE);
    Ok(Value::Object(out))
}

fn artifact_update(value: Value, at: At<'_>, way: Way) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    if way == Way::ToV1 {
        fields.kind(Payload::ArtifactUpdate.kind())?;
    } else if at.style() == Style::Kind {
        out.put("kind", Some(Payload::ArtifactUpdate.kind()));
    }
    out.put("taskId", Some(fields.key("taskId")?));
    out.put("contextId", Some(fields.text("contextId")?.unwrap_or_default()));
    let inside = at.member("artifact");
    let artifact = fields.take("artifact")?.ok_or_else(|| inside.wrong("is required"))?;
    let artifact = match way {
        Way::ToV1 => task::artifact_to_v1(artifact, inside)?,
        Way::FromV1 => task::artifact_from_v1(artifact, inside)?,
    };
    out.put("artifact", Some(artifact));
    out.put("append", fields.boolean("append")?);
    out.put("lastChunk", fields.boolean("lastChunk")?);
    let metadata = fields.object("metadata")?;
    settle(&mut out, metadata, fields.rest(), way, &ARTIFACT_UPDATE);
    Ok(Value::Object(out))
}
