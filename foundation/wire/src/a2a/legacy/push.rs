//! Push notification configs, and the resource names by which ProtoJSON of 0.3 speaks of tasks.
//!
//! | 1.0 | 0.3 with `kind` | 0.3 ProtoJSON |
//! |---|---|---|
//! | `{taskId,id,url,token,authentication}` | `{taskId,pushNotificationConfig:{id,url,…}}` | `{name,pushNotificationConfig:{id,url,…}}` |
//! | `authentication{scheme,credentials}` | `authentication{schemes[],credentials}` | the same |
//!
//! - A name is `tasks/{task}` or `tasks/{task}/pushNotificationConfigs/{config}`.
//! - A config without an id has its task's id: the rule of the 0.3 SDKs' stores, so that `get` without an id finds it.
//! - 1.0 takes one scheme; of several only the first has credentials that fit, and the others go.

use moongate_core::Problem;
use serde_json::{Map, Value};

use super::Style;
use super::fields::{At, Fields, Put};

const CONFIGS: &str = "pushNotificationConfigs";

/// A resource name, taken apart.
#[derive(Default)]
pub(super) struct Name {
    pub(super) task: Option<String>,
    pub(super) config: Option<String>,
}

/// Takes a member that holds a resource name.
pub(super) fn take_name(fields: &mut Fields<'_>, member: &str) -> Result<Name, Problem> {
    let at = fields.at();
    let Some(name) = fields.text(member)? else { return Ok(Name::default()) };
    let mut steps = name.strip_prefix("tasks/").unwrap_or(&name).split('/');
    let task = steps.next().filter(|task| !task.is_empty()).map(str::to_owned);
    let (collection, config, more) = (steps.next(), steps.next(), steps.next());
    if task.is_none() || collection.is_some_and(|step| step != CONFIGS) || more.is_some() {
        return Err(at.member(member).wrong("must be tasks/{task} or tasks/{task}/pushNotificationConfigs/{config}"));
    }
    Ok(Name { task, config: config.filter(|config| !config.is_empty()).map(str::to_owned) })
}

/// The one task that several members name.
pub(super) fn agree<const N: usize>(at: &At<'_>, named: [Option<String>; N]) -> Result<String, Problem> {
    let mut found: Option<String> = None;
    for task in named.into_iter().flatten() {
        match &found {
            Some(other) if *other != task => return Err(at.wrong("names two different tasks")),
            _ => found = Some(task),
        }
    }
    found.ok_or_else(|| at.wrong("is required"))
}

/// `tasks/{task}`.
pub(super) fn task_name(task: &str, at: &At<'_>) -> Result<String, Problem> {
    if task.is_empty() || task.contains('/') {
        return Err(at.wrong("cannot be part of a resource name of 0.3"));
    }
    Ok(format!("tasks/{task}"))
}

/// `tasks/{task}/pushNotificationConfigs/{config}`.
pub(super) fn config_name(task: &str, config: &str, at: &At<'_>) -> Result<String, Problem> {
    if config.is_empty() || config.contains('/') {
        return Err(at.wrong("cannot be part of a resource name of 0.3"));
    }
    Ok(format!("{}/{CONFIGS}/{config}", task_name(task, at)?))
}

/// A 0.3 config with its task as 1.0 says it.
pub(super) fn to_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    let name = take_name(&mut fields, "name")?;
    let named = [name.task, fields.text("taskId")?];
    let task = agree(&at.member("taskId"), named)?;
    let inside = at.member("pushNotificationConfig");
    let config = fields.take("pushNotificationConfig")?.ok_or_else(|| inside.wrong("is required"))?;
    let mut out = Map::new();
    nested_to_v1(config, inside, &mut out)?;
    if !out.contains_key("id") {
        out.put("id", Some(name.config.unwrap_or_else(|| task.clone())));
    }
    out.put("taskId", Some(task));
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// A 1.0 config as 0.3 says it. `tenant` goes: it is the address by which the config was asked for.
pub(super) fn from_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open(value, at)?;
    fields.take("tenant")?;
    let task = fields.text("taskId")?.unwrap_or_default();
    let config = nested_from_v1(&mut fields)?;
    let mut out = Map::new();
    match at.style() {
        Style::Kind => out.put("taskId", Some(task)),
        Style::Proto => {
            let id = config.get("id").and_then(Value::as_str).unwrap_or(&task);
            out.put("name", Some(config_name(&task, id, &at.member("id"))?));
        }
    }
    out.put("pushNotificationConfig", Some(config));
    out.put_rest(fields.rest());
    Ok(Value::Object(out))
}

