//! How frames of the binding look: service parameters as headers, and the frames that go out. Pure.

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED, HOST, ORIGIN,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use moongate_core::{Code, Problem};
use moongate_wire::a2a::{Version, error};
use moongate_wire::json::Span;
use moongate_wire::peek::{Frame, PARAMETERS};

/// What belongs to the connection, or says who the caller is; a frame cannot change it.
const OF_CONNECTION: [HeaderName; 13] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HOST,
    ORIGIN,
    FORWARDED,
    CONNECTION,
    UPGRADE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
];

fn is_of_connection(name: &HeaderName) -> bool {
    let text = name.as_str();
    OF_CONNECTION.contains(name)
        || matches!(text, "keep-alive" | "proxy-connection" | "x-authorization")
        || ["sec-", "x-forwarded-"].iter().any(|prefix| text.starts_with(prefix))
}

/// The headers of the upgrade as they hold for every request: without those of the handshake itself, and without those
/// that mean one request. The version has been seen to be 1.0, wherever it stood.
pub(super) fn of_connection(mut headers: HeaderMap) -> HeaderMap {
    let of_one = ["last-event-id", "idempotency-key", "sec-websocket-key", "sec-websocket-version"];
    let more = ["sec-websocket-protocol", "sec-websocket-extensions"];
    for name in of_one.into_iter().chain(more) {
        headers.remove(name);
    }
    for name in [CONNECTION, UPGRADE, CONTENT_LENGTH, CONTENT_TYPE, ACCEPT, TE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers.insert("a2a-version", HeaderValue::from_static("1.0"));
    headers
}

/// The headers of one request: the connection's, and over them the frame's own parameters.
pub(super) fn headers(connection: &HeaderMap, frame: &Frame) -> Result<HeaderMap, Problem> {
    let wrong = |name: &str, why: &str| {
        let shown: String = name.chars().take(80).collect();
        Err(Problem::new(Code::InvalidParams, format!("the service parameter {shown} {why}")).field(PARAMETERS, why))
    };
    let mut headers = connection.clone();
    let mut own = Vec::with_capacity(frame.parameters.len());
    for (name, value) in &frame.parameters {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else { return wrong(name, "has no possible name") };
        let Ok(value) = HeaderValue::from_str(value) else { return wrong(name, "has characters that cannot be sent") };
        if is_of_connection(&header) {
            return wrong(name, "holds for the connection and cannot be set by a frame");
        }
        if own.contains(&header) {
            return wrong(name, "is there for the second time");
        }
        headers.insert(header.clone(), value);
        own.push(header);
    }
    if let Some(from) = frame.from {
        headers.insert("last-event-id", HeaderValue::from(from));
    }
    Ok(headers)
}

/// An id as a key: two spellings of one string are one id.
pub(super) fn key(frame: &[u8], id: Span) -> Box<str> {
    match id.unescaped(frame) {
        Some(text) => format!("\"{text}").into(),
        None => id.as_str(frame).into(),
    }
}

/// One event of a stream.
pub(super) fn event(id: &[u8], result: &[u8], seq: Option<u64>) -> Bytes {
    let seq = seq.map(|seq| format!(r#","seq":{seq}"#)).unwrap_or_default();
    [br#"{"jsonrpc":"2.0","id":"#, id, br#","result":"#, result, seq.as_bytes(), b"}"].concat().into()
}

/// The orderly end of a stream.
pub(super) fn end(id: &[u8]) -> Bytes {
    [br#"{"jsonrpc":"2.0","id":"#, id, br#","result":null,"streamEnd":true}"#].concat().into()
}

/// The end of a stream that broke.
pub(super) fn broken(problem: &Problem, id: &[u8]) -> Bytes {
    with(&error::to_jsonrpc(problem, Version::V1, id), br#""streamEnd":true"#)
}

/// A response that names the extensions that took effect.
pub(super) fn naming(response: Bytes, extensions: Option<&HeaderValue>) -> Bytes {
    match extensions.and_then(|list| list.to_str().ok()) {
        Some(list) => {
            let list = serde_json::Value::from(list);
            with(&response, format!(r#""{PARAMETERS}":{{"A2A-Extensions":{list}}}"#).as_bytes())
        }
        None => response,
    }
}

/// A response object with one more member.
fn with(response: &[u8], member: &[u8]) -> Bytes {
    let end = response.iter().rposition(|byte| *byte == b'}').unwrap_or_default();
    let (object, brace) = response.split_at(end);
    [object, b",", member, brace].concat().into()
}

#[cfg(test)]
mod tests {
    use moongate_wire::json::Limits;
    use moongate_wire::peek;
    use serde_json::{Value, json};

    use super::*;

    fn frame(parameters: &Value) -> Frame {
        let text = json!({"id": 1, "method": "M", "a2a-service-parameters": parameters}).to_string();
        peek::frame(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn a_frames_parameters_hold_over_those_of_the_connection() {
        let mut upgrade = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("a2a-extensions", "one"),
            ("traceparent", "00-a"),
            ("sec-websocket-key", "k"),
            ("last-event-id", "7"),
            ("idempotency-key", "i"),
            ("connection", "upgrade"),
        ] {
            upgrade.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let connection = of_connection(upgrade);
        let names = |headers: &HeaderMap| {
            let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(&connection), ["a2a-extensions", "a2a-version", "authorization", "traceparent"]);
        let mut frame = frame(&json!({"A2A-Extensions": "two", "Idempotency-Key": "j"}));
        frame.from = Some(3);
        let merged = headers(&connection, &frame).unwrap();
        assert_eq!(merged["a2a-extensions"], "two");
        assert_eq!(merged["idempotency-key"], "j");
        assert_eq!(merged["last-event-id"], "3");
        assert_eq!(merged["authorization"], "Bearer x");
    }

    #[test]
    fn parameters_that_are_the_connections_affair_are_refused() {
        for name in
            ["Authorization", "host", "Cookie", "Connection", "X-Forwarded-For", "Sec-WebSocket-Key", "a b", "", "x\n"]
        {
            let problem = headers(&HeaderMap::new(), &frame(&json!({name: "x"}))).unwrap_err();
            assert_eq!((problem.code, problem.fields.len()), (Code::InvalidParams, 1), "{name}");
        }
        assert!(headers(&HeaderMap::new(), &frame(&json!({"X-Y": "a\nb"}))).is_err());
        assert!(headers(&HeaderMap::new(), &frame(&json!({"X-Y": "a", "x-y": "b"}))).is_err());
    }

    #[test]
    fn frames_are_json_rpc_with_a_member_more() {
        let read = |bytes: Bytes| serde_json::from_slice::<Value>(&bytes).unwrap();
        let event = event(b"\"a\"", br#"{"task":{}}"#, Some(4));
        assert_eq!(read(event), json!({"jsonrpc": "2.0", "id": "a", "result": {"task": {}}, "seq": 4}));
        assert_eq!(read(end(b"1")), json!({"jsonrpc": "2.0", "id": 1, "result": null, "streamEnd": true}));
        let broken = read(broken(&Problem::new(Code::Draining, "later"), b"1"));
        assert_eq!((&broken["streamEnd"], &broken["error"]["message"]), (&json!(true), &json!("later")));
        let named = naming(Bytes::from_static(b"{\"id\":1}\n"), Some(&HeaderValue::from_static("u, \"v")));
        assert_eq!(read(named), json!({"id": 1, "a2a-service-parameters": {"A2A-Extensions": "u, \"v"}}));
    }

    #[test]
    fn two_spellings_of_one_id_are_one() {
        let key_of = |id: &str| key(id.as_bytes(), Span { start: 0, end: id.len() as u32 });
        assert_eq!(key_of(r#""a""#), key_of(r#""\u0061""#));
        assert_ne!(key_of("1"), key_of(r#""1""#));
        assert_ne!(key_of("1"), key_of("2"));
    }
}
