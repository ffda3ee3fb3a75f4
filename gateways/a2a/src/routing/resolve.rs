//! The stage *resolve*: which skill and which agents a request means. Pure; the first step that answers wins.
//!
//! task's owner → base or tenant → skill id → conversation's owner → routes → intent → the only or default agent →
//! refuse. A base or tenant restricts the later steps. The name of the step goes into records and explanations. An agent
//! of which the caller may not know is to every step as if there were none.

use std::sync::Arc;

use moongate_core::{AgentName, Candidate, Code, Envelope, Head, Meaning, Principal, Problem, Resolved, SkillId};
use moongate_rules::{Facts, SkillFacts};

use super::directory::{Agent, Directory, Visibility};
use super::intent::{self, Match};
use crate::call::Call;
use crate::security::{Nature, Natures};
use crate::tasks::{Owned, Tasks};

/// What resolution looks at.
pub struct View<'a> {
    /// The agents.
    pub directory: &'a Directory,
    /// The tasks.
    pub tasks: &'a Tasks,
    /// Who asks.
    pub who: &'a Principal,
}

/// Resolves one request.
///
/// # Errors
/// `TaskNotFound`, `NoSuchAgent`, `NoSkill`, `NoAgents`, `ContradictingRoute` or `TaskElsewhere`.
pub fn resolve(view: &View<'_>, envelope: &Envelope, call: &Call) -> Result<Resolved, Problem> {
    let mut resolved = found(view, envelope, call)?;
    resolved.meanings = meanings(view.directory, &envelope.head, &resolved);
    Ok(resolved)
}

/// What the request may mean to each candidate. A message may be taken as the skill that it names, as the skill of its task, and,
/// where there is neither, as any of its agent's.
fn meanings(directory: &Directory, head: &Head, resolved: &Resolved) -> Vec<Meaning> {
    let mut all = Vec::with_capacity(resolved.candidates.len());
    let nothing_known = Natures::default();
    for candidate in &resolved.candidates {
        let agent = directory.agents.get(&candidate.agent);
        let mut skills: Vec<&SkillId> = resolved.skill.iter().collect();
        let named = head.skill.as_ref().filter(|_| head.operation.carries_message());
        skills.extend(named.filter(|named| !is_long_for(named, candidate, resolved)));
        skills.dedup();
        let meaning = |skill: Option<&SkillId>| {
            let natures = agent.map_or(&nothing_known, |agent| &agent.natures);
            let Nature { tags, effects } = skill.map(|skill| natures.skill(skill.as_str())).unwrap_or_default();
            Meaning { agent: candidate.agent.clone(), skill: skill.cloned(), tags, effects }
        };
        if skills.is_empty() && head.operation.carries_message() {
            // Whichever instance gets it: what any of them can do.
            let every = agent.into_iter().flat_map(|agent| agent.natures.ids());
            let before = all.len();
            all.extend(every.map(|skill| meaning(Some(&SkillId::from(skill)))));
            if all.len() == before {
                all.push(meaning(None));
            }
        } else if skills.is_empty() {
            all.push(meaning(None));
        } else {
            all.extend(skills.into_iter().map(|skill| meaning(Some(skill))));
        }
    }
    all
}

/// Whether the skill is named as `AGENT/SKILL`, and is what was resolved.
fn is_long_for(named: &SkillId, candidate: &Candidate, resolved: &Resolved) -> bool {
    named.as_str().split_once('/').is_some_and(|(agent, skill)| {
        agent == candidate.agent.as_str() && resolved.skill.as_ref().is_some_and(|resolved| resolved.as_str() == skill)
    })
}

fn found(view: &View<'_>, envelope: &Envelope, call: &Call) -> Result<Resolved, Problem> {
    let head = &envelope.head;
    let base = base_agent(view, head)?;
    if let Some(id) = &head.task {
        return by_task(view, head, id.as_str(), base);
    }
    match head.operation {
        moongate_core::Operation::List => Ok(Resolved::here()),
        moongate_core::Operation::ExtendedCard => Ok(match base {
            Some(agent) => agent_alone(agent, "path"),
            None => Resolved::here(),
        }),
        _ => by_content(view, head, call, base),
    }
}

/// The agent that the address or the tenant names.
fn base_agent<'a>(view: &View<'a>, head: &Head) -> Result<Option<&'a Arc<Agent>>, Problem> {
    let name = match (&head.base, &head.tenant) {
        (Some(base), Some(tenant)) if base != tenant => {
            return Err(Problem::new(Code::ContradictingRoute, "the path and the tenant name different agents")
                .field("tenant", format!("the path says {base}")));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Ok(None),
    };
    if let Some(agent) = view.directory.agent(name.as_str(), view.who) {
        return Ok(Some(agent));
    }
    if view.directory.awaits(name.as_str(), view.who) {
        return Err(Problem::new(
            Code::NoInstance,
            format!("the agent {name} is known, but its card could not be read yet"),
        ));
    }
    Err(Problem::new(Code::NoSuchAgent, format!("there is no agent {name}")))
}

