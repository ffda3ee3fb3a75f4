//! The codecs against themselves, against the generated prost types, and against what generators get wrong.

use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;

/// The types that prost generates from the same proto files.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
mod oracle {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/lf.a2a.v1.rs"));
    }
    pub mod v0_3 {
        include!(concat!(env!("OUT_DIR"), "/a2a.v1.rs"));
    }
}

/// Reads and writes bytes by the generated type of a request or an answer.
fn through_oracle(operation: Operation, version: Version, answer: bool, bytes: &[u8]) -> Vec<u8> {
    macro_rules! again {
        ($request:ty, $answer:ty) => {
            if answer {
                <$answer>::decode(bytes).unwrap().encode_to_vec()
            } else {
                <$request>::decode(bytes).unwrap().encode_to_vec()
            }
        };
    }
    use oracle::{v0_3, v1};
    match (version, operation) {
        (Version::V1, Operation::Send) => again!(v1::SendMessageRequest, v1::SendMessageResponse),
        (Version::V1, Operation::Stream) => again!(v1::SendMessageRequest, v1::StreamResponse),
        (Version::V1, Operation::Get) => again!(v1::GetTaskRequest, v1::Task),
        (Version::V1, Operation::List) => again!(v1::ListTasksRequest, v1::ListTasksResponse),
        (Version::V1, Operation::Cancel | Operation::Pause | Operation::Resume) => {
            again!(v1::CancelTaskRequest, v1::Task)
        }
        (Version::V1, Operation::Subscribe) => again!(v1::SubscribeToTaskRequest, v1::StreamResponse),
        (Version::V1, Operation::PushCreate) => again!(v1::TaskPushNotificationConfig, v1::TaskPushNotificationConfig),
        (Version::V1, Operation::PushGet) => {
            again!(v1::GetTaskPushNotificationConfigRequest, v1::TaskPushNotificationConfig)
        }
        (Version::V1, Operation::PushList) => {
            again!(v1::ListTaskPushNotificationConfigsRequest, v1::ListTaskPushNotificationConfigsResponse)
        }
        (Version::V1, Operation::PushDelete) => again!(v1::DeleteTaskPushNotificationConfigRequest, ()),
        (Version::V1, Operation::ExtendedCard) => again!(v1::GetExtendedAgentCardRequest, v1::AgentCard),
        (Version::V03, Operation::Send) => again!(v0_3::SendMessageRequest, v0_3::SendMessageResponse),
        (Version::V03, Operation::Stream) => again!(v0_3::SendMessageRequest, v0_3::StreamResponse),
        (Version::V03, Operation::Get) => again!(v0_3::GetTaskRequest, v0_3::Task),
        (Version::V03, Operation::List | Operation::Pause | Operation::Resume) => unreachable!("0.3 has no such rpc"),
        (Version::V03, Operation::Cancel) => again!(v0_3::CancelTaskRequest, v0_3::Task),
        (Version::V03, Operation::Subscribe) => again!(v0_3::TaskSubscriptionRequest, v0_3::StreamResponse),
        (Version::V03, Operation::PushCreate) => {
            again!(v0_3::CreateTaskPushNotificationConfigRequest, v0_3::TaskPushNotificationConfig)
        }
        (Version::V03, Operation::PushGet) => {
            again!(v0_3::GetTaskPushNotificationConfigRequest, v0_3::TaskPushNotificationConfig)
        }
        (Version::V03, Operation::PushList) => {
            again!(v0_3::ListTaskPushNotificationConfigRequest, v0_3::ListTaskPushNotificationConfigResponse)
        }
        (Version::V03, Operation::PushDelete) => again!(v0_3::DeleteTaskPushNotificationConfigRequest, ()),
        (Version::V03, Operation::ExtendedCard) => again!(v0_3::GetAgentCardRequest, v0_3::AgentCard),
    }
}

