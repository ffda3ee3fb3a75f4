//! Params of requests.
//!
//! | operation | 1.0 | 0.3 with `kind` | 0.3 ProtoJSON |
//! |---|---|---|---|
//! | send, stream | `{message,configuration,metadata}` | the same | the same; `message` may be spelt `request` |
//! | get, cancel, subscribe | `{id,…}` | `{id,…}` | `{name:"tasks/{id}",…}` |
//! | push create | flat config | `{taskId,pushNotificationConfig}` | `{parent,configId,config:{name,pushNotificationConfig}}` |
//! | push get, delete | `{taskId,id}` | `{id,pushNotificationConfigId}` | `{name}` |
//! | push list | `{taskId,pageSize,pageToken}` | `{id}` | `{parent,pageSize,pageToken}` |
//!
//! - `returnImmediately` is `!blocking`. An absent `blocking` blocks in `kind` JSON; in ProtoJSON an absent bool is
//!   false, so a configuration without it returns at once, while no configuration at all blocks (as the SDKs read it).
//! - `historyLength: 0` means "all" in 0.3 and "none" in 1.0: from 0.3 it goes, towards 0.3 it becomes 1, and whoever
//!   asked cuts the answer with [`super::cut_history`].
//! - `tenant` goes towards 0.3: it is part of the address, the gateway has read it, and 0.3 has no such thing.
//! - The `metadata` of 0.3's get, subscribe and push params has no place in 1.0, whose readers may refuse it; it goes.

use moongate_core::{Operation, Problem};
use serde_json::{Map, Value};

use super::Style;
use super::baggage::{Shape, Way, settle};
use super::fields::{At, Fields, Put, camel};
use super::push::{agree, config_name, nested_from_v1, nested_to_v1, take_name, task_name};
use super::{message, task};

const SEND: Shape = Shape {
    v1: &["tenant", "message", "configuration", "metadata"],
    v03: &["message", "request", "configuration", "metadata"],
    only_v1: &[],
};

const CANCEL: Shape = Shape { v1: &["tenant", "id", "metadata"], v03: &["id", "name", "metadata"], only_v1: &[] };

const PUSH_LIST: Shape = Shape {
    v1: &["tenant", "taskId", "pageSize", "pageToken", "metadata"],
    v03: &["id", "parent", "pageSize", "pageToken", "metadata"],
    only_v1: &["pageSize", "pageToken"],
};

/// Members that mean something to 1.0: a 0.3 request must not hold them by accident.
const V1_MEMBERS: &[&str] = &["tenant", "id", "taskId", "historyLength", "pageSize", "pageToken", "metadata"];

/// 0.3 params as 1.0 says them.
pub(super) fn to_v1(operation: Operation, value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open_or_empty(value, at)?;
    let mut out = Map::new();
    match operation {
        Operation::Send | Operation::Stream => {
            send_to_v1(&mut fields, &mut out)?;
            let metadata = fields.object("metadata")?;
            settle(&mut out, metadata, fields.rest(), Way::ToV1, &SEND);
            return Ok(Value::Object(out));
        }
        Operation::Get | Operation::Subscribe => {
            out.put("id", Some(task_id(&mut fields, "name")?));
            out.put("historyLength", fields.integer("historyLength")?.filter(|length| *length != 0));
            fields.take("metadata")?;
        }
        Operation::Cancel | Operation::Pause | Operation::Resume => {
            out.put("id", Some(task_id(&mut fields, "name")?));
            let metadata = fields.object("metadata")?;
            settle(&mut out, metadata, Map::new(), Way::ToV1, &CANCEL);
        }
        Operation::List => list_to_v1(&mut fields, &mut out)?,
        Operation::PushCreate => push_create_to_v1(&mut fields, &mut out)?,
        Operation::PushGet | Operation::PushDelete => push_named_to_v1(operation, &mut fields, &mut out)?,
        Operation::PushList => {
            out.put("taskId", Some(task_id(&mut fields, "parent")?));
            out.put("pageSize", fields.integer("pageSize")?);
            out.put("pageToken", fields.text("pageToken")?);
            let metadata = fields.object("metadata")?;
            settle(&mut out, metadata, Map::new(), Way::ToV1, &PUSH_LIST);
            out.shift_remove("metadata");
        }
        Operation::ExtendedCard => {}
    }
    let mut rest = fields.rest();
    // 0.3 has no list; ours takes the members of 1.0, but for the address, which no request of 0.3 names.
    let foreign = if operation == Operation::List { &["tenant"] } else { V1_MEMBERS };
    rest.retain(|name, _| !foreign.contains(&camel(name).as_str()));
    out.put_rest(rest);
    Ok(Value::Object(out))
}

