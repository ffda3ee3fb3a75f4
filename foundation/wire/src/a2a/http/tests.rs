//! Every operation there and back, and the paths that real clients send.

use serde_json::json;

use super::*;
use crate::a2a::operation::messages;

/// Params of each operation that an HTTP request can say in full.
fn samples(version: Version) -> Vec<(Operation, Value)> {
    let message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]});
    match version {
        Version::V1 => vec![
            (Operation::Send, json!({"message": message})),
            (Operation::Stream, json!({"message": message, "tenant": "li/ghts"})),
            (Operation::Get, json!({"id": "a b/c:cancel", "historyLength": 0})),
            (
                Operation::List,
                json!({
                    "tenant": "lights", "contextId": "c&d=e+f", "status": "TASK_STATE_INPUT_REQUIRED", "pageSize": 7,
                    "pageToken": "x%y", "historyLength": 2, "statusTimestampAfter": "2026-01-02T03:04:05.678Z",
                    "includeArtifacts": true,
                }),
            ),
            (Operation::Cancel, json!({"id": "t", "metadata": {"a": 1}})),
            (Operation::Subscribe, json!({"id": "urn:x:1", "tenant": "lights"})),
            (Operation::PushCreate, json!({"taskId": "t", "url": "https://x", "id": "c"})),
            (Operation::PushGet, json!({"taskId": "t", "id": "c:d"})),
            (Operation::PushList, json!({"taskId": "t", "pageSize": 3, "pageToken": "p"})),
            (Operation::PushDelete, json!({"tenant": "lights", "taskId": "t", "id": "c"})),
            (Operation::ExtendedCard, json!({"tenant": "lights"})),
            (Operation::Pause, json!({"id": "t"})),
            (Operation::Resume, json!({"id": "t", "metadata": {"a": 1}})),
        ],
        Version::V03 => vec![
            (Operation::Send, json!({"message": {"messageId": "m", "content": [{"text": "hi"}]}})),
            (Operation::Stream, json!({"message": {"messageId": "m"}})),
            (Operation::Get, json!({"name": "tasks/a b", "historyLength": 5})),
            (Operation::List, json!({"contextId": "c"})),
            (Operation::Cancel, json!({"name": "tasks/t"})),
            (Operation::Subscribe, json!({"name": "tasks/t:u"})),
            (
                Operation::PushCreate,
                json!({"parent": "tasks/t", "configId": "c", "config": {"pushNotificationConfig": {"url": "u"}}}),
            ),
            (Operation::PushGet, json!({"name": "tasks/t/pushNotificationConfigs/c"})),
            (Operation::PushList, json!({"parent": "tasks/t", "pageSize": 3})),
            (Operation::PushDelete, json!({"name": "tasks/t/pushNotificationConfigs/c"})),
            (Operation::ExtendedCard, json!({})),
        ],
    }
}

fn receive(parts: &HttpParts) -> (HttpCall, Value) {
    let (path, query) = match parts.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (parts.path.as_str(), None),
    };
    let call = parse(parts.method, path, query).unwrap();
    let body = parts.body.as_ref().map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
    let params = call.params(&body).unwrap();
    (call, params)
}

