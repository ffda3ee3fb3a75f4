//! Golden looks of every kind in every binding and version, and the way back.

use moongate_core::{Code, Kind};
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::a2a::grpc::rpc::Status;

/// One code for each kind, in the order of the table.
fn one_of_each_kind() -> Vec<Code> {
    table::LOOKS.iter().map(|look| *Code::ALL.iter().find(|code| code.kind() == look.kind).unwrap()).collect()
}

fn rpc(problem: &Problem, version: Version) -> Value {
    let response: Value = serde_json::from_slice(&to_jsonrpc(problem, version, b"1")).unwrap();
    assert_eq!((&response["jsonrpc"], &response["id"]), (&json!("2.0"), &json!(1)));
    response["error"].clone()
}

fn http(problem: &Problem, version: Version) -> (u16, Value) {
    let (status, body) = to_http(problem, version);
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn every_kind_looks_as_the_table_of_the_specification_says() {
    let golden = [
        // kind, reason, JSON-RPC, gRPC, HTTP, AIP-193 status
        "TaskNotFound TASK_NOT_FOUND -32001 5 404 NOT_FOUND a2a-protocol.org",
        "TaskNotCancelable TASK_NOT_CANCELABLE -32002 9 400 FAILED_PRECONDITION a2a-protocol.org",
        "PushNotificationNotSupported PUSH_NOTIFICATION_NOT_SUPPORTED -32003 9 400 FAILED_PRECONDITION a2a-protocol.org",
        "UnsupportedOperation UNSUPPORTED_OPERATION -32004 9 400 FAILED_PRECONDITION a2a-protocol.org",
        "ContentTypeNotSupported CONTENT_TYPE_NOT_SUPPORTED -32005 3 400 INVALID_ARGUMENT a2a-protocol.org",
        "InvalidAgentResponse INVALID_AGENT_RESPONSE -32006 13 500 INTERNAL a2a-protocol.org",
        "ExtendedAgentCardNotConfigured EXTENDED_AGENT_CARD_NOT_CONFIGURED -32007 9 400 FAILED_PRECONDITION a2a-protocol.org",
        "ExtensionSupportRequired EXTENSION_SUPPORT_REQUIRED -32008 9 400 FAILED_PRECONDITION a2a-protocol.org",
        "VersionNotSupported VERSION_NOT_SUPPORTED -32009 9 400 FAILED_PRECONDITION a2a-protocol.org",
        "Parse PARSE_ERROR -32700 3 400 INVALID_ARGUMENT a2a-protocol.org",
        "Request INVALID_REQUEST -32600 3 400 INVALID_ARGUMENT a2a-protocol.org",
        "Method METHOD_NOT_FOUND -32601 12 404 UNIMPLEMENTED a2a-protocol.org",
        "Params INVALID_PARAMS -32602 3 400 INVALID_ARGUMENT a2a-protocol.org",
        "Internal INTERNAL_ERROR -32603 13 500 INTERNAL a2a-protocol.org",
        "Unauthenticated UNAUTHENTICATED -32600 16 401 UNAUTHENTICATED moongate",
        "Forbidden PERMISSION_DENIED -32600 7 403 PERMISSION_DENIED moongate",
        "NotFound NOT_FOUND -32602 5 404 NOT_FOUND moongate",
        "MethodNotAllowed METHOD_NOT_ALLOWED -32601 12 405 UNIMPLEMENTED moongate",
        "Conflict CONFLICT -32600 10 409 ABORTED moongate",
        "TooLarge TOO_LARGE -32600 8 413 RESOURCE_EXHAUSTED moongate",
        "Overloaded OVERLOADED -32603 8 429 RESOURCE_EXHAUSTED moongate",
        "Unavailable UNAVAILABLE -32603 14 503 UNAVAILABLE moongate",
        "Timeout TIMEOUT -32603 4 504 DEADLINE_EXCEEDED moongate",
    ];
    let looks: Vec<String> = table::LOOKS
        .iter()
        .map(|look| {
            let Some(code) = Code::ALL.iter().find(|code| code.kind() == look.kind) else {
                panic!("no code has the kind {:?}", look.kind);
            };
            let problem = Problem::new(*code, "detail");
            let error = rpc(&problem, Version::V1);
            let info = &error["data"][0];
            let (status, body) = http(&problem, Version::V1);
            assert_eq!(body["error"]["code"], status);
            assert_eq!(body["error"]["details"], error["data"]);
            assert_eq!((&error["message"], &body["error"]["message"]), (&json!("detail"), &json!("detail")));
            assert_eq!(info["metadata"]["code"], code.to_string());
            let grpc = to_grpc(&problem, Version::V1);
            let decoded = Status::decode(&*grpc.details).unwrap();
            assert_eq!((decoded.code, decoded.message.as_str()), (i32::from(grpc.code), "detail"));
            assert_eq!(
                decoded.details.iter().map(any::from_any).collect::<Vec<_>>(),
                *error["data"].as_array().unwrap()
            );
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            format!(
                "{:?} {} {} {} {status} {} {}",
                look.kind,
                text(&info["reason"]),
                error["code"],
                grpc.code,
                text(&body["error"]["status"]),
                text(&info["domain"]),
            )
        })
        .collect();
    assert_eq!(looks, golden);
}

#[test]
fn every_kind_looks_to_0_3_as_its_sdk_makes_it() {
    let golden = [
        "TaskNotFoundError -32001 5 404",
        "TaskNotCancelableError -32002 12 409",
        "PushNotificationNotSupportedError -32003 12 501",
        "UnsupportedOperationError -32004 12 501",
        "ContentTypeNotSupportedError -32005 12 415",
        "InvalidAgentResponseError -32006 13 502",
        "ExtendedAgentCardNotConfiguredError -32007 9 404",
        "InternalError -32603 9 400",
        "InvalidRequestError -32600 9 400",
        "JSONParseError -32700 3 400",
        "InvalidRequestError -32600 3 400",
        "MethodNotFoundError -32601 12 404",
        "InvalidParamsError -32602 3 400",
        "InternalError -32603 13 500",
        "InvalidRequestError -32600 16 401",
        "InvalidRequestError -32600 7 403",
        "InvalidParamsError -32602 5 404",
        "MethodNotFoundError -32601 12 405",
        "InvalidRequestError -32600 10 409",
        "InvalidRequestError -32600 8 413",
        "InternalError -32603 8 429",
        "InternalError -32603 14 503",
        "InternalError -32603 4 504",
    ];
    let looks: Vec<String> = one_of_each_kind()
        .into_iter()
        .map(|code| {
            let problem = Problem::new(code, "detail");
            let error = rpc(&problem, Version::V03);
            assert_eq!(error["data"]["reason"], table::look(code.kind()).reason);
            let (status, body) = http(&problem, Version::V03);
            assert_eq!((&body["message"], &body["error"]["code"]), (&json!("detail"), &json!(status)));
            let grpc = to_grpc(&problem, Version::V03);
            let name = body["type"].as_str().unwrap();
            assert_eq!(grpc.message, format!("{name}: detail"));
            assert_eq!(Status::decode(&*grpc.details).unwrap().message, grpc.message);
            format!("{name} {} {} {status}", error["code"], grpc.code)
        })
        .collect();
    assert_eq!(looks, golden);
}

/// What an agent's error of this kind becomes here.
fn expected_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Unauthenticated | Kind::Forbidden => Kind::InvalidAgentResponse,
        Kind::NotFound => Kind::Params,
        Kind::Conflict => Kind::Request,
        Kind::MethodNotAllowed => Kind::UnsupportedOperation,
        other => other,
    }
}

