//! Capability discovery: the cards that the gateway shows, the aggregated one and one for each agent.
//!
//! A card names the gateway's addresses only: of an agent's own card its interfaces, signatures and security schemes go,
//! and with them every link to the agent's own host. What was signed no longer stands there, so the gateway signs what it
//! shows (A2A 1.0 §8.4), cards of 1.0 only: a card that older readers take too has members that no signature covers.
//! Rendered cards are kept until the directory changes; with a new key a new directory is made.

mod proof;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use moongate_core::scope::Demand;
use moongate_core::seam::notary::Notary;
use moongate_wire::a2a::card::{self, signing};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use self::proof::LetsIn;
use self::proof::{guarded, needed};
use super::directory::{Agent, Capabilities, Directory};
use super::registry::upstreams::{host_of, is_loopback};
use crate::call::SKILL_ROUTING;
use crate::endpoint::WEBSOCKET;
use crate::tasks::control::PAUSE_RESUME;

/// Where the keys lie that cards are signed with.
pub const KEY_SET: &str = "/.well-known/jwks.json";

/// The gateway's own address, as the listener by which a card is fetched is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// `https://gw.home.example`, without a trailing slash.
    pub url: String,
    /// `gw.home.example:443`.
    pub authority: String,
    /// Whether whoever calls there has to prove who it is: then cards say so.
    pub guarded: bool,
    /// By what.
    pub lets_in: LetsIn,
}

/// Which card.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// Of all agents.
    Aggregate {
        /// With agents that only the extended card shows.
        extended: bool,
    },
    /// Of one agent.
    Agent(String),
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Pure A2A 1.0.
    Pure,
    /// 1.0 members and those that older clients read.
    Merged,
}

/// A card, ready to be sent.
#[derive(Debug)]
pub struct RenderedCard {
    /// The JSON.
    pub body: Bytes,
    /// A hash of it, quoted.
    pub etag: String,
    /// When it was made, as an HTTP date.
    pub last_modified: String,
}

/// Cards that were rendered from one directory.
#[derive(Default)]
pub struct Rendered(Mutex<HashMap<(Which, Form, Address), Arc<RenderedCard>>>);

/// A card of this directory; `None` if there is no such agent.
pub fn card(
    directory: &Directory,
    domain: &str,
    which: Which,
    form: Form,
    address: &Address,
    notary: &dyn Notary,
) -> Option<Arc<RenderedCard>> {
    let key = (which, form, address.clone());
    if let Some(card) = directory.cards.0.lock().get(&key) {
        return Some(card.clone());
    }
    let document = match &key.0 {
        Which::Aggregate { extended } => aggregate(directory, domain, address, *extended),
        Which::Agent(name) => {
            let mut document = single(directory.agents.get(name.as_str())?, address);
            // gRPC of the older version has no tenant: it reaches an agent only where there is no other.
            if form == Form::Merged
                && (directory.agents.len() == 1 || directory.default_agent.as_ref().is_some_and(|a| a.as_str() == name))
            {
                forget_tenant(&mut document);
            }
            document
        }
    };
    let document = match form {
        Form::Pure => sealed(document, address, notary),
        Form::Merged => card::merge_legacy(&guarded(document, address)),
    };
    let body = card::write(&document);
    let etag = format!("\"{}\"", hex(&Sha256::digest(&body)));
    let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(directory.made_at);
    let rendered = Arc::new(RenderedCard { body, etag, last_modified: httpdate::fmt_http_date(made) });
    directory.cards.0.lock().insert(key, rendered.clone());
    Some(rendered)
}

