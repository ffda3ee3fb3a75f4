//! What an agent's card demands of whoever uses a skill, beside the gateway's own scope for it.
//!
//! A card names alternatives (A2A 1.0 §4.5: `securityRequirements`), each some scopes that are needed together. One that
//! names no scopes is about the way between gateway and agent, and demands nothing of callers. A word that is no scope at
//! all can be held by nobody: what demands it is met by nobody.

use std::sync::Arc;

use super::{Scope, Scopes};

/// Alternatives at most, where demands are put together.
const ALTERNATIVES: usize = 64;
/// The most words of a refusal.
const TOLD: usize = 8;
/// The most characters of each.
const SHOWN: usize = 128;

/// One word of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    word: Arc<str>,
    scope: Option<Scope>,
}

/// What is demanded; nothing if there are no alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Sorted, none of them within another one.
    alternatives: Vec<Vec<Wanted>>,
}

/// What a caller lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Words of the alternative that comes nearest.
    pub words: Vec<String>,
    /// Whether they are scopes, so that somebody could have them.
    pub grantable: bool,
}

impl Demand {
    /// From the words of each alternative.
    pub fn read<'a>(alternatives: impl IntoIterator<Item = Vec<&'a str>>) -> Self {
        let wanted = |word: &str| Wanted { word: Arc::from(word), scope: Scope::parse(word) };
        let sets = alternatives.into_iter().map(|words| {
            // Some cards write what they demand together as one text, as OAuth does.
            let mut words: Vec<&str> = words.into_iter().flat_map(str::split_ascii_whitespace).collect();
            words.sort_unstable();
            words.dedup();
            words.into_iter().map(wanted).collect()
        });
        Self::of(sets.collect())
    }

    /// Alternatives that ask for more than another one are left out.
    fn of(sets: Vec<Vec<Wanted>>) -> Self {
        let mut alternatives: Vec<Vec<Wanted>> = Vec::new();
        for set in sets {
            let within = |one: &[Wanted], other: &[Wanted]| one.iter().all(|wanted| other.contains(wanted));
            if alternatives.iter().any(|known| within(known, &set)) {
                continue;
            }
            alternatives.retain(|known| !within(&set, known));
            alternatives.push(set);
        }
        if alternatives.iter().any(Vec::is_empty) {
            alternatives.clear();
        }
        Self { alternatives }
    }

    /// Whether it demands nothing.
    pub fn is_nothing(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// The words of each alternative.
    pub fn alternatives(&self) -> impl Iterator<Item = Vec<&str>> {
        self.alternatives.iter().map(|set| set.iter().map(|wanted| &*wanted.word).collect())
    }

    /// What meets both, in up to 64 ways.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        if self.is_nothing() {
            return other.clone();
        }
        if other.is_nothing() {
            return self.clone();
        }
        let pairs = self.alternatives.iter().flat_map(|one| other.alternatives.iter().map(move |two| (one, two)));
        let sets = pairs.take(ALTERNATIVES).map(|(one, two)| {
            let more = two.iter().filter(|wanted| !one.contains(wanted));
            one.iter().chain(more).cloned().collect()
        });
        Self::of(sets.collect())
    }

    /// What these scopes lack; nothing if they meet one of the alternatives.
    pub fn lack(&self, held: &Scopes) -> Option<Lack> {
        let lacks = |wanted: &&Wanted| wanted.scope.as_ref().is_none_or(|scope| !held.covers(scope));
        let missing = self.alternatives.iter().map(|set| set.iter().filter(lacks).collect::<Vec<_>>());
        // What somebody could have comes before what nobody can.
        let nearest = missing.min_by_key(|missing| (missing.iter().any(|one| one.scope.is_none()), missing.len()))?;
        if nearest.is_empty() {
            return None;
        }
        let grantable = nearest.iter().all(|wanted| wanted.scope.is_some());
        let words = nearest.iter().take(TOLD).map(|wanted| wanted.word.chars().take(SHOWN).collect()).collect();
        Some(Lack { words, grantable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(alternatives: &[&[&str]]) -> Demand {
        Demand::read(alternatives.iter().map(|words| words.to_vec()))
    }

    fn lacks(demand: &Demand, held: &str) -> Option<Vec<String>> {
        demand.lack(&Scopes::read(held)).map(|lack| lack.words)
    }

    #[test]
    fn one_alternative_has_to_be_met_as_a_whole() {
        let demand = demand(&[&["locks:write", "locks:read"], &["owner"]]);
        assert_eq!(lacks(&demand, "locks:read locks:write"), None);
        assert_eq!(lacks(&demand, "owner"), None);
        assert_eq!(lacks(&demand, "locks:read a2a:*:*"), Some(vec!["locks:write".to_owned()]));
        assert_eq!(lacks(&demand, "locks:*"), Some(vec!["owner".to_owned()]), "the nearest is named");
        assert_eq!(lacks(&demand, ""), Some(vec!["owner".to_owned()]));
    }

    #[test]
    fn a_requirement_without_scopes_demands_nothing() {
        for alternatives in
            [&[][..], &[&[][..]], &[&["locks:write"][..], &[]], &[&[][..], &["locks:write"]], &[&["  "]]]
        {
            assert!(demand(alternatives).is_nothing(), "{alternatives:?}");
            assert_eq!(lacks(&demand(alternatives), ""), None);
        }
    }

    #[test]
    fn the_gateways_own_scopes_may_be_demanded_and_are_covered_as_always() {
        let demand = demand(&[&["a2a:lights.set:get", "mcp:files:read"]]);
        assert_eq!(lacks(&demand, "a2a:*:* mcp:files:*"), None);
        assert_eq!(lacks(&demand, "a2a:*:*"), Some(vec!["mcp:files:read".to_owned()]));
    }

    #[test]
    fn what_is_no_scope_can_be_held_by_nobody() {
        let strange = demand(&[&["a2a"], &["A2A:x:send", "locks:write"]]);
        let everything = "a2a:*:* mcp:*:* model:* net:* audit:* admin:* register a2a A2A:x:send locks:write";
        let lack = strange.lack(&Scopes::read(everything)).unwrap();
        assert!(!lack.grantable, "{lack:?}");
        let either = demand(&[&["caf\u{e9}"], &["locks:write", "locks:read"]]);
        let lack = either.lack(&Scopes::default()).unwrap();
        assert!(lack.grantable && lack.words == ["locks:read", "locks:write"], "what can be had is named: {lack:?}");
        let long = "\u{e9}".repeat(5000);
        assert_eq!(demand(&[&[&long]]).lack(&Scopes::default()).unwrap().words[0].chars().count(), SHOWN);
    }

    #[test]
    fn several_words_in_one_text_are_several_words() {
        let one = demand(&[&["locks:write locks:read"]]);
        assert_eq!(one, demand(&[&["locks:read", "locks:write"]]));
    }

    #[test]
    fn alternatives_that_ask_for_more_than_another_one_are_left_out() {
        let some = demand(&[&["a", "b"], &["a"], &["a", "c"], &["b", "a"]]);
        assert_eq!(some.alternatives().collect::<Vec<_>>(), [["a"]]);
    }

    #[test]
    fn two_demands_together_are_met_by_who_meets_both() {
        let words = ["p", "q", "r", "s"];
        let subsets =
            |bits: u32| words.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, word)| *word);
        let all: Vec<Demand> = (1..16)
            .flat_map(|one| (1..16).map(move |two| Demand::read([subsets(one).collect(), subsets(two).collect()])))
            .collect();
        for (at, one) in all.iter().enumerate() {
            let other = &all[(at * 37 + 11) % all.len()];
            for held in 0..16 {
                let held = Scopes::read(&subsets(held).collect::<Vec<_>>().join(" "));
                let each = one.lack(&held).is_none() && other.lack(&held).is_none();
                assert_eq!(one.and(other).lack(&held).is_none(), each, "{one:?} {other:?} {held:?}");
            }
        }
    }
}
