//! The stage *authorize*: rules of the operator over what was resolved.
//!
//! Rules only narrow. A matching `deny` refuses, a matching `confirm` asks a person, an `allow` lifts a confirmation but
//! never a refusal. A `confirm` that does not speak of the operation is about messages: whoever may see a task reads and
//! cancels it as ever.
//!
//! What no rule speaks of is asked about by default ([`Defaults`]) if it opens or burns something, or if a stranger deletes with
//! it; an `allow` lifts that too.
//!
//! Where a request may mean several things, to several agents or as several skills, each is judged by itself and the strictest
//! answer counts: an `allow` for one of them lifts nothing from another. With no rules and no defaults, everything is allowed that the caller's scopes reach. Rules for another skill or
//! another operation are not asked.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::approval::Class;
use moongate_core::{Challenge, Code, Decision, Effects, Head, Meaning, Principal, Problem, Resolved, SkillId, Time};
use moongate_rules::{Facts, Rule, RuleSet, SkillFacts};

/// What a rule says when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Lifts a confirmation.
    Allow,
    /// A person must say yes, asked in this way.
    Confirm(Asks),
    /// No.
    Deny,
}

/// How people are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// How much is at stake.
    pub class: Class,
    /// How many have to say yes.
    pub people: u8,
    /// How long they may take.
    pub wait: Duration,
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

/// What people are asked about although no rule says so: messages for skills that open or burn something, and those of other
/// domains for skills that delete something.
pub struct Defaults {
    /// The gateway's own domain.
    pub home: Arc<str>,
}

/// How people are asked by default.
const BY_DEFAULT: Asks = Asks { class: Class::Sensitive, people: 1, wait: Duration::from_secs(120) };
/// How the default is called in explanations.
const DEFAULT: &str = "sensitive by default";

/// All rules of one configuration.
#[derive(Default)]
pub struct Policy {
    rules: Vec<PolicyRule>,
    defaults: Option<Defaults>,
    /// The same rules by what they are about.
    set: RuleSet,
    open: Arc<str>,
    /// Another one for every other set of rules.
    version: Arc<str>,
}

/// What policy may look at besides the principal and the resolved target.
pub struct Subject<'a> {
    /// What a peek learned.
    pub head: &'a Head,
    /// Request headers, lower-case names; none where no rule reads one.
    pub headers: &'a [(&'a str, &'a str)],
    /// The parsed request, if a rule reads it.
    pub args: Option<&'a serde_json::Value>,
    /// The message's text, if a rule reads it.
    pub text: Option<&'a str>,
    /// Now.
    pub now: Time,
}

impl Policy {
    /// Keeps the rules in the order of the configuration; `version` names just these.
    pub fn new(rules: Vec<PolicyRule>, defaults: Option<Defaults>, version: Arc<str>) -> Self {
        let set = RuleSet::new(rules.iter().map(|rule| rule.rule.clone()).collect());
        Self { rules, defaults, set, open: "no rule refuses".into(), version }
    }

    /// Whether any rule reads the request's body, so that it must be parsed.
    pub fn reads_body(&self) -> bool {
        self.set.reads().args || self.set.reads().text
    }

    /// Whether any rule reads a header.
    pub fn reads_headers(&self) -> bool {
        self.set.reads().headers
    }

    /// The decision where there are no rules and no defaults: nothing has to be looked at.
    pub fn open(&self) -> Option<Decision> {
        (self.rules.is_empty() && self.defaults.is_none()).then(|| Decision::Allow(self.open.clone()))
    }

