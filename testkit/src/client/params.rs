//! Requests in each binding and version, and what their results mean, written by hand from the specifications.

use moongate_core::Operation;
use moongate_wire::a2a::{Binding, Version};
use serde_json::{Value, json};

use crate::dialect::Form;

/// Operations and their names in 1.0, in JSON-RPC and gRPC alike.
pub const METHODS: [(Operation, &str); 13] = [
    (Operation::Send, "SendMessage"),
    (Operation::Stream, "SendStreamingMessage"),
    (Operation::Get, "GetTask"),
    (Operation::List, "ListTasks"),
    (Operation::Cancel, "CancelTask"),
    (Operation::Subscribe, "SubscribeToTask"),
    (Operation::PushCreate, "CreateTaskPushNotificationConfig"),
    (Operation::PushGet, "GetTaskPushNotificationConfig"),
    (Operation::PushList, "ListTaskPushNotificationConfigs"),
    (Operation::PushDelete, "DeleteTaskPushNotificationConfig"),
    (Operation::ExtendedCard, "GetExtendedAgentCard"),
    (Operation::Pause, "PauseTask"),
    (Operation::Resume, "ResumeTask"),
];

/// The form of a client's JSON.
pub fn form(binding: Binding, version: Version) -> Form {
    match (version, binding) {
        (Version::V1, _) => Form::New,
        (Version::V03, Binding::JsonRpc) => Form::Kind,
        (Version::V03, _) => Form::Proto,
    }
}

/// An operation's name over JSON-RPC.
///
/// # Panics
/// For what 0.3 lacks.
pub fn method(operation: Operation, version: Version) -> &'static str {
    if version == Version::V1 {
        return METHODS.iter().find(|(held, _)| *held == operation).unwrap().1;
    }
    match operation {
        Operation::Send => "message/send",
        Operation::Stream => "message/stream",
        Operation::Get => "tasks/get",
        Operation::Cancel => "tasks/cancel",
        Operation::Subscribe => "tasks/resubscribe",
        Operation::PushCreate => "tasks/pushNotificationConfig/set",
        Operation::PushGet => "tasks/pushNotificationConfig/get",
        Operation::PushList => "tasks/pushNotificationConfig/list",
        Operation::PushDelete => "tasks/pushNotificationConfig/delete",
        Operation::ExtendedCard => "agent/getAuthenticatedExtendedCard",
        Operation::List | Operation::Pause | Operation::Resume => panic!("0.3 has no such method"),
    }
}

/// The params of 1.0 as the version's JSON-RPC has them.
pub fn rpc(operation: Operation, version: Version, params: &Value) -> Value {
    if version == Version::V1 {
        return params.clone();
    }
    match operation {
        Operation::Send | Operation::Stream => Form::Kind.send(params),
        Operation::PushCreate => {
            json!({"taskId": params["taskId"], "pushNotificationConfig": Form::Kind.push_config(params)})
        }
        Operation::PushGet | Operation::PushDelete => {
            json!({"id": params["taskId"], "pushNotificationConfigId": params["id"]})
        }
        Operation::PushList => json!({"id": params["taskId"]}),
        _ => params.clone(),
    }
}

/// Method, path below the base and body of an operation over HTTP+JSON.
pub fn http(operation: Operation, version: Version, params: &Value) -> (&'static str, String, Option<Value>) {
    let form = form(Binding::Http, version);
    let prefix = if version == Version::V1 { "" } else { "/v1" };
    let text = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
    let configs = || format!("{prefix}/tasks/{}/pushNotificationConfigs", text("taskId"));
    match operation {
        Operation::Send => ("POST", format!("{prefix}/message:send"), Some(form.send(params))),
        Operation::Stream => ("POST", format!("{prefix}/message:stream"), Some(form.send(params))),
        Operation::Get => ("GET", format!("{prefix}/tasks/{}{}", text("id"), query(params, &["id"])), None),
        Operation::List => ("GET", format!("{prefix}/tasks{}", query(params, &[])), None),
        Operation::Cancel => ("POST", format!("{prefix}/tasks/{}:cancel", text("id")), Some(json!({}))),
        Operation::Pause => ("POST", format!("{prefix}/tasks/{}:pause", text("id")), Some(json!({}))),
        Operation::Resume => ("POST", format!("{prefix}/tasks/{}:resume", text("id")), Some(json!({}))),
        Operation::Subscribe => ("POST", format!("{prefix}/tasks/{}:subscribe", text("id")), None),
        Operation::PushCreate if version == Version::V1 => ("POST", configs(), Some(params.clone())),
        Operation::PushCreate => {
            let config = json!({"pushNotificationConfig": form.push_config(params)});
            ("POST", configs(), Some(json!({"configId": params["id"], "config": config})))
        }
        Operation::PushGet => ("GET", format!("{}/{}", configs(), text("id")), None),
        Operation::PushList => ("GET", configs(), None),
        Operation::PushDelete => ("DELETE", format!("{}/{}", configs(), text("id")), None),
        Operation::ExtendedCard if version == Version::V1 => ("GET", "/extendedAgentCard".into(), None),
        Operation::ExtendedCard => ("GET", "/v1/card".into(), None),
    }
}

fn query(params: &Value, without: &[&str]) -> String {
    let members = params.as_object().into_iter().flatten().filter(|(name, _)| !without.contains(&name.as_str()));
    let pairs: Vec<String> = members
        .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A result in the words of 1.0.
pub fn result(operation: Operation, form: Form, value: &Value) -> Value {
    if form == Form::New {
        return value.clone();
    }
    match operation {
        Operation::Send => form.read_event(value).0,
        Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume => form.read_task(value),
        Operation::PushCreate | Operation::PushGet => form.read_push(value),
        Operation::PushList => {
            let list = if form == Form::Kind { value } else { &value["configs"] };
            let list: Vec<Value> = list.as_array().into_iter().flatten().map(|config| form.read_push(config)).collect();
            json!({ "configs": list })
        }
        Operation::PushDelete => json!({}),
        _ => value.clone(),
    }
}
