//! Sign-in, sign-up and one's own account.

use maud::{Markup, html};
use moongate_core::{Code, Problem, Time};
use moongate_identity::people::{LONGEST, Passkey, SHORTEST, SignedIn, User};

use super::{Making, alert, creation, document, nothing, page, request, script, signed_in, token};
use crate::{users, words};

/// A page of ours that calls the same address again: only such a call brings the cookie along.
pub(crate) fn again(here: &str) -> Markup {
    let head = html! { meta http-equiv="refresh" content=(format!("0;url={here}")); };
    let style = if here.starts_with("/console") { "/console/pages.css" } else { "/oauth/pages.css" };
    document(
        "One moment",
        style,
        &head,
        &html! {
            h1 { "One moment" }
            p { a class="button" href=(here) { "Go on" } }
        },
    )
}

pub(crate) fn sign_in(next: &str, name: &str, passkey: Option<&(String, String)>, problem: Option<&Problem>) -> Markup {
    let card = html! {
        h1 { "Sign in" }
        @if next.starts_with("/approvals") {
            p class="quiet" { "Then you can answer what waits for a yes." }
        } @else if next.starts_with("/oauth/device") {
            p class="quiet" { "Then you can answer the device that asks." }
        } @else if next.starts_with("/oauth/authorize") {
            p class="quiet" { "Then you can answer the program that asks." }
        } @else if next == crate::frame::HOME {
            p class="quiet" { "Then you see how this gateway does." }
        }
        (alert(problem))
        @if let Some(passkey) = passkey {
            form method="post" action="/oauth/sign-in/passkey" data-passkey="get" data-options=(request(passkey)) hidden {
                input type="hidden" name="next" value=(next);
                input type="hidden" name="answer";
                button type="submit" { "Use a passkey" }
                p class="or" { "or" }
            }
        }
        form method="post" action="/oauth/sign-in" {
            input type="hidden" name="next" value=(next);
            label for="name" { "Name" }
            input id="name" name="name" value=(name) autocomplete="username" autocapitalize="none" autocorrect="off"
                spellcheck="false" required autofocus[name.is_empty() && passkey.is_none()];
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required
                autofocus[!name.is_empty()];
            button type="submit" class=(if passkey.is_some() { "second" } else { "first" }) { "Sign in" }
        }
        p class="quiet small" { "No account, or no way in? Whoever runs this gateway can give you a link." }
    };
    page("Sign in", &if passkey.is_some() { script() } else { nothing() }, &card)
}

pub(crate) fn sign_up(user: &User, code: &str, making: Option<&Making>, problem: Option<&Problem>) -> Markup {
    let card = html! {
        h1 { "Welcome, " (user.display_name) }
        p { "You sign in here as " strong { (user.name) } ". Choose how." }
        (alert(problem))
        @if let Some(making) = making {
            form method="post" action="/oauth/sign-up/passkey" data-passkey="create"
                data-options=(creation(making, user)) hidden {
                input type="hidden" name="code" value=(code);
                input type="hidden" name="answer";
                input type="hidden" name="label";
                button type="submit" { "Make a passkey" }
                p class="quiet small" { "Your fingerprint, face or screen lock. Nothing to remember, nothing to steal." }
                p class="or" { "or" }
            }
        }
        form method="post" action="/oauth/sign-up" {
            input type="hidden" name="code" value=(code);
            // Password managers keep the two together.
            input type="text" name="username" autocomplete="username" value=(user.name) hidden;
            (new_password())
            button type="submit" class=(if making.is_some() { "second" } else { "first" }) { "Set the password" }
        }
    };
    page("Welcome", &if making.is_some() { script() } else { nothing() }, &card)
}

fn new_password() -> Markup {
    html! {
        label for="password" { "New password" }
        input id="password" name="password" type="password" autocomplete="new-password" required
            minlength=(SHORTEST) maxlength=(LONGEST) aria-describedby="rule";
        p id="rule" class="quiet small" { "At least " (SHORTEST) " characters, whatever you like: a sentence is a good one." }
        label for="again" { "The same again" }
        input id="again" name="again" type="password" autocomplete="new-password" required
            minlength=(SHORTEST) maxlength=(LONGEST);
    }
}

pub(crate) fn account(
    who: &SignedIn,
    (passkeys, now): (&[Passkey], Time),
    making: Option<&Making>,
    problem: Option<&Problem>,
) -> Markup {
    let user = &who.user;
    let about_password = problem.is_some_and(|problem| problem.code != Code::PasskeyRefused);
    let card = html! {
        h1 { (user.display_name) }
        p class="quiet" { "You sign in as " strong { (user.name) } "." }
        (alert(problem))
        p { a class="button" href="/oauth/device" { "Answer a device" } }
        (passkey_list(who, (passkeys, now), making))
        h2 { "Password" }
        (password_form(who, about_password))
        h2 { "What you may allow" }
        @if user.scopes.is_empty() {
            p class="quiet" { "Nothing: programs get no rights in your name." }
        } @else {
            p class="quiet" { "Programs that you let in may, at most:" }
            ul class="rights" { @for scope in &user.scopes { li { (words::scope(scope)) } } }
        }
        (signed_in(who))
    };
    page("Your account", &if making.is_some() { script() } else { nothing() }, &card)
}

fn password_form(who: &SignedIn, open: bool) -> Markup {
    let user = &who.user;
    if !who.is_fresh && !user.has_password() {
        return html! { p class="quiet small" { "To set one, sign out and in again." } };
    }
    html! {
        details open[open] {
            summary { @if user.has_password() { "Change the password" } @else { "Set a password" } }
            form method="post" action="/oauth/account/password" {
                (token(who))
                input type="text" name="username" autocomplete="username" value=(user.name) hidden;
                @if user.has_password() {
                    label for="current" { "Current password" }
                    input id="current" name="current" type="password" autocomplete="current-password" required;
                }
                (new_password())
                button class="second" type="submit" { "Set the password" }
                p class="quiet small" { "Your other sessions end." }
            }
        }
    }
}

fn passkey_list(who: &SignedIn, (passkeys, now): (&[Passkey], Time), making: Option<&Making>) -> Markup {
    html! {
        h2 { "Passkeys" }
        @if passkeys.is_empty() {
            p class="quiet" { "None yet." }
        }
        ul class="rows" {
            @for passkey in passkeys {
                li {
                    div {
                        strong { (passkey.label) }
                        span class="quiet small" {
                            "made " (day(passkey.made_at)) " "
                            @if let Some(used) = passkey.used_at { "· last used " (day(used)) }
                            @if !passkey.is_settled(now) { "· not yet for what is critical" }
                        }
                    }
                    @if who.is_fresh {
                        form method="post" action="/oauth/account/passkey/remove" {
                            (token(who))
                            input type="hidden" name="id" value=(passkey.id);
                            button class="plain" type="submit" aria-label={ "Remove " (passkey.label) } { "Remove" }
                        }
                    }
                }
            }
        }
        @if !who.is_fresh {
            p class="quiet small" { "To add or remove one, sign out and in again." }
        } @else if let Some(making) = making {
            form method="post" action="/oauth/account/passkey" data-passkey="create" data-options=(creation(making, &who.user)) hidden {
                (token(who))
                input type="hidden" name="answer";
                input type="hidden" name="label";
                button class="second" type="submit" { "Add a passkey" }
            }
        } @else {
            p class="quiet small" { "To add one, call this page by the gateway’s public name, or as localhost." }
        }
    }
}

fn day(moment: Time) -> Markup {
    let day: String = users::time(moment).chars().take(10).collect();
    html! { time { (day) } }
}
