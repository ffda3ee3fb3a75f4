//! What an agent is asked, and what it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moongate_core::Operation;
use moongate_wire::a2a::{Binding, Version};
use serde_json::{Value, json};

use super::answer::Reply;
use super::book::{Held, Step};
use super::{Plan, Received, Shared};
use crate::client::params::METHODS;

/// A request, understood.
pub(super) struct Asked {
    pub(super) operation: Option<Operation>,
    /// The params as 1.0 has them.
    pub(super) params: Value,
    /// The JSON-RPC id.
    pub(super) id: Value,
}

const OLD_METHODS: [(&str, Operation); 6] = [
    ("message/send", Operation::Send),
    ("message/stream", Operation::Stream),
    ("tasks/get", Operation::Get),
    ("tasks/cancel", Operation::Cancel),
    ("tasks/resubscribe", Operation::Subscribe),
    ("agent/getAuthenticatedExtendedCard", Operation::ExtendedCard),
];

pub(super) fn read(plan: &Plan, received: &Received) -> Asked {
    let body = received.json();
    let (operation, params, id) = if plan.binding == Binding::JsonRpc {
        let method = body["method"].as_str().unwrap_or_default();
        let operation = match plan.version {
            Version::V1 => METHODS.iter().find(|(_, name)| *name == method).map(|(operation, _)| *operation),
            Version::V03 => OLD_METHODS.iter().find(|(name, _)| *name == method).map(|(_, operation)| *operation),
        };
        (operation, body["params"].clone(), body["id"].clone())
    } else {
        let (operation, params) = rest(plan.version, received, body);
        (operation, params, Value::Null)
    };
    let sends = matches!(operation, Some(Operation::Send | Operation::Stream));
    let params = if sends { plan.form().read_send(&params) } else { params };
    Asked { operation, params, id }
}

fn rest(version: Version, received: &Received, body: Value) -> (Option<Operation>, Value) {
    let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
    let base = if version == Version::V1 { "/rest" } else { "/rest/v1" };
    let Some(path) = path.strip_prefix(base) else { return (None, body) };
    let post = received.method == "POST";
    match path {
        "/message:send" if post => return (Some(Operation::Send), body),
        "/message:stream" if post => return (Some(Operation::Stream), body),
        "/extendedAgentCard" | "/card" => return (Some(Operation::ExtendedCard), json!({})),
        _ => {}
    }
    let Some(rest) = path.strip_prefix("/tasks/") else { return (None, body) };
    let mut params = json!({});
    if let Some(length) = query.split('&').find_map(|pair| pair.strip_prefix("historyLength=")) {
        params["historyLength"] = json!(length.parse::<i64>().unwrap());
    }
    let (id, operation) = match rest.rsplit_once(':') {
        Some((id, "cancel")) if post => (id, Operation::Cancel),
        Some((id, "pause")) if post => (id, Operation::Pause),
        Some((id, "resume")) if post => (id, Operation::Resume),
        Some((id, "subscribe")) => (id, Operation::Subscribe),
        _ => (rest, Operation::Get),
    };
    params["id"] = json!(id);
    (Some(operation), params)
}

pub(super) async fn carry_out(shared: &Arc<Shared>, operation: Operation, params: &Value) -> Reply {
    let id = params["id"].as_str().unwrap_or_default();
    let held = shared.tasks.lock().unwrap().get(id).cloned();
    match operation {
        Operation::Send | Operation::Stream => send(shared, operation, params).await,
        Operation::ExtendedCard => {
            let mut card = super::card::card(&shared.plan, shared.address);
            let extra =
                json!({"id": "secret.skill", "name": "secret", "description": "for callers we know", "tags": ["x"]});
            card["skills"].as_array_mut().unwrap().push(extra);
            Reply::Card(card)
        }
        Operation::Pause | Operation::Resume
            if !shared.plan.extensions.iter().any(|uri| uri.contains("/pause-resume/")) =>
        {
            Reply::Refused(-32601, "no such method".into())
        }
        Operation::Get | Operation::Cancel | Operation::Pause | Operation::Resume | Operation::Subscribe => {
            match held {
                None => Reply::Refused(-32001, format!("no task {id} here")),
                Some(held) => look(shared, operation, &held, params),
            }
        }
        _ => Reply::Refused(-32004, "not offered".into()),
    }
}

fn look(shared: &Arc<Shared>, operation: Operation, held: &Arc<Held>, params: &Value) -> Reply {
    match operation {
        Operation::Get => {
            if !shared.plan.streaming {
                held.step(&shared.gates);
            }
            Reply::Task(trimmed(held.document(), params.get("historyLength")))
        }
        Operation::Pause | Operation::Resume => Reply::Task(held.document()),
        Operation::Cancel if held.is_over() => Reply::Refused(-32002, "the task is over".into()),
        Operation::Cancel => {
            held.cancel();
            Reply::Task(held.document())
        }
        _ if !shared.plan.streaming || held.is_over() => Reply::Refused(-32004, "nothing to subscribe to".into()),
        _ => Reply::Events(held.clone(), false),
    }
}

fn trimmed(mut task: Value, length: Option<&Value>) -> Value {
    let Some(length) = length.and_then(Value::as_u64) else { return task };
    let history = task["history"].as_array_mut().unwrap();
    let cut = history.len().saturating_sub(length as usize);
    history.drain(..cut);
    if length == 0 {
        task.as_object_mut().unwrap().remove("history");
    }
    task
}

