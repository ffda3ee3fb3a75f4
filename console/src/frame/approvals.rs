//! What waits for a yes, to look at. Answers are given at the pages for people, by those who hold the scope `approve`, each
//! with a passkey of their own; a link into the console makes nobody one of them.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::{Problem, Time};
use serde::Deserialize;

use super::layout::shown;
use super::overview::moment;
use super::{Asking, Caller};
use crate::users;

/// Questions that are over and shown.
const PAST: usize = 20;

/// `GET /api/v1/approvals`, as far as the page shows it.
#[derive(Debug, Deserialize)]
struct Questions {
    approvals: Vec<Question>,
}

#[derive(Debug, Deserialize)]
struct Question {
    id: String,
    state: String,
    class: String,
    rule: String,
    requester: String,
    sentence: String,
    asked_at: u64,
    expires_at: u64,
    denied_by: Option<String>,
    votes: Vec<Vote>,
}

#[derive(Debug, Deserialize)]
struct Vote {
    by: String,
}

impl Asking<'_> {
    pub(super) async fn approvals(&self) -> Result<Response<Bytes>, Problem> {
        let pending: Questions = self.look("/api/v1/approvals").await?;
        let past: Questions = self.look(format!("/api/v1/approvals?state=past&limit={PAST}")).await?;
        Ok(self.page(&draw(self.who, &pending.approvals, &past.approvals)))
    }
}

fn draw(who: &Caller, pending: &[Question], past: &[Question]) -> Markup {
    let answers = matches!(who, Caller::Person(_));
    html! {
        h1 { "Approvals" }
        @if answers {
            p class="quiet" { "Each answer is given on a page of its own, a yes with a passkey." }
        } @else {
            p class="quiet" {
                "To look at. Answers are given by people with the scope " code { "approve" } " at "
                a href="/approvals" { "the page for questions" } ", or here at the machine with " code { "moongate approve" } "."
            }
        }
        section id="pending" data-live {
            h2 { "Waiting" }
            @if pending.is_empty() { p class="quiet" { "Nothing, at the moment." } }
            ul class="rows" {
                @for one in pending {
                    li {
                        (class(&one.class))
                        div class="rest" {
                            (sentence(one, answers))
                            p class="quiet small" { "rule " (shown(&one.rule)) " · until " (at(one.expires_at)) }
                        }
                    }
                }
            }
        }
        section id="past" data-live {
            h2 { "Before" }
            @if past.is_empty() { p class="quiet" { "Nobody has been asked yet." } }
            ul class="rows" {
                @for one in past {
                    li {
                        (state(&one.state))
                        div class="rest" {
                            (sentence(one, answers))
                            p class="quiet small" {
                                "asked " (at(one.asked_at)) " · by " (shown(&one.requester)) (answered(one))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn sentence(one: &Question, answers: bool) -> Markup {
    let sentence = shown(&one.sentence);
    html! {
        @if answers { a href={ "/approvals/" (one.id) } { (sentence) } } @else { (sentence) }
    }
}

fn answered(one: &Question) -> Markup {
    let yes: Vec<String> = one.votes.iter().map(|vote| shown(&vote.by)).collect();
    html! {
        @if let Some(by) = &one.denied_by { " · no by " (shown(by)) }
        @if !yes.is_empty() { " · yes by " (yes.join(", ")) }
    }
}

fn class(class: &str) -> Markup {
    html! { span class={ "pill " (if class == "critical" { "bad" } else { "warn" }) } { (shown(class)) } }
}

fn state(state: &str) -> Markup {
    let class = match state {
        "approved" | "consumed" => "good",
        "denied" => "bad",
        _ => "off",
    };
    html! { span class={ "pill " (class) } { (shown(state)) } }
}

/// A moment in milliseconds.
fn at(millis: u64) -> Markup {
    moment(&users::time(Time(millis)))
}
