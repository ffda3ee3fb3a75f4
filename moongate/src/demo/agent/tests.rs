//! The agents on their own, without a gateway: they are only worth showing if they follow the protocol themselves.

use serde_json::json;

use super::environment::Environment;
use super::lighting::Lighting;
use super::refusal::Kind;
use super::security::Security;
use super::tasks::text;
use super::*;

fn asked(method: Method, path: &str, body: &Value) -> Asked {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Asked { method, path: path.into(), query: String::new(), version: "1.0".into(), body }
}

async fn answer<R: Role>(role: &Arc<R>, asked: Asked) -> (u16, Value) {
    match role.answer(asked).await {
        Answer::Json(status, value) => (status.as_u16(), value),
        Answer::Events(events) => (200, Value::Array(events.collect().await)),
    }
}

fn message(words: &str, role: &str) -> Value {
    json!({"message": {"messageId": "m", "role": role, "parts": [{"kind": "text", "text": words}]}})
}

async fn call<R: Role>(role: &Arc<R>, path: &str, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let (status, value) = answer(role, asked(Method::POST, path, &body)).await;
    assert_eq!(status, 200);
    value
}

async fn light(lamps: &Arc<Lighting>, params: &Value) -> (u16, Value) {
    answer(lamps, asked(Method::POST, "/message:send", params)).await
}

#[tokio::test]
async fn lamps_are_switched_by_room_by_zone_and_all_together() {
    let lamps = Arc::new(Lighting::default());
    let lit = |answer: &Value| {
        let lamps = answer.pointer("/task/artifacts/0/parts/0/data/lamps").unwrap().as_object().unwrap();
        lamps.iter().filter(|(_, lamp)| *lamp == "on").map(|(room, _)| room.clone()).collect::<Vec<_>>().join(" ")
    };
    let (_, off) = light(&lamps, &message("Switch all lights off!", "ROLE_USER")).await;
    assert_eq!(lit(&off), "");
    let (_, one) = light(&lamps, &message("living room on", "ROLE_USER")).await;
    assert_eq!(lit(&one), "living room");
    let mut by_zone = message("on", "ROLE_USER");
    by_zone["message"]["metadata"] = json!({moongate_a2a::call::SKILL_ROUTING: {"zone": "kitchen"}});
    let (_, two) = light(&lamps, &by_zone).await;
    assert_eq!(lit(&two), "kitchen living room");

    let id = text(&two, "/task/id");
    let (status, task) = answer(&lamps, asked(Method::GET, &format!("/tasks/{id}"), &Value::Null)).await;
    assert_eq!((status, &task), (200, &two["task"]));
    let (status, error) = answer(&lamps, asked(Method::POST, &format!("/tasks/{id}:cancel"), &Value::Null)).await;
    assert_eq!((status, text(&error, "/error/details/0/reason")), (400, "TASK_NOT_CANCELABLE"));
}

#[tokio::test]
async fn what_is_not_understood_changes_nothing() {
    let lamps = Arc::new(Lighting::default());
    let (_, vague) = light(&lamps, &message("do something nice", "ROLE_USER")).await;
    assert_eq!(text(&vague, "/task/status/state"), "TASK_STATE_REJECTED");
    for wrong in [json!({}), json!({"message": {"role": "ROLE_USER", "parts": []}}), message("off", "user")] {
        let (status, error) = light(&lamps, &wrong).await;
        assert_eq!((status, text(&error, "/error/details/0/reason")), (400, "INVALID_PARAMS"), "{wrong}");
    }
    let mut older = asked(Method::POST, "/message:send", &message("all lights off", "ROLE_USER"));
    older.version = "0.3".into();
    assert_eq!(answer(&lamps, older).await.0, 400);
    let (_, after) = light(&lamps, &message("which lights are on?", "ROLE_USER")).await;
    assert_eq!(text(&after, "/message/parts/0/text"), "Lamps: bedroom off, hallway on, kitchen on, living room on.");
}

