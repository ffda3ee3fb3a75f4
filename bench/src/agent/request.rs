//! The few members of a JSON-RPC request that an answer repeats, borrowed from its bytes.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON-RPC request.
#[derive(Deserialize)]
pub(super) struct Rpc<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// The method.
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Params<'a>,
}

#[derive(Default, Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    context_id: Option<&'a RawValue>,
}

impl<'a> Rpc<'a> {
    /// Reads a body; `None` if it is no such request.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The request's id as it was written.
    pub(super) fn id(&self) -> &'a str {
        self.id.map_or("null", RawValue::get)
    }

    /// What stands between the quotes of `messageId`, escapes as they were; `none` without one.
    pub(super) fn message(&self) -> &'a str {
        self.params.message.as_ref().and_then(|message| message.message_id).and_then(text).unwrap_or("none")
    }

    /// The same of `contextId`; a conversation of its own without one.
    pub(super) fn context(&self) -> Cow<'a, str> {
        match self.params.message.as_ref().and_then(|message| message.context_id).and_then(text) {
            Some(context) => Cow::Borrowed(context),
            None => Cow::Owned(format!("context-{}", self.message())),
        }
    }
}

fn text(value: &RawValue) -> Option<&str> {
    value.get().strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_in_any_order_of_members() {
        let body = br#"{"params":{"configuration":{},"message":{"parts":[],"contextId":"c\"1","messageId":"m1"}},
            "method":"message\/send","id":"seven","jsonrpc":"2.0"}"#;
        let rpc = Rpc::read(body).unwrap();
        assert_eq!((rpc.id(), &*rpc.method, rpc.message()), ("\"seven\"", "message/send", "m1"));
        assert_eq!(rpc.context(), "c\\\"1");
    }

    #[test]
    fn what_is_missing_has_a_stand_in() {
        let rpc = Rpc::read(br#"{"method":"GetTask","params":{"id":"t"}}"#).unwrap();
        assert_eq!((rpc.id(), rpc.message(), &*rpc.context()), ("null", "none", "context-none"));
        assert!(Rpc::read(b"[]").is_none());
    }
}
