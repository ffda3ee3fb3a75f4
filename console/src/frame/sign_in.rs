//! Coming in by a link that works once, and going.
//!
//! The link's page only shows a button: what fetches links ahead, or shows what is behind them, spends nothing.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::entry::By;
use moongate_core::{Code, Problem};

use super::caller::OPERATOR;
use super::{Answer, Caller, Console, HOME};
use crate::pages::reply::{cookie, page, see, status, with_problem};
use crate::pages::visit::Visit;
use crate::view;

/// Where it is.
pub(super) const PATH: &str = "/console/sign-in";
/// Characters of a link that are looked at.
const LONGEST: usize = 64;

impl Console {
    pub(super) fn sign_in_page(&self, visit: &Visit, who: Option<&Caller>) -> Response<Bytes> {
        let link = visit.parameter("link").filter(|link| link.len() <= LONGEST);
        match (who, link) {
            (Some(_), None) => see(HOME),
            (_, link) => page(status(200), &self.door(link, None)),
        }
    }

    /// Spends the link.
    pub(super) fn sign_in(&self, visit: &Visit) -> Answer {
        let link = visit.field("link").filter(|link| link.len() <= LONGEST).unwrap_or_default();
        match self.operators.open(link, visit.address()) {
            Ok(seat) => {
                tracing::info!(remote = %visit.address(), "the operator signed in at the console");
                let mut response = cookie(see(HOME), &visit.set_operator_cookie(Some(&seat.cookie)));
                response.extensions_mut().insert(By(OPERATOR.into()));
                Ok(response)
            }
            Err(problem) if matches!(problem.code, Code::LinkSpent | Code::TooManyAttempts) => {
                tracing::info!(code = %problem.code, remote = %visit.address(), "a link into the console was refused");
                Ok(with_problem(&problem, &self.door(None, Some(&problem))))
            }
            Err(problem) => Err(problem),
        }
    }

    /// Ends the operator's session. People leave as they came, at their own pages.
    pub(super) fn sign_out(&self, visit: &Visit, who: &Caller) -> Response<Bytes> {
        match who {
            Caller::Operator(seat) => {
                self.operators.end(&seat.cookie);
                cookie(see(PATH), &visit.set_operator_cookie(None))
            }
            Caller::Person(_) => see("/oauth/account"),
        }
    }

    fn door(&self, link: Option<&str>, problem: Option<&Problem>) -> Markup {
        let people = self.authority.load().is_some();
        let content = html! {
            h1 { "The console" }
            (view::alert(problem))
            @if let Some(link) = link {
                p { "You come from the machine that this gateway runs on. Go on as its operator?" }
                form method="post" action=(PATH) {
                    input type="hidden" name="link" value=(link);
                    button type="submit" autofocus { "Go on" }
                }
                p class="quiet small" { "The link is good once. You stay signed in for twelve hours, or until the gateway restarts." }
            } @else {
                p { "Whoever runs this gateway comes in by a link. On its machine, say:" }
                pre class="params" { "moongate console" }
                @if people {
                    p class="or" { "or" }
                    a class="button" href="/oauth/sign-in?next=/console/" { "Sign in with a passkey" }
                } @else {
                    p class="quiet small" { "People sign in by passkey once the configuration has " code { "[oauth]" } "." }
                }
            }
        };
        view::card("The console", &content)
    }
}
