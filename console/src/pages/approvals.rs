//! Requests that wait for a person's yes: who wants what, whole, and the two answers.
//!
//! - Only people who hold the scope `approve` see them. A GET decides nothing.
//! - A no is a form of the session. A yes is a passkey's signature over the very request, whatever the rule's class: an open
//!   browser that somebody else finds is not enough.
//! - Every word of a stranger is shown as text, with what is invisible in it written out.

use std::sync::Arc;

use moongate_approval::desk::Answer as Said;
use moongate_approval::{Desk, Stored};
use moongate_core::approval::Class;
use moongate_core::{Code, Problem, Scope};
use moongate_identity::people::{Answer as Signed, SignedIn};
use serde_json::{Value, json};

use super::app::person;
use super::reply::{page, see, status, with_problem};
use super::sign_in::{no_passkeys_here, read};
use super::visit::Visit;
use super::{Answer, Pages};
use crate::view;

/// Where the list is.
pub(super) const PLACE: &str = "/approvals";
/// Questions that are over and shown.
const PAST: usize = 20;

/// The question that a path is about.
pub(super) fn id(path: &str) -> Option<&str> {
    path.strip_prefix(PLACE)?.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/'))
}

impl Pages {
    pub(super) async fn approvals_page(&self, who: &SignedIn) -> Answer {
        may(who)?;
        let (pending, past) = (self.desk.pending().await?, self.desk.past(PAST).await?);
        let remembered = self.desk.memories().await?;
        let told = self.push.subscriptions(Some(&person(who))).await?;
        let told = view::Told { key: self.push.public_key(), browsers: &told };
        let markup = view::approvals(who, (&pending, &past, &remembered), &told, self.clock.now());
        Ok(page(status(200), &markup))
    }

    pub(super) async fn approval_page(&self, visit: &Visit, who: &SignedIn, id: &str) -> Answer {
        may(who)?;
        let question = question(&self.desk, id).await?;
        Ok(page(status(200), &self.approval(visit, who, &question, None).await?))
    }

    /// Takes an answer.
    pub(super) async fn decide_approval(&self, visit: &Visit, who: &SignedIn, id: &str) -> Answer {
        may(who)?;
        if visit.field("decision") == Some("forget") {
            self.desk.forget(id).await?;
            return Ok(see(PLACE));
        }
        let question = question(&self.desk, id).await?;
        match self.decided(visit, who, &question).await {
            Ok(_) => Ok(see(&format!("{PLACE}/{id}"))),
            Err(problem) => {
                let now = self.desk.find(id).await?.unwrap_or(question);
                Ok(with_problem(&problem, &self.approval(visit, who, &now, Some(&problem)).await?))
            }
        }
    }

    async fn decided(&self, visit: &Visit, who: &SignedIn, question: &Stored) -> Result<Stored, Problem> {
        let (id, by) = (&question.approval.id, self.name_of(who)?);
        match visit.field("decision") {
            Some("deny") => self.desk.decide(id, by, Said::No).await,
            Some("approve") => {
                let critical = question.approval.class == Class::Critical;
                let said = self.signed(visit, who, (&question.challenge(), critical), json!({})).await?;
                self.desk.decide(id, by, said).await
            }
            Some("remember") => {
                let span = self.desk.remembers(question).ok_or_else(not_remembered)?;
                let more = json!({ "remember_seconds": span.as_secs() });
                let said = self.signed(visit, who, (&question.remembering(span), false), more).await?;
                self.desk.remember(id, by, said, span).await
            }
            _ => Err(Problem::new(Code::FormRefused, "the form says neither yes nor no")),
        }
    }

    /// What a passkey has signed over this challenge, with what else the receipt says.
    async fn signed(
        &self,
        visit: &Visit,
        who: &SignedIn,
        (challenge, critical): (&[u8; 32], bool),
        mut receipt: Value,
    ) -> Result<Said, Problem> {
        let site = visit.site().ok_or_else(no_passkeys_here)?;
        let answer: Signed = read(visit.field("answer"))?;
        let signed = self.people.assert(who, &site, (challenge, critical), &answer).await?;
        if let Some(members) = receipt.as_object_mut() {
            members.insert("by".to_owned(), json!(&*self.name_of(who)?));
            members.insert("site".to_owned(), json!(site.host));
            members.insert("signed".to_owned(), json!(signed));
        }
        Ok(Said::Passkey(receipt))
    }

    async fn approval(
        &self,
        visit: &Visit,
        who: &SignedIn,
        question: &Stored,
        problem: Option<&Problem>,
    ) -> Result<maud::Markup, Problem> {
        let known = self.people.passkeys(&who.user.name).await?;
        let passkey = visit.site().filter(|_| !known.is_empty()).map(|site| view::Signing {
            host: site.host,
            once: question.challenge(),
            remembering: self.desk.remembers(question).map(|span| (span, question.remembering(span))),
        });
        Ok(view::approval(who, question, passkey.as_ref(), problem, self.clock.now()))
    }

    fn name_of(&self, who: &SignedIn) -> Result<Arc<str>, Problem> {
        self.full_name(&who.user.name)
    }
}

async fn question(desk: &Desk, id: &str) -> Result<Stored, Problem> {
    let missing = || Problem::new(Code::NoSuchQuestion, "there is no such question");
    desk.find(id).await?.ok_or_else(missing)
}

fn not_remembered() -> Problem {
    Problem::new(Code::FormRefused, "a yes to this is not remembered; say yes to just this")
}

pub(super) fn may(who: &SignedIn) -> Result<(), Problem> {
    let approve = Scope::parse("approve");
    if approve.is_some_and(|approve| who.user.rights().covers(&approve)) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "you are not one of those who answer such questions"))
}