    /// Judges one resolved request. An error never opens a door: a `deny` that cannot be evaluated refuses, a `confirm` asks, an
    /// `allow` lifts nothing.
    pub fn decide(&self, who: &Principal, resolved: &Resolved, subject: &Subject<'_>) -> Decision {
        if let Some(open) = self.open() {
            return open;
        }
        let nobody;
        let meanings = match resolved.meanings.as_slice() {
            [] => {
                nobody = [nothing_known(resolved.skill.clone())];
                nobody.as_slice()
            }
            meanings => meanings,
        };
        let mut asks: Option<(&str, Asks)> = None;
        let mut about: Option<&SkillId> = None;
        let mut lifted: Option<&PolicyRule> = None;
        for meaning in meanings {
            match self.judge(who, meaning, subject) {
                Judged::Denied(problem) => return Decision::Deny(problem),
                Judged::Asks(rule, how) => {
                    let most = stricter(asks, (rule, how));
                    if asks != Some(most) {
                        about = meaning.skill.as_ref();
                    }
                    asks = Some(most);
                }
                Judged::Allowed(rule) => lifted = lifted.or(rule),
            }
        }
        match (asks, lifted) {
            (Some((rule, how)), _) => Decision::Confirm(Challenge {
                rule: rule.into(),
                skill: about.cloned(),
                class: how.class,
                needed: how.people,
                wait: how.wait,
                policy: self.version.clone(),
            }),
            (None, Some(rule)) => Decision::Allow(rule.name.clone()),
            (None, None) => Decision::Allow(self.open.clone()),
        }
    }

