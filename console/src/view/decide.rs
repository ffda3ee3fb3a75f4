//! The questions that programs ask people, and what becomes of the answer.

use std::net::IpAddr;

use maud::{Markup, html};
use moongate_core::scope::Scope;
use moongate_core::{Problem, Scopes, Time};
use moongate_identity::authority::consent::{DeviceQuestion, Question};
use moongate_identity::people::SignedIn;

use super::{alert, nothing, page, signed_in, token};
use crate::words;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    Denied,
    /// The program asked wrongly; nobody decided anything.
    Mistaken,
}

pub(crate) fn device_code(who: &SignedIn, code: &str, problem: Option<&Problem>) -> Markup {
    let card = html! {
        h1 { "Which code does the device show?" }
        @if code.is_empty() {
            p class="quiet" { "Type it as it stands there. Capitals and dashes do not matter." }
        } @else if problem.is_none() {
            p class="quiet" { "Go on only if this very code stands on a device in front of you." }
        }
        (alert(problem))
        form method="post" action="/oauth/device" {
            (token(who))
            label for="user_code" { "Code" }
            input id="user_code" class="code" name="user_code" value=(code) autocomplete="off" autocapitalize="characters"
                autocorrect="off" spellcheck="false" maxlength="32" required autofocus;
            button type="submit" { "Go on" }
        }
        (signed_in(who))
    };
    page("A device asks", &nothing(), &card)
}

pub(crate) fn device_question(who: &SignedIn, code: &str, question: &DeviceQuestion, now: Time) -> Markup {
    let minutes = question.expires_at.since(now).as_secs().div_ceil(60);
    let card = html! {
        p class="kicker" { "A device asks" }
        h1 { "Let " span class="name" { (question.asked.client_name) } " in?" }
        dl {
            dt { "Code" }
            dd class="code" { (code) }
            dt { "Asked from" }
            dd { (place(question.remote)) }
            dt { "Program" }
            dd { code { (question.asked.client) } }
            dt { "Time left" }
            dd { (minutes) @if minutes == 1 { " minute" } @else { " minutes" } }
        }
        (rights(who, &question.asked))
        p class="warning" {
            strong { "Deny it unless you began this yourself, just now, on a device in front of you." }
            " Whoever sent you the code or a link to this page would get in as you."
        }
        form method="post" action="/oauth/device" class="answer" {
            (token(who))
            input type="hidden" name="user_code" value=(code);
            (answers())
        }
        (signed_in(who))
    };
    page("A device asks", &nothing(), &card)
}

pub(crate) fn consent(who: &SignedIn, query: &str, asked: &Question, redirect_uri: &str) -> Markup {
    let card = html! {
        p class="kicker" { "A program asks" }
        h1 { "Let " span class="name" { (asked.client_name) } " in?" }
        dl {
            dt { "Program" }
            dd { code { (asked.client) } }
            dt { "Leads to" }
            dd {
                (destination(redirect_uri))
                @if is_on_loopback(redirect_uri) { " (whichever program listens there, on the machine of this browser)" }
            }
        }
        (rights(who, asked))
        p class="warning" {
            strong { "Deny it unless you began this yourself, just now." }
            " You are sent back to the program either way."
        }
        form method="post" action="/oauth/authorize" class="answer" {
            (token(who))
            input type="hidden" name="query" value=(query);
            (answers())
        }
        (signed_in(who))
    };
    page("A program asks", &nothing(), &card)
}

pub(crate) fn decided(who: &SignedIn, outcome: Outcome, there: Option<&str>) -> Markup {
    let head = html! {
        @if let Some(there) = there { meta http-equiv="refresh" content=(format!("0;url={there}")); }
    };
    let (title, mark) = match outcome {
        Outcome::Allowed => ("Allowed", "✓"),
        Outcome::Denied => ("Denied", "✕"),
        Outcome::Mistaken => ("The program made a mistake", "!"),
    };
    let kind = if outcome == Outcome::Allowed { "mark yes" } else { "mark no" };
    let card = html! {
        p class=(kind) aria-hidden="true" { (mark) }
        h1 { (title) }
        @if let Some(there) = there {
            p { "The program hears of it now." }
            p { a class="button" href=(there) { "Go back to the program" } }
        } @else if outcome == Outcome::Allowed {
            p { "The device goes on by itself in a moment. You can close this page." }
        } @else {
            p { "The device gets nothing. You can close this page." }
        }
        (signed_in(who))
    };
    page(title, &head, &card)
}

