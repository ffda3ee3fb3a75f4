//! The scopes that agents' cards demand of whoever uses a skill (`securityRequirements` of skills, A2A 1.0 §4.5), beside
//! `a2a:SKILL:VERB`.
//!
//! - A caller holds all scopes of one of the alternatives, for every verb: whoever may not use a skill does not look at its
//!   tasks either.
//! - What is about no skill in particular needs what each of the agent's skills demands. A list leaves out what its caller
//!   could not ask for one by one.
//! - Any instance may be the one that answers, and any of the candidates: what each of their cards demands is demanded.
//! - What a whole card wants is between the gateway and the agent, and not for callers to meet.
//! - `local` has the rights of a fixed list, which no card lengthens: unless the agent's entry says so, it is not bound.

use std::collections::BTreeMap;

use moongate_core::scope::{Demand, Lack};
use moongate_core::{AgentName, Code, Principal, PrincipalKind, Problem, Proof, Resolved, SkillId};
use moongate_wire::a2a::card::Card;

use crate::routing::directory::Directory;

/// Who must meet what an agent's card demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CardScopes {
    /// Nobody.
    Ignore,
    /// Callers that are known by a token or a certificate.
    #[default]
    Callers,
    /// Programs of this machine without credentials, too.
    Everybody,
}

impl CardScopes {
    fn binds(self, who: &Principal) -> bool {
        match self {
            Self::Ignore => false,
            Self::Callers => who.proof != Proof::Loopback,
            Self::Everybody => who.kind != PrincipalKind::Operator,
        }
    }
}

/// What the cards of one agent demand.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// By skill; those that demand nothing are left out.
    skills: BTreeMap<SkillId, Vec<Demand>>,
    whom: CardScopes,
}

impl Demands {
    /// Of the cards of all instances.
    pub fn of<'a>(cards: impl IntoIterator<Item = &'a Card>, whom: CardScopes) -> Self {
        let mut skills: BTreeMap<SkillId, Vec<Demand>> = BTreeMap::new();
        let stated = cards.into_iter().flat_map(|card| &card.skills);
        for skill in stated.filter(|skill| whom != CardScopes::Ignore && !skill.demand.is_nothing()) {
            let known = skills.entry(SkillId::from(skill.id.as_str())).or_default();
            if !known.contains(&skill.demand) {
                known.push(skill.demand.clone());
            }
        }
        Self { skills, whom }
    }

    /// Whether nothing is demanded.
    pub fn are_none(&self) -> bool {
        self.skills.is_empty()
    }

    /// What is demanded for a skill, in one piece.
    pub fn whole(&self, skill: &str) -> Demand {
        let stated = self.skills.get(skill).map(Vec::as_slice).unwrap_or_default();
        stated.iter().fold(Demand::default(), |whole, one| whole.and(one))
    }

    fn bind(&self, who: &Principal) -> bool {
        !self.are_none() && self.whom.binds(who)
    }

    /// What a caller lacks for a skill.
    fn lack(&self, skill: &str, who: &Principal) -> Option<Lack> {
        self.skills.get(skill).into_iter().flatten().find_map(|demand| demand.lack(&who.scopes))
    }

    /// The skills for which a caller lacks something.
    fn lacking<'a>(&'a self, who: &'a Principal) -> impl Iterator<Item = (&'a SkillId, Lack)> {
        self.skills.keys().filter_map(move |skill| Some((skill, self.lack(skill.as_str(), who)?)))
    }
}

/// Whether the caller has what the cards of those demand who may get the request.
///
/// # Errors
/// `InsufficientScope`, with what is missing in the field `scope`.
pub(super) fn met(
    who: &Principal,
    named: Option<&SkillId>,
    resolved: &Resolved,
    directory: &Directory,
) -> Result<(), Problem> {
    for candidate in &resolved.candidates {
        let agent = directory.agents.get(&candidate.agent);
        let Some(agent) = agent.filter(|agent| agent.demands.bind(who)) else { continue };
        let lacks = match &resolved.skill {
            Some(skill) => {
                let named =
                    named.map(|named| (named, named.as_str().split_once('/').map_or(named.as_str(), |(_, own)| own)));
                let names = named.into_iter().flat_map(|(named, own)| [(named, named.as_str()), (named, own)]);
                let mut asked = std::iter::once((skill, skill.as_str())).chain(names);
                asked.find_map(|(skill, name)| Some((skill, agent.demands.lack(name, who)?)))
            }
            None => agent.demands.lacking(who).next(),
        };
        if let Some((skill, lack)) = lacks {
            return Err(refusal(&agent.name, skill, &lack));
        }
    }
    Ok(())
}

