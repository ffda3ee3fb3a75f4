//! A2A on the wire: which operation a request names, how it looks in each binding and version, and back.
//!
//! Everything meets in one form: the proto-JSON of A2A 1.0 (`lf.a2a.v1`) as [`serde_json::Value`]. A leg that speaks
//! something else is translated into it and out of it, never from dialect to dialect.
//!
//! - [`operation`]: names of operations in JSON-RPC and gRPC, of both versions.
//! - [`http`]: paths and query parameters of the HTTP+JSON binding.
//! - [`grpc`]: messages of the gRPC binding and their five-byte frames.
//! - [`error`]: one table of errors for all bindings.
//! - [`validate`]: whether the members of a request are right.
//! - [`legacy`]: 0.3 (and 0.2.x) to 1.0 and back.
//! - [`card`]: agent cards of every version.
//! - [`canonical`]: one spelling for members and values that ProtoJSON lets people spell in several ways.
//! - [`timestamp`] reads and writes moments.
//!
//! Sockets, headers and streams belong to the gateway.

pub mod canonical;
pub mod card;
pub mod error;
pub mod grpc;
pub mod http;
pub mod legacy;
pub mod operation;
mod place;
mod scalar;
mod schema;
pub mod timestamp;
pub mod validate;

/// A version of the protocol, as far as its wire format goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 1.0.
    V1,
    /// 0.3, and 0.2.x, which differs from it in nothing that this crate minds.
    V03,
}

impl Version {
    /// Both, the newer first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V03];

    /// `Major.Minor`, as the header `A2A-Version` and cards have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V03 => "0.3",
        }
    }
}

/// A binding of the protocol to a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// JSON-RPC 2.0 over HTTP, A2A 1.0 §9.
    JsonRpc,
    /// HTTP+JSON, A2A 1.0 §11.
    Http,
    /// gRPC, A2A 1.0 §10.
    Grpc,
}

impl Binding {
    /// All three.
    pub const ALL: [Self; 3] = [Self::JsonRpc, Self::Http, Self::Grpc];

    /// The name that cards use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::Http => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }
}

/// What one side of a call speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The binding.
    pub binding: Binding,
    /// The version.
    pub version: Version,
}
