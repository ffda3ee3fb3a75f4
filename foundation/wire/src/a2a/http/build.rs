//! Operations → paths.

use moongate_core::{Code, Operation, Problem};
use serde_json::{Map, Value};

use super::{HttpParts, percent};
use crate::a2a::Version;

/// Makes the request for an operation. `params` are canonical for 1.0 and ProtoJSON of `a2a.v1` for 0.3.
///
/// The tenant goes into the path; one whose name begins other paths (`tasks`, `v1`) goes into the query or the body
/// instead, as any member that is not in the path does. Subscribing is made as POST; agents that answer 405 want the
/// same path by GET.
///
/// # Errors
/// [`Code::InvalidParams`] if the params are no object or lack an id that the path needs.
pub fn build(operation: Operation, version: Version, params: Value) -> Result<HttpParts, Problem> {
    let Value::Object(mut params) = params else {
        return Err(Problem::new(Code::InvalidParams, "the params must be an object"));
    };
    let mut path = String::new();
    match version {
        Version::V1 => {
            match params.get("tenant") {
                Some(Value::String(tenant)) if BEGINNINGS.contains(&tenant.as_str()) => {}
                Some(Value::String(tenant)) if !tenant.is_empty() => segment(&mut path, &take(&mut params, "tenant")?),
                _ => drop(params.shift_remove("tenant")),
            }
            path_v1(operation, &mut params, &mut path)?;
        }
        Version::V03 => path_v03(operation, &mut params, &mut path)?,
    }
    let method = match operation {
        Operation::Get | Operation::List | Operation::PushGet | Operation::PushList | Operation::ExtendedCard => "GET",
        Operation::PushDelete => "DELETE",
        _ => "POST",
    };
    let body = match operation {
        Operation::Send
        | Operation::Stream
        | Operation::Cancel
        | Operation::Pause
        | Operation::Resume
        | Operation::PushCreate => Some(Value::Object(params)),
        _ => {
            query(&params, &mut path);
            None
        }
    };
    Ok(HttpParts { method, path, body })
}

/// What a path of either version begins with: after such a tenant, `/tasks` would be read as the task `tasks`.
const BEGINNINGS: [&str; 2] = ["tasks", "v1"];

fn path_v1(operation: Operation, params: &mut Map<String, Value>, path: &mut String) -> Result<(), Problem> {
    match operation {
        Operation::Send => path.push_str("/message:send"),
        Operation::Stream => path.push_str("/message:stream"),
        Operation::List => path.push_str("/tasks"),
        Operation::ExtendedCard => path.push_str("/extendedAgentCard"),
        Operation::Get => {
            path.push_str("/tasks");
            segment(path, &take(params, "id")?);
        }
        Operation::Cancel | Operation::Pause | Operation::Resume => {
            path.push_str("/tasks");
            segment(path, &keep(params, "id")?);
            path.push(':');
            path.push_str(operation.as_str());
        }
        Operation::Subscribe => {
            path.push_str("/tasks");
            segment(path, &take(params, "id")?);
            path.push_str(":subscribe");
        }
        Operation::PushCreate => configs(path, &keep(params, "taskId")?),
        Operation::PushList => configs(path, &take(params, "taskId")?),
        Operation::PushGet | Operation::PushDelete => {
            configs(path, &take(params, "taskId")?);
            segment(path, &take(params, "id")?);
        }
    }
    Ok(())
}

fn path_v03(operation: Operation, params: &mut Map<String, Value>, path: &mut String) -> Result<(), Problem> {
    path.push_str("/v1");
    match operation {
        Operation::Send => path.push_str("/message:send"),
        Operation::Stream => path.push_str("/message:stream"),
        Operation::List => path.push_str("/tasks"),
        Operation::ExtendedCard => path.push_str("/card"),
        Operation::Get => task_of(path, &take(params, "name")?)?,
        Operation::Cancel => {
            task_of(path, &keep(params, "name")?)?;
            path.push_str(":cancel");
        }
        Operation::Pause | Operation::Resume => {
            return Err(Problem::new(Code::NotOffered, "A2A 0.3 has no way to pause a task"));
        }
        Operation::Subscribe => {
            task_of(path, &take(params, "name")?)?;
            path.push_str(":subscribe");
        }
        Operation::PushCreate | Operation::PushList => {
            let parent =
                if operation == Operation::PushCreate { keep(params, "parent") } else { take(params, "parent") }?;
            // The v0.3.0 proto file has the collection itself as the parent.
            task_of(path, parent.strip_suffix("/pushNotificationConfigs").unwrap_or(&parent))?;
            path.push_str("/pushNotificationConfigs");
        }
        Operation::PushGet | Operation::PushDelete => {
            let name = take(params, "name")?;
            let (task, config) = name
                .rsplit_once("/pushNotificationConfigs/")
                .ok_or_else(|| bad("name", "must be tasks/{id}/pushNotificationConfigs/{id}"))?;
            task_of(path, task)?;
            path.push_str("/pushNotificationConfigs");
            segment(path, config);
        }
    }
    Ok(())
}

/// Appends the path of a 0.3 name `tasks/{id}`.
fn task_of(path: &mut String, name: &str) -> Result<(), Problem> {
    let id =
        name.strip_prefix("tasks/").filter(|id| !id.is_empty()).ok_or_else(|| bad("name", "must be tasks/{id}"))?;
    path.push_str("/tasks");
    segment(path, id);
    Ok(())
}

fn configs(path: &mut String, task: &str) {
    path.push_str("/tasks");
    segment(path, task);
    path.push_str("/pushNotificationConfigs");
}

fn segment(path: &mut String, text: &str) {
    path.push('/');
    percent::encode(text, path);
}

/// A member that goes into the path and out of the params.
fn take(params: &mut Map<String, Value>, name: &'static str) -> Result<String, Problem> {
    let id = keep(params, name)?;
    params.shift_remove(name);
    Ok(id)
}

/// A member that goes into the path and stays in the body, where some servers look for it.
fn keep(params: &Map<String, Value>, name: &'static str) -> Result<String, Problem> {
    match params.get(name) {
        Some(Value::String(id)) if !id.is_empty() => Ok(id.clone()),
        _ => Err(bad(name, "is missing")),
    }
}

/// Appends what is left of the params as a query. Only scalars fit, and requests without a body have no others.
fn query(params: &Map<String, Value>, path: &mut String) {
    let mut separator = '?';
    for (name, value) in params {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        path.push(separator);
        separator = '&';
        percent::encode(name, path);
        path.push('=');
        percent::encode(&text, path);
    }
}

fn bad(name: &'static str, what: &'static str) -> Problem {
    Problem::new(Code::InvalidParams, format!("{name}: {what}")).field(name, what)
}