/// The caller's tasks that a list leaves out: those of these skills, and of no skill that is known.
pub fn withheld(who: &Principal, directory: &Directory) -> Vec<(AgentName, Option<SkillId>)> {
    let mut withheld = Vec::new();
    for agent in directory.agents.values().filter(|agent| agent.demands.bind(who)) {
        let before = withheld.len();
        withheld.extend(agent.demands.lacking(who).map(|(skill, _)| (agent.name.clone(), Some(skill.clone()))));
        if withheld.len() > before {
            withheld.push((agent.name.clone(), None));
        }
    }
    withheld
}

fn refusal(agent: &AgentName, skill: &SkillId, lack: &Lack) -> Problem {
    if !lack.grantable {
        let words = lack.words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let detail =
            format!("the card of {agent} demands for {skill} what nobody can have, as it is no scope: {words}");
        return Problem::new(Code::InsufficientScope, detail);
    }
    let words = lack.words.join(" ");
    let detail = format!("the card of {agent} demands for {skill} what is missing: {words}");
    Problem::new(Code::InsufficientScope, detail).field("scope", words)
}

#[cfg(test)]
mod tests {
    use moongate_core::Scopes;
    use serde_json::{Value, json};

    use super::*;

    fn card(requirements: &Value) -> Card {
        let card = json!({
            "name": "door", "description": "", "version": "1", "capabilities": {},
            "supportedInterfaces": [{"url": "http://a/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "skills": [
                {"id": "open", "name": "", "description": "", "tags": [], "securityRequirements": requirements},
                {"id": "look", "name": "", "description": "", "tags": []},
            ],
        });
        moongate_wire::a2a::card::parse(card.to_string().as_bytes()).unwrap()
    }

    fn wants(words: &[&str]) -> Value {
        json!([{"schemes": {"oauth": {"list": words}}}])
    }

    fn holding(scopes: &str) -> Principal {
        Principal { proof: Proof::Jwt, scopes: Scopes::read(scopes), ..Principal::local("home.example") }
    }

    #[test]
    fn every_instance_may_be_the_one_that_answers() {
        let cards = [card(&wants(&["locks:write"])), card(&wants(&["doors"])), card(&json!([]))];
        let demands = Demands::of(&cards, CardScopes::Callers);
        assert!(demands.lack("open", &holding("locks:write")).is_some());
        assert!(demands.lack("open", &holding("doors locks:write")).is_none());
        assert!(demands.lack("look", &holding("")).is_none());
        assert_eq!(demands.whole("open").alternatives().collect::<Vec<_>>(), [["locks:write", "doors"]]);
    }

    #[test]
    fn who_is_bound_is_for_the_entry_to_say() {
        let cards = [card(&wants(&["locks:write"]))];
        let (local, operator, token) =
            (Principal::local("home.example"), Principal::operator("home.example"), holding("a2a:*:*"));
        for (whom, bound) in [
            (CardScopes::Ignore, [false, false, false]),
            (CardScopes::Callers, [false, false, true]),
            (CardScopes::Everybody, [true, false, true]),
        ] {
            let demands = Demands::of(&cards, whom);
            assert_eq!([&local, &operator, &token].map(|who| demands.bind(who)), bound, "{whom:?}");
            assert_eq!(demands.whole("open").is_nothing(), whom == CardScopes::Ignore, "{whom:?}");
        }
        assert!(!Demands::of(&[card(&json!([]))], CardScopes::Everybody).bind(&token), "nothing is demanded");
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_puts_no_strange_text_into_headers() {
        let refused = |words: &[&str]| {
            let demands = Demands::of(&[card(&wants(words))], CardScopes::Callers);
            let lack = demands.lack("open", &holding("locks:read")).unwrap();
            refusal(&AgentName::from("door"), &SkillId::from("open"), &lack)
        };
        let problem = refused(&["locks:read", "locks:write", "doors"]);
        assert_eq!(problem.code, Code::InsufficientScope);
        assert_eq!(problem.fields[0].description, "doors locks:write");
        assert_eq!(problem.detail, "the card of door demands for open what is missing: doors locks:write");
        let problem = refused(&["a\",realm=\"x", "locks:write"]);
        assert!(problem.fields.is_empty(), "{problem:?}");
        assert!(problem.detail.contains("nobody can have"), "{problem:?}");
    }
}
