//! A program in the browser asks: the person sees which and for what, and the browser goes back to it (OAuth 2.1 §4.1).
//!
//! The browser is sent on by a page, not by a redirect: `form-action` would refuse to follow one to another origin.

use http::Response;
use moongate_core::{Code, Problem};
use moongate_identity::authority::consent::Authorization;
use moongate_identity::people::SignedIn;

use super::reply::{page, status};
use super::visit::Visit;
use super::{Answer, Pages};
use crate::view::{self, Outcome};

impl Pages {
    pub(super) async fn authorize_page(&self, visit: &Visit, who: &SignedIn) -> Answer {
        let query = visit.raw_query();
        match self.authority()?.authorization_question(query).await? {
            Authorization::Ask { asked, redirect_uri } => {
                Ok(page(status(200), &view::consent(who, query, &asked, &redirect_uri)))
            }
            Authorization::Redirect(there) => on(who, &there, Outcome::Mistaken),
        }
    }

    pub(super) async fn authorize(&self, visit: &Visit, who: &SignedIn) -> Answer {
        let query = visit.field("query").unwrap_or_default();
        let yes = match visit.field("answer") {
            Some("allow") => true,
            Some("deny") => false,
            _ => return Err(Problem::new(Code::FormRefused, "the form says neither yes nor no")),
        };
        let name = who.user.name.as_str();
        let there = self.authority()?.authorization_answer(query, name, yes).await?;
        tracing::info!(user = name, allowed = yes, "a program was answered");
        on(who, &there, if yes { Outcome::Allowed } else { Outcome::Denied })
    }
}

/// Sends the browser on. Clients' addresses are registered; what would run as a script is refused all the same.
fn on(who: &SignedIn, there: &str, outcome: Outcome) -> Result<Response<bytes::Bytes>, Problem> {
    let scheme = there.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if ["javascript", "data", "vbscript", "blob", "file", ""].contains(&scheme.as_str()) {
        return Err(Problem::new(Code::AuthorizationRefused, "the program wants the browser sent to no web address"));
    }
    Ok(page(status(200), &view::decided(who, outcome, Some(there))))
}
