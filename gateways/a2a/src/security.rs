//! What a caller's scopes mean for agents: `a2a:SKILL:VERB`.
//!
//! - What is about a skill needs that skill's scope.
//! - A message to an agent by name, about no skill in particular, may be taken as any of its skills: all of them are needed,
//!   and for an agent that names none, `a2a:*:send`.
//! - Everything else is about the caller's own tasks; there some skill's scope with the verb is enough.

use moongate_core::scope::Plane;
use moongate_core::{Code, Operation, Principal, Problem, Resolved, Scope};

use crate::routing::directory::Directory;

/// The verb of an operation; `None` for what every known caller may do.
pub fn verb(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::Send | Operation::Stream => "send",
        Operation::Get => "get",
        Operation::List => "list",
        Operation::Cancel | Operation::Pause | Operation::Resume => "cancel",
        Operation::Subscribe => "subscribe",
        Operation::PushCreate | Operation::PushGet | Operation::PushList | Operation::PushDelete => "push",
        Operation::ExtendedCard => return None,
    })
}

/// Whether the caller's scopes reach what was resolved.
///
/// # Errors
/// `InsufficientScope`, with the scope that is missing in the field `scope`.
pub fn may(who: &Principal, operation: Operation, resolved: &Resolved, directory: &Directory) -> Result<(), Problem> {
    let Some(verb) = verb(operation) else { return Ok(()) };
    if who.scopes.all(Plane::A2a) {
        return Ok(());
    }
    let needs = |skill: &str| {
        let scope = Scope::of(Plane::A2a, &[skill, verb]);
        if who.scopes.covers(&scope) { Ok(()) } else { Err(missing(&scope.to_string())) }
    };
    if let Some(skill) = &resolved.skill {
        return needs(skill.as_str());
    }
    let everything = format!("a2a:*:{verb}");
    let held = Scope::parse(&everything);
    if held.as_ref().is_some_and(|scope| who.scopes.covers(scope)) {
        return Ok(());
    }
    if !operation.carries_message() {
        let some = held.is_some_and(|scope| who.scopes.touches(&scope));
        return if some { Ok(()) } else { Err(missing(&everything)) };
    }
    for candidate in &resolved.candidates {
        let agent = directory.agents.get(&candidate.agent);
        let skills = agent.map(|agent| agent.card.skills.as_slice()).unwrap_or_default();
        if skills.is_empty() {
            return Err(missing(&everything));
        }
        skills.iter().try_for_each(|skill| needs(&skill.id))?;
    }
    Ok(())
}

fn missing(scope: &str) -> Problem {
    Problem::new(Code::InsufficientScope, format!("the scope {scope} is missing")).field("scope", scope.to_owned())
}
