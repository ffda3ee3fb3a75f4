//! Query parameters as typed members (A2A 1.0 §11.5): camelCase or snake_case, booleans in lower case, enums by name
//! or number, moments as text. What the request's schema does not know (`A2A-Version`, `view`, …) is passed over.

use moongate_core::{Code, Problem};
use serde_json::{Map, Value};

use super::percent;
use crate::a2a::place::Place;
use crate::a2a::scalar;
use crate::a2a::schema::{Field, Kind, Message, Shape};

/// Adds the query's members to those that the path gave.
pub(super) fn read(schema: &Message, query: &str, members: &mut Map<String, Value>) -> Result<(), Problem> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = percent::decode(name, true) else { continue };
        let Some(field) = schema.member(&name).filter(|field| field.shape == Shape::One) else { continue };
        let text = percent::decode(value, true)
            .ok_or_else(|| wrong(field.json, "has a broken percent-escape or is not UTF-8"))?;
        if text.is_empty() && !matches!(field.kind, Kind::Text) {
            continue;
        }
        let value = typed(field, text)?;
        match members.insert(field.json.to_owned(), value.clone()) {
            Some(other) if other != value => return Err(wrong(field.json, "is there twice, with two values")),
            _ => {}
        }
    }
    Ok(())
}

fn typed(field: &Field, text: String) -> Result<Value, Problem> {
    let value = Value::String(text);
    let place = Place::Root.member(field.json);
    let typed = match field.kind {
        Kind::Text => Ok(value),
        Kind::Int32 => scalar::int32(&value, &place).map(Value::from),
        Kind::Bool => match value.as_str() {
            Some("true" | "True" | "1") => Ok(Value::Bool(true)),
            Some("false" | "False" | "0") => Ok(Value::Bool(false)),
            _ => return Err(wrong(field.json, "must be true or false")),
        },
        Kind::Choice(choices) => {
            let number = value.as_str().and_then(|text| text.parse::<i32>().ok()).map(Value::from);
            scalar::choice(choices, number.as_ref().unwrap_or(&value), &place)
                .map(|number| choices.name_of(number).map_or_else(|| Value::from(number), Value::from))
        }
        Kind::Timestamp => {
            // A client that does not escape the `+` of an offset means it all the same.
            let text = value.as_str().unwrap_or_default().replace(' ', "+");
            scalar::timestamp(&Value::from(text.as_str()), &place)
                .map(|(seconds, nanos)| Value::from(crate::a2a::timestamp::format(seconds, nanos).unwrap_or(text)))
        }
        Kind::Bytes | Kind::Message(_) | Kind::Struct | Kind::Value => {
            return Err(wrong(field.json, "cannot be given in the query"));
        }
    };
    typed.map_err(|fault| wrong(field.json, fault.what))
}

/// A parameter that is wrong.
pub(super) fn wrong(name: &str, what: impl Into<String>) -> Problem {
    let what = what.into();
    Problem::new(Code::InvalidParams, format!("{name}: {what}")).field(name, what)
}
