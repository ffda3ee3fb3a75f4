//! One entry of the registry as somebody wrote it down: in the configuration, or over the API.
//!
//! The API's form is read here, every member checked, so that the rest of the registry need not.

use std::time::Duration;

use moongate_core::{AgentName, Code, InstanceId, Problem};
use moongate_wire::a2a::{Binding, Dialect, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::routing::credential::{Line, Shows};
use crate::routing::directory::{AgentSettings, Capabilities, TaskPolicy, Visibility};

/// Where an instance is known from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// It serves its card there.
    CardUrl(String),
    /// Its card, given by hand.
    Card(Value),
    /// It has no card; the gateway writes one (draft, *Agent Registry*: id, skill list, address, protocol type).
    Address {
        /// Its URL.
        address: String,
        /// `JSONRPC`, `HTTP+JSON`, `GRPC`, each with `/0.3` behind it for the older version.
        protocol: String,
        /// Skills in A2A's form.
        skills: Vec<Value>,
    },
    /// It is reached there and has the card of the agent's first instance.
    SameCard(String),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The agent's name; empty until the card has told it.
    pub name: String,
    /// The label of a further instance.
    #[serde(default)]
    pub instance: Option<String>,
    /// Where it is known from.
    pub at: At,
    /// Its share.
    #[serde(default = "one")]
    pub weight: u32,
    /// Its place.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether plain `http` to an address that is not loopback is meant.
    #[serde(default)]
    pub insecure: bool,
    /// Who may see it.
    #[serde(default)]
    pub visibility: Visibility,
    /// What its card promises.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Whether tasks without a record may be asked for.
    #[serde(default)]
    pub adopt: bool,
    /// Serves the merged card to clients that name no version.
    #[serde(default)]
    pub legacy_card: bool,
    /// How long an answer may take, in seconds; 0 is the gateway's own limit.
    #[serde(default)]
    pub timeout_seconds: u64,
    /// Requests in flight at once; 0 is no limit.
    #[serde(default)]
    pub max_in_flight: u32,
    /// Labels that searches show.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// Agents of one group share their skills.
    #[serde(default)]
    pub group: Option<String>,
    /// Skills that may be sent again.
    #[serde(default)]
    pub idempotent: Vec<String>,
    /// How its tasks are kept.
    #[serde(default)]
    pub tasks: TaskPolicy,
    /// What the agent is shown; only from the configuration.
    #[serde(skip)]
    pub shows: Option<Shows>,
    /// Connections of its own, where it is shown a certificate; only from the configuration.
    #[serde(skip)]
    pub line: Option<Line>,
    /// Who must have the scopes that its card demands; only from the configuration.
    #[serde(skip)]
    pub card_scopes: crate::security::CardScopes,
    /// How its card has to be signed; only from the configuration.
    #[serde(skip)]
    pub signature: super::signature::Wanted,
    /// How the agent's instances are balanced, where that differs from the usual; only from the configuration.
    #[serde(skip)]
    pub balance: Option<crate::routing::balance::Settings>,
    /// What consistent hashing hashes there; only from the configuration.
    #[serde(skip)]
    pub hash_by: Option<crate::gateway::HashBy>,
    /// The most instances that one request is tried on; only from the configuration.
    #[serde(skip)]
    pub attempts: Option<u32>,
}

fn one() -> u32 {
    1
}

impl Spec {
    /// An entry with nothing but a name and a place.
    pub fn new(name: &str, at: At) -> Self {
        Self {
            name: name.to_owned(),
            instance: None,
            at,
            weight: 1,
            zone: None,
            insecure: false,
            visibility: Visibility::Public,
            capabilities: Capabilities::Offer,
            adopt: false,
            legacy_card: false,
            timeout_seconds: 0,
            max_in_flight: 0,
            labels: Vec::new(),
            group: None,
            idempotent: Vec::new(),
            tasks: TaskPolicy::default(),
            shows: None,
            line: None,
            card_scopes: crate::security::CardScopes::default(),
            signature: super::signature::Wanted::default(),
            balance: None,
            hash_by: None,
            attempts: None,
        }
    }

    /// `name`, or `name@label`.
    pub fn id(&self) -> InstanceId {
        match &self.instance {
            Some(label) => format!("{}@{label}", self.name).into(),
            None => self.name.as_str().into(),
        }
    }

