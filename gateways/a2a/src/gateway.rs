//! The gateway as the pipeline sees it: its parts, and the stages *resolve* and *pick*.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use moongate_approval::Desk;
use moongate_core::seam::notary::Notary;
use moongate_core::seam::{Clock, Dialer, Recorder, Verifier};
use moongate_core::task::Timeouts;
use moongate_core::{
    AgentName, Code, Envelope, InstanceId, Listener, Mono, Operation, Principal, Problem, RequestId, Resolved, Route,
    Target,
};
use moongate_flow::Gateway;
use moongate_telemetry::metrics::Held;
use moongate_wire::json::Limits;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::call::Call;
use crate::routing::balance::{Change, Picked, Policy, RetryBudget, Verdict, hash_key};
use crate::routing::directory::{Agent, Directory, Endpoint};
use crate::routing::discovery::{Address, LetsIn};
use crate::routing::resolve::{self, View};
use crate::security;
use crate::tasks::Tasks;
use crate::tasks::courier::Courier;
use crate::tasks::queue::Lanes;

/// How each listener is reached from outside.
#[derive(Clone, Debug, Default)]
pub struct Addresses(pub Vec<(Listener, Address)>);

/// What places a request under consistent hashing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashBy {
    /// The conversation.
    #[default]
    Context,
    /// The task.
    Task,
    /// The caller.
    Principal,
}

/// Settings that requests read; swapped as a whole on reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The trust domain.
    pub domain: Arc<str>,
    /// The largest request body.
    pub body_bytes: usize,
    /// The largest answer of an agent.
    pub answer_bytes: usize,
    /// How JSON may look.
    pub json: Limits,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// The most streams at once.
    pub streams: usize,
    /// The most instances that one request is tried on.
    pub attempts: u32,
    /// What consistent hashing hashes.
    pub hash_by: HashBy,
    /// Whether a rule or intent matching wants the message's text.
    pub wants_text: bool,
    /// The share of requests that are traced although nobody asked, in millionths.
    pub sample_per_million: u32,
    /// Whether spans are exported at all.
    pub traces: bool,
    /// How tasks are kept.
    pub tasks: TaskSettings,
    /// The rules in force, by their version.
    pub policy: Arc<str>,
    /// How long who waits for a task's end waits for people before it gets the task that waits for them.
    pub approval_hold: Duration,
}

/// How tasks are kept.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Whether callers may hear of a task that an agent owns before it is durable.
    pub relaxed: bool,
    /// Timeouts of tasks whose agent has none of its own.
    pub timeouts: Timeouts,
    /// After so many tries a queued task is given up until it is redriven; 0 is never.
    pub attempts: u32,
    /// Whether deadlines stand still while a task is paused.
    pub pause_freezes: bool,
    /// How long finished tasks are kept.
    pub retain: Duration,
    /// The most finished tasks that are kept.
    pub keep: u64,
    /// The most tasks that wait for agents.
    pub waiting: u64,
}

/// The A2A Gateway.
pub struct A2aGateway {
    /// All agents.
    pub directory: ArcSwap<Directory>,
    /// All tasks.
    pub tasks: Arc<Tasks>,
    /// Ways out to agents, for tasks that wait.
    pub lanes: Lanes,
    /// Settings.
    pub settings: ArcSwap<Settings>,
    /// Delivers push notifications.
    pub courier: Courier,
    /// Calls that are not on the hot path.
    pub dialer: Arc<dyn Dialer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Signs cards, and judges those of agents.
    pub notary: Arc<dyn Notary>,
    /// Who is known here.
    pub verifier: Arc<dyn Verifier>,
    /// Questions that wait for people.
    pub desk: Arc<Desk>,
    /// Where it is written down what becomes of their answers.
    pub recorder: Arc<dyn Recorder>,
    /// Retries that load permits.
    pub budget: RetryBudget,
    /// Streams that are open.
    pub streams: AtomicUsize,
    /// Those of each caller of another machine.
    pub streams_of: Mutex<HashMap<Arc<str>, usize>>,
    /// Watches that hold a stream of an agent's open; further ones ask again and again instead.
    pub watches: Arc<Semaphore>,
    /// How each listener is reached, as cards say it.
    pub addresses: ArcSwap<Addresses>,
    ids: AtomicU64,
    prefix: u32,
    dice: AtomicU64,
}

