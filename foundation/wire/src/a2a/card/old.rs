//! The canonical 1.0 document in the clothes of 0.3: alone, as ProtoJSON, or merged with the 1.0 members.
//!
//! Made for cards of addresses that speak 0.3 as well: the interfaces stated as 0.x if there are any, else all that 0.3
//! has a name for. Those with a tenant are left out while others remain, since 0.3 cannot say it.
//!
//! What 0.3 has no member for (`deviceCode` flows, `pkceRequired`) stays where it is; 0.3 readers skip it.

use serde_json::{Map, Value};

use super::interfaces::binding;
use super::report::object;
use super::security::TYPES;
use crate::a2a::Binding;

const VERSION: &str = "0.3.0";

/// The card as 0.3's JSON schema has it.
pub(super) fn json(document: &Value) -> Value {
    let mut card = proto(document);
    if let Some(schemes) = card.get("securitySchemes").and_then(Value::as_object) {
        let plain: Map<String, Value> =
            schemes.iter().map(|(name, scheme)| (name.clone(), plain_scheme(scheme))).collect();
        card.insert("securitySchemes".to_owned(), Value::Object(plain));
    }
    plain_security(&mut card);
    if let Some(Value::Array(skills)) = card.get_mut("skills") {
        skills.iter_mut().filter_map(Value::as_object_mut).for_each(plain_security);
    }
    Value::Object(card)
}

/// The card as ProtoJSON of `a2a.v1`.
pub(super) fn proto(document: &Value) -> Map<String, Value> {
    let mut card = Map::new();
    card.insert("protocolVersion".to_owned(), VERSION.into());
    let Some(document) = document.as_object() else { return card };
    copy(document, &mut card, &["name", "description"]);
    interfaces(document, &mut card);
    copy(document, &mut card, &["provider", "version", "documentationUrl", "iconUrl"]);
    let mut capabilities = document.get("capabilities").and_then(Value::as_object).cloned().unwrap_or_default();
    let extended = capabilities.shift_remove("extendedAgentCard");
    card.insert("capabilities".to_owned(), Value::Object(capabilities));
    copy(document, &mut card, &["securitySchemes"]);
    rename_security(document, &mut card);
    for name in ["defaultInputModes", "defaultOutputModes"] {
        let modes = document.get(name).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        card.insert(name.to_owned(), modes);
    }
    let skills = document.get("skills").and_then(Value::as_array);
    card.insert("skills".to_owned(), skills.into_iter().flatten().map(skill).collect());
    if let Some(extended) = extended {
        card.insert("supportsAuthenticatedExtendedCard".to_owned(), extended);
    }
    card
}

/// The 1.0 document with the members that 0.3 readers look for.
pub(super) fn merged(document: &Value) -> Value {
    let mut card = document.clone();
    merge(&mut card, json(document));
    card
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                match into.get_mut(&name) {
                    Some(there) => merge(there, value),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(more)) => {
            for (there, value) in into.iter_mut().zip(more) {
                merge(there, value);
            }
        }
        _ => {}
    }
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(*name) {
            to.insert((*name).to_owned(), value.clone());
        }
    }
}

fn interfaces(document: &Map<String, Value>, card: &mut Map<String, Value>) {
    let stated: Vec<(&str, Binding, &Value)> = document
        .get("supportedInterfaces")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|item| {
            let url = item.get("url").and_then(Value::as_str)?;
            Some((url, binding(item.get("protocolBinding").and_then(Value::as_str)?)?, item))
        })
        .collect();
    let has_tenant = |item: &Value| item.get("tenant").and_then(Value::as_str).is_some_and(|tenant| !tenant.is_empty());
    let is_old = |item: &Value| {
        item.get("protocolVersion").and_then(Value::as_str).is_some_and(|version| version.starts_with("0."))
    };
    let tries: [&dyn Fn(&Value) -> bool; 4] =
        [&|item| is_old(item) && !has_tenant(item), &is_old, &|item| !has_tenant(item), &|_| true];
    let mut chosen: Vec<(&str, Binding)> = Vec::new();
    for fits in tries {
        for (url, binding, item) in &stated {
            if fits(item) && !chosen.contains(&(url, *binding)) {
                chosen.push((url, *binding));
            }
        }
        if !chosen.is_empty() {
            break;
        }
    }
    let preferred = chosen.iter().find(|(_, binding)| *binding == Binding::JsonRpc).or_else(|| chosen.first());
    let Some((url, preferred)) = preferred else { return };
    card.insert("url".to_owned(), (*url).into());
    card.insert("preferredTransport".to_owned(), preferred.as_str().into());
    let all = chosen
        .iter()
        .map(|(url, binding)| object([("url", Some((*url).into())), ("transport", Some(binding.as_str().into()))]));
    card.insert("additionalInterfaces".to_owned(), all.collect());
}

fn skill(skill: &Value) -> Value {
    let Some(skill) = skill.as_object() else { return skill.clone() };
    let mut out = Map::new();
    copy(skill, &mut out, &["id", "name", "description", "tags", "examples", "inputModes", "outputModes"]);
    if !out.contains_key("tags") {
        out.insert("tags".to_owned(), Value::Array(Vec::new()));
    }
    rename_security(skill, &mut out);
    Value::Object(out)
}

fn rename_security(from: &Map<String, Value>, to: &mut Map<String, Value>) {
    if let Some(requirements) = from.get("securityRequirements") {
        to.insert("security".to_owned(), requirements.clone());
    }
}

/// `[{"schemes":{"name":{"list":[…]}}}]` as `[{"name":[…]}]`.
fn plain_security(holder: &mut Map<String, Value>) {
    let Some(Value::Array(requirements)) = holder.get_mut("security") else { return };
    for requirement in requirements {
        let schemes = requirement.get("schemes").and_then(Value::as_object);
        let plain = schemes.into_iter().flatten().map(|(name, scopes)| {
            let list = scopes.get("list").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
            (name.clone(), list)
        });
        *requirement = Value::Object(plain.collect());
    }
}

fn plain_scheme(scheme: &Value) -> Value {
    for (wrapper, kind) in TYPES {
        let Some(inner) = scheme.get(wrapper).and_then(Value::as_object) else { continue };
        let mut plain = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        for (name, value) in inner {
            let name = if kind == "apiKey" && name == "location" { "in" } else { name.as_str() };
            plain.insert(name.to_owned(), value.clone());
        }
        return Value::Object(plain);
    }
    scheme.clone()
}
