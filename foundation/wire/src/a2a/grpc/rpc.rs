//! The few messages of `google.rpc` that errors are made of, written by hand: `status.proto` and
//! `error_details.proto` have many more, and none of the others is used by A2A.

use std::collections::BTreeMap;

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    /// `type.googleapis.com/` and the full name of the message.
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    /// A gRPC code.
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    /// The same as `grpc-message`.
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    /// What else there is to say.
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ErrorInfo {
    /// Which error it is, in UPPER_SNAKE.
    #[prost(string, tag = "1")]
    pub(crate) reason: String,
    /// Whose word `reason` is.
    #[prost(string, tag = "2")]
    pub(crate) domain: String,
    /// Further facts.
    #[prost(btree_map = "string, string", tag = "3")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BadRequest {
    /// Each member that is wrong.
    #[prost(message, repeated, tag = "1")]
    pub(crate) field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FieldViolation {
    /// The path of the member.
    #[prost(string, tag = "1")]
    pub(crate) field: String,
    /// What is wrong with it.
    #[prost(string, tag = "2")]
    pub(crate) description: String,
}
