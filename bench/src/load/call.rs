//! Requests, made once as bytes in which only the number changes, and what their answers must be.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Stands in a template where the number goes: fifteen bytes, as many as the number has digits.
pub(crate) const NUMBER: &str = "@@@@@@@@@@@@@@@";
/// Stands in a template where the connection's number goes.
const CONNECTION: &str = "%%%%";

/// A text for the users' messages.
const TEXT: &str = "Set the kitchen lights to forty per cent, fade to warm white within five minutes, and leave the \
    porch as it is. If somebody is in the hall by then, switch that on too.";

/// The protocol on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 with keep-alive.
    Http1,
    /// HTTP/2 with prior knowledge, for gRPC.
    Http2,
}

/// What an answer must be to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A JSON-RPC result that repeats the request's numbers.
    Result,
    /// A stream of so many events that repeats the number and ends completed.
    Events(u64),
    /// A gRPC message that repeats the number, and status 0.
    Grpc,
    /// An agent card.
    Card,
    /// A new task that waits, in HTTP+JSON, whose history repeats the number.
    Queued,
    /// Something that holds this text.
    Holds(String),
}

/// A request that can be made again and again.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// The method.
    pub(crate) method: Method,
    /// The path.
    pub(crate) path: String,
    /// Headers, without `host`.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Template,
    /// What the answer must be.
    pub(crate) expect: Expect,
}

/// Bytes with places for numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    numbers: Vec<usize>,
}

impl Template {
    /// Finds the places in `bytes`.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let numbers = bytes
            .windows(NUMBER.len())
            .enumerate()
            .filter(|(_, window)| *window == NUMBER.as_bytes())
            .map(|(at, _)| at)
            .collect();
        Self { bytes, numbers }
    }

    /// The template of one connection.
    pub(crate) fn for_connection(&self, index: usize) -> Self {
        let mut bytes = self.bytes.clone();
        let name = format!("{:04}", index % 10_000);
        while let Some(at) = bytes.windows(CONNECTION.len()).position(|window| window == CONNECTION.as_bytes()) {
            put(&mut bytes, at, name.as_bytes());
        }
        Self { bytes, numbers: self.numbers.clone() }
    }

    /// The bytes with a number of fifteen digits in all places.
    pub(crate) fn fill(&self, number: &str) -> Bytes {
        let mut bytes = self.bytes.clone();
        for at in &self.numbers {
            put(&mut bytes, *at, number.as_bytes());
        }
        bytes.into()
    }
}

fn put(bytes: &mut [u8], at: usize, text: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + text.len()) {
        place.copy_from_slice(text);
    }
}

/// How a JSON-RPC message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// 1.0, `SendMessage`.
    V1,
    /// 1.0, `SendStreamingMessage`, to an agent with so many artifactUpdates.
    V1Stream(u32),
    /// 0.3, `message/send`.
    V03,
}

impl Call {
    /// The same with a credential, if there is one.
    #[must_use]
    pub(crate) fn bearing(mut self, authorization: Option<&str>) -> Self {
        if let Some(value) = authorization.and_then(|text| HeaderValue::from_str(text).ok()) {
            self.headers.insert(http::header::AUTHORIZATION, value);
        }
        self
    }

