//! Golden requests and answers of every dialect, and the peek against `serde_json`.

use bytes::Bytes;
use moongate_core::{Code, Operation, TaskState};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::splice::splice;

const LIMITS: Limits = Limits { depth: 64, parts: 1000 };

fn rpc(body: &str) -> RequestPeek {
    request(body.as_bytes(), &LIMITS, true).unwrap()
}

fn refused(body: &str) -> Problem {
    request(body.as_bytes(), &LIMITS, false).unwrap_err()
}

fn word(located: &Option<Located>) -> &str {
    located.as_ref().map_or("", |(text, _)| text)
}

const SEND: &str = r#"{
  "jsonrpc": "2.0", "id": "r-1", "method": "SendMessage",
  "params": {
    "tenant": "lights",
    "message": {
      "messageId": "m-1", "contextId": "c-1", "taskId": "t-1", "role": "ROLE_USER",
      "parts": [{"text": "switch on"}, {"data": {"text": "not this"}}, {"text": "the \u006camp"}],
      "referenceTaskIds": ["t-0"],
      "metadata": {
        "other": {"skillId": "no"},
        "https://w3id.org/moongate/extensions/skill-routing/v1":
          {"skillId": "lights.set", "zone": "kitchen", "labels": {"device": "lamp"}, "intent": true}
      }
    },
    "configuration": {
      "taskPushNotificationConfig": {"url": "https://c.example/"}, "historyLength": 3, "returnImmediately": true
    }
  }
}"#;

#[test]
fn a_send_of_1_0_is_understood() {
    let peek = rpc(SEND);
    assert!(peek.jsonrpc_ok);
    assert_eq!(peek.id.bytes(SEND.as_bytes()), b"\"r-1\"");
    assert_eq!(peek.method.as_deref(), Some("SendMessage"));
    let params = &peek.members;
    assert_eq!(params.accepted(), Ok(()));
    assert_eq!(word(&params.tenant), "lights");
    assert_eq!(word(&params.message_task_id), "t-1");
    assert_eq!(word(&params.message_context_id), "c-1");
    assert_eq!(params.reference_task_ids.len(), 1);
    assert_eq!((params.role, params.parts, params.message_id_present), (Some(Role::User), 3, true));
    assert_eq!(params.text.as_deref(), Some("switch on\nthe lamp"));
    assert_eq!((params.return_immediately, params.blocking, params.history_length), (Some(true), None, Some(3)));
    assert_eq!(params.push_config.unwrap().as_str(SEND.as_bytes()), r#"{"url": "https://c.example/"}"#);
    let routing = params.routing.as_ref().unwrap();
    assert_eq!((routing.skill_id.as_deref(), routing.zone.as_deref()), (Some("lights.set"), Some("kitchen")));
    assert_eq!(routing.labels, [("device".into(), "lamp".into())]);
    assert!(routing.intent);
    assert_eq!(params.task(Operation::Send), params.message_task_id.as_ref());
}

#[test]
fn a_send_of_0_3_is_understood() {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"message/send","params":{"message":{"kind":"message","messageId":"m",
        "taskId":"t","role":"user","parts":[{"kind":"text","text":"hi"}]},"configuration":{"blocking":false,
        "pushNotificationConfig":{"url":"u"},"acceptedOutputModes":[]}}}"#;
    let peek = rpc(body);
    let params = &peek.members;
    assert_eq!(peek.id.bytes(body.as_bytes()), b"7");
    assert_eq!((params.role, params.blocking, params.parts), (Some(Role::User), Some(false), 1));
    assert!(params.push_config.is_some() && params.wrong.is_none());
    assert_eq!(params.text.as_deref(), Some("hi"));
}

#[test]
fn the_0_3_proto_and_snake_case_are_understood() {
    let body =
        br#"{"request":{"message_id":"m","task_id":"t","context_id":"c","role":"ROLE_USER","content":[{"text":"hi"}]},
        "configuration":{"push_notification":{"url":"u"},"history_length":"5"}}"#;
    let peek = params(body, &LIMITS, true).unwrap();
    assert_eq!((word(&peek.message_task_id), word(&peek.message_context_id)), ("t", "c"));
    assert_eq!((peek.parts, peek.history_length, peek.text.as_deref()), (1, Some(5), Some("hi")));
    assert!(peek.push_config.is_some() && peek.message_id_present && peek.wrong.is_none());
}

