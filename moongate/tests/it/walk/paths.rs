//! Every path that the gateway's own description names, which are all that it serves.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{Book, home};
use crate::support::*;

/// What leaves no line. Each has its reason beside it in the description; whoever adds one adds it here, too.
const UNLOGGED: [&str; 37] = [
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/oauth-authorization-server/{place}",
    "GET /.well-known/oauth-protected-resource",
    "GET /.well-known/oauth-protected-resource/{place}",
    "GET /.well-known/openid-configuration",
    "GET /.well-known/openid-configuration/{place}",
    "GET /api/v1/openapi.json",
    "GET /api/v1/status",
    "GET /approvals/app/icon-192.png",
    "GET /approvals/app/icon-512.png",
    "GET /approvals/app/icon.svg",
    "GET /approvals/app/manifest.json",
    "GET /approvals/app/push.js",
    "GET /approvals/app/worker.js",
    "GET /audit/checkpoint",
    "GET /audit/tile/{level}/{tile}",
    "GET /audit/vkey",
    "GET /audit/witness/vkey",
    "GET /audit/witnessed",
    "GET /audit/{month}/checkpoint",
    "GET /audit/{month}/tile/{level}/{tile}",
    "GET /audit/{month}/vkey",
    "GET /audit/{month}/witnessed",
    "GET /console/console.css",
    "GET /console/console.js",
    "GET /console/events",
    "GET /console/pages.css",
    "GET /console/sign-in",
    "GET /healthz",
    "GET /metrics",
    "GET /oauth/device",
    "GET /oauth/jwks",
    "GET /oauth/pages.css",
    "GET /oauth/passkey.js",
    "GET /oauth/sign-in",
    "GET /oauth/sign-up",
    "GET /readyz",
];
/// The one that changes something: two gateways that sign for each other would never come to rest.
const WITNESS: &str = "POST /audit/witness/add-checkpoint";

/// One thing that can be done.
struct Route {
    method: String,
    path: String,
    unlogged: Option<String>,
}

async fn routes(gateway: &Gateway) -> Vec<Route> {
    let document = get(&gateway.admin(), "/api/v1/openapi.json").await.json();
    let base = document["servers"][0]["url"].as_str().unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let base = item["servers"][0]["url"].as_str().unwrap_or(base).trim_end_matches('/');
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(about) = item.get(method) else { continue };
            let unlogged = about["x-moongate-unlogged"].as_str().map(str::to_owned);
            routes.push(Route {
                method: method.to_uppercase(),
                path: format!("{base}{path}").trim_end_matches('/').to_owned(),
                unlogged,
            });
        }
    }
    routes
}

/// The path with something in the place of what stands in braces, and what its line calls it: who reads the log reads it as a
/// whole.
fn filled(route: &Route, number: usize) -> (String, String) {
    let path = route.path.replace("{month}", "1999-01").replace("{level}", "0").replace("{tile}", "000");
    let mut path = path;
    while let Some((before, rest)) = path.split_once('{').map(|(a, b)| (a.to_owned(), b.to_owned())) {
        let (_, after) = rest.split_once('}').unwrap();
        path = format!("{before}walk-{number}{after}");
    }
    let told = path.split("/tile/entries/").next().unwrap();
    let told = if told == path { path.clone() } else { format!("{told}/tile/entries") };
    (path, told)
}

