//! Which way a request would take: the pipeline drawn for one message, stage by stage, without anybody being called.
//!
//! The message is explained as one of a caller at this machine who shows no token. It is sent as a form, so that its words stand
//! in no address.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::Problem;
use serde::Deserialize;
use serde_json::json;

use super::layout::{shown, token};
use super::{Asking, Question, encoded, read};
use crate::view;

/// Where it is.
pub(super) const PATH: &str = "/console/routes";
/// Metadata by which a message names a skill.
const ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// What `POST /api/v1/explain` answers: how far a request came, and why no further.
#[derive(Clone, Debug, Default, Deserialize)]
struct Explanation {
    principal: Option<Who>,
    resolved: Option<Resolved>,
    cleared_by: Option<String>,
    asked_by: Option<String>,
    route: Option<Route>,
    problem: Option<Trouble>,
}

#[derive(Clone, Debug, Deserialize)]
struct Who {
    id: String,
    kind: String,
    domain: String,
    proof: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Resolved {
    rule: String,
    skill: Option<String>,
    score: Option<f64>,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, Deserialize)]
struct Candidate {
    agent: String,
    weight: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Route {
    instance: Option<String>,
    adapter: Option<String>,
    policy: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Trouble {
    code: String,
    detail: String,
    hint: String,
}

/// What stands in the form.
#[derive(Clone, Copy, Debug, Default)]
struct Message<'a> {
    text: &'a str,
    agent: &'a str,
    skill: &'a str,
}

/// What became of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    Yes,
    Stopped,
    Waits,
    NotReached,
}

struct Stage {
    name: &'static str,
    passed: Passed,
    words: String,
}

impl Asking<'_> {
    /// The form.
    pub(super) fn routes(&self) -> Response<Bytes> {
        self.page(&self.draw_routes(Message::default(), None))
    }

    /// The form and the answer.
    pub(super) async fn explained(&self) -> Result<Response<Bytes>, Problem> {
        let field = |name| self.visit.field(name).map(str::trim).unwrap_or_default();
        let message = Message { text: field("text"), agent: field("agent"), skill: field("skill") };
        let view: Explanation = read(self.api.ask(self.who, question(message)).await?)?;
        Ok(self.page(&self.draw_routes(message, Some(&view))))
    }

    fn draw_routes(&self, message: Message<'_>, view: Option<&Explanation>) -> Markup {
        let input = |id: &str, name: &str, value: &str, hint: &str| {
            html! {
                div {
                    label for=(id) { (name) }
                    input id=(id) name=(id) type="text" value=(value) placeholder=(hint) autocomplete="off";
                }
            }
        };
        html! {
            h1 { "Routes" }
            p class="quiet" {
                "Which way a message would take, from a caller at this machine without a token. Nobody is called. For the holder of a token: "
                code { "moongate explain --token-stdin" } "."
            }
            form class="search" method="post" action=(PATH) {
                (token(self.who))
                div class="fields" { (input("text", "Message", message.text, "dim the lights in the kitchen")) }
                div class="fields" {
                    (input("agent", "To the agent", message.agent, "whoever fits"))
                    (input("skill", "For the skill", message.skill, "whichever fits"))
                }
                button type="submit" { "Draw" }
            }
            @if let Some(view) = view { (drawn(view)) }
        }
    }
}

