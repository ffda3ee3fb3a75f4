//! Security schemes and requirements, read from either version.
//!
//! 1.0 wraps each scheme in a member of its type and allows one OAuth flow a scheme; 0.3 has a `type` and allows several
//! flows at once. A scheme with several flows becomes several schemes (`name`, `name-2`, …), and a requirement that
//! names it becomes alternatives.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::report::{ADDRESS, ENTRIES, LONG, Need, Object, Report, SHORT, object};

/// Which 1.0 schemes a stated scheme became, where it became several.
pub(super) type Split = BTreeMap<String, Vec<String>>;

/// Requirements grow by the product of their alternatives; this many are enough.
const ALTERNATIVES: usize = 64;

/// The wrapper of each type of scheme: 1.0 (and 0.3 ProtoJSON) member, 0.3 `type`.
pub(super) const TYPES: [(&str, &str); 5] = [
    ("apiKeySecurityScheme", "apiKey"),
    ("httpAuthSecurityScheme", "http"),
    ("oauth2SecurityScheme", "oauth2"),
    ("openIdConnectSecurityScheme", "openIdConnect"),
    ("mtlsSecurityScheme", "mutualTLS"),
];

const FLOWS: [&str; 5] = ["authorizationCode", "clientCredentials", "implicit", "password", "deviceCode"];

/// Takes `securitySchemes` out of a card, as 1.0 has it.
pub(super) fn take_schemes(card: &mut Object, report: &mut Report) -> (Map<String, Value>, Split) {
    let mut schemes = Map::new();
    let mut split = Split::new();
    let entries = card.object("securitySchemes", report).map(|entries| entries.entries(report)).unwrap_or_default();
    let mut several = Vec::new();
    for (path, name, scheme) in entries {
        let mut variants = read_scheme(scheme, path, report).into_iter();
        if let Some(first) = variants.next() {
            schemes.insert(name.clone(), first);
        }
        let more: Vec<Value> = variants.collect();
        if !more.is_empty() {
            several.push((name, more));
        }
    }
    for (name, more) in several {
        let mut names = vec![name.clone()];
        for variant in more {
            let free = (2_usize..).map(|number| format!("{name}-{number}")).find(|free| !schemes.contains_key(free));
            if let Some(free) = free {
                schemes.insert(free.clone(), variant);
                names.push(free);
            }
        }
        split.insert(name, names);
    }
    (schemes, split)
}

/// One scheme, as many 1.0 schemes as it has OAuth flows.
fn read_scheme(scheme: Value, path: String, report: &mut Report) -> Vec<Value> {
    let Some(mut scheme) = Object::open(scheme, path, report) else { return Vec::new() };
    for (wrapper, kind) in TYPES {
        if let Some(inner) = scheme.object(wrapper, report) {
            return read_typed(wrapper, kind, inner, report);
        }
    }
    let Some(stated) = scheme.text("type", Need::Required, SHORT, report) else { return Vec::new() };
    match TYPES.into_iter().find(|(_, kind)| *kind == stated) {
        Some((wrapper, kind)) => read_typed(wrapper, kind, scheme, report),
        None => {
            report.wrong(scheme.path("type"), "must be apiKey, http, oauth2, openIdConnect or mutualTLS");
            Vec::new()
        }
    }
}

fn read_typed(wrapper: &str, kind: &str, mut inner: Object, report: &mut Report) -> Vec<Value> {
    let description = inner.text("description", Need::Optional, LONG, report);
    let description = description.filter(|text| !text.is_empty()).map(Value::from);
    let variants = match kind {
        "apiKey" => {
            let legacy = ["in", "in_"].into_iter().find(|name| inner.has(name));
            let location = inner.name(legacy.unwrap_or("location"), SHORT, report);
            if let Some(location) = location.as_deref().filter(|place| !matches!(*place, "query" | "header" | "cookie"))
            {
                report.wrong(inner.path("location"), format!("must be query, header or cookie, not {location:?}"));
            }
            let name = inner.name("name", SHORT, report);
            vec![vec![("location", location.map(Value::from)), ("name", name.map(Value::from))]]
        }
        "http" => {
            let scheme = inner.name("scheme", SHORT, report);
            let format = inner.text("bearerFormat", Need::Optional, SHORT, report).filter(|text| !text.is_empty());
            vec![vec![("scheme", scheme.map(Value::from)), ("bearerFormat", format.map(Value::from))]]
        }
        "oauth2" => {
            let metadata = inner.text("oauth2MetadataUrl", Need::Optional, ADDRESS, report);
            let metadata = metadata.filter(|url| !url.is_empty()).map(Value::from);
            let flows = read_flows(&mut inner, report);
            flows.into_iter().map(|flow| vec![("flows", Some(flow)), ("oauth2MetadataUrl", metadata.clone())]).collect()
        }
        "openIdConnect" => {
            vec![vec![("openIdConnectUrl", inner.name("openIdConnectUrl", ADDRESS, report).map(Value::from))]]
        }
        _ => vec![Vec::new()],
    };
    let wrap = |members: Vec<(&str, Option<Value>)>| {
        let mut typed = Map::new();
        for (name, value) in [("description", description.clone())].into_iter().chain(members) {
            if let Some(value) = value {
                typed.insert(name.to_owned(), value);
            }
        }
        object([(wrapper, Some(Value::Object(typed)))])
    };
    variants.into_iter().map(wrap).collect()
}

