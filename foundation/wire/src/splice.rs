//! Changing a body in a few places and leaving every other byte as it was.
//!
//! Spans come from [`crate::peek`]; nothing here reads JSON beyond finding the key and the comma beside a value.

use bytes::{BufMut, Bytes, BytesMut};

use crate::json::Span;

/// Replaces each span by its bytes. Order does not matter; an empty span inserts, empty bytes remove.
///
/// Without edits the body itself is returned, uncopied. Spans must not overlap and must lie inside the body: one that
/// does not is a mistake of the caller and is left out (and noticed in debug builds).
pub fn splice(body: &Bytes, edits: &mut [(Span, Bytes)]) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    let added: usize = edits.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut result = BytesMut::with_capacity(body.len() + added);
    let mut done = 0;
    for (span, bytes) in edits.iter() {
        let (start, end) = (span.start as usize, span.end as usize);
        let before = body.get(done..start).filter(|_| start <= end && end <= body.len());
        debug_assert!(before.is_some(), "spans overlap or belong to another body");
        let Some(before) = before else { continue };
        result.put_slice(before);
        result.put_slice(bytes);
        done = end;
    }
    result.put_slice(body.get(done..).unwrap_or_default());
    result.freeze()
}

/// What to cut so that the member whose value stands at `value` is gone, with its comma. `None` if it is no member.
pub fn remove_member(body: &[u8], value: Span) -> Option<Span> {
    remove_members(body, &[value]).first().copied()
}

/// What to cut so that the members with these values are gone, with their commas; several of one object are fine.
pub fn remove_members(body: &[u8], values: &[Span]) -> Vec<Span> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    // Neighbours are cut together: each of them alone would want the comma between them.
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for value in values {
        let Some(start) = key_start(body, value.start as usize) else { continue };
        let end = value.end as usize;
        match runs.last_mut() {
            Some(last) if comma_after(body, last.1).is_some_and(|comma| past_space(body, comma + 1) == start) => {
                last.1 = end;
            }
            _ => runs.push((start, end)),
        }
    }
    let cut = |(start, end): (usize, usize)| match (comma_after(body, end), comma_before(body, start)) {
        (Some(comma), _) => (start, past_space(body, comma + 1)),
        (None, Some(comma)) => (comma, end),
        (None, None) => (start, end),
    };
    let span = |(start, end): (usize, usize)| Some(Span { start: start.try_into().ok()?, end: end.try_into().ok()? });
    runs.into_iter().map(cut).filter_map(span).collect()
}

