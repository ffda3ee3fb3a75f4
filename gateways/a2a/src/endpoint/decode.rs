//! From an HTTP request to a [`Call`]: version, binding, operation, parameters. Pure.
//!
//! Everything that a request can do wrong is told here, before anybody is asked: JSON, limits, version, content type,
//! method, members. The request's JSON is looked at once (`wire::peek`); only a client of the older dialect, or of gRPC,
//! costs a full parse.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use moongate_core::{AgentName, Code, Head, Operation, Problem, SkillId};
use moongate_wire::a2a::legacy::{self, Style};
use moongate_wire::a2a::{Binding, Dialect, Version, grpc, http as paths, operation, validate};
use moongate_wire::peek;
use serde_json::{Value, json};

use super::Failure;
use super::path::Place;
use crate::call::{Call, Service, Wishes};
use crate::gateway::Settings;
use crate::translation::outgoing::{HOPS_HEADER, style};

/// A request passes at most so many gateways.
const MOST_HOPS: u16 = 8;

/// What a request's head says of how the client speaks; enough to tell it what is wrong.
pub(super) struct Speaker {
    /// The dialect, as far as it is known before the body.
    pub(super) dialect: Dialect,
    /// Whether answers are typed `application/a2a+json`.
    pub(super) a2a_json: bool,
    version: Option<String>,
    extensions: Vec<String>,
}

impl Speaker {
    /// Reads the service parameters (A2A 1.0 §3.2.6).
    pub(super) fn of(place: &Place, parts: &Parts) -> Self {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let query = parts.uri.query().and_then(|query| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(k, _)| k.eq_ignore_ascii_case("a2a-version")))
        });
        let version =
            text("a2a-version").or(query.map(|(_, value)| value)).filter(|text| !text.is_empty()).map(str::to_owned);
        let legacy = version.as_deref().is_none_or(|text| text.starts_with("0.3"));
        let dialect = match place {
            Place::Grpc => {
                let old = parts.uri.path().starts_with("/a2a.v1.");
                Dialect { binding: Binding::Grpc, version: if old { Version::V03 } else { Version::V1 } }
            }
            Place::Rest { rest, .. } => {
                let old = rest.starts_with("/v1/");
                Dialect { binding: Binding::Http, version: if old { Version::V03 } else { Version::V1 } }
            }
            Place::Rpc { .. } | Place::Socket { .. } | Place::Card { .. } | Place::Keys => {
                Dialect { binding: Binding::JsonRpc, version: if legacy { Version::V03 } else { Version::V1 } }
            }
        };
        // Media types are spelt in any case (RFC 9110 §8.3.1).
        let mentions = |value: Option<&str>| {
            value.is_some_and(|value| value.to_ascii_lowercase().contains("application/a2a+json"))
        };
        let a2a_json = mentions(text(CONTENT_TYPE.as_str())) || mentions(text(ACCEPT.as_str()));
        Self { dialect, a2a_json, version, extensions: extensions(&parts.headers) }
    }

    /// The version asked for; only `Major.Minor` counts (A2A 1.0 §3.6).
    pub(super) fn version(&self) -> Result<Option<Version>, Problem> {
        let Some(text) = &self.version else { return Ok(None) };
        let mut numbers = text.split('.');
        match (numbers.next(), numbers.next()) {
            (Some("1"), Some("0")) => Ok(Some(Version::V1)),
            (Some("0"), Some("3")) => Ok(Some(Version::V03)),
            _ => {
                let shown: String = text.chars().take(20).collect();
                Err(Problem::new(Code::UnsupportedVersion, format!("A2A {shown} is not spoken here; 1.0 and 0.3 are")))
            }
        }
    }
}

fn extensions(headers: &HeaderMap) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for name in ["a2a-extensions", "x-a2a-extensions"] {
        for value in headers.get_all(name) {
            for uri in value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|uri| !uri.is_empty()) {
                if list.len() < 32 && !list.iter().any(|held| held == uri) {
                    list.push(uri.to_owned());
                }
            }
        }
    }
    list
}

/// A decoded request, and what policy and routing see of it.
pub(super) struct Decoded {
    pub(super) call: Call,
    pub(super) head: Head,
}

/// The request in parts, while it is being decoded.
struct Draft {
    dialect: Dialect,
    style: Style,
    operation: Operation,
    rpc_id: Bytes,
    body: Bytes,
    verbatim: bool,
    canonical: Bytes,
    peek: peek::Params,
    draft: bool,
}

