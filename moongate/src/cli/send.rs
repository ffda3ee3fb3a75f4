//! `moongate send`: a message through the running gateway.
//!
//! The gateway is asked to answer at once and the task is followed from there, so that an agent that is away is noticed in
//! a moment and not when the gateway's patience is over.

use std::time::Duration;

use clap::Args;
use moongate_a2a::tasks::people::APPROVAL;
use serde_json::{Value, json};

use super::client::{Client, told};
use super::output::{data, talk};
use super::{Context, Ending, Failure, tasks};

/// Arguments.
#[derive(Args)]
pub(crate) struct Send {
    #[command(flatten)]
    message: Message,
    /// How long to wait for the task's end, or for its question.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Do not wait at all: the task goes on by itself.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// The message to send, and where to; shared with `moongate explain`.
#[derive(Args)]
pub(crate) struct Message {
    /// What to say.
    #[arg(required = true)]
    text: Vec<String>,
    /// The agent to say it to; otherwise the gateway finds one.
    #[arg(long)]
    agent: Option<String>,
    /// The skill that is wanted.
    #[arg(long)]
    skill: Option<String>,
    /// The zone that is meant.
    #[arg(long)]
    zone: Option<String>,
    /// A label that is meant, as `device=lamp`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The task to go on with.
    #[arg(long)]
    task: Option<String>,
    /// The conversation to go on with.
    #[arg(long)]
    context: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Message {
    /// The path of the agent's or the domain's JSON-RPC endpoint.
    pub(crate) fn path(&self) -> String {
        self.agent
            .as_ref()
            .map_or_else(|| "/a2a".to_owned(), |agent| format!("/agents/{}", super::agents::encoded(agent)))
    }

    /// The JSON-RPC request.
    pub(crate) fn request(&self) -> Value {
        let mut message = json!({
            "messageId": uuid::Uuid::new_v4().to_string(),
            "role": "ROLE_USER",
            "parts": [{"text": self.text.join(" ")}],
        });
        if let Some(members) = message.as_object_mut() {
            for (key, value) in [("taskId", &self.task), ("contextId", &self.context)] {
                if let Some(value) = value {
                    members.insert(key.into(), json!(value));
                }
            }
            if self.skill.is_some() || self.zone.is_some() || !self.label.is_empty() {
                let mut routing = json!({});
                if let Some(routing) = routing.as_object_mut() {
                    for (key, value) in [("skillId", &self.skill), ("zone", &self.zone)] {
                        if let Some(value) = value {
                            routing.insert(key.into(), json!(value));
                        }
                    }
                    if !self.label.is_empty() {
                        routing
                            .insert("labels".into(), self.label.iter().map(|(k, v)| (k.clone(), json!(v))).collect());
                    }
                }
                members.insert("metadata".into(), json!({ moongate_a2a::call::SKILL_ROUTING: routing }));
            }
        }
        json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}})
    }
}

/// Sends it and prints what came back. It asks as any program of this machine does, without the operator's secret, so that the
/// operator may say yes where a person is asked.
pub(crate) fn send(context: &Context, arguments: &Send) -> Result<Ending, Failure> {
    let loaded = moongate_config::load(&context.config, &crate::wire_up::rules::check)?;
    let (asker, client) = (Client::without_secret(&loaded.config)?, Client::of(&loaded.config)?);
    let mut request = arguments.message.request();
    if let Some(params) = request.get_mut("params").and_then(Value::as_object_mut) {
        params.insert("configuration".into(), json!({"returnImmediately": true}));
    }
    let answer = asker.send("POST", &arguments.message.path(), Some(&request), true)?;
    let mut value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(mut result) = value.get_mut("result").map(Value::take) else {
        return Err(told(&value, answer.status).into());
    };
    let mut late = None;
    let id = result.pointer("/task/id").and_then(Value::as_str).map(str::to_owned);
    if let Some(id) = id.filter(|_| !arguments.no_wait && !is_settled(&result)) {
        let waited = tasks::settle(&client, &id, Duration::from_secs(arguments.wait))?;
        if let Some(task) = waited.view.get("task") {
            result = json!({ "task": task });
        }
        late = (!waited.settled).then_some((id, waited));
    }
    if context.json {
        data(&result.to_string());
    } else {
        print(&result, loaded.config.public_url.as_deref());
    }
    let Some((id, waited)) = late else { return Ok(ending(&result)) };
    let agent = waited.view.get("agent").and_then(Value::as_str).unwrap_or_default();
    let what = if waited.queued() { "waits for" } else { "is still with" };
    talk(&format!("it {what} the agent {agent} and goes on by itself"));
    talk(&format!("hint: follow it with `moongate tasks watch {id}`"));
    Ok(Ending::No)
}