/// The edit that puts members (name and raw JSON value) first into the object at `object`. `None` if there is no object.
///
/// One call for each object: two inserts into one empty object would lack a comma.
pub fn insert_members(body: &[u8], object: Span, members: &[(&str, &[u8])]) -> Option<(Span, Bytes)> {
    let start = object.start as usize;
    if body.get(start) != Some(&b'{') {
        return None;
    }
    let empty = body.get(past_space(body, start + 1)) == Some(&b'}');
    let mut text = BytesMut::new();
    for (index, (name, value)) in members.iter().enumerate() {
        text.put_slice(&crate::json::quote(name));
        text.put_u8(b':');
        text.put_slice(value);
        if index + 1 < members.len() || !empty {
            text.put_u8(b',');
        }
    }
    let at = object.start + 1;
    Some((Span { start: at, end: at }, text.freeze()))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The first byte from `at` on that is no white space.
fn past_space(body: &[u8], at: usize) -> usize {
    let rest = body.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
}

/// The last byte before `at` that is no white space.
fn before_space(body: &[u8], at: usize) -> Option<usize> {
    body.get(..at)?.iter().rposition(|byte| !is_space(*byte))
}

fn comma_after(body: &[u8], end: usize) -> Option<usize> {
    let at = past_space(body, end);
    (body.get(at) == Some(&b',')).then_some(at)
}

fn comma_before(body: &[u8], start: usize) -> Option<usize> {
    before_space(body, start).filter(|at| body.get(*at) == Some(&b','))
}

/// Where the key of the value at `value` begins.
fn key_start(body: &[u8], value: usize) -> Option<usize> {
    let colon = before_space(body, value).filter(|at| body.get(*at) == Some(&b':'))?;
    let closing = before_space(body, colon).filter(|at| body.get(*at) == Some(&b'"'))?;
    let mut quote = closing;
    loop {
        quote = body.get(..quote)?.iter().rposition(|byte| *byte == b'"')?;
        // Inside the key a quote follows an odd number of backslashes; before its opening quote there is none.
        let slashes = body.get(..quote)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if slashes % 2 == 0 {
            return Some(quote);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn find(body: &[u8], value: &str) -> Span {
        let text = std::str::from_utf8(body).unwrap();
        let start = text.find(value).unwrap() as u32;
        Span { start, end: start + value.len() as u32 }
    }

    fn cut(body: &str, values: &[&str]) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let spans: Vec<_> = values.iter().map(|value| find(&body, value)).collect();
        let mut edits: Vec<_> = remove_members(&body, &spans).into_iter().map(|span| (span, Bytes::new())).collect();
        String::from_utf8(splice(&body, &mut edits).to_vec()).unwrap()
    }

    #[test]
    fn ids_are_exchanged_and_every_other_byte_stays() {
        let body = Bytes::from_static(br#"{ "taskId" : "old",  "x":[ 1 ] , "again":"old2" }"#);
        let mut edits = vec![
            (find(&body, "\"old2\""), Bytes::from_static(b"\"other\"")),
            (find(&body, "\"old\""), Bytes::from_static(b"\"new-longer\"")),
        ];
        let text = splice(&body, &mut edits);
        assert_eq!(text, &br#"{ "taskId" : "new-longer",  "x":[ 1 ] , "again":"other" }"#[..]);
    }

    #[test]
    fn a_body_without_edits_is_not_copied() {
        let body = Bytes::from(vec![b'x'; 100]);
        assert_eq!(splice(&body, &mut []).as_ptr(), body.as_ptr());
    }

    #[test]
    fn members_leave_with_their_commas() {
        assert_eq!(cut(r#"{"a":11,"b":22,"c":33}"#, &["11"]), r#"{"b":22,"c":33}"#);
        assert_eq!(cut(r#"{"a":11, "b" : 22 , "c":33}"#, &["22"]), r#"{"a":11, "c":33}"#);
        assert_eq!(cut(r#"{"a":11,"b":22 , "c":33 }"#, &["33"]), r#"{"a":11,"b":22  }"#);
        assert_eq!(cut(r#"{ "a":11 }"#, &["11"]), r#"{  }"#);
        assert_eq!(cut(r#"{"a":11,"b":22,"c":33}"#, &["22", "33"]), r#"{"a":11}"#);
        assert_eq!(cut(r#"{"a":11,"b":22,"c":33}"#, &["33", "11"]), r#"{"b":22}"#);
        assert_eq!(cut(r#"{"a":11,"b":22,"c":33}"#, &["11", "22", "33"]), "{}");
        assert_eq!(cut(r#"{"we\"i\\rd\\":11,"b":22}"#, &["11"]), r#"{"b":22}"#);
        assert_eq!(cut(r#"[11]"#, &["11"]), "[11]");
    }

    #[test]
    fn members_are_put_first() {
        for (body, expected) in [("{}", r#"{"k":"v","l":1}"#), (r#"{ "a":2}"#, r#"{"k":"v","l":1, "a":2}"#)] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            let whole = Span { start: 0, end: body.len() as u32 };
            let edit = insert_members(&body, whole, &[("k", b"\"v\""), ("l", b"1")]).unwrap();
            assert_eq!(splice(&body, &mut [edit]), expected);
        }
        assert!(insert_members(b"[]", Span { start: 0, end: 2 }, &[]).is_none());
    }

    proptest! {
        #[test]
        fn removing_by_spans_is_removing_by_name(keys in prop::collection::btree_set("[a-c\"\\\\,:{é]{0,3}", 1..6), drop in any::<u8>(), pretty: bool) {
            let object: Map<String, Value> = keys.iter().enumerate().map(|(n, key)| (key.clone(), json!(9000 + n))).collect();
            let value = Value::Object(object.clone());
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let body = Bytes::from(text);
            let gone: Vec<_> = keys.iter().enumerate().filter(|(n, _)| drop >> n & 1 == 1).collect();
            let spans: Vec<_> = gone.iter().map(|(n, _)| find(&body, &(9000 + n).to_string())).collect();
            let mut edits: Vec<_> = remove_members(&body, &spans).into_iter().map(|span| (span, Bytes::new())).collect();
            let mut expected = object;
            for (_, key) in &gone {
                expected.remove(*key);
            }
            let result: Map<String, Value> = serde_json::from_slice(&splice(&body, &mut edits)).unwrap();
            prop_assert_eq!(result, expected);
        }
    }
}