/// Decodes a request.
pub(super) fn decode(
    place: &Place,
    parts: Parts,
    body: Bytes,
    speaker: &Speaker,
    settings: &Settings,
) -> Result<Decoded, Failure> {
    let fail = |problem| Failure::new(problem, speaker.dialect, Bytes::from_static(b"null"));
    let version = speaker.version().map_err(fail)?;
    let (base, tenant, draft) = match place {
        Place::Rpc { agent } => {
            if parts.method != http::Method::POST {
                return Err(fail(Problem::new(Code::HttpMethodNotAllowed, "JSON-RPC requests are sent with POST")));
            }
            content_type(&parts.headers).map_err(fail)?;
            (agent, None, rpc(&body, version, settings)?)
        }
        Place::Rest { agent, tenant, rest } => {
            (agent, tenant.clone(), rest_call(&parts, rest, body, version, settings).map_err(fail)?)
        }
        Place::Grpc => (&None, None, grpc_call(&parts, &body, version, settings).map_err(fail)?),
        Place::Card { .. } | Place::Keys | Place::Socket { .. } => {
            return Err(fail(Problem::new(Code::Internal, "this place is no operation")));
        }
    };
    let (dialect, rpc_id) = (draft.dialect, draft.rpc_id.clone());
    finish(draft, base.clone(), tenant, parts.headers, speaker)
        .map_err(|problem| Failure::new(problem, dialect, rpc_id))
}

fn content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json")
        || kind.eq_ignore_ascii_case("application/a2a+json")
        || kind.is_empty()
    {
        return Ok(());
    }
    let shown: String = kind.chars().take(80).collect();
    Err(Problem::new(
        Code::UnsupportedContentType,
        format!("the body's type {shown} is not understood; send application/json"),
    ))
}

fn rpc(body: &Bytes, version: Option<Version>, settings: &Settings) -> Result<Draft, Failure> {
    let null = Bytes::from_static(b"null");
    let early = Dialect { binding: Binding::JsonRpc, version: version.unwrap_or(Version::V03) };
    let peeked = peek::request(body, &settings.json, settings.wants_text)
        .map_err(|problem| Failure::new(problem, early, null.clone()))?;
    let id = match peeked.id {
        peek::RpcId::Absent => null,
        peek::RpcId::Raw(span) => span.of(body),
    };
    let fail = |code, detail: String, dialect| Failure::new(Problem::new(code, detail), dialect, id.clone());
    if !peeked.jsonrpc_ok {
        return Err(fail(Code::NotARequest, "the member jsonrpc is not \"2.0\"".into(), early));
    }
    if peeked.id == peek::RpcId::Absent {
        return Err(fail(Code::NotARequest, "the member id is missing: A2A has no notifications".into(), early));
    }
    let Some(method) = peeked.method.as_deref() else {
        return Err(fail(Code::NotARequest, "the member method is missing or no string".into(), early));
    };
    let Some((operation, spoken)) = operation::parse_jsonrpc_method(method) else {
        let shown: String = method.chars().take(80).collect();
        return Err(fail(Code::UnknownMethod, format!("there is no method {shown}"), early));
    };
    let dialect = Dialect { binding: Binding::JsonRpc, version: spoken };
    match (spoken, version) {
        (Version::V1, None | Some(Version::V03)) => {
            let detail = format!("{method} is a method of A2A 1.0; send the header A2A-Version: 1.0");
            return Err(fail(Code::UnsupportedVersion, detail, dialect));
        }
        (Version::V03, Some(Version::V1)) => {
            return Err(fail(Code::UnknownMethod, format!("there is no method {method} in A2A 1.0"), early));
        }
        _ => {}
    }
    let params = peeked.params.map_or_else(|| Bytes::from_static(b"{}"), |span| span.of(body));
    let failing = |problem| Failure::new(problem, dialect, id.clone());
    if spoken == Version::V1 {
        let verbatim = peeked.params.is_some();
        let (body, rpc_id) = (body.clone(), id.clone());
        let style = Style::Kind;
        return Ok(Draft {
            dialect,
            style,
            operation,
            rpc_id,
            body,
            verbatim,
            canonical: params,
            peek: peeked.members,
            draft: false,
        });
    }
    peeked.members.accepted().map_err(failing)?;
    let value = parse(&params).map_err(failing)?;
    let value = legacy::request_to_v1(operation, Style::Kind, value).map_err(failing)?;
    let mut draft = of_value(dialect, operation, value, settings).map_err(failing)?;
    // An agent of the same age gets the very bytes.
    draft.body = body.clone();
    draft.verbatim = peeked.params.is_some();
    draft.rpc_id = id;
    Ok(draft)
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::BodyNotJson, format!("the body is not JSON: {error}")))
}