/// How many watches may hold a stream open at once.
const WATCH_STREAMS: usize = 256;

/// The parts that a gateway is made of.
pub struct Parts {
    /// The first directory.
    pub directory: Directory,
    /// Settings.
    pub settings: Settings,
    /// Delivers push notifications.
    pub courier: Courier,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Signs cards, and judges those of agents.
    pub notary: Arc<dyn Notary>,
    /// Who is known here.
    pub verifier: Arc<dyn Verifier>,
    /// Questions that wait for people.
    pub desk: Arc<Desk>,
    /// Where it is written down what becomes of their answers.
    pub recorder: Arc<dyn Recorder>,
    /// All tasks.
    pub tasks: Arc<Tasks>,
    /// Retries allowed, in percent of requests.
    pub retry_budget_percent: u32,
}

impl A2aGateway {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let seed = uuid::Uuid::new_v4().as_u128();
        Self {
            directory: ArcSwap::from_pointee(parts.directory),
            tasks: parts.tasks,
            lanes: Lanes::default(),
            settings: ArcSwap::from_pointee(parts.settings),
            dialer: parts.courier.dialer.clone(),
            courier: parts.courier,
            clock: parts.clock,
            notary: parts.notary,
            verifier: parts.verifier,
            desk: parts.desk,
            recorder: parts.recorder,
            budget: RetryBudget::new(parts.retry_budget_percent),
            streams: AtomicUsize::new(0),
            streams_of: Mutex::default(),
            watches: Arc::new(Semaphore::new(WATCH_STREAMS)),
            addresses: ArcSwap::from_pointee(Addresses::default()),
            ids: AtomicU64::new(1),
            prefix: (seed >> 96) as u32,
            dice: AtomicU64::new(seed as u64),
        }
    }

    /// A new request id: unique within this run, and unlikely to repeat in another.
    pub fn request_id(&self) -> RequestId {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        RequestId::new(format!("{:08x}-{number:x}", self.prefix))
    }

    /// How the listener by which a request came is reached; that of the main one if it is not known.
    pub fn address(&self, listener: Listener) -> Address {
        let addresses = self.addresses.load();
        let found = addresses.0.iter().find(|(held, _)| *held == listener).or(addresses.0.first());
        found.map(|(_, address)| address.clone()).unwrap_or_else(|| Address {
            url: String::new(),
            authority: String::new(),
            guarded: true,
            lets_in: LetsIn::default(),
        })
    }

    /// The main listener is reached by another address from now on, and lets in whoever proves itself so.
    pub fn rename_main(&self, address: &Address) {
        let mut addresses = self.addresses.load().0.clone();
        for (listener, held) in &mut addresses {
            if *listener == Listener::Main {
                *held = Address { guarded: held.guarded, ..address.clone() };
            }
        }
        self.addresses.store(Arc::new(Addresses(addresses)));
    }

    /// A pseudo-random number below `bound` (splitmix64).
    fn roll(&self, bound: u64) -> u64 {
        let mut z = self.dice.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// Chooses an instance for what was resolved, sparing those in `tried`.
    ///
    /// # Errors
    /// `NoInstance` when none can take it.
    pub fn choose(
        &self,
        who: &Principal,
        envelope: &Envelope,
        resolved: &Resolved,
        tried: &[InstanceId],
    ) -> Result<Pick, Problem> {
        let directory = self.directory.load();
        let now = self.clock.mono();
        let operation = envelope.head.operation;
        if let [only] = resolved.candidates.as_slice() {
            let agent = known(&directory, &only.agent)?;
            let key = self.hash_of(who, envelope, agent);
            let picked = match &only.pinned {
                Some(instance) => agent.balancer.pin(now, instance),
                None => agent.balancer.pick(now, key, tried),
            };
            return self.admit(operation, agent, picked, &only.agent);
        }
        let pooled = resolved.candidates.iter().all(|candidate| candidate.weight == 1)
            && matches!(&*resolved.rule, "skill" | "intent");
        if let Some(pool) = resolved.skill.as_ref().filter(|_| pooled).and_then(|skill| directory.skills.get(skill)) {
            let key = pool.agents.first().and_then(|name| directory.agents.get(name));
            let key = key.and_then(|agent| self.hash_of(who, envelope, agent));
            let picked = pool.balancer.pick(now, key, tried);
            let name = picked.as_ref().and_then(|picked| directory.instances.get(picked.instance.id()));
            // Nobody gets what policy has not judged with that one in mind.
            let name = name.filter(|name| resolved.candidates.iter().any(|candidate| candidate.agent == **name));
            if let Some(agent) = name.and_then(|name| directory.agents.get(name)) {
                return self.admit(operation, agent, picked, &agent.name);
            }
        }
        self.by_weight(&directory, (who, envelope), resolved, tried)
    }

    /// An instance of one agent for a task from the queue.
    ///
    /// # Errors
    /// `NoInstance`, `AgentOverloaded`.
    pub fn instance_of(&self, agent: &Arc<Agent>) -> Result<Box<Chosen>, Problem> {
        let picked = agent.balancer.pick_queued(self.clock.mono());
        match self.admit(Operation::Send, agent, picked, &agent.name)? {
            Pick::Agent(chosen) => Ok(chosen),
            Pick::Here | Pick::Queue(_) => Err(Problem::new(Code::Internal, "an agent is no instance")),
        }
    }

    fn by_weight(
        &self,
        directory: &Directory,
        (who, envelope): (&Principal, &Envelope),
        resolved: &Resolved,
        tried: &[InstanceId],
    ) -> Result<Pick, Problem> {
        let now = self.clock.mono();
        let total: u64 = resolved.candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        let mut ticket = self.roll(total);
        let start = resolved
            .candidates
            .iter()
            .position(|candidate| {
                let weight = u64::from(candidate.weight);
                let hit = ticket < weight;
                ticket = ticket.saturating_sub(weight);
                hit
            })
            .unwrap_or(0);
        let order = resolved.candidates.iter().cycle().skip(start).take(resolved.candidates.len());
        let mut last = Problem::new(Code::NoInstance, "no agent that could serve this can be reached");
        for candidate in order.filter(|candidate| candidate.weight > 0) {
            let agent = known(directory, &candidate.agent)?;
            let picked = match &candidate.pinned {
                Some(instance) => agent.balancer.pin(now, instance),
                None => agent.balancer.pick(now, self.hash_of(who, envelope, agent), tried),
            };
            match self.admit(envelope.head.operation, agent, picked, &candidate.agent) {
                Ok(pick) => return Ok(pick),
                Err(problem) => last = problem,
            }
        }
        Err(last)
    }

    /// A full agent takes no more messages; looking at its tasks and ending them stays possible.
    fn admit(
        &self,
        operation: Operation,
        agent: &Arc<Agent>,
        picked: Option<Picked>,
        name: &AgentName,
    ) -> Result<Pick, Problem> {
        let Some(picked) = picked else {
            return Err(Problem::new(Code::NoInstance, format!("no instance of the agent {name} can be reached")));
        };
        let limit = agent.settings.max_in_flight;
        if limit > 0 && operation.carries_message() && picked.instance.pending() > limit {
            return Err(Problem::new(Code::AgentOverloaded, format!("the agent {name} has {limit} requests in work")));
        }
        match agent.endpoint(picked.instance.id()) {
            Some(endpoint) => Ok(Pick::Agent(Box::new(Chosen {
                _held: agent.series.in_flight.hold(),
                agent: agent.clone(),
                endpoint: endpoint.clone(),
                picked,
            }))),
            None => Err(Problem::new(Code::NoInstance, format!("the agent {name} has no card yet"))),
        }
    }

    /// Where consistent hashing places the request; `None` where nobody hashes.
    fn hash_of(&self, who: &Principal, envelope: &Envelope, agent: &Agent) -> Option<u64> {
        if agent.balancer.settings().policy != Policy::ConsistentHash {
            return None;
        }
        let head = &envelope.head;
        let text = match agent.settings.hash_by.unwrap_or_else(|| self.settings.load().hash_by) {
            HashBy::Context => head.context.as_ref().map(|id| id.as_str()),
            HashBy::Task => head.task.as_ref().map(|id| id.as_str()),
            HashBy::Principal => Some(&*who.id),
        };
        Some(hash_key(text.unwrap_or_else(|| envelope.id.as_str()).as_bytes()))
    }
}

