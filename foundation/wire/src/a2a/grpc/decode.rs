//! Protobuf → JSON, led by the schema.
//!
//! REQUIRED members are always written, others only where they say something. A field that may be there once and is
//! there twice, or two members of one oneof, are refused: readers disagree on what they mean, and what was authorised
//! must be what is forwarded. Unknown fields are skipped.

use serde_json::{Map, Number, Value};

use crate::a2a::place::{Fault, Place};
use crate::a2a::schema::{Field, Kind, Message, Shape};
use crate::a2a::{scalar, timestamp};

const DEPTH: u32 = super::DEPTH;

/// Reads a message.
pub(crate) fn message(
    message: &'static Message,
    bytes: &[u8],
    place: &Place<'_>,
    depth: u32,
) -> Result<Map<String, Value>, Fault> {
    if depth > DEPTH {
        return Err(Fault::at(place, "is nested too deeply"));
    }
    let mut slots: Vec<Option<Value>> = vec![None; message.fields.len()];
    let mut reader = Reader { rest: bytes, place };
    while let Some((number, wire)) = reader.key()? {
        let found = message.numbered(number).and_then(|(index, field)| Some((slots.get_mut(index)?, field)));
        let Some((slot, field)) = found else {
            reader.skip(wire)?;
            continue;
        };
        let place = place.member(field.json);
        match field.shape {
            Shape::One if slot.is_some() => return Err(Fault::at(&place, "is there twice")),
            Shape::One => *slot = Some(single(field.kind, wire, &mut reader, &place, depth)?),
            Shape::Many => {
                let Value::Array(list) = slot.get_or_insert_with(|| Value::Array(Vec::new())) else { continue };
                let value = single(field.kind, wire, &mut reader, &place.element(list.len()), depth)?;
                list.push(value);
            }
            Shape::Map => {
                let Value::Object(map) = slot.get_or_insert_with(|| Value::Object(Map::new())) else { continue };
                let (key, value) = entry(field.kind, wire, &mut reader, &place, depth)?;
                if map.insert(key, value).is_some() {
                    return Err(Fault::at(&place, "has the same key twice"));
                }
            }
        }
    }
    finish(message, slots, place)
}

/// Puts the members in order, with the defaults that must show and without those that need not.
fn finish(
    message: &'static Message,
    slots: Vec<Option<Value>>,
    place: &Place<'_>,
) -> Result<Map<String, Value>, Fault> {
    let mut object = Map::new();
    let mut chosen: Option<&Field> = None;
    for (field, slot) in message.fields.iter().zip(slots) {
        let value = match slot {
            Some(value) if field.required || field.presence || !is_default(field, &value) => Some(value),
            _ if field.required => default(field),
            _ => None,
        };
        let Some(value) = value else { continue };
        if let Some(other) = chosen.filter(|other| field.oneof.is_some() && other.oneof == field.oneof) {
            return Err(Fault::at(place, format!("has both `{}` and `{}`", other.json, field.json)));
        }
        if field.oneof.is_some() {
            chosen = Some(field);
        }
        object.insert(field.json.to_owned(), value);
    }
    Ok(object)
}

/// What a REQUIRED member says when the wire says nothing; messages have no default.
fn default(field: &Field) -> Option<Value> {
    match (field.shape, field.kind) {
        (Shape::Many, _) => Some(Value::Array(Vec::new())),
        (Shape::Map, _) => Some(Value::Object(Map::new())),
        (Shape::One, _) if field.presence => None,
        (Shape::One, Kind::Text | Kind::Bytes) => Some(Value::String(String::new())),
        (Shape::One, Kind::Bool) => Some(Value::Bool(false)),
        (Shape::One, Kind::Int32) => Some(Value::from(0)),
        (Shape::One, Kind::Choice(choices)) => choices.name_of(0).map(Value::from),
        (Shape::One, _) => None,
    }
}

