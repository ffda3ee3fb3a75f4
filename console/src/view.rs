//! What pages look like: whole documents that need no script, with one stylesheet and nothing from elsewhere. Every text
//! that somebody else chose is escaped by the templates.

mod access;
mod app;
mod approval;
mod decide;

use maud::{DOCTYPE, Markup, html};
use moongate_core::Problem;
use moongate_identity::passkey::ALGORITHMS;
use moongate_identity::people::{SignedIn, User};
use serde_json::json;

pub(crate) use access::{account, again, sign_in, sign_up};
pub(crate) use app::Told;
pub(crate) use approval::{Signing, approval, approvals};
pub(crate) use decide::{Outcome, consent, decided, device_code, device_question};

/// The stylesheet.
pub(crate) const STYLE: &str = concat!(include_str!("../assets/palette.css"), include_str!("../assets/pages.css"));
/// The script for passkeys.
pub(crate) const SCRIPT: &str = include_str!("../assets/passkey.js");

/// What a page needs to make a passkey.
pub(crate) struct Making {
    /// The site's host.
    pub(crate) host: String,
    /// The challenge.
    pub(crate) challenge: String,
    /// Passkeys that the person has already.
    pub(crate) known: Vec<String>,
}

/// A page: what the browser's tab says, what stands at the end of its head, and what the card holds.
fn page(title: &str, head: &Markup, card: &Markup) -> Markup {
    document(title, "/oauth/pages.css", head, card)
}

/// The same where there may be no pages of the authorization server.
pub(crate) fn card(title: &str, card: &Markup) -> Markup {
    document(title, "/console/pages.css", &nothing(), card)
}

fn document(title: &str, style: &str, head: &Markup, card: &Markup) -> Markup {
    let body = html! { main { (gate()) (card) } };
    whole(title, style, head, &body)
}

/// A whole document with one stylesheet, what else its head holds, and its body.
pub(crate) fn whole(title: &str, style: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Moongate" }
                link rel="stylesheet" href=(style);
                (head)
            }
            body { (body) }
        }
    }
}

/// A round door in a wall.
pub(crate) fn gate() -> Markup {
    html! {
        div class="brand" {
            svg viewBox="0 0 48 48" width="40" height="40" aria-hidden="true" {
                path class="wall" fill-rule="evenodd" d="M2 12h44v30h-44z M24 11a15 15 0 0 0 -9 27v4h18v-4a15 15 0 0 0 -9 -27z" {}
                path class="roof" d="M0 12 L5 6 H43 L48 12 Z" {}
                circle class="moon" cx="24" cy="25" r="8" {}
            }
            span { "Moongate" }
        }
    }
}

pub(crate) fn nothing() -> Markup {
    html! {}
}

/// What went wrong with the last form.
pub(crate) fn alert(problem: Option<&Problem>) -> Markup {
    html! {
        @if let Some(problem) = problem {
            div class="alert" role="alert" {
                p { (sentence(&problem.detail)) }
            }
        }
    }
}

/// Who is signed in, and the way out.
fn signed_in(who: &SignedIn) -> Markup {
    html! {
        footer {
            span { "Signed in as " strong { (who.user.display_name) } }
            form method="post" action="/oauth/sign-out" {
                (token(who))
                button class="plain" type="submit" { "Sign out" }
            }
        }
    }
}

/// What a form of this session carries.
fn token(who: &SignedIn) -> Markup {
    html! { input type="hidden" name="form" value=(who.form_token()); }
}

fn script() -> Markup {
    html! { script src="/oauth/passkey.js" defer {} }
}

/// What the page's script asks the browser for when a passkey is to be made.
fn creation(making: &Making, user: &User) -> String {
    json!({
        "rp": {"id": making.host, "name": "Moongate"},
        "user": {"id": user.handle(), "name": user.name.as_str(), "displayName": user.display_name},
        "challenge": making.challenge,
        "pubKeyCredParams": ALGORITHMS.iter().map(|alg| json!({"type": "public-key", "alg": alg})).collect::<Vec<_>>(),
        "excludeCredentials": making.known.iter().map(|id| json!({"type": "public-key", "id": id})).collect::<Vec<_>>(),
        "authenticatorSelection": {"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
        "attestation": "none",
    })
    .to_string()
}

/// The same when somebody signs in.
fn request((host, challenge): &(String, String)) -> String {
    json!({"rpId": host, "challenge": challenge, "userVerification": "required"}).to_string()
}

/// Begins as a sentence does, and ends as one.
pub(crate) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let text = format!("{first}{}", characters.as_str());
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

/// A page for what cannot go on.
pub(crate) fn problem(problem: &Problem) -> Markup {
    let card = html! {
        h1 { "That did not work" }
        p { (sentence(&problem.detail)) }
        p class="quiet" { (sentence(&problem.code.hint().replace('`', ""))) }
        p class="quiet" { code { (problem.code) } }
    };
    page("That did not work", &nothing(), &card)
}
