//! Answers to requests for cards, with what caches need (A2A 1.0 §8.6).

use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use moongate_core::{Code, Listener, Problem};

use super::body::ReplyBody;
use super::{encode, problem_response};
use crate::gateway::A2aGateway;
use crate::routing::directory::Visibility;
use crate::routing::discovery::{self, Form, RenderedCard, Which};

/// A card, or 304 for a client that has it.
pub(super) fn answer(
    gateway: &Arc<A2aGateway>,
    listener: Listener,
    request: &Request<Incoming>,
    agent: Option<&str>,
    older: bool,
) -> Response<ReplyBody> {
    if let Some(refused) = only_read(request.method()) {
        return refused;
    }
    let directory = gateway.directory.load();
    let names_version = request.headers().contains_key("a2a-version");
    let legacy = agent.and_then(|name| directory.agents.get(name)).is_some_and(|agent| agent.settings.legacy_card);
    let form = if older || (legacy && !names_version) { Form::Merged } else { Form::Pure };
    let which = match agent {
        Some(name) => Which::Agent(name.to_owned()),
        None => Which::Aggregate { extended: false },
    };
    let domain = gateway.settings.load().domain.clone();
    let address = gateway.address(listener);
    // Strangers see what everybody may see: other agents look to them as if there were none.
    let shown = |name: &str| {
        let agent = directory.agents.get(name);
        !address.guarded || agent.is_none_or(|agent| agent.settings.visibility == Visibility::Public)
    };
    let notary = &*gateway.notary;
    let shown = agent.is_none_or(shown);
    let card = if shown { discovery::card(&directory, &domain, which, form, &address, notary) } else { None };
    let Some(card) = card else {
        return problem_response(&Problem::new(
            Code::NoSuchAgent,
            format!("there is no agent {}", agent.unwrap_or_default()),
        ));
    };
    if is_known(request, &card, directory.made_at) {
        let mut response = Response::new(ReplyBody::Whole(None));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        caching(&mut response, &card);
        return response;
    }
    let body = if request.method() == Method::HEAD { bytes::Bytes::new() } else { card.body.clone() };
    let mut response = encode::typed(StatusCode::OK, "application/json", body);
    if request.method() == Method::HEAD {
        response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(card.body.len()));
    }
    caching(&mut response, &card);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The key set that cards are signed with, for whoever reads them.
pub(super) fn keys(gateway: &Arc<A2aGateway>, method: &Method) -> Response<ReplyBody> {
    if let Some(refused) = only_read(method) {
        return refused;
    }
    let set = gateway.notary.key_set();
    let length = set.len();
    let body = if method == Method::HEAD { bytes::Bytes::new() } else { set };
    let mut response = encode::typed(StatusCode::OK, "application/jwk-set+json", body);
    response.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

fn only_read(method: &Method) -> Option<Response<ReplyBody>> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let problem = Problem::new(Code::HttpMethodNotAllowed, "cards and their keys are read with GET");
    let mut response = problem_response(&problem);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(response)
}

fn caching(response: &mut Response<ReplyBody>, card: &RenderedCard) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(VARY, HeaderValue::from_static("A2A-Version"));
    if let Ok(etag) = HeaderValue::from_str(&card.etag) {
        headers.insert(ETAG, etag);
    }
    if let Ok(date) = HeaderValue::from_str(&card.last_modified) {
        headers.insert(LAST_MODIFIED, date);
    }
}

/// Whether the client has this very card: by its tag, or, if it names none, by its date (RFC 9110 §13).
fn is_known(request: &Request<Incoming>, card: &RenderedCard, made_at: u64) -> bool {
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(tags) = text(IF_NONE_MATCH) {
        return tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == card.etag);
    }
    let since = text(IF_MODIFIED_SINCE).and_then(|date| httpdate::parse_http_date(date).ok());
    since.is_some_and(|since| std::time::UNIX_EPOCH + std::time::Duration::from_secs(made_at) <= since)
}