async fn send(shared: &Arc<Shared>, operation: Operation, params: &Value) -> Reply {
    if operation == Operation::Stream && !shared.plan.streaming {
        return Reply::Refused(-32004, "this agent does not stream".into());
    }
    let message = &params["message"];
    let text = message["parts"][0]["text"].as_str().unwrap_or_default();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    if let Some(fault) = Reply::fault(word) {
        return fault;
    }
    match word {
        "message" => return Reply::Message(said(shared, message, rest)),
        "refuse" => return Reply::Refused(-32005, "the agent likes no such content".into()),
        "odd" => return odd(shared, message),
        _ => {}
    }
    let held = match message["taskId"].as_str() {
        Some(id) => match follow_up(shared, id, message, text) {
            Ok(held) => held,
            Err(refused) => return refused,
        },
        None => begin(shared, message, word, rest),
    };
    if word == "break" && operation == Operation::Send {
        return Reply::Broken;
    }
    if operation == Operation::Stream {
        return Reply::Events(held, true);
    }
    let at_once = params["configuration"]["returnImmediately"] == true;
    if !at_once {
        held.run(&shared.gates).await;
    }
    if word == "wrong-id" {
        return Reply::Misaddressed(held.document());
    }
    let before = held.document();
    if at_once && shared.plan.streaming {
        let gates = shared.gates.clone();
        tokio::spawn(async move { held.run(&gates).await });
    }
    Reply::Sent(trimmed(before, params["configuration"].get("historyLength")))
}

fn said(shared: &Shared, message: &Value, words: &str) -> Value {
    let number = shared.made.fetch_add(1, Ordering::Relaxed);
    let context =
        message["contextId"].as_str().map_or_else(|| format!("{}-talk-{number}", shared.plan.name), str::to_owned);
    let id = format!("{}-message-{number}", shared.plan.name);
    json!({"messageId": id, "contextId": context, "role": "ROLE_AGENT", "parts": [{"text": words}]})
}

fn begin(shared: &Shared, message: &Value, word: &str, rest: &str) -> Arc<Held> {
    let number = shared.made.fetch_add(1, Ordering::Relaxed);
    let id = format!("{}-{number}", shared.plan.ids);
    let context =
        message["contextId"].as_str().map_or_else(|| format!("{}-context-{number}", shared.plan.name), str::to_owned);
    let held = Arc::new(Held::new(&id, &context, message));
    held.plan(script(word, rest));
    shared.tasks.lock().unwrap().insert(id, held.clone());
    held
}

/// Bytes of a chunk of `heavy`.
const HEAVY: usize = 32 * 1024;

/// What the words ask for.
fn script(word: &str, rest: &str) -> Vec<Step> {
    let mut steps = vec![Step::Status("TASK_STATE_WORKING", Some("at work".into()))];
    let padding = if word == "heavy" { "x".repeat(HEAVY) } else { String::new() };
    let chunk = |n: usize, of: usize| Step::Chunk { text: format!("chunk {n}{padding}"), append: n > 1, last: n == of };
    let whole = |text: &str| Step::Chunk { text: text.into(), append: false, last: true };
    match word {
        "stream" | "steps" | "heavy" => {
            let count = rest.trim().parse().unwrap_or(3);
            for n in 1..=count {
                if word != "stream" {
                    steps.push(Step::Gate);
                }
                steps.push(chunk(n, count));
            }
        }
        "slow" => steps.extend([Step::Gate, whole(rest)]),
        "ask" => {
            steps.push(Step::Status("TASK_STATE_INPUT_REQUIRED", Some(format!("which {rest}?"))));
            return steps;
        }
        "break" => steps.extend([whole("half"), Step::Break, Step::Gate, whole("all of it")]),
        "noise" => steps.extend([whole("half"), Step::Noise, Step::Gate, whole("all of it")]),
        "leave" => steps.extend([whole("half"), Step::Leave, Step::Gate, whole("all of it")]),
        _ => steps.push(whole(rest)),
    }
    steps.push(Step::Status("TASK_STATE_COMPLETED", None));
    steps
}

fn follow_up(shared: &Shared, id: &str, message: &Value, text: &str) -> Result<Arc<Held>, Reply> {
    let held = shared.tasks.lock().unwrap().get(id).cloned();
    let held = held.ok_or_else(|| Reply::Refused(-32001, format!("no task {id} here")))?;
    if held.is_over() {
        return Err(Reply::Refused(-32004, "the task is over".into()));
    }
    held.hear(message);
    held.plan([
        Step::Status("TASK_STATE_WORKING", None),
        Step::Chunk { text: format!("answer to {text}"), append: false, last: true },
        Step::Status("TASK_STATE_COMPLETED", None),
    ]);
    Ok(held)
}

/// A finished task in JSON that a reader may not rewrite: spaces, escapes, numbers and members of nobody's.
fn odd(shared: &Shared, message: &Value) -> Reply {
    let held = begin(shared, message, "echo", "odd");
    let id = held.document()["id"].as_str().unwrap().to_owned();
    let task = format!(
        "{{ \"x-first\" : [1.50, 2e3, null],\n  \"id\":\"{id}\", \"contextId\" : \"caf\\u00e9\", \
         \"status\": {{\"state\":\"TASK_STATE_COMPLETED\", \"x-mood\":\"sunny\"}},\t\"artifacts\":[ ] , \"x-last\":{{}} }}"
    );
    Reply::Odd(task)
}
