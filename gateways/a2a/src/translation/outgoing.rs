//! The request that goes to an agent: method, path, headers and body in the agent's dialect.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Version as HttpVersion};
use http_body_util::Full;
use moongate_core::{Code, Operation, Problem};
use moongate_wire::a2a::legacy::{self, Style};
use moongate_wire::a2a::{Binding, Version, grpc, http as http_paths, operation};
use serde_json::{Value, json};

use crate::call::Call;
use crate::routing::directory::Upstream;
use crate::tasks::control::PAUSE_RESUME;

/// The header that carries the protocol version (A2A 1.0 §3.6).
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("a2a-version");
/// The header that carries extension URIs (A2A 1.0 §3.2.6).
pub const EXTENSIONS_HEADER: HeaderName = HeaderName::from_static("a2a-extensions");
const LEGACY_EXTENSIONS_HEADER: HeaderName = HeaderName::from_static("x-a2a-extensions");
/// The JSON-RPC id of requests that the gateway writes itself: one request, one answer.
pub const OWN_ID: &[u8] = b"1";
/// Counts the gateways that a request has passed, so that none goes in a circle.
pub const HOPS_HEADER: HeaderName = HeaderName::from_static("moongate-hops");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A request as it goes to an agent.
pub struct Outgoing {
    /// What the agent is asked; may differ from what the client asked.
    pub operation: Operation,
    /// The parameters in canonical form; `None` means the call's own, unchanged.
    pub params: Option<Value>,
}

impl Outgoing {
    /// The client's own request.
    pub fn same(operation: Operation) -> Self {
        Self { operation, params: None }
    }

    /// A request with other parameters.
    pub fn with(operation: Operation, params: Value) -> Self {
        Self { operation, params: Some(params) }
    }
}

/// Whether the answer's bytes, too, may pass unchanged: client and agent speak alike and the request did.
pub fn passes(call: &Call, upstream: &Upstream, outgoing: &Outgoing) -> bool {
    call.verbatim
        && outgoing.params.is_none()
        && outgoing.operation == call.operation
        && upstream.dialect == call.dialect
        && upstream.tenant.is_none()
}

