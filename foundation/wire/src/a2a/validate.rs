//! Whether the members of a request are right, asked before anything else is done with it (A2A 1.0 §3.1, §5.7).
//!
//! - Types of all members that the schema knows; unknown ones are nobody's business.
//! - REQUIRED members are there and, if they are text or lists, not empty.
//! - A part holds exactly one of `text`, `raw`, `url`, `data`; the role of a message is said.
//! - `pageSize` is 1 to 100, `historyLength` not negative.
//!
//! All violations are reported at once, up to [`MOST`].

use moongate_core::{Code, Operation, Problem};
use serde_json::{Map, Value};

use super::Version;
use super::operation::messages;
use super::place::{Fault, Place};
use super::scalar;
use super::schema::{Field, Kind, Message, Shape};

/// The most violations that one answer lists.
pub const MOST: usize = 20;

/// Checks the params of a request, in 1.0 proto-JSON of either spelling.
///
/// # Errors
/// [`Code::InvalidParams`] with a field violation for each member that is wrong.
pub fn params(operation: Operation, value: &Value) -> Result<(), Problem> {
    let mut faults = Faults::default();
    match (messages(operation, Version::V1), value.as_object()) {
        (Some(messages), Some(object)) => {
            message(messages.request, object, &Place::Root, &mut faults);
            if operation == Operation::PushCreate {
                // Not REQUIRED in the proto file, because the same message stands inside a send.
                filled("taskId", "task_id", object, &mut faults);
            }
        }
        _ => faults.add(&Place::Root, "the params must be an object"),
    }
    faults.into_result()
}

/// What was found so far.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, place: &Place<'_>, what: impl Into<String>) {
        if self.0.len() < MOST {
            self.0.push(Fault::at(place, what));
        }
    }

    fn note<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                if self.0.len() < MOST {
                    self.0.push(fault);
                }
                None
            }
        }
    }

    fn into_result(self) -> Result<(), Problem> {
        let Some(first) = self.0.first() else { return Ok(()) };
        let detail = match self.0.len() {
            1 => first.to_string(),
            more => format!("{first} (and {} more)", more - 1),
        };
        let problem = Problem::new(Code::InvalidParams, detail);
        Err(self.0.into_iter().fold(problem, |problem, fault| problem.field(fault.place, fault.what)))
    }
}

fn message(schema: &'static Message, object: &Map<String, Value>, place: &Place<'_>, faults: &mut Faults) {
    let mut chosen: Option<&Field> = None;
    for field in schema.fields {
        let member = place.member(field.json);
        let Some(found) = faults.note(scalar::lookup(object, field, place)) else { continue };
        let Some(value) = found else {
            if field.required {
                faults.add(&member, "is missing");
            }
            continue;
        };
        if field.oneof.is_some() {
            match chosen {
                Some(other) if other.oneof == field.oneof => {
                    faults.add(place, format!("has both `{}` and `{}`", other.json, field.json));
                }
                _ => chosen = Some(field),
            }
        }
        member_value(schema, field, value, &member, faults);
    }
    if chosen.is_none() && schema.name == "Part" {
        faults.add(place, "must have one of `text`, `raw`, `url`, `data`");
    }
}

fn member_value(schema: &Message, field: &'static Field, value: &Value, place: &Place<'_>, faults: &mut Faults) {
    match field.shape {
        Shape::One => {
            single(field, value, place, faults);
            range(schema, field, value, place, faults);
        }
        Shape::Many => {
            let Some(list) = faults.note(scalar::array(value, place)) else { return };
            if field.required && list.is_empty() {
                faults.add(place, "must not be empty");
            }
            for (index, element) in list.iter().enumerate() {
                single(field, element, &place.element(index), faults);
            }
        }
        Shape::Map => {
            let Some(map) = faults.note(scalar::object(value, place)) else { return };
            for (key, value) in map {
                single(field, value, &place.member(key), faults);
            }
        }
    }
}

fn single(field: &'static Field, value: &Value, place: &Place<'_>, faults: &mut Faults) {
    match field.kind {
        Kind::Text => {
            let text = faults.note(scalar::text(value, place));
            if field.required && field.shape == Shape::One && text.is_some_and(str::is_empty) {
                faults.add(place, "must not be empty");
            }
        }
        Kind::Bytes => drop(faults.note(scalar::bytes(value, place))),
        Kind::Bool => drop(faults.note(scalar::boolean(value, place))),
        Kind::Int32 => drop(faults.note(scalar::int32(value, place))),
        Kind::Choice(choices) => {
            if faults.note(scalar::choice(choices, value, place)) == Some(0) && field.required {
                faults.add(place, "must be said");
            }
        }
        Kind::Message(schema) => {
            if let Some(object) = faults.note(scalar::object(value, place)) {
                message(schema, object, place, faults);
            }
        }
        Kind::Struct => drop(faults.note(scalar::object(value, place))),
        Kind::Value => {}
        Kind::Timestamp => drop(faults.note(scalar::timestamp(value, place))),
    }
}

/// The ranges that the specification gives in words.
fn range(schema: &Message, field: &Field, value: &Value, place: &Place<'_>, faults: &mut Faults) {
    let Ok(number) = scalar::int32(value, place) else { return };
    match field.json {
        "historyLength" if number < 0 => faults.add(place, format!("must not be negative, but is {number}")),
        // ListTasks knows no page size of 0; elsewhere 0 is how proto3 says "not given".
        "pageSize" if !(1..=100).contains(&number) && (field.presence || number != 0) => {
            faults.add(place, format!("must be 1 to 100 in {}, but is {number}", schema.name));
        }
        _ => {}
    }
}