#[test]
fn every_operation_comes_back_as_it_was_sent() {
    for version in Version::ALL {
        let samples = samples(version);
        let expected = Operation::ALL
            .into_iter()
            .filter(|operation| messages(*operation, version).is_some() || *operation == Operation::List);
        assert_eq!(samples.iter().map(|sample| sample.0).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        for (operation, params) in samples {
            let parts = build(operation, version, params.clone()).unwrap();
            let (call, received) = receive(&parts);
            assert_eq!((call.operation, call.version, call.draft), (operation, version, false), "{}", parts.path);
            assert_eq!(received, params, "{} {}", parts.method, parts.path);
        }
    }
}

#[test]
fn requests_look_as_the_specification_says() {
    let made = |operation, version, params| {
        let parts = build(operation, version, params).unwrap();
        format!("{} {} {}", parts.method, parts.path, parts.body.unwrap_or_default())
    };
    let v1 = |operation, params| made(operation, Version::V1, params);
    let v03 = |operation, params| made(operation, Version::V03, params);
    assert_eq!(v1(Operation::Send, json!({"tenant": "a", "x": 1})), r#"POST /a/message:send {"x":1}"#);
    assert_eq!(v1(Operation::Get, json!({"id": "t/1", "historyLength": 3})), "GET /tasks/t%2F1?historyLength=3 null");
    assert_eq!(v1(Operation::List, json!({"tenant": ""})), "GET /tasks null");
    assert_eq!(v1(Operation::Cancel, json!({"id": "t"})), r#"POST /tasks/t:cancel {"id":"t"}"#);
    assert_eq!(v1(Operation::Subscribe, json!({"id": "t"})), "POST /tasks/t:subscribe null");
    assert_eq!(
        v1(Operation::PushDelete, json!({"taskId": "t", "id": "c"})),
        "DELETE /tasks/t/pushNotificationConfigs/c null"
    );
    assert_eq!(v1(Operation::ExtendedCard, json!({})), "GET /extendedAgentCard null");
    assert_eq!(v03(Operation::Send, json!({"x": 1})), r#"POST /v1/message:send {"x":1}"#);
    assert_eq!(v03(Operation::Get, json!({"name": "tasks/t"})), "GET /v1/tasks/t null");
    assert_eq!(v03(Operation::ExtendedCard, json!({})), "GET /v1/card null");
    assert_eq!(
        v03(Operation::PushCreate, json!({"parent": "tasks/t/pushNotificationConfigs"})),
        r#"POST /v1/tasks/t/pushNotificationConfigs {"parent":"tasks/t/pushNotificationConfigs"}"#
    );
}

#[test]
fn a_request_without_the_id_that_its_path_needs_is_not_made() {
    for version in Version::ALL {
        for operation in Operation::ALL {
            let needs =
                !matches!(operation, Operation::Send | Operation::Stream | Operation::List | Operation::ExtendedCard);
            assert_eq!(build(operation, version, json!({})).is_err(), needs, "{operation:?}");
            assert_eq!(build(operation, version, json!([])).unwrap_err().code, Code::InvalidParams);
        }
    }
    for name in ["t", "tasks/", "jobs/t"] {
        let problem = build(Operation::Get, Version::V03, json!({"name": name})).unwrap_err();
        assert_eq!(problem.fields[0].field, "name");
    }
}

#[test]
fn subscribing_goes_four_ways() {
    for (method, path) in [
        ("POST", "/tasks/t:subscribe"),
        ("GET", "/tasks/t:subscribe"),
        ("POST", "/tasks/t/subscribe"),
        ("GET", "/tasks/t/subscribe"),
    ] {
        let call = parse(method, path, None).unwrap();
        assert_eq!((call.operation, call.source), (Operation::Subscribe, Source::Query(json!({"id": "t"}))));
    }
    let call = parse("GET", "/v1/tasks/t:subscribe", None).unwrap();
    assert_eq!((call.version, call.source), (Version::V03, Source::Query(json!({"name": "tasks/t"}))));
}

#[test]
fn only_the_last_colon_and_only_a_known_verb_split_a_task() {
    let id = |method, path| match parse(method, path, None).unwrap() {
        HttpCall { operation, source: Source::Query(value), .. } => {
            (operation, value["id"].as_str().unwrap().to_owned())
        }
        HttpCall { operation, source: Source::BodyPlus(map), .. } => {
            (operation, map["id"].as_str().unwrap().to_owned())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(id("POST", "/tasks/a:b:cancel"), (Operation::Cancel, "a:b".into()));
    assert_eq!(id("GET", "/tasks/urn:uuid:1"), (Operation::Get, "urn:uuid:1".into()));
    assert_eq!(id("GET", "/tasks/x%3Acancel"), (Operation::Get, "x:cancel".into()));
    assert_eq!(id("GET", "/tasks/a%2Fb"), (Operation::Get, "a/b".into()));
}

#[test]
fn the_drafts_creation_of_a_task_is_a_send() {
    let call = parse("POST", "/tasks", None).unwrap();
    assert_eq!(call, HttpCall { operation: Operation::Send, version: Version::V1, source: Source::Body, draft: true });
    assert!(!parse("GET", "/tasks", None).unwrap().draft);
    assert_eq!(parse("POST", "/v1/tasks", None).unwrap_err().code, Code::HttpMethodNotAllowed);
}

#[test]
fn a_tenant_stands_before_any_path_of_1_0() {
    let call = parse("GET", "/lights/tasks", Some("pageSize=5")).unwrap();
    assert_eq!(call.source, Source::Query(json!({"tenant": "lights", "pageSize": 5})));
    let call = parse("POST", "/li%2Fghts/message:send", None).unwrap();
    assert_eq!(call.params(br#"{"message":{}}"#).unwrap(), json!({"message": {}, "tenant": "li/ghts"}));
    let problem = call.params(br#"{"tenant":"other"}"#).unwrap_err();
    assert_eq!((problem.code, problem.fields[0].field.as_str()), (Code::InvalidParams, "tenant"));
}

#[test]
fn a_tenant_called_as_other_paths_begin_is_not_lost() {
    for tenant in ["tasks", "v1"] {
        for (operation, mut params) in samples(Version::V1) {
            params["tenant"] = json!(tenant);
            let parts = build(operation, Version::V1, params.clone()).unwrap();
            let (call, received) = receive(&parts);
            assert_eq!((call.operation, call.version), (operation, Version::V1), "{}", parts.path);
            assert_eq!(received, params, "{} {}", parts.method, parts.path);
        }
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "",
        "/",
        "message:send",
        "/message:sent",
        "/message",
        "/tasks/",
        "/tasks/:cancel",
        "/tasks//subscribe",
        "/tasks/t/other",
        "/tasks/t/pushNotifications",
        "/v1",
        "/v1/extendedAgentCard",
        "/v1/lights/message:send",
        "/a/b/message:send",
        "/card",
        "//tasks",
        "/extendedAgentCard/",
    ] {
        assert_eq!(parse("GET", path, None).unwrap_err().code, Code::NoSuchPath, "{path}");
    }
}

#[test]
fn a_method_that_does_not_fit_names_those_that_do() {
    for (method, path, fitting) in [
        ("GET", "/message:send", "use POST"),
        ("GET", "/message:stream", "use POST"),
        ("PUT", "/tasks", "use GET or POST"),
        ("POST", "/tasks/t", "use GET"),
        ("GET", "/tasks/t:cancel", "use POST"),
        ("DELETE", "/tasks/t:subscribe", "use GET or POST"),
        ("DELETE", "/tasks/t/pushNotificationConfigs", "use GET or POST"),
        ("PUT", "/tasks/t/pushNotificationConfigs/c", "use GET or DELETE"),
        ("POST", "/extendedAgentCard", "use GET"),
        ("POST", "/v1/tasks/t", "use GET"),
    ] {
        let problem = parse(method, path, None).unwrap_err();
        assert_eq!(problem.code, Code::HttpMethodNotAllowed, "{method} {path}");
        assert!(problem.detail.ends_with(fitting), "{}", problem.detail);
    }
}

#[test]
fn query_parameters_have_the_types_of_their_members() {
    let read = |query| parse("GET", "/tasks", Some(query)).map(|call| call.source);
    let right = [
        ("historyLength=0", json!({"historyLength": 0})),
        ("history_length=2&page_size=9", json!({"historyLength": 2, "pageSize": 9})),
        ("includeArtifacts=false", json!({"includeArtifacts": false})),
        ("status=TASK_STATE_WORKING", json!({"status": "TASK_STATE_WORKING"})),
        ("status=3", json!({"status": "TASK_STATE_COMPLETED"})),
        ("statusTimestampAfter=2024-01-01T02:00:00+02:00", json!({"statusTimestampAfter": "2024-01-01T00:00:00.000Z"})),
        ("contextId=a+b%2B&A2A-Version=1.0&view=draft&&x", json!({"contextId": "a b+"})),
        ("pageSize=&pageToken=", json!({"pageToken": ""})),
        ("pageSize=5&pageSize=5", json!({"pageSize": 5})),
    ];
    for (query, expected) in right {
        assert_eq!(read(query).unwrap(), Source::Query(expected), "{query}");
    }
    for (query, field) in [
        ("historyLength=many", "historyLength"),
        ("pageSize=1.5", "pageSize"),
        ("pageSize=99999999999", "pageSize"),
        ("includeArtifacts=yes", "includeArtifacts"),
        ("status=working", "status"),
        ("status=77", "status"),
        ("statusTimestampAfter=now", "statusTimestampAfter"),
        ("contextId=%FF", "contextId"),
        ("pageSize=5&page_size=6", "pageSize"),
    ] {
        let problem = read(query).unwrap_err();
        assert_eq!((problem.code, problem.fields[0].field.as_str()), (Code::InvalidParams, field), "{query}");
    }
}

#[test]
fn a_query_cannot_change_what_the_path_says() {
    assert_eq!(parse("GET", "/tasks/t", Some("id=u")).unwrap_err().code, Code::InvalidParams);
    assert!(parse("GET", "/tasks/t", Some("id=t")).is_ok());
}

#[test]
fn bodies_are_read_with_the_members_of_the_path() {
    let call = parse("POST", "/tasks/t:cancel", None).unwrap();
    assert_eq!(call.params(b" \n").unwrap(), json!({"id": "t"}));
    assert_eq!(call.params(br#"{"id":"","metadata":{}}"#).unwrap(), json!({"id": "t", "metadata": {}}));
    assert_eq!(call.params(br#"{"id":"u"}"#).unwrap_err().code, Code::InvalidParams);
    assert_eq!(call.params(b"[]").unwrap_err().code, Code::InvalidParams);
    assert_eq!(call.params(b"{").unwrap_err().code, Code::BodyNotJson);
    let push = parse("POST", "/tasks/t/pushNotificationConfigs", None).unwrap();
    assert_eq!(push.params(br#"{"task_id":"t","url":"u"}"#).unwrap(), json!({"url": "u", "taskId": "t"}));
    assert_eq!(push.params(br#"{"task_id":"v"}"#).unwrap_err().code, Code::InvalidParams);
    let send = parse("POST", "/message:send", None).unwrap();
    assert_eq!(send.params(b"").unwrap_err().code, Code::BodyNotJson);
}

#[test]
fn a_0_3_push_config_may_be_bare_or_in_a_request() {
    for path in ["/v1/tasks/t/pushNotificationConfigs", "/v1/tasks/t/pushNotifications"] {
        let call = parse("POST", path, None).unwrap();
        let expected = json!({"config": {"pushNotificationConfig": {"url": "u"}}, "parent": "tasks/t"});
        assert_eq!(call.params(br#"{"pushNotificationConfig":{"url":"u"}}"#).unwrap(), expected);
        assert_eq!(call.params(br#"{"config":{"pushNotificationConfig":{"url":"u"}}}"#).unwrap(), expected);
        let named = br#"{"parent":"tasks/t","pushNotificationConfig":{"url":"u"}}"#;
        assert_eq!(call.params(named).unwrap(), expected);
        assert_eq!(call.params(br#"{"parent":"tasks/t"}"#).unwrap(), json!({"parent": "tasks/t"}));
        assert_eq!(call.params(br#"{"parent":"tasks/u"}"#).unwrap_err().code, Code::InvalidParams);
    }
}
