//! What a rule may look at, and how CEL finds it.
//!
//! CEL asks for the longest name first: of `labels.zone` it asks for the variable `labels.zone` before it takes the
//! variable `labels` and selects `zone`. So the members that a request may lack (labels, headers) are variables of
//! their own here: one that the request does not have reads as `""`, while `has(labels.zone)` and `"zone" in labels`
//! still tell the truth. Nothing is converted that no rule asks for.

use std::sync::{Arc, OnceLock};

use cel::common::types::{CelInt, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use moongate_core::{Operation, Principal, Time};
use serde_json::Value as Json;

use crate::rule::Mode;
use crate::values::{self, TooLarge};

/// The resolved skill, as policy sees it.
#[derive(Clone, Copy, Debug)]
pub struct SkillFacts<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its tags.
    pub tags: &'a [Arc<str>],
    /// The agent that offers it.
    pub agent: &'a str,
}

/// Everything that a rule may read about one request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for.
    pub operation: Operation,
    /// The skill: asked for (routing) or resolved (policy).
    pub skill: Option<SkillFacts<'a>>,
    /// The agent that was named or chosen.
    pub agent: Option<&'a str>,
    /// Labels of the request.
    pub labels: &'a [(Arc<str>, Arc<str>)],
    /// Headers, lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// The request's parameters; needed only if [`crate::Reads::args`] says so.
    pub args: Option<&'a Json>,
    /// The message's text; needed only if [`crate::Reads::text`] says so.
    pub text: Option<&'a str>,
    /// Now; needed only if [`crate::Reads::time`] says so.
    pub now: Option<Time>,
}

impl<'a> Facts<'a> {
    /// Facts that say nothing but who asks for which operation.
    pub fn new(principal: &'a Principal, operation: Operation) -> Self {
        Self {
            principal,
            operation,
            skill: None,
            agent: None,
            labels: &[],
            headers: &[],
            args: None,
            text: None,
            now: None,
        }
    }

    pub(crate) fn skill_id(&self) -> &'a str {
        self.skill.map_or("", |skill| skill.id)
    }

    fn label(&self, name: &str) -> &'a str {
        self.labels.iter().find(|(key, _)| &**key == name).map_or("", |(_, value)| value)
    }

    fn header(&self, name: &str) -> &'a str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// The variables of one evaluation; shared by all rules that judge the same request in the same mode.
pub(crate) struct Scope<'a> {
    facts: &'a Facts<'a>,
    mode: Mode,
    nodes: usize,
    args: OnceLock<Result<Box<dyn Val + 'a>, TooLarge>>,
}

impl<'a> Scope<'a> {
    /// Variables over `facts`; `args` may hold at most `nodes` values.
    pub(crate) fn new(facts: &'a Facts<'a>, mode: Mode, nodes: usize) -> Self {
        Self { facts, mode, nodes, args: OnceLock::new() }
    }

    /// Whether a rule asked for `args` that were too large to look at.
    pub(crate) fn too_large(&self) -> bool {
        matches!(self.args.get(), Some(Err(TooLarge)))
    }

    fn args(&self) -> Option<&(dyn Val + 'a)> {
        let args = self.args.get_or_init(|| values::of_json(self.facts.args, self.nodes));
        args.as_ref().ok().map(AsRef::as_ref)
    }

    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        let facts = self.facts;
        Some(match name {
            "operation" => facts.operation.as_str(),
            "agent" => facts.agent.unwrap_or_default(),
            "text" => facts.text.unwrap_or_default(),
            "zone" => facts.label("zone"),
            "device" => facts.label("device"),
            "domain" | "principal.domain" => &facts.principal.domain,
            "principal.id" => &facts.principal.id,
            "principal.kind" => facts.principal.kind.as_str(),
            "skill" if self.mode == Mode::Match => facts.skill_id(),
            "skill.id" => facts.skill_id(),
            "skill.agent" => facts.skill.map_or("", |skill| skill.agent),
            _ => {
                let (map, key) = name.split_once('.')?;
                match map {
                    "labels" => facts.label(key),
                    "headers" => facts.header(key),
                    _ => return None,
                }
            }
        })
    }

    /// Whether [`Scope::text_of`] always has a text of this name.
    pub(crate) fn is_text(name: &str, mode: Mode) -> bool {
        match name {
            "operation" | "agent" | "text" | "zone" | "device" | "domain" => true,
            "principal.domain" | "principal.id" | "principal.kind" | "skill.id" | "skill.agent" => true,
            "skill" => mode == Mode::Match,
            _ => name.split_once('.').is_some_and(|(map, _)| matches!(map, "labels" | "headers")),
        }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(text) = self.text_of(variable) {
            return Some(CowVal::owned(CelString::from(text)));
        }
        let facts = self.facts;
        match variable {
            "args" => self.args().map(CowVal::Borrowed),
            "principal.scopes" => Some(values::list(facts.principal.scopes.words())),
            "skill.tags" => Some(values::list(facts.skill.map_or(&[], |skill| skill.tags))),
            "labels" => Some(values::map(facts.labels.iter().map(|(key, value)| (&**key, &**value)))),
            "headers" => Some(values::map(facts.headers.iter().copied())),
            _ => {
                let part = variable.strip_prefix("time.")?;
                Some(CowVal::owned(CelInt::from(part_of_time(facts.now.unwrap_or_default(), part)?)))
            }
        }
    }
}

/// One part of a moment, in UTC.
fn part_of_time(now: Time, part: &str) -> Option<i64> {
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let days = seconds / 86_400;
    match part {
        "unix" => Some(seconds),
        "hour" => Some(seconds % 86_400 / 3600),
        "minute" => Some(seconds % 3600 / 60),
        // 1 January 1970 was a Thursday, the fourth day of its week.
        "weekday" => Some((days + 3) % 7 + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_time_are_those_of_the_calendar() {
        // 2026-11-22 22:05:30 UTC was a Sunday.
        let now = Time(1_795_385_130_000);
        assert_eq!(part_of_time(now, "weekday"), Some(7));
        assert_eq!(part_of_time(now, "hour"), Some(22));
        assert_eq!(part_of_time(now, "minute"), Some(5));
        assert_eq!(part_of_time(now, "unix"), Some(1_795_385_130));
        assert_eq!(part_of_time(Time(0), "weekday"), Some(4));
        assert_eq!(part_of_time(now, "year"), None);
    }
}
