//! What the pairs of the Python SDK do not show: other peers' habits, refusals, and the gateway's own rules.

use moongate_core::{Code, Operation, Problem};
use moongate_wire::a2a::legacy::{
    Style, V1_KEY, V03_KEY, cut_history, event_from_v1, event_to_v1, request_from_v1, request_to_v1, result_from_v1,
    result_to_v1,
};
use serde_json::{Value, json};

fn field(problem: &Problem) -> &str {
    &problem.fields[0].field
}

fn status_update(state: &str) -> Value {
    json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": state}}})
}

#[test]
fn final_is_true_wherever_an_old_client_should_stop_reading() {
    for (state, wanted) in [
        ("TASK_STATE_SUBMITTED", false),
        ("TASK_STATE_WORKING", false),
        ("TASK_STATE_INPUT_REQUIRED", true),
        ("TASK_STATE_AUTH_REQUIRED", true),
        ("TASK_STATE_COMPLETED", true),
        ("TASK_STATE_FAILED", true),
        ("TASK_STATE_CANCELED", true),
        ("TASK_STATE_REJECTED", true),
    ] {
        let event = event_from_v1(Style::Kind, status_update(state), false).unwrap();
        assert_eq!(event["final"], wanted, "{state}");
        let event = event_from_v1(Style::Proto, status_update(state), false).unwrap();
        assert_eq!(event["statusUpdate"]["final"], wanted, "{state}");
    }
    let event = event_from_v1(Style::Kind, status_update("TASK_STATE_WORKING"), true).unwrap();
    assert_eq!(event["final"], true);
}

#[test]
fn final_from_an_old_agent_says_that_the_stream_ends_and_leaves_no_trace() {
    let event = json!({"kind": "status-update", "taskId": "t", "contextId": "c", "final": true,
        "status": {"state": "working"}});
    let event = event_to_v1(Style::Kind, event).unwrap();
    assert!(event.last);
    assert_eq!(event.value, status_update("TASK_STATE_WORKING"));
}

#[test]
fn events_without_kind_are_told_by_their_members() {
    for (event, member) in [
        (json!({"id": "t", "contextId": "c", "status": {"state": "working"}}), "task"),
        (json!({"messageId": "m", "role": "agent", "parts": []}), "message"),
        (json!({"taskId": "t", "contextId": "c", "status": {"state": "working"}}), "statusUpdate"),
        (json!({"taskId": "t", "contextId": "c", "artifact": {"artifactId": "a", "parts": []}}), "artifactUpdate"),
    ] {
        let event = event_to_v1(Style::Kind, event).unwrap();
        assert!(event.value.get(member).is_some(), "{}", event.value);
    }
}

#[test]
fn kind_json_is_read_where_proto_json_was_promised() {
    let body = json!({
        "message": {"kind": "message", "messageId": "m", "role": "user", "parts": [
            {"kind": "data", "data": {"data": {"x": 1}}},
            {"kind": "file", "file": {"bytes": "aGk="}},
        ]},
        "configuration": {"pushNotificationConfig": {"url": "https://hook.example/"}},
    });
    assert_eq!(Style::of_rest_body(&body), Style::Kind);
    let params = request_to_v1(Operation::Send, Style::Proto, body).unwrap();
    assert_eq!(params["message"]["parts"][0], json!({"data": {"data": {"x": 1}}}));
    assert_eq!(params["message"]["parts"][1], json!({"raw": "aGk="}));
    assert_eq!(params["configuration"], json!({"taskPushNotificationConfig": {"url": "https://hook.example/"}}));
    let task = json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "canceled"}});
    let result = result_to_v1(Operation::Send, Style::Proto, task).unwrap();
    assert_eq!(result["task"]["status"]["state"], "TASK_STATE_CANCELED");
}

#[test]
fn an_absent_blocking_is_false_in_proto_json_and_true_in_kind_json() {
    let message = json!({"messageId": "m", "role": "ROLE_USER", "content": [{"text": "hi"}]});
    assert_eq!(Style::of_rest_body(&json!({ "message": message.clone() })), Style::Proto);
    let params = json!({"message": message, "configuration": {}});
    let params = request_to_v1(Operation::Send, Style::Proto, params).unwrap();
    assert_eq!(params["configuration"], json!({"returnImmediately": true}));
    let message =
        json!({"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hi"}]});
    let params = json!({"message": message, "configuration": {}});
    let params = request_to_v1(Operation::Send, Style::Kind, params).unwrap();
    assert_eq!(params["configuration"], json!({}));
}

#[test]
fn bytes_are_read_from_sdks_that_encode_once_and_from_those_that_encode_twice() {
    for (given, wanted) in
        [("aGVsbG8gd29ybGQh", "aGVsbG8gd29ybGQh"), ("YUdWc2JHOD0=", "aGVsbG8="), ("__8", "//8="), ("", "")]
    {
        let message = json!({"messageId": "m", "role": "ROLE_AGENT", "content": [{"file": {"fileWithBytes": given}}]});
        let event = event_to_v1(Style::Proto, json!({ "message": message })).unwrap();
        assert_eq!(event.value["message"]["parts"][0]["raw"], wanted, "{given}");
    }
}