#[tokio::test]
async fn arming_streams_door_by_door_and_ends_with_the_alarm() {
    let house = Arc::new(Security::default());
    let events = call(&house, "/rpc", "SendStreamingMessage", message("lock the doors", "ROLE_USER")).await;
    let events = events.as_array().unwrap();
    assert!(events[0].pointer("/result/task/id").is_some());
    assert_eq!(text(events.last().unwrap(), "/result/statusUpdate/status/state"), "TASK_STATE_COMPLETED");
    assert!(
        events
            .iter()
            .any(|event| event.pointer("/result/artifactUpdate/artifact/parts/0/data/alarm") == Some(&json!("armed")))
    );
}

#[tokio::test]
async fn a_cancelled_arming_arms_nothing() {
    let house = Arc::new(Security::default());
    let mut params = message("lock the doors and arm the alarm", "ROLE_USER");
    params["configuration"] = json!({"returnImmediately": true});
    let started = call(&house, "/rpc", "SendMessage", params).await;
    assert_eq!(text(&started, "/result/task/status/state"), "TASK_STATE_WORKING");
    let id = json!({"id": text(&started, "/result/task/id")});
    let cancelled = call(&house, "/rpc", "CancelTask", id.clone()).await;
    assert_eq!(text(&cancelled, "/result/status/state"), "TASK_STATE_CANCELED");
    assert_eq!(call(&house, "/rpc", "CancelTask", id.clone()).await["error"]["code"], -32002);
    assert_eq!(call(&house, "/rpc", "SubscribeToTask", id).await["error"]["code"], -32004);
    let status = call(&house, "/rpc", "SendMessage", message("is the alarm armed?", "ROLE_USER")).await;
    assert_eq!(status.pointer("/result/message/parts/1/data/alarm"), Some(&json!("off")));
}

#[tokio::test]
async fn a_vague_wish_for_the_heating_is_asked_back() {
    let heating = Arc::new(Environment::default());
    let task = call(&heating, "/", "message/send", message("set the heating", "user")).await;
    assert_eq!(text(&task, "/result/status/state"), "input-required");
    let mut answer = message("eco", "user");
    answer["message"]["taskId"] = task["result"]["id"].clone();
    let task = call(&heating, "/", "message/send", answer.clone()).await;
    assert_eq!(text(&task, "/result/status/state"), "completed");
    assert_eq!(task.pointer("/result/artifacts/0/parts/0/data/heating"), Some(&json!("eco")));
    assert_eq!(call(&heating, "/", "message/send", answer).await["error"]["code"], -32004);
    let task = call(&heating, "/", "message/send", message("heat to 40 degrees", "user")).await;
    assert_eq!(text(&task, "/result/status/state"), "rejected");
    for (method, code) in [("tasks/resubscribe", -32004), ("ListTasks", -32601), ("tasks/get", -32602)] {
        assert_eq!(call(&heating, "/", method, json!({})).await["error"]["code"], code, "{method}");
    }
}

#[test]
fn tasks_are_listed_newest_first_and_page_by_page() {
    let tasks = tasks::Tasks::default();
    for id in ["a", "b", "c"] {
        tasks.add(json!({"id": id, "contextId": "x", "status": {"state": "TASK_STATE_COMPLETED"}, "artifacts": []}));
    }
    let first = tasks.list(&json!({"pageSize": "2"})).unwrap();
    assert_eq!(
        first["tasks"],
        json!([
            {"id": "c", "contextId": "x", "status": {"state": "TASK_STATE_COMPLETED"}},
            {"id": "b", "contextId": "x", "status": {"state": "TASK_STATE_COMPLETED"}},
        ])
    );
    let second = tasks.list(&json!({"pageSize": 2, "pageToken": first["nextPageToken"]})).unwrap();
    assert_eq!((text(&second, "/tasks/0/id"), text(&second, "/nextPageToken")), ("a", ""));
    assert_eq!(tasks.list(&json!({"pageSize": 0})).unwrap_err().kind, Kind::Params);
}
