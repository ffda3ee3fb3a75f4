//! Many rules at once: which is the first that matches?
//!
//! Most rules begin with `skill == "…"` or `operation == "…"`. Those words are hung up in a table when the set is made,
//! so that a request only meets the rules that could match it; order stays that of the configuration.

use std::collections::HashMap;

use cel::common::ast::Expr;

use crate::facts::{Facts, Scope};
use crate::names::{Reads, literal, name_of};
use crate::rule::{Mode, Rule, RuleError};

/// The words without which a rule cannot match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Only for these skills.
    Skills(Vec<Box<str>>),
    /// Only for these operations.
    Operations(Vec<Box<str>>),
    /// Perhaps always.
    Free,
}

impl Anchor {
    /// Looks through the conjuncts of a checked rule. A skill says more than an operation.
    pub(crate) fn of(expression: &cel::IdedExpr) -> Self {
        let mut found = Self::Free;
        let mut left = vec![&expression.expr];
        while let Some(expr) = left.pop() {
            let Expr::Call(call) = expr else { continue };
            let [first, second] = call.args.as_slice() else { continue };
            let words = match call.func_name.as_str() {
                "_&&_" => {
                    left.extend([&first.expr, &second.expr]);
                    continue;
                }
                "_==_" => comparison(&first.expr, &second.expr).or_else(|| comparison(&second.expr, &first.expr)),
                "@in" => membership(&first.expr, &second.expr),
                _ => None,
            };
            match words {
                Some((true, words)) => return Self::Skills(words),
                Some((false, words)) => found = Self::Operations(words),
                None => {}
            }
        }
        found
    }
}

/// Whether a name is the skill (`true`) or the operation (`false`).
fn subject(expr: &Expr) -> Option<bool> {
    match name_of(expr)?.as_str() {
        "skill" | "skill.id" => Some(true),
        "operation" => Some(false),
        _ => None,
    }
}

fn comparison(name: &Expr, word: &Expr) -> Option<(bool, Vec<Box<str>>)> {
    Some((subject(name)?, vec![literal(word)?.into()]))
}

fn membership(name: &Expr, words: &Expr) -> Option<(bool, Vec<Box<str>>)> {
    let Expr::List(list) = words else { return None };
    let words: Option<Vec<Box<str>>> = list.elements.iter().map(|word| literal(&word.expr).map(Into::into)).collect();
    Some((subject(name)?, words?))
}

/// Rules in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    skills: HashMap<Box<str>, Vec<usize>>,
    operations: HashMap<Box<str>, Vec<usize>>,
    free: Vec<usize>,
    reads: Reads,
}

impl RuleSet {
    /// Makes the set.
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut set = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            set.reads = set.reads.or(*rule.reads());
            let (table, words) = match rule.anchor() {
                Anchor::Skills(words) => (&mut set.skills, words),
                Anchor::Operations(words) => (&mut set.operations, words),
                Anchor::Free => {
                    set.free.push(index);
                    continue;
                }
            };
            for word in words {
                let row = table.entry(word.clone()).or_default();
                if row.last() != Some(&index) {
                    row.push(index);
                }
            }
        }
        set.rules = rules;
        set
    }

    /// The rules.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What any of the rules looks at.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The index of the first rule that matches. A rule that cannot be answered does not match.
    pub fn first_match(&self, facts: &Facts<'_>) -> Option<usize> {
        self.first_match_reporting(facts, &mut |_, _| {})
    }

    /// As [`RuleSet::first_match`], and tells of each rule that could not be answered.
    pub fn first_match_reporting(
        &self,
        facts: &Facts<'_>,
        unanswered: &mut dyn FnMut(usize, RuleError),
    ) -> Option<usize> {
        let mut scope: Option<((usize, Mode), Scope<'_>)> = None;
        for index in self.candidates(facts) {
            let Some(rule) = self.rules.get(index) else { continue };
            // One scope serves all rules that may look at equally many values, so `args` is converted once.
            let kind = (rule.nodes(), rule.mode());
            if scope.as_ref().is_none_or(|(other, _)| *other != kind) {
                scope = Some((kind, Scope::new(facts, rule.mode(), rule.nodes())));
            }
            let Some((_, scope)) = &scope else { continue };
            match rule.answer(scope) {
                Ok(true) => return Some(index),
                Ok(false) => {}
                Err(error) => unanswered(index, error),
            }
        }
        None
    }

    /// The indexes of the rules that could match, in order. Every other one has a conjunct that is false, so that it is
    /// false whatever else stands in it.
    pub fn candidates<'s>(&'s self, facts: &Facts<'_>) -> impl Iterator<Item = usize> + 's {
        let row = |table: &'s HashMap<Box<str>, Vec<usize>>, word: &str| table.get(word).map_or(&[][..], Vec::as_slice);
        let mut rows =
            [row(&self.skills, facts.skill_id()), row(&self.operations, facts.operation.as_str()), &self.free[..]];
        std::iter::from_fn(move || {
            let next = rows.iter().filter_map(|row| row.first()).min().copied()?;
            for row in &mut rows {
                if let Some((first, rest)) = row.split_first()
                    && *first == next
                {
                    *row = rest;
                }
            }
            Some(next)
        })
    }
}