/// The flows, each in a 1.0 `OAuthFlows` of its own.
fn read_flows(scheme: &mut Object, report: &mut Report) -> Vec<Value> {
    let path = scheme.path("flows");
    let Some(mut flows) = scheme.object("flows", report) else {
        report.wrong(path, "is required");
        return Vec::new();
    };
    let mut found = Vec::new();
    for name in FLOWS {
        if let Some(flow) = flows.object(name, report) {
            found.push(object([(name, Some(read_flow(flow, report)))]));
        }
    }
    if found.is_empty() {
        found.push(object([]));
    }
    found
}

fn read_flow(mut flow: Object, report: &mut Report) -> Value {
    let mut out = Map::new();
    for name in ["authorizationUrl", "deviceAuthorizationUrl", "tokenUrl", "refreshUrl"] {
        if let Some(url) = flow.text(name, Need::Optional, ADDRESS, report).filter(|url| !url.is_empty()) {
            out.insert(name.to_owned(), url.into());
        }
    }
    let scopes = flow.anything("scopes", report).unwrap_or_else(|| object([]));
    out.insert("scopes".to_owned(), scopes);
    if let Some(required) = flow.boolean("pkceRequired", report) {
        out.insert("pkceRequired".to_owned(), required.into());
    }
    Value::Object(out)
}

/// Takes requirements of a card or skill, as 1.0 has them. The 1.0 member wins over the 0.3 one.
pub(super) fn take_requirements(holder: &mut Object, split: &Split, report: &mut Report) -> Vec<Value> {
    let modern = holder.list("securityRequirements", Need::Optional, ENTRIES, report);
    let legacy = holder.list("security", Need::Optional, ENTRIES, report);
    let mut found = Vec::new();
    for (path, item) in if modern.is_empty() { legacy } else { modern } {
        let Some(mut requirement) = Object::open(item, path.clone(), report) else { continue };
        let wrapped = match requirement.take("schemes") {
            Some(Value::Object(schemes)) => Object::open(Value::Object(schemes), format!("{path}.schemes"), report),
            Some(Value::Array(scopes)) => {
                Object::open(object([("schemes", Some(Value::Array(scopes)))]), path.clone(), report)
            }
            _ => Some(requirement),
        };
        let Some(schemes) = wrapped else { continue };
        let mut alternatives = vec![Map::new()];
        for (path, name, scopes) in schemes.entries(report) {
            let Some(scopes) = read_scopes(scopes, path, report) else { continue };
            alternatives = multiply(alternatives, &name, &scopes, split);
        }
        found.extend(alternatives.into_iter().map(|schemes| object([("schemes", Some(Value::Object(schemes)))])));
        if found.len() > ALTERNATIVES {
            report.wrong(path, format!("makes more than {ALTERNATIVES} alternatives"));
            return Vec::new();
        }
    }
    found
}

/// The scopes that a requirement names, whichever scheme each belongs to.
pub(super) fn scopes(requirement: &Value) -> Vec<&str> {
    let schemes = requirement.get("schemes").and_then(Value::as_object);
    let lists = schemes.into_iter().flatten().filter_map(|(_, scopes)| scopes.get("list")?.as_array());
    lists.flatten().filter_map(Value::as_str).collect()
}

fn read_scopes(scopes: Value, path: String, report: &mut Report) -> Option<Value> {
    let list = match scopes {
        Value::Array(list) => list,
        Value::Object(mut wrapped) => match wrapped.shift_remove("list") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => {
                report.wrong(format!("{path}.list"), "must be a list");
                return None;
            }
        },
        _ => {
            report.wrong(path, "must be a list of scopes");
            return None;
        }
    };
    if list.len() > ENTRIES || !list.iter().all(Value::is_string) {
        report.wrong(path, format!("must be a list of at most {ENTRIES} strings"));
        return None;
    }
    Some(object([("list", Some(Value::Array(list)))]))
}

fn multiply(
    alternatives: Vec<Map<String, Value>>,
    name: &String,
    scopes: &Value,
    split: &Split,
) -> Vec<Map<String, Value>> {
    let names = split.get(name).map_or(std::slice::from_ref(name), Vec::as_slice);
    let mut product = Vec::new();
    for alternative in alternatives {
        for name in names {
            if product.len() > ALTERNATIVES {
                return product;
            }
            let mut schemes = alternative.clone();
            schemes.insert(name.clone(), scopes.clone());
            product.push(schemes);
        }
    }
    product
}
