//! A gateway with scripted agents behind it, and short ways to say what it told.

use moongate_testkit::agent::Agent;
pub(crate) use moongate_testkit::client::{Caller, Refusal, raw, saying};
pub(crate) use moongate_testkit::gateway::Gateway;
pub(crate) use moongate_testkit::{Binding, Operation, Version};
use serde_json::{Value, json};

pub(crate) const MOONGATE: &str = env!("CARGO_BIN_EXE_moongate");

/// Starts a gateway with these agents; `more` is further configuration.
pub(crate) async fn gateway(agents: &[&Agent], more: &str) -> Gateway {
    let entries: Vec<String> = agents.iter().map(|agent| agent.entry("")).collect();
    with_entries(&entries, more).await
}

/// Starts a gateway with these entries.
pub(crate) async fn with_entries(entries: &[String], more: &str) -> Gateway {
    let listen =
        "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    Gateway::start(MOONGATE, &format!("{listen}{more}\n{}", entries.join("\n"))).await
}

/// Every kind of client.
pub(crate) const SPEAKERS: [(Binding, Version); 5] = [
    (Binding::JsonRpc, Version::V1),
    (Binding::Http, Version::V1),
    (Binding::Grpc, Version::V1),
    (Binding::JsonRpc, Version::V03),
    (Binding::Http, Version::V03),
];

/// `SUBMITTED` of a task.
pub(crate) fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap_or_default().trim_start_matches("TASK_STATE_")
}

/// A task's id.
pub(crate) fn id(task: &Value) -> String {
    task["id"].as_str().unwrap_or_else(|| panic!("no task: {task}")).to_owned()
}

fn words(parts: &Value) -> String {
    let part = |part: &Value| part["text"].as_str().map_or_else(|| part.to_string(), str::to_owned);
    parts.as_array().into_iter().flatten().map(part).collect::<Vec<_>>().join("|")
}

/// A task in one line: its state, what it says, its artifacts and its history.
pub(crate) fn task_line(task: &Value) -> String {
    let artifacts: Vec<String> =
        task["artifacts"].as_array().into_iter().flatten().map(|item| words(&item["parts"])).collect();
    let history: Vec<String> = task["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|message| format!("{}: {}", message["role"].as_str().unwrap_or("?"), words(&message["parts"])))
        .collect();
    format!(
        "{} says [{}] made {artifacts:?} after {history:?}",
        state(task),
        words(&task["status"]["message"]["parts"])
    )
}

/// An event, or the result of a send, in one line without ids and times.
pub(crate) fn line(event: &Value) -> String {
    if let Some(task) = event.get("task") {
        return format!("task {}", task_line(task));
    }
    if let Some(message) = event.get("message") {
        return format!("message {}", words(&message["parts"]));
    }
    if let Some(update) = event.get("statusUpdate") {
        return format!("status {} [{}]", state(update), words(&update["status"]["message"]["parts"]));
    }
    let update = &event["artifactUpdate"];
    format!("artifact {} append={}", words(&update["artifact"]["parts"]), update["append"] == true)
}

/// Events in lines.
pub(crate) fn lines(events: &[Value]) -> Vec<String> {
    events.iter().map(line).collect()
}

/// The params of an operation on a task.
pub(crate) fn on(task: &str) -> Value {
    json!({ "id": task })
}

/// A send that answers at once.
pub(crate) fn at_once(words: &str) -> Value {
    let mut params = saying(words);
    params["configuration"] = json!({"returnImmediately": true});
    params
}

/// A message to a task.
pub(crate) fn to_task(task: &str, words: &str) -> Value {
    let mut params = saying(words);
    params["message"]["taskId"] = json!(task);
    params
}

/// Sends these words and returns the task that comes of it.
pub(crate) async fn task(caller: &Caller, params: &Value) -> Value {
    let result = caller.call(Operation::Send, params).await.unwrap();
    result.get("task").unwrap_or_else(|| panic!("no task: {result}")).clone()
}

/// Asks for a task until it is in a state.
pub(crate) async fn until_state(caller: &Caller, id: &str, wanted: &str) -> Value {
    let asked = moongate_testkit::gateway::until(|| async {
        let task = caller.call(Operation::Get, &on(id)).await.unwrap();
        (state(&task) == wanted).then_some(task)
    });
    match asked.await {
        Some(task) => task,
        None => panic!("the task does not become {wanted}: {:?}", caller.call(Operation::Get, &on(id)).await),
    }
}