    /// Judges one of the things that a request may mean.
    fn judge(&self, who: &Principal, meaning: &Meaning, subject: &Subject<'_>) -> Judged<'_> {
        let acts = subject.head.operation.carries_message();
        let mut lifted: Option<&PolicyRule> = None;
        let mut asks: Option<(&str, Asks)> = self.by_default(who, meaning).filter(|_| acts);
        if self.rules.is_empty() {
            return asks.map_or(Judged::Allowed(None), |(rule, how)| Judged::Asks(rule, how));
        }
        let facts = &facts(who, meaning, subject);
        for rule in self.set.candidates(facts).filter_map(|index| self.rules.get(index)) {
            // Reading what became of a question asks nobody anew, unless a rule says so.
            if matches!(rule.verdict, Verdict::Confirm(_)) && !(acts || rule.rule.reads().operation) {
                continue;
            }
            let matches = rule.rule.matches(facts);
            if let Err(error) = &matches {
                tracing::warn!(rule = %rule.name, %error, "a policy rule could not be evaluated");
            }
            match (rule.verdict, matches) {
                (_, Ok(false)) | (Verdict::Allow, Err(_)) => {}
                (Verdict::Allow, Ok(true)) => lifted = lifted.or(Some(rule)),
                (Verdict::Confirm(how), _) => asks = Some(stricter(asks, (&rule.name, how))),
                (Verdict::Deny, Ok(true)) => return Judged::Denied(denied(rule, "refuses this")),
                (Verdict::Deny, Err(_)) => {
                    let why = "cannot be evaluated over this request, and so refuses it; its author guards what it reads with has()";
                    return Judged::Denied(denied(rule, why));
                }
            }
        }
        match (lifted, asks) {
            (None, Some((rule, how))) => Judged::Asks(rule, how),
            (lifted, _) => Judged::Allowed(lifted),
        }
    }

    /// Whether people are asked about it although no rule says so.
    fn by_default(&self, who: &Principal, meaning: &Meaning) -> Option<(&str, Asks)> {
        let Defaults { home } = self.defaults.as_ref()?;
        let effects = meaning.effects;
        let asks = effects.guarded || (effects.destructive && *who.domain != **home);
        asks.then_some((DEFAULT, BY_DEFAULT))
    }
}

/// A meaning of which no card says anything.
fn nothing_known(skill: Option<SkillId>) -> Meaning {
    Meaning { agent: "".into(), skill, tags: [].into(), effects: Effects::default() }
}

/// What the rules say to one meaning.
enum Judged<'r> {
    Denied(Problem),
    Asks(&'r str, Asks),
    /// By the rule that lifted a question, if one did.
    Allowed(Option<&'r PolicyRule>),
}

/// Of two rules that ask, the one that asks more; of equals, the first, but a rule of the operator before a default.
fn stricter<'r>(one: Option<(&'r str, Asks)>, other: (&'r str, Asks)) -> (&'r str, Asks) {
    let weight = |asks: &Asks| (asks.class == Class::Critical, asks.people);
    let one = one.filter(|(rule, _)| *rule != DEFAULT || other.0 == DEFAULT);
    one.filter(|(_, asks)| weight(asks) >= weight(&other.1)).unwrap_or(other)
}

fn denied(rule: &PolicyRule, why: &str) -> Problem {
    Problem::new(Code::Forbidden, format!("the rule {} {why}", rule.name))
}

fn facts<'a>(who: &'a Principal, meaning: &'a Meaning, subject: &Subject<'a>) -> Facts<'a> {
    let agent = Some(meaning.agent.as_str()).filter(|agent| !agent.is_empty());
    let skill = meaning.skill.as_ref().map(|id| SkillFacts {
        id: id.as_str(),
        tags: &meaning.tags,
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

#[cfg(test)]
mod tests {
    use moongate_core::Operation;
    use moongate_rules::Mode;

    use super::*;

    fn policy(rules: &[(Verdict, &str)]) -> Policy {
        let named = |(index, (verdict, text)): (usize, &(Verdict, &str))| PolicyRule {
            name: format!("policy[{index}]").into(),
            verdict: *verdict,
            rule: Rule::compile(text, Mode::Policy).unwrap(),
        };
        Policy::new(rules.iter().enumerate().map(named).collect(), None, "1".into())
    }

    fn asking(class: Class, people: u8) -> Verdict {
        Verdict::Confirm(Asks { class, people, wait: Duration::from_secs(60) })
    }

    fn ask<T>(skill: Option<&str>, look: impl FnOnce(&Principal, &Resolved, &Subject<'_>) -> T) -> T {
        let (who, head) = (Principal::local("home.example"), Head::new(Operation::Send));
        let skill = skill.map(SkillId::from);
        let resolved = Resolved { skill, ..Resolved::here() };
        look(&who, &resolved, &Subject { head: &head, headers: &[], args: None, text: None, now: Time(0) })
    }

    /// The rule that allows it.
    fn allowed(policy: &Policy, skill: Option<&str>) -> Option<Arc<str>> {
        match ask(skill, |who, resolved, subject| policy.decide(who, resolved, subject)) {
            Decision::Allow(rule) => Some(rule),
            Decision::Confirm(_) | Decision::Deny(_) => None,
        }
    }

    #[test]
    fn rules_about_other_skills_and_operations_are_not_asked() {
        let policy = policy(&[
            (Verdict::Deny, r#"skill.id == "door.open""#),
            (Verdict::Deny, r#"principal.id == "nobody""#),
            (Verdict::Deny, r#"principal.id == "nobody" && skill.id in ["lights.set", "lights.get"]"#),
            (Verdict::Deny, r#"operation == "cancel""#),
            (Verdict::Allow, r#"skill.id == "door.open" || skill.id == "lights.set""#),
        ]);
        let asked = |skill| {
            ask(skill, |who, resolved, subject| {
                let meaning = nothing_known(resolved.skill.clone());
                policy.set.candidates(&facts(who, &meaning, subject)).collect::<Vec<_>>()
            })
        };
        assert_eq!(asked(Some("lights.set")), [1, 2, 4]);
        assert_eq!(asked(None), [1, 4]);
        assert_eq!(allowed(&policy, Some("lights.set")).as_deref(), Some("policy[4]"));
        assert_eq!(allowed(&policy, Some("door.open")), None);
        assert_eq!(allowed(&policy, None).as_deref(), Some("no rule refuses"));
    }

    #[test]
    fn of_rules_that_ask_the_one_that_asks_most_counts_and_an_allow_lifts_it() {
        let mut rules = vec![
            (asking(Class::Sensitive, 3), "true"),
            (asking(Class::Critical, 1), r#"skill.id == "door.open""#),
            (asking(Class::Critical, 2), r#"skill.id == "door.open""#),
            (asking(Class::Critical, 2), "true == true"),
        ];
        let asked = |policy: &Policy| match ask(Some("door.open"), |who, resolved, subject| {
            policy.decide(who, resolved, subject)
        }) {
            Decision::Confirm(challenge) => Some((challenge.rule, challenge.class, challenge.needed, challenge.policy)),
            _ => None,
        };
        let found = asked(&policy(&rules)).unwrap();
        assert_eq!(found, ("policy[2]".into(), Class::Critical, 2, "1".into()));
        rules.push((Verdict::Allow, r#"operation == "send""#));
        assert_eq!(asked(&policy(&rules)), None);
    }

    #[test]
    fn doors_are_asked_about_by_default_and_deletion_where_a_stranger_wants_it() {
        let home = || Some(Defaults { home: "home.example".into() });
        let (guarded, destructive) =
            (Effects { guarded: true, ..Effects::default() }, Effects { destructive: true, ..Effects::default() });
        let decided = |policy: &Policy, domain: &str, effects, operation| {
            let who = Principal { domain: domain.into(), ..Principal::local("home.example") };
            let meaning = Meaning { effects, ..nothing_known(Some("door.open".into())) };
            let resolved = Resolved { meanings: vec![meaning], ..Resolved::here() };
            let head = Head::new(operation);
            let subject = Subject { head: &head, headers: &[], args: None, text: None, now: Time(0) };
            match policy.decide(&who, &resolved, &subject) {
                Decision::Allow(_) => "allow".to_owned(),
                Decision::Confirm(challenge) => format!("{} {}", challenge.rule, challenge.class.as_str()),
                Decision::Deny(_) => "deny".to_owned(),
            }
        };
        let compiled = |rules: &[(Verdict, &str)]| {
            let named = |(verdict, text): &(Verdict, &str)| PolicyRule {
                name: "own".into(),
                verdict: *verdict,
                rule: Rule::compile(text, Mode::Policy).unwrap(),
            };
            Policy::new(rules.iter().map(named).collect(), home(), "1".into())
        };
        let fresh = compiled(&[]);
        let asked = "sensitive by default sensitive";
        assert_eq!(decided(&fresh, "home.example", guarded, Operation::Send), asked);
        assert_eq!(decided(&fresh, "shop.example", guarded, Operation::Stream), asked);
        assert_eq!(decided(&fresh, "shop.example", destructive, Operation::Send), asked);
        for (domain, effects, operation) in [
            ("home.example", destructive, Operation::Send),
            ("home.example", guarded, Operation::Get),
            ("shop.example", guarded, Operation::Cancel),
            ("shop.example", Effects::default(), Operation::Send),
        ] {
            assert_eq!(decided(&fresh, domain, effects, operation), "allow", "{domain} {effects:?} {operation:?}");
        }
        let lifted = compiled(&[(Verdict::Allow, r#"domain == "home.example" && skill.id == "door.open""#)]);
        assert_eq!(decided(&lifted, "home.example", guarded, Operation::Send), "allow");
        assert_eq!(decided(&lifted, "shop.example", guarded, Operation::Send), asked);
        let own = compiled(&[(asking(Class::Sensitive, 1), "true"), (Verdict::Deny, r#"domain == "bad.example""#)]);
        assert_eq!(decided(&own, "home.example", guarded, Operation::Send), "own sensitive");
        assert_eq!(decided(&own, "bad.example", guarded, Operation::Send), "deny");
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_opens_no_door_and_closes_none_that_it_is_not_about() {
        let text = r#"args.level > 3 && skill.id == "lights.set""#;
        let decided = |policy: &Policy, skill: &str, operation| {
            let (who, head) = (Principal::local("home.example"), Head::new(operation));
            let resolved = Resolved { skill: Some(skill.into()), ..Resolved::here() };
            let subject = Subject { head: &head, headers: &[], args: None, text: None, now: Time(0) };
            match policy.decide(&who, &resolved, &subject) {
                Decision::Allow(_) => "allow".to_owned(),
                Decision::Confirm(challenge) => format!("ask by {}", challenge.rule),
                Decision::Deny(problem) => problem.detail.to_string(),
            }
        };
        for (verdict, expected) in [(Verdict::Allow, "allow"), (asking(Class::Sensitive, 1), "ask by policy[0]")] {
            let policy = policy(&[(verdict, text)]);
            assert_eq!(decided(&policy, "lights.set", Operation::Send), expected);
            assert_eq!(decided(&policy, "door.open", Operation::Send), "allow");
            assert_eq!(decided(&policy, "lights.set", Operation::Get), "allow", "a confirm is about messages");
        }
        let (deny, lifted) = (
            policy(&[(Verdict::Deny, text)]),
            policy(&[(asking(Class::Sensitive, 1), "true"), (Verdict::Allow, text)]),
        );
        assert!(decided(&deny, "lights.set", Operation::Get).contains("cannot be evaluated"));
        assert_eq!(
            decided(&lifted, "lights.set", Operation::Send),
            "ask by policy[0]",
            "an allow in doubt lifts nothing"
        );
    }
}
