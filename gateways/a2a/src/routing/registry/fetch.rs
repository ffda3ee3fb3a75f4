//! Getting an agent's card: from its URL, from what was given, or written for an agent that has none.

use bytes::Bytes;
use moongate_core::seam::Fetch;
use moongate_core::{Code, Problem};
use moongate_wire::a2a::card::{self, Card};

use super::AgentRegistry;
use super::signature::{self, Verdict};
use super::spec::{At, Spec, write_card};
use super::upstreams::{Judge, host_of, is_loopback, upstreams};

const TIMEOUT_MS: u64 = 5_000;
const LIMIT: usize = 1024 * 1024;
/// Where a card lies under an agent's base address (A2A 1.0 §8.2, and its place before 0.3).
const PLACES: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];

/// What a look at a card found.
pub(crate) enum Fetched {
    /// It is as it was.
    Same,
    /// This.
    Card {
        /// The card.
        card: Box<Card>,
        /// Its `ETag`.
        etag: Option<String>,
        /// What is known of its signature.
        verdict: Verdict,
    },
}

/// The card of an entry.
///
/// # Errors
/// `CardUnreachable`, or `CardInvalid` that names the member.
pub(crate) async fn card(registry: &AgentRegistry, spec: &Spec, etag: Option<&str>) -> Result<Fetched, Problem> {
    match &spec.at {
        At::CardUrl(url) => {
            allowed(spec, url)?;
            let fetched = from_url(registry, spec, url, etag).await?;
            if let Fetched::Card { card, .. } = &fetched {
                judge(registry, spec, card)?;
            }
            Ok(fetched)
        }
        At::Card(document) => {
            let card = card::parse(&serde_json::to_vec(document).unwrap_or_default())?;
            judge(registry, spec, &card)?;
            let verdict = signature::judge(&*registry.grounds.notary, &spec.signature, None, document, &card).await?;
            Ok(Fetched::Card { card: Box::new(card), etag: None, verdict })
        }
        At::Address { address, protocol, skills } => {
            let name = if spec.name.is_empty() { "agent" } else { spec.name.as_str() };
            let document = write_card(name, address, protocol, skills)?;
            let card = card::parse(&serde_json::to_vec(&document).unwrap_or_default())?;
            judge(registry, spec, &card)?;
            alive(registry, spec, &card).await?;
            Ok(Fetched::Card { card: Box::new(card), etag: None, verdict: Verdict::Unsigned })
        }
        At::SameCard(address) => {
            let (card, verdict) = same_card(registry, spec, address)?;
            judge(registry, spec, &card)?;
            alive(registry, spec, &card).await?;
            Ok(Fetched::Card { card: Box::new(card), etag: None, verdict })
        }
    }
}

/// Whether the gateway can use the card at all.
///
/// # Errors
/// `CardInvalid`.
pub(crate) fn judge(registry: &AgentRegistry, spec: &Spec, card: &Card) -> Result<(), Problem> {
    let host = host_named(spec);
    let judge = Judge { host: host.as_deref(), insecure: spec.insecure, own: &registry.grounds.own, shows: None };
    upstreams(card, registry.pool(spec), &judge).map(|_| ())
}

/// The host that an entry names, if it names one.
pub(crate) fn host_named(spec: &Spec) -> Option<String> {
    match &spec.at {
        At::CardUrl(url) => host_of(url),
        At::Card(_) | At::Address { .. } | At::SameCard(_) => None,
    }
}

/// Plain `http` to another machine must be meant.
fn allowed(spec: &Spec, url: &str) -> Result<(), Problem> {
    let host = host_of(url).ok_or_else(|| {
        Problem::new(Code::InvalidParams, "card_url is not an http or https URL").field("card_url", "is not a URL")
    })?;
    if url.starts_with("https://") || is_loopback(&host) || spec.insecure {
        return Ok(());
    }
    Err(Problem::new(
        Code::InvalidParams,
        "card_url is plain http to another machine; use https, or say insecure = true",
    )
    .field("card_url", "is not protected"))
}

