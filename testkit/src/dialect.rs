//! A2A 0.3 ⇄ 1.0 for the shapes that the fake agents and clients use, written by hand from the two specifications.
//!
//! The gateway's own translation is what the tests judge, so nothing of it is used here. It covers less: text, data and
//! URL parts, tasks, messages, events, push configs.

use serde_json::{Map, Value, json};

/// One of the wire forms of A2A's JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 1.0, in every binding.
    New,
    /// 0.3 over JSON-RPC: objects with `kind`.
    Kind,
    /// 0.3 over HTTP+JSON: ProtoJSON of `a2a.v1`.
    Proto,
}

/// The members of `value` that `names` lists, where they are present.
fn pick(value: &Value, names: &[&str]) -> Map<String, Value> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), value.get(*name)?.clone()))).collect()
}

fn each(value: &Value, name: &str, change: impl Fn(&Value) -> Value) -> Option<Value> {
    Some(value.get(name)?.as_array()?.iter().map(change).collect())
}

/// `TASK_STATE_INPUT_REQUIRED` → `input-required`.
fn old_state(state: &str) -> String {
    state.trim_start_matches("TASK_STATE_").to_ascii_lowercase().replace('_', "-")
}

/// `input-required` → `TASK_STATE_INPUT_REQUIRED`.
fn new_state(state: &str) -> String {
    format!("TASK_STATE_{}", state.to_ascii_uppercase().replace('-', "_"))
}

impl Form {
    /// A part of 1.0 in this form.
    pub fn part(self, part: &Value) -> Value {
        let kind = |name: &str, mut members: Map<String, Value>| {
            if self == Self::Kind {
                members.insert("kind".into(), json!(name));
            }
            members.extend(pick(part, &["metadata"]));
            Value::Object(members)
        };
        if self == Self::New {
            return part.clone();
        }
        if let Some(text) = part.get("text") {
            return kind("text", Map::from_iter([("text".into(), text.clone())]));
        }
        if let Some(url) = part.get("url") {
            let file = if self == Self::Kind {
                json!({"uri": url, "name": part["filename"], "mimeType": part["mediaType"]})
            } else {
                json!({"fileWithUri": url, "name": part["filename"], "mimeType": part["mediaType"]})
            };
            return kind("file", Map::from_iter([("file".into(), file)]));
        }
        let data = if self == Self::Kind { part["data"].clone() } else { json!({"data": part["data"]}) };
        kind("data", Map::from_iter([("data".into(), data)]))
    }

    /// A part in this form as 1.0 has it.
    pub fn read_part(self, part: &Value) -> Value {
        if self == Self::New {
            return part.clone();
        }
        let mut members = pick(part, &["text", "metadata"]);
        if let Some(file) = part.get("file") {
            let url = file.get("uri").or_else(|| file.get("fileWithUri")).cloned().unwrap_or_default();
            members.insert("url".into(), url);
            for (old, new) in [("name", "filename"), ("mimeType", "mediaType")] {
                members.extend(file.get(old).map(|value| (new.to_owned(), value.clone())));
            }
        }
        if let Some(data) = part.get("data") {
            let data = if self == Self::Kind { data } else { &data["data"] };
            members.insert("data".into(), data.clone());
        }
        Value::Object(members)
    }

    /// A message of 1.0 in this form.
    pub fn message(self, message: &Value) -> Value {
        if self == Self::New {
            return message.clone();
        }
        let mut out =
            pick(message, &["messageId", "contextId", "taskId", "metadata", "extensions", "referenceTaskIds"]);
        let parts = each(message, "parts", |part| self.part(part)).unwrap_or_else(|| json!([]));
        if self == Self::Kind {
            out.insert("kind".into(), json!("message"));
            let role = if message["role"] == "ROLE_AGENT" { "agent" } else { "user" };
            out.insert("role".into(), json!(role));
            out.insert("parts".into(), parts);
        } else {
            out.insert("role".into(), message["role"].clone());
            out.insert("content".into(), parts);
        }
        Value::Object(out)
    }

