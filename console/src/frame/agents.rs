//! Agents and what they can do: every instance with its health and trouble, and a search over all skills.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::Problem;
use serde::Deserialize;

use super::layout::shown;
use super::{Asking, encoded};
use crate::view;

/// `GET /api/v1/agents`, as far as the page shows it.
#[derive(Debug, Deserialize)]
struct Agents {
    agents: Vec<Agent>,
}

#[derive(Debug, Deserialize)]
struct Agent {
    id: String,
    name: String,
    health: String,
    source: String,
    weight: u32,
    zone: Option<String>,
    skills: Vec<String>,
    interfaces: Vec<String>,
    description: Option<String>,
    pending: u32,
    ejected_seconds: Option<u64>,
    signature: Option<Signature>,
    problem: Option<Trouble>,
}

#[derive(Debug, Deserialize)]
struct Signature {
    state: String,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    code: String,
    detail: String,
    hint: String,
}

/// `GET /api/v1/skills?q=`.
#[derive(Debug, Deserialize)]
struct Hits {
    skills: Vec<Hit>,
}

#[derive(Debug, Deserialize)]
struct Hit {
    skill: String,
    agent: String,
    name: Option<String>,
    description: Option<String>,
    score: f64,
    reason: String,
}

impl Asking<'_> {
    pub(super) async fn agents(&self) -> Result<Response<Bytes>, Problem> {
        let wanted = self.visit.parameter("q").map(str::trim).filter(|words| !words.is_empty());
        let hits: Option<Hits> = match wanted {
            Some(words) => Some(self.look(format!("/api/v1/skills?q={}", encoded(words))).await?),
            None => None,
        };
        let view: Agents = self.look("/api/v1/agents").await?;
        Ok(self.page(&draw(&view, wanted.unwrap_or_default(), hits.as_ref())))
    }
}

fn draw(view: &Agents, wanted: &str, hits: Option<&Hits>) -> Markup {
    let mut names: Vec<&str> = view.agents.iter().map(|agent| agent.name.as_str()).collect();
    names.dedup();
    html! {
        h1 { "Agents" }
        p class="quiet" { (names.len()) " agents, " (view.agents.len()) " instances" }
        form class="search" role="search" method="get" action="/console/agents" {
            label for="q" { "Find a skill" }
            div class="line" {
                input id="q" name="q" type="search" value=(wanted) placeholder="dim the lights in the kitchen" autocomplete="off";
                button type="submit" { "Search" }
            }
        }
        @if let Some(hits) = hits { (found(hits, wanted)) }
        div id="agents" data-live {
            @if view.agents.is_empty() {
                section { p class="quiet" { "None yet. Add one with " code { "moongate agents add URL" } ", or in the configuration." } }
            }
            @for name in names {
                (agent(name, &view.agents.iter().filter(|agent| agent.name == name).collect::<Vec<_>>()))
            }
        }
    }
}

fn found(hits: &Hits, wanted: &str) -> Markup {
    html! {
        section {
            h2 { "Skills for “" (shown(wanted)) "”" }
            @if hits.skills.is_empty() { p class="quiet" { "None of those that are up." } }
            ul class="rows" {
                @for hit in &hits.skills {
                    li {
                        div class="rest" {
                            strong { (shown(hit.name.as_deref().unwrap_or(&hit.skill))) } " "
                            code { (shown(&hit.skill)) } " of " strong { (shown(&hit.agent)) }
                            @if let Some(words) = &hit.description { p class="quiet small" { (shown(words)) } }
                        }
                        span class="quiet small" { (format!("{:.2}", hit.score)) " · " (shown(&hit.reason)) }
                    }
                }
            }
        }
    }
}

/// One agent with its instances.
fn agent(name: &str, instances: &[&Agent]) -> Markup {
    let first = instances.first();
    html! {
        section {
            h2 { (shown(name)) }
            @if let Some(words) = first.and_then(|agent| agent.description.as_deref()) {
                p class="quiet" { (shown(words)) }
            }
            ul class="rows" { @for one in instances { (instance(one)) } }
            @if let Some(agent) = first.filter(|agent| !agent.skills.is_empty()) {
                p class="chips" { @for skill in &agent.skills { code { (shown(skill)) } " " } }
            }
        }
    }
}

fn instance(agent: &Agent) -> Markup {
    let (class, word) = match (agent.health.as_str(), agent.ejected_seconds) {
        ("up", Some(_)) => ("warn", "set aside"),
        ("up", None) => ("good", "up"),
        ("suspect", _) => ("warn", "suspect"),
        (_, _) => ("bad", "down"),
    };
    html! {
        li {
            @if agent.id != agent.name { strong { (shown(&agent.id)) } }
            span class={ "pill " (class) } { (word) }
            span class="quiet small rest" {
                @if let Some(zone) = &agent.zone { (shown(zone)) " · " }
                @if agent.source == "config" { "from the configuration" } @else { "registered" }
                @if agent.weight != 1 { " · weight " (agent.weight) }
                @if agent.pending > 0 { " · " (agent.pending) " open" }
                @if !agent.interfaces.is_empty() { " · " (shown(&agent.interfaces.join(", "))) }
                @if let Some(signature) = &agent.signature { " · card " (shown(&signature.state)) }
                @if let Some(seconds) = agent.ejected_seconds { " · tried again in " (seconds) " s" }
            }
            @if let Some(trouble) = &agent.problem {
                p class="warning whole" {
                    (shown(&view::sentence(&trouble.detail))) " "
                    span class="small" { (shown(&view::sentence(&trouble.hint)).replace('`', "")) " " span class="code" { "(" (shown(&trouble.code)) ")" } }
                }
            }
        }
    }
}
