//! The messages of both versions as data: `build.rs` reads the vendored proto files and writes the tables.
//!
//! One table serves four readers: the gRPC codec, the JSON normaliser, the validator and the typed query parameters of
//! HTTP. So a new field of the protocol is a changed proto file and nothing else.

/// One message type.
#[derive(Debug)]
pub(crate) struct Message {
    /// The name, for messages to people.
    pub(crate) name: &'static str,
    /// Its fields, in the order of the proto file, which is the order that we write them in.
    pub(crate) fields: &'static [Field],
}

/// One field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    /// The number on the wire.
    pub(crate) number: u32,
    /// The member's name in JSON.
    pub(crate) json: &'static str,
    /// The name in the proto file, which readers of ProtoJSON must accept too.
    pub(crate) proto: &'static str,
    /// How many values it holds.
    pub(crate) shape: Shape,
    /// What sort of values.
    pub(crate) kind: Kind,
    /// Marked `REQUIRED`: written even when it holds the default.
    pub(crate) required: bool,
    /// Absent and default differ (`optional`, members of a oneof, messages).
    pub(crate) presence: bool,
    /// The oneof that it belongs to.
    pub(crate) oneof: Option<&'static str>,
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One or none.
    One,
    /// Any number.
    Many,
    /// Any number, by text.
    Map,
}

/// What sort of values a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// UTF-8 text.
    Text,
    /// Bytes, base64 in JSON.
    Bytes,
    /// A boolean.
    Bool,
    /// A signed number.
    Int32,
    /// One of several names.
    Choice(&'static Choices),
    /// Another message.
    Message(&'static Message),
    /// Any JSON object.
    Struct,
    /// Any JSON value.
    Value,
    /// A moment, RFC 3339 in JSON.
    Timestamp,
}

/// An enum.
#[derive(Debug)]
pub(crate) struct Choices {
    /// The name, for messages to people.
    pub(crate) name: &'static str,
    /// Number and name of each value; the first is the default.
    pub(crate) values: &'static [(i32, &'static str)],
}

impl Message {
    /// The field that a JSON member means, in either spelling.
    pub(crate) fn member(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.json == name || field.proto == name)
    }

    /// The field with this number on the wire, and its place in the table.
    pub(crate) fn numbered(&self, number: u32) -> Option<(usize, &'static Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.number == number)
    }
}

impl Choices {
    /// The name of a number.
    pub(crate) fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values.iter().find(|(value, _)| *value == number).map(|(_, name)| *name)
    }

    /// The number of a name.
    pub(crate) fn number_of(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(_, value)| *value == name).map(|(number, _)| *number)
    }
}

/// `google.protobuf.Empty`.
pub(crate) static EMPTY: Message = Message { name: "Empty", fields: &[] };

#[allow(dead_code, reason = "the tables hold every message of the proto files; cards are reached through GetAgentCard")]
mod tables {
    use super::{Choices, Field, Kind, Message, Shape};

    include!(concat!(env!("OUT_DIR"), "/schema.rs"));
}

pub(crate) use tables::{v0_3, v1};
