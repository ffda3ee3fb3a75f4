//! May they: the answer of the stage *authorize*, and the proof of it that *dispatch* demands.

use std::sync::Arc;
use std::time::Duration;

use crate::approval::{Class, Grant};
use crate::ids::SkillId;
use crate::problem::Problem;

/// What policy says to one resolved request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Go on. Names the rule that said so.
    Allow(Arc<str>),
    /// A person must say yes first.
    Confirm(Challenge),
    /// No.
    Deny(Problem),
}

/// What a person would be asked, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The rule that wants a confirmation.
    pub rule: Arc<str>,
    /// The skill as which the request has to be confirmed, of those that it may be taken as.
    pub skill: Option<SkillId>,
    /// How much is at stake.
    pub class: Class,
    /// How many people have to say yes.
    pub needed: u8,
    /// How long they may take.
    pub wait: Duration,
    /// The rules in force, by their version.
    pub policy: Arc<str>,
}

/// Proof that the pipeline has let a request through. Only [`Clearance::of`] and [`Clearance::granted`] make one, so nothing
/// reaches an agent past policy.
#[derive(Clone, Debug)]
pub struct Clearance {
    rule: Arc<str>,
}

impl Clearance {
    /// Turns a decision into a clearance.
    ///
    /// # Errors
    /// The refusal itself, or the challenge that nobody has answered yet.
    pub fn of(decision: Decision) -> Result<Self, Refusal> {
        match decision {
            Decision::Allow(rule) => Ok(Self { rule }),
            Decision::Confirm(challenge) => Err(Refusal::Unconfirmed(challenge)),
            Decision::Deny(problem) => Err(Refusal::Denied(problem)),
        }
    }

    /// Turns what people granted into a clearance.
    pub fn granted(grant: Grant) -> Self {
        Self { rule: grant.into_rule() }
    }

    /// The rule that let the request through.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Why there is no clearance.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// Policy said no.
    Denied(Problem),
    /// A person has not been asked, or has not answered.
    Unconfirmed(Challenge),
}
