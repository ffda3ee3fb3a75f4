//! Making a directory of the registry's entries. Pure apart from the connections that it looks up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use moongate_core::{AgentName, InstanceId, SkillId};

use super::fetch::host_named;
use super::upstreams::{Judge, upstreams};
use super::{AgentRegistry, Entry};
use crate::routing::balance::{Balancer, Instance};
use crate::routing::directory::{Agent, Directory, Endpoint, Pool, Visibility};
use crate::routing::discovery::Rendered;
use crate::routing::search::{SkillDoc, SkillIndex};
use crate::security::{Demands, Natures};

/// The directory of these entries.
pub(crate) fn directory(registry: &AgentRegistry, entries: &BTreeMap<InstanceId, Entry>, revision: u64) -> Directory {
    let settings = registry.settings.lock().clone();
    let mut grouped: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in entries.values() {
        grouped.entry(entry.spec.name.as_str()).or_default().push(entry);
    }
    let (mut agents, mut instances, mut pending) = (HashMap::new(), HashMap::new(), HashMap::new());
    for (name, group) in grouped {
        let name = AgentName::from(name);
        match agent(registry, &settings, &name, &group, revision) {
            Some(agent) => {
                for endpoint in &agent.endpoints {
                    instances.insert(endpoint.id.clone(), name.clone());
                }
                agents.insert(name, Arc::new(agent));
            }
            None => {
                let visibility = group.first().map(|entry| entry.spec.visibility).unwrap_or_default();
                pending.insert(name, visibility);
            }
        }
    }
    let skills = pools(&agents, &settings.balance, revision);
    let index = index(&agents);
    Directory {
        agents,
        instances,
        skills,
        index,
        routes: settings.routes,
        default_agent: settings.default_agent,
        intent: settings.intent,
        threshold: settings.threshold,
        revision,
        made_at: registry.grounds.clock.now().0 / 1000,
        pending,
        cards: Rendered::default(),
    }
}

/// One agent of its entries; `None` while none of them has a card.
fn agent(
    registry: &AgentRegistry,
    settings: &super::RegistrySettings,
    name: &AgentName,
    group: &[&Entry],
    revision: u64,
) -> Option<Agent> {
    let mut endpoints = Vec::new();
    for entry in group {
        let Some(card) = &entry.card else { continue };
        let host = host_named(&entry.spec);
        let judge = Judge {
            host: host.as_deref(),
            insecure: entry.spec.insecure,
            own: &registry.grounds.own,
            shows: entry.spec.shows.as_ref(),
        };
        let Ok(upstreams) = upstreams(card, registry.pool(&entry.spec), &judge) else { continue };
        endpoints.push(Arc::new(Endpoint {
            id: entry.spec.id(),
            load: entry.load.clone(),
            card: card.clone(),
            upstreams,
        }));
    }
    let first = group.iter().find(|entry| entry.card.is_some())?;
    let balance = first.spec.balance.clone().unwrap_or_else(|| settings.balance.clone());
    let loads: Vec<Arc<Instance>> = endpoints.iter().map(|endpoint| endpoint.load.clone()).collect();
    let cards = || group.iter().filter_map(|entry| entry.card.as_deref());
    Some(Agent {
        name: name.clone(),
        demands: Demands::of(cards(), first.spec.card_scopes),
        natures: Natures::of(cards()),
        settings: first.spec.settings(settings.request_timeout),
        card: first.card.clone()?,
        endpoints,
        balancer: Balancer::new(balance, loads, revision),
        series: registry.grounds.metrics.agent(name.as_str()),
    })
}

/// Who holds which skill.
fn pools(
    agents: &HashMap<AgentName, Arc<Agent>>,
    balance: &crate::routing::balance::Settings,
    revision: u64,
) -> HashMap<SkillId, Pool> {
    let mut holders: BTreeMap<&str, Vec<&Arc<Agent>>> = BTreeMap::new();
    for agent in agents.values() {
        for skill in &agent.card.skills {
            holders.entry(skill.id.as_str()).or_default().push(agent);
        }
    }
    let mut pools = HashMap::new();
    for (id, mut agents) in holders {
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        agents.dedup_by(|a, b| a.name == b.name);
        let definitions: Vec<_> =
            agents.iter().filter_map(|agent| agent.card.skills.iter().find(|skill| skill.id == id)).collect();
        let Some(first) = definitions.first() else { continue };
        let grouped = agents.first().is_some_and(|first| {
            first.settings.group.is_some() && agents.iter().all(|agent| agent.settings.group == first.settings.group)
        });
        let same = definitions.iter().all(|skill| {
            skill.name == first.name && skill.description == first.description && skill.tags == first.tags
        });
        let loads =
            agents.iter().flat_map(|agent| agent.endpoints.iter().map(|endpoint| endpoint.load.clone())).collect();
        pools.insert(
            SkillId::from(id),
            Pool {
                agents: agents.iter().map(|agent| agent.name.clone()).collect(),
                uniform: same || grouped,
                balancer: Balancer::new(balance.clone(), loads, revision),
                skill: (*first).clone(),
            },
        );
    }
    pools
}

/// The search index over the skills of agents that may be found.
fn index(agents: &HashMap<AgentName, Arc<Agent>>) -> SkillIndex {
    let mut docs = Vec::new();
    let mut sorted: Vec<_> = agents.values().filter(|agent| agent.settings.visibility != Visibility::Hidden).collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for agent in sorted {
        for skill in &agent.card.skills {
            let mut doc = SkillDoc::new(agent.name.clone(), SkillId::from(skill.id.as_str()), skill.name.clone());
            doc.description = skill.description.clone();
            doc.tags = skill.tags.clone();
            doc.examples = skill.examples.clone();
            doc.inputs = inputs(agent, skill);
            doc.zone = agent.settings.zone.clone();
            doc.labels = agent.settings.labels.clone();
            docs.push(doc);
        }
    }
    SkillIndex::build(docs)
}

/// The media types that a skill takes: its own, or its agent's.
fn inputs(agent: &Agent, skill: &moongate_wire::a2a::card::Skill) -> Vec<String> {
    let list = |value: Option<&serde_json::Value>| -> Vec<String> {
        let items = value.and_then(serde_json::Value::as_array);
        items
            .map(|items| items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
            .unwrap_or_default()
    };
    let own = list(skill.raw.get("inputModes"));
    if own.is_empty() { list(agent.card.document.get("defaultInputModes")) } else { own }
}
