//! What the approval pages need to be an app that is told of questions.

use maud::{Markup, html};
use moongate_approval::channels::push::Subscription;
use moongate_identity::people::SignedIn;

use super::token;

/// By what a browser subscribes, while it can, and the person's browsers that have.
pub(crate) struct Told<'a> {
    /// The public key; nothing while push is off.
    pub(crate) key: Option<String>,
    /// Those that are told.
    pub(crate) browsers: &'a [Subscription],
}

/// The end of a page's head.
pub(super) fn head() -> Markup {
    html! {
        link rel="manifest" href="/approvals/app/manifest.json";
        link rel="icon" href="/approvals/app/icon.svg" type="image/svg+xml";
        link rel="apple-touch-icon" href="/approvals/app/icon-192.png";
        meta name="theme-color" content="#1b2333";
    }
}

/// The script that subscribes.
pub(super) fn script() -> Markup {
    html! { script src="/approvals/app/push.js" defer {} }
}

/// The browsers that are told, and the button for this one, which the script shows where that can be.
pub(super) fn told(who: &SignedIn, told: &Told<'_>) -> Markup {
    let held = told.browsers.iter().map(|one| one.key.as_str()).collect::<Vec<_>>().join(" ");
    html! {
        @if let Some(key) = &told.key {
            form method="post" action="/approvals/app/subscribe" data-push=(key) data-held=(held) hidden {
                (token(who))
                @for name in ["endpoint", "p256dh", "auth", "label"] {
                    input type="hidden" name=(name);
                }
                div class="alert" role="alert" hidden { p {} }
                button type="submit" { "Tell this browser of what waits" }
            }
        }
        @if !told.browsers.is_empty() {
            h2 { "Told of what waits" }
            ul class="questions" {
                @for one in told.browsers {
                    li {
                        span { (one.label) " " span class="quiet small" { "by " (one.service()) } }
                        form method="post" action="/approvals/app/unsubscribe" {
                            (token(who))
                            input type="hidden" name="key" value=(one.key);
                            button class="plain" type="submit" { "Remove" }
                        }
                    }
                }
            }
        }
    }
}