impl A2aGateway {
    /// Whether the request is about a task that no agent has.
    fn waits(&self, envelope: &Envelope) -> bool {
        let row = envelope.head.task.as_ref().and_then(|id| self.tasks.held(id.as_str()));
        !envelope.head.operation.carries_message() && row.is_some_and(|row| row.instance().is_none())
    }

    /// The agent whose queue a message joins, as none of its instances can take it.
    fn queue_for(
        &self,
        envelope: &Envelope,
        resolved: &Resolved,
        call: &Call,
        problem: &Problem,
    ) -> Option<Arc<Agent>> {
        let queues = match problem.code {
            Code::NoInstance => true,
            // What becomes a task before its agent is asked can as well wait for a place there.
            Code::AgentOverloaded => call.draft || call.wishes.idempotency.is_some(),
            _ => false,
        };
        if !queues || !envelope.head.operation.carries_message() || envelope.head.task.is_some() {
            return None;
        }
        let directory = self.directory.load();
        let named = resolved.candidates.iter().filter(|candidate| candidate.weight > 0);
        let mut agents = named.filter_map(|candidate| directory.agents.get(&candidate.agent));
        agents.find(|agent| agent.settings.tasks.queue).cloned()
    }
}

/// Operations on a task that our own record can answer.
fn known_here(operation: Operation) -> bool {
    let acts = [Operation::Cancel, Operation::Pause, Operation::Resume, Operation::ExtendedCard];
    !operation.carries_message() && !acts.contains(&operation)
}

