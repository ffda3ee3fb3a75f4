//! The agent's answers and events, written as text: about 600 bytes a Message, 250 to 500 an event.

use super::request::Rpc;

/// The version of A2A that an answer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// 1.0: wrapped results, proto names.
    V1,
    /// 0.3: bare results with `kind`.
    V03,
}

/// What the agent says: as long as a short answer of a real one.
const TEXT: &str = "The kitchen lights are set to forty per cent and will fade to warm white within five minutes. The \
    hall follows at sunset, the porch stays as it is, because somebody changed it by hand today. Say undo to have the \
    former scene back, or name another room. Nothing else in the house was touched, and the schedule of tomorrow \
    morning is the same as before.";

const TIMESTAMP: &str = "2026-01-01T12:00:00.000Z";

/// The id of the task that answers a message.
pub(super) fn task_id(message: &str) -> String {
    format!("task-re-{message}")
}

/// A bare Message.
pub(super) fn message(dialect: Dialect, rpc: &Rpc<'_>) -> String {
    let (id, message, context) = (rpc.id(), rpc.message(), rpc.context());
    match dialect {
        Dialect::V1 => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"message":{{"messageId":"re-{message}","contextId":"{context}","role":"ROLE_AGENT","parts":[{{"text":"{TEXT}"}}],"metadata":{{"model":"fixture","tokens":96}}}}}}}}"#
        ),
        Dialect::V03 => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"kind":"message","messageId":"re-{message}","contextId":"{context}","role":"agent","parts":[{{"kind":"text","text":"{TEXT}"}}],"metadata":{{"model":"fixture","tokens":96}}}}}}"#
        ),
    }
}

/// A finished Task with one artifact.
pub(super) fn task(dialect: Dialect, rpc: &Rpc<'_>) -> String {
    let (id, context) = (rpc.id(), rpc.context());
    let task = task_id(rpc.message());
    match dialect {
        Dialect::V1 => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"task":{{"id":"{task}","contextId":"{context}","status":{{"state":"TASK_STATE_COMPLETED","timestamp":"{TIMESTAMP}"}},"artifacts":[{{"artifactId":"answer","parts":[{{"text":"{TEXT}"}}]}}]}}}}}}"#
        ),
        Dialect::V03 => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"kind":"task","id":"{task}","contextId":"{context}","status":{{"state":"completed","timestamp":"{TIMESTAMP}"}},"artifacts":[{{"artifactId":"answer","parts":[{{"kind":"text","text":"{TEXT}"}}]}}]}}}}"#
        ),
    }
}

/// An event's `result` in the stream of `task`: number `index`, with `artifacts` artifactUpdates in all; `None` after
/// the last.
pub(super) fn event(dialect: Dialect, task: &str, context: &str, index: u32, artifacts: u32) -> Option<String> {
    let last = artifacts.saturating_add(2);
    let whole = match (index, dialect) {
        (0, Dialect::V1) => format!(
            r#"{{"task":{{"id":"{task}","contextId":"{context}","status":{{"state":"TASK_STATE_SUBMITTED","timestamp":"{TIMESTAMP}"}}}}}}"#
        ),
        (0, Dialect::V03) => format!(
            r#"{{"kind":"task","id":"{task}","contextId":"{context}","status":{{"state":"submitted","timestamp":"{TIMESTAMP}"}}}}"#
        ),
        (1, _) => status(dialect, task, context, false),
        (index, _) if index == last => status(dialect, task, context, true),
        (index, _) if index < last => artifact(dialect, task, context, index, index + 1 == last),
        _ => return None,
    };
    Some(whole)
}

fn status(dialect: Dialect, task: &str, context: &str, over: bool) -> String {
    match dialect {
        Dialect::V1 => {
            let state = if over { "TASK_STATE_COMPLETED" } else { "TASK_STATE_WORKING" };
            format!(
                r#"{{"statusUpdate":{{"taskId":"{task}","contextId":"{context}","status":{{"state":"{state}","timestamp":"{TIMESTAMP}"}}}}}}"#
            )
        }
        Dialect::V03 => {
            let state = if over { "completed" } else { "working" };
            format!(
                r#"{{"kind":"status-update","taskId":"{task}","contextId":"{context}","status":{{"state":"{state}","timestamp":"{TIMESTAMP}"}},"final":{over}}}"#
            )
        }
    }
}

fn artifact(dialect: Dialect, task: &str, context: &str, index: u32, last: bool) -> String {
    let append = index > 2;
    let text = "a sentence of the answer, as long as what a model says between two flushes. ";
    match dialect {
        Dialect::V1 => format!(
            r#"{{"artifactUpdate":{{"taskId":"{task}","contextId":"{context}","artifact":{{"artifactId":"answer","parts":[{{"text":"{index}: {text}"}}]}},"append":{append},"lastChunk":{last}}}}}"#
        ),
        Dialect::V03 => format!(
            r#"{{"kind":"artifact-update","taskId":"{task}","contextId":"{context}","artifact":{{"artifactId":"answer","parts":[{{"kind":"text","text":"{index}: {text}"}}]}},"append":{append},"lastChunk":{last}}}"#
        ),
    }
}

/// The refusal of any other method.
pub(super) fn unknown_method(rpc: &Rpc<'_>) -> String {
    let id = rpc.id();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"the fixture only takes messages"}}}}"#)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":7,"method":"SendMessage","params":{"message":{"messageId":"bench-100000000000001","contextId":"a2a-unary-0001"}}}"#;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn answers_are_json_that_repeats_the_request() {
        let rpc = Rpc::read(REQUEST).unwrap();
        let answer = message(Dialect::V1, &rpc);
        assert!((550..=650).contains(&answer.len()), "{} bytes", answer.len());
        let value = parsed(&answer);
        assert_eq!(value["id"], 7);
        assert_eq!(value["result"]["message"]["messageId"], "re-bench-100000000000001");
        assert_eq!(value["result"]["message"]["contextId"], "a2a-unary-0001");
        assert_eq!(parsed(&message(Dialect::V03, &rpc))["result"]["kind"], "message");
        let value = parsed(&task(Dialect::V1, &rpc));
        assert_eq!(value["result"]["task"]["id"], "task-re-bench-100000000000001");
        assert_eq!(value["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED");
        assert_eq!(parsed(&task(Dialect::V03, &rpc))["result"]["status"]["state"], "completed");
        assert_eq!(parsed(&unknown_method(&rpc))["error"]["code"], -32601);
    }

    #[test]
    fn a_stream_begins_with_the_task_and_ends_completed() {
        for (dialect, kind) in [(Dialect::V1, None), (Dialect::V03, Some("kind"))] {
            let events: Vec<Value> =
                (0..).map_while(|index| event(dialect, "t", "c", index, 3)).map(|text| parsed(&text)).collect();
            assert_eq!(events.len(), 6);
            let name = |event: &Value| match kind {
                Some(kind) => event[kind].as_str().unwrap().to_owned(),
                None => event.as_object().unwrap().keys().next().unwrap().clone(),
            };
            let names: Vec<String> = events.iter().map(name).collect();
            let expected = match dialect {
                Dialect::V1 => {
                    ["task", "statusUpdate", "artifactUpdate", "artifactUpdate", "artifactUpdate", "statusUpdate"]
                }
                Dialect::V03 => {
                    ["task", "status-update", "artifact-update", "artifact-update", "artifact-update", "status-update"]
                }
            };
            assert_eq!(names, expected);
            assert!(events[5].to_string().to_ascii_lowercase().contains("completed"));
        }
    }
}
