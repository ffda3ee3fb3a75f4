//! Requests that wait for a person: the list, and one of them with everything that would be sent.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{Markup, html};
use moongate_approval::Stored;
use moongate_approval::desk::memory::Memory;
use moongate_approval::document::visible;
use moongate_core::approval::{Class, State};
use moongate_core::{Problem, Time};
use moongate_identity::people::SignedIn;
use serde_json::Value;

use super::app::{self, Told};
use super::{alert, page, request, script, signed_in, token};
use crate::beside::beside;

/// What a passkey signs to say yes.
pub(crate) struct Signing {
    /// The site's host.
    pub(crate) host: String,
    /// To just this.
    pub(crate) once: [u8; 32],
    /// To this and the very same again, and for how long; where that can be.
    pub(crate) remembering: Option<(Duration, [u8; 32])>,
}

pub(crate) fn approvals(
    who: &SignedIn,
    (pending, past, remembered): (&[Stored], &[Stored], &[Memory]),
    told: &Told<'_>,
    now: Time,
) -> Markup {
    let card = html! {
        h1 { "What waits for a yes" }
        @if pending.is_empty() { p class="quiet" { "Nothing, at the moment." } }
        ul class="questions" {
            @for one in pending {
                li {
                    a href=(place(one)) { (sentence(one)) }
                    p class="quiet small" { (class(one)) ", " (left(one, now)) " left" }
                }
            }
        }
        @if !remembered.is_empty() {
            h2 { "Answered alike for now" }
            ul class="questions" {
                @for one in remembered {
                    li {
                        (visible(&one.sentence))
                        p class="quiet small" { (span(one.expires_at.since(now))) " left, by " (visible(&one.by)) }
                        form method="post" action=(format!("/approvals/{}", one.question)) {
                            (token(who))
                            input type="hidden" name="decision" value="forget";
                            button class="second" type="submit" { "Ask again from now on" }
                        }
                    }
                }
            }
        }
        @if !past.is_empty() {
            h2 { "Before" }
            ul class="questions" {
                @for one in past {
                    li {
                        a href=(place(one)) { (sentence(one)) }
                        p class="quiet small" { (one.approval.state.as_str()) }
                    }
                }
            }
        }
        (app::told(who, told))
        (signed_in(who))
    };
    let head = html! { (app::head()) @if told.key.is_some() { (app::script()) } };
    page("What waits for a yes", &head, &card)
}

pub(crate) fn approval(
    who: &SignedIn,
    question: &Stored,
    passkey: Option<&Signing>,
    problem: Option<&Problem>,
    now: Time,
) -> Markup {
    let approval = &question.approval;
    let open = approval.state == State::Pending && approval.expires_at > now;
    let target = |pointer: &str| question.document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let params = question.document.get("params").cloned().unwrap_or_default();
    let card = html! {
        p class="kicker" { (class(question)) }
        h1 class="question" { (sentence(question)) }
        (alert(problem))
        dl {
            dt { "Asks" }
            dd { code { (visible(&approval.requester)) } }
            dt { "Operation" }
            dd { code { (visible(target("/operation"))) } }
            dt { "Agent" }
            dd { code { (visible(target("/target/agent"))) } }
            @if !target("/target/skill").is_empty() {
                dt { "Skill" }
                dd { code { (visible(target("/target/skill"))) } }
            }
            (besides(&question.document))
            dt { "Rule" }
            dd { code { (visible(&approval.rule)) } }
            @if open {
                dt { "Time left" }
                dd { (left(question, now)) }
            } @else {
                dt { "It is" }
                dd { strong { (stands(question, now)) } }
            }
            @if approval.needed > 1 {
                dt { "Said yes" }
                dd { (approval.votes.len()) " of " (approval.needed) }
            }
        }
        p class="quiet small" { "All that would be sent, in the words of whoever asks:" }
        pre class="params" tabindex="0" { (lines(&params)) }
        @if open { (answers(who, question, passkey)) }
        p { a href="/approvals" { "All questions" } }
        (signed_in(who))
    };
    let head = html! { (app::head()) @if open { (script()) } };
    page("A yes is wanted", &head, &card)
}

/// What a yes lets out beside the parameters.
fn besides(document: &Value) -> Markup {
    html! {
        @for one in beside(document) {
            dt { (capital(one.name)) }
            dd {
                code { (one.words) }
                @if let Some(note) = one.note { span class="quiet small" { " " (note) } }
            }
        }
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Deny comes first and has the focus: a stray key allows nothing.
fn answers(who: &SignedIn, question: &Stored, passkey: Option<&Signing>) -> Markup {
    html! {
        form method="post" action=(place(question)) {
            (token(who))
            input type="hidden" name="decision" value="deny";
            button class="second" type="submit" autofocus { "Deny" }
        }
        @if let Some(signing) = passkey {
            (yes(who, question, (&signing.host, &signing.once), "approve", "first", "Allow with a passkey"))
            @if let Some((time, challenge)) = &signing.remembering {
                @let words = format!("Allow, and the very same for {}", span(*time));
                (yes(who, question, (&signing.host, challenge), "remember", "second", &words))
            }
        } @else {
            p class="warning" {
                "A yes wants a passkey of yours. " a href="/oauth/account" { "Make one" }
                ", and call this page by the gateway’s own name."
            }
        }
    }
}

fn yes(
    who: &SignedIn,
    question: &Stored,
    (host, challenge): (&str, &[u8; 32]),
    decision: &str,
    kind: &str,
    words: &str,
) -> Markup {
    html! {
        form method="post" action=(place(question)) data-passkey="get"
            data-options=(request(&(host.to_owned(), URL_SAFE_NO_PAD.encode(challenge)))) hidden {
            (token(who))
            input type="hidden" name="decision" value=(decision);
            input type="hidden" name="answer";
            button class=(kind) type="submit" { (words) }
        }
    }
}

fn place(question: &Stored) -> String {
    format!("/approvals/{}", question.approval.id)
}

fn sentence(question: &Stored) -> String {
    visible(&question.sentence())
}

fn class(question: &Stored) -> &'static str {
    match question.approval.class {
        Class::Sensitive => "Sensitive",
        Class::Critical => "Critical",
    }
}

fn stands(question: &Stored, now: Time) -> &'static str {
    let approval = &question.approval;
    if approval.state == State::Pending && approval.expires_at <= now {
        return State::Expired.as_str();
    }
    approval.state.as_str()
}

fn left(question: &Stored, now: Time) -> String {
    span(question.approval.expires_at.since(now))
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 120 { format!("{seconds} seconds") } else { format!("{} minutes", seconds / 60) }
}

/// Indented JSON, each line made visible on its own.
fn lines(params: &Value) -> String {
    let text = serde_json::to_string_pretty(params).unwrap_or_default();
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}
