//! For whom an agent is asked, as far as the gateway's credential for it depends on that.
//!
//! - A caller who is here: with the access token that they are known by, if they are known by one.
//! - The owner of a task that goes on without them: with what the work began with, the scope of sending to its skill.

use std::borrow::Cow;
use std::sync::Arc;

use moongate_core::scope::Plane;
use moongate_core::seam::credential::{Behalf, Credential, Presented};
use moongate_core::{Principal, Problem, Proof, Scope, Scopes, TaskId};

use crate::call::Call;
use crate::endpoint::credential;
use crate::routing::credential::Shows;
use crate::routing::directory::Agent;
use crate::tasks::Row;

/// For whom an agent is asked.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    /// For the caller, who waits.
    Caller(&'a Principal),
    /// For the task's owner, who may be gone.
    Owner(&'a Row, &'a Agent),
}

impl<'a> Who<'a> {
    /// As credentials want to know it.
    pub(crate) fn behalf(self, call: &'a Call) -> Behalf<'a> {
        match self {
            Self::Caller(who) => caller(who, call),
            Self::Owner(row, agent) => {
                Behalf { id: &row.owner, scopes: Cow::Owned(work(row, agent)), token: None, task: Some(&row.id) }
            }
        }
    }
}

fn caller<'a>(who: &'a Principal, call: &'a Call) -> Behalf<'a> {
    let token = credential(&call.headers).filter(|_| who.proof == Proof::Jwt).and_then(|value| value.split_once(' '));
    let token = token.map(|(_, token)| Presented::new(token.trim()));
    Behalf { id: &who.id, scopes: Cow::Borrowed(&who.scopes), token, task: None }
}

/// What a message for this skill needs; for one that names none, each of the agent's.
fn work(row: &Row, agent: &Agent) -> Scopes {
    let send = |skill: &str| Scope::of(Plane::A2a, &[skill, "send"]);
    match &row.skill {
        Some(skill) => Scopes::new([send(skill.as_str())]),
        None => Scopes::new(agent.card.skills.iter().map(|skill| send(&skill.id))),
    }
}

/// The credentials that are fetched for this agent, each once.
fn fetched(agent: &Agent) -> Vec<&Arc<dyn Credential>> {
    let mut found: Vec<&Arc<dyn Credential>> = Vec::new();
    for upstream in agent.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams) {
        if let Some(Shows::Fetched(one)) = &upstream.shows
            && !found.iter().any(|known| Arc::ptr_eq(known, one))
        {
            found.push(one);
        }
    }
    found
}

/// Gets what work for this caller needs that goes on when they are gone.
///
/// # Errors
/// What keeps it from being got, before anything is promised to the caller.
pub(crate) async fn prepare(agent: &Agent, who: &Principal, call: &Call) -> Result<(), Problem> {
    for credential in fetched(agent) {
        credential.prepare(&caller(who, call)).await?;
    }
    Ok(())
}

/// This task's work may go on with what was got for this caller.
pub(crate) fn entrust(agent: &Agent, who: &Principal, call: &Call, task: &TaskId) {
    for credential in fetched(agent) {
        credential.entrust(&caller(who, call), task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::watch::internal;

    #[test]
    fn only_what_a_caller_is_known_by_is_a_token() {
        let mut call = internal(moongate_core::Operation::Send, serde_json::json!({}));
        call.headers.insert("authorization", "bearer  abc".parse().unwrap());
        let local = Principal::local("home.example");
        assert!(Who::Caller(&local).behalf(&call).token.is_none(), "an operator's secret goes nowhere");
        let known = Principal { proof: Proof::Jwt, ..local };
        let behalf = Who::Caller(&known).behalf(&call);
        assert_eq!(behalf.token.map(Presented::expose), Some("abc"));
        assert!(!format!("{behalf:?}").contains("abc"));
        call.headers.append("authorization", "Bearer def".parse().unwrap());
        assert!(Who::Caller(&known).behalf(&call).token.is_none());
    }
}