fn agent_alone(agent: &Agent, rule: &str) -> Resolved {
    Resolved {
        skill: None,
        meanings: Vec::new(),
        candidates: vec![Candidate::only(agent.name.clone())],
        rule: rule.into(),
        score: None,
    }
}

fn by_task(view: &View<'_>, head: &Head, id: &str, base: Option<&Arc<Agent>>) -> Result<Resolved, Problem> {
    let not_found = || Problem::new(Code::TaskNotFound, format!("there is no task {id}"));
    match view.tasks.owned(view.who, id) {
        Owned::Yes(row) => {
            if base.is_some_and(|agent| agent.name != row.agent) {
                return Err(not_found());
            }
            if let (Some(asked), Some(has)) = (&head.context, row.context())
                && *asked != has
            {
                return Err(Problem::new(
                    Code::TaskElsewhere,
                    format!("the task {id} belongs to the context {has}, the message names {asked}"),
                )
                .field("message.contextId", "differs from the task's"));
            }
            let candidate = Candidate { agent: row.agent.clone(), weight: 1, pinned: row.instance() };
            let skill = row.skill.clone();
            Ok(Resolved { skill, meanings: Vec::new(), candidates: vec![candidate], rule: "task".into(), score: None })
        }
        Owned::No => match base.filter(|agent| agent.settings.adopt) {
            Some(agent) => Ok(agent_alone(agent, "adopt")),
            None => Err(not_found()),
        },
    }
}

fn by_content(view: &View<'_>, head: &Head, call: &Call, base: Option<&Arc<Agent>>) -> Result<Resolved, Problem> {
    if let Some(skill) = &head.skill {
        return by_skill(view, head, call, base, skill);
    }
    if let Some(resolved) = by_context(view, head, base) {
        return Ok(resolved);
    }
    if let Some(resolved) = by_routes(view, head, call, base, None)? {
        return Ok(resolved);
    }
    if let Some(agent) = base {
        return Ok(agent_alone(agent, if head.base.is_some() { "path" } else { "tenant" }));
    }
    fallback(view, head, call)
}

/// The last steps: intent, the only or default agent, or a refusal that names what is near.
fn fallback(view: &View<'_>, head: &Head, call: &Call) -> Result<Resolved, Problem> {
    let directory = view.directory;
    let lone = match &directory.default_agent {
        Some(name) => Some(name),
        None if directory.agents.len() == 1 => directory.agents.keys().next(),
        None => None,
    };
    let lone = lone.and_then(|name| directory.agent(name.as_str(), view.who));
    if let Some(agent) = lone.filter(|_| !head.intent) {
        return Ok(agent_alone(agent, if directory.default_agent.is_some() { "default agent" } else { "only agent" }));
    }
    if !directory.agents.keys().any(|name| directory.agent(name.as_str(), view.who).is_some()) {
        return Err(Problem::new(Code::NoAgents, "no agent is registered with this gateway"));
    }
    let text = call.peek.text.as_deref().unwrap_or_default();
    if (directory.intent || head.intent) && !text.trim().is_empty() {
        let visible = |doc: usize| {
            directory
                .index
                .docs()
                .get(doc)
                .and_then(|doc| directory.agent(doc.agent.as_str(), view.who))
                .is_some_and(|agent| agent.settings.visibility != Visibility::Hidden && agent.is_up())
        };
        return match directory.index.best(text, directory.threshold, intent::MARGIN, &visible) {
            Match::Sure(hit) => by_intent(view, &hit),
            Match::Unsure(hits) => Err(no_skill(view, &hits)),
        };
    }
    Err(no_skill(view, &[]))
}

fn by_intent(view: &View<'_>, hit: &super::search::Hit) -> Result<Resolved, Problem> {
    let Some(doc) = view.directory.index.docs().get(hit.doc) else { return Err(no_skill(view, &[])) };
    let mut resolved = match view.directory.skills.get(&doc.id) {
        Some(pool) if pool.uniform => holders(pool.agents.iter(), &doc.id, "intent"),
        _ => holders(std::iter::once(&doc.agent), &doc.id, "intent"),
    };
    resolved.score = Some((hit.score * 1000.0) as u32);
    Ok(resolved)
}

fn no_skill(view: &View<'_>, near: &[super::search::Hit]) -> Problem {
    let mut names: Vec<String> = near
        .iter()
        .take(3)
        .filter_map(|hit| view.directory.index.docs().get(hit.doc))
        .map(|doc| doc.id.to_string())
        .collect();
    if names.is_empty() {
        let listed = view.directory.listed(false);
        names = listed.iter().flat_map(|agent| agent.card.skills.iter().map(|skill| skill.id.clone())).collect();
        names.sort();
        names.dedup();
        names.truncate(5);
    }
    let detail = if names.is_empty() {
        "no skill fits the request".to_owned()
    } else {
        format!("no skill fits the request well enough; the nearest are: {}", names.join(", "))
    };
    Problem::new(Code::NoSkill, detail).field("message", "name a skill, an agent or a task")
}

