//! The bytes of a card that its signatures cover (A2A 1.0 §8.4.1): JCS (RFC 8785) of the card without `signatures` and
//! without members that hold defaults.
//!
//! Readers disagree on one point. The text keeps members that are REQUIRED, and those whose absence means something, even
//! where they are empty. The libraries of the A2A project (a2a-sdk of Python, @a2a-js/sdk) drop whatever is empty, at any
//! depth. A card without empty members has one form; for others we sign both, and either may be signed by others.

use moongate_core::seam::notary::{Signature, Signed};
use serde_json::{Map, Value};

use crate::a2a::schema::{Field, Kind, Message, Shape, v1};

/// The largest integer that every reader of JSON takes for the same number (RFC 8785 §3.2.2.3).
const EXACT: u64 = (1 << 53) - 1;
/// Signatures of one card that are looked at.
const SIGNATURES: usize = 8;

/// The forms of a card to sign: as the text has it, and, where that is another, as the libraries have it. None for a card
/// with numbers that readers take differently.
pub fn forms(card: &Value) -> Vec<Vec<u8>> {
    let Some(members) = card.as_object() else { return Vec::new() };
    if !is_exact(card) {
        return Vec::new();
    }
    let stated = Value::Object(stated(&v1::AGENT_CARD, members, true));
    let lean = without_empty(&stated).unwrap_or_else(|| Value::Object(Map::new()));
    distinct([stated, lean])
}

/// A card of somebody else, with its signatures and every form that they may cover. The last is the card as it stands,
/// with members that A2A does not know.
pub fn signed(card: &Value) -> Signed {
    let stated = card.get("signatures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let signatures: Vec<Signature> = stated.iter().take(SIGNATURES).map(signature).collect();
    if signatures.is_empty() {
        return Signed::default();
    }
    let mut forms = forms(card);
    let mut whole = card.clone();
    if let Some(members) = whole.as_object_mut().filter(|_| is_exact(card)) {
        members.shift_remove("signatures");
        forms.extend(distinct([whole]).into_iter().filter(|form| !forms.contains(form)).collect::<Vec<_>>());
    }
    Signed { signatures, forms }
}

/// Puts signatures under a card.
pub fn attach(card: &mut Value, signatures: Vec<Signature>) {
    let Some(members) = card.as_object_mut() else { return };
    members.shift_remove("signatures");
    if !signatures.is_empty() {
        let list = signatures.into_iter().map(|one| {
            Value::Object(Map::from_iter([
                ("protected".to_owned(), one.protected.into()),
                ("signature".to_owned(), one.signature.into()),
            ]))
        });
        members.insert("signatures".to_owned(), list.collect());
    }
}

/// One that lacks a member is one that does not hold.
fn signature(stated: &Value) -> Signature {
    let text = |name: &str| stated.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Signature { protected: text("protected"), signature: text("signature") }
}

fn distinct<const N: usize>(values: [Value; N]) -> Vec<Vec<u8>> {
    let mut forms: Vec<Vec<u8>> = Vec::with_capacity(N);
    for value in values {
        if let Ok(form) = serde_json_canonicalizer::to_vec(&value)
            && !forms.contains(&form)
        {
            forms.push(form);
        }
    }
    forms
}

/// Whether every integer is one that all readers take for the same.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number <= EXACT,
            (None, Some(number)) => number.unsigned_abs() <= EXACT,
            (None, None) => true,
        },
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// A message's members as the text wants them signed: defaults only where the field is REQUIRED or has presence, nothing
/// that the message does not know.
fn stated(message: &'static Message, members: &Map<String, Value>, top: bool) -> Map<String, Value> {
    let mut kept = Map::new();
    for field in message.fields.iter().filter(|field| !(top && field.json == "signatures")) {
        let value = members.get(field.json).or_else(|| members.get(field.proto)).filter(|value| !value.is_null());
        match value.map(|value| field_value(field, value)) {
            Some(value) if field.required || field.presence || !is_default(&value) => {
                kept.insert(field.json.to_owned(), value);
            }
            Some(_) => {}
            None if field.required => {
                if let Some(value) = default(field) {
                    kept.insert(field.json.to_owned(), value);
                }
            }
            None => {}
        }
    }
    kept
}

