//! Many rules at once.

use std::sync::Arc;

use moongate_core::{Operation, Principal};
use moongate_rules::{Facts, Mode, Rule, RuleSet, SkillFacts};

/// A small generator with a printed seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

const SKILLS: [&str; 4] = ["a", "b", "c", ""];
const ZONES: [&str; 3] = ["kitchen", "hall", ""];

fn any_rule(chance: &mut Chance) -> String {
    let skill = SKILLS[chance.below(4)];
    let zone = ZONES[chance.below(3)];
    let operation = Operation::ALL[chance.below(3)].as_str();
    match chance.below(8) {
        0 => format!(r#"skill == "{skill}""#),
        1 => format!(r#"zone == "{zone}" && skill == "{skill}""#),
        2 => format!(r#""{operation}" == operation && zone == "{zone}""#),
        3 => format!(r#"skill in ["{skill}", "b", "b"]"#),
        4 => format!(r#"skill == "{skill}" || operation == "{operation}""#),
        5 => format!(r#"!(skill == "{skill}") && zone == "{zone}""#),
        6 => format!(r#"skill != "{skill}" && operation == "{operation}""#),
        _ => format!(r#"text > 3 && skill == "{skill}""#),
    }
}

#[test]
fn the_index_never_changes_the_answer() {
    let seed = 20_261_122;
    println!("seed {seed}");
    let mut chance = Chance(seed);
    let caller = Principal::local("home.example");
    let mut matched = 0;
    for round in 0..300 {
        let texts: Vec<String> = (0..1 + chance.below(8)).map(|_| any_rule(&mut chance)).collect();
        let rules: Vec<Rule> = texts.iter().map(|text| Rule::compile(text, Mode::Match).unwrap()).collect();
        let set = RuleSet::new(rules.clone());
        let labels = [(Arc::from("zone"), Arc::from(ZONES[chance.below(3)]))];
        let facts = Facts {
            skill: Some(SkillFacts { id: SKILLS[chance.below(4)], tags: &[], agent: "" }),
            labels: &labels,
            ..Facts::new(&caller, Operation::ALL[chance.below(4)])
        };
        let plain = rules.iter().position(|rule| rule.matches(&facts) == Ok(true));
        assert_eq!(set.first_match(&facts), plain, "round {round}: {texts:#?} {facts:?}");
        matched += usize::from(plain.is_some());
    }
    assert!((50..290).contains(&matched), "the rules matched {matched} of 300: the comparison says little");
}

#[test]
fn order_is_that_of_the_configuration() {
    let rules =
        [r#"operation == "send""#, r#"skill == "a""#, "true"].map(|text| Rule::compile(text, Mode::Match).unwrap());
    let set = RuleSet::new(rules.to_vec());
    let caller = Principal::local("home.example");
    let skill = Some(SkillFacts { id: "a", tags: &[], agent: "" });
    assert_eq!(set.first_match(&Facts { skill, ..Facts::new(&caller, Operation::Send) }), Some(0));
    assert_eq!(set.first_match(&Facts { skill, ..Facts::new(&caller, Operation::Get) }), Some(1));
    assert_eq!(set.first_match(&Facts::new(&caller, Operation::Get)), Some(2));
}

#[test]
fn a_rule_without_an_answer_is_reported_and_the_next_one_decides() {
    let rules = ["text > 3", "true"].map(|text| Rule::compile(text, Mode::Match).unwrap());
    let set = RuleSet::new(rules.to_vec());
    assert!(set.reads().text && !set.reads().args);
    let caller = Principal::local("home.example");
    let mut reported = Vec::new();
    let facts = Facts::new(&caller, Operation::Send);
    assert_eq!(set.first_match_reporting(&facts, &mut |index, _| reported.push(index)), Some(1));
    assert_eq!(reported, [0]);
}

#[test]
fn an_empty_set_matches_nothing() {
    let caller = Principal::local("home.example");
    assert_eq!(RuleSet::default().first_match(&Facts::new(&caller, Operation::Send)), None);
}
