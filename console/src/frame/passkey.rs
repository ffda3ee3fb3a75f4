//! A way to come back without a link: the operator adds a person who may look, and that person makes a passkey.
//!
//! Such a person holds `admin:console` and `audit:read`, and nothing else. Who answers questions is said at the machine, with
//! `moongate users`: a session that a link opened cannot make itself one of those.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::{Code, Problem};
use serde::Deserialize;
use serde_json::json;

use super::layout::{frame, shown, token};
use super::{Answer, Asking, Caller, Question, Right, read};
use crate::pages::reply::{page, status, with_problem};
use crate::view;

/// Where it is.
pub(super) const PATH: &str = "/console/passkey";
const TITLE: &str = "A passkey";

/// The answer of `POST /api/v1/users`.
#[derive(Debug, Deserialize)]
struct Added {
    name: String,
    invitation: Invitation,
}

#[derive(Debug, Deserialize)]
struct Invitation {
    url: String,
}

impl Asking<'_> {
    pub(super) fn passkey_page(&self) -> Response<Bytes> {
        page(status(200), &self.passkey(None, None))
    }

    /// Adds the person.
    pub(super) async fn add_person(&self) -> Answer {
        if !matches!(self.who, Caller::Operator(_)) {
            return Err(Problem::new(Code::Forbidden, "people are added by the operator"));
        }
        let scopes = [Right::See.scope(), Right::ReadLog.scope()];
        let (name, called) = (self.visit.field("name"), self.visit.field("display_name"));
        let body = json!({"name": name, "display_name": called, "scopes": scopes});
        match self.api.ask(self.who, Question::post("/api/v1/users", &body)).await {
            Ok(answer) => Ok(page(status(200), &self.passkey(Some(&read(answer)?), None))),
            Err(problem) => Ok(with_problem(&problem, &self.passkey(None, Some(&problem)))),
        }
    }

    fn passkey(&self, added: Option<&Added>, problem: Option<&Problem>) -> Markup {
        let content = html! {
            h1 { (TITLE) }
            (view::alert(problem))
            @match (self.who, added) {
                (Caller::Person(_), _) => {
                    p { "Your passkeys are with " a href="/oauth/account" { "your account" } "." }
                }
                (Caller::Operator(_), Some(added)) => (invited(added)),
                (Caller::Operator(_), None) => (self.form()),
            }
        };
        frame(self.who, None, TITLE, &content)
    }

    fn form(&self) -> Markup {
        html! {
            p { "A link is good once. With a passkey you come back as yourself, and the log says who looked." }
            section {
                form method="post" action=(PATH) {
                    (token(self.who))
                    div class="fields" {
                        div {
                            label for="name" { "Name to sign in with" }
                            input id="name" name="name" required maxlength="64" autocapitalize="none" autocorrect="off"
                                spellcheck="false" autocomplete="off";
                        }
                        div {
                            label for="display_name" { "What you are called" }
                            input id="display_name" name="display_name" maxlength="100" autocomplete="off";
                        }
                    }
                    button type="submit" { "Go on" }
                }
            }
            p class="quiet small" {
                "This adds a person who sees the console and the log, and changes nothing. Who answers questions is said at the "
                "machine: " code { "moongate users add NAME --scope approve" } "."
            }
        }
    }
}

fn invited(added: &Added) -> Markup {
    html! {
        p { strong { (shown(&added.name)) } " is added. The next page makes the passkey; it is good once, for whoever opens it." }
        p { a class="button" href=(added.invitation.url) { "Make the passkey" } }
    }
}
