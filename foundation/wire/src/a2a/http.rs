//! The HTTP+JSON binding: paths and query parameters ⇄ operations (A2A 1.0 §11, and `/v1/…` of 0.3).
//!
//! - [`build`] makes the request of a client, [`parse`] reads the one that a server got; both deal in paths below the
//!   base (`/message:send`), with `/{tenant}` before them where there is one.
//! - A verb is what follows the **last** `:` of a segment, and only a known one counts: `GET /tasks/urn:x:1` asks for
//!   the task `urn:x:1`.
//! - Subscribing goes by POST (the text) and GET (the proto file), by `:subscribe` and by `/subscribe` (some agents).
//! - `POST /tasks` is the draft's creation of a task.
//!
//! 0.3 params are the ProtoJSON of `a2a.v1`, so ids stand in names: `tasks/{id}/pushNotificationConfigs/{id}`.

mod build;
mod parse;
mod percent;
mod query;

use moongate_core::{Code, Operation, Problem};
use serde_json::{Map, Value};

use super::Version;

pub use build::build;
pub use parse::parse;

/// A request to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpParts {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path below the agent's base, with the query; begins with `/`.
    pub path: String,
    /// The body, if there is one.
    pub body: Option<Value>,
}

/// Where a request's params are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The body is the params.
    Body,
    /// The body is the params but for these members, which the path gave.
    BodyPlus(Map<String, Value>),
    /// Path and query gave everything; there is no body.
    Query(Value),
}

/// A request that was received.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCall {
    /// What it asks for.
    pub operation: Operation,
    /// The version that the path belongs to: 0.3 below `/v1`, else 1.0.
    pub version: Version,
    /// Where its params are.
    pub source: Source,
    /// It is the draft's `POST /tasks`, which answers at once and always with a task.
    pub draft: bool,
}

impl HttpCall {
    /// The whole params, from path, query and body.
    ///
    /// The body must have been checked for duplicate keys before. A 0.3 push config may be sent bare, as the proto file
    /// of 0.3 says, or inside a request, as its SDKs do; either becomes a request.
    ///
    /// # Errors
    /// [`Code::BodyNotJson`] for what is no JSON, [`Code::InvalidParams`] for what is no object or names another id
    /// than the path.
    pub fn params(&self, body: &[u8]) -> Result<Value, Problem> {
        let path = match &self.source {
            Source::Query(value) => return Ok(value.clone()),
            Source::Body => None,
            Source::BodyPlus(members) => Some(members),
        };
        let mut object = match (body.trim_ascii().is_empty(), path) {
            (true, Some(_)) => Map::new(),
            _ => read_object(body)?,
        };
        let members = path.into_iter().flatten();
        for (name, value) in members.clone() {
            let said = [object.remove(name), object.remove(&snake_case(name))];
            if said.iter().flatten().any(|said| said != value && said != "" && !said.is_null()) {
                let detail = format!("the body's `{name}` is not that of the path");
                return Err(Problem::new(Code::InvalidParams, detail.clone()).field(name, detail));
            }
        }
        let bare = !object.is_empty() && !object.contains_key("config");
        if bare && self.version == Version::V03 && self.operation == Operation::PushCreate {
            object = Map::from_iter([("config".to_owned(), Value::Object(object))]);
        }
        object.extend(members.map(|(name, value)| (name.clone(), value.clone())));
        Ok(Value::Object(object))
    }
}

fn read_object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::new(Code::InvalidParams, "the body must be a JSON object")),
        Err(error) => Err(Problem::new(Code::BodyNotJson, format!("the body is not valid JSON: {error}"))),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests;