/// What comes back, but for a stream, which has no end.
async fn asked(
    gateway: &Gateway,
    (method, path): (&str, &str),
    credential: &str,
    body: Option<&Value>,
) -> (u16, String) {
    let mut connection = Connection::open(&gateway.admin()).await.unwrap();
    let response = connection.begin(method, path, &[("authorization", credential)], body).await.unwrap();
    let status = response.status().as_u16();
    if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        return (status, String::new());
    }
    let body = soon("the body", response.into_body().collect()).await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn every_path_leaves_a_line_or_says_why_not() {
    let (gateway, _agent) = home().await;
    let mut book = Book::of(&gateway);
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let credential = format!("Bearer {}", secret.trim());
    book.since(&gateway).await;
    let (mut silent, mut unlogged) = (Vec::new(), Vec::new());
    for (number, route) in routes(&gateway).await.iter().enumerate() {
        let (path, told) = filled(route, number);
        let body = (route.method != "GET").then(|| json!({}));
        let (status, answer) = asked(&gateway, (&route.method, &path), &credential, body.as_ref()).await;
        let nothing = answer.contains("MG-0213") && !route.path.contains("{month}");
        let name = format!("{} {}", route.method, route.path);
        let lines = book.since(&gateway).await;
        let own: Vec<&Value> =
            lines.iter().filter(|line| line["target"] == *told && line["result"] != "intended").collect();
        match &route.unlogged {
            Some(why) => {
                assert!(why.len() > 10, "{name}: {why}");
                assert!(own.is_empty(), "{name} says that it leaves no line: {own:?}");
                unlogged.push(name);
            }
            None if own.is_empty() || nothing => silent.push(format!("{name}: {status} {answer}")),
            None => {
                let line = own[0];
                let reads = line["operation"].as_str().unwrap().ends_with(".read");
                assert_eq!(reads, route.method == "GET", "{name}: {line}");
                assert_eq!(line["source"]["ip"], "127.0.0.1", "{name}: {line}");
            }
        }
    }
    assert!(silent.is_empty(), "these leave no line in the audit log:\n{}", silent.join("\n"));
    unlogged.sort();
    let mut expected: Vec<&str> = UNLOGGED.into();
    expected.push(WITNESS);
    assert_eq!(unlogged, expected);
}

#[tokio::test]
async fn what_is_not_in_the_table_is_not_served() {
    let (gateway, _agent) = home().await;
    for path in ["/api/v1/nothing", "/api/v1/agents/a/b/c", "/oauth/elsewhere", "/approvals/a/b", "/audit", "/"] {
        let answer = get(&gateway.admin(), path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    assert_eq!(http("DELETE", &gateway.admin(), "/api/v1/skills", &[], None).await.status, 405);
}

#[tokio::test]
async fn what_is_refused_before_anybody_looks_at_it_leaves_a_line_and_a_flood_of_it_a_number() {
    let (gateway, _agent) = home().await;
    let mut book = Book::of(&gateway);
    let foreign = [("origin", "https://evil.example")];
    http("POST", &gateway.admin(), "/api/v1/agents", &foreign, Some(&json!({}))).await;
    http("POST", &gateway.plain(), "/a2a", &foreign, Some(&json!({}))).await;
    http("POST", &gateway.plain(), "/a2a", &[V1], Some(&json!([]))).await;
    let lines = book.since(&gateway).await;
    let refused: Vec<&Value> = lines.iter().filter(|line| line["operation"] == "request.refused").collect();
    let told: Vec<&str> = refused.iter().map(|line| line["target"].as_str().unwrap()).collect();
    assert_eq!(told, ["/api/v1/agents", "/a2a", "-"], "{refused:?}");
    assert!(refused.iter().all(|line| line["code"].as_str().unwrap().starts_with("MG-")), "{refused:?}");
    let mut connection = Connection::open(&gateway.plain()).await.unwrap();
    for _ in 0..600 {
        connection.send("POST", "/a2a", &[V1], Some(&json!([]))).await.unwrap();
    }
    let mut lines = Vec::new();
    eventually("all 600 are told of", || {
        lines.extend(book.more());
        let refused: Vec<&Value> = lines.iter().filter(|line| line["operation"] == "request.refused").collect();
        let counted: u64 = refused
            .iter()
            .map(|line| {
                let more = line["detail"].as_str().and_then(|detail| detail.strip_suffix(" more were refused"));
                more.map_or(1, |more| more.parse().unwrap())
            })
            .sum();
        async move { counted == 600 }
    })
    .await;
}