#[test]
fn faults_name_the_member_and_whose_fault_it_is() {
    let message = |part: Value| json!({"message": {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "a"}, part]}});
    for (params, path) in [
        (json!({}), "message"),
        (json!([]), ""),
        (message(json!({"kind": "video"})), "message.parts[1].kind"),
        (message(json!({"kind": "text"})), "message.parts[1].text"),
        (message(json!({"kind": "file", "file": {}})), "message.parts[1].file"),
        (message(json!({"kind": "file", "file": {"bytes": "?"}})), "message.parts[1].file.bytes"),
        (message(json!({"kind": "file", "file": {"bytes": "", "uri": "x"}})), "message.parts[1].file"),
        (message(json!({"kind": "data", "data": [1]})), "message.parts[1].data"),
        (message(json!({"kind": "text", "text": "a", "metadata": []})), "message.parts[1].metadata"),
        (json!({"message": {"messageId": "m", "parts": []}}), "message.role"),
        (json!({"message": {"messageId": "m", "role": "user"}}), "message.parts"),
        (json!({"message": {"messageId": "m", "role": "boss", "parts": []}}), "message.role"),
        (json!({"message": {"messageId": 1, "role": "user", "parts": []}}), "message.messageId"),
        (json!({"message": {"messageId": "m", "message_id": "n", "role": "user", "parts": []}}), "message.messageId"),
    ] {
        let problem = request_to_v1(Operation::Send, Style::Kind, params.clone()).unwrap_err();
        assert_eq!((problem.code, field(&problem)), (Code::InvalidParams, path), "{params}");
    }
    let task = json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "paused"}});
    let problem = result_to_v1(Operation::Get, Style::Kind, task).unwrap_err();
    assert_eq!((problem.code, field(&problem)), (Code::AgentGarbage, "status.state"));
    let task =
        json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "working", "timestamp": "noon"}});
    let problem = result_to_v1(Operation::Send, Style::Kind, task).unwrap_err();
    assert_eq!(field(&problem), "status.timestamp");
    let problem = result_to_v1(Operation::Send, Style::Kind, status_update("TASK_STATE_WORKING")).unwrap_err();
    assert_eq!(problem.code, Code::AgentGarbage);
}

#[test]
fn a_task_id_cannot_be_smuggled_past_the_peek_in_metadata() {
    let luggage = json!({V1_KEY: {"taskId": "theirs", "task_id": "theirs", "contextId": "theirs", "tenant": "x"}});
    let message =
        json!({"kind": "message", "messageId": "m", "role": "user", "parts": [], "metadata": luggage.clone()});
    let params = request_to_v1(Operation::Send, Style::Kind, json!({"message": message, "metadata": luggage})).unwrap();
    assert!(params.get("tenant").is_none());
    for name in ["taskId", "task_id", "contextId"] {
        assert!(params["message"].get(name).is_none(), "{name}");
    }
}

#[test]
fn members_that_only_an_old_agent_knows_come_back_to_old_clients() {
    let task = json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "working"}, "mood": "good"});
    let result = result_to_v1(Operation::Get, Style::Kind, task.clone()).unwrap();
    assert_eq!(result["metadata"], json!({V03_KEY: {"mood": "good"}}));
    assert_eq!(result_from_v1(Operation::Get, Style::Kind, result).unwrap(), task);
}

#[test]
fn tasks_are_named_by_id_or_resource_but_only_once() {
    for (style, params) in [
        (Style::Kind, json!({"id": "t", "metadata": {"a": 1}})),
        (Style::Proto, json!({"name": "tasks/t"})),
        (Style::Proto, json!({"name": "tasks/t", "id": "t"})),
        (Style::Proto, json!({"id": "t", "historyLength": "0"})),
    ] {
        assert_eq!(request_to_v1(Operation::Get, style, params).unwrap(), json!({"id": "t"}));
    }
    for params in
        [json!({"name": "tasks/t", "id": "u"}), json!({"name": "tasks/"}), json!({"name": "tasks/t/x"}), json!({})]
    {
        let problem = request_to_v1(Operation::Get, Style::Proto, params.clone()).unwrap_err();
        assert_eq!(problem.code, Code::InvalidParams, "{params}");
    }
    let problem = request_from_v1(Operation::Get, Style::Proto, json!({"id": "a/b"})).unwrap_err();
    assert_eq!(field(&problem), "id");
}

