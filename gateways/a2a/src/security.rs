//! What a caller's scopes mean for agents: `a2a:SKILL:VERB`, and what agents' own cards demand beside that.
//!
//! - What is about a skill needs that skill's scope: a message for it, and its tasks. A message that names another skill than its
//!   task has needs both.
//! - What is about no skill in particular may be about each of the agent's: the scopes of all of them are needed, and for an
//!   agent that names none, `a2a:*:VERB`. So it is with lists, which hold tasks of every skill.
//! - A message that brings a push config along also needs the verb `push`.
//! - Of an agent that no card shows, whoever has no scope of any of its skills learns nothing, not even that it is there.

mod demands;
mod nature;

use moongate_core::scope::Plane;
use moongate_core::{Code, Operation, Principal, Problem, Resolved, Scope, SkillId};
use moongate_wire::a2a::card::Skill;

pub use self::demands::{CardScopes, Demands, withheld};
pub use self::nature::{Nature, Natures};
use crate::routing::directory::{Directory, Visibility};

/// Every verb of [`verb`].
const VERBS: [&str; 6] = ["send", "get", "list", "cancel", "subscribe", "push"];

/// The verb of an operation; `None` for what whoever has any scope here may do.
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

/// What a request is, as far as scopes go.
pub struct Wish<'a> {
    /// The operation.
    pub operation: Operation,
    /// The skill that it names.
    pub skill: Option<&'a SkillId>,
    /// Whether it brings a push config along.
    pub push: bool,
}

/// Whether the caller may know of an agent with these skills: everybody of one in the public card, callers with any scope
/// here of one in the extended card, and of others only who may do something with one of its skills.
pub fn knows(who: &Principal, visibility: Visibility, skills: &[Skill]) -> bool {
    match visibility {
        Visibility::Public => true,
        Visibility::Extended => who.scopes.any(Plane::A2a),
        Visibility::Hidden if who.scopes.all(Plane::A2a) => true,
        Visibility::Hidden => VERBS.iter().any(|verb| {
            let every = Scope::parse(&format!("a2a:*:{verb}")).is_some_and(|scope| who.scopes.covers(&scope));
            every || skills.iter().any(|skill| who.scopes.covers(&Scope::of(Plane::A2a, &[&skill.id, verb])))
        }),
    }
}

/// Whether the caller's scopes reach what was resolved.
///
/// # Errors
/// `InsufficientScope`, with the scope that is missing in the field `scope`.
pub fn may(who: &Principal, wish: &Wish<'_>, resolved: &Resolved, directory: &Directory) -> Result<(), Problem> {
    let Some(verb) = verb(wish.operation) else {
        return if who.scopes.any(Plane::A2a) { Ok(()) } else { Err(missing("a2a:*:get")) };
    };
    let named = wish.skill.filter(|named| !is_long_for(named, resolved));
    if !who.scopes.all(Plane::A2a) {
        reaches(who, verb, named, resolved, directory)?;
        if wish.push {
            reaches(who, "push", named, resolved, directory)?;
        }
    }
    demands::met(who, named, resolved, directory)
}

/// Whether a skill is named as `AGENT/SKILL`, as it stands in the card of all agents where several mean different things by it,
/// and is just what was resolved.
fn is_long_for(named: &SkillId, resolved: &Resolved) -> bool {
    named.as_str().split_once('/').is_some_and(|(agent, skill)| {
        resolved.skill.as_ref().is_some_and(|resolved| resolved.as_str() == skill)
            && resolved.candidates.iter().all(|candidate| candidate.agent.as_str() == agent)
    })
}

fn reaches(
    who: &Principal,
    verb: &str,
    named: Option<&SkillId>,
    resolved: &Resolved,
    directory: &Directory,
) -> Result<(), Problem> {
    let needs = |skill: &str| {
        let scope = Scope::of(Plane::A2a, &[skill, verb]);
        if who.scopes.covers(&scope) { Ok(()) } else { Err(missing(&scope.to_string())) }
    };
    if let Some(named) = named {
        needs(named.as_str())?;
    }
    if let Some(skill) = &resolved.skill {
        return needs(skill.as_str());
    }
    let everything = format!("a2a:*:{verb}");
    if Scope::parse(&everything).is_some_and(|scope| who.scopes.covers(&scope)) {
        return Ok(());
    }
    for candidate in &resolved.candidates {
        let agent = directory.agents.get(&candidate.agent);
        let skills = agent.map(|agent| agent.card.skills.as_slice()).unwrap_or_default();
        if skills.is_empty() {
            return Err(missing(&everything));
        }
        skills.iter().try_for_each(|skill| needs(&skill.id))?;
    }
    if resolved.candidates.is_empty() { Err(missing(&everything)) } else { Ok(()) }
}

fn missing(scope: &str) -> Problem {
    Problem::new(Code::InsufficientScope, format!("the scope {scope} is missing")).field("scope", scope.to_owned())
}