/// A card of 1.0 as it is shown: with the gateway's security scheme where callers need it, and its signature.
pub fn sealed(document: Value, address: &Address, notary: &dyn Notary) -> Value {
    let mut document = guarded(document, address);
    let keys_at = format!("{}{KEY_SET}", address.url);
    let forms = signing::forms(&document);
    let signatures = forms.iter().filter_map(|form| notary.sign(form, &keys_at)).collect();
    signing::attach(&mut document, signatures);
    document
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn forget_tenant(document: &mut Value) {
    let interfaces = document.get_mut("supportedInterfaces").and_then(Value::as_array_mut);
    for interface in interfaces.into_iter().flatten().filter_map(Value::as_object_mut) {
        interface.remove("tenant");
    }
}

/// The interfaces of a base: A2A's own bindings, and last ours, which most clients do not know.
fn interfaces(address: &Address, base: &str, tenant: Option<&str>) -> Value {
    let url = format!("{}{base}", address.url);
    let mut grpc = json!({"url": address.authority, "protocolBinding": "GRPC", "protocolVersion": "1.0"});
    if let (Some(tenant), Some(members)) = (tenant, grpc.as_object_mut()) {
        members.insert("tenant".into(), json!(tenant));
    }
    // `http…` becomes `ws…`, with TLS and without.
    let socket = format!("{}/ws", url.replacen("http", "ws", 1));
    json!([
        {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        {"url": url, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
        grpc,
        {"url": socket, "protocolBinding": WEBSOCKET, "protocolVersion": "1.0"},
    ])
}

/// One card over all agents that are listed (draft, *Agent Capability Discovery*).
pub fn aggregate(directory: &Directory, domain: &str, address: &Address, extended: bool) -> Value {
    let agents = directory.listed(extended);
    let mut skills = Vec::new();
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let mut seen = std::collections::HashSet::new();
    let demanding: Vec<_> = agents.iter().filter(|agent| !agent.demands.are_none()).collect();
    for agent in &agents {
        merge(&mut inputs, agent.card.document.get("defaultInputModes"));
        merge(&mut outputs, agent.card.document.get("defaultOutputModes"));
        for skill in &agent.card.skills {
            let pool = directory.skills.get(skill.id.as_str());
            let collides = pool.is_some_and(|pool| !pool.uniform);
            let id = if collides { format!("{}/{}", agent.name, skill.id) } else { skill.id.clone() };
            if seen.insert(id.clone()) {
                // Whoever holds it may be the one that gets the message.
                let holders = demanding.iter().filter(|holder| !collides || holder.name == agent.name);
                let demand = holders.fold(Demand::default(), |all, holder| all.and(&holder.demands.whole(&skill.id)));
                let needed = needed(address, &skill.id, &demand);
                skills.push(foreign_skill(agent, &skill.raw, Some(&id), needed));
            }
        }
    }
    let extended_exists =
        directory.agents.values().any(|agent| agent.settings.visibility == super::directory::Visibility::Extended);
    let mut document = json!({
        "name": domain,
        "description": format!("The agents of {domain}, behind one gateway."),
        "supportedInterfaces": interfaces(address, "/a2a", None),
        "version": "",
        "capabilities": {
            "streaming": true,
            "pushNotifications": true,
            "extensions": [
                {
                    "uri": SKILL_ROUTING,
                    "description": "Names the skill, zone and labels that a message is meant for.",
                    "required": false,
                },
                pausing(),
            ],
            "extendedAgentCard": extended_exists,
        },
        "defaultInputModes": or_text(inputs),
        "defaultOutputModes": or_text(outputs),
        "skills": skills,
    });
    let version = hex(&Sha256::digest(document.to_string()));
    if let Some(members) = document.as_object_mut() {
        members.insert("version".into(), json!(version.get(..12).unwrap_or_default()));
    }
    document
}

/// Our extension by which tasks are held.
fn pausing() -> Value {
    json!({
        "uri": PAUSE_RESUME,
        "description": "Holds a task and lets it go on: one that waits always, one in work if its agent can.",
        "required": false,
    })
}

fn or_text(modes: Vec<Value>) -> Vec<Value> {
    if modes.is_empty() { vec![json!("text/plain")] } else { modes }
}

fn merge(into: &mut Vec<Value>, modes: Option<&Value>) {
    for mode in modes.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
        if !into.contains(mode) {
            into.push(mode.clone());
        }
    }
}

/// The card of one agent at the gateway's address.
pub fn single(agent: &Agent, address: &Address) -> Value {
    let mut document = agent.card.document.clone();
    let Some(members) = document.as_object_mut() else { return document };
    for gone in ["signatures", "securitySchemes", "securityRequirements", "supportedInterfaces"] {
        members.remove(gone);
    }
    let base = format!("/agents/{}", agent.name);
    members.insert("supportedInterfaces".into(), interfaces(address, &base, Some(agent.name.as_str())));
    let inside = hosts(agent);
    for link in ["documentationUrl", "iconUrl"] {
        if members.get(link).and_then(Value::as_str).is_some_and(|url| is_inside(url, &inside)) {
            members.remove(link);
        }
    }
    let provider = members.get("provider").and_then(|provider| provider.get("url")).and_then(Value::as_str);
    if provider.is_some_and(|url| is_inside(url, &inside)) {
        members.remove("provider");
    }
    if agent.settings.capabilities == Capabilities::Offer {
        let capabilities = members.entry("capabilities").or_insert_with(|| Value::Object(Map::new()));
        if let Some(capabilities) = capabilities.as_object_mut() {
            capabilities.insert("streaming".into(), json!(true));
            capabilities.insert("pushNotifications".into(), json!(true));
            let extensions = capabilities.entry("extensions").or_insert_with(|| json!([]));
            if let Some(extensions) = extensions.as_array_mut()
                && !extensions.iter().any(|held| held.get("uri").and_then(Value::as_str) == Some(PAUSE_RESUME))
            {
                extensions.push(pausing());
            }
        }
    }
    if let Some(skills) = members.get_mut("skills").and_then(Value::as_array_mut) {
        for skill in skills {
            let id = skill.get("id").and_then(Value::as_str).unwrap_or_default();
            let needed = needed(address, id, &agent.demands.whole(id));
            *skill = foreign_skill(agent, skill, None, needed);
        }
    }
    document
}

/// A skill as strangers see it: the agent's own security schemes are not theirs, what they need is said in the gateway's.
fn foreign_skill(agent: &Agent, skill: &Value, id: Option<&str>, needed: Option<Value>) -> Value {
    let mut skill = skill.clone();
    if let Some(members) = skill.as_object_mut() {
        members.remove("securityRequirements");
        if let Some(needed) = needed {
            members.insert("securityRequirements".into(), needed);
        }
        if let Some(id) = id {
            members.insert("id".into(), json!(id));
        }
        for modes in ["inputModes", "outputModes"] {
            let default = if modes == "inputModes" { "defaultInputModes" } else { "defaultOutputModes" };
            if let (true, Some(inherited)) =
                (id.is_some() && !members.contains_key(modes), agent.card.document.get(default))
            {
                members.insert(modes.into(), inherited.clone());
            }
        }
    }
    skill
}

/// The hosts that an agent lives on.
fn hosts(agent: &Agent) -> Vec<String> {
    let interfaces = agent.card.interfaces.iter().filter_map(|interface| host_of(&interface.url));
    let upstreams = agent.endpoints.iter().flat_map(|endpoint| &endpoint.upstreams);
    interfaces.chain(upstreams.map(|upstream| upstream.origin.origin().host.clone())).collect()
}

fn is_inside(url: &str, inside: &[String]) -> bool {
    host_of(url).is_none_or(|host| {
        is_loopback(&host)
            || inside.iter().any(|own| own.eq_ignore_ascii_case(&host))
            || host.parse::<std::net::IpAddr>().is_ok()
    })
}