    /// The settings that requests need.
    pub fn settings(&self, request_timeout: Duration) -> AgentSettings {
        AgentSettings {
            tasks: self.tasks.clone(),
            visibility: self.visibility,
            capabilities: self.capabilities,
            adopt: self.adopt,
            legacy_card: self.legacy_card,
            timeout: match self.timeout_seconds {
                0 => request_timeout,
                seconds => Duration::from_secs(seconds),
            },
            max_in_flight: self.max_in_flight,
            group: self.group.clone(),
            zone: self.zone.clone(),
            hash_by: self.hash_by,
            attempts: self.attempts,
            labels: self.labels.clone(),
            idempotent: self.idempotent.clone(),
            card_scopes: self.card_scopes,
            signature: self.signature.clone(),
            card_url: match &self.at {
                At::CardUrl(url) => Some(url.clone()),
                At::Card(_) | At::Address { .. } | At::SameCard(_) => None,
            },
        }
    }

    /// Reads the body of `POST /api/v1/agents`.
    ///
    /// # Errors
    /// `InvalidParams` that names the member.
    pub fn read(body: &Value) -> Result<Self, Problem> {
        let Some(members) = body.as_object() else {
            return Err(bad("", "the body is not a JSON object"));
        };
        const KNOWN: [&str; 15] = [
            "name",
            "id",
            "instance",
            "card_url",
            "card",
            "skills",
            "address",
            "protocol",
            "weight",
            "zone",
            "insecure",
            "visibility",
            "group",
            "legacy_card",
            "timeout_seconds",
        ];
        if let Some(unknown) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(bad(unknown, &format!("is not a member of a registration; known are {}", KNOWN.join(", "))));
        }
        let text = |name: &str| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(bad(name, "is not a non-empty string")),
        };
        let at = Self::read_place(members, &text)?;
        let mut spec = Self::new(&text("name")?.or(text("id")?).unwrap_or_default(), at);
        if !spec.name.is_empty() {
            spec.name = AgentName::parse(&spec.name).map_err(|why| bad("name", &why))?.to_string();
        }
        spec.instance = text("instance")?;
        if let Some(label) = &spec.instance {
            AgentName::parse(label).map_err(|why| bad("instance", &why))?;
        }
        spec.zone = text("zone")?;
        spec.group = text("group")?;
        spec.weight = match members.get("weight") {
            None => 1,
            Some(value) => value
                .as_u64()
                .and_then(|weight| u32::try_from(weight).ok())
                .filter(|weight| (1..=1000).contains(weight))
                .ok_or_else(|| bad("weight", "is not a whole number from 1 to 1000"))?,
        };
        spec.timeout_seconds = match members.get("timeout_seconds") {
            None => 0,
            Some(value) => value.as_u64().ok_or_else(|| bad("timeout_seconds", "is not a whole number"))?,
        };
        let flag = |name: &str| match members.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| bad(name, "is not true or false")),
        };
        spec.insecure = flag("insecure")?;
        spec.legacy_card = flag("legacy_card")?;
        spec.visibility = match text("visibility")?.as_deref() {
            None | Some("public") => Visibility::Public,
            Some("extended") => Visibility::Extended,
            Some("hidden") => Visibility::Hidden,
            Some(_) => return Err(bad("visibility", "is not one of public, extended, hidden")),
        };
        Ok(spec)
    }

    fn read_place(
        members: &serde_json::Map<String, Value>,
        text: &dyn Fn(&str) -> Result<Option<String>, Problem>,
    ) -> Result<At, Problem> {
        let named: Vec<&str> =
            ["card_url", "card", "address"].into_iter().filter(|name| members.contains_key(*name)).collect();
        match named.as_slice() {
            ["card_url"] => Ok(At::CardUrl(text("card_url")?.unwrap_or_default())),
            ["card"] => Ok(At::Card(members.get("card").cloned().unwrap_or_default())),
            ["address"] => {
                let skills = members.get("skills").and_then(Value::as_array).cloned();
                let skills = skills.ok_or_else(|| bad("skills", "is missing: list the skills of the agent"))?;
                let protocol = text("protocol")?.unwrap_or_else(|| "JSONRPC".into());
                dialect(&protocol)?;
                Ok(At::Address {
                    address: text("address")?.unwrap_or_default(),
                    protocol,
                    skills: skills
                        .into_iter()
                        .enumerate()
                        .map(|(n, skill)| read_skill(n, skill))
                        .collect::<Result<_, _>>()?,
                })
            }
            [] => Err(bad("card_url", "is missing: name a card_url, a card, or an address with skills")),
            several => {
                Err(bad(several.first().copied().unwrap_or_default(), "name only one of card_url, card and address"))
            }
        }
    }
}

