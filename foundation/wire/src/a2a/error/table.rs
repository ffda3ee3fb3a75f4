//! The table: how each kind of problem looks, and what agents' words for it mean.

use moongate_core::{Code, Kind, Problem};

use super::{DOMAIN, GATEWAY_DOMAIN};
use crate::a2a::Version;

/// How one kind of problem looks in every binding.
#[derive(Debug)]
pub(super) struct Look {
    /// The kind.
    pub(super) kind: Kind,
    /// `ErrorInfo.reason`.
    pub(super) reason: &'static str,
    /// The error's name, as 0.3 writes it into gRPC messages and HTTP bodies.
    pub(super) name: &'static str,
    /// Whether A2A or JSON-RPC names this error, so that the reason is A2A's word.
    pub(super) standard: bool,
    /// JSON-RPC code.
    pub(super) rpc: i64,
    /// gRPC code.
    pub(super) grpc: u8,
    /// HTTP status.
    pub(super) http: u16,
    /// JSON-RPC code, gRPC code and HTTP status that 0.3 has for it.
    pub(super) old: (i64, u8, u16),
}

const STANDARD: bool = true;
const OURS: bool = false;

// gRPC codes by name, so that the table reads like the specification's.
const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const NOT_FOUND: u8 = 5;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const FAILED_PRECONDITION: u8 = 9;
const ABORTED: u8 = 10;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

macro_rules! looks {
    ($($kind:ident $reason:literal $name:literal $standard:ident
       $rpc:literal $grpc:ident $http:literal, $old_rpc:literal $old_grpc:ident $old_http:literal;)*) => {
        &[$(Look {
            kind: Kind::$kind, reason: $reason, name: $name, standard: $standard,
            rpc: $rpc, grpc: $grpc, http: $http, old: ($old_rpc, $old_grpc, $old_http),
        }),*]
    };
}