    /// A message in this form as 1.0 has it.
    pub fn read_message(self, message: &Value) -> Value {
        if self == Self::New {
            return message.clone();
        }
        let mut out =
            pick(message, &["messageId", "contextId", "taskId", "metadata", "extensions", "referenceTaskIds"]);
        let agent = message["role"] == "agent" || message["role"] == "ROLE_AGENT";
        out.insert("role".into(), json!(if agent { "ROLE_AGENT" } else { "ROLE_USER" }));
        let name = if self == Self::Kind { "parts" } else { "content" };
        out.insert("parts".into(), each(message, name, |part| self.read_part(part)).unwrap_or_else(|| json!([])));
        Value::Object(out)
    }

    fn status(self, status: &Value) -> Value {
        let mut out = pick(status, &["timestamp"]);
        let state = status["state"].as_str().unwrap_or_default();
        let state = match self {
            Self::New => return status.clone(),
            Self::Kind => old_state(state),
            Self::Proto if state == "TASK_STATE_CANCELED" => "TASK_STATE_CANCELLED".into(),
            Self::Proto => state.into(),
        };
        out.insert("state".into(), json!(state));
        out.extend(status.get("message").map(|message| ("message".to_owned(), self.message(message))));
        Value::Object(out)
    }

    fn read_status(self, status: &Value) -> Value {
        let mut out = pick(status, &["timestamp"]);
        let state = status["state"].as_str().unwrap_or_default();
        let state = match self {
            Self::New => return status.clone(),
            Self::Kind => new_state(state),
            Self::Proto if state == "TASK_STATE_CANCELLED" => "TASK_STATE_CANCELED".into(),
            Self::Proto => state.into(),
        };
        out.insert("state".into(), json!(state));
        out.extend(status.get("message").map(|message| ("message".to_owned(), self.read_message(message))));
        Value::Object(out)
    }

    fn artifact(self, artifact: &Value) -> Value {
        let mut out = artifact.as_object().cloned().unwrap_or_default();
        out.extend(each(artifact, "parts", |part| self.part(part)).map(|parts| ("parts".to_owned(), parts)));
        Value::Object(out)
    }

    fn read_artifact(self, artifact: &Value) -> Value {
        let mut out = artifact.as_object().cloned().unwrap_or_default();
        out.extend(each(artifact, "parts", |part| self.read_part(part)).map(|parts| ("parts".to_owned(), parts)));
        Value::Object(out)
    }

    /// A task of 1.0 in this form.
    pub fn task(self, task: &Value) -> Value {
        if self == Self::New {
            return task.clone();
        }
        let mut out = pick(task, &["id", "contextId", "metadata"]);
        if self == Self::Kind {
            out.insert("kind".into(), json!("task"));
        }
        out.insert("status".into(), self.status(&task["status"]));
        out.extend(each(task, "artifacts", |item| self.artifact(item)).map(|list| ("artifacts".to_owned(), list)));
        out.extend(each(task, "history", |item| self.message(item)).map(|list| ("history".to_owned(), list)));
        Value::Object(out)
    }

    /// A task in this form as 1.0 has it.
    pub fn read_task(self, task: &Value) -> Value {
        if self == Self::New {
            return task.clone();
        }
        let mut out = pick(task, &["id", "contextId", "metadata"]);
        out.insert("status".into(), self.read_status(&task["status"]));
        out.extend(each(task, "artifacts", |item| self.read_artifact(item)).map(|list| ("artifacts".to_owned(), list)));
        out.extend(each(task, "history", |item| self.read_message(item)).map(|list| ("history".to_owned(), list)));
        Value::Object(out)
    }

    /// An event or the result of a send (`{"task": …}`, `{"message": …}`, …) of 1.0 in this form; `last` becomes `final`.
    pub fn event(self, event: &Value, last: bool) -> Value {
        let update = |body: &Value, kind: &str, name: &str| {
            let mut out = body.as_object().cloned().unwrap_or_default();
            if kind == "status-update" {
                out.insert("status".into(), self.status(&body["status"]));
                out.insert("final".into(), json!(last));
            } else {
                out.insert("artifact".into(), self.artifact(&body["artifact"]));
            }
            if self == Self::Kind {
                out.insert("kind".into(), json!(kind));
                return Value::Object(out);
            }
            json!({ name: out })
        };
        if self == Self::New {
            return event.clone();
        }
        if let Some(task) = event.get("task") {
            let task = self.task(task);
            return if self == Self::Kind { task } else { json!({ "task": task }) };
        }
        if let Some(message) = event.get("message") {
            let message = self.message(message);
            return if self == Self::Kind { message } else { json!({ "message": message }) };
        }
        match event.get("statusUpdate") {
            Some(body) => update(body, "status-update", "statusUpdate"),
            None => update(&event["artifactUpdate"], "artifact-update", "artifactUpdate"),
        }
    }