/// 1.0 params as 0.3 says them.
pub(super) fn from_v1(operation: Operation, value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open_or_empty(value, at)?;
    fields.take("tenant")?;
    let mut out = Map::new();
    match operation {
        Operation::Send | Operation::Stream => {
            send_from_v1(&mut fields, &mut out)?;
            let metadata = fields.object("metadata")?;
            settle(&mut out, metadata, fields.rest(), Way::FromV1, &SEND);
            return Ok(Value::Object(out));
        }
        Operation::Get | Operation::Subscribe => {
            put_task(&mut fields, "id", ("id", "name"), &mut out)?;
            out.put("historyLength", fields.integer("historyLength")?.map(at_least_one));
        }
        Operation::Cancel | Operation::Pause | Operation::Resume => {
            put_task(&mut fields, "id", ("id", "name"), &mut out)?;
            let metadata = fields.object("metadata")?;
            settle(&mut out, metadata, Map::new(), Way::FromV1, &CANCEL);
        }
        Operation::List => list_from_v1(&mut fields, &mut out)?,
        Operation::PushCreate => push_create_from_v1(&mut fields, &mut out)?,
        Operation::PushGet | Operation::PushDelete => push_named_from_v1(&mut fields, &mut out)?,
        Operation::PushList => {
            put_task(&mut fields, "taskId", ("id", "parent"), &mut out)?;
            let mut kept = Map::new();
            let paging = if at.style() == Style::Proto { &mut out } else { &mut kept };
            paging.put("pageSize", fields.integer("pageSize")?);
            paging.put("pageToken", fields.text("pageToken")?);
            settle(&mut out, None, kept, Way::FromV1, &PUSH_LIST);
        }
        Operation::ExtendedCard => {}
    }
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// The task that a 0.3 request names, as an id or as a resource name.
fn task_id(fields: &mut Fields<'_>, name: &str) -> Result<String, Problem> {
    let named = [take_name(fields, name)?.task, fields.text("id")?];
    agree(&fields.at().member("id"), named)
}

fn put_task(
    fields: &mut Fields<'_>,
    member: &str,
    (kind, proto): (&str, &str),
    out: &mut Map<String, Value>,
) -> Result<(), Problem> {
    let at = fields.at();
    let task = fields.text(member)?.ok_or_else(|| at.member(member).wrong("is required"))?;
    match at.style() {
        Style::Kind => out.put(kind, Some(task)),
        Style::Proto => out.put(proto, Some(task_name(&task, &at.member(member))?)),
    }
    Ok(())
}

fn send_to_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    let inside = at.member("message");
    let message = fields.take_any(&["message", "request"])?.ok_or_else(|| inside.wrong("is required"))?;
    let absent_blocks = at.style() == Style::Kind || message::is_kind_json(&message);
    out.put("message", Some(message::to_v1(message, inside)?));
    if let Some(configuration) = fields.take("configuration")? {
        let configuration = configuration_to_v1(configuration, at.member("configuration"), absent_blocks)?;
        out.put("configuration", Some(configuration));
    }
    Ok(())
}

fn configuration_to_v1(value: Value, at: At<'_>, absent_blocks: bool) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    out.put_list("acceptedOutputModes", fields.strings("acceptedOutputModes")?);
    if let Some(push) = fields.take_any(&["pushNotificationConfig", "pushNotification"])? {
        let mut config = Map::new();
        nested_to_v1(push, at.member("pushNotificationConfig"), &mut config)?;
        out.put("taskPushNotificationConfig", Some(config));
    }
    out.put("historyLength", fields.integer("historyLength")?.filter(|length| *length != 0));
    let blocking = fields.boolean("blocking")?.unwrap_or(absent_blocks);
    out.put("returnImmediately", (!blocking).then_some(true));
    let mut rest = fields.rest();
    rest.retain(|name, _| {
        !matches!(camel(name).as_str(), "taskPushNotificationConfig" | "returnImmediately" | "acceptedOutputModes")
    });
    out.put_rest(rest);
    Ok(Value::Object(out))
}

fn send_from_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    let inside = at.member("message");
    let message = fields.take("message")?.ok_or_else(|| inside.wrong("is required"))?;
    let message = message::from_v1(message, inside)?;
    if let Some(configuration) = fields.take("configuration")? {
        let task = message.get("taskId").and_then(Value::as_str);
        let configuration = configuration_from_v1(configuration, task, at.member("configuration"))?;
        out.put("configuration", Some(configuration));
    }
    out.put("message", Some(message));
    Ok(())
}