fn field_value(field: &Field, value: &Value) -> Value {
    let single = |value: &Value| match (field.kind, value) {
        (Kind::Message(message), Value::Object(members)) => Value::Object(stated(message, members, false)),
        _ => value.clone(),
    };
    match (field.shape, value) {
        (Shape::Many, Value::Array(items)) => items.iter().map(single).collect(),
        (Shape::Map, Value::Object(entries)) => {
            entries.iter().map(|(name, value)| (name.clone(), single(value))).collect()
        }
        _ => single(value),
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn default(field: &Field) -> Option<Value> {
    Some(match (field.shape, field.kind) {
        (Shape::Many, _) => Value::Array(Vec::new()),
        (Shape::Map, _) => Value::Object(Map::new()),
        (Shape::One, Kind::Text) => Value::from(""),
        (Shape::One, Kind::Bool) => Value::Bool(false),
        (Shape::One, _) => return None,
    })
}

/// The value without empty texts, lists and objects, at any depth; `None` if nothing is left.
fn without_empty(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) => {
            let kept: Vec<Value> = items.iter().filter_map(without_empty).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::Object(members) => {
            let kept: Map<String, Value> =
                members.iter().filter_map(|(name, value)| Some((name.clone(), without_empty(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(card: &Value) -> Vec<String> {
        forms(card).into_iter().map(|form| String::from_utf8(form).unwrap()).collect()
    }

    /// The example of A2A 1.0 §8.4.1, with the REQUIRED members that it leaves out.
    #[test]
    fn the_example_of_the_text_has_its_form_and_that_of_the_libraries() {
        let card = json!({
            "name": "Example Agent", "description": "",
            "capabilities": {"streaming": false, "pushNotifications": false, "extensions": []}, "skills": [],
        });
        assert_eq!(
            texts(&card),
            [
                r#"{"capabilities":{"pushNotifications":false,"streaming":false},"defaultInputModes":[],"defaultOutputModes":[],"description":"","name":"Example Agent","skills":[],"supportedInterfaces":[],"version":""}"#,
                r#"{"capabilities":{"pushNotifications":false,"streaming":false},"name":"Example Agent"}"#,
            ]
        );
    }

    fn full() -> Value {
        json!({
            "name": "n", "description": "d", "version": "1", "defaultInputModes": ["a/b"], "defaultOutputModes": ["a/b"],
            "supportedInterfaces": [{"url": "u", "protocolBinding": "JSONRPC", "protocolVersion": "1.0", "tenant": ""}],
            "capabilities": {"streaming": true, "extensions": [{"uri": "x", "required": false}]},
            "skills": [{"id": "i", "name": "n", "description": "d", "tags": ["t"], "examples": []}],
        })
    }

    #[test]
    fn defaults_that_mean_nothing_go_and_a_card_without_empty_members_has_one_form() {
        let [form] = texts(&full()).try_into().unwrap();
        assert!(!form.contains("tenant") && !form.contains("required") && !form.contains("examples"), "{form}");
        assert!(form.contains(r#""skills":[{"description":"d","id":"i","name":"n","tags":["t"]}]"#), "{form}");
    }

    #[test]
    fn signatures_unknown_members_and_spelling_are_not_covered_by_the_form_of_the_text() {
        let mut card = full();
        let before = texts(&card);
        card["signatures"] = json!([{"protected": "a", "signature": "b"}]);
        card["x-unknown"] = json!(1);
        let modes = card.as_object_mut().unwrap().shift_remove("defaultInputModes").unwrap();
        card["default_input_modes"] = modes;
        assert_eq!(texts(&card), before);
        let signed = signed(&card);
        assert_eq!(signed.signatures, [Signature { protected: "a".into(), signature: "b".into() }]);
        assert!(String::from_utf8(signed.forms.last().unwrap().clone()).unwrap().contains("x-unknown"));
    }

    #[test]
    fn every_other_member_is_covered() {
        let before = forms(&full());
        for (pointer, value) in [
            ("/name", json!("m")),
            ("/capabilities/streaming", json!(false)),
            ("/supportedInterfaces/0/url", json!("v")),
            ("/supportedInterfaces/0/tenant", json!("t")),
            ("/skills/0/tags", json!(["t", "u"])),
            ("/capabilities/extensions/0/required", json!(true)),
        ] {
            let mut card = full();
            *card.pointer_mut(pointer).unwrap() = value;
            assert!(forms(&card).iter().all(|form| !before.contains(form)), "{pointer}");
        }
    }

    /// RFC 8785 §3.2.2.3 and its appendix B.
    #[test]
    fn numbers_and_names_are_written_as_the_rfc_says() {
        let cases = [
            ("333333333.33333329", "333333333.3333333"),
            ("1E30", "1e+30"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("0.000000000000000000000000001", "1e-27"),
            ("-0.0", "0"),
            ("9.999999999999997e22", "9.999999999999997e+22"),
            ("1e21", "1e+21"),
            ("999999999999999868928", "999999999999999900000"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("9007199254740991", "9007199254740991"),
        ];
        for (text, written) in cases {
            let mut card = full();
            card["capabilities"]["extensions"][0]["params"] =
                serde_json::from_str(&format!("{{\"n\":{text}}}")).unwrap();
            let form = texts(&card).remove(0);
            assert!(form.contains(&format!("\"params\":{{\"n\":{written}}}")), "{text}: {form}");
        }
        let mut card = full();
        // By UTF-16 units: the surrogates of U+1F600 stand before U+FB33 (RFC 8785 §3.2.3).
        card["capabilities"]["extensions"][0]["params"] =
            json!({"\u{fb33}": 1, "\u{1f600}": 2, "\r": "\u{7f}\u{1f}\"\\/é"});
        let form = texts(&card).remove(0);
        assert!(
            form.contains("\"params\":{\"\\r\":\"\u{7f}\\u001f\\\"\\\\/é\",\"\u{1f600}\":2,\"\u{fb33}\":1}"),
            "{form}"
        );
    }

    #[test]
    fn a_number_that_readers_take_differently_has_no_form() {
        for number in [json!(9_007_199_254_740_993_u64), json!(-9_007_199_254_740_993_i64), json!(u64::MAX)] {
            let mut card = full();
            card["capabilities"]["extensions"][0]["params"] = json!({"n": [number]});
            assert!(forms(&card).is_empty());
            card["signatures"] = json!([{"protected": "a", "signature": "b"}]);
            let signed = signed(&card);
            assert_eq!((signed.signatures.len(), signed.forms.len()), (1, 0));
        }
    }
}