/// A value for every field of a message, made from the schema; `variant` chooses among the members of a oneof.
fn sample(schema: &'static Message, variant: usize) -> Value {
    let mut object = serde_json::Map::new();
    for field in schema.fields {
        if let Some(oneof) = field.oneof {
            let members: Vec<_> = schema.fields.iter().filter(|other| other.oneof == Some(oneof)).collect();
            if members[variant % members.len()].number != field.number {
                continue;
            }
        }
        use crate::a2a::schema::{Kind, Shape};
        let one = |extra: usize| match field.kind {
            Kind::Text => json!(format!("{} {extra}", field.json)),
            Kind::Bytes => json!("AP+A"),
            Kind::Bool => json!(true),
            Kind::Int32 => json!(-5),
            Kind::Choice(choices) => json!(choices.values[1 + variant % (choices.values.len() - 1)].1),
            Kind::Message(inner) => sample(inner, variant + extra),
            Kind::Struct => json!({"a": [1, -2.5, "x", null, true, {"b": {}}], "c": []}),
            Kind::Value => {
                [json!({"k": [0]}), json!([]), json!("s"), json!(7), json!(false), json!(null)][variant % 6].clone()
            }
            Kind::Timestamp => json!("2026-03-12T09:30:00.125Z"),
        };
        let value = match field.shape {
            Shape::One => one(0),
            Shape::Many => json!([one(0), one(1), one(2), one(3)]),
            Shape::Map => json!({"key": one(0)}),
        };
        object.insert(field.json.to_owned(), value);
    }
    Value::Object(object)
}

#[test]
fn every_message_survives_and_agrees_with_the_generated_types() {
    for version in Version::ALL {
        for operation in Operation::ALL {
            let Some(schemas) = messages(operation, version) else { continue };
            for variant in 0..8 {
                let request = sample(schemas.request, variant);
                let bytes = encode_request(operation, version, &request).unwrap();
                let again = through_oracle(operation, version, false, &bytes);
                assert_eq!(decode_request(operation, version, &bytes).unwrap(), request, "{operation:?}");
                assert_eq!(decode_request(operation, version, &again).unwrap(), request, "{operation:?}");

                let answer = sample(schemas.answer, variant);
                let bytes = encode_response(operation, version, &answer).unwrap();
                let again = through_oracle(operation, version, true, &bytes);
                assert_eq!(decode_response(operation, version, &bytes).unwrap(), answer, "{operation:?}");
                assert_eq!(decode_response(operation, version, &again).unwrap(), answer, "{operation:?}");
            }
        }
    }
}

#[test]
fn empty_messages_agree_with_the_generated_types() {
    for version in Version::ALL {
        for operation in Operation::ALL.into_iter().filter(|operation| messages(*operation, version).is_some()) {
            let value = decode_request(operation, version, b"").unwrap();
            assert_eq!(encode_request(operation, version, &value).unwrap(), "", "{operation:?}");
            let value = decode_response(operation, version, b"").unwrap();
            assert_eq!(encode_response(operation, version, &value).unwrap(), "", "{operation:?}");
        }
    }
}

#[test]
fn there_is_no_list_in_0_3() {
    let problem = encode_request(Operation::List, Version::V03, &json!({})).unwrap_err();
    assert_eq!(problem.code, Code::NotOffered);
}

/// Encodes and decodes one task of 1.0.
fn task(value: Value) -> Value {
    let bytes = encode_response(Operation::Get, Version::V1, &value).unwrap();
    decode_response(Operation::Get, Version::V1, &bytes).unwrap()
}

