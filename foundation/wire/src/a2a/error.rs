//! Errors in every binding and version, from one table (A2A 1.0.1 §5.4, §9.5, §10.6, §11.6).
//!
//! - A [`Problem`] of ours is written with an `ErrorInfo` whose `metadata.code` is the `MG-nnnn`; its domain is
//!   `a2a-protocol.org` for errors that A2A names and `moongate` for those that only a gateway has.
//! - An error that an agent reported keeps its code, message and details, in whatever binding it arrived and leaves. It
//!   is recognised by `ErrorInfo.reason` first, its code second and the status last: the table changed between 1.0.0
//!   and 1.0.1, and seven of nine errors share HTTP 400.
//! - 0.3 has no ErrorInfo. Its clients tell errors apart by the JSON-RPC code, by the HTTP status or a member `type`,
//!   and in gRPC by the name before the colon of the message; so they get all of these.
//!
//! What only the log may see ([`Problem::inside`]) is never written.

mod any;
mod read;
mod table;
mod write;

use bytes::Bytes;
use moongate_core::Problem;
use serde_json::Value;

use super::Version;

/// The domain of errors that A2A names.
pub const DOMAIN: &str = "a2a-protocol.org";
/// The domain of errors that only a gateway has.
pub const GATEWAY_DOMAIN: &str = "moongate";

/// A status as gRPC trailers carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    /// `grpc-status`.
    pub code: u8,
    /// `grpc-message`, not yet percent-encoded: see [`super::grpc::status_message`].
    pub message: String,
    /// A `google.rpc.Status` for `grpc-status-details-bin`, not yet in base64: see [`super::grpc::status_details`].
    pub details: Bytes,
}

/// A whole JSON-RPC response. `id` is the request's id as raw JSON; nothing, where it is not known, becomes `null`.
pub fn to_jsonrpc(problem: &Problem, version: Version, id: &[u8]) -> Bytes {
    write::jsonrpc(problem, version, id)
}

/// The JSON-RPC error object alone, for frames that are more than a response.
pub fn to_jsonrpc_error(problem: &Problem, version: Version) -> Value {
    write::jsonrpc_error(problem, version)
}

/// HTTP status and AIP-193 body. For 0.3 the body has `type` and `message` besides.
pub fn to_http(problem: &Problem, version: Version) -> (u16, Bytes) {
    write::http(problem, version)
}

/// A gRPC status.
pub fn to_grpc(problem: &Problem, version: Version) -> GrpcStatus {
    write::grpc(problem, version)
}

/// The `error` member of an agent's JSON-RPC response, of any version.
pub fn from_jsonrpc(error: &Value) -> Problem {
    read::jsonrpc(error)
}

/// An agent's HTTP answer that is not a success, of any version; also the data of an SSE `event: error`, for which the
/// status is that of the error it holds (pass 500 if it holds none).
pub fn from_http(status: u16, body: &[u8]) -> Problem {
    read::http(status, body)
}

/// An agent's gRPC status that is not OK, of any version. `message` and `details` are decoded already; no details are
/// an empty slice.
pub fn from_grpc(code: u8, message: &str, details: &[u8]) -> Problem {
    read::grpc(code, message, details)
}

#[cfg(test)]
mod tests;