    /// An event or the result of a send in this form as 1.0 has it, and whether it says that it is the last.
    pub fn read_event(self, event: &Value) -> (Value, bool) {
        let (kind, body) = match self {
            Self::New => return (event.clone(), false),
            Self::Kind => (event["kind"].as_str().unwrap_or_default().to_owned(), event),
            Self::Proto => match event.as_object().and_then(|members| members.iter().next()) {
                Some((name, body)) => (name.clone(), body),
                None => return (event.clone(), false),
            },
        };
        let last = body["final"] == true;
        let strip = |change: &str, value: Value| {
            let mut out = body.as_object().cloned().unwrap_or_default();
            out.remove("kind");
            out.remove("final");
            out.insert(change.to_owned(), value);
            out
        };
        let value = match kind.as_str() {
            "task" => json!({"task": self.read_task(body)}),
            "message" => json!({"message": self.read_message(body)}),
            "status-update" | "statusUpdate" => {
                json!({"statusUpdate": strip("status", self.read_status(&body["status"]))})
            }
            _ => json!({"artifactUpdate": strip("artifact", self.read_artifact(&body["artifact"]))}),
        };
        (value, last)
    }

    /// The inner config of a push notification config.
    pub fn push_config(self, config: &Value) -> Value {
        let mut out = pick(config, &["id", "url", "token"]);
        if let Some(authentication) = config.get("authentication") {
            let credentials = authentication["credentials"].clone();
            let inner = json!({"schemes": [authentication["scheme"]], "credentials": credentials});
            out.insert("authentication".into(), inner);
        }
        Value::Object(out)
    }

    /// A task's push notification config in this form as 1.0 has it.
    pub fn read_push(self, config: &Value) -> Value {
        if self == Self::New {
            return config.clone();
        }
        let inner = &config["pushNotificationConfig"];
        let mut out = pick(inner, &["id", "url", "token"]);
        let task = match self {
            Self::Kind => config["taskId"].clone(),
            _ => json!(config["name"].as_str().unwrap_or_default().split('/').nth(1).unwrap_or_default()),
        };
        out.insert("taskId".into(), task);
        if let Some(authentication) = inner.get("authentication") {
            let credentials = authentication["credentials"].clone();
            let flat = json!({"scheme": authentication["schemes"][0], "credentials": credentials});
            out.insert("authentication".into(), flat);
        }
        Value::Object(out)
    }

    /// The params of a send in this form.
    pub fn send(self, params: &Value) -> Value {
        if self == Self::New {
            return params.clone();
        }
        let mut out = pick(params, &["metadata"]);
        out.insert("message".into(), self.message(&params["message"]));
        let configuration = &params["configuration"];
        let mut old = pick(configuration, &["acceptedOutputModes", "historyLength"]);
        old.insert("blocking".into(), json!(configuration["returnImmediately"] != true));
        if let Some(config) = configuration.get("taskPushNotificationConfig") {
            let name = if self == Self::Kind { "pushNotificationConfig" } else { "pushNotification" };
            old.insert(name.into(), self.push_config(config));
        }
        out.insert("configuration".into(), Value::Object(old));
        Value::Object(out)
    }

    /// The params of a send in this form as 1.0 has them, as far as an agent needs them.
    pub fn read_send(self, params: &Value) -> Value {
        if self == Self::New {
            return params.clone();
        }
        let mut configuration = pick(&params["configuration"], &["acceptedOutputModes", "historyLength"]);
        let blocking = params.pointer("/configuration/blocking") == Some(&json!(true));
        configuration.insert("returnImmediately".into(), json!(!blocking));
        json!({"message": self.read_message(&params["message"]), "configuration": configuration})
    }
}