#[test]
fn errors_of_1_0_are_recognised_whatever_binding_they_came_by() {
    for code in one_of_each_kind() {
        let problem = Problem::new(code, "said").field("message.parts", "must not be empty");
        let (status, body) = to_http(&problem, Version::V1);
        let grpc = to_grpc(&problem, Version::V1);
        for back in [
            from_jsonrpc(&rpc(&problem, Version::V1)),
            from_http(status, &body),
            from_grpc(grpc.code, &grpc.message, &grpc.details),
        ] {
            assert_eq!(back.kind(), expected_kind(code.kind()), "{code:?}");
            if back.reported.is_some() {
                assert_eq!(back.detail, "said");
                assert_eq!(back.fields, problem.fields);
                let error = rpc(&back, Version::V1);
                assert_eq!(error["data"], rpc(&problem, Version::V1)["data"], "{code:?}");
            }
        }
    }
}

#[test]
fn errors_of_0_3_are_recognised_without_details() {
    for code in one_of_each_kind().into_iter().filter(|code| table::look(code.kind()).standard) {
        let look = table::look(code.kind());
        if look.old.0 != look.rpc {
            continue;
        }
        let from_rpc = from_jsonrpc(&json!({"code": look.rpc, "message": "m", "data": null}));
        let from_rest = from_http(400, json!({"type": look.name, "message": "m"}).to_string().as_bytes());
        let from_grpc = from_grpc(2, &format!("{}: m", look.name), b"");
        for back in [from_rpc, from_rest, from_grpc] {
            assert_eq!((back.kind(), &*back.detail), (code.kind(), "m"), "{code:?}");
            assert_eq!(back.reported.unwrap().code, look.rpc);
        }
    }
}

