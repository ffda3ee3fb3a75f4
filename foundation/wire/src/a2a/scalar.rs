//! Reading single values of proto-JSON, which may be spelled in more than one way: numbers as text, enums by number,
//! base64 in either alphabet, moments with any offset (protobuf.dev, *ProtoJSON format*).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::place::{Fault, Place};
use super::schema::{Choices, Field, Kind, Shape};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The value of a field in an object, under either of its names. `null` is as good as absent, but for fields that hold
/// any JSON value.
pub(crate) fn lookup<'a>(
    object: &'a Map<String, Value>,
    field: &Field,
    place: &Place<'_>,
) -> Result<Option<&'a Value>, Fault> {
    let named = object.get(field.json);
    let other = if field.proto == field.json { None } else { object.get(field.proto) };
    let value = match (named, other) {
        (Some(_), Some(_)) => {
            return Err(Fault::at(&place.member(field.json), format!("is there twice, also as `{}`", field.proto)));
        }
        (value, None) | (None, value) => value,
    };
    Ok(value.filter(|value| !value.is_null() || takes_null(field)))
}

/// Whether `null` is a value of this field and not its absence.
pub(crate) fn takes_null(field: &Field) -> bool {
    field.shape == Shape::One && matches!(field.kind, Kind::Value)
}

/// Text.
pub(crate) fn text<'a>(value: &'a Value, place: &Place<'_>) -> Result<&'a str, Fault> {
    value.as_str().ok_or_else(|| wrong(value, "a text", place))
}

/// A boolean.
pub(crate) fn boolean(value: &Value, place: &Place<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| wrong(value, "true or false", place))
}

/// A whole number of 32 bits; `7.0` and `"7"` are as good as `7`.
pub(crate) fn int32(value: &Value, place: &Place<'_>) -> Result<i32, Fault> {
    let whole = match value {
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 1e15).map(|x| x as i64))
        }
        Value::String(text) => text.parse::<i64>().ok(),
        _ => return Err(wrong(value, "a whole number", place)),
    };
    whole
        .and_then(|whole| i32::try_from(whole).ok())
        .ok_or_else(|| Fault::at(place, format!("must be a whole number of 32 bits, not {}", short(value))))
}

/// The number of an enum's value, given by name or number.
pub(crate) fn choice(choices: &Choices, value: &Value, place: &Place<'_>) -> Result<i32, Fault> {
    let known = match value {
        Value::String(name) => choices.number_of(name),
        Value::Number(_) => Some(int32(value, place)?).filter(|number| choices.name_of(*number).is_some()),
        _ => return Err(wrong(value, "the name of a value", place)),
    };
    known.ok_or_else(|| Fault::at(place, format!("{} is no {}", short(value), choices.name)))
}

/// Bytes in base64, of either alphabet, padded or not.
pub(crate) fn bytes(value: &Value, place: &Place<'_>) -> Result<Vec<u8>, Fault> {
    let text = text(value, place)?;
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).map_err(|error| Fault::at(place, format!("is not base64: {error}")))
}

/// Bytes as we write them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A moment.
pub(crate) fn timestamp(value: &Value, place: &Place<'_>) -> Result<(i64, u32), Fault> {
    let text = text(value, place)?;
    super::timestamp::parse(text)
        .ok_or_else(|| Fault::at(place, format!("{} is no moment such as 2026-03-12T09:30:00.000Z", short(value))))
}

/// An object.
pub(crate) fn object<'a>(value: &'a Value, place: &Place<'_>) -> Result<&'a Map<String, Value>, Fault> {
    value.as_object().ok_or_else(|| wrong(value, "an object", place))
}

/// An array.
pub(crate) fn array<'a>(value: &'a Value, place: &Place<'_>) -> Result<&'a [Value], Fault> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(value, "an array", place))
}

fn wrong(value: &Value, wanted: &str, place: &Place<'_>) -> Fault {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Fault::at(place, format!("must be {wanted}, not {found}"))
}

/// A value as an error may show it: short, whatever a stranger sent.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
