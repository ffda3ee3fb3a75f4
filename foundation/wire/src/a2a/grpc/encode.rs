//! JSON → protobuf, led by the schema. Members that the schema does not know are left out, as gRPC has no place for
//! them; what it knows must fit.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value};

use crate::a2a::place::{Fault, Place};
use crate::a2a::scalar;
use crate::a2a::schema::{Field, Kind, Message, Shape};

/// How deep messages and JSON values may nest, the same as for reading.
const DEPTH: u32 = super::DEPTH;

/// Appends the fields of a message.
pub(crate) fn message(
    message: &Message,
    object: &Map<String, Value>,
    place: &Place<'_>,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    if depth > DEPTH {
        return Err(Fault::at(place, "is nested too deeply"));
    }
    let mut chosen: Option<&Field> = None;
    for field in message.fields {
        let Some(value) = scalar::lookup(object, field, place)? else { continue };
        if let Some(other) = chosen.filter(|other| field.oneof.is_some() && other.oneof == field.oneof) {
            return Err(Fault::at(place, format!("has both `{}` and `{}`", other.json, field.json)));
        }
        if field.oneof.is_some() {
            chosen = Some(field);
        }
        let place = place.member(field.json);
        match field.shape {
            Shape::One => single(field.kind, field.number, value, !field.presence, &place, depth, out)?,
            Shape::Many => {
                for (index, element) in scalar::array(value, &place)?.iter().enumerate() {
                    single(field.kind, field.number, element, false, &place.element(index), depth, out)?;
                }
            }
            Shape::Map => {
                for (key, value) in scalar::object(value, &place)? {
                    let mut entry = Vec::new();
                    delimited(1, key.as_bytes(), &mut entry);
                    single(field.kind, 2, value, false, &place.member(key), depth, &mut entry)?;
                    delimited(field.number, &entry, out);
                }
            }
        }
    }
    Ok(())
}

/// Appends one value; `skip_default` leaves out zero, false and empty, as proto3 does for fields without presence.
fn single(
    kind: Kind,
    number: u32,
    value: &Value,
    skip_default: bool,
    place: &Place<'_>,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match kind {
        Kind::Text => {
            let text = scalar::text(value, place)?;
            if !(skip_default && text.is_empty()) {
                delimited(number, text.as_bytes(), out);
            }
        }
        Kind::Bytes => {
            let bytes = scalar::bytes(value, place)?;
            if !(skip_default && bytes.is_empty()) {
                delimited(number, &bytes, out);
            }
        }
        Kind::Bool => varint(number, u64::from(scalar::boolean(value, place)?), skip_default, out),
        Kind::Int32 => varint(number, sign_extended(scalar::int32(value, place)?), skip_default, out),
        Kind::Choice(choices) => {
            varint(number, sign_extended(scalar::choice(choices, value, place)?), skip_default, out);
        }
        Kind::Message(schema) => {
            let mut inner = Vec::new();
            message(schema, scalar::object(value, place)?, place, depth + 1, &mut inner)?;
            delimited(number, &inner, out);
        }
        Kind::Struct => {
            let mut inner = Vec::new();
            members(scalar::object(value, place)?, place, depth + 1, &mut inner)?;
            delimited(number, &inner, out);
        }
        Kind::Value => {
            let mut inner = Vec::new();
            any(value, place, depth + 1, &mut inner)?;
            delimited(number, &inner, out);
        }
        Kind::Timestamp => {
            let (seconds, nanos) = scalar::timestamp(value, place)?;
            let mut inner = Vec::new();
            varint(1, seconds as u64, true, &mut inner);
            varint(2, u64::from(nanos), true, &mut inner);
            delimited(number, &inner, out);
        }
    }
    Ok(())
}

/// Appends the fields of a `google.protobuf.Struct`.
pub(crate) fn members(
    object: &Map<String, Value>,
    place: &Place<'_>,
    depth: u32,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    for (key, value) in object {
        let (mut entry, mut inner) = (Vec::new(), Vec::new());
        any(value, &place.member(key), depth + 1, &mut inner)?;
        delimited(1, key.as_bytes(), &mut entry);
        delimited(2, &inner, &mut entry);
        delimited(1, &entry, out);
    }
    Ok(())
}

/// Appends the fields of a `google.protobuf.Value`.
pub(crate) fn any(value: &Value, place: &Place<'_>, depth: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
    if depth > DEPTH {
        return Err(Fault::at(place, "is nested too deeply"));
    }
    match value {
        Value::Null => varint(1, 0, false, out),
        Value::Number(number) => {
            let number = number.as_f64().ok_or_else(|| Fault::at(place, "is a number beyond all bounds"))?;
            encode_key(2, WireType::SixtyFourBit, out);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::String(text) => delimited(3, text.as_bytes(), out),
        Value::Bool(truth) => varint(4, u64::from(*truth), false, out),
        Value::Object(object) => {
            let mut inner = Vec::new();
            members(object, place, depth, &mut inner)?;
            delimited(5, &inner, out);
        }
        Value::Array(elements) => {
            let mut inner = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                let mut one = Vec::new();
                any(element, &place.element(index), depth + 1, &mut one)?;
                delimited(1, &one, &mut inner);
            }
            delimited(6, &inner, out);
        }
    }
    Ok(())
}

/// proto3 writes negative numbers of 32 bits as ones of 64.
fn sign_extended(number: i32) -> u64 {
    i64::from(number) as u64
}

fn varint(number: u32, value: u64, skip_default: bool, out: &mut Vec<u8>) {
    if !(skip_default && value == 0) {
        encode_key(number, WireType::Varint, out);
        encode_varint(value, out);
    }
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