    /// A message in JSON-RPC. `talk` names the conversations (each connection has one); `skill` is asked for by the
    /// skill-routing extension.
    pub(crate) fn json_rpc(path: &str, send: Send, talk: &str, skill: Option<&str>) -> Self {
        let metadata = skill.map_or_else(String::new, |skill| {
            format!(
                r#","metadata":{{"https://w3id.org/moongate/extensions/skill-routing/v1":{{"skillId":"{skill}"}}}}"#
            )
        });
        let (method, role, kind, part_kind) = match send {
            Send::V1 => ("SendMessage", "ROLE_USER", "", ""),
            Send::V1Stream(_) => ("SendStreamingMessage", "ROLE_USER", "", ""),
            Send::V03 => ("message/send", "user", r#""kind":"message","#, r#""kind":"text","#),
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{NUMBER},"method":"{method}","params":{{"message":{{{kind}"messageId":"bench-{NUMBER}","contextId":"{talk}-{CONNECTION}","role":"{role}","parts":[{{{part_kind}"text":"{TEXT}"}}]{metadata}}}}}}}"#
        );
        let (accept, expect) = match send {
            Send::V1Stream(artifacts) => ("text/event-stream", Expect::Events(u64::from(artifacts) + 3)),
            Send::V1 | Send::V03 => ("application/json", Expect::Result),
        };
        let mut headers = headers(&[("content-type", "application/json"), ("accept", accept)]);
        if send != Send::V03 {
            headers.insert(HeaderName::from_static("a2a-version"), HeaderValue::from_static("1.0"));
        }
        Self {
            protocol: Protocol::Http1,
            method: Method::POST,
            path: path.to_owned(),
            headers,
            body: Template::new(body.into_bytes()),
            expect,
        }
    }

    /// The same message with a text of so many bytes.
    pub(crate) fn large(path: &str, bytes: usize) -> Self {
        let call = Self::json_rpc(path, Send::V1, "large", None);
        let text = String::from_utf8_lossy(&call.body.bytes).replace(TEXT, &"light ".repeat(bytes / 6));
        Self { body: Template::new(text.into_bytes()), ..call }
    }

    /// The same message in gRPC 1.0, to the agent that `tenant` names.
    pub(crate) fn grpc(tenant: &str, talk: &str) -> Self {
        let message = [
            text_field(1, &format!("bench-{NUMBER}")),
            text_field(2, &format!("{talk}-{CONNECTION}")),
            vec![4 << 3, 1], // ROLE_USER
            field(5, &text_field(1, TEXT)),
        ]
        .concat();
        let request = [text_field(1, tenant), field(2, &message)].concat();
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(request.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(&request);
        Self {
            protocol: Protocol::Http2,
            method: Method::POST,
            path: "/lf.a2a.v1.A2AService/SendMessage".to_owned(),
            headers: headers(&[("content-type", "application/grpc"), ("te", "trailers"), ("a2a-version", "1.0")]),
            body: Template::new(framed),
            expect: Expect::Grpc,
        }
    }

    /// The draft's creation of a task: answered with the task as soon as that is kept.
    pub(crate) fn create_task(path: &str) -> Self {
        let body = format!(
            r#"{{"message":{{"messageId":"bench-{NUMBER}","role":"ROLE_USER","parts":[{{"text":"{TEXT}"}}]}}}}"#
        );
        Self {
            protocol: Protocol::Http1,
            method: Method::POST,
            path: path.to_owned(),
            headers: headers(&[("content-type", "application/json"), ("a2a-version", "1.0")]),
            body: Template::new(body.into_bytes()),
            expect: Expect::Queued,
        }
    }

    /// A look at what holds this text.
    pub(crate) fn get(path: &str, holds: &str) -> Self {
        Self { path: path.to_owned(), expect: Expect::Holds(holds.to_owned()), ..Self::card("") }
    }

    /// A look at a card.
    pub(crate) fn card(path: &str) -> Self {
        Self {
            protocol: Protocol::Http1,
            method: Method::GET,
            path: path.to_owned(),
            headers: headers(&[("accept", "application/json"), ("a2a-version", "1.0")]),
            body: Template::default(),
            expect: Expect::Card,
        }
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// A length-delimited protobuf field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(value);
    out
}

fn text_field(number: u8, value: &str) -> Vec<u8> {
    field(number, value.as_bytes())
}

#[cfg(test)]
mod tests {
    use moongate_core::Operation;
    use moongate_wire::a2a::{Version, grpc};
    use serde_json::{Value, json};

    use super::*;

    const N: &str = "123456789012345";

    #[test]
    fn numbers_go_into_all_their_places() {
        let call = Call::json_rpc("/a", Send::V1, "talk", Some("lights.set"));
        let body: Value = serde_json::from_slice(&call.body.for_connection(7).fill(N)).unwrap();
        assert_eq!(body["id"], json!(123_456_789_012_345_u64));
        let message = &body["params"]["message"];
        assert_eq!(message["messageId"], format!("bench-{N}"));
        assert_eq!(message["contextId"], "talk-0007");
        assert_eq!(
            message["metadata"]["https://w3id.org/moongate/extensions/skill-routing/v1"]["skillId"],
            "lights.set"
        );
    }

    #[test]
    fn the_older_version_is_told_by_method_and_kind() {
        let call = Call::json_rpc("/a", Send::V03, "talk", None);
        let body: Value = serde_json::from_slice(&call.body.fill(N)).unwrap();
        assert_eq!(body["method"], "message/send");
        assert_eq!(body["params"]["message"]["parts"][0]["kind"], "text");
        assert!(!call.headers.contains_key("a2a-version"));
    }

    #[test]
    fn the_protobuf_written_by_hand_is_a_send_message_request() {
        let framed = Call::grpc("legacy", "talk").body.for_connection(3).fill(N);
        assert_eq!(framed.len() as u32 - 5, u32::from_be_bytes(framed[1..5].try_into().unwrap()));
        let value = grpc::decode_request(Operation::Send, Version::V1, &framed[5..]).unwrap();
        assert_eq!(value["tenant"], "legacy");
        assert_eq!(value["message"]["messageId"], format!("bench-{N}"));
        assert_eq!(value["message"]["contextId"], "talk-0003");
        assert_eq!(value["message"]["role"], "ROLE_USER");
        assert_eq!(value["message"]["parts"], json!([{"text": TEXT}]));
    }
}
