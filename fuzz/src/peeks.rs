//! The scanner and the peeks: they accept what is unambiguous JSON, and see what a whole parse sees.

use bytes::Bytes;
use moongate_core::{Code, Operation};
use moongate_wire::json::{self as wire_json, Limits, Span};
use moongate_wire::peek::{self, Answer, Located, Params, RpcId};
use moongate_wire::splice::splice;
use serde_json::Value;

use crate::oracle::{self, Found, fold};

const LIMITS: Limits = Limits { depth: 64, parts: 1000 };

/// `check` accepts exactly what `serde_json` accepts, within the depth, without duplicates.
pub fn json(data: &[u8]) {
    let verdict = wire_json::check(data, &LIMITS).map_err(|problem| problem.code);
    match oracle::parse(data) {
        None if std::str::from_utf8(data).is_err() => assert_eq!(verdict, Err(Code::BodyNotUtf8)),
        None => assert!(verdict.is_err()),
        Some(found) if found.depth <= 64 && !found.twice => assert_eq!(verdict, Ok(())),
        Some(found) => match verdict {
            Err(Code::TooDeep) => assert!(found.depth > 64),
            Err(Code::DuplicateKey) => assert!(found.twice),
            other => panic!("{other:?}"),
        },
    }
}

/// What a peek accepts is JSON that reads the same everywhere.
fn unambiguous(data: &[u8]) -> Found {
    let found = oracle::parse(data).expect("a peek accepted what is no JSON");
    assert!(!found.twice && found.depth <= 64, "a peek accepted a member twice, or too deep nesting");
    found
}

/// A JSON-RPC request: envelope and params read as a whole parse reads them.
pub fn request(data: &[u8]) {
    let Ok(peek) = peek::request(data, &LIMITS, true) else { return };
    let value = unambiguous(data).value;
    match peek.id {
        RpcId::Absent => assert!(value.get("id").is_none()),
        RpcId::Raw(span) => assert_eq!(Some(&read(data, span)), value.get("id")),
    }
    assert_eq!(peek.method.as_deref(), value.get("method").and_then(Value::as_str));
    assert_eq!(peek.jsonrpc_ok, value.get("jsonrpc").is_some_and(|version| version == "2.0"));
    no_lookalikes(&value, &["jsonrpc", "id", "method", "params"]);
    match (peek.params, value.get("params")) {
        (Some(span), Some(params)) => {
            assert_eq!(&read(data, span), params);
            agree(data, &peek.members, params);
        }
        (Some(_), None) => panic!("params from nowhere"),
        (None, params) => assert!(!params.is_some_and(Value::is_object)),
    }
}

/// Bare params: read as a whole parse reads them, and an exchanged id changes nothing else.
pub fn params(data: &[u8]) {
    let Ok(peek) = peek::params(data, &LIMITS, true) else { return };
    let mut value = unambiguous(data).value;
    agree(data, &peek, &value);
    let Some((_, span)) = &peek.message_task_id else { return };
    let forwarded = splice(&Bytes::copy_from_slice(data), &mut [(*span, wire_json::quote("ours"))]);
    let message = ["message", "request"].into_iter().find(|name| value.get(name).is_some()).unwrap();
    let name = ["taskId", "task_id"].into_iter().find(|name| value[message].get(name).is_some()).unwrap();
    value[message][name] = "ours".into();
    assert_eq!(serde_json::from_slice::<Value>(&forwarded).unwrap(), value);
    let again = peek::params(&forwarded, &LIMITS, true).unwrap();
    assert_eq!(again.message_task_id.unwrap().0.as_ref(), "ours");
    assert_eq!((again.message_context_id.map(text), again.parts), (peek.message_context_id.map(text), peek.parts));
}