fn holders<'a>(agents: impl Iterator<Item = &'a AgentName>, skill: &SkillId, rule: &str) -> Resolved {
    Resolved {
        skill: Some(skill.clone()),
        meanings: Vec::new(),
        candidates: agents.map(|agent| Candidate::only(agent.clone())).collect(),
        rule: rule.into(),
        score: None,
    }
}

fn by_skill(
    view: &View<'_>,
    head: &Head,
    call: &Call,
    base: Option<&Arc<Agent>>,
    asked: &SkillId,
) -> Result<Resolved, Problem> {
    let unknown = || {
        Problem::new(Code::NoSkill, format!("no agent has the skill {asked}"))
            .field("message.metadata", "the skill id is not in the card")
    };
    let (agent, skill) = match view.directory.skills.get(asked) {
        Some(_) => (None, asked.clone()),
        // A colliding id is offered as `agent/skill`.
        None => match asked.as_str().split_once('/') {
            Some((agent, skill)) => (Some(agent), SkillId::from(skill)),
            None => return Err(unknown()),
        },
    };
    let pool = view.directory.skills.get(&skill).ok_or_else(unknown)?;
    let allowed = |name: &&AgentName| {
        base.is_none_or(|agent| agent.name == **name) && agent.is_none_or(|agent| agent == name.as_str())
    };
    let known = |name: &&AgentName| view.directory.agent(name.as_str(), view.who).is_some();
    let mut names: Vec<&AgentName> = pool.agents.iter().filter(allowed).filter(known).collect();
    if names.is_empty() {
        return Err(unknown());
    }
    if let Some(mut resolved) = by_routes(view, head, call, base, Some((&skill, &names)))? {
        resolved.skill = Some(skill.clone());
        return Ok(resolved);
    }
    if names.len() > 1 && !pool.uniform {
        let hidden = |name: &AgentName| {
            view.directory.agents.get(name).is_some_and(|agent| agent.settings.visibility == Visibility::Hidden)
        };
        let choices: Vec<String> =
            names.iter().filter(|name| !hidden(name)).map(|name| format!("{name}/{skill}")).collect();
        return Err(Problem::new(
            Code::NoSkill,
            format!("several agents mean different things by {skill}; name one: {}", choices.join(", ")),
        ));
    }
    names.sort();
    Ok(holders(names.into_iter(), &skill, "skill"))
}

fn by_context(view: &View<'_>, head: &Head, base: Option<&Arc<Agent>>) -> Option<Resolved> {
    let context = head.context.as_ref()?;
    let (agent, instance) = view.tasks.context_owner(view.who, context)?;
    if base.is_some_and(|base| base.name != agent) || !view.directory.agents.contains_key(&agent) {
        return None;
    }
    let pinned = view.directory.instances.contains_key(&instance).then_some(instance);
    let candidate = Candidate { agent, weight: 1, pinned };
    Some(Resolved {
        skill: None,
        meanings: Vec::new(),
        candidates: vec![candidate],
        rule: "context".into(),
        score: None,
    })
}

fn by_routes(
    view: &View<'_>,
    head: &Head,
    call: &Call,
    base: Option<&Arc<Agent>>,
    skill: Option<(&SkillId, &[&AgentName])>,
) -> Result<Option<Resolved>, Problem> {
    let Some(rules) = &view.directory.routes.rules else { return Ok(None) };
    let value = if rules.reads().args { Some(call.value()?) } else { None };
    let headers = call.rule_headers();
    let facts = Facts {
        principal: view.who,
        operation: head.operation,
        skill: skill.map(|(id, _)| SkillFacts { id: id.as_str(), tags: &[], agent: "" }),
        agent: base.map(|agent| agent.name.as_str()),
        labels: &head.labels,
        headers: &headers,
        args: value.as_ref(),
        text: call.peek.text.as_deref(),
        now: None,
    };
    let Some(index) = rules.first_match(&facts) else { return Ok(None) };
    let targets = view.directory.routes.targets.get(index).map(Vec::as_slice).unwrap_or_default();
    let candidates: Vec<Candidate> = targets
        .iter()
        .filter(|target| base.is_none_or(|agent| agent.name == target.agent))
        .filter(|target| skill.is_none_or(|(_, holders)| holders.contains(&&target.agent)))
        .filter(|target| view.directory.agent(target.agent.as_str(), view.who).is_some())
        .map(|target| Candidate { agent: target.agent.clone(), weight: target.weight, pinned: target.instance.clone() })
        .collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    let skill = skill.map(|(id, _)| id.clone());
    Ok(Some(Resolved { skill, meanings: Vec::new(), candidates, rule: format!("routes[{index}]").into(), score: None }))
}