/// The message as a request to the gateway.
fn question(message: Message<'_>) -> Question {
    let path = if message.agent.is_empty() { "/a2a".to_owned() } else { format!("/agents/{}", encoded(message.agent)) };
    let mut sent = json!({"messageId": "explained", "role": "ROLE_USER", "parts": [{"text": message.text}]});
    if let Some(members) = sent.as_object_mut().filter(|_| !message.skill.is_empty()) {
        members.insert("metadata".into(), json!({ROUTING: {"skillId": message.skill}}));
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": sent}});
    Question::post("/api/v1/explain", &json!({"path": path, "body": body}))
}

fn drawn(told: &Explanation) -> Markup {
    html! {
        section {
            h2 { "The way it takes" }
            ol class="pipeline" {
                @for Stage { name, passed, words } in stages(told) {
                    @let (class, mark) = match passed {
                        Passed::Yes => ("good", "✓"),
                        Passed::Stopped => ("bad", "✕"),
                        Passed::Waits => ("warn", "?"),
                        Passed::NotReached => ("off", "·"),
                    };
                    li class=(class) {
                        span class="mark" aria-hidden="true" { (mark) }
                        strong { (name) }
                        p { (shown(&words)) }
                    }
                }
            }
            @if let Some(trouble) = told.problem.as_ref().filter(|_| told.asked_by.is_none()) {
                p class="warning" {
                    (shown(&view::sentence(&trouble.detail))) " "
                    span class="small" { (shown(&trouble.hint).replace('`', "")) " (" (shown(&trouble.code)) ")" }
                }
            }
        }
    }
}

/// The stages in their order. The first of which nothing is known, in a request that was stopped, is where it was.
fn stages(view: &Explanation) -> Vec<Stage> {
    let known = [
        ("decode", view.principal.as_ref().map(|_| "a message, read once".to_owned())),
        ("identify", view.principal.as_ref().map(who)),
        ("resolve", view.resolved.as_ref().map(resolved)),
        ("authorize", view.cleared_by.as_ref().or(view.asked_by.as_ref()).map(|rule| format!("it may pass: {rule}"))),
        ("confirm", view.cleared_by.as_ref().map(|_| "nobody has to be asked".to_owned())),
        ("pick", view.route.as_ref().map(picked)),
        ("translate", view.route.as_ref().map(adapted)),
        ("dispatch", view.route.as_ref().map(|_| "it would be sent now".to_owned())),
    ];
    let mut stopped = false;
    let mut stages = Vec::new();
    for (name, words) in known {
        let (passed, words) = match (words, name, &view.asked_by) {
            (Some(words), _, _) if !stopped => (Passed::Yes, words),
            (_, "confirm", Some(rule)) if !stopped => (Passed::Waits, format!("a person has to say yes first: {rule}")),
            (_, _, _) if !stopped && view.problem.is_some() => (Passed::Stopped, "it goes no further".to_owned()),
            _ => (Passed::NotReached, "not reached".to_owned()),
        };
        stopped |= passed != Passed::Yes;
        stages.push(Stage { name, passed, words });
    }
    stages
}

fn who(who: &Who) -> String {
    format!("{} of {} ({}, by {})", who.id, who.domain, who.kind, who.proof)
}

fn resolved(resolved: &Resolved) -> String {
    let skill = resolved.skill.as_ref().map(|skill| format!(", skill {skill}")).unwrap_or_default();
    let score = resolved.score.map(|score| format!(", score {score:.2}")).unwrap_or_default();
    let agents: Vec<String> = resolved.candidates.iter().map(weighed).collect();
    let whom = if agents.is_empty() { "the gateway itself".to_owned() } else { agents.join(", ") };
    format!("{whom}: by {}{skill}{score}", resolved.rule)
}

fn weighed(candidate: &Candidate) -> String {
    match candidate.weight {
        0 | 1 => candidate.agent.clone(),
        weight => format!("{} (weight {weight})", candidate.agent),
    }
}

fn picked(route: &Route) -> String {
    match (&route.instance, &route.policy) {
        (Some(instance), Some(policy)) => format!("{instance}: by {policy}"),
        (Some(instance), None) => instance.clone(),
        (None, _) => "the gateway itself".to_owned(),
    }
}

fn adapted(route: &Route) -> String {
    route.adapter.clone().unwrap_or_else(|| "nothing to translate".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(view: &serde_json::Value) -> String {
        let view: Explanation = serde_json::from_value(view.clone()).unwrap_or_default();
        let mark = |stage: &Stage| match stage.passed {
            Passed::Yes => '+',
            Passed::Stopped => 'x',
            Passed::Waits => '?',
            Passed::NotReached => '.',
        };
        stages(&view).iter().map(mark).collect()
    }

    #[test]
    fn a_request_is_drawn_as_far_as_it_comes() {
        let who = json!({"id": "local", "kind": "agent", "domain": "home", "proof": "loopback", "scopes": []});
        let resolved = json!({"rule": "intent", "skill": "lights.set", "score": 0.9, "candidates": [{"agent": "home", "weight": 1}]});
        let route = json!({"agent": "home", "instance": "home@2", "adapter": "http", "policy": "round_robin"});
        let trouble = json!({"code": "MG-0403", "detail": "no", "hint": "ask"});
        let whole = json!({"principal": who, "resolved": resolved, "cleared_by": "no rule refuses", "route": route});
        assert_eq!(passed(&whole), "++++++++");
        assert_eq!(passed(&json!({"problem": trouble})), "x.......");
        assert_eq!(passed(&json!({"principal": who, "problem": trouble})), "++x.....");
        assert_eq!(passed(&json!({"principal": who, "resolved": resolved, "problem": trouble})), "+++x....");
        let asked = json!({"principal": who, "resolved": resolved, "asked_by": "doors", "problem": trouble});
        assert_eq!(passed(&asked), "++++?...");
        let away = json!({"principal": who, "resolved": resolved, "cleared_by": "x", "problem": trouble});
        assert_eq!(passed(&away), "+++++x..");
    }
}
