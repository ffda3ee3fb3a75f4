//! The JSON-RPC 2.0 around A2A: reading a call, writing its answer.

use serde_json::{Map, Value, json};

use super::refusal::{Kind, Refusal};

/// A call.
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Value,
}

/// Reads a call; a refusal goes with the id, as far as that was understood.
pub(super) fn read(body: &[u8]) -> Result<Call, (Value, Refusal)> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| (Value::Null, Refusal::new(Kind::NotJson, format!("the body is not JSON: {error}"))))?;
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
    let refuse = |what: &str| (id.clone(), Refusal::new(Kind::NotARequest, what));
    if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(refuse("the body is not a JSON-RPC 2.0 request"));
    }
    if id.is_null() {
        return Err(refuse("A2A has no notifications: the request needs an id, a text or a number"));
    }
    let method = value.get("method").and_then(Value::as_str).ok_or_else(|| refuse("the request names no method"))?;
    let params = value.get("params").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    Ok(Call { method: method.to_owned(), params, id })
}

/// An answer.
pub(super) fn result(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// A refusal, its error object written by the caller's version.
pub(super) fn error(id: &Value, error: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}
