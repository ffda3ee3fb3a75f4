//! The scanner against `serde_json`, and the two refusals that `serde_json` does not know.

use std::collections::HashSet;

use proptest::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::*;

/// What `serde_json` has to say: `None` if it is no JSON, else the depth and whether an object has a member twice.
fn oracle(body: &[u8]) -> Option<(usize, bool)> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?;
    let mut found = (0, false);
    let mut reader = serde_json::Deserializer::from_slice(body);
    Look(0, &mut found).deserialize(&mut reader).ok()?;
    Some(found)
}

struct Look<'a>(usize, &'a mut (usize, bool));

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.1.0 = self.1.0.max(self.0 + 1);
        while seq.next_element_seed(Look(self.0 + 1, self.1))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.1.0 = self.1.0.max(self.0 + 1);
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            self.1.1 |= !keys.insert(key);
            map.next_value_seed(Look(self.0 + 1, self.1))?;
        }
        Ok(())
    }
}

fn agrees(body: &[u8], limits: &Limits) {
    let verdict = check(body, limits).map_err(|problem| problem.code);
    let text = String::from_utf8_lossy(body);
    match oracle(body) {
        None if std::str::from_utf8(body).is_err() => assert_eq!(verdict, Err(Code::BodyNotUtf8), "{text}"),
        // What is wrong first is told; a body that is no JSON either way is refused.
        None => assert!(verdict.is_err(), "{text}"),
        Some((depth, false)) if depth <= usize::from(limits.depth) => assert_eq!(verdict, Ok(()), "{text}"),
        Some((depth, twice)) => {
            let code = verdict.expect_err(&text);
            assert!(code == Code::TooDeep && depth > usize::from(limits.depth) || code == Code::DuplicateKey && twice);
        }
    }
}

/// Pieces that make valid and nearly valid JSON likely.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&str; 42] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"\\u0061\"",
        "\"b\"",
        "1",
        "-0",
        "-",
        "0.5",
        "1e5",
        "1E+400",
        "e",
        "01",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "\r",
        "\\",
        "\\n",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\ude00",
        "\"\u{e9}\"",
        "\u{feff}",
        "\0",
        "\u{7f}",
        "{\"a\":1}",
        "[1,2]",
        "\"x\":",
        ",\"y\":2",
        "1e308",
        "9e-400",
        ".",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

fn value(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|f| serde_json::Number::from_f64(f).map_or(serde_json::Value::Null, Into::into)),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(depth, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,3}", inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepts_exactly_what_serde_json_accepts(body in soup(), depth in 1..6u16) {
        agrees(&body, &Limits { depth, ..Limits::default() });
    }

    #[test]
    fn accepts_every_value_in_every_layout(value in value(5), pretty: bool) {
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        agrees(&body, &Limits::default());
    }

    #[test]
    fn agrees_on_valid_json_with_one_byte_changed(value in value(4), at: prop::sample::Index, byte: u8) {
        let mut body = serde_json::to_vec(&value).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        agrees(&body, &Limits::default());
    }

    #[test]
    fn strings_read_as_serde_json_reads_them(raw in r#"([ -!#-\[\]-~é😀]|\\["\\/bfnrt]|\\u00[0-7][0-9a-fA-F]|\\ud83d\\ude0[0-9]){0,20}"#) {
        let body = format!("\"{raw}\"");
        let expected: String = serde_json::from_str(&body).unwrap();
        let span = Span { start: 0, end: body.len() as u32 };
        prop_assert_eq!(span.unescaped(body.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_quoted_text_reads_back(text in ".{0,40}") {
        let body = quote(&text);
        prop_assert!(check(&body, &Limits::default()).is_ok());
        prop_assert_eq!(Span { start: 0, end: body.len() as u32 }.unescaped(&body).unwrap(), text);
    }
}

#[test]
fn members_twice_are_found_in_every_escaping_and_at_every_size() {
    for fill in [0, 1, 22, 23, 24, 25, 26, 500] {
        let filler: String = (0..fill).map(|n| format!(",\"k{n}\":{n}")).collect();
        for (first, second) in [("a", "a"), ("a", r"\u0061"), (r"\u00e9", "é"), (r"\/", "/"), (r"\ud83d\ude00", "😀")]
        {
            let body = format!(r#"[{{"{first}":1{filler},"{second}":2}}]"#);
            let problem = check(body.as_bytes(), &Limits::default()).unwrap_err();
            assert_eq!(problem.code, Code::DuplicateKey, "{body}");
            assert!(problem.detail.contains(second), "{}", problem.detail);
        }
        let body = format!(r#"[{{"a":1{filler},"A":2,"b":{{"a":1}},"c":{{"a":1}}}}]"#);
        assert!(check(body.as_bytes(), &Limits::default()).is_ok(), "{body}");
    }
}

#[test]
fn a_hundred_thousand_members_are_no_square() {
    let mut body = String::from("{");
    for n in 0..100_000 {
        body.push_str(&format!("\"member-{n:06}\":{n},"));
    }
    let open = body.len();
    body.push_str("\"z\":0}");
    assert!(check(body.as_bytes(), &Limits::default()).is_ok());
    body.truncate(open);
    body.push_str("\"member-000777\":0}");
    assert_eq!(check(body.as_bytes(), &Limits::default()).unwrap_err().code, Code::DuplicateKey);
}

#[test]
fn depth_stops_at_the_limit_and_never_beyond_what_serde_json_reads() {
    for (limit, allowed) in [(1, 1), (64, 64), (127, 127), (u16::MAX, 127)] {
        let limits = Limits { depth: limit, ..Limits::default() };
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(allowed).as_bytes(), &limits).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(allowed)).is_ok());
        assert_eq!(check(nested(allowed + 1).as_bytes(), &limits).unwrap_err().code, Code::TooDeep);
    }
    let hostile = "[".repeat(1 << 20);
    assert_eq!(check(hostile.as_bytes(), &Limits::default()).unwrap_err().code, Code::TooDeep);
}

#[test]
fn refusals_name_the_byte() {
    let detail = |body: &[u8]| check(body, &Limits::default()).unwrap_err().detail.into_owned();
    assert_eq!(detail(br#"{"a":tru}"#), "no JSON value at byte 8");
    assert_eq!(detail(b"{\"a\":1"), "the JSON ends too early at byte 6");
    assert_eq!(detail(b"\"a\xff\""), "the body is not UTF-8 at byte 2");
    assert_eq!(detail(b"[1] 2"), "something follows the JSON value at byte 4");
    assert_eq!(detail(b"[1e999]"), "a number out of range at byte 1");
    assert_eq!(detail(format!("[{}e99]", "9".repeat(257)).as_bytes()), "a number out of range at byte 1");
    assert!(check(format!("[{}e99]", "9".repeat(200)).as_bytes(), &Limits::default()).is_ok());
}