#[test]
fn push_configs_are_created_in_every_form_that_clients_send() {
    let nested = json!({"url": "https://hook.example/"});
    let wanted = json!({"id": "t", "url": "https://hook.example/", "taskId": "t"});
    for params in [
        json!({"taskId": "t", "pushNotificationConfig": nested.clone()}),
        json!({"parent": "tasks/t", "config": {"pushNotificationConfig": nested.clone()}}),
        json!({"parent": "tasks/t/pushNotificationConfigs", "pushNotificationConfig": nested.clone()}),
        json!({"parent": "tasks/t", "taskId": "t", "pushNotificationConfig": nested.clone()}),
    ] {
        assert_eq!(request_to_v1(Operation::PushCreate, Style::Proto, params.clone()).unwrap(), wanted, "{params}");
    }
    let params = json!({"parent": "tasks/t", "configId": "c", "config": {"pushNotificationConfig": nested.clone()}});
    assert_eq!(request_to_v1(Operation::PushCreate, Style::Proto, params).unwrap()["id"], "c");
    let params = json!({"parent": "tasks/t", "config": {"name": "tasks/u/pushNotificationConfigs/c", "pushNotificationConfig": nested}});
    assert!(request_to_v1(Operation::PushCreate, Style::Proto, params).is_err());
    let params = request_to_v1(Operation::PushGet, Style::Kind, json!({"id": "t"})).unwrap();
    assert_eq!(params, json!({"id": "t", "taskId": "t"}));
}

#[test]
fn a_config_inside_a_send_names_no_other_task() {
    let params = |task: &str| {
        json!({
            "message": {"messageId": "m", "taskId": "t", "role": "ROLE_USER", "parts": [{"text": "hi"}]},
            "configuration": {"taskPushNotificationConfig": {"taskId": task, "url": "https://hook.example/"}},
        })
    };
    let old = request_from_v1(Operation::Send, Style::Kind, params("t")).unwrap();
    assert_eq!(
        old["configuration"],
        json!({"pushNotificationConfig": {"url": "https://hook.example/"}, "blocking": true})
    );
    let problem = request_from_v1(Operation::Send, Style::Kind, params("u")).unwrap_err();
    assert_eq!(field(&problem), "configuration.taskPushNotificationConfig.taskId");
}

#[test]
fn no_history_at_all_is_asked_of_old_agents_as_one_message_and_then_cut() {
    let old = request_from_v1(Operation::Get, Style::Proto, json!({"id": "t", "historyLength": 0})).unwrap();
    assert_eq!(old, json!({"name": "tasks/t", "historyLength": 1}));
    // What is wrong is not made right on the way: it is refused where requests are judged.
    let old = request_from_v1(Operation::Get, Style::Proto, json!({"id": "t", "historyLength": -2})).unwrap();
    assert_eq!(old, json!({"name": "tasks/t", "historyLength": -2}));
    let mut result = json!({"task": {"id": "t", "history": [1, 2, 3]}});
    cut_history(&mut result, 2);
    assert_eq!(result, json!({"task": {"id": "t", "history": [2, 3]}}));
    cut_history(&mut result, 0);
    assert_eq!(result, json!({"task": {"id": "t"}}));
    let mut result = json!({"id": "t", "history": [1]});
    cut_history(&mut result, 5);
    assert_eq!(result, json!({"id": "t", "history": [1]}));
}

#[test]
fn numbers_and_snake_case_of_new_agents_are_understood() {
    let event = json!({"status_update": {"task_id": "t", "context_id": "c", "status": {"state": 6,
        "message": {"message_id": "m", "role": 2, "parts": [{"raw": "_w", "media_type": "a/b"}]}}}});
    let event = event_from_v1(Style::Kind, event, false).unwrap();
    assert_eq!(event["taskId"], "t");
    assert_eq!(event["final"], true);
    assert_eq!(event["status"]["state"], "input-required");
    let part = json!({"kind": "file", "file": {"bytes": "/w==", "mimeType": "a/b"}});
    assert_eq!(event["status"]["message"]["parts"][0], part);
}

#[test]
fn a_page_of_push_configs_that_is_not_the_last_cannot_be_told_over_old_json_rpc() {
    let page = json!({"configs": [], "nextPageToken": "more"});
    let problem = result_from_v1(Operation::PushList, Style::Kind, page.clone()).unwrap_err();
    assert_eq!(field(&problem), "nextPageToken");
    assert_eq!(result_from_v1(Operation::PushList, Style::Proto, page.clone()).unwrap(), page);
    assert_eq!(result_from_v1(Operation::PushDelete, Style::Kind, json!({})).unwrap(), Value::Null);
}

#[test]
fn the_extended_card_is_translated_too() {
    let old = json!({"name": "A", "description": "d", "version": "1", "url": "https://a.example/", "capabilities": {},
        "skills": [{"id": "s", "name": "S", "description": "d", "tags": []}], "default_input_modes": ["text/plain"]});
    let document = result_to_v1(Operation::ExtendedCard, Style::Kind, old).unwrap();
    assert_eq!(document["supportedInterfaces"][0]["protocolVersion"], "0.3");
    assert_eq!(document["defaultInputModes"], json!(["text/plain"]));
    let card = result_from_v1(Operation::ExtendedCard, Style::Kind, document).unwrap();
    assert_eq!(card["url"], "https://a.example/");
    let problem = result_to_v1(Operation::ExtendedCard, Style::Kind, json!({"name": "A"})).unwrap_err();
    assert_eq!(problem.code, Code::AgentGarbage);
}