/// A call whose canonical form had to be made.
fn of_value(dialect: Dialect, operation: Operation, value: Value, settings: &Settings) -> Result<Draft, Problem> {
    let canonical: Bytes = serde_json::to_vec(&value).unwrap_or_default().into();
    let peek = peek::params(&canonical, &settings.json, settings.wants_text)?;
    validate::params(operation, &value)?;
    let (rpc_id, body) = (Bytes::from_static(b"null"), Bytes::new());
    let style = style(dialect.binding);
    Ok(Draft { dialect, style, operation, rpc_id, body, verbatim: false, canonical, peek, draft: false })
}

fn rest_call(
    parts: &Parts,
    rest: &str,
    body: Bytes,
    version: Option<Version>,
    settings: &Settings,
) -> Result<Draft, Problem> {
    let query = parts.uri.query().map(without_version);
    let found = paths::parse(parts.method.as_str(), rest, query.as_deref().filter(|query| !query.is_empty()))?;
    // The draft's paths are 1.0 without saying so.
    let drafts = rest.starts_with("/tasks") || rest == "/tasks";
    match (found.version, version) {
        (Version::V1, None) if !drafts => {
            return Err(Problem::new(
                Code::UnsupportedVersion,
                "without a version the request is A2A 0.3, whose paths begin with /v1; send the header A2A-Version: 1.0",
            ));
        }
        (Version::V1, Some(Version::V03)) => {
            return Err(Problem::new(Code::UnsupportedVersion, "this path is of A2A 1.0, the header says 0.3"));
        }
        (Version::V03, Some(Version::V1)) => {
            return Err(Problem::new(Code::NoSuchPath, "paths below /v1 are of A2A 0.3, the header says 1.0"));
        }
        _ => {}
    }
    let dialect = Dialect { binding: Binding::Http, version: found.version };
    if !body.is_empty() {
        content_type(&parts.headers)?;
    }
    if found.version == Version::V1 && found.source == paths::Source::Body {
        let peek = peek::params(&body, &settings.json, settings.wants_text)?;
        let (rpc_id, canonical) = (Bytes::from_static(b"null"), body.clone());
        let operation = found.operation;
        let style = Style::Proto;
        return Ok(Draft {
            dialect,
            style,
            operation,
            rpc_id,
            body,
            verbatim: true,
            canonical,
            peek,
            draft: found.draft,
        });
    }
    if found.source == paths::Source::Body {
        peek::params(&body, &settings.json, false)?.accepted()?;
    } else if !body.is_empty() {
        moongate_wire::json::check(&body, &settings.json)?;
    }
    let mut value = found.params(&body)?;
    let mut style = Style::Proto;
    if found.version == Version::V03 {
        style = Style::of_rest_body(&value);
        value = legacy::request_to_v1(found.operation, style, value)?;
    }
    let mut draft = of_value(dialect, found.operation, value, settings)?;
    draft.style = style;
    draft.draft = found.draft;
    Ok(draft)
}

/// The query without the version, which is a service parameter and no member of the request.
fn without_version(query: &str) -> String {
    let keep = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("a2a-version") && !name.eq_ignore_ascii_case("view")
    };
    query.split('&').filter(keep).collect::<Vec<_>>().join("&")
}

fn grpc_call(parts: &Parts, body: &Bytes, version: Option<Version>, settings: &Settings) -> Result<Draft, Problem> {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/grpc") || kind.starts_with("application/grpc-web") {
        return Err(Problem::new(Code::UnsupportedContentType, "gRPC requests are typed application/grpc"));
    }
    let path = parts.uri.path();
    let (operation, spoken) = operation::parse_grpc_path(path)
        .ok_or_else(|| Problem::new(Code::UnknownMethod, format!("there is no method {path}")))?;
    if version.is_some_and(|version| version != spoken) {
        return Err(Problem::new(
            Code::UnsupportedVersion,
            format!("the service is of A2A {}, the metadata says otherwise", spoken.as_str()),
        ));
    }
    let mut frames = grpc::Deframer::requests(settings.body_bytes);
    frames.feed(body.clone());
    let message =
        frames.next()?.ok_or_else(|| Problem::new(Code::MalformedFrame, "the request holds no whole message"))?;
    if frames.next()?.is_some() {
        return Err(Problem::new(Code::MalformedFrame, "the request holds more than one message"));
    }
    frames.finish()?;
    let dialect = Dialect { binding: Binding::Grpc, version: spoken };
    let mut value = grpc::decode_request(operation, spoken, &message)?;
    if spoken == Version::V03 {
        value = legacy::request_to_v1(operation, Style::Proto, value)?;
    }
    let mut draft = of_value(dialect, operation, value, settings)?;
    draft.body = message;
    draft.verbatim = true;
    Ok(draft)
}

