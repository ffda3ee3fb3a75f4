//! Reads `[[agents]]`: where each is known from, its copies, its secrets.

use std::path::PathBuf;

use moongate_core::{AgentName, Code};
use serde_json::Value as Json;
use toml::de::DeValue;

use super::signature::signature;
use super::{Words, auth, balance, peers, url};
use crate::keys::SKILL;
use crate::problems::Mistake;
use crate::read::{Table, Wrong, described, expand};
use crate::schema::{
    Adapter, Agent, Balance, Capabilities, CardScopes, Dedup, Instance, InstanceAt, Protocol, Skill, Source, Visibility,
};
use crate::secret::Secret;
use crate::url::{Reach, Url};

const ADAPTERS: Words<Adapter> = &[("http", Adapter::Http)];
const PROTOCOLS: Words<Protocol> = &[
    ("JSONRPC", Protocol::JsonRpc),
    ("HTTP+JSON", Protocol::Http),
    ("GRPC", Protocol::Grpc),
    ("JSONRPC-0.3", Protocol::JsonRpcV03),
];
const CARD_SCOPES: Words<CardScopes> =
    &[("ignore", CardScopes::Ignore), ("callers", CardScopes::Callers), ("everybody", CardScopes::Everybody)];
const CAPABILITIES: Words<Capabilities> = &[("offer", Capabilities::Offer), ("agent", Capabilities::Agent)];
const DEDUPS: Words<Dedup> = &[("off", Dedup::Off), ("message-id", Dedup::MessageId)];
const VISIBILITIES: Words<Visibility> =
    &[("public", Visibility::Public), ("extended", Visibility::Extended), ("hidden", Visibility::Hidden)];

/// Reads one agent; `general` is `[balance]`.
pub(super) fn agent(table: &Table<'_>, general: &Balance) -> Agent {
    let insecure = table.flag("insecure").unwrap_or_default();
    let source = source(table, insecure);
    let instances: Vec<Instance> =
        table.tables("instances").iter().filter_map(|instance| self::instance(instance, insecure)).collect();
    Agent {
        name: name(table),
        signature: signature(table, source.as_ref()),
        source,
        instances,
        weight: table.integer("weight").unwrap_or(1),
        zone: table.text("zone"),
        labels: table.labels("labels"),
        adapter: table.word("adapter", ADAPTERS).unwrap_or(Adapter::Http),
        insecure,
        adopt: table.flag("adopt").unwrap_or_default(),
        legacy_card: table.flag("legacy_card").unwrap_or_default(),
        capabilities: table.word("capabilities", CAPABILITIES).unwrap_or(Capabilities::Offer),
        card_scopes: table.word("card_scopes", CARD_SCOPES).unwrap_or(CardScopes::Callers),
        visibility: table.word("visibility", VISIBILITIES).unwrap_or(Visibility::Public),
        group: table.text("group"),
        timeout_seconds: table.seconds("timeout_seconds"),
        idempotent: table.texts("idempotent").into_iter().map(|(skill, _)| skill).collect(),
        authorization: secret(table, "authorization"),
        auth: auth::auth(table),
        client_certificate: auth::certificate(table),
        spiffe: peers::spiffe(table),
        balance: table.table("balance").map(|own| balance(&own.without_defaults(), general)),
        max_in_flight: table.integer("max_in_flight"),
        queue: table.flag("queue").unwrap_or(true),
        concurrency: table.integer("concurrency"),
        dedup: table.word("dedup", DEDUPS).unwrap_or(Dedup::Off),
        timeouts: super::timeouts(table),
    }
}

fn name(table: &Table<'_>) -> String {
    let name = table.required("name");
    if !name.is_empty()
        && let Err(why) = AgentName::parse(&name)
    {
        table.wrong("name", why, "take a short word, as \"lights\" or \"lights-2\"");
    }
    name
}

