//! The few messages of OTLP that a span for each request needs, by the field numbers of opentelemetry-proto 1.9:
//! `collector/trace/v1/trace_service.proto`, `trace/v1/trace.proto`, `resource/v1/resource.proto`,
//! `common/v1/common.proto`.
//!
//! Written here because the crate with all of them brings the whole SDK along; a test reads our bytes with its types.

use moongate_core::seam::TraceContext;
use moongate_core::{Blame, Entry};
use prost::{Message, Oneof};

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// `InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// `SPAN_KIND_SERVER`.
const SERVER: i32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;
/// The W3C flag *sampled*.
const SAMPLED: u32 = 1;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`: the parent is somebody else's.
const REMOTE_PARENT: u32 = 0x300;

/// One batch of spans as a collector takes it.
pub(super) fn request(service_name: &str, spans: Vec<Span>) -> Request {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = vec![text("service.name", service_name), text("service.version", version)];
    let scope = Scope { name: "moongate".into(), version: version.into() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    Request { resource_spans: vec![ResourceSpans { resource: Some(Resource { attributes }), scope_spans }] }
}

/// The span of one request. As the conventions for servers want it, an error that the caller caused is no error of the
/// span.
pub(super) fn span(entry: &Entry, trace: &TraceContext) -> Span {
    let mut attributes = vec![
        text("moongate.request_id", entry.request.as_str()),
        text("moongate.source", &entry.source),
        text("moongate.domain", &entry.domain),
        text("moongate.agent", &entry.target),
        text("moongate.instance", &entry.instance),
        text("moongate.operation", entry.operation.as_str()),
        text("moongate.listener", entry.listener.as_str()),
        text("moongate.rule", &entry.rule),
        text("moongate.result", entry.result),
    ];
    let mut status = None;
    if let Some(code) = entry.code {
        let number = code.to_string();
        attributes.push(text("moongate.code", &number));
        if code.blame() != Blame::Caller {
            attributes.push(text("error.type", &number));
            status = Some(Status { message: code.title().into(), code: ERROR });
        }
    }
    let start = entry.at.0.saturating_mul(1_000_000);
    let took = u64::try_from(entry.took.as_nanos()).unwrap_or(u64::MAX);
    let sampled = if trace.sampled { SAMPLED } else { 0 };
    Span {
        trace_id: trace.trace_id.to_vec(),
        span_id: trace.span.to_vec(),
        parent_span_id: trace.parent.map(Vec::from).unwrap_or_default(),
        name: entry.operation.as_str().into(),
        kind: SERVER,
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(took),
        attributes,
        status,
        flags: sampled | if trace.parent.is_some() { REMOTE_PARENT } else { 0 },
    }
}

/// How many spans the collector's answer rejects; an answer that cannot be read rejects none.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let partial = Response::decode(answer).ok().and_then(|response| response.partial_success);
    partial.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::Text(value.into())) }) }
}