fn filled(json: &str, proto: &str, object: &Map<String, Value>, faults: &mut Faults) {
    let value = object.get(json).or_else(|| object.get(proto));
    if value.is_none_or(|value| value.is_null() || value.as_str() == Some("")) {
        faults.add(&Place::Root.member(json), "is missing");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violations(operation: Operation, value: Value) -> Vec<String> {
        match params(operation, &value) {
            Ok(()) => Vec::new(),
            Err(problem) => {
                assert_eq!(problem.code, Code::InvalidParams);
                problem.fields.iter().map(|field| format!("{}: {}", field.field, field.description)).collect()
            }
        }
    }

    fn send(message: Value) -> Vec<String> {
        violations(Operation::Send, json!({"message": message}))
    }

    #[test]
    fn a_right_message_passes_in_either_spelling() {
        assert!(send(json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": ""}], "x": 1})).is_empty());
        assert!(send(json!({"message_id": "m", "role": 1, "parts": [{"data": null, "media_type": "a/b"}]})).is_empty());
        assert!(send(json!({"messageId": "m", "role": 2, "parts": [{"raw": "_-8"}], "taskId": null})).is_empty());
    }

    #[test]
    fn missing_and_empty_required_members_are_named_all_at_once() {
        assert_eq!(
            send(json!({"messageId": "", "role": "ROLE_UNSPECIFIED", "parts": []})),
            ["message.messageId: must not be empty", "message.role: must be said", "message.parts: must not be empty"]
        );
        assert_eq!(violations(Operation::Stream, json!({})), ["message: is missing"]);
        assert_eq!(violations(Operation::Send, json!([])), [": the params must be an object"]);
    }

    #[test]
    fn a_part_holds_exactly_one_thing() {
        let parts = json!([{"text": "a", "url": "b"}, {}, {"filename": "x"}, {"kind": "text", "text": "old"}]);
        assert_eq!(
            send(json!({"messageId": "m", "role": "ROLE_USER", "parts": parts})),
            [
                "message.parts[0]: has both `text` and `url`",
                "message.parts[1]: must have one of `text`, `raw`, `url`, `data`",
                "message.parts[2]: must have one of `text`, `raw`, `url`, `data`",
            ]
        );
    }

    #[test]
    fn types_of_known_members_are_checked_wherever_they_stand() {
        let value = json!({
            "message": {
                "messageId": 5, "role": "user", "parts": [{"text": 1}, {"raw": "!"}, "x"], "metadata": [],
                "extensions": "u", "taskId": "a", "task_id": "a",
            },
            "configuration": {
                "historyLength": -1, "returnImmediately": "yes",
                "taskPushNotificationConfig": {"authentication": {"credentials": "c"}},
            },
        });
        assert_eq!(
            violations(Operation::Send, value),
            [
                "message.messageId: must be a text, not a number",
                "message.taskId: is there twice, also as `task_id`",
                "message.role: \"user\" is no Role",
                "message.parts[0].text: must be a text, not a number",
                "message.parts[1].raw: is not base64: Invalid symbol 33, offset 0.",
                "message.parts[2]: must be an object, not a text",
                "message.metadata: must be an object, not an array",
                "message.extensions: must be an array, not a text",
                "configuration.taskPushNotificationConfig.url: is missing",
                "configuration.taskPushNotificationConfig.authentication.scheme: is missing",
                "configuration.historyLength: must not be negative, but is -1",
                "configuration.returnImmediately: must be true or false, not a text",
            ]
        );
    }

    #[test]
    fn ranges_of_numbers_are_those_of_the_specification() {
        for (size, right) in [(-1, false), (0, false), (1, true), (100, true), (101, false)] {
            assert_eq!(violations(Operation::List, json!({"pageSize": size})).is_empty(), right, "{size}");
        }
        for (size, right) in [(-1, false), (0, true), (100, true), (101, false)] {
            let value = json!({"taskId": "t", "pageSize": size});
            assert_eq!(violations(Operation::PushList, value).is_empty(), right, "{size}");
        }
        assert!(violations(Operation::Get, json!({"id": "t", "historyLength": 0})).is_empty());
        assert!(!violations(Operation::Get, json!({"id": "t", "historyLength": -1})).is_empty());
        assert!(!violations(Operation::Get, json!({"id": "t", "historyLength": 1.5})).is_empty());
        assert!(!violations(Operation::Get, json!({"id": "t", "historyLength": 3_000_000_000_u32})).is_empty());
    }

    #[test]
    fn filters_of_a_list_are_checked() {
        let right = json!({"status": "TASK_STATE_WORKING", "statusTimestampAfter": "2026-01-01T00:00:00Z"});
        assert!(violations(Operation::List, right).is_empty());
        let wrong = json!({"status": "working", "statusTimestampAfter": "now", "includeArtifacts": 1});
        assert_eq!(violations(Operation::List, wrong).len(), 3);
    }

    #[test]
    fn ids_must_be_there() {
        for operation in [Operation::Get, Operation::Cancel, Operation::Subscribe] {
            assert_eq!(violations(operation, json!({})), ["id: is missing"]);
            assert_eq!(violations(operation, json!({"id": ""})), ["id: must not be empty"]);
        }
        for operation in [Operation::PushGet, Operation::PushDelete] {
            assert_eq!(violations(operation, json!({})), ["taskId: is missing", "id: is missing"]);
        }
        assert_eq!(violations(Operation::PushCreate, json!({"url": "https://x"})), ["taskId: is missing"]);
        assert!(violations(Operation::ExtendedCard, json!({})).is_empty());
    }

    #[test]
    fn a_flood_of_violations_is_cut() {
        let parts = vec![json!({}); 500];
        assert_eq!(send(json!({"messageId": "m", "role": 1, "parts": parts})).len(), MOST);
    }
}