fn is_default(field: &Field, value: &Value) -> bool {
    default(field).is_some_and(|default| default == *value)
}

/// Reads one entry of a map: a message with the key as field 1 and the value as field 2.
fn entry(
    kind: Kind,
    wire: u8,
    reader: &mut Reader<'_>,
    place: &Place<'_>,
    depth: u32,
) -> Result<(String, Value), Fault> {
    let mut inner = Reader { rest: reader.delimited(wire)?, place };
    let (mut key, mut value) = (None, None);
    while let Some((number, wire)) = inner.key()? {
        match number {
            1 if key.is_none() => key = Some(inner.text(wire)?.to_owned()),
            2 if value.is_none() => value = Some(single(kind, wire, &mut inner, place, depth)?),
            1 | 2 => return Err(Fault::at(place, "has an entry with two keys or values")),
            _ => inner.skip(wire)?,
        }
    }
    let value = match (value, kind) {
        (Some(value), _) => value,
        (None, Kind::Message(schema)) => Value::Object(message(schema, &[], place, depth + 1)?),
        (None, Kind::Text) => Value::String(String::new()),
        (None, _) => Value::Null,
    };
    Ok((key.unwrap_or_default(), value))
}

fn single(kind: Kind, wire: u8, reader: &mut Reader<'_>, place: &Place<'_>, depth: u32) -> Result<Value, Fault> {
    Ok(match kind {
        Kind::Text => Value::String(reader.text(wire)?.to_owned()),
        Kind::Bytes => Value::String(scalar::base64(reader.delimited(wire)?)),
        Kind::Bool => Value::Bool(reader.number(wire)? != 0),
        Kind::Int32 => Value::from(reader.number(wire)? as i32),
        Kind::Choice(choices) => {
            let number = reader.number(wire)? as i32;
            choices.name_of(number).map_or_else(|| Value::from(number), Value::from)
        }
        Kind::Message(schema) => Value::Object(message(schema, reader.delimited(wire)?, place, depth + 1)?),
        Kind::Struct => Value::Object(members(reader.delimited(wire)?, place, depth + 1)?),
        Kind::Value => any(reader.delimited(wire)?, place, depth + 1)?,
        Kind::Timestamp => moment(reader.delimited(wire)?, place)?,
    })
}

/// Reads a `google.protobuf.Struct`.
pub(crate) fn members(bytes: &[u8], place: &Place<'_>, depth: u32) -> Result<Map<String, Value>, Fault> {
    let mut object = Map::new();
    let mut reader = Reader { rest: bytes, place };
    while let Some((number, wire)) = reader.key()? {
        if number != 1 {
            reader.skip(wire)?;
            continue;
        }
        let (key, value) = entry(Kind::Value, wire, &mut reader, place, depth)?;
        if object.contains_key(&key) {
            return Err(Fault::at(&place.member(&key), "is there twice"));
        }
        object.insert(key, value);
    }
    Ok(object)
}

/// Reads a `google.protobuf.Value`; one that says nothing is `null`.
pub(crate) fn any(bytes: &[u8], place: &Place<'_>, depth: u32) -> Result<Value, Fault> {
    if depth > DEPTH {
        return Err(Fault::at(place, "is nested too deeply"));
    }
    let mut found = None;
    let mut reader = Reader { rest: bytes, place };
    while let Some((number, wire)) = reader.key()? {
        let value = match number {
            1 => {
                reader.number(wire)?;
                Value::Null
            }
            2 => double(reader.double(wire)?, place)?,
            3 => Value::String(reader.text(wire)?.to_owned()),
            4 => Value::Bool(reader.number(wire)? != 0),
            5 => Value::Object(members(reader.delimited(wire)?, place, depth)?),
            6 => Value::Array(elements(reader.delimited(wire)?, place, depth)?),
            _ => {
                reader.skip(wire)?;
                continue;
            }
        };
        if found.replace(value).is_some() {
            return Err(Fault::at(place, "holds two values"));
        }
    }
    Ok(found.unwrap_or(Value::Null))
}

