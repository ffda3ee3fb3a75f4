//! Rules of the configuration, compiled by `moongate-rules`; the configuration itself knows no CEL.

use std::sync::Arc;

use moongate_a2a::routing::directory::{RouteTarget, Routes};
use moongate_approval::document::digest;
use moongate_config::{Config, RuleKind, schema};
use moongate_core::{Code, Problem};
use moongate_flow::{Asks, Defaults, Policy, PolicyRule, Verdict};
use moongate_rules::{Mode, Rule, RuleSet};

/// Compiles a rule for its mistakes only; what the configuration asks while it is read.
pub(crate) fn check(text: &str, kind: RuleKind) -> Result<(), (String, Option<usize>)> {
    let mode = match kind {
        RuleKind::Match => Mode::Match,
        RuleKind::Policy => Mode::Policy,
    };
    Rule::compile(text, mode).map(|_| ()).map_err(|error| (error.message, error.offset))
}

fn broken(name: &str, error: &moongate_rules::RuleError) -> Problem {
    Problem::new(Code::ConfigRule, format!("{name}: {}", error.message))
}

/// The routes of a configuration.
pub(crate) fn routes(config: &Config) -> Result<Routes, Problem> {
    if config.routes.is_empty() {
        return Ok(Routes::default());
    }
    let (mut rules, mut targets) = (Vec::new(), Vec::new());
    for (n, route) in config.routes.iter().enumerate() {
        rules
            .push(Rule::compile(&route.r#match, Mode::Match).map_err(|error| broken(&format!("routes[{n}]"), &error))?);
        let to = route.to.iter().map(|target| {
            let (agent, instance) = match target.agent.split_once('@') {
                Some((agent, _)) => (agent, Some(target.agent.as_str().into())),
                None => (target.agent.as_str(), None),
            };
            RouteTarget { agent: agent.into(), instance, weight: target.weight }
        });
        targets.push(to.collect());
    }
    Ok(Routes { rules: Some(RuleSet::new(rules)), targets })
}

/// The policy of a configuration.
pub(crate) fn policy(config: &Config) -> Result<Policy, Problem> {
    let rules = config.policy.iter().map(|policy| {
        let rule = Rule::compile(&policy.rule, Mode::Policy).map_err(|error| broken(&policy.name, &error))?;
        let verdict = match policy.verdict {
            schema::Verdict::Allow => Verdict::Allow,
            schema::Verdict::Confirm => {
                let schema::Asks { class, people, wait } = policy.asks;
                Verdict::Confirm(Asks { class, people, wait })
            }
            schema::Verdict::Deny => Verdict::Deny,
        };
        Ok(PolicyRule { name: Arc::from(policy.name.as_str()), verdict, rule })
    });
    let rules = rules.collect::<Result<Vec<_>, Problem>>()?;
    let home = Arc::from(config.domain.as_str());
    let defaults = config.approvals.sensitive_by_default.then_some(Defaults { home });
    Ok(Policy::new(rules, defaults, version(config)))
}

/// What names the rules of a configuration: another word for every other set of them.
pub(crate) fn version(config: &Config) -> Arc<str> {
    digest(format!("{:?} {}", config.policy, config.approvals.sensitive_by_default).as_bytes())
}

/// Whether any rule, or the matching of texts to skills, reads the message's text.
pub(crate) fn wants_text(config: &Config) -> bool {
    let reads = |text: &str, mode| Rule::compile(text, mode).is_ok_and(|rule| rule.reads().text);
    config.routing.intent
        || config.routes.iter().any(|route| reads(&route.r#match, Mode::Match))
        || config.policy.iter().any(|policy| reads(&policy.rule, Mode::Policy))
}
