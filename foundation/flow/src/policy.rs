//! The stage *authorize*: rules of the operator over what was resolved.
//!
//! Rules only narrow. A matching `deny` refuses, a matching `confirm` asks a person, an `allow` lifts a confirmation but
//! never a refusal. With no rules at all, everything is allowed that the caller's scopes reach.

use std::sync::Arc;

use moongate_core::{Challenge, Code, Decision, Head, Principal, Problem, Resolved, Time};
use moongate_rules::{Facts, Rule, SkillFacts};

/// What a rule says when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Lifts a confirmation.
    Allow,
    /// A person must say yes.
    Confirm,
    /// No.
    Deny,
}

/// One rule of the configuration, compiled.
pub struct PolicyRule {
    /// How the rule is called in explanations, such as `policy[0]`.
    pub name: Arc<str>,
    /// What it says.
    pub verdict: Verdict,
    /// When it says so.
    pub rule: Rule,
}

/// All rules of one configuration.
#[derive(Default)]
pub struct Policy {
    rules: Vec<PolicyRule>,
    reads_body: bool,
    open: Arc<str>,
}

/// What policy may look at besides the principal and the resolved target.
pub struct Subject<'a> {
    /// What a peek learned.
    pub head: &'a Head,
    /// Request headers, lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// The parsed request, if a rule reads it.
    pub args: Option<&'a serde_json::Value>,
    /// The message's text, if a rule reads it.
    pub text: Option<&'a str>,
    /// Now.
    pub now: Time,
}

impl Policy {
    /// Keeps the rules in the order of the configuration.
    pub fn new(rules: Vec<PolicyRule>) -> Self {
        let reads_body = rules.iter().any(|rule| rule.rule.reads().args || rule.rule.reads().text);
        Self { rules, reads_body, open: "no rule refuses".into() }
    }

    /// Whether any rule reads the request's body, so that it must be parsed.
    pub fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// The decision where there are no rules: nothing has to be looked at.
    pub fn open(&self) -> Option<Decision> {
        self.rules.is_empty().then(|| Decision::Allow(self.open.clone()))
    }

    /// Judges one resolved request. A rule that cannot be evaluated refuses: an error never opens a door.
    pub fn decide(&self, who: &Principal, resolved: &Resolved, subject: &Subject<'_>) -> Decision {
        if let Some(open) = self.open() {
            return open;
        }
        let mut lifted: Option<&PolicyRule> = None;
        let mut asks: Option<&PolicyRule> = None;
        let agents: Vec<Option<&str>> = if resolved.candidates.is_empty() {
            vec![None]
        } else {
            resolved.candidates.iter().map(|candidate| Some(candidate.agent.as_str())).collect()
        };
        for rule in &self.rules {
            for agent in &agents {
                match rule.rule.matches(&facts(who, resolved, subject, *agent)) {
                    Ok(false) => {}
                    Ok(true) if rule.verdict == Verdict::Deny => return denied(rule),
                    Ok(true) if rule.verdict == Verdict::Confirm => asks = asks.or(Some(rule)),
                    Ok(true) => lifted = lifted.or(Some(rule)),
                    Err(error) => {
                        tracing::warn!(rule = %rule.name, %error, "a policy rule could not be evaluated; the request is refused");
                        return denied(rule);
                    }
                }
            }
        }
        match (lifted, asks) {
            (Some(rule), _) => Decision::Allow(rule.name.clone()),
            (None, Some(rule)) => Decision::Confirm(Challenge { rule: rule.name.clone() }),
            (None, None) => Decision::Allow(self.open.clone()),
        }
    }
}

fn denied(rule: &PolicyRule) -> Decision {
    Decision::Deny(Problem::new(Code::Forbidden, format!("the rule {} refuses this", rule.name)))
}

fn facts<'a>(who: &'a Principal, resolved: &'a Resolved, subject: &Subject<'a>, agent: Option<&'a str>) -> Facts<'a> {
    let skill = resolved.skill.as_ref().map(|id| SkillFacts {
        id: id.as_str(),
        tags: &resolved.tags,
        agent: agent.unwrap_or_default(),
    });
    Facts {
        principal: who,
        operation: subject.head.operation,
        skill,
        agent,
        labels: &subject.head.labels,
        headers: subject.headers,
        args: subject.args,
        text: subject.text,
        now: Some(subject.now),
    }
}