/// The old columns are those of the a2a-sdk 0.3 servers, which 0.3 clients were written against; the specification of
/// 0.3 leaves gRPC codes and HTTP statuses open.
pub(super) const LOOKS: &[Look] = looks! {
    TaskNotFound "TASK_NOT_FOUND" "TaskNotFoundError" STANDARD
        -32001 NOT_FOUND 404, -32001 NOT_FOUND 404;
    TaskNotCancelable "TASK_NOT_CANCELABLE" "TaskNotCancelableError" STANDARD
        -32002 FAILED_PRECONDITION 400, -32002 UNIMPLEMENTED 409;
    PushNotificationNotSupported "PUSH_NOTIFICATION_NOT_SUPPORTED" "PushNotificationNotSupportedError" STANDARD
        -32003 FAILED_PRECONDITION 400, -32003 UNIMPLEMENTED 501;
    UnsupportedOperation "UNSUPPORTED_OPERATION" "UnsupportedOperationError" STANDARD
        -32004 FAILED_PRECONDITION 400, -32004 UNIMPLEMENTED 501;
    ContentTypeNotSupported "CONTENT_TYPE_NOT_SUPPORTED" "ContentTypeNotSupportedError" STANDARD
        -32005 INVALID_ARGUMENT 400, -32005 UNIMPLEMENTED 415;
    InvalidAgentResponse "INVALID_AGENT_RESPONSE" "InvalidAgentResponseError" STANDARD
        -32006 INTERNAL 500, -32006 INTERNAL 502;
    ExtendedAgentCardNotConfigured "EXTENDED_AGENT_CARD_NOT_CONFIGURED" "ExtendedAgentCardNotConfiguredError" STANDARD
        -32007 FAILED_PRECONDITION 400, -32007 FAILED_PRECONDITION 404;
    ExtensionSupportRequired "EXTENSION_SUPPORT_REQUIRED" "ExtensionSupportRequiredError" STANDARD
        -32008 FAILED_PRECONDITION 400, -32603 FAILED_PRECONDITION 400;
    VersionNotSupported "VERSION_NOT_SUPPORTED" "VersionNotSupportedError" STANDARD
        -32009 FAILED_PRECONDITION 400, -32600 FAILED_PRECONDITION 400;
    Parse "PARSE_ERROR" "JSONParseError" STANDARD
        -32700 INVALID_ARGUMENT 400, -32700 INVALID_ARGUMENT 400;
    Request "INVALID_REQUEST" "InvalidRequestError" STANDARD
        -32600 INVALID_ARGUMENT 400, -32600 INVALID_ARGUMENT 400;
    Method "METHOD_NOT_FOUND" "MethodNotFoundError" STANDARD
        -32601 UNIMPLEMENTED 404, -32601 UNIMPLEMENTED 404;
    Params "INVALID_PARAMS" "InvalidParamsError" STANDARD
        -32602 INVALID_ARGUMENT 400, -32602 INVALID_ARGUMENT 400;
    Internal "INTERNAL_ERROR" "InternalError" STANDARD
        -32603 INTERNAL 500, -32603 INTERNAL 500;
    Unauthenticated "UNAUTHENTICATED" "InvalidRequestError" OURS
        -32600 UNAUTHENTICATED 401, -32600 UNAUTHENTICATED 401;
    Forbidden "PERMISSION_DENIED" "InvalidRequestError" OURS
        -32600 PERMISSION_DENIED 403, -32600 PERMISSION_DENIED 403;
    NotFound "NOT_FOUND" "InvalidParamsError" OURS
        -32602 NOT_FOUND 404, -32602 NOT_FOUND 404;
    MethodNotAllowed "METHOD_NOT_ALLOWED" "MethodNotFoundError" OURS
        -32601 UNIMPLEMENTED 405, -32601 UNIMPLEMENTED 405;
    Conflict "CONFLICT" "InvalidRequestError" OURS
        -32600 ABORTED 409, -32600 ABORTED 409;
    TooLarge "TOO_LARGE" "InvalidRequestError" OURS
        -32600 RESOURCE_EXHAUSTED 413, -32600 RESOURCE_EXHAUSTED 413;
    Overloaded "OVERLOADED" "InternalError" OURS
        -32603 RESOURCE_EXHAUSTED 429, -32603 RESOURCE_EXHAUSTED 429;
    Unavailable "UNAVAILABLE" "InternalError" OURS
        -32603 UNAVAILABLE 503, -32603 UNAVAILABLE 503;
    Timeout "TIMEOUT" "InternalError" OURS
        -32603 DEADLINE_EXCEEDED 504, -32603 DEADLINE_EXCEEDED 504;
};

/// For a kind that the table lacks; a test keeps it from happening.
const FALLBACK: Look = Look {
    kind: Kind::Internal,
    reason: "INTERNAL_ERROR",
    name: "InternalError",
    standard: true,
    rpc: -32603,
    grpc: INTERNAL,
    http: 500,
    old: (-32603, INTERNAL, 500),
};

/// The row of a kind.
pub(super) fn look(kind: Kind) -> &'static Look {
    LOOKS.iter().find(|look| look.kind == kind).unwrap_or(&FALLBACK)
}

impl Look {
    /// JSON-RPC code, gRPC code and HTTP status in a version.
    pub(super) fn codes(&self, version: Version) -> (i64, u8, u16) {
        match version {
            Version::V1 => (self.rpc, self.grpc, self.http),
            Version::V03 => self.old,
        }
    }
}

/// `ErrorInfo.reason` and `domain` of a problem of ours.
pub(super) fn reason_and_domain(problem: &Problem) -> (&'static str, &'static str) {
    let look = look(problem.kind());
    match problem.code {
        Code::NoSkill => ("NO_SKILL", GATEWAY_DOMAIN),
        _ => (look.reason, if look.standard { DOMAIN } else { GATEWAY_DOMAIN }),
    }
}

/// The HTTP status of a problem's kind.
pub(super) fn http_status(problem: &Problem, version: Version) -> u16 {
    look(problem.kind()).codes(version).2
}

