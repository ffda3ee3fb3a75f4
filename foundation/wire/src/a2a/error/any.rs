//! Details of errors as `google.protobuf.Any`, in JSON and in protobuf.
//!
//! ErrorInfo and BadRequest are known by their fields. Anything else that comes as JSON crosses gRPC inside a
//! `google.protobuf.Struct` and comes out as it was; anything else that comes as protobuf crosses JSON in base64.

use prost::Message;
use serde_json::{Map, Value, json};

use crate::a2a::grpc::rpc::{Any, BadRequest, ErrorInfo, FieldViolation};
use crate::a2a::grpc::{decode_struct, decode_value, encode_struct, encode_value};
use crate::a2a::place::Place;
use crate::a2a::scalar;

/// `@type` of [`ErrorInfo`].
pub(super) const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// `@type` of [`BadRequest`].
pub(super) const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";
const VALUE: &str = "type.googleapis.com/google.protobuf.Value";

/// The `@type` of a detail.
pub(super) fn type_of(detail: &Value) -> Option<&str> {
    detail.get("@type")?.as_str()
}

/// A detail as a JSON object with `@type`, whatever an agent wrote.
pub(super) fn typed(detail: Value) -> Value {
    match detail {
        Value::Object(object) if object.get("@type").is_some_and(Value::is_string) => Value::Object(object),
        Value::Object(object) => json!({"@type": STRUCT, "value": object}),
        other => json!({"@type": VALUE, "value": other}),
    }
}

/// A typed detail in protobuf; `None` for what nests too deeply to be written.
pub(super) fn to_any(detail: &Value) -> Option<Any> {
    let url = type_of(detail)?;
    let value = match (url, detail.get("value")) {
        (ERROR_INFO, _) => error_info(detail).encode_to_vec(),
        (BAD_REQUEST, _) => bad_request(detail).encode_to_vec(),
        (STRUCT, Some(Value::Object(object))) => structure(object)?,
        (VALUE, Some(value)) => {
            let mut out = Vec::new();
            encode_value(value, &Place::Root, 0, &mut out).ok()?;
            out
        }
        (url, Some(value @ Value::String(_))) if is_foreign(url) && detail.as_object()?.len() == 2 => {
            scalar::bytes(value, &Place::Root).ok()?
        }
        _ => {
            return Some(Any { type_url: STRUCT.to_owned(), value: structure(detail.as_object()?)? });
        }
    };
    Some(Any { type_url: url.to_owned(), value })
}

/// A detail from protobuf as a JSON object with `@type`.
pub(super) fn from_any(any: &Any) -> Value {
    let decoded = match any.type_url.as_str() {
        ERROR_INFO => ErrorInfo::decode(any.value.as_slice()).ok().map(|info| error_info_json(&info)),
        BAD_REQUEST => BadRequest::decode(any.value.as_slice()).ok().map(|request| {
            let violations = request.field_violations.iter();
            bad_request_json(violations.map(|violation| (violation.field.as_str(), violation.description.as_str())))
        }),
        STRUCT => decode_struct(&any.value, &Place::Root, 0).ok().map(|object| {
            if object.get("@type").is_some_and(Value::is_string) {
                Value::Object(object)
            } else {
                json!({"@type": STRUCT, "value": object})
            }
        }),
        VALUE => decode_value(&any.value, &Place::Root, 0).ok().map(|value| json!({"@type": VALUE, "value": value})),
        _ => None,
    };
    decoded.unwrap_or_else(|| json!({"@type": any.type_url, "value": scalar::base64(&any.value)}))
}

/// An ErrorInfo in JSON.
pub(super) fn error_info_json(info: &ErrorInfo) -> Value {
    json!({"@type": ERROR_INFO, "reason": info.reason, "domain": info.domain, "metadata": info.metadata})
}

/// A BadRequest in JSON.
pub(super) fn bad_request_json<'a>(violations: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let violations: Vec<Value> =
        violations.map(|(field, description)| json!({"field": field, "description": description})).collect();
    json!({"@type": BAD_REQUEST, "fieldViolations": violations})
}

/// The violations of a BadRequest in JSON, in either spelling.
pub(super) fn violations(detail: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = detail.get("fieldViolations").or_else(|| detail.get("field_violations")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|violation| {
        let field = violation.get("field")?.as_str()?;
        Some((field, violation.get("description").and_then(Value::as_str).unwrap_or_default()))
    })
}

/// Types that are neither Google's basic ones nor known here: their bytes pass as they are.
fn is_foreign(url: &str) -> bool {
    !url.starts_with("type.googleapis.com/google.protobuf.")
}

fn structure(object: &Map<String, Value>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    encode_struct(object, &Place::Root, 0, &mut out).ok()?;
    Some(out)
}

fn error_info(detail: &Value) -> ErrorInfo {
    let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = detail.get("metadata").and_then(Value::as_object).into_iter().flatten();
    ErrorInfo {
        reason: text("reason"),
        domain: text("domain"),
        metadata: metadata
            .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
    }
}

fn bad_request(detail: &Value) -> BadRequest {
    let own = |(field, description): (&str, &str)| FieldViolation {
        field: field.to_owned(),
        description: description.to_owned(),
    };
    BadRequest { field_violations: violations(detail).map(own).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_of_every_sort_survive_grpc() {
        for detail in [
            json!({"@type": ERROR_INFO, "reason": "R", "domain": "d", "metadata": {"a": "b"}}),
            json!({"@type": BAD_REQUEST, "fieldViolations": [{"field": "f", "description": "d"}]}),
            json!({"@type": STRUCT, "value": {"a": [1, null, {"b": 2.5}]}}),
            json!({"@type": VALUE, "value": "text"}),
            json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}),
            json!({"@type": "example.com/own.Type", "value": "AQID"}),
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "abcd"}),
        ] {
            let any = to_any(&detail).unwrap();
            let back = from_any(&Any::decode(any.encode_to_vec().as_slice()).unwrap());
            assert_eq!(back, detail);
        }
    }

    #[test]
    fn what_is_not_typed_gets_a_type() {
        assert_eq!(typed(json!({"a": 1})), json!({"@type": STRUCT, "value": {"a": 1}}));
        assert_eq!(typed(json!("why")), json!({"@type": VALUE, "value": "why"}));
        assert_eq!(typed(json!({"@type": "x"})), json!({"@type": "x"}));
    }

    #[test]
    fn broken_details_are_kept_as_bytes() {
        let any = Any { type_url: ERROR_INFO.to_owned(), value: vec![0xff] };
        assert_eq!(from_any(&any), json!({"@type": ERROR_INFO, "value": "/w=="}));
    }
}