#[test]
fn required_members_show_even_when_they_hold_the_default() {
    let decode = |operation, bytes: &[u8]| decode_response(operation, Version::V1, bytes).unwrap().to_string();
    assert_eq!(decode(Operation::List, b""), r#"{"tasks":[],"nextPageToken":"","pageSize":0,"totalSize":0}"#);
    assert_eq!(decode(Operation::PushList, b""), r#"{"configs":[]}"#);
    assert_eq!(decode(Operation::PushDelete, b""), "{}");
    assert_eq!(
        decode(Operation::ExtendedCard, b""),
        r#"{"name":"","description":"","supportedInterfaces":[],"version":"","defaultInputModes":[],"defaultOutputModes":[],"skills":[]}"#
    );
    assert_eq!(
        task(json!({"status": {}, "artifacts": [{}], "contextId": ""})).to_string(),
        r#"{"id":"","status":{"state":"TASK_STATE_UNSPECIFIED"},"artifacts":[{"artifactId":"","parts":[]}]}"#
    );
}

#[test]
fn null_is_as_good_as_absent_but_for_data() {
    let value = json!({
        "id": "t", "status": {"state": 3, "message": null, "timestamp": null}, "artifacts": null, "metadata": null,
        "history": [{"messageId": "m", "role": 2, "parts": [{"data": null, "text": null}], "extensions": null}],
    });
    assert_eq!(
        task(value),
        json!({
            "id": "t", "status": {"state": "TASK_STATE_COMPLETED"},
            "history": [{"messageId": "m", "role": "ROLE_AGENT", "parts": [{"data": null}]}],
        })
    );
}

#[test]
fn the_presence_of_optional_members_is_kept() {
    for value in [json!({"id": "t"}), json!({"id": "t", "historyLength": 0}), json!({"id": "t", "historyLength": 5})] {
        let bytes = encode_request(Operation::Get, Version::V1, &value).unwrap();
        assert_eq!(decode_request(Operation::Get, Version::V1, &bytes).unwrap(), value);
    }
    for capabilities in [json!({}), json!({"streaming": false}), json!({"streaming": true, "extendedAgentCard": false})]
    {
        let card = json!({"capabilities": capabilities, "documentationUrl": ""});
        let bytes = encode_response(Operation::ExtendedCard, Version::V1, &card).unwrap();
        let back = decode_response(Operation::ExtendedCard, Version::V1, &bytes).unwrap();
        assert_eq!((&back["capabilities"], &back["documentationUrl"]), (&capabilities, &json!("")));
    }
    let text = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": ""}]});
    let bytes = encode_event(Version::V1, &json!({"message": text})).unwrap();
    assert_eq!(decode_event(Version::V1, &bytes).unwrap(), json!({"message": text}));
}

#[test]
fn other_spellings_are_read_and_unknown_members_left_out() {
    let value = json!({
        "id": "t", "context_id": "c", "x": {"y": 1},
        "status": {"state": "TASK_STATE_WORKING", "timestamp": "2024-05-01T08:00:00.123456+02:00"},
        "artifacts": [{"artifact_id": "a", "parts": [{"raw": "_-8", "kind": "file"}, {"raw": "/+8="}]}],
    });
    assert_eq!(
        task(value).to_string(),
        json!({
            "id": "t", "contextId": "c",
            "status": {"state": "TASK_STATE_WORKING", "timestamp": "2024-05-01T06:00:00.123456Z"},
            "artifacts": [{"artifactId": "a", "parts": [{"raw": "/+8="}, {"raw": "/+8="}]}],
        })
        .to_string()
    );
    let list = json!({"page_size": "7", "history_length": 2.0, "include_artifacts": true});
    let bytes = encode_request(Operation::List, Version::V1, &list).unwrap();
    assert_eq!(
        decode_request(Operation::List, Version::V1, &bytes).unwrap(),
        json!({"pageSize": 7, "historyLength": 2, "includeArtifacts": true})
    );
}

#[test]
fn whole_numbers_stay_whole_and_fractions_stay_fractions() {
    let metadata = json!({"a": 1, "b": -0.5, "c": 1e300, "d": 9_007_199_254_740_992_u64, "e": -3.0, "f": 0});
    let back = task(json!({"id": "t", "metadata": metadata}));
    assert_eq!(back["metadata"].to_string(), r#"{"a":1,"b":-0.5,"c":1e+300,"d":9007199254740992,"e":-3,"f":0}"#);
}

#[test]
fn the_0_3_dialect_keeps_its_names() {
    let task = json!({
        "id": "t", "contextId": "c",
        "status": {"state": "TASK_STATE_CANCELLED", "message": {"messageId": "m", "content": [
            {"data": {"data": {"k": 1}}}, {"file": {"fileWithBytes": "AA==", "mimeType": "a/b", "name": "n"}},
        ]}},
    });
    let bytes = encode_response(Operation::Get, Version::V03, &task).unwrap();
    assert_eq!(decode_response(Operation::Get, Version::V03, &bytes).unwrap(), task);
    // The SDK's clients write the names of the proto file.
    let request = json!({"request": {"message_id": "m", "content": [{"text": "hi"}]}});
    let bytes = encode_request(Operation::Send, Version::V03, &request).unwrap();
    assert_eq!(
        decode_request(Operation::Send, Version::V03, &bytes).unwrap(),
        json!({"message": {"messageId": "m", "content": [{"text": "hi"}]}})
    );
    assert_eq!(decode_request(Operation::Get, Version::V03, b"").unwrap(), json!({"name": ""}));
}

#[test]
fn values_that_do_not_fit_are_named() {
    let fault = |value| {
        let problem = encode_request(Operation::Send, Version::V1, &value).unwrap_err();
        assert_eq!(problem.code, Code::InvalidParams);
        problem.fields.first().map(|field| format!("{}: {}", field.field, field.description)).unwrap_or_default()
    };
    let part = |part: Value| fault(json!({"message": {"parts": [{"text": "ok"}, part]}}));
    assert_eq!(part(json!({"text": 5})), "message.parts[1].text: must be a text, not a number");
    assert_eq!(part(json!({"text": "a", "url": "b"})), "message.parts[1]: has both `text` and `url`");
    assert_eq!(part(json!("x")), "message.parts[1]: must be an object, not a text");
    assert_eq!(fault(json!({"message": {"role": "user"}})), "message.role: \"user\" is no Role");
    assert_eq!(
        fault(json!({"message": {"taskId": "a", "task_id": "a"}})),
        "message.taskId: is there twice, also as `task_id`"
    );
    assert_eq!(fault(json!({"message": {"parts": {}}})), "message.parts: must be an array, not an object");
    assert_eq!(fault(json!([])), "");
    let problem = encode_response(Operation::Get, Version::V1, &json!({"status": 1})).unwrap_err();
    assert_eq!(problem.code, Code::AgentGarbage);
    assert_eq!(problem.detail, "the Task cannot be translated: status must be an object, not a number");
}

#[test]
fn bytes_that_could_be_read_in_two_ways_are_refused() {
    let get = |bytes: &[u8]| decode_request(Operation::Get, Version::V1, bytes);
    let id = b"\x12\x01t";
    assert_eq!(get(id).unwrap(), json!({"id": "t"}));
    assert!(get(&[&id[..], b"\x12\x01u"].concat()).unwrap_err().detail.contains("id is there twice"));
    // Two members of one oneof: a part that is text and URL.
    let part = b"\x0a\x01a\x1a\x01b";
    let message = [b"\x2a", &[part.len() as u8][..], part].concat();
    let request = [b"\x12", &[message.len() as u8][..], &message].concat();
    let problem = decode_request(Operation::Send, Version::V1, &request).unwrap_err();
    assert_eq!(problem.code, Code::MalformedFrame);
    assert!(problem.detail.contains("message.parts[0] has both `text` and `url`"), "{}", problem.detail);
    // The same key twice in a Struct: metadata {a, a}.
    let entry = b"\x0a\x05\x0a\x01a\x12\x00";
    let metadata = [b"\x1a\x0e", &entry[..], entry].concat();
    let problem = decode_request(Operation::Cancel, Version::V1, &metadata).unwrap_err();
    assert!(problem.detail.contains("metadata.a is there twice"), "{}", problem.detail);
}

#[test]
fn broken_bytes_are_refused() {
    for bytes in [
        &b"\x12"[..],
        b"\x12\x05t",
        b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x10\x01",
        b"\x12\x01\xff",
        b"\x00",
        b"\x0b",
        b"\x18",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ] {
        let problem = decode_request(Operation::Get, Version::V1, bytes).unwrap_err();
        assert_eq!(problem.code, Code::MalformedFrame, "{bytes:?}");
        let problem = decode_response(Operation::PushCreate, Version::V1, b"\x12\x05t").unwrap_err();
        assert_eq!(problem.code, Code::AgentGarbage);
    }
    // Unknown fields of every wire type are passed over.
    let unknown = b"\xa0\x06\x01\xa1\x06\0\0\0\0\0\0\0\0\xa2\x06\x01x\xa5\x06\0\0\0\0\x12\x01t";
    assert_eq!(decode_request(Operation::Get, Version::V1, unknown).unwrap(), json!({"id": "t"}));
}

#[test]
fn nesting_has_an_end() {
    let mut value = json!(1);
    for _ in 0..90 {
        value = json!([value]);
    }
    let metadata = |value: &Value| json!({"id": "t", "metadata": {"deep": value}});
    assert_eq!(task(metadata(&value)), metadata(&value));
    for _ in 0..20 {
        value = json!([value]);
    }
    let problem = encode_response(Operation::Get, Version::V1, &metadata(&value)).unwrap_err();
    assert!(problem.detail.contains("nested too deeply"));
    // Value → ListValue → Value, a thousand times over.
    let mut bytes = Vec::new();
    for _ in 0..1000 {
        let list = [&[0x0a][..], &varint(bytes.len()), &bytes].concat();
        bytes = [&[0x32][..], &varint(list.len()), &list].concat();
    }
    assert!(decode_value(&bytes, &Place::Root, 0).is_err());
}

fn varint(value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(value as u64, &mut out);
    out
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has neither", |x| x.is_finite() && x.fract() != 0.0).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_survives(data in any_json()) {
        let value = json!({"id": "t", "metadata": {"k": data}, "history": [
            {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"data": data}]},
        ]});
        prop_assert_eq!(task(value.clone()), value);
    }

    #[test]
    fn what_can_be_read_can_be_written_and_read_again(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in Version::ALL {
            if let Ok(value) = decode_event(version, &bytes) {
                // An enum number that the schema lacks is shown as a number and cannot be written.
                if let Ok(bytes) = encode_event(version, &value) {
                    prop_assert_eq!(decode_event(version, &bytes).unwrap(), value);
                }
            }
        }
    }
}
