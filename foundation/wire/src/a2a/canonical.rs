//! One spelling for what ProtoJSON lets people spell in several ways.
//!
//! Readers of ProtoJSON accept `task_id` as well as `taskId`, enums by number, moments with an offset, `null` for what
//! is absent. Translators and rules want to know one of them. This turns a request, answer or event of either version
//! into the canonical spelling and leaves everything else as it is: unknown members, their order, and values of the
//! wrong type, which [`super::validate`] names.

use moongate_core::{Code, Operation, Problem};
use serde_json::{Map, Value};

use super::Version;
use super::operation::messages;
use super::place::{Fault, Place};
use super::scalar;
use super::schema::{Kind, Message, Shape};
use super::timestamp;

/// A request's params in canonical spelling.
///
/// # Errors
/// [`Code::DuplicateKey`] if a member is there in two spellings: nobody could say which of them was authorised.
pub fn request(operation: Operation, version: Version, value: Value) -> Result<Value, Problem> {
    let Some(messages) = messages(operation, version) else { return Ok(value) };
    root(messages.request, value).map_err(|fault| problem(Code::DuplicateKey, &fault))
}

/// A unary answer, or one event of a stream, in canonical spelling.
///
/// # Errors
/// [`Code::AgentGarbage`] if a member is there in two spellings.
pub fn answer(operation: Operation, version: Version, value: Value) -> Result<Value, Problem> {
    let Some(messages) = messages(operation, version) else { return Ok(value) };
    root(messages.answer, value).map_err(|fault| problem(Code::AgentGarbage, &fault))
}

fn problem(code: Code, fault: &Fault) -> Problem {
    Problem::new(code, format!("{} {}", fault.place, fault.what))
}

fn root(schema: &'static Message, value: Value) -> Result<Value, Fault> {
    match value {
        Value::Object(object) => message(schema, object, &Place::Root).map(Value::Object),
        other => Ok(other),
    }
}

fn message(
    schema: &'static Message,
    object: Map<String, Value>,
    place: &Place<'_>,
) -> Result<Map<String, Value>, Fault> {
    let mut canonical = Map::with_capacity(object.len());
    for (name, value) in object {
        let Some(field) = schema.member(&name) else {
            canonical.insert(name, value);
            continue;
        };
        let place = place.member(field.json);
        if value.is_null() && !scalar::takes_null(field) {
            continue;
        }
        let value = match (field.shape, value) {
            (Shape::Many, Value::Array(list)) => Value::Array(
                list.into_iter()
                    .enumerate()
                    .map(|(index, element)| single(field.kind, element, &place.element(index)))
                    .collect::<Result<_, _>>()?,
            ),
            (Shape::Map, Value::Object(entries)) => {
                let mut map = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    let value = single(field.kind, value, &place.member(&key))?;
                    map.insert(key, value);
                }
                Value::Object(map)
            }
            (Shape::One, value) => single(field.kind, value, &place)?,
            (_, other) => other,
        };
        if canonical.insert(field.json.to_owned(), value).is_some() {
            return Err(Fault::at(&place, format!("is there twice, also as `{}`", field.proto)));
        }
    }
    Ok(canonical)
}

fn single(kind: Kind, value: Value, place: &Place<'_>) -> Result<Value, Fault> {
    Ok(match (kind, value) {
        (Kind::Message(schema), Value::Object(object)) => Value::Object(message(schema, object, place)?),
        (Kind::Choice(choices), value @ Value::Number(_)) => {
            match scalar::int32(&value, place).ok().and_then(|number| choices.name_of(number)) {
                Some(name) => Value::from(name),
                None => value,
            }
        }
        (Kind::Int32, value @ Value::String(_)) => scalar::int32(&value, place).map_or(value, Value::from),
        (Kind::Timestamp, Value::String(text)) => Value::String(timestamp::mend(&text).unwrap_or(text)),
        (_, other) => other,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_a_request_becomes_the_canonical_one() {
        let value = json!({
            "x-unknown": {"task_id": 1},
            "message": {
                "message_id": "m", "role": 1, "task_id": "t", "reference_task_ids": ["a"], "context_id": null,
                "parts": [{"text": "hi", "media_type": "text/plain"}, {"data": null}, {"data": {"task_id": null}}],
            },
            "configuration": {"history_length": "3", "return_immediately": true},
        });
        let canonical = request(Operation::Send, Version::V1, value).unwrap();
        assert_eq!(
            canonical.to_string(),
            json!({
                "x-unknown": {"task_id": 1},
                "message": {
                    "messageId": "m", "role": "ROLE_USER", "taskId": "t", "referenceTaskIds": ["a"],
                    "parts": [{"text": "hi", "mediaType": "text/plain"}, {"data": null}, {"data": {"task_id": null}}],
                },
                "configuration": {"historyLength": 3, "returnImmediately": true},
            })
            .to_string()
        );
    }

    #[test]
    fn names_of_the_0_3_proto_file_become_those_of_its_json() {
        let value = json!({"request": {"message_id": "m", "content": [{"file": {"file_with_uri": "u"}}]}});
        assert_eq!(
            request(Operation::Send, Version::V03, value).unwrap(),
            json!({"message": {"messageId": "m", "content": [{"file": {"fileWithUri": "u"}}]}})
        );
    }

    #[test]
    fn moments_of_agents_are_normalised() {
        let value = json!({"id": "t", "status": {"state": 3, "timestamp": "2024-05-01T08:00:00.123456+02:00"}});
        assert_eq!(
            answer(Operation::Get, Version::V1, value).unwrap(),
            json!({"id": "t", "status": {"state": "TASK_STATE_COMPLETED", "timestamp": "2024-05-01T06:00:00.123456Z"}})
        );
    }

    #[test]
    fn two_spellings_of_one_member_are_refused() {
        let value = json!({"message": {"taskId": "a", "task_id": "b"}});
        let problem = request(Operation::Send, Version::V1, value).unwrap_err();
        assert_eq!(problem.code, Code::DuplicateKey);
        assert_eq!(problem.detail, "message.taskId is there twice, also as `task_id`");
        let twice = json!({"status": {"state": 1}, "id": "t", "context_id": "a", "contextId": "a"});
        assert_eq!(answer(Operation::Get, Version::V1, twice).unwrap_err().code, Code::AgentGarbage);
    }

    #[test]
    fn values_of_the_wrong_type_are_left_to_the_validator() {
        let value = json!({"message": {"parts": {"text": 1}, "role": 77, "messageId": []}, "configuration": 5});
        assert_eq!(request(Operation::Send, Version::V1, value.clone()).unwrap(), value);
        assert_eq!(request(Operation::Send, Version::V1, json!([1])).unwrap(), json!([1]));
    }
}
