//! Answers to browsers: pages, redirects, the two embedded files; all with the headers that keep them apart from others.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use maud::Markup;
use moongate_core::{Code, Problem, Retry};

use crate::view;

/// Nothing from elsewhere, nothing inside others, forms only to ourselves.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      manifest-src 'self'; worker-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// The same for pages that renew their live parts from their own address.
const LIVE: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
                    frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) fn page(status: StatusCode, page: &Markup) -> Response<Bytes> {
    let body = Bytes::from(page.0.clone());
    with(status, body, &[(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")])
}

/// A page of the console.
pub(crate) fn live(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(LIVE));
    response
}

/// To a place of our own, after a form.
pub(crate) fn see(path: &str) -> Response<Bytes> {
    with(StatusCode::SEE_OTHER, Bytes::new(), &[(LOCATION, path), (CACHE_CONTROL, "no-store")])
}

pub(crate) fn asset(kind: &str, content: &'static (impl AsRef<[u8]> + ?Sized)) -> Response<Bytes> {
    with(StatusCode::OK, Bytes::from_static(content.as_ref()), &[(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300")])
}

/// Sets the session's cookie, or takes it away.
pub(crate) fn cookie(mut response: Response<Bytes>, cookie: &str) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

pub(crate) fn problem_page(problem: &Problem) -> Response<Bytes> {
    with_problem(problem, &view::problem(problem))
}

/// A page that shows a problem in its own way.
pub(crate) fn with_problem(problem: &Problem, markup: &Markup) -> Response<Bytes> {
    let (code, _) = moongate_wire::a2a::error::to_http(problem, moongate_wire::a2a::Version::V1);
    let mut response = page(status(if problem.code == Code::SignInRefused { 403 } else { code }), markup);
    // For the line of the record that says how it ended.
    response.extensions_mut().insert(problem.code);
    if let Retry::Later(Some(wait)) = problem.retry {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    response
}

fn with(status: StatusCode, body: Bytes, headers: &[(HeaderName, &str)]) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let common = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // Nothing for others; `no-referrer` would make browsers send forms with `Origin: null`.
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in common {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name.clone(), value);
        }
    }
    response
}
