//! Signing up by the link that an operator handed over.

use moongate_core::{Code, Problem};
use moongate_identity::people::{MadeAnswer, Password};

use super::reply::{page, status, with_problem};
use super::sign_in::{no_passkeys_here, read};
use super::visit::Visit;
use super::{Answer, Pages};
use crate::view;

impl Pages {
    pub(super) async fn sign_up_page(&self, visit: &Visit) -> Answer {
        self.sign_up_form(visit, visit.parameter("code").unwrap_or_default(), None).await
    }

    pub(super) async fn sign_up(&self, visit: &Visit) -> Answer {
        let code = visit.field("code").unwrap_or_default();
        let password = visit.field("password").unwrap_or_default();
        let chosen = if visit.field("again") == Some(password) {
            Password::choose(password)
        } else {
            Err(Problem::new(Code::PasswordRefused, "the two passwords are not the same"))
        };
        match chosen {
            Ok(password) => {
                let opened = self.people.accept(code, password).await?;
                Ok(self.enter(visit, &opened, "/oauth/account"))
            }
            Err(problem) => self.sign_up_form(visit, code, Some(&problem)).await,
        }
    }

    pub(super) async fn sign_up_by_passkey(&self, visit: &Visit) -> Answer {
        let code = visit.field("code").unwrap_or_default();
        let site = visit.site().ok_or_else(no_passkeys_here)?;
        let answer: MadeAnswer = read(visit.field("answer"))?;
        let label = visit.field("label").unwrap_or_default();
        match self.people.accept_passkey(code, &site, label, &answer).await {
            Ok(opened) => Ok(self.enter(visit, &opened, "/oauth/account")),
            Err(problem) if problem.code == Code::PasskeyRefused => {
                self.sign_up_form(visit, code, Some(&problem)).await
            }
            Err(problem) => Err(problem),
        }
    }

    async fn sign_up_form(&self, visit: &Visit, code: &str, problem: Option<&Problem>) -> Answer {
        let user = self.people.invited(code).await?;
        let making = self.making(visit, &user).await?;
        let markup = view::sign_up(&user, code, making.as_ref(), problem);
        Ok(match problem {
            Some(problem) => with_problem(problem, &markup),
            None => page(status(200), &markup),
        })
    }
}