/// Spreads a 0.3 `PushNotificationConfig` over `out`.
pub(super) fn nested_to_v1(config: Value, at: At<'_>, out: &mut Map<String, Value>) -> Result<(), Problem> {
    let mut fields = Fields::open(config, at)?;
    out.put("id", fields.text("id")?);
    out.put("url", Some(fields.key("url")?));
    out.put("token", fields.text("token")?);
    if let Some(authentication) = fields.take("authentication")? {
        out.put("authentication", authentication_to_v1(authentication, at.member("authentication"))?);
    }
    let mut rest = fields.rest();
    rest.retain(|name, _| !matches!(name.as_str(), "tenant" | "taskId" | "task_id"));
    out.put_rest(rest);
    Ok(())
}

fn authentication_to_v1(value: Value, at: At<'_>) -> Result<Option<Value>, Problem> {
    let mut fields = Fields::open(value, at)?;
    let scheme = fields.strings("schemes")?.into_iter().next();
    let credentials = fields.text("credentials")?;
    if scheme.is_none() {
        return match credentials {
            None => Ok(None),
            Some(_) => Err(at.member("schemes").wrong("must name the scheme of the credentials")),
        };
    }
    let mut out = Map::new();
    out.put("scheme", scheme);
    out.put("credentials", credentials);
    let mut rest = fields.rest();
    rest.shift_remove("scheme");
    out.put_rest(rest);
    Ok(Some(Value::Object(out)))
}

/// Takes the members of a 0.3 `PushNotificationConfig` out of a flat 1.0 config.
pub(super) fn nested_from_v1(fields: &mut Fields<'_>) -> Result<Map<String, Value>, Problem> {
    let at = fields.at();
    let mut out = Map::new();
    out.put("id", fields.text("id")?);
    out.put("url", Some(fields.take("url")?.unwrap_or_else(|| "".into())));
    out.put("token", fields.text("token")?);
    if let Some(authentication) = fields.take("authentication")? {
        let mut inner = Fields::open(authentication, at.member("authentication"))?;
        let mut nested = Map::new();
        let schemes: Vec<Value> = inner.text("scheme")?.into_iter().map(Value::from).collect();
        nested.put("schemes", Some(schemes));
        nested.put("credentials", inner.text("credentials")?);
        let mut rest = inner.rest();
        rest.shift_remove("schemes");
        nested.put_rest(rest);
        out.put("authentication", Some(nested));
    }
    Ok(out)
}

/// A list of configs of 0.3: a bare array, or a page.
pub(super) fn list_to_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let (configs, token, at) = match value {
        Value::Array(configs) => (configs, None, at),
        Value::Null => (Vec::new(), None, at),
        other => {
            let mut fields = Fields::open(other, at)?;
            (fields.list("configs")?, fields.text("nextPageToken")?, at)
        }
    };
    let configs = super::fields::each(configs, &at.member("configs"), to_v1)?;
    let mut out = Map::new();
    out.put("configs", Some(configs));
    out.put("nextPageToken", Some(token.unwrap_or_default()));
    Ok(Value::Object(out))
}

/// A page of configs of 1.0. `kind` JSON has no pages: a page that is not the last one cannot be said.
pub(super) fn list_from_v1(value: Value, at: At<'_>) -> Result<Value, Problem> {
    let mut fields = Fields::open_or_empty(value, at)?;
    let configs = super::fields::each(fields.list("configs")?, &at.member("configs"), from_v1)?;
    let token = fields.text("nextPageToken")?;
    match (at.style(), token) {
        (Style::Kind, None) => Ok(Value::Array(configs)),
        (Style::Kind, Some(_)) => Err(at.member("nextPageToken").wrong("cannot be said over JSON-RPC of 0.3")),
        (Style::Proto, token) => {
            let mut out = Map::new();
            out.put("configs", Some(configs));
            out.put("nextPageToken", token);
            Ok(Value::Object(out))
        }
    }
}