/// Deny comes first and has the focus: a stray key allows nothing.
fn answers() -> Markup {
    html! {
        button class="second" type="submit" name="answer" value="deny" autofocus { "Deny" }
        button class="first" type="submit" name="answer" value="allow" { "Allow" }
    }
}

/// What the program would get, and what it would like besides, which this person cannot give.
fn rights(who: &SignedIn, asked: &Question) -> Markup {
    let (given, withheld) = divide(&who.user.rights(), &asked.scopes);
    html! {
        @if given.is_empty() {
            p { "In your name it may do nothing." }
        } @else {
            p { "In your name it may:" }
            ul class="rights" { @for scope in &given { li { (words::scope(scope)) } } }
        }
        @if !withheld.is_empty() {
            p class="quiet small" { "It also asks for what you cannot give, and does not get it:" }
            ul class="rights withheld" { @for scope in &withheld { li { (words::scope(scope)) } } }
        }
    }
}

/// Of what is asked for: what these rights reach, and what lies wholly beyond them.
fn divide(rights: &Scopes, asked: &[String]) -> (Vec<String>, Vec<String>) {
    let known: Vec<Scope> = asked.iter().filter_map(|scope| Scope::parse(scope)).collect();
    let given = Scopes::new(known.iter().cloned()).meet(rights);
    let beyond =
        |scope: &&String| Scope::parse(scope).is_none_or(|scope| Scopes::new([scope]).meet(rights).words().is_empty());
    let withheld = asked.iter().filter(beyond).cloned().collect();
    (given.words().iter().map(ToString::to_string).collect(), withheld)
}

/// Where a device asked from, in words that say how near it is.
fn place(remote: Option<IpAddr>) -> String {
    let Some(address) = remote.map(|address| address.to_canonical()) else { return "an unknown place".to_owned() };
    let near = match address {
        IpAddr::V4(v4) if v4.is_loopback() => "this machine, or a proxy on it",
        IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() => "a private network",
        IpAddr::V6(v6) if v6.is_loopback() => "this machine, or a proxy on it",
        IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => "a private network",
        _ => "the internet",
    };
    format!("{address} ({near})")
}

/// Where the browser goes, without what only the program needs to see.
fn destination(uri: &str) -> &str {
    let end = uri.find(['?', '#']).unwrap_or(uri.len());
    uri.get(..end).unwrap_or(uri)
}

/// Whether the browser goes to its own machine, where the port is free to choose.
fn is_on_loopback(uri: &str) -> bool {
    let host =
        |host: &str| uri.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']));
    ["http://127.0.0.1", "http://[::1]", "http://localhost"].into_iter().any(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_shown_with_what_the_person_can_give_and_no_more() {
        let asked = ["a2a:*:send", "a2a:lights.set:get", "register", "nonsense"].map(str::to_owned);
        let (given, withheld) = divide(&Scopes::read("a2a:lights.set:*"), &asked);
        assert_eq!(given, ["a2a:lights.set:send", "a2a:lights.set:get"]);
        assert_eq!(withheld, ["register", "nonsense"]);
        assert_eq!(divide(&Scopes::default(), &asked).0, Vec::<String>::new());
    }

    #[test]
    fn a_browsers_own_machine_is_told_from_others() {
        for own in ["http://127.0.0.1:4711/back", "http://[::1]/", "http://localhost:1?x", "http://127.0.0.1"] {
            assert!(is_on_loopback(own), "{own}");
        }
        for other in ["https://127.0.0.1.example/", "http://127.0.0.1.example/", "com.example.app:/back"] {
            assert!(!is_on_loopback(other), "{other}");
        }
    }

    #[test]
    fn places_say_how_near_they_are() {
        for (address, words) in [
            ("127.0.0.1", "127.0.0.1 (this machine, or a proxy on it)"),
            ("::ffff:192.168.1.7", "192.168.1.7 (a private network)"),
            ("203.0.113.9", "203.0.113.9 (the internet)"),
            ("fd00::7", "fd00::7 (a private network)"),
        ] {
            assert_eq!(place(address.parse().ok()), words);
        }
        assert_eq!(place(None), "an unknown place");
    }
}