fn print(result: &Value, public: Option<&str>) {
    if let Some(task) = result.get("task") {
        for artifact in task.get("artifacts").and_then(Value::as_array).into_iter().flatten() {
            print_parts(artifact);
        }
        if let Some(message) = task.pointer("/status/message") {
            print_parts(message);
        }
        let text = |pointer: &str| task.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
        talk(&format!(
            "task {} is {}",
            text("/id"),
            text("/status/state").trim_start_matches("TASK_STATE_").to_lowercase()
        ));
        let asked = task.get("metadata").and_then(|metadata| metadata.get(APPROVAL));
        if let Some(asked) = asked.filter(|_| text("/status/state") == "TASK_STATE_AUTH_REQUIRED") {
            talk(&format!("hint: {}", answered(asked, public)));
        }
    } else if let Some(message) = result.get("message") {
        print_parts(message);
    }
}

/// How a person answers: what is critical wants a passkey, which this command line has not.
fn answered(asked: &Value, public: Option<&str>) -> String {
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
    let id = text("id");
    if text("class") == "critical" {
        let base = public.map_or("", |url| url.trim_end_matches('/'));
        let place = if base.is_empty() { "at the gateway's pages: " } else { "at " };
        return format!(
            "it is critical: people with the scope `approve` answer with a passkey {place}{base}/approvals/{id}"
        );
    }
    format!("whoever may answers with `moongate approve yes {id}`, or `no`")
}

/// Whether a task is over or waits for somebody.
fn is_settled(result: &Value) -> bool {
    let state = result.pointer("/task/status/state").and_then(Value::as_str);
    !matches!(state, Some("TASK_STATE_SUBMITTED" | "TASK_STATE_WORKING" | "TASK_STATE_UNSPECIFIED"))
}

/// No, if the task failed or was refused.
fn ending(result: &Value) -> Ending {
    match result.pointer("/task/status/state").and_then(Value::as_str) {
        Some("TASK_STATE_FAILED" | "TASK_STATE_REJECTED" | "TASK_STATE_CANCELED") => Ending::No,
        _ => Ending::Yes,
    }
}

fn print_parts(holder: &Value) {
    for part in holder.get("parts").and_then(Value::as_array).into_iter().flatten() {
        match part.get("text").and_then(Value::as_str) {
            Some(text) => data(text),
            None => data(&part.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_a_way_that_works() {
        let asked = |class: &str| json!({"id": "5f0c", "class": class});
        assert_eq!(
            answered(&asked("sensitive"), None),
            "whoever may answers with `moongate approve yes 5f0c`, or `no`"
        );
        let critical = answered(&asked("critical"), Some("https://gw.example/"));
        assert!(critical.ends_with("with a passkey at https://gw.example/approvals/5f0c"), "{critical}");
        let unnamed = answered(&asked("critical"), None);
        assert!(unnamed.ends_with("at the gateway's pages: /approvals/5f0c"), "{unnamed}");
        assert!(!critical.contains("moongate approve") && !unnamed.contains("moongate approve"));
    }
}
