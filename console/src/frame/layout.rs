//! The frame around every page of the console: who we are, where one can go, who is here.

use maud::{Markup, html};
use moongate_approval::document::visible;
use moongate_core::Problem;

use super::place::{self, Place};
use super::{Caller, passkey};
use crate::view;

/// A whole page.
pub(super) fn frame(who: &Caller, place: Option<&Place>, title: &str, content: &Markup) -> Markup {
    let script = html! { script src="/console/console.js" defer {} };
    let body = html! {
        a class="skip" href="#content" { "To the content" }
        header {
            (view::gate())
            nav aria-label="Console" {
                ul {
                    @for one in place::ALL.iter().filter(|one| who.may(one.right)) {
                        li {
                            @let here = place.is_some_and(|place| place.path == one.path);
                            a href=(one.path) aria-current=[here.then_some("page")] { (one.title) }
                        }
                    }
                }
            }
            (here(who))
        }
        main id="content" { (content) }
    };
    view::whole(title, "/console/console.css", &script, &body)
}

/// Who is signed in, and the way out.
fn here(who: &Caller) -> Markup {
    html! {
        div class="who" {
            span { "Signed in as " strong { (shown(who.name())) } }
            @if matches!(who, Caller::Operator(_)) { a href=(passkey::PATH) { "Come back by passkey" } }
            form method="post" action="/console/sign-out" {
                (token(who))
                button class="plain" type="submit" { "Sign out" }
            }
        }
    }
}

/// What a form of this session carries.
pub(super) fn token(who: &Caller) -> Markup {
    html! { input type="hidden" name="form" value=(who.form_token()); }
}

/// What cannot go on: inside the frame for those who are known.
pub(super) fn problem(who: Option<&Caller>, problem: &Problem) -> Markup {
    let content = html! {
        h1 { "That did not work" }
        p { (shown(&view::sentence(&problem.detail))) }
        p class="quiet" { (view::sentence(&problem.code.hint().replace('`', ""))) }
        p class="quiet" { code { (problem.code) } }
    };
    match who {
        Some(who) => frame(who, None, "That did not work", &content),
        None => view::card("That did not work", &content),
    }
}

/// Somebody else's words, with what is invisible in them written out.
pub(super) fn shown(text: &str) -> String {
    visible(text)
}
