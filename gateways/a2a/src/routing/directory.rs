//! The directory: all agents as of one moment, immutable, swapped as a whole.
//!
//! The registry makes a new one at each change; requests load it once and never lock. Look-ups are by hash, so that a
//! request costs the same with one agent and with a thousand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::task::Timeouts;
use moongate_core::{AgentName, InstanceId, Principal, SkillId};
use moongate_rules::RuleSet;
use moongate_telemetry::metrics::AgentSeries;
use moongate_transport::OriginPool;
use moongate_wire::a2a::card::{Card, Skill};
use moongate_wire::a2a::{Binding, Dialect, Version};

use super::balance::{Balancer, Health, Instance};
use super::credential::Shows;
use super::search::SkillIndex;
use crate::gateway::HashBy;
use crate::security;

/// Who may see an agent in cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// In the public card.
    #[default]
    Public,
    /// In the extended card only.
    Extended,
    /// In no card; reachable by its own address.
    Hidden,
}

/// What a card promises: what the gateway can supply, or only what the agent itself can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capabilities {
    /// Whatever works through the gateway.
    #[default]
    Offer,
    /// The agent's own flags.
    Agent,
}

/// One address of an instance in one dialect.
pub struct Upstream {
    /// How it speaks.
    pub dialect: Dialect,
    /// The connections to it.
    pub origin: Arc<OriginPool>,
    /// `host:port`.
    pub authority: String,
    /// The same as a `Host` header.
    pub host: http::HeaderValue,
    /// `path` as a URI, so that nothing is parsed for a request.
    pub uri: http::Uri,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The path of the base, without a trailing slash (JSON-RPC: the path itself).
    pub path: String,
    /// The gateway's credential for the agent.
    pub shows: Option<Shows>,
    /// The tenant that the agent wants to hear.
    pub tenant: Option<String>,
}

/// One running copy of an agent.
pub struct Endpoint {
    /// Its id.
    pub id: InstanceId,
    /// What balancing knows of it.
    pub load: Arc<Instance>,
    /// Its card.
    pub card: Arc<Card>,
    /// Its addresses that the gateway can speak to.
    pub upstreams: Vec<Upstream>,
}

impl Endpoint {
    /// The address to use for a client of this dialect: the same dialect if there is one, so that bytes pass unchanged.
    pub fn upstream_for(&self, dialect: Dialect) -> Option<&Upstream> {
        const ORDER: [(Binding, Version); 6] = [
            (Binding::JsonRpc, Version::V1),
            (Binding::Http, Version::V1),
            (Binding::Grpc, Version::V1),
            (Binding::JsonRpc, Version::V03),
            (Binding::Http, Version::V03),
            (Binding::Grpc, Version::V03),
        ];
        self.upstreams.iter().find(|upstream| upstream.dialect == dialect).or_else(|| {
            ORDER.iter().find_map(|(binding, version)| {
                self.upstreams
                    .iter()
                    .find(|upstream| upstream.dialect.binding == *binding && upstream.dialect.version == *version)
            })
        })
    }
}

/// How an agent's tasks are kept.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TaskPolicy {
    /// Whether messages wait for the agent while it is away.
    pub queue: bool,
    /// Whether a message id that comes twice is the same request.
    pub dedup: bool,
    /// Queued tasks that it works on at once; 0 is no limit.
    pub concurrency: u32,
    /// Timeouts that differ from the usual ones.
    pub timeouts: Timeouts,
}

impl Default for TaskPolicy {
    fn default() -> Self {
        Self { queue: true, dedup: false, concurrency: 0, timeouts: Timeouts::default() }
    }
}

impl TaskPolicy {
    /// Its timeouts, the usual ones where it has none of its own.
    pub fn timeouts(&self, usual: &Timeouts) -> Timeouts {
        let own = &self.timeouts;
        Timeouts {
            schedule_to_start: own.schedule_to_start.or(usual.schedule_to_start),
            start_to_close: own.start_to_close.or(usual.start_to_close),
            schedule_to_close: own.schedule_to_close.or(usual.schedule_to_close),
            heartbeat: own.heartbeat.or(usual.heartbeat),
        }
    }
}

/// Settings of an agent that requests need.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// How its tasks are kept.
    pub tasks: TaskPolicy,
    /// Who may see it.
    pub visibility: Visibility,
    /// What its card promises.
    pub capabilities: Capabilities,
    /// Whether tasks without a record may be asked for.
    pub adopt: bool,
    /// Serves the merged card to clients that do not name a version.
    pub legacy_card: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Requests in flight at once; 0 is no limit.
    pub max_in_flight: u32,
    /// Agents of one group share their skills whatever their definitions say.
    pub group: Option<String>,
    /// Its place.
    pub zone: Option<String>,
    /// What consistent hashing hashes, where that differs from the usual.
    pub hash_by: Option<HashBy>,
    /// The most instances that one request is tried on, where that differs from the usual.
    pub attempts: Option<u32>,
    /// Labels that searches show.
    pub labels: Vec<(String, String)>,
    /// Skills that may be sent again when it is not known whether the agent got them.
    pub idempotent: Vec<String>,
    /// Who must have the scopes that its card demands.
    pub card_scopes: security::CardScopes,
    /// How its cards have to be signed.
    pub signature: super::registry::signature::Wanted,
    /// Where it serves its card.
    pub card_url: Option<String>,
}