async fn from_url(registry: &AgentRegistry, spec: &Spec, url: &str, etag: Option<&str>) -> Result<Fetched, Problem> {
    let direct =
        url.rsplit('/').next().is_some_and(|last| last.contains('.') && !url.ends_with('/')) && path_of(url).len() > 1;
    if direct {
        return get(registry, spec, url, etag).await;
    }
    let base = url.trim_end_matches('/');
    let mut last = None;
    for place in PLACES {
        match get(registry, spec, &format!("{base}{place}"), etag).await {
            Ok(fetched) => return Ok(fetched),
            // A card that does not hold is no reason to take an older one.
            Err(problem) if matches!(problem.code, Code::CardSignature | Code::CardKeysUnreachable) => {
                return Err(problem);
            }
            // The first place's complaint is the one worth telling, unless only the second has a card at all.
            Err(problem) => last = Some(last.unwrap_or(problem)),
        }
    }
    Err(last.unwrap_or_else(|| Problem::new(Code::CardUnreachable, "the agent has no card")))
}

fn path_of(url: &str) -> &str {
    url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or("")
}

async fn get(registry: &AgentRegistry, spec: &Spec, url: &str, etag: Option<&str>) -> Result<Fetched, Problem> {
    let mut headers =
        vec![("accept".to_owned(), "application/json".to_owned()), ("a2a-version".to_owned(), "1.0".to_owned())];
    if let Some(etag) = etag {
        headers.push(("if-none-match".to_owned(), etag.to_owned()));
    }
    let fetch = Fetch {
        method: "GET",
        url: url.to_owned(),
        headers,
        body: Bytes::new(),
        timeout_ms: TIMEOUT_MS,
        limit: LIMIT,
        body_wanted: true,
        egress: None,
    };
    let dialer = spec.line.as_ref().map_or(&registry.grounds.dialer, |line| &line.dialer);
    let answer = dialer.fetch(fetch).await.map_err(|problem| {
        let why = problem.inside.clone().unwrap_or_else(|| problem.to_string());
        Problem::new(Code::CardUnreachable, "the agent's card cannot be fetched: nobody answers at its address")
            .inside(why)
    })?;
    match answer.status {
        200 => {
            let card = card::parse(&answer.body)?;
            let stated = serde_json::from_slice(&answer.body).unwrap_or_default();
            let verdict =
                signature::judge(&*registry.grounds.notary, &spec.signature, Some(url), &stated, &card).await?;
            Ok(Fetched::Card { card: Box::new(card), verdict, etag: answer.header("etag").map(str::to_owned) })
        }
        304 => Ok(Fetched::Same),
        status => Err(Problem::new(
            Code::CardUnreachable,
            format!("the agent answered HTTP {status} where its card should be"),
        )),
    }
}

/// A further instance of an agent has the card of the first, at its own address.
fn same_card(registry: &AgentRegistry, spec: &Spec, address: &str) -> Result<(Card, Verdict), Problem> {
    let first = registry.entries.lock().get(spec.name.as_str()).and_then(|entry| {
        let card = entry.card.clone()?;
        Some((card, entry.verdict.clone()))
    });
    let (first, verdict) = first.ok_or_else(|| {
        Problem::new(Code::CardUnreachable, format!("the first instance of {} has no card yet", spec.name))
    })?;
    let mut document = first.document.clone();
    if let Some(interfaces) = document.get_mut("supportedInterfaces").and_then(serde_json::Value::as_array_mut) {
        interfaces.truncate(1);
        for interface in interfaces {
            if let Some(interface) = interface.as_object_mut() {
                interface.insert("url".into(), address.into());
            }
        }
    }
    Ok((card::parse(&serde_json::to_vec(&document).unwrap_or_default())?, verdict))
}

/// Whether anything answers at the address of an agent without a card.
async fn alive(registry: &AgentRegistry, spec: &Spec, card: &Card) -> Result<(), Problem> {
    let judge = Judge { host: None, insecure: spec.insecure, own: &registry.grounds.own, shows: None };
    let upstreams = upstreams(card, registry.pool(spec), &judge)?;
    let Some(upstream) = upstreams.first() else { return Ok(()) };
    let request = http::Request::builder()
        .method("GET")
        .uri(if upstream.origin.origin().h2 {
            format!("{}://{}/", upstream.scheme, upstream.authority)
        } else {
            "/".to_owned()
        })
        .header(http::header::HOST, &upstream.authority)
        .body(http_body_util::Full::new(Bytes::new()))
        .map_err(|error| Problem::new(Code::CardUnreachable, "the agent's address cannot be called").inside(error))?;
    let answer =
        tokio::time::timeout(std::time::Duration::from_millis(TIMEOUT_MS), upstream.origin.send(request)).await;
    match answer {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            Err(Problem::new(Code::CardUnreachable, "nobody answers at the agent's address").inside(error))
        }
        Err(_) => Err(Problem::new(Code::CardUnreachable, "nobody answers at the agent's address in time")),
    }
}
