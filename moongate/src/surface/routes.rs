//! Which paths there are beside those of A2A: the ones that the description of the API names, and no others.
//!
//! What the description does not name is not served, so that no route can be forgotten by whoever goes over all of them: the
//! test that looks for a line of the audit log behind each, and readers of the description.

use std::sync::OnceLock;

use http::Method;
use serde_json::Value;

use super::openapi;

/// Beside a method: why it leaves no line in the audit log.
const UNLOGGED: &str = "x-moongate-unlogged";
/// The members of a path's description that are methods.
const VERBS: [&str; 5] = ["get", "head", "post", "patch", "delete"];

/// One path.
struct Route {
    segments: Vec<String>,
    /// Whether the last segment stands for any number of them.
    rest: bool,
    /// What may be done there, in lower case, and whether it leaves a line in the audit log.
    methods: Vec<(String, bool)>,
}

/// What becomes of a request, by its path and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is served, and leaves a line in the audit log.
    Served,
    /// It is served and leaves none, for the reason that the description gives.
    Unlogged,
    /// The path is, but nothing is changed there in this way.
    Otherwise,
    /// There is nothing.
    Nothing,
}

/// Looks a path up.
pub(super) fn known(method: &Method, path: &str) -> Known {
    let asked: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
    // Of several that fit, the one that says most of the path counts.
    let mut found: Vec<&Route> = routes().iter().filter(|route| route.is_at(&asked)).collect();
    found.sort_by_key(|route| std::cmp::Reverse(route.words()));
    if found.is_empty() {
        return Known::Nothing;
    }
    let name = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let logged = found.iter().flat_map(|route| &route.methods).find(|(own, _)| *own == name).map(|(_, logged)| *logged);
    match logged {
        Some(true) => Known::Served,
        Some(false) => Known::Unlogged,
        // Reading is refused by whoever serves the path, in words of its own.
        None if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) => Known::Served,
        None => Known::Otherwise,
    }
}

/// What may be done at a path, as the header `Allow` says it; nothing where there is nothing.
pub(super) fn allowed(path: &str) -> Option<String> {
    let asked: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
    let found: Vec<&Route> = routes().iter().filter(|route| route.is_at(&asked)).collect();
    // `{id}:cancel` is a place of its own, although `{id}` stands for any name.
    let nearest = found.iter().map(|route| route.nearness()).max()?;
    let mut methods: Vec<String> = Vec::new();
    for route in found.iter().filter(|route| route.nearness() == nearest) {
        let served = route.methods.iter().filter(|(method, _)| VERBS.contains(&method.as_str()));
        methods.extend(served.map(|(method, _)| method.to_ascii_uppercase()));
    }
    if methods.iter().any(|method| method == "GET") && !methods.iter().any(|method| method == "HEAD") {
        methods.push("HEAD".to_owned());
    }
    (!methods.is_empty()).then(|| methods.join(", "))
}

fn routes() -> &'static [Route] {
    static ROUTES: OnceLock<Vec<Route>> = OnceLock::new();
    ROUTES.get_or_init(|| read(&openapi::document()))
}

fn read(document: &Value) -> Vec<Route> {
    let base = document.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let paths = document.get("paths").and_then(Value::as_object);
    let mut routes = Vec::new();
    for (path, item) in paths.into_iter().flatten() {
        let base = item.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or(base).trim_end_matches('/');
        let methods = item.as_object().into_iter().flatten();
        let methods = methods.map(|(name, about)| (name.clone(), about.get(UNLOGGED).is_none())).collect();
        routes.push(Route {
            segments: format!("{base}{path}").trim_end_matches('/').split('/').skip(1).map(str::to_owned).collect(),
            rest: item.get("x-moongate-rest").is_some(),
            methods,
        });
    }
    routes
}

impl Route {
    /// How many segments stand for themselves alone.
    fn words(&self) -> usize {
        self.segments.iter().filter(|segment| !segment.starts_with('{')).count()
    }

    /// How much of a path it says: whole segments first, then what ends the last one.
    fn nearness(&self) -> (usize, usize) {
        let end = self.segments.last().and_then(|last| last.split_once('}')).map_or(0, |(_, end)| end.len());
        (self.words(), end)
    }

    fn is_at(&self, asked: &[&str]) -> bool {
        let long = if self.rest { asked.len() >= self.segments.len() } else { asked.len() == self.segments.len() };
        long && self.segments.iter().zip(asked).all(|(own, asked)| fits(own, asked))
    }
}

/// Whether a segment is one of those that `own` stands for: `{id}` any, `{id}:cancel` any that ends so.
fn fits(own: &str, asked: &str) -> bool {
    match own.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((_, end)) => asked.len() > end.len() && asked.ends_with(end),
        None => own == asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_description_names_is_served_and_nothing_else() {
        for (method, path, expected) in [
            (Method::POST, "/api/v1/agents", Known::Served),
            (Method::POST, "/api/v1/agents/", Known::Served),
            (Method::DELETE, "/api/v1/agents/lights@kitchen", Known::Served),
            (Method::POST, "/api/v1/tasks/7:cancel", Known::Served),
            (Method::POST, "/api/v1/tasks/:cancel", Known::Otherwise),
            (Method::POST, "/api/v1/tasks/7:explode", Known::Otherwise),
            (Method::DELETE, "/api/v1/skills", Known::Otherwise),
            (Method::GET, "/api/v1/skills", Known::Served),
            (Method::GET, "/api/v1/elsewhere", Known::Nothing),
            (Method::GET, "/api/v1", Known::Nothing),
            (Method::GET, "/audit/tile/entries/x001/x234/067.p/8", Known::Served),
            (Method::GET, "/audit/2026-11/tile/0/000", Known::Unlogged),
            (Method::HEAD, "/healthz", Known::Unlogged),
            (Method::GET, "/console/console.css", Known::Unlogged),
            (Method::GET, "/console/agents/lamp", Known::Served),
            (Method::POST, "/console/approvals", Known::Otherwise),
            (Method::POST, "/healthz", Known::Otherwise),
            (Method::GET, "/audit/tile/0", Known::Nothing),
            (Method::POST, "/audit/witness/add-checkpoint", Known::Unlogged),
            (Method::GET, "/console/agents/lights", Known::Served),
            (Method::GET, "/console/console.css", Known::Unlogged),
            (Method::POST, "/oauth/token", Known::Served),
            (Method::GET, "/.well-known/oauth-authorization-server/agents/lights", Known::Unlogged),
            (Method::POST, "/approvals/7", Known::Served),
            (Method::POST, "/approvals", Known::Otherwise),
            (Method::GET, "/api/v1/approvals", Known::Served),
            (Method::POST, "/api/v1/approvals/7:approve", Known::Served),
            (Method::GET, "/", Known::Nothing),
        ] {
            assert_eq!(known(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_may_be_done_at_a_place_can_be_told() {
        for (path, expected) in [
            ("/api/v1/approvals", Some("GET, HEAD")),
            ("/api/v1/approvals/7", Some("GET, HEAD")),
            ("/api/v1/approvals/7:approve", Some("POST")),
            ("/api/v1/tasks/7:cancel", Some("POST")),
            ("/api/v1/explain", Some("POST")),
            ("/api/v1/elsewhere", None),
        ] {
            assert_eq!(allowed(path).as_deref(), expected, "{path}");
        }
        let users = allowed("/api/v1/users/ann").unwrap_or_default();
        assert!(["GET", "PATCH", "DELETE", "HEAD"].iter().all(|method| users.contains(method)), "{users}");
    }
}
