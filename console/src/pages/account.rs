//! One's own password and passkeys.

use moongate_core::{Code, Problem};
use moongate_identity::people::{MadeAnswer, Password, SignedIn, User};

use super::reply::{page, see, status, with_problem};
use super::sign_in::{no_passkeys_here, read};
use super::visit::Visit;
use super::{Answer, Pages};
use crate::view::{self, Making};

impl Pages {
    pub(super) async fn account_page(&self, visit: &Visit, who: &SignedIn) -> Answer {
        self.account(visit, who, None).await
    }

    async fn account(&self, visit: &Visit, who: &SignedIn, problem: Option<&Problem>) -> Answer {
        let passkeys = self.people.passkeys(&who.user.name).await?;
        let making = self.making(visit, &who.user).await?;
        let markup = view::account(who, (&passkeys, self.clock.now()), making.as_ref(), problem);
        Ok(match problem {
            Some(problem) => with_problem(problem, &markup),
            None => page(status(200), &markup),
        })
    }

    pub(super) async fn change_password(&self, visit: &Visit, who: &SignedIn) -> Answer {
        if !who.user.has_password() {
            fresh(who)?;
        }
        let new = visit.field("password").unwrap_or_default();
        let changed = match Password::choose(new) {
            _ if visit.field("again") != Some(new) => {
                Err(Problem::new(Code::PasswordRefused, "the two new passwords are not the same"))
            }
            Ok(new) => {
                let current = visit.field("current").unwrap_or_default();
                self.people.change_password(who, current, new, visit.address()).await
            }
            Err(problem) => Err(problem),
        };
        match changed {
            Ok(opened) => Ok(self.enter(visit, &opened, "/oauth/account")),
            Err(problem) if problem.code == Code::SignInRefused => {
                let problem = Problem::new(Code::SignInRefused, "the current password is wrong");
                self.account(visit, who, Some(&problem)).await
            }
            Err(problem) => self.account(visit, who, Some(&problem)).await,
        }
    }

    pub(super) async fn add_passkey(&self, visit: &Visit, who: &SignedIn) -> Answer {
        fresh(who)?;
        let site = visit.site().ok_or_else(no_passkeys_here)?;
        let answer: MadeAnswer = read(visit.field("answer"))?;
        match self.people.add_passkey(who, &site, visit.field("label").unwrap_or_default(), &answer).await {
            Ok(()) => Ok(see("/oauth/account")),
            Err(problem) => self.account(visit, who, Some(&problem)).await,
        }
    }

    pub(super) async fn remove_passkey(&self, visit: &Visit, who: &SignedIn) -> Answer {
        fresh(who)?;
        self.people.remove_passkey(who, visit.field("id").unwrap_or_default()).await?;
        Ok(see("/oauth/account"))
    }

    /// What a page needs to make a passkey of this person, where that can be.
    pub(super) async fn making(&self, visit: &Visit, user: &User) -> Result<Option<Making>, Problem> {
        let Some(site) = visit.site() else { return Ok(None) };
        let known = self.people.passkeys(&user.name).await?.into_iter().map(|passkey| passkey.id).collect();
        Ok(Some(Making { host: site.host, challenge: self.people.challenge_to_make(user)?, known }))
    }
}

/// How one signs in is changed by somebody who has just shown to be that person.
fn fresh(who: &SignedIn) -> Result<(), Problem> {
    if who.is_fresh {
        return Ok(());
    }
    Err(Problem::new(Code::FormRefused, "the last sign-in was too long ago for this; sign out and in again"))
}
