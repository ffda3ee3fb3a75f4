//! What an agent does not do, and how it says so: JSON-RPC errors (1.0 and 0.3) and AIP-193 bodies (HTTP+JSON).

use http::StatusCode;
use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NotJson,
    NotARequest,
    NoMethod,
    NoPath,
    Params,
    NoTask,
    NotCancelable,
    NoPush,
    Unsupported,
    NoExtendedCard,
    Version,
}

impl Kind {
    /// JSON-RPC code, HTTP status, its name in AIP-193, and the reason that A2A gives the error (A2A 1.0 §5.4).
    fn row(self) -> (i64, StatusCode, &'static str, &'static str) {
        const PRECONDITION: &str = "FAILED_PRECONDITION";
        match self {
            Self::NotJson => (-32700, StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "PARSE_ERROR"),
            Self::NotARequest => (-32600, StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_REQUEST"),
            Self::NoMethod => (-32601, StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED", "METHOD_NOT_FOUND"),
            Self::NoPath => (-32601, StatusCode::NOT_FOUND, "NOT_FOUND", "METHOD_NOT_FOUND"),
            Self::Params => (-32602, StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_PARAMS"),
            Self::NoTask => (-32001, StatusCode::NOT_FOUND, "NOT_FOUND", "TASK_NOT_FOUND"),
            Self::NotCancelable => (-32002, StatusCode::BAD_REQUEST, PRECONDITION, "TASK_NOT_CANCELABLE"),
            Self::NoPush => (-32003, StatusCode::BAD_REQUEST, PRECONDITION, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
            Self::Unsupported => (-32004, StatusCode::BAD_REQUEST, PRECONDITION, "UNSUPPORTED_OPERATION"),
            Self::NoExtendedCard => {
                (-32007, StatusCode::BAD_REQUEST, PRECONDITION, "EXTENDED_AGENT_CARD_NOT_CONFIGURED")
            }
            Self::Version => (-32009, StatusCode::BAD_REQUEST, PRECONDITION, "VERSION_NOT_SUPPORTED"),
        }
    }
}

/// A refusal and what was wrong.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) message: String,
}

impl Refusal {
    /// Refuses with these words.
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// There is no such task.
    pub(super) fn no_task(id: &str) -> Self {
        Self::new(Kind::NoTask, format!("there is no task {id}"))
    }

    fn details(&self) -> Value {
        let (_, _, _, reason) = self.kind.row();
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org", "metadata": {}}])
    }

    /// The `error` member of a JSON-RPC answer of A2A 1.0.
    pub(super) fn rpc(&self) -> Value {
        json!({"code": self.kind.row().0, "message": self.message, "data": self.details()})
    }

    /// The same in A2A 0.3, which has no details.
    pub(super) fn rpc_v03(&self) -> Value {
        json!({"code": self.kind.row().0, "message": self.message})
    }

    /// Status and body in the HTTP+JSON binding.
    pub(super) fn http(&self) -> (StatusCode, Value) {
        let (_, code, status, _) = self.kind.row();
        let error =
            json!({"code": code.as_u16(), "status": status, "message": self.message, "details": self.details()});
        (code, json!({ "error": error }))
    }
}