fn configuration_from_v1(value: Value, task: Option<&str>, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let mut out = Map::new();
    out.put_list("acceptedOutputModes", fields.strings("acceptedOutputModes")?);
    if let Some(push) = fields.take("taskPushNotificationConfig")? {
        let member = if at.style() == Style::Kind { "pushNotificationConfig" } else { "pushNotification" };
        out.put(member, Some(inline_push(push, task, at.member("taskPushNotificationConfig"))?));
    }
    out.put("historyLength", fields.integer("historyLength")?.map(at_least_one));
    out.put("blocking", Some(!fields.boolean("returnImmediately")?.unwrap_or(false)));
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// What is asked for where 0 would be everything. What is wrong stays wrong.
fn at_least_one(length: i32) -> i32 {
    if length == 0 { 1 } else { length }
}

/// A config inside a send. Its `taskId` should be empty; the message's own task is as good, another one cannot be said.
fn inline_push(value: Value, task: Option<&str>, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    fields.take("tenant")?;
    let named = fields.text("taskId")?;
    if named.is_some() && named.as_deref() != task {
        return Err(at.member("taskId").wrong("must be empty in a send"));
    }
    let mut config = nested_from_v1(&mut fields)?;
    config.put_rest(fields.rest());
    Ok(Value::Object(config))
}

fn push_create_to_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    let parent = take_name(fields, "parent")?;
    let name = take_name(fields, "name")?;
    let task = fields.text("taskId")?;
    let config_id = fields.text("configId")?;
    fields.take("metadata")?;
    let config_at = at.member("config");
    let (nested, nested_at, inner) = match fields.take("config")? {
        Some(config) => {
            let mut config = Fields::open(config, config_at)?;
            let inner = take_name(&mut config, "name")?;
            (config.take("pushNotificationConfig")?, config_at, inner)
        }
        None => (fields.take("pushNotificationConfig")?, at, super::push::Name::default()),
    };
    let inside = nested_at.member("pushNotificationConfig");
    let nested = nested.ok_or_else(|| inside.wrong("is required"))?;
    let task = agree(&at.member("taskId"), [parent.task, name.task, task, inner.task])?;
    nested_to_v1(nested, inside, out)?;
    if !out.contains_key("id") {
        let id = config_id.or(inner.config).or(name.config).or(parent.config);
        out.put("id", Some(id.unwrap_or_else(|| task.clone())));
    }
    out.put("taskId", Some(task));
    Ok(())
}

fn push_create_from_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    let task = fields.text("taskId")?.ok_or_else(|| at.member("taskId").wrong("is required"))?;
    let nested = nested_from_v1(fields)?;
    match at.style() {
        Style::Kind => {
            out.put("taskId", Some(task));
            out.put("pushNotificationConfig", Some(nested));
        }
        Style::Proto => {
            out.put("parent", Some(task_name(&task, &at.member("taskId"))?));
            let mut config = Map::new();
            if let Some(id) = nested.get("id").and_then(Value::as_str) {
                out.put("configId", Some(id));
                config.put("name", Some(config_name(&task, id, &at.member("id"))?));
            }
            config.put("pushNotificationConfig", Some(nested));
            out.put("config", Some(config));
        }
    }
    Ok(())
}

fn push_named_to_v1(
    operation: Operation,
    fields: &mut Fields<'_>,
    out: &mut Map<String, Value>,
) -> Result<(), Problem> {
    let at = fields.at();
    let name = take_name(fields, "name")?;
    let task = agree(&at.member("id"), [name.task, fields.text("id")?])?;
    let config = fields.text("pushNotificationConfigId")?.or(name.config);
    fields.take("metadata")?;
    if config.is_none() && operation == Operation::PushDelete {
        return Err(at.member("pushNotificationConfigId").wrong("is required"));
    }
    out.put("id", Some(config.unwrap_or_else(|| task.clone())));
    out.put("taskId", Some(task));
    Ok(())
}

fn push_named_from_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    let task = fields.text("taskId")?.ok_or_else(|| at.member("taskId").wrong("is required"))?;
    let config = fields.text("id")?.ok_or_else(|| at.member("id").wrong("is required"))?;
    match at.style() {
        Style::Kind => {
            out.put("id", Some(task));
            out.put("pushNotificationConfigId", Some(config));
        }
        Style::Proto => out.put("name", Some(config_name(&task, &config, &at.member("id"))?)),
    }
    Ok(())
}

fn list_to_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    if let Some(status) = fields.take("status")? {
        out.put("status", Some(task::v1_name(task::state_to_v1(Some(status), &at.member("status"))?)));
    }
    out.put("statusTimestampAfter", task::moment(fields, "statusTimestampAfter")?);
    Ok(())
}

fn list_from_v1(fields: &mut Fields<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let at = fields.at();
    if let Some(status) = fields.take("status")? {
        let state = task::state_from_v1(Some(&status), &at.member("status"))?;
        out.put("status", Some(task::v03_name(state, at.style())));
    }
    Ok(())
}