/// The HTTP request for an agent.
///
/// # Errors
/// What the agent's dialect cannot say.
pub fn request(
    call: &Call,
    upstream: &Upstream,
    outgoing: &Outgoing,
    trace: Option<&str>,
) -> Result<Request<Full<Bytes>>, Problem> {
    let operation = outgoing.operation;
    let (method, path, body) = if passes(call, upstream, outgoing) {
        verbatim(call, upstream)?
    } else {
        translated(call, upstream, outgoing)?
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    let grpc = upstream.dialect.binding == Binding::Grpc;
    *request.uri_mut() = match path {
        None => upstream.uri.clone(),
        Some(path) => {
            let uri = if grpc { format!("{}://{}{path}", upstream.scheme, upstream.authority) } else { path };
            uri.parse()
                .map_err(|error| Problem::new(Code::Internal, "the agent's address cannot be called").inside(error))?
        }
    };
    if grpc {
        *request.version_mut() = HttpVersion::HTTP_2;
    }
    headers(request.headers_mut(), call, upstream, operation, trace);
    Ok(request)
}

fn headers(headers: &mut HeaderMap, call: &Call, upstream: &Upstream, operation: Operation, trace: Option<&str>) {
    let value = |text: &str| HeaderValue::from_str(text).ok();
    let version = upstream.dialect.version;
    if upstream.dialect.binding == Binding::Grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    } else {
        headers.insert(HOST, upstream.host.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if operation.is_streaming() { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("moongate/", env!("CARGO_PKG_VERSION"))));
    if version == Version::V1 {
        headers.insert(VERSION_HEADER, HeaderValue::from_static("1.0"));
    }
    // Our own extensions end here, but for the one that an agent of the same mind is asked by.
    let ours = matches!(operation, Operation::Pause | Operation::Resume).then_some(PAUSE_RESUME);
    let theirs = call.service.extensions.iter().map(String::as_str);
    let theirs = theirs.filter(|uri| !uri.starts_with("https://w3id.org/moongate/"));
    let extensions: Vec<&str> = theirs.chain(ours).collect();
    if let Some(list) = (!extensions.is_empty()).then(|| extensions.join(", ")).as_deref().and_then(value) {
        if version == Version::V03 {
            headers.insert(LEGACY_EXTENSIONS_HEADER, list.clone());
        }
        headers.insert(EXTENSIONS_HEADER, list);
    }
    headers.insert(HOPS_HEADER, HeaderValue::from(call.hops.saturating_add(1)));
    if let Some(trace) = trace.and_then(value) {
        headers.insert(TRACEPARENT, trace);
        if let Some(state) = call.headers.get(TRACESTATE) {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

fn verbatim(call: &Call, upstream: &Upstream) -> Result<(Method, Option<String>, Bytes), Problem> {
    match upstream.dialect.binding {
        Binding::JsonRpc => Ok((Method::POST, None, call.body.clone())),
        Binding::Grpc => {
            let path = operation::grpc_path(call.operation, upstream.dialect.version).ok_or_else(unsayable)?.to_owned();
            Ok((Method::POST, Some(path), grpc::frame(&call.body)))
        }
        Binding::Http if call.operation.carries_message() => {
            let action = if call.operation == Operation::Send { "send" } else { "stream" };
            Ok((Method::POST, Some(format!("{}/message:{action}", upstream.path)), call.body.clone()))
        }
        Binding::Http => http_request(upstream, call.operation, call.value()?),
    }
}

fn translated(
    call: &Call,
    upstream: &Upstream,
    outgoing: &Outgoing,
) -> Result<(Method, Option<String>, Bytes), Problem> {
    let operation = outgoing.operation;
    let plain = upstream.tenant.is_none() && upstream.dialect.version == Version::V1;
    // Raw splice: the canonical text itself becomes the payload, nothing is parsed.
    if let (true, None, Version::V1) = (plain, &outgoing.params, upstream.dialect.version)
        && upstream.dialect.binding == Binding::JsonRpc
        && call.peek.tenant.is_none()
    {
        let body =
            rpc_envelope(operation::jsonrpc_method(operation, Version::V1).ok_or_else(unsayable)?, &call.canonical);
        return Ok((Method::POST, None, body));
    }
    let mut params = match &outgoing.params {
        Some(params) => params.clone(),
        None => call.value()?,
    };
    if let Some(members) = params.as_object_mut() {
        members.remove("tenant");
        if let Some(tenant) = &upstream.tenant {
            members.insert("tenant".into(), json!(tenant));
        }
        // Without a configuration some agents of the older version answer at once, others block: say it.
        if upstream.dialect.version == Version::V03 && operation == Operation::Send {
            members.entry("configuration").or_insert_with(|| json!({}));
        }
    }
    if upstream.dialect.binding == Binding::Http {
        return http_request(upstream, operation, in_version(upstream, operation, params)?);
    }
    let params = in_version(upstream, operation, params)?;
    match upstream.dialect.binding {
        Binding::JsonRpc => {
            let text = serde_json::to_vec(&params).unwrap_or_default();
            let method = operation::jsonrpc_method(operation, upstream.dialect.version).ok_or_else(unsayable)?;
            Ok((Method::POST, None, rpc_envelope(method, &text)))
        }
        Binding::Grpc | Binding::Http => {
            let message = grpc::encode_request(operation, upstream.dialect.version, &params)?;
            let path = operation::grpc_path(operation, upstream.dialect.version).ok_or_else(unsayable)?.to_owned();
            Ok((Method::POST, Some(path), grpc::frame(&message)))
        }
    }
}

/// Canonical parameters in the agent's version.
fn in_version(upstream: &Upstream, operation: Operation, params: Value) -> Result<Value, Problem> {
    match upstream.dialect.version {
        Version::V1 => Ok(params),
        Version::V03 => legacy::request_from_v1(operation, style(upstream.dialect.binding), params),
    }
}

fn unsayable() -> Problem {
    Problem::new(Code::NotOffered, "the agent's version of the protocol has no such operation")
}

/// Which of the two older JSON forms a binding uses.
pub fn style(binding: Binding) -> Style {
    match binding {
        Binding::JsonRpc => Style::Kind,
        Binding::Http | Binding::Grpc => Style::Proto,
    }
}

fn http_request(
    upstream: &Upstream,
    operation: Operation,
    params: Value,
) -> Result<(Method, Option<String>, Bytes), Problem> {
    let parts = http_paths::build(operation, upstream.dialect.version, params)?;
    let method = Method::from_bytes(parts.method.as_bytes())
        .map_err(|error| Problem::new(Code::Internal, "an HTTP method is malformed").inside(error))?;
    let body = parts.body.map(|body| serde_json::to_vec(&body).unwrap_or_default()).unwrap_or_default();
    Ok((method, Some(format!("{}{}", upstream.path, parts.path)), body.into()))
}

/// A JSON-RPC request around raw parameters.
fn rpc_envelope(method: &str, params: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(params.len() + method.len() + 48);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(OWN_ID);
    out.extend_from_slice(br#","method":""#);
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(br#"","params":"#);
    out.extend_from_slice(params);
    out.push(b'}');
    out.into()
}
