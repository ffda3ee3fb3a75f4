//! Where a request goes: first which skill and which agents could serve it, then exactly one of them.

use std::sync::Arc;

use crate::ids::{AgentName, InstanceId, SkillId};

/// One agent that could serve the request, with the share of traffic that a rule gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The agent.
    pub agent: AgentName,
    /// Relative weight; only the ratio to other candidates counts.
    pub weight: u32,
    /// The one instance that must be used because it owns the task or the conversation.
    pub pinned: Option<InstanceId>,
}

impl Candidate {
    /// A candidate that takes all the traffic.
    pub fn only(agent: AgentName) -> Self {
        Self { agent, weight: 1, pinned: None }
    }
}

/// What a request may mean to one candidate: policy judges each of them, and the strictest answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The candidate.
    pub agent: AgentName,
    /// The skill; `None` if the agent has none that it could be.
    pub skill: Option<SkillId>,
    /// The skill's tags, as this agent's own cards say.
    pub tags: Arc<[Arc<str>]>,
    /// What the skill can do.
    pub effects: Effects,
}

/// What a skill can do, as far as its id and tags tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// It opens something, or turns something on that can do harm: a lock, a door, gas.
    pub guarded: bool,
    /// It deletes or resets something.
    pub destructive: bool,
}

/// The outcome of the stage *resolve*: what policy judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The skill, once it is known.
    pub skill: Option<SkillId>,
    /// What the request may mean, to each candidate: a message that names no skill may be taken as any of its agent's.
    pub meanings: Vec<Meaning>,
    /// Who could serve it; empty when the gateway itself answers.
    pub candidates: Vec<Candidate>,
    /// The rule of routing that decided, in words for people: `task`, `path`, `tenant`, `skill`, `context`,
    /// `routes[2]`, `intent`, `only agent`, `gateway`.
    pub rule: Arc<str>,
    /// How sure an intent match was, in thousandths.
    pub score: Option<u32>,
}

impl Resolved {
    /// The gateway answers this itself.
    pub fn here() -> Self {
        Self { skill: None, meanings: Vec::new(), candidates: Vec::new(), rule: "gateway".into(), score: None }
    }
}

/// What is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One instance of an agent.
    Agent {
        /// The agent.
        agent: AgentName,
        /// The instance.
        instance: InstanceId,
    },
    /// The gateway itself.
    Here,
}

/// The outcome of the stage *pick*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it goes.
    pub target: Target,
    /// The adapter that speaks to the target.
    pub adapter: &'static str,
    /// The balancing policy that chose among instances.
    pub policy: &'static str,
    /// How many instances may be tried, the first included.
    pub attempts: u32,
    /// The rule of routing that decided.
    pub rule: Arc<str>,
}