#[test]
fn statuses_of_0_3_servers_that_send_only_a_message_are_understood() {
    for (status, message, code) in [
        (404, "Task not found", Code::TaskNotFound),
        (409, "Task cannot be canceled", Code::TaskNotCancelable),
        (501, "Push Notification is not supported", Code::PushNotOffered),
        (501, "This operation is not supported", Code::NotOffered),
        (415, "Incompatible content types", Code::UnsupportedContentType),
        (502, "Invalid agent response", Code::AgentGarbage),
        (404, "Authenticated Extended Card is not configured", Code::ExtendedCardNotOffered),
        (422, "Invalid parameters", Code::InvalidParams),
        (500, "Internal error", Code::AgentFailed),
    ] {
        let problem = from_http(status, json!({"message": message}).to_string().as_bytes());
        assert_eq!((problem.code, &*problem.detail), (code, message));
    }
}

#[test]
fn answers_that_explain_nothing_are_judged_by_their_status() {
    for (status, body, code) in [
        (404, "<html>", Code::NotOffered),
        (405, "", Code::NotOffered),
        (401, "", Code::AgentRefusedUs),
        (403, "{}", Code::AgentRefusedUs),
        (429, "slow down", Code::AgentOverloaded),
        (500, "", Code::AgentFailed),
        (502, "<html>", Code::AgentUnreachable),
        (503, "{}", Code::AgentUnreachable),
        (504, "", Code::AgentTimeout),
        (302, "", Code::AgentGarbage),
        (413, "", Code::BodyTooLarge),
    ] {
        assert_eq!(from_http(status, body.as_bytes()).code, code, "{status} {body}");
    }
    for (status, code) in [
        (1, Code::AgentClosed),
        (2, Code::AgentFailed),
        (3, Code::InvalidParams),
        (4, Code::AgentTimeout),
        (5, Code::TaskNotFound),
        (7, Code::AgentRefusedUs),
        (8, Code::AgentOverloaded),
        (9, Code::NotOffered),
        (12, Code::NotOffered),
        (13, Code::AgentFailed),
        (14, Code::AgentUnreachable),
        (16, Code::AgentRefusedUs),
        (99, Code::AgentFailed),
    ] {
        assert_eq!(from_grpc(status, "why", b"").code, code, "{status}");
    }
}

#[test]
fn the_reason_counts_before_code_and_status() {
    let info = json!({"@type": any::ERROR_INFO, "reason": "UNSUPPORTED_OPERATION", "domain": "a2a-protocol.org"});
    // An agent of 1.0.0, whose table said UNIMPLEMENTED and 501, behind a proxy that says 400.
    let body = json!({"error": {"code": 400, "message": "m", "details": [info]}}).to_string();
    assert_eq!(from_http(400, body.as_bytes()).code, Code::NotOffered);
    assert_eq!(from_jsonrpc(&json!({"code": -32603, "message": "m", "data": [info]})).code, Code::NotOffered);
    let other = json!({"@type": any::ERROR_INFO, "reason": "TASK_NOT_FOUND", "domain": "example.com"});
    assert_eq!(from_jsonrpc(&json!({"code": -32603, "message": "m", "data": [other, info]})).code, Code::NotOffered);
    assert_eq!(from_jsonrpc(&json!({"code": -32603, "message": "m", "data": [other]})).code, Code::TaskNotFound);
}

#[test]
fn errors_of_a2a_over_mqtt_are_told_apart_by_their_name() {
    for (name, code) in [
        ("request_expired", Code::AgentTimeout),
        ("responder_unavailable", Code::AgentUnreachable),
        ("transport_protocol_error", Code::AgentGarbage),
        ("something_else", Code::PushNotOffered),
    ] {
        let error = json!({"code": -32003, "message": "m", "data": {"a2a_error": name}});
        assert_eq!(from_jsonrpc(&error).code, code, "{name}");
    }
}