fn source(table: &Table<'_>, insecure: bool) -> Option<Source> {
    const WAYS: [&str; 3] = ["card_url", "card", "address"];
    let given: Vec<&str> = WAYS.into_iter().filter(|way| table.has(way)).collect();
    if let [first, others @ ..] = given.as_slice()
        && !others.is_empty()
    {
        let mut mistake =
            Mistake::new(Code::ConfigWrongValue, format!("`{}` is known from more than one place", table.path));
        mistake = mistake.at(table.place_of(first), "this");
        for other in others {
            mistake = mistake.at(table.place_of(other), "and this");
        }
        table.notes.mistake(mistake.hint("keep one; further copies of the agent go into `instances`"));
    }
    for key in ["protocol", "skills"] {
        if table.has(key) && !table.has("address") {
            let mistake =
                Mistake::new(Code::ConfigWrongValue, format!("`{}` has `{key}` but no `address`", table.path));
            let hint = format!("a card says that already: remove `{key}`, or give an `address` in place of the card");
            table.notes.mistake(mistake.at(table.place_of(key), "").hint(hint));
        }
    }
    match given.first().copied() {
        Some("card_url") => judged(table, "card_url", insecure).map(Source::CardUrl),
        Some("card") => card(table),
        Some(_) => {
            let address = judged(table, "address", insecure)?;
            let protocol = table.word("protocol", PROTOCOLS).unwrap_or(Protocol::JsonRpc);
            Some(Source::Address { address, protocol, skills: skills(table) })
        }
        None => {
            let copies = table.tables("instances");
            for copy in copies.iter().filter(|copy| copy.has("address")) {
                let message = format!("`{}` has an `address`, but nothing says what the agent speaks", copy.path);
                let mistake = Mistake::new(Code::ConfigWrongValue, message).at(copy.place_of("address"), "");
                table
                    .notes
                    .mistake(mistake.hint("give the instance a `card_url`, or the agent itself a card or an address"));
            }
            if copies.is_empty() {
                let mistake =
                    Mistake::new(Code::ConfigWrongValue, format!("`{}` does not say where the agent is", table.path));
                let hint =
                    "add `card_url = \"http://…/.well-known/agent-card.json\"`, or `card`, or `address` with `skills`";
                table.notes.mistake(mistake.at(table.place.clone(), "in this table").hint(hint));
            }
            None
        }
    }
}

/// A URL that the gateway will call: plain http stays near.
fn judged(table: &Table<'_>, key: &str, insecure: bool) -> Option<String> {
    let text = url(table, key)?;
    let parsed = Url::parse(&text).ok()?;
    if parsed.secure {
        return Some(text);
    }
    let path = table.path_of(key);
    match parsed.reach() {
        Reach::Loopback => {}
        Reach::Private | Reach::Unknown if insecure => {}
        Reach::Public => table.wrong(
            key,
            format!("`{path}` is plain http to a public address"),
            "use https: plain http is only for private networks",
        ),
        Reach::Private | Reach::Unknown => {
            let hint = "use https, or add `insecure = true` to the agent if its network is private and trusted";
            table.wrong(key, format!("`{path}` is plain http to another machine"), hint);
        }
    }
    Some(text)
}

fn card(table: &Table<'_>) -> Option<Source> {
    match table.get("card")?.get_ref() {
        DeValue::Table(_) => {
            let value = table.get("card")?;
            Some(Source::Card(json(value.get_ref())))
        }
        DeValue::String(_) => {
            let path = table.path("card")?;
            table.notes.files.borrow_mut().push(path.clone());
            if let Err(error) = std::fs::metadata(&path) {
                let message = format!("the card {} cannot be read: {error}", path.display());
                table.wrong("card", message, "paths are relative to the configuration file; check this one");
            }
            Some(Source::CardFile(path))
        }
        other => {
            table.wrong(
                "card",
                format!("`{}` is {}", table.path_of("card"), described(other)),
                "it takes the path of a file, or the card itself as a table",
            );
            None
        }
    }
}

/// A TOML value as JSON; dates become text.
fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Json::Null, |number| Json::Number(number.into())),
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            number.map_or(Json::Null, Json::Number)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(moment) => Json::String(moment.to_string()),
        DeValue::Array(items) => Json::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(entries) => {
            entries.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}

