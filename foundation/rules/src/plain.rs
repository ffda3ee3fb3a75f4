//! Rules that only compare names with words, such as `skill.id == "door.open" && principal.kind == "agent"`.
//!
//! Most rules are of this kind, and each is asked on every request that it is about: they are answered by comparing texts,
//! without the interpreter. Such a rule always has an answer.

use cel::common::ast::Expr;

use crate::facts::Scope;
use crate::names::{literal, name_of};
use crate::rule::Mode;

/// Comparisons that must all hold.
#[derive(Clone, Debug)]
pub(crate) struct Plain(Vec<(Box<str>, Vec<Box<str>>)>);

impl Plain {
    /// Reads a checked rule; `None` if it does more than that.
    pub(crate) fn of(expression: &cel::IdedExpr, mode: Mode) -> Option<Self> {
        let mut found = Vec::new();
        let mut left = vec![&expression.expr];
        while let Some(expr) = left.pop() {
            let Expr::Call(call) = expr else { return None };
            let [first, second] = call.args.as_slice() else { return None };
            match call.func_name.as_str() {
                "_&&_" => left.extend([&second.expr, &first.expr]),
                "_==_" => found.push(
                    equality(&first.expr, &second.expr, mode).or_else(|| equality(&second.expr, &first.expr, mode))?,
                ),
                "@in" => found.push(membership(&first.expr, &second.expr, mode)?),
                _ => return None,
            }
        }
        Some(Self(found))
    }

    /// Whether all hold.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> bool {
        self.0
            .iter()
            .all(|(name, words)| scope.text_of(name).is_some_and(|text| words.iter().any(|word| **word == *text)))
    }
}

fn equality(name: &Expr, word: &Expr, mode: Mode) -> Option<(Box<str>, Vec<Box<str>>)> {
    Some((text_name(name, mode)?, vec![literal(word)?.into()]))
}

fn membership(name: &Expr, words: &Expr, mode: Mode) -> Option<(Box<str>, Vec<Box<str>>)> {
    let Expr::List(list) = words else { return None };
    let words: Option<Vec<Box<str>>> = list.elements.iter().map(|word| literal(&word.expr).map(Into::into)).collect();
    Some((text_name(name, mode)?, words?))
}

/// A name that always stands for a text.
fn text_name(expr: &Expr, mode: Mode) -> Option<Box<str>> {
    let name = name_of(expr)?;
    Scope::is_text(&name, mode).then(|| name.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moongate_core::{Operation, Principal};

    use super::*;
    use crate::{Facts, Rule, SkillFacts};

    const PLAIN: [&str; 8] = [
        r#"skill.id == "a""#,
        r#""a" == skill.id && principal.domain == "home.example""#,
        r#"operation in ["send", "stream"] && zone == "hall""#,
        r#"(skill.id == "b" && zone == "hall") && principal.kind == "user""#,
        r#"labels.zone == "hall" && headers["x-kind"] == "lamp""#,
        r#"skill.agent == "lamp" && agent == """#,
        r#"text == "" && device == """#,
        r#"skill.id in []"#,
    ];
    const MORE: [&str; 6] = [
        r#"skill.id == "a" || zone == "hall""#,
        r#"skill.id != "a""#,
        r#"args.level == "a" && skill.id == "a""#,
        r#"!(skill.id == "a")"#,
        r#"skill.id == zone"#,
        r#"time.hour > 3 && skill.id == "a""#,
    ];

    #[test]
    fn a_plain_rule_is_answered_as_the_interpreter_would() {
        let caller = Principal::local("home.example");
        let mut held = 0;
        for (text, (skill, zone)) in
            PLAIN.iter().flat_map(|text| [("a", "hall"), ("b", "hall"), ("b", ""), ("", "")].map(|at| (text, at)))
        {
            let rule = Rule::compile(text, Mode::Policy).unwrap();
            assert!(rule.is_plain(), "{text}");
            let labels = [(Arc::from("zone"), Arc::from(zone))];
            let facts = Facts {
                skill: (!skill.is_empty()).then_some(SkillFacts { id: skill, tags: &[], agent: "lamp" }),
                labels: &labels,
                headers: &[("x-kind", "lamp")],
                ..Facts::new(&caller, Operation::Send)
            };
            let scope = Scope::new(&facts, Mode::Policy, 100);
            assert_eq!(rule.answer(&scope), rule.interpreted(&scope), "{text} at {skill} in {zone}");
            held += usize::from(rule.answer(&scope) == Ok(true));
        }
        assert!((8..24).contains(&held), "{held}");
    }

    #[test]
    fn what_does_more_than_compare_is_left_to_the_interpreter() {
        for text in MORE {
            assert!(!Rule::compile(text, Mode::Policy).unwrap().is_plain(), "{text}");
        }
        assert!(Rule::compile(r#"skill == "a""#, Mode::Match).unwrap().is_plain());
    }
}
