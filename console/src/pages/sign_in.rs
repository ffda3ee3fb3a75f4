//! Signing in and out.

use bytes::Bytes;
use http::Response;
use moongate_core::entry::By;
use moongate_core::{Code, Problem};
use moongate_identity::people::{Answer as PasskeyAnswer, Opened, SignedIn};

use super::approvals;
use super::reply::{cookie, page, see, status, with_problem};
use super::visit::Visit;
use super::{Answer, Pages};
use crate::view;

/// Where somebody goes who did not want to go anywhere.
const HOME: &str = "/oauth/account";

impl Pages {
    pub(super) async fn sign_in_page(&self, visit: &Visit, who: Option<&SignedIn>) -> Answer {
        let next = next(visit.parameter("next"));
        if who.is_some() {
            return Ok(see(next));
        }
        self.sign_in_form(visit, next, None)
    }

    /// The form; with what was wrong about the last try.
    pub(super) fn sign_in_form(&self, visit: &Visit, next: &str, problem: Option<&Problem>) -> Answer {
        let challenge = match visit.site() {
            Some(site) => Some((site.host, self.people.challenge()?)),
            None => None,
        };
        let markup = view::sign_in(next, visit.field("name").unwrap_or_default(), challenge.as_ref(), problem);
        Ok(match problem {
            Some(problem) => with_problem(problem, &markup),
            None => page(status(200), &markup),
        })
    }

    pub(super) async fn sign_in(&self, visit: &Visit) -> Answer {
        let (name, password) = (visit.field("name").unwrap_or_default(), visit.field("password").unwrap_or_default());
        let next = next(visit.field("next"));
        match self.people.sign_in(name, password, visit.address()).await {
            Ok(opened) => Ok(self.enter(visit, &opened, next)),
            Err(problem) if matches!(problem.code, Code::SignInRefused | Code::TooManyAttempts) => {
                tracing::info!(code = %problem.code, remote = %visit.address(), "a sign-in failed");
                self.sign_in_form(visit, next, Some(&problem))
            }
            Err(problem) => Err(problem),
        }
    }

    pub(super) async fn sign_in_by_passkey(&self, visit: &Visit) -> Answer {
        let next = next(visit.field("next"));
        let site = visit.site().ok_or_else(no_passkeys_here)?;
        let answer: PasskeyAnswer = read(visit.field("answer"))?;
        match self.people.sign_in_by_passkey(&site, &answer).await {
            Ok(opened) => Ok(self.enter(visit, &opened, next)),
            Err(problem) if problem.code == Code::PasskeyRefused => self.sign_in_form(visit, next, Some(&problem)),
            Err(problem) => Err(problem),
        }
    }

    /// Sets the cookie and goes on, as the person whose session it is.
    pub(super) fn enter(&self, visit: &Visit, opened: &Opened, next: &str) -> Response<Bytes> {
        tracing::info!(user = %opened.user.name, remote = %visit.address(), "signed in");
        let mut response = cookie(see(next), &visit.set_cookie(Some(&opened.cookie)));
        if let Ok(name) = self.full_name(&opened.user.name) {
            response.extensions_mut().insert(By(name));
        }
        response
    }

    /// Whoever is signed out already gets the same answer; a page that is not ours cannot bring it about.
    pub(super) async fn sign_out(&self, visit: &Visit, who: Option<&SignedIn>) -> Answer {
        let Some(who) = who else { return Ok(see("/oauth/sign-in")) };
        if !visit.field("form").is_some_and(|token| who.accepts_form(token)) {
            return Err(Problem::new(Code::FormRefused, "the form is not one of this session’s"));
        }
        self.people.sign_out(visit.cookie().unwrap_or_default()).await?;
        tracing::info!(user = %who.user.name, "signed out");
        Ok(cookie(see("/oauth/sign-in"), &visit.set_cookie(None)))
    }
}

/// A page of ours that wants somebody signed in, or the account.
fn next(wanted: Option<&str>) -> &str {
    let Some(wanted) = wanted else { return HOME };
    let path = wanted.split('?').next().unwrap_or_default();
    let harmless = |byte: u8| byte.is_ascii_graphic() && !b"\\<>\"'`".contains(&byte);
    let ours = ["/oauth/device", "/oauth/authorize", "/oauth/account", approvals::PLACE].contains(&path)
        || approvals::id(path).is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        || wanted == crate::frame::HOME;
    if ours && wanted.len() <= 4096 && wanted.bytes().all(harmless) { wanted } else { HOME }
}

pub(super) fn no_passkeys_here() -> Problem {
    let what =
        "passkeys belong to this gateway’s public address, or to localhost and its own port; call the page there";
    Problem::new(Code::PasskeyRefused, what)
}

/// A browser's answer about a passkey, as the page's script wrote it into the form.
pub(super) fn read<T: serde::de::DeserializeOwned>(answer: Option<&str>) -> Result<T, Problem> {
    serde_json::from_str(answer.unwrap_or_default())
        .map_err(|_| Problem::new(Code::PasskeyRefused, "the browser’s answer is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_pages_of_ours_only() {
        for good in [
            "/approvals",
            "/approvals/0123abc",
            "/console/",
            "/oauth/device",
            "/oauth/device?user_code=BCDF-GHJK",
            "/oauth/authorize?a=b&c=%2F",
        ] {
            assert_eq!(next(Some(good)), good);
        }
        for bad in [
            "https://evil.example",
            "//evil.example",
            "/oauth/device/../sign-out",
            "/oauth/devices",
            "/approvals/../oauth/sign-out",
            "/approvals/%2e%2e",
            "/approvals/a/b",
            "/console/sign-out",
            "/console//evil.example",
            "/oauth/token",
            "/oauth/device?a=\r\nset-cookie: x",
            "/oauth/device?\"><script>",
            "/\\evil.example",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(next(Some(bad)), HOME, "{bad}");
        }
    }
}