fn skills(table: &Table<'_>) -> Vec<Skill> {
    let Some(value) = table.get("skills") else {
        let mistake =
            Mistake::new(Code::ConfigWrongValue, format!("`{}` has an `address` but no `skills`", table.path));
        let mistake = mistake.at(table.place_of("address"), "known only by its address");
        table.notes.mistake(mistake.hint("add `skills = [\"…\"]`, or use `card_url` if the agent serves a card"));
        return Vec::new();
    };
    let DeValue::Array(items) = value.get_ref() else {
        let found = described(value.get_ref());
        table.wrong(
            "skills",
            format!("`{}` is {found}", table.path_of("skills")),
            "it takes a list, as `skills = [\"lights.set\"]`",
        );
        return Vec::new();
    };
    let mut skills: Vec<Skill> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{}[{index}]", table.path_of("skills"));
        let skill = match item.get_ref() {
            DeValue::String(id) => Skill {
                id: id.to_string(),
                name: id.to_string(),
                description: String::new(),
                tags: Vec::new(),
                examples: Vec::new(),
            },
            DeValue::Table(entries) => skill(&Table::new(table.notes, &SKILL, path, item.span(), entries)),
            other => {
                let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{path}` is {}", described(other)));
                table
                    .notes
                    .mistake(mistake.at(item.span(), "").hint("it takes a skill's id, or a table with its `id`"));
                continue;
            }
        };
        if skills.iter().any(|other| other.id == skill.id) {
            let mistake = Mistake::new(Code::ConfigDuplicate, format!("the skill {:?} is listed twice", skill.id));
            table.notes.mistake(mistake.at(item.span(), "").hint("remove one of them"));
        }
        skills.push(skill);
    }
    skills
}

fn skill(table: &Table<'_>) -> Skill {
    let words = |key| table.texts(key).into_iter().map(|(word, _)| word).collect();
    let id = table.required("id");
    Skill {
        name: table.text("name").unwrap_or_else(|| id.clone()),
        description: table.text("description").unwrap_or_default(),
        tags: words("tags"),
        examples: words("examples"),
        id,
    }
}

fn instance(table: &Table<'_>, insecure: bool) -> Option<Instance> {
    let label = table.required("label");
    if !label.is_empty() && AgentName::parse(&label).is_err() {
        table.wrong(
            "label",
            format!("the label {label:?} is not one word"),
            "letters, digits, `.`, `_` and `-` are allowed",
        );
    }
    let at = match (table.has("card_url"), table.has("address")) {
        (true, false) => judged(table, "card_url", insecure).map(InstanceAt::CardUrl),
        (false, true) => judged(table, "address", insecure).map(InstanceAt::Address),
        (both, _) => {
            let what = if both { "has both `card_url` and `address`" } else { "does not say where it is" };
            let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{}` {what}", table.path));
            table.notes.mistake(
                mistake.at(table.place.clone(), "this instance").hint("give it either `card_url` or `address`"),
            );
            None
        }
    };
    Some(Instance { label, at: at?, weight: table.integer("weight").unwrap_or(1), zone: table.text("zone") })
}

/// A secret: text, `{ file = "…" }` or `{ env = "…" }`. Line ends at its end are no part of it.
pub(super) fn secret(table: &Table<'_>, key: &str) -> Option<Secret> {
    let value = table.get(key)?;
    let found = match value.get_ref() {
        DeValue::String(text) => expand(text, table.notes.env),
        DeValue::Table(entries) => {
            let entry =
                entries.iter().map(|(name, value)| (name.get_ref().as_ref(), value.get_ref())).collect::<Vec<_>>();
            match entry.as_slice() {
                [("env", DeValue::String(name))] => (table.notes.env)(name)
                    .ok_or_else(|| Wrong::Secret(format!("the environment variable {name:?} is not set"))),
                [("file", DeValue::String(path))] => from_file(table, path),
                _ => Err(Wrong::Type),
            }
        }
        _ => Err(Wrong::Type),
    };
    let path = table.path_of(key);
    match found.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()) {
        Ok(text) if text.is_empty() => {
            table.wrong(key, format!("`{path}` is empty"), "put the secret there, or remove the key")
        }
        Ok(text) if text.chars().any(char::is_control) => {
            table.wrong(key, format!("`{path}` has more than one line"), "a header's value is one line");
        }
        Ok(text) => return Some(Secret::new(text)),
        Err(Wrong::Secret(why)) => {
            table.notes.mistake(Mistake::new(Code::ConfigSecret, format!("`{path}`: {why}")).at(value.span(), ""));
        }
        Err(Wrong::Value(why)) => {
            table.wrong(key, format!("`{path}`: {why}"), "write `$${` for the two characters themselves")
        }
        Err(Wrong::Type | Wrong::Said) => {
            table.wrong(
                key,
                format!("`{path}` is not a secret"),
                "it takes text, `{ file = \"…\" }` or `{ env = \"…\" }`",
            );
        }
    }
    None
}

fn from_file(table: &Table<'_>, path: &str) -> Result<String, Wrong> {
    let path: PathBuf = table.notes.resolve(path);
    table.notes.files.borrow_mut().push(path.clone());
    let unusable = |why: &dyn std::fmt::Display| Wrong::Secret(format!("the file {} {why}", path.display()));
    let unreadable = |error: std::io::Error| unusable(&format!("cannot be read: {error}"));
    let metadata = std::fs::metadata(&path).map_err(unreadable)?;
    crate::judge_private(&metadata).map_err(|why| unusable(&format!("holds a secret, but {why}")))?;
    std::fs::read_to_string(&path).map_err(unreadable)
}