fn known<'a>(directory: &'a Directory, name: &AgentName) -> Result<&'a Arc<Agent>, Problem> {
    directory.agents.get(name).ok_or_else(|| Problem::new(Code::NoInstance, format!("the agent {name} is gone")))
}

/// What *pick* chose.
pub enum Pick {
    /// The gateway answers.
    Here,
    /// No instance can take it now: the message waits for the agent.
    Queue(Arc<Agent>),
    /// An instance.
    Agent(Box<Chosen>),
}

/// A chosen instance.
pub struct Chosen {
    /// Its agent.
    pub agent: Arc<Agent>,
    /// The instance.
    pub endpoint: Arc<Endpoint>,
    /// Counts the request for balancing.
    pub picked: Picked,
    _held: Held,
}

impl Chosen {
    /// The answer has begun: measures the latency, and an instance that was set aside may be back.
    pub fn first_event(&self, now: Mono) {
        tell(&self.agent, &self.endpoint, self.picked.first_event(now));
    }

    /// The request is over: tells the balancer, and whoever looks at the numbers if that changed the instance's standing.
    pub fn finish(self, now: Mono, verdict: Verdict) {
        tell(&self.agent, &self.endpoint, self.picked.finish(now, verdict));
    }
}

fn tell(agent: &Agent, endpoint: &Endpoint, change: Change) {
    match change {
        Change::None => {}
        Change::Readmitted => tracing::info!(instance = %endpoint.id, "an ejected instance is back"),
        Change::Ejected(span) => {
            agent.series.ejections.inc();
            let seconds = span.as_secs();
            tracing::warn!(instance = %endpoint.id, seconds, "an instance failed too often and is set aside");
        }
    }
}