fn bad(field: &str, why: &str) -> Problem {
    let detail = if field.is_empty() { why.to_owned() } else { format!("{field} {why}") };
    Problem::new(Code::InvalidParams, detail).field(field, why)
}

/// A skill as an id alone, or as an object with at least an id; what A2A requires besides is filled in.
fn read_skill(n: usize, skill: Value) -> Result<Value, Problem> {
    let mut members = match skill {
        Value::String(id) if !id.is_empty() => json!({ "id": id }),
        Value::Object(members) => Value::Object(members),
        _ => return Err(bad(&format!("skills[{n}]"), "is neither an id nor an object")),
    };
    let id = members.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let id = id.ok_or_else(|| bad(&format!("skills[{n}].id"), "is missing"))?;
    if let Some(members) = members.as_object_mut() {
        members.entry("name").or_insert_with(|| json!(id));
        members.entry("description").or_insert_with(|| json!(id));
        members.entry("tags").or_insert_with(|| json!([]));
    }
    Ok(members)
}

/// The dialect that a protocol type names.
///
/// # Errors
/// `InvalidParams` for anything else.
pub fn dialect(protocol: &str) -> Result<Dialect, Problem> {
    let (binding, version) = match protocol.split_once('/') {
        None => (protocol, Version::V1),
        Some((binding, "1.0")) => (binding, Version::V1),
        Some((binding, "0.3")) => (binding, Version::V03),
        Some(_) => return Err(bad("protocol", "names a version other than 1.0 and 0.3")),
    };
    let binding = match binding.to_ascii_uppercase().as_str() {
        "JSONRPC" | "A2A" => Binding::JsonRpc,
        "HTTP+JSON" | "REST" | "HTTP" => Binding::Http,
        "GRPC" => Binding::Grpc,
        _ => return Err(bad("protocol", "is not one of JSONRPC, HTTP+JSON, GRPC (with /0.3 for the older version)")),
    };
    Ok(Dialect { binding, version })
}

/// The card that the gateway writes for an agent without one.
pub fn write_card(name: &str, address: &str, protocol: &str, skills: &[Value]) -> Result<Value, Problem> {
    let dialect = dialect(protocol)?;
    Ok(json!({
        "name": name,
        "description": format!("The agent {name}."),
        "version": "1",
        "supportedInterfaces": [{
            "url": address,
            "protocolBinding": dialect.binding.as_str(),
            "protocolVersion": dialect.version.as_str(),
        }],
        "capabilities": {},
        "defaultInputModes": ["text/plain", "application/json"],
        "defaultOutputModes": ["text/plain", "application/json"],
        "skills": skills,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drafts_form_is_read() {
        let spec = Spec::read(&json!({"id": "lamp", "skills": ["light.on", {"id": "light.off", "tags": ["light"]}],
            "address": "http://127.0.0.1:9", "protocol": "HTTP+JSON"}))
        .unwrap();
        assert_eq!(spec.id().as_str(), "lamp");
        let At::Address { skills, protocol, .. } = &spec.at else { panic!("{:?}", spec.at) };
        assert_eq!(skills[0]["name"], "light.on");
        assert_eq!(skills[1]["tags"], json!(["light"]));
        assert_eq!(dialect(protocol).unwrap().binding, Binding::Http);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!([]), ""),
            (json!({}), "card_url"),
            (json!({"card_url": "http://a", "card": {}}), "card_url"),
            (json!({"card_url": "http://a", "colour": 1}), "colour"),
            (json!({"card_url": "http://a", "weight": 0}), "weight"),
            (json!({"card_url": "http://a", "name": "tasks"}), "name"),
            (json!({"address": "http://a"}), "skills"),
            (json!({"address": "http://a", "skills": [{}]}), "skills[0].id"),
            (json!({"address": "http://a", "skills": [], "protocol": "SOAP"}), "protocol"),
        ];
        for (body, field) in cases {
            let problem = Spec::read(&body).unwrap_err();
            assert_eq!(problem.fields[0].field, field, "{body}");
        }
    }
}