fn elements(bytes: &[u8], place: &Place<'_>, depth: u32) -> Result<Vec<Value>, Fault> {
    let mut list = Vec::new();
    let mut reader = Reader { rest: bytes, place };
    while let Some((number, wire)) = reader.key()? {
        if number == 1 {
            list.push(any(reader.delimited(wire)?, &place.element(list.len()), depth + 1)?);
        } else {
            reader.skip(wire)?;
        }
    }
    Ok(list)
}

/// A double as JSON: a whole number is written as one (`1`, not `1.0`) as far as doubles count without gaps.
fn double(number: f64, place: &Place<'_>) -> Result<Value, Fault> {
    const GAPLESS: f64 = 9_007_199_254_740_992.0;
    let negative_zero = number == 0.0 && number.is_sign_negative();
    if number.fract() == 0.0 && number.abs() <= GAPLESS && !negative_zero {
        return Ok(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number).ok_or_else(|| Fault::at(place, "is a number that JSON does not have"))
}

fn moment(bytes: &[u8], place: &Place<'_>) -> Result<Value, Fault> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut reader = Reader { rest: bytes, place };
    while let Some((number, wire)) = reader.key()? {
        match number {
            1 => seconds = reader.number(wire)? as i64,
            2 => nanos = reader.number(wire)? as i64,
            _ => reader.skip(wire)?,
        }
    }
    u32::try_from(nanos)
        .ok()
        .and_then(|nanos| timestamp::format(seconds, nanos))
        .map(Value::String)
        .ok_or_else(|| Fault::at(place, "is a moment outside the years 1 to 9999"))
}

/// Takes one thing after another off the front of a message.
struct Reader<'a> {
    rest: &'a [u8],
    place: &'a Place<'a>,
}

impl<'a> Reader<'a> {
    fn fault(&self, what: &str) -> Fault {
        Fault::at(self.place, what)
    }

    /// The next field's number and wire type; `None` at the end.
    fn key(&mut self) -> Result<Option<(u32, u8)>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| self.fault("has a field with an impossible number"))?;
        match key >> 3 {
            0 => Err(self.fault("has a field with the number 0")),
            number => Ok(Some((number, (key & 7) as u8))),
        }
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let Some((byte, rest)) = self.rest.split_first() else { return Err(self.fault("is cut off")) };
            self.rest = rest;
            if shift == 63 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.fault("has a number that is too long"))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(length).map_err(|_| self.fault("is cut off"))?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.fault("is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn expect(&self, wire: u8, wanted: u8) -> Result<(), Fault> {
        if wire == wanted { Ok(()) } else { Err(self.fault("has a field of the wrong wire type")) }
    }

    fn number(&mut self, wire: u8) -> Result<u64, Fault> {
        self.expect(wire, 0)?;
        self.varint()
    }

    fn double(&mut self, wire: u8) -> Result<f64, Fault> {
        self.expect(wire, 1)?;
        let bytes = self.take(8)?;
        <[u8; 8]>::try_from(bytes).map(f64::from_le_bytes).map_err(|_| self.fault("is cut off"))
    }

    fn delimited(&mut self, wire: u8) -> Result<&'a [u8], Fault> {
        self.expect(wire, 2)?;
        let length = self.varint()?;
        self.take(length)
    }

    fn text(&mut self, wire: u8) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.delimited(wire)?).map_err(|_| self.fault("has a text that is not UTF-8"))
    }

    /// Passes over an unknown field. Groups, which proto3 has not, are refused.
    fn skip(&mut self, wire: u8) -> Result<(), Fault> {
        match wire {
            0 => self.varint().map(drop),
            1 => self.take(8).map(drop),
            2 => self.delimited(wire).map(drop),
            5 => self.take(4).map(drop),
            _ => Err(self.fault("has a field of an unknown wire type")),
        }
    }
}
