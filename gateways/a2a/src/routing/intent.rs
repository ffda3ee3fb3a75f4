//! From what somebody says to the one skill that serves it, or to none.
//!
//! The index ranks (`search`); this decides whether the best hit is good enough to act on. Two conditions: it accounts
//! for enough of what was said (`threshold`), and no other skill accounts for nearly as much (`margin`). Otherwise the
//! answer is the few nearest skills, for the error to name, and nobody is called: a gateway that guesses opens the wrong
//! door. Whether a sure match may run without a person is policy's business.

use super::search::{Found, Hit, Ranked, SkillIndex};

/// The share of the words that a skill must account for; chosen on the `dev` half of `tests/data`.
pub const THRESHOLD: f32 = 0.34;
/// The lead over the next skill that a sure match has; chosen on the `dev` half of `tests/data`.
pub const MARGIN: f32 = 0.02;
/// How many skills an unsure answer names.
const NEAREST: usize = 5;
/// How many finds are looked at first; only a pool of more agents than this needs all of them.
const AHEAD: usize = 64;

/// What a text was found to mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// This skill.
    Sure(Hit),
    /// None for certain; the nearest ones, best first, possibly none at all.
    Unsure(Vec<Hit>),
}

impl SkillIndex {
    /// The one skill that `text` asks for, among those that are `allowed` (by position).
    ///
    /// `threshold` and `margin` are shares between 0 and 1; see [`THRESHOLD`] and [`MARGIN`]. The same skill of another
    /// agent is no rival, it belongs to the same pool.
    pub fn best(&self, text: &str, threshold: f32, margin: f32, allowed: &dyn Fn(usize) -> bool) -> Match {
        let mut ranked = self.rank(text.trim(), AHEAD, allowed);
        if ranked.found.len() == AHEAD && self.rival(&ranked).is_none() {
            ranked = self.rank(text.trim(), usize::MAX, allowed);
        }
        if let Some(first) = ranked.found.first() {
            let lead = self.rival(&ranked).map(|rival| first.score - rival.score);
            if first.score >= threshold && lead.is_none_or(|lead| lead >= margin) {
                return Match::Sure(self.hit(&ranked, first));
            }
        }
        Match::Unsure(ranked.found.iter().take(NEAREST).map(|found| self.hit(&ranked, found)).collect())
    }

    /// The best find that is another skill than the first.
    fn rival<'a>(&self, ranked: &'a Ranked<'_>) -> Option<&'a Found> {
        let (first, others) = ranked.found.split_first()?;
        others.iter().find(|other| !self.one_pool(first.doc, other.doc))
    }

    fn one_pool(&self, one: usize, other: usize) -> bool {
        match (self.docs().get(one), self.docs().get(other)) {
            (Some(one), Some(other)) => one.same_definition(other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::SkillDoc;
    use super::*;

    fn doc(agent: &str, id: &str, name: &str, description: &str) -> SkillDoc {
        SkillDoc { description: description.into(), ..SkillDoc::new(agent.into(), id.into(), name) }
    }

    fn home() -> SkillIndex {
        SkillIndex::build(vec![
            doc("lights", "lights.set", "Switch lights", "Turns lamps on or off."),
            doc("lights-2", "lights.set", "Switch lights", "Turns lamps on or off."),
            doc("lock", "lock.unlock", "Unlock door", "Opens the lock of a door."),
            doc("blinds", "blinds.move", "窗帘", "打开或关闭窗帘。"),
        ])
    }

    fn best(text: &str) -> Match {
        home().best(text, THRESHOLD, MARGIN, &|_| true)
    }

    #[test]
    fn the_same_skill_of_two_agents_is_no_rival_of_itself() {
        let Match::Sure(hit) = best("turn the lamp on") else { panic!("unsure") };
        assert_eq!((hit.doc, hit.reason.as_str()), (0, "words turn on, lamp"));
    }

    #[test]
    fn a_different_skill_with_the_same_id_is_a_rival() {
        let index = SkillIndex::build(vec![
            doc("a", "door.open", "Open door", "Opens the front door."),
            doc("b", "door.open", "Open door", "Opens the garage door."),
        ]);
        let Match::Unsure(near) = index.best("door.open", THRESHOLD, MARGIN, &|_| true) else { panic!("sure") };
        assert_eq!(near.len(), 2);
        assert!(matches!(index.best("b/door.open", THRESHOLD, MARGIN, &|_| true), Match::Sure(hit) if hit.doc == 1));
    }

    #[test]
    fn words_of_either_language_reach_a_card_of_the_other() {
        assert!(matches!(best("把灯打开"), Match::Sure(hit) if hit.doc == 0));
        assert!(matches!(best("please close the curtains"), Match::Sure(hit) if hit.doc == 3));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["", "turn it on", "打开", "tell me a joke", "?!", "the of and"] {
            assert!(matches!(best(text), Match::Unsure(_)), "{text:?}: {:?}", best(text));
        }
    }

    #[test]
    fn an_exact_id_is_sure_and_words_never_reach_its_score() {
        assert!(matches!(best("lock.unlock"), Match::Sure(hit) if hit.score == 1.0 && hit.reason == "id lock.unlock"));
        assert!(matches!(best("unlock the door, open the lock"), Match::Sure(hit) if hit.score <= 0.9));
    }

    #[test]
    fn who_may_not_use_a_skill_is_not_matched_to_it() {
        let hidden = home().best("unlock the door", THRESHOLD, MARGIN, &|doc| doc != 2);
        let Match::Unsure(near) = hidden else { panic!("sure") };
        assert!(near.iter().all(|hit| hit.doc != 2));
    }
}