/// Whether 0.3 knows this JSON-RPC code.
pub(super) fn is_known_to_v03(code: i64) -> bool {
    matches!(code, -32700 | -32603..=-32600 | -32007..=-32001)
}

/// The name of a gRPC code, as AIP-193 writes it.
pub(super) fn status_name(grpc: u8) -> &'static str {
    match grpc {
        0 => "OK",
        1 => "CANCELLED",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}

/// What an agent means by a reason.
pub(super) fn by_reason(reason: &str) -> Option<Code> {
    match reason {
        "NO_SKILL" => Some(Code::NoSkill),
        _ => LOOKS.iter().find(|look| look.reason == reason).map(|look| code(look.kind)),
    }
}

/// What an agent of 0.3 means by the name of an error.
pub(super) fn by_name(name: &str) -> Option<Code> {
    match name {
        "AuthenticatedExtendedCardNotConfiguredError" => Some(Code::ExtendedCardNotOffered),
        _ => LOOKS.iter().find(|look| look.standard && look.name == name).map(|look| code(look.kind)),
    }
}

/// What an agent means by a JSON-RPC code.
pub(super) fn by_rpc(rpc: i64) -> Option<Code> {
    LOOKS.iter().find(|look| look.standard && look.rpc == rpc).map(|look| code(look.kind))
}

/// What A2A over MQTT means by `data.a2a_error`; it uses codes that A2A gave to others.
pub(super) fn by_mqtt(error: &str) -> Option<Code> {
    match error {
        "request_expired" => Some(Code::AgentTimeout),
        "responder_unavailable" => Some(Code::AgentUnreachable),
        "transport_protocol_error" => Some(Code::AgentGarbage),
        _ => None,
    }
}

/// The code for a kind of error that an agent reported.
fn code(kind: Kind) -> Code {
    match kind {
        Kind::Parse => Code::BodyNotJson,
        Kind::Request | Kind::Conflict => Code::NotARequest,
        Kind::Method => Code::UnknownMethod,
        Kind::Params | Kind::NotFound => Code::InvalidParams,
        Kind::Internal => Code::AgentFailed,
        Kind::TaskNotFound => Code::TaskNotFound,
        Kind::TaskNotCancelable => Code::TaskNotCancelable,
        Kind::PushNotificationNotSupported => Code::PushNotOffered,
        Kind::UnsupportedOperation | Kind::MethodNotAllowed => Code::NotOffered,
        Kind::ContentTypeNotSupported => Code::UnsupportedContentType,
        Kind::InvalidAgentResponse => Code::AgentGarbage,
        Kind::ExtendedAgentCardNotConfigured => Code::ExtendedCardNotOffered,
        Kind::ExtensionSupportRequired => Code::ExtensionRequired,
        Kind::VersionNotSupported => Code::UnsupportedVersion,
        Kind::Unauthenticated | Kind::Forbidden => Code::AgentRefusedUs,
        Kind::TooLarge => Code::BodyTooLarge,
        Kind::Overloaded => Code::AgentOverloaded,
        Kind::Unavailable => Code::AgentUnreachable,
        Kind::Timeout => Code::AgentTimeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_exactly_one_row() {
        for code in Code::ALL {
            let rows = LOOKS.iter().filter(|look| look.kind == code.kind()).count();
            assert_eq!(rows, 1, "{:?}", code.kind());
        }
    }

    #[test]
    fn reasons_and_standard_codes_lead_back_to_their_kind() {
        for look in LOOKS.iter().filter(|look| look.standard) {
            assert_eq!(by_reason(look.reason).unwrap().kind(), look.kind);
            assert_eq!(by_rpc(look.rpc).unwrap().kind(), look.kind);
            assert_eq!(by_name(look.name).unwrap().kind(), look.kind);
        }
    }

    #[test]
    fn codes_for_0_3_are_codes_that_0_3_knows() {
        for look in LOOKS {
            assert!(is_known_to_v03(look.old.0), "{:?}", look.kind);
        }
    }
}