impl Gateway for A2aGateway {
    type Call = Call;
    type Picked = Pick;

    async fn recall(&self, who: &Principal, envelope: &Envelope, call: &Call) -> Result<(), Problem> {
        let head = &envelope.head;
        if let Some(id) = &head.task {
            if let Some(row) = self.tasks.recall(who, id).await? {
                let _ = call.recalled.set(row);
            }
        } else if let Some(context) = head.context.as_ref().filter(|_| head.operation.carries_message())
            && head.skill.is_none()
            && self.directory.load().instances.len() > 1
        {
            self.tasks.recall_context(who, context).await?;
        }
        Ok(())
    }

    fn resolve(&self, who: &Principal, envelope: &Envelope, call: &Call) -> Result<Resolved, Problem> {
        let directory = self.directory.load();
        resolve::resolve(&View { directory: &directory, tasks: &self.tasks, who }, envelope, call)
    }

    fn may(&self, who: &Principal, envelope: &Envelope, resolved: &Resolved, call: &Call) -> Result<(), Problem> {
        let head = &envelope.head;
        let push = head.operation.carries_message() && call.peek.push_config.is_some();
        let wish = security::Wish { operation: head.operation, skill: head.skill.as_ref(), push };
        security::may(who, &wish, resolved, &self.directory.load())
    }

    fn pick(
        &self,
        who: &Principal,
        envelope: &Envelope,
        resolved: &Resolved,
        call: &Call,
    ) -> Result<(Route, Pick), Problem> {
        let here = || {
            let rule = resolved.rule.clone();
            let route = Route { target: Target::Here, adapter: "here", policy: "none", attempts: 1, rule };
            Ok((route, Pick::Here))
        };
        if resolved.candidates.is_empty() {
            return here();
        }
        let pick = match self.choose(who, envelope, resolved, &[]) {
            Ok(pick) => pick,
            // What the record can answer does not need the agent, and what no agent has yet is the gateway's alone.
            Err(_) if &*resolved.rule == "task" && (known_here(envelope.head.operation) || self.waits(envelope)) => {
                return here();
            }
            Err(problem) => match self.queue_for(envelope, resolved, call, &problem) {
                Some(agent) => Pick::Queue(agent),
                None => return Err(problem),
            },
        };
        let chosen = match &pick {
            Pick::Agent(chosen) => chosen,
            Pick::Queue(agent) => {
                let target = Target::Agent { agent: agent.name.clone(), instance: agent.name.as_str().into() };
                let rule = resolved.rule.clone();
                return Ok((Route { target, adapter: "queue", policy: "none", attempts: 1, rule }, pick));
            }
            Pick::Here => return Err(Problem::new(Code::Internal, "a candidate led nowhere")),
        };
        let route = Route {
            target: Target::Agent { agent: chosen.agent.name.clone(), instance: chosen.endpoint.id.clone() },
            adapter: "http",
            policy: chosen.agent.balancer.settings().policy.as_str(),
            attempts: chosen.agent.settings.attempts.unwrap_or_else(|| self.settings.load().attempts),
            rule: resolved.rule.clone(),
        };
        Ok((route, pick))
    }

    fn headers<'a>(&self, call: &'a Call) -> Vec<(&'a str, &'a str)> {
        call.rule_headers()
    }

    fn content(&self, call: &Call) -> (Option<serde_json::Value>, Option<String>) {
        let args = call.value().ok();
        // All of it: what a peek keeps ends somewhere, and words behind that would pass by a rule.
        let parts = args.as_ref().and_then(|args| args.pointer("/message/parts")).and_then(serde_json::Value::as_array);
        let text = parts.map(|parts| {
            let texts = parts.iter().filter_map(|part| part.get("text").and_then(serde_json::Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        });
        (args, text)
    }
}