impl AgentSettings {
    /// Whether a request for this skill may be sent again although the agent may have got it.
    pub fn may_repeat(&self, skill: Option<&SkillId>) -> bool {
        skill.is_some_and(|skill| self.idempotent.iter().any(|id| id == skill.as_str()))
    }
}

/// An agent: one name, one card, one or more instances.
pub struct Agent {
    /// Its name.
    pub name: AgentName,
    /// Its settings.
    pub settings: AgentSettings,
    /// The card of its first instance that has one.
    pub card: Arc<Card>,
    /// What its instances' cards demand of callers.
    pub demands: security::Demands,
    /// What its skills are by nature.
    pub natures: security::Natures,
    /// Instances with a card, down ones too.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Chooses among them.
    pub balancer: Balancer,
    /// Its numbers.
    pub series: Arc<AgentSeries>,
}

impl Agent {
    /// Whether any instance is not down.
    pub fn is_up(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.load.health() != Health::Down)
    }

    /// One instance by its id.
    pub fn endpoint(&self, id: &InstanceId) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|endpoint| endpoint.id == *id)
    }
}

/// All holders of one skill id.
pub struct Pool {
    /// The agents, in order of name.
    pub agents: Vec<AgentName>,
    /// Whether their definitions agree, so that one is as good as another.
    pub uniform: bool,
    /// Chooses among the instances of all of them.
    pub balancer: Balancer,
    /// The definition.
    pub skill: Skill,
}

/// One weighted target of a rule.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    /// The agent.
    pub agent: AgentName,
    /// The one instance that is meant, if one is.
    pub instance: Option<InstanceId>,
    /// Its share.
    pub weight: u32,
}

/// The operator's routes, compiled.
#[derive(Default)]
pub struct Routes {
    /// The conditions.
    pub rules: Option<RuleSet>,
    /// Where each leads.
    pub targets: Vec<Vec<RouteTarget>>,
}

/// All agents as of one moment.
pub struct Directory {
    /// By name.
    pub agents: HashMap<AgentName, Arc<Agent>>,
    /// Which agent an instance belongs to.
    pub instances: HashMap<InstanceId, AgentName>,
    /// Who holds a skill.
    pub skills: HashMap<SkillId, Pool>,
    /// Search over all skills of agents that are up.
    pub index: SkillIndex,
    /// The operator's routes.
    pub routes: Arc<Routes>,
    /// The agent for what nobody else claims.
    pub default_agent: Option<AgentName>,
    /// Whether texts are matched to skills.
    pub intent: bool,
    /// How sure a match must be.
    pub threshold: f32,
    /// Grows by one with each directory.
    pub revision: u64,
    /// When it was made, in Unix seconds.
    pub made_at: u64,
    /// Agents that have been named but have no card yet, and who may see them.
    pub pending: HashMap<AgentName, Visibility>,
    /// Cards that have been rendered from this directory.
    pub cards: super::discovery::Rendered,
}

impl Directory {
    /// A directory without agents.
    pub fn empty() -> Self {
        Self {
            agents: HashMap::new(),
            instances: HashMap::new(),
            skills: HashMap::new(),
            index: SkillIndex::build(Vec::new()),
            routes: Arc::new(Routes::default()),
            default_agent: None,
            intent: false,
            threshold: 1.0,
            revision: 0,
            made_at: 0,
            pending: HashMap::new(),
            cards: super::discovery::Rendered::default(),
        }
    }

    /// An agent by name, if this principal may know of it.
    pub fn agent(&self, name: &str, who: &Principal) -> Option<&Arc<Agent>> {
        self.agents.get(name).filter(|agent| security::knows(who, agent.settings.visibility, &agent.card.skills))
    }

    /// Whether an agent is awaited whose card could not be read yet, and this principal may know of it.
    pub fn awaits(&self, name: &str, who: &Principal) -> bool {
        self.pending.get(name).is_some_and(|visibility| security::knows(who, *visibility, &[]))
    }

    /// The agents that cards of this reach show, in order of name.
    pub fn listed(&self, extended: bool) -> Vec<&Arc<Agent>> {
        let mut agents: Vec<_> = self
            .agents
            .values()
            .filter(|agent| agent.is_up())
            .filter(|agent| match agent.settings.visibility {
                Visibility::Public => true,
                Visibility::Extended => extended,
                Visibility::Hidden => false,
            })
            .collect();
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        agents
    }
}
