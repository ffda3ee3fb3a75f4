//! The configuration's agents as entries of the registry.

use moongate_a2a::routing::directory::{Capabilities, TaskPolicy, Visibility};
use moongate_a2a::routing::registry::signature::{self, Wanted};
use moongate_a2a::routing::registry::spec::{At, Spec};
use moongate_a2a::security::CardScopes;
use moongate_config::{Config, schema};
use moongate_core::seam::notary::KeysAt;
use moongate_core::{Code, Problem};
use serde_json::{Value, json};

use super::outbound::Outbound;
use super::settings;

/// One entry for each agent and each of its further instances.
pub(crate) fn specs(config: &Config, outbound: &Outbound) -> Result<Vec<Spec>, Problem> {
    let mut specs = Vec::new();
    for agent in &config.agents {
        let first = specs.len();
        if let Some(source) = &agent.source {
            specs.push(fill(Spec::new(&agent.name, place(&agent.name, source)?), agent, None));
        }
        for instance in &agent.instances {
            let at = match &instance.at {
                schema::InstanceAt::CardUrl(url) => At::CardUrl(url.clone()),
                schema::InstanceAt::Address(address) => At::SameCard(address.clone()),
            };
            specs.push(fill(Spec::new(&agent.name, at), agent, Some(instance)));
        }
        let (shows, line) = (outbound.shows(config, agent)?, outbound.line(agent)?);
        for spec in specs.iter_mut().skip(first) {
            (spec.shows, spec.line) = (shows.clone(), line.clone());
        }
    }
    Ok(specs)
}

fn fill(mut spec: Spec, agent: &schema::Agent, instance: Option<&schema::Instance>) -> Spec {
    spec.instance = instance.map(|instance| instance.label.clone());
    spec.weight = instance.map_or(agent.weight, |instance| instance.weight);
    spec.zone = instance.and_then(|instance| instance.zone.clone()).or_else(|| agent.zone.clone());
    spec.insecure = agent.insecure;
    spec.adopt = agent.adopt;
    spec.legacy_card = agent.legacy_card;
    spec.group = agent.group.clone();
    spec.timeout_seconds = agent.timeout_seconds.map_or(0, |span| span.as_secs().max(1));
    spec.max_in_flight = agent.max_in_flight.unwrap_or(0);
    spec.idempotent = agent.idempotent.clone();
    spec.tasks = TaskPolicy {
        queue: agent.queue,
        dedup: agent.dedup == schema::Dedup::MessageId,
        concurrency: agent.concurrency.unwrap_or(0),
        timeouts: settings::timeouts(&agent.timeouts),
    };
    spec.labels = agent.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    spec.capabilities = match agent.capabilities {
        schema::Capabilities::Offer => Capabilities::Offer,
        schema::Capabilities::Agent => Capabilities::Agent,
    };
    spec.visibility = match agent.visibility {
        schema::Visibility::Public => Visibility::Public,
        schema::Visibility::Extended => Visibility::Extended,
        schema::Visibility::Hidden => Visibility::Hidden,
    };
    spec.balance = agent.balance.as_ref().map(settings::balance);
    spec.hash_by = agent.balance.as_ref().map(|balance| settings::hash_by(balance.key));
    spec.attempts = agent.balance.as_ref().map(|balance| balance.attempts);
    spec.card_scopes = match agent.card_scopes {
        schema::CardScopes::Ignore => CardScopes::Ignore,
        schema::CardScopes::Callers => CardScopes::Callers,
        schema::CardScopes::Everybody => CardScopes::Everybody,
    };
    spec.signature = wanted(&agent.signature);
    spec
}

fn wanted(signature: &schema::CardSignature) -> Wanted {
    Wanted {
        policy: match signature.policy {
            schema::Signatures::Ignore => signature::Policy::Ignore,
            schema::Signatures::Check => signature::Policy::Check,
            schema::Signatures::Require => signature::Policy::Require,
        },
        keys: signature.jwks.as_ref().map(|jwks| match jwks {
            schema::Jwks::File(path) => KeysAt::File(path.clone()),
            schema::Jwks::Url(url) => KeysAt::Url(url.clone()),
        }),
    }
}

fn place(name: &str, source: &schema::Source) -> Result<At, Problem> {
    Ok(match source {
        schema::Source::CardUrl(url) => At::CardUrl(url.clone()),
        schema::Source::CardFile(path) => {
            let text = std::fs::read(path).map_err(|error| {
                Problem::new(
                    Code::ConfigUnreadable,
                    format!("the card of {name}, {}, cannot be read: {error}", path.display()),
                )
            })?;
            let card: Value = serde_json::from_slice(&text).map_err(|error| {
                Problem::new(
                    Code::ConfigWrongValue,
                    format!("the card of {name}, {}, is not JSON: {error}", path.display()),
                )
            })?;
            At::Card(card)
        }
        schema::Source::Card(card) => At::Card(card.clone()),
        schema::Source::Address { address, protocol, skills } => At::Address {
            address: address.clone(),
            protocol: match protocol {
                schema::Protocol::JsonRpc => "JSONRPC",
                schema::Protocol::Http => "HTTP+JSON",
                schema::Protocol::Grpc => "GRPC",
                schema::Protocol::JsonRpcV03 => "JSONRPC/0.3",
            }
            .to_owned(),
            skills: skills.iter().map(skill).collect(),
        },
    })
}

fn skill(skill: &schema::Skill) -> Value {
    json!({
        "id": skill.id, "name": skill.name, "description": skill.description, "tags": skill.tags, "examples": skill.examples,
    })
}