#[test]
fn each_operation_finds_its_task() {
    let task = |body: &str, operation| {
        let peek = params(body.as_bytes(), &LIMITS, false).unwrap();
        peek.task(operation).map(|(text, _)| text.to_string())
    };
    assert_eq!(task(r#"{"id":"t"}"#, Operation::Get).as_deref(), Some("t"));
    assert_eq!(task(r#"{"name":"tasks/t"}"#, Operation::Cancel).as_deref(), Some("tasks/t"));
    assert_eq!(task(r#"{"taskId":"t","id":"config"}"#, Operation::PushGet).as_deref(), Some("t"));
    assert_eq!(task(r#"{"id":"t","pushNotificationConfigId":"c"}"#, Operation::PushGet).as_deref(), Some("t"));
    assert_eq!(task(r#"{"id":"t"}"#, Operation::Send), None);
    assert_eq!(task(r#"{"id":""}"#, Operation::Get), None);
    assert_eq!(task(r#"{"id":null}"#, Operation::Get), None);
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let message = |members: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{{"message":{{{members}}}}}}}"#)
    };
    for members in [
        r#""taskId":"mine","taskId":"theirs""#,
        r#""taskId":"mine","task\u0049d":"theirs""#,
        r#""taskId":"mine","task_id":"theirs""#,
        r#""taskId":null,"task_id":"theirs""#,
        r#""taskId":"mine","TASKID":"theirs""#,
        r#""parts":[{"text":"a","text":"b"}]"#,
        r#""metadata":{"a":{"b":1,"\u0062":2}}"#,
    ] {
        assert_eq!(refused(&message(members)).code, Code::DuplicateKey, "{members}");
    }
    for members in
        [r#""TaskID":"theirs""#, r#""ta\u017fkId":"theirs""#, r#""taſkId":"theirs""#, r#""parts":[{"Text":"a"}]"#]
    {
        let problem = refused(&message(members));
        assert_eq!(problem.code, Code::InvalidParams, "{members}");
        assert!(problem.fields[0].description.contains("must be spelled"));
    }
    for body in [
        r#"{"message":{},"request":{}}"#,
        r#"{"id":"a","Id":"b"}"#,
        r#"{"configuration":{"pushNotificationConfig":{},"taskPushNotificationConfig":{}}}"#,
        r#"{"tenant":"a","message":{},"tenant":"b"}"#,
    ] {
        assert_eq!(params(body.as_bytes(), &LIMITS, false).unwrap_err().code, Code::DuplicateKey, "{body}");
    }
    assert_eq!(refused(r#"{"method":"GetTask","method":"CancelTask"}"#).code, Code::DuplicateKey);
    assert_eq!(refused(r#"{"method":"GetTask","METHOD":"CancelTask"}"#).code, Code::DuplicateKey);
    // Names that nobody judges may be alike.
    rpc(&message(r#""metadata":{"taskId":1,"task_id":2,"TASKID":3},"parts":[{"data":{"Text":1,"text":2}}]"#));
}

#[test]
fn what_is_no_request_is_refused_by_its_kind() {
    for (body, code) in [
        ("", Code::BodyNotJson),
        ("{", Code::BodyNotJson),
        (r#"{"id":1}x"#, Code::BodyNotJson),
        ("[]", Code::BatchRefused),
        (r#"[{"jsonrpc":"2.0"}]"#, Code::BatchRefused),
        ("[1", Code::BodyNotJson),
        ("5", Code::NotARequest),
        (r#"{"id":{}}"#, Code::NotARequest),
        (r#"{"id":true}"#, Code::NotARequest),
        (r#"{"x":1,"x":1}"#, Code::DuplicateKey),
    ] {
        assert_eq!(refused(body).code, code, "{body}");
    }
    let deep = format!(r#"{{"params":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(refused(&deep).code, Code::TooDeep);
    assert_eq!(request(b"{\"a\":\"\xff\"}", &LIMITS, false).unwrap_err().code, Code::BodyNotUtf8);
}

#[test]
fn ids_keep_their_type() {
    for id in ["1", "-1.5e3", "\"a\\n\"", "null"] {
        let body = format!(r#"{{"id": {id} }}"#);
        assert_eq!(rpc(&body).id.bytes(body.as_bytes()), id.as_bytes());
    }
    assert_eq!(rpc("{}").id, RpcId::Absent);
    assert_eq!(RpcId::Absent.bytes(b"{}"), b"null");
}

#[test]
fn wrong_values_are_told_all_at_once_and_the_id_is_still_known() {
    let body = r#"{"id":9,"params":{"id":5,"historyLength":-1,"configuration":{"returnImmediately":"yes","historyLength":1.5},
        "message":{"role":"ROLE_CAT","parts":[1,{"text":2}],"taskId":[],"referenceTaskIds":["a",2],"metadata":[]}}}"#;
    let peek = rpc(body);
    assert_eq!(peek.id.bytes(body.as_bytes()), b"9");
    let problem = peek.members.accepted().unwrap_err();
    assert_eq!(problem.code, Code::InvalidParams);
    let fields: Vec<_> = problem.fields.iter().map(|violation| violation.field.as_str()).collect();
    let expected = "id historyLength configuration.returnImmediately configuration.historyLength message.role \
        message.parts message.parts.text message.taskId message.referenceTaskIds message.metadata";
    assert_eq!(fields.join(" "), expected);
    assert_eq!(rpc(r#"{"id":9,"params":[]}"#).members.accepted().unwrap_err().fields[0].field, "params");
}

#[test]
fn too_many_parts_are_counted_and_refused() {
    let parts = [r#"{"text":"x"}"#; 11].join(",");
    let body = format!(r#"{{"message":{{"parts":[{parts}]}}}}"#);
    let limits = Limits { parts: 10, ..LIMITS };
    let peek = params(body.as_bytes(), &limits, false).unwrap();
    assert_eq!((peek.parts, peek.accepted().unwrap_err().code), (11, Code::TooManyParts));
    assert_eq!(params(body.as_bytes(), &LIMITS, false).unwrap().accepted(), Ok(()));
}

#[test]
fn the_text_stops_at_four_kilobytes_and_between_characters() {
    let body = format!(r#"{{"message":{{"parts":[{{"text":"x{}"}},{{"text":"more"}}]}}}}"#, "é".repeat(3000));
    let text = params(body.as_bytes(), &LIMITS, true).unwrap().text.unwrap();
    assert_eq!(text.len(), TEXT_BYTES - 1);
    assert_eq!(params(body.as_bytes(), &LIMITS, false).unwrap().text, None);
}

fn answer(body: &str) -> AnswerPeek {
    answer_rpc(body.as_bytes(), &LIMITS).unwrap()
}

fn garbage(body: &str) {
    assert_eq!(answer_rpc(body.as_bytes(), &LIMITS).unwrap_err().code, Code::AgentGarbage, "{body}");
}

#[test]
fn a_task_is_found_in_every_dialect() {
    let task = r#"{"id":"t-1","contextId":"c-1","status":{"state":"STATE","message":{"taskId":"t-1","parts":[]}},
        "history":[{"taskId":"t-1","referenceTaskIds":["t-0"]}],"artifacts":[{"artifactId":"a","parts":[]}]KIND}"#;
    for (frame, kind, state) in [
        (r#"{"jsonrpc":"2.0","id":1,"result":{"task":TASK}}"#, "", "TASK_STATE_WORKING"),
        (r#"{"jsonrpc":"2.0","id":1,"result":TASK}"#, "", "TASK_STATE_WORKING"),
        (r#"{"jsonrpc":"2.0","result":TASK,"id":1}"#, r#","kind":"task""#, "working"),
    ] {
        let body = frame.replace("TASK", &task.replace("STATE", state).replace("KIND", kind));
        let peek = answer(&body);
        let Answer::Task(found) = peek.body else { panic!("{body}") };
        assert_eq!((&*found.id.0, found.context_id.as_deref()), ("t-1", Some("c-1")));
        assert_eq!(found.state, TaskState::Working, "{body}");
        assert_eq!(peek.wrapped, frame.contains("\"task\""));
        let value: Value = serde_json::from_str(found.whole.as_str(body.as_bytes())).unwrap();
        assert_eq!(value["id"], "t-1");
        let mentions: Vec<_> = found.mentions.iter().map(|span| span.as_str(body.as_bytes())).collect();
        assert_eq!(mentions, ["\"t-1\"", "\"t-1\"", "\"t-0\""]);
    }
}

#[test]
fn events_are_found_in_every_dialect() {
    let peek = answer(
        r#"{"result":{"statusUpdate":{"taskId":"t","contextId":"c","status":{"state":"TASK_STATE_COMPLETED"}}}}"#,
    );
    let Answer::StatusUpdate(update) = peek.body else { panic!() };
    assert_eq!((&*update.task_id.0, update.state, update.is_final), ("t", Some(TaskState::Completed), false));

    let peek =
        answer(r#"{"result":{"kind":"status-update","taskId":"t","status":{"state":"input-required"},"final":true}}"#);
    let Answer::StatusUpdate(update) = peek.body else { panic!() };
    assert_eq!((update.state, update.is_final), (Some(TaskState::InputRequired), true));

    let peek = answer(r#"{"result":{"artifactUpdate":{"taskId":"t","artifact":{"artifactId":"a"},"lastChunk":true}}}"#);
    let Answer::ArtifactUpdate(update) = peek.body else { panic!() };
    assert_eq!((update.state, &*update.task_id.0), (None, "t"));

    for body in
        [r#"{"result":{"message":{"messageId":"m","taskId":"t"}}}"#, r#"{"result":{"kind":"message","taskId":"t"}}"#]
    {
        let Answer::Message(message) = answer(body).body else { panic!() };
        assert_eq!(word(&message.task_id), "t");
    }
}

#[test]
fn errors_and_other_results_are_told_apart() {
    let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"no"}}"#;
    let peek = answer(body);
    assert_eq!(peek.error.unwrap().as_str(body.as_bytes()), r#"{"code":-32001,"message":"no"}"#);
    assert!(answer(r#"{"result":null,"error":{"code":1}}"#).error.is_some());
    for other in [r#"{"tasks":[]}"#, "null", r#"{"id":"c","taskId":"t","url":"u"}"#, r#"{"kind":"novel","id":"x"}"#] {
        let peek = answer(&format!(r#"{{"result":{other}}}"#));
        assert_eq!((peek.body, peek.error), (Answer::Other, None), "{other}");
    }
}

#[test]
fn garbage_is_the_agents_fault() {
    for body in [
        "<html>",
        "[]",
        "{}",
        r#"{"result":{},"error":{}}"#,
        r#"{"result":{"task":{"id":"t","id":"u","status":{}}}}"#,
        r#"{"result":{"task":{"status":{}}}}"#,
        r#"{"result":{"task":{"id":"t"},"message":{}}}"#,
        r#"{"result":{"task":{"id":"t"},"id":"u","status":{}}}"#,
        r#"{"result":{"statusUpdate":{"status":{}}}}"#,
        r#"{"result":{"statusUpdate":{"taskId":"a","task_id":"b"}}}"#,
    ] {
        garbage(body);
    }
}

#[test]
fn bare_answers_are_what_was_asked_for() {
    let bare = |body: &str, operation| answer_bare(body.as_bytes(), &LIMITS, operation);
    let task = r#"{"id":"t","status":{"state":5}}"#;
    assert!(matches!(
        bare(task, Operation::Get).unwrap().body,
        Answer::Task(TaskPeek { state: TaskState::Canceled, .. })
    ));
    assert!(matches!(bare(&format!(r#"{{"task":{task}}}"#), Operation::Send).unwrap().body, Answer::Task(_)));
    assert!(matches!(bare(r#"{"msg":{"messageId":"m"}}"#, Operation::Send).unwrap().body, Answer::Message(_)));
    assert_eq!(bare(&format!(r#"{{"task":{task}}}"#), Operation::Get).unwrap_err().code, Code::AgentGarbage);
    assert_eq!(bare(task, Operation::List).unwrap().body, Answer::Other);
    assert_eq!(bare("[]", Operation::List).unwrap_err().code, Code::AgentGarbage);
    assert!(bare(r#"{"error":{"code":404,"status":"NOT_FOUND"}}"#, Operation::Get).unwrap().error.is_some());
}

/// Writes a value with escapes and white space wherever `choices` wants them.
fn write(value: &Value, choices: &mut dyn Iterator<Item = u8>, out: &mut String) {
    let pad = |out: &mut String, choices: &mut dyn Iterator<Item = u8>| {
        out.push_str(["", "", "", " ", "\n\t"][usize::from(choices.next().unwrap_or(0) % 5)]);
    };
    pad(out, choices);
    match value {
        Value::String(text) => write_string(text, choices, out),
        Value::Array(elements) => {
            out.push('[');
            for (n, element) in elements.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                write(element, choices, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (n, (key, member)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                pad(out, choices);
                write_string(key, choices, out);
                pad(out, choices);
                out.push(':');
                write(member, choices, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    pad(out, choices);
}

fn write_string(text: &str, choices: &mut dyn Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if choices.next().is_some_and(|choice| choice % 7 == 0) || c == '"' || c == '\\' || c < ' ' {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

const POOL: [&str; 26] = [
    "tenant",
    "id",
    "taskId",
    "task_id",
    "TASKID",
    "message",
    "request",
    "configuration",
    "historyLength",
    "messageId",
    "contextId",
    "context_id",
    "role",
    "parts",
    "metadata",
    "text",
    "blocking",
    "returnImmediately",
    "kind",
    "status",
    "state",
    "final",
    "task",
    "statusUpdate",
    "jsonrpc",
    "method",
];

fn body() -> impl Strategy<Value = (Value, String)> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..9i64).prop_map(Value::from),
        "[ab\"\\\\é😀\n]{0,3}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            4 => prop::collection::vec((prop::sample::select(&POOL[..]), inner), 0..5)
                .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()),
        ]
    });
    (value, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(value, choices)| {
        let mut text = String::new();
        write(&value, &mut choices.into_iter().cycle(), &mut text);
        (value, text)
    })
}

/// The text that every ProtoJSON reader sees under one of the names.
fn seen(object: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| object.get(name)?.as_str()).filter(|text| !text.is_empty()).map(Into::into)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_peek_sees_what_a_whole_parse_sees((value, text) in body()) {
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
        if let Ok(peek) = params(text.as_bytes(), &LIMITS, false) {
            let message = value.get("message").or(value.get("request")).filter(|m| m.is_object()).cloned().unwrap_or(json!({}));
            let located = |found: &Option<Located>| found.as_ref().map(|(text, _)| text.to_string());
            prop_assert_eq!(located(&peek.tenant), seen(&value, &["tenant"]));
            prop_assert_eq!(located(&peek.id), seen(&value, &["id"]));
            prop_assert_eq!(located(&peek.task_id), seen(&value, &["taskId", "task_id"]));
            prop_assert_eq!(located(&peek.message_task_id), seen(&message, &["taskId", "task_id"]));
            prop_assert_eq!(located(&peek.message_context_id), seen(&message, &["contextId", "context_id"]));
            prop_assert_eq!(peek.message_id_present, seen(&message, &["messageId"]).is_some());
            prop_assert_eq!(peek.parts as usize, message.get("parts").and_then(Value::as_array).map_or(0, Vec::len));
            for (word, span) in [&peek.tenant, &peek.id, &peek.task_id, &peek.message_task_id].into_iter().flatten() {
                prop_assert_eq!(serde_json::from_str::<String>(span.as_str(text.as_bytes())).unwrap(), word.to_string());
            }
        }
    }

    #[test]
    fn exchanging_an_id_changes_nothing_else((value, text) in body()) {
        let body = Bytes::from(text);
        if let Ok(peek) = params(&body, &LIMITS, false)
            && let Some((_, span)) = &peek.message_task_id
        {
            let forwarded = splice(&body, &mut [(*span, crate::json::quote("ours\"\n"))]);
            let mut expected = value;
            let message = if expected.get("message").is_some() { "message" } else { "request" };
            let name = if expected[message].get("taskId").is_some() { "taskId" } else { "task_id" };
            expected[message][name] = json!("ours\"\n");
            prop_assert_eq!(serde_json::from_slice::<Value>(&forwarded).unwrap(), expected);
            let again = params(&forwarded, &LIMITS, false).unwrap().message_task_id;
            prop_assert_eq!(again.map(|(text, _)| text.to_string()), Some("ours\"\n".to_owned()));
        }
    }

    #[test]
    fn a_request_is_accepted_only_if_it_checks((_, text) in body(), cut: prop::sample::Index) {
        let whole = text.as_bytes();
        for body in [whole, &whole[..cut.index(whole.len() + 1)]] {
            if request(body, &LIMITS, true).is_ok() || params(body, &LIMITS, true).is_ok() {
                prop_assert!(crate::json::check(body, &LIMITS).is_ok());
            }
            if answer_rpc(body, &LIMITS).is_ok() || answer_bare(body, &LIMITS, Operation::Send).is_ok() {
                prop_assert!(crate::json::check(body, &LIMITS).is_ok());
            }
        }
    }

    #[test]
    fn an_answer_says_what_a_whole_parse_says((value, text) in body()) {
        if let Ok(peek) = answer_bare(text.as_bytes(), &LIMITS, Operation::Stream)
            && let Answer::Task(task) = &peek.body
        {
            let whole: Value = serde_json::from_str(task.whole.as_str(text.as_bytes())).unwrap();
            prop_assert_eq!(Some(&whole), if peek.wrapped { value.get("task") } else { Some(&value) });
            prop_assert_eq!(Some(&*task.id.0), whole["id"].as_str());
            prop_assert_eq!(serde_json::from_str::<String>(task.id.1.as_str(text.as_bytes())).unwrap(), task.id.0.to_string());
        }
    }
}