#[test]
fn an_agents_own_error_passes_with_its_code_message_and_details() {
    let details = json!([
        {"@type": any::ERROR_INFO, "reason": "OUT_OF_INK", "domain": "printer.example", "metadata": {"tray": "2"}},
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "https://x"}]},
    ]);
    let problem = from_jsonrpc(&json!({"code": -32050, "message": "no ink", "data": details}));
    assert_eq!(problem.code, Code::AgentFailed);
    assert_eq!(rpc(&problem, Version::V1), json!({"code": -32050, "message": "no ink", "data": details}));
    let (status, body) = http(&problem, Version::V1);
    assert_eq!((status, &body["error"]["details"]), (500, &details));
    let grpc = to_grpc(&problem, Version::V1);
    let through = from_grpc(grpc.code, &grpc.message, &grpc.details);
    assert_eq!(rpc(&through, Version::V1)["data"], details);
    // 0.3 does not know the code.
    let old = rpc(&problem, Version::V03);
    assert_eq!((&old["code"], &old["data"]["reason"]), (&json!(-32603), &json!("OUT_OF_INK")));
    assert_eq!(old["data"]["details"], json!([details[1]]));
}

#[test]
fn free_form_data_of_old_agents_is_kept() {
    for data in [json!({"why": "ink"}), json!("ink")] {
        let problem = from_jsonrpc(&json!({"code": -32001, "message": "gone", "data": data}));
        assert_eq!(rpc(&problem, Version::V03), json!({"code": -32001, "message": "gone", "data": data}));
        let new = rpc(&problem, Version::V1);
        assert_eq!(new["data"][0]["reason"], "TASK_NOT_FOUND");
        assert_eq!(new["data"][0]["metadata"]["code"], "MG-0601");
        assert_eq!(new["data"][1]["value"], data);
        assert!(new["data"][1]["@type"].as_str().unwrap().starts_with("type.googleapis.com/google.protobuf."));
    }
}

#[test]
fn errors_that_0_3_does_not_know_go_by_those_that_it_knows() {
    let agent = from_jsonrpc(&json!({"code": -32008, "message": "declare it"}));
    assert_eq!(agent.code, Code::ExtensionRequired);
    assert_eq!(rpc(&agent, Version::V1)["code"], -32008);
    assert_eq!(rpc(&agent, Version::V03)["code"], -32603);
    let agent = from_jsonrpc(&json!({"code": -32009, "message": "too new"}));
    assert_eq!(rpc(&agent, Version::V03)["code"], -32600);
}

#[test]
fn violations_become_a_bad_request() {
    let problem = Problem::new(Code::InvalidParams, "wrong").field("message.parts", "must not be empty");
    let expected = json!({
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": "message.parts", "description": "must not be empty"}],
    });
    assert_eq!(rpc(&problem, Version::V1)["data"][1], expected);
    assert_eq!(http(&problem, Version::V1).1["error"]["details"][1], expected);
    assert_eq!(rpc(&problem, Version::V03)["data"]["details"], json!([expected]));
}

#[test]
fn some_codes_have_words_of_their_own() {
    let skill = rpc(&Problem::new(Code::NoSkill, "which?"), Version::V1);
    assert_eq!((&skill["code"], &skill["data"][0]["reason"]), (&json!(-32602), &json!("NO_SKILL")));
    assert_eq!(from_jsonrpc(&skill).code, Code::NoSkill);
}

#[test]
fn what_only_the_log_may_see_is_never_written() {
    let ours = Problem::new(Code::AgentUnreachable, "it is away").inside("10.1.2.3:99 refused");
    let agents = from_grpc(14, "connect to 10.1.2.3:99 failed", b"");
    assert_eq!(agents.inside.as_deref(), Some("connect to 10.1.2.3:99 failed"));
    for problem in [ours, agents] {
        for version in Version::ALL {
            let grpc = to_grpc(&problem, version);
            let written = [
                to_jsonrpc(&problem, version, b"1").to_vec(),
                to_http(&problem, version).1.to_vec(),
                grpc.message.into_bytes(),
                grpc.details.to_vec(),
            ];
            assert!(written.iter().all(|bytes| !String::from_utf8_lossy(bytes).contains("10.1.2.3")));
        }
    }
}

#[test]
fn ids_come_back_as_they_are() {
    let problem = Problem::new(Code::UnknownMethod, "m");
    for (id, expected) in
        [(&b"7"[..], json!(7)), (b"\"a\\u0062\"", json!("ab")), (b"null", json!(null)), (b"", json!(null))]
    {
        let response: Value = serde_json::from_slice(&to_jsonrpc(&problem, Version::V1, id)).unwrap();
        assert_eq!(response["id"], expected);
    }
}

#[test]
fn an_error_that_is_none_is_the_agents_fault() {
    for error in [json!(null), json!("x"), json!({"message": "m"}), json!({"code": "x"})] {
        assert_eq!(from_jsonrpc(&error).code, Code::AgentGarbage, "{error}");
    }
    assert_eq!(from_jsonrpc(&json!({"code": -32001.0})).code, Code::TaskNotFound);
}