fn agree(data: &[u8], peek: &Params, value: &Value) {
    let null = Value::Null;
    let message = value.get("message").or(value.get("request")).filter(|message| message.is_object()).unwrap_or(&null);
    let judged = [
        (&peek.tenant, value, &["tenant"][..]),
        (&peek.id, value, &["id"]),
        (&peek.task_id, value, &["taskId", "task_id"]),
        (&peek.name, value, &["name", "parent"]),
        (&peek.message_task_id, message, &["taskId", "task_id"]),
        (&peek.message_context_id, message, &["contextId", "context_id"]),
    ];
    for (seen, object, names) in judged {
        let said: Vec<_> = names.iter().filter_map(|name| object.get(name)).collect();
        assert!(said.len() <= 1, "two spellings passed");
        let said = said.first().and_then(|said| said.as_str()).filter(|said| !said.is_empty());
        assert_eq!(seen.as_ref().map(|(text, _)| &**text), said);
        if let Some((text, span)) = seen {
            assert_eq!(read(data, *span), **text);
        }
        no_lookalikes(object, names);
    }
    let parts = ["parts", "content"].into_iter().filter_map(|name| message.get(name)?.as_array()).map(Vec::len);
    assert_eq!(peek.parts as usize, parts.sum::<usize>());
    let said = message.get("metadata").and_then(|metadata| metadata.get(peek::SKILL_ROUTING));
    let skill = said.and_then(|said| said.get("skillId").or(said.get("skill_id"))?.as_str()).unwrap_or_default();
    let seen = peek.routing.as_ref().and_then(|routing| routing.skill_id.as_deref()).unwrap_or_default();
    assert_eq!(seen, skill);
    if let Some(span) = peek.push_config {
        assert!(read(data, span).is_object());
    }
}

/// No member that another reader would take for one of the judged ones.
fn no_lookalikes(object: &Value, names: &[&str]) {
    for key in object.as_object().into_iter().flat_map(|object| object.keys()) {
        let alike = names.iter().any(|name| fold(name) == fold(key));
        assert!(!alike || names.contains(&key.as_str()), "{key:?} passed");
    }
}

/// An agent's answer: the task found is the one that a whole parse finds, and exchanging its id changes nothing else.
pub fn answer(data: &[u8]) {
    if let Ok(peek) = peek::answer_rpc(data, &LIMITS) {
        let value = unambiguous(data).value;
        let said = |name: &str| value.get(name).filter(|said| !said.is_null() || name == "result");
        assert_eq!(peek.error.map(|span| read(data, span)).as_ref(), said("error"));
        if let Some(span) = peek.result {
            assert_eq!(Some(&read(data, span)), said("result"));
        }
        body(data, &peek.body, value.get("result"), peek.wrapped);
    }
    for operation in Operation::ALL {
        let Ok(peek) = peek::answer_bare(data, &LIMITS, operation) else { continue };
        let value = unambiguous(data).value;
        body(data, &peek.body, Some(&value), peek.wrapped);
        if let Answer::Task(task) = &peek.body {
            let forwarded = splice(&Bytes::copy_from_slice(data), &mut [(task.id.1, wire_json::quote("ours"))]);
            let again = peek::answer_bare(&forwarded, &LIMITS, operation).unwrap();
            let Answer::Task(again) = again.body else { panic!("a task became something else") };
            assert_eq!(
                (again.id.0.as_ref(), again.state, again.context_id),
                ("ours", task.state, task.context_id.clone())
            );
            assert_eq!(again.mentions.len(), task.mentions.len());
        }
    }
}

fn body(data: &[u8], answer: &Answer, result: Option<&Value>, wrapped: bool) {
    let (whole, id, names, mentions) = match answer {
        Answer::Task(task) => (task.whole, Some(&task.id), &["id"][..], &task.mentions),
        Answer::Message(message) => {
            (message.whole, message.task_id.as_ref(), &["taskId", "task_id"][..], &message.mentions)
        }
        Answer::StatusUpdate(update) | Answer::ArtifactUpdate(update) => {
            (update.whole, Some(&update.task_id), &["taskId", "task_id"][..], &update.mentions)
        }
        Answer::Other => return,
    };
    let (whole, result) = (read(data, whole), result.unwrap());
    if wrapped {
        assert!(result.as_object().unwrap().values().any(|inside| *inside == whole));
    } else {
        assert_eq!(&whole, result);
    }
    let said = names.iter().find_map(|name| whole.get(name)?.as_str()).filter(|said| !said.is_empty());
    assert_eq!(id.map(|(text, _)| &**text), said);
    assert!(mentions.iter().all(|span| read(data, *span).is_string()));
}

fn read(data: &[u8], span: Span) -> Value {
    serde_json::from_slice(span.bytes(data)).expect("a span covers one value")
}

fn text(located: Located) -> String {
    located.0.into()
}