/// Judges the members, and makes the call and its head.
fn finish(
    draft: Draft,
    base: Option<AgentName>,
    tenant: Option<AgentName>,
    headers: HeaderMap,
    speaker: &Speaker,
) -> Result<Decoded, Problem> {
    draft.peek.accepted()?;
    if draft.operation.carries_message() {
        message_members(&draft.peek)?;
    } else if draft.verbatim || draft.dialect.version == Version::V1 {
        validate::params(draft.operation, &parse(&draft.canonical)?)?;
    }
    let head = head(&draft, base, tenant, &headers)?;
    let service = Service { extensions: speaker.extensions.clone(), a2a_json: speaker.a2a_json };
    // A tenant is the gateway's own way to name an agent: the agent must not see it.
    let verbatim = draft.verbatim && draft.peek.tenant.is_none();
    let call = Call {
        dialect: draft.dialect,
        style: draft.style,
        operation: draft.operation,
        rpc_id: draft.rpc_id,
        body: draft.body,
        verbatim,
        canonical: draft.canonical,
        peek: draft.peek,
        service,
        draft: draft.draft,
        hops: hops(&headers)?,
        wishes: Wishes::of(&headers)?,
        headers,
        base: head.base.clone(),
        recalled: OnceLock::new(),
    };
    Ok(Decoded { call, head })
}

/// How many gateways the request has passed; one that goes in a circle is stopped.
fn hops(headers: &HeaderMap) -> Result<u16, Problem> {
    let Some(value) = headers.get(HOPS_HEADER) else { return Ok(0) };
    let hops = value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(MOST_HOPS);
    if hops >= MOST_HOPS {
        return Err(Problem::new(Code::Circle, format!("the request has passed {hops} gateways")));
    }
    Ok(hops)
}

/// The members that a message cannot do without (A2A 1.0 §4.1.4), as the peek saw them.
fn message_members(peek: &peek::Params) -> Result<(), Problem> {
    let mut problem = Problem::new(Code::InvalidParams, "the message is incomplete");
    if peek.message.is_none() {
        problem = problem.field("message", "is missing");
    } else {
        if !peek.message_id_present {
            problem = problem.field("message.messageId", "is missing or empty");
        }
        if peek.role.is_none() {
            problem = problem.field("message.role", "is missing or unknown");
        }
        if peek.parts == 0 {
            problem = problem.field("message.parts", "is missing or empty");
        }
    }
    if peek.history_length.is_some_and(|length| length < 0) {
        problem = problem.field("configuration.historyLength", "is negative");
    }
    if problem.fields.is_empty() { Ok(()) } else { Err(problem) }
}

fn head(
    draft: &Draft,
    base: Option<AgentName>,
    tenant: Option<AgentName>,
    headers: &HeaderMap,
) -> Result<Head, Problem> {
    let peek = &draft.peek;
    let mut head = Head::new(draft.operation);
    head.base = base;
    head.tenant =
        match &peek.tenant {
            Some((name, _)) => Some(AgentName::parse(name).map_err(|why| {
                Problem::new(Code::InvalidParams, why).field("tenant", "names no agent of this gateway")
            })?),
            None => None,
        };
    match (&tenant, &head.tenant) {
        (Some(path), Some(member)) if path != member => {
            return Err(Problem::new(Code::ContradictingRoute, "the path and the member tenant differ")
                .field("tenant", "differs"));
        }
        (Some(_), _) => head.tenant = tenant,
        (None, _) => {}
    }
    head.task = peek.task(draft.operation).map(|(id, _)| id.as_ref().into());
    head.context = peek.message_context_id.as_ref().map(|(id, _)| id.as_ref().into());
    if let Some(routing) = &peek.routing {
        head.skill = routing.skill_id.as_deref().map(SkillId::from);
        head.intent = routing.intent;
        head.labels = routing.labels.iter().map(|(k, v)| (Arc::from(&**k), Arc::from(&**v))).collect();
        if let Some(zone) = &routing.zone {
            head.labels.push(("zone".into(), Arc::from(&**zone)));
        }
    }
    if let Some(wanted) = headers.get("moongate-skill").and_then(|value| value.to_str().ok()) {
        if head.skill.as_ref().is_some_and(|skill| skill.as_str() != wanted) {
            return Err(Problem::new(
                Code::ContradictingRoute,
                "the header Moongate-Skill and the message name different skills",
            )
            .field("message.metadata", json!(wanted).to_string()));
        }
        head.skill = Some(wanted.into());
    }
    Ok(head)
}
