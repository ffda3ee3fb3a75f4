//! Any 1.0 value survives the way through 0.3 and back, in both of 0.3's forms.

use std::collections::BTreeMap;

use moongate_core::{Operation, TaskState};
use moongate_wire::a2a::legacy::{
    Style, V1_KEY, V03_KEY, event_from_v1, event_to_v1, request_from_v1, request_to_v1, result_from_v1, result_to_v1,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text() -> BoxedStrategy<String> {
    prop_oneof!["[a-z]{1,8}", "[ -~äß中文🚪\u{0}\n\"]{1,12}"].boxed()
}

fn id() -> BoxedStrategy<String> {
    "[A-Za-z0-9._~-]{1,12}".boxed()
}

fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::from), members(inner).prop_map(Value::Object)]
    })
    .boxed()
}

/// Objects, some with just the keys that the translation itself uses.
fn members(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Map<String, Value>> {
    let key = prop_oneof![
        4 => text(),
        1 => prop::sample::select(vec!["value", "data", "data_part_compat", "kind", "metadata", V1_KEY, V03_KEY])
            .prop_map(str::to_owned),
    ];
    btree_map(key, value, 0..4).prop_map(|map: BTreeMap<String, Value>| map.into_iter().collect()).boxed()
}

/// Metadata as a peer of ours that never travelled may have it: anything but a claim to have come from 0.3.
fn metadata() -> BoxedStrategy<Option<Value>> {
    option::of(members(any_json()).prop_map(|mut map| {
        map.shift_remove(V03_KEY);
        Value::Object(map)
    }))
    .boxed()
}

fn object(members: Vec<(&str, Option<Value>)>) -> Value {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
}

fn some(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

fn part() -> BoxedStrategy<Value> {
    let content = prop_oneof![
        text().prop_map(|text| ("text", Value::from(text))),
        "([A-Za-z0-9+/]{4}){0,5}".prop_map(|raw| ("raw", Value::from(raw))),
        text().prop_map(|url| ("url", Value::from(url))),
        any_json().prop_map(|data| ("data", data)),
        any_json().prop_map(|data| ("data", json!({ "value": data }))),
    ];
    let flag = option::weighted(0.2, any::<bool>());
    (content, metadata(), flag, option::of(text()), option::of(text()), option::of(any::<u8>()))
        .prop_map(|((name, content), mut metadata, flag, filename, media_type, unknown)| {
            if let (Some(flag), Some(metadata)) = (flag, &mut metadata) {
                metadata["data_part_compat"] = flag.into();
            }
            object(vec![
                (name, Some(content)),
                ("metadata", metadata),
                ("filename", filename.map(Value::from)),
                ("mediaType", media_type.map(Value::from)),
                ("sinceVersionTwo", unknown.map(Value::from)),
            ])
        })
        .boxed()
}

fn list(strings: Vec<String>) -> Option<Value> {
    (!strings.is_empty()).then(|| strings.into())
}

fn message() -> BoxedStrategy<Value> {
    let role = prop::sample::select(vec!["ROLE_USER", "ROLE_AGENT", "ROLE_UNSPECIFIED"]);
    (id(), option::of(id()), option::of(id()), role, vec(part(), 0..4), metadata(), vec(text(), 0..3), vec(id(), 0..3))
        .prop_map(|(id, context, task, role, parts, metadata, extensions, references)| {
            object(vec![
                ("messageId", some(id)),
                ("contextId", context.map(Value::from)),
                ("taskId", task.map(Value::from)),
                ("role", some(role)),
                ("parts", some(parts)),
                ("metadata", metadata),
                ("extensions", list(extensions)),
                ("referenceTaskIds", list(references)),
            ])
        })
        .boxed()
}

fn status() -> BoxedStrategy<Value> {
    let state = prop::sample::select(TaskState::ALL.to_vec());
    (state, option::of(message()), any::<bool>())
        .prop_map(|(state, message, timed)| {
            object(vec![
                ("state", some(state_name(state))),
                ("message", message),
                ("timestamp", timed.then(|| "2026-03-12T09:30:00.250Z".into())),
            ])
        })
        .boxed()
}

fn state_name(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "TASK_STATE_UNSPECIFIED",
        TaskState::Submitted => "TASK_STATE_SUBMITTED",
        TaskState::Working => "TASK_STATE_WORKING",
        TaskState::Completed => "TASK_STATE_COMPLETED",
        TaskState::Failed => "TASK_STATE_FAILED",
        TaskState::Canceled => "TASK_STATE_CANCELED",
        TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
        TaskState::Rejected => "TASK_STATE_REJECTED",
        TaskState::AuthRequired => "TASK_STATE_AUTH_REQUIRED",
    }
}

fn artifact() -> BoxedStrategy<Value> {
    (id(), option::of(text()), option::of(text()), vec(part(), 0..3), metadata(), vec(text(), 0..2))
        .prop_map(|(id, name, description, parts, metadata, extensions)| {
            object(vec![
                ("artifactId", some(id)),
                ("name", name.map(Value::from)),
                ("description", description.map(Value::from)),
                ("parts", some(parts)),
                ("metadata", metadata),
                ("extensions", list(extensions)),
            ])
        })
        .boxed()
}

fn task() -> BoxedStrategy<Value> {
    let values = |list: Vec<Value>| (!list.is_empty()).then(|| Value::from(list));
    (id(), option::of(id()), status(), vec(artifact(), 0..2), vec(message(), 0..2), metadata(), option::of(1..99_u64))
        .prop_map(move |(id, context, status, artifacts, history, metadata, generation)| {
            object(vec![
                ("id", some(id)),
                ("contextId", context.map(Value::from)),
                ("status", Some(status)),
                ("artifacts", values(artifacts)),
                ("history", values(history)),
                ("metadata", metadata),
                ("generation", generation.map(Value::from)),
            ])
        })
        .boxed()
}

fn event() -> BoxedStrategy<Value> {
    let status_update = (id(), id(), status(), metadata()).prop_map(|(task, context, status, metadata)| {
        object(vec![
            ("taskId", some(task)),
            ("contextId", some(context)),
            ("status", Some(status)),
            ("metadata", metadata),
        ])
    });
    let artifact_update = (id(), id(), artifact(), option::of(any::<bool>()), option::of(any::<bool>()), metadata())
        .prop_map(|(task, context, artifact, append, last, metadata)| {
            object(vec![
                ("taskId", some(task)),
                ("contextId", some(context)),
                ("artifact", Some(artifact)),
                ("append", append.map(Value::from)),
                ("lastChunk", last.map(Value::from)),
                ("metadata", metadata),
            ])
        });
    prop_oneof![
        task().prop_map(|task| json!({ "task": task })),
        message().prop_map(|message| json!({ "message": message })),
        status_update.prop_map(|update| json!({ "statusUpdate": update })),
        artifact_update.prop_map(|update| json!({ "artifactUpdate": update })),
    ]
    .boxed()
}

fn push_config() -> BoxedStrategy<Value> {
    (id(), text(), option::of(text()), option::of((text(), option::of(text()))))
        .prop_map(|(id, url, token, authentication)| {
            object(vec![
                ("id", some(id)),
                ("url", some(url)),
                ("token", token.map(Value::from)),
                (
                    "authentication",
                    authentication.map(|(scheme, credentials)| {
                        object(vec![("scheme", some(scheme)), ("credentials", credentials.map(Value::from))])
                    }),
                ),
            ])
        })
        .boxed()
}

fn task_push_config() -> BoxedStrategy<Value> {
    (push_config(), id())
        .prop_map(|(mut config, task)| {
            config["taskId"] = task.into();
            config
        })
        .boxed()
}

fn send() -> BoxedStrategy<Value> {
    let configuration = (vec(text(), 0..3), option::of(push_config()), option::of(1..1000_i32), any::<bool>())
        .prop_map(|(modes, push, length, at_once)| {
            object(vec![
                ("acceptedOutputModes", list(modes)),
                ("taskPushNotificationConfig", push),
                ("historyLength", length.map(Value::from)),
                ("returnImmediately", at_once.then(|| true.into())),
            ])
        });
    (message(), option::of(configuration), metadata())
        .prop_map(|(message, configuration, metadata)| {
            object(vec![("message", Some(message)), ("configuration", configuration), ("metadata", metadata)])
        })
        .boxed()
}

fn request() -> BoxedStrategy<(Operation, Value)> {
    let ids = || (id(), id()).prop_map(|(task, id)| json!({"taskId": task, "id": id}));
    prop_oneof![
        4 => send().prop_map(|params| (Operation::Send, params)),
        1 => (id(), option::of(1..99_i32)).prop_map(|(id, length)| {
            (Operation::Get, object(vec![("id", some(id)), ("historyLength", length.map(Value::from))]))
        }),
        1 => (id(), metadata()).prop_map(|(id, metadata)| {
            (Operation::Cancel, object(vec![("id", some(id)), ("metadata", metadata)]))
        }),
        1 => id().prop_map(|id| (Operation::Subscribe, json!({ "id": id }))),
        1 => task_push_config().prop_map(|params| (Operation::PushCreate, params)),
        1 => ids().prop_map(|params| (Operation::PushGet, params)),
        1 => ids().prop_map(|params| (Operation::PushDelete, params)),
        1 => (id(), option::of(1..99_i32), option::of(text())).prop_map(|(task, size, token)| {
            let params = vec![
                ("taskId", some(task)),
                ("pageSize", size.map(Value::from)),
                ("pageToken", token.map(Value::from)),
            ];
            (Operation::PushList, object(params))
        }),
    ]
    .boxed()
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Kind), Just(Style::Proto)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_survive_the_way_through_an_old_stream(event in event(), style in style(), last in any::<bool>()) {
        let old = event_from_v1(style, event.clone(), last).unwrap();
        let new = event_to_v1(style, old.clone()).unwrap();
        prop_assert_eq!(&new.value, &event, "by way of {}", old);
    }

    #[test]
    fn requests_survive_the_way_through_an_old_agent((operation, params) in request(), style in style()) {
        let old = request_from_v1(operation, style, params.clone()).unwrap();
        let new = request_to_v1(operation, style, old.clone()).unwrap();
        prop_assert_eq!(&new, &params, "by way of {}", old);
    }

    #[test]
    fn results_survive_the_way_through_an_old_agent(task in task(), config in task_push_config(), style in style()) {
        for (operation, result) in [
            (Operation::Get, task.clone()),
            (Operation::Cancel, task.clone()),
            (Operation::Send, json!({ "task": task.clone() })),
            (Operation::List, json!({"tasks": [task], "nextPageToken": "", "pageSize": 1, "totalSize": 1})),
            (Operation::PushGet, config.clone()),
            (Operation::PushList, json!({"configs": [config], "nextPageToken": ""})),
        ] {
            let old = result_from_v1(operation, style, result.clone()).unwrap();
            let new = result_to_v1(operation, style, old.clone()).unwrap();
            prop_assert_eq!(&new, &result, "by way of {}", old);
        }
    }

    #[test]
    fn any_json_is_translated_or_refused_but_never_breaks_us(value in any_json(), style in style()) {
        for operation in Operation::ALL {
            let _ = request_to_v1(operation, style, value.clone());
            let _ = request_from_v1(operation, style, value.clone());
            let _ = result_to_v1(operation, style, value.clone());
            let _ = result_from_v1(operation, style, value.clone());
        }
        let _ = event_from_v1(style, value.clone(), false);
        if let Ok(event) = event_to_v1(style, value) {
            prop_assert_eq!(event.value.as_object().unwrap().len(), 1);
        }
    }
}
