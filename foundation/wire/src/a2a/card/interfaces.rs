//! Where an agent can be reached: 1.0's `supportedInterfaces` and the 0.3 view of the same.
//!
//! A merged card has both; the 1.0 list comes first, and of the 0.3 view only what the list lacks.

use serde_json::Value;

use super::Interface;
use super::report::{ADDRESS, ENTRIES, Need, Object, Report, SHORT, object};
use crate::a2a::{Binding, Version};

/// An interface as the card words it.
pub(super) struct Stated {
    pub(super) url: String,
    pub(super) binding: String,
    pub(super) version: String,
    pub(super) tenant: Option<String>,
}

impl Stated {
    pub(super) fn to_value(&self) -> Value {
        object([
            ("url", Some(self.url.as_str().into())),
            ("protocolBinding", Some(self.binding.as_str().into())),
            ("tenant", self.tenant.as_deref().map(Value::from)),
            ("protocolVersion", Some(self.version.as_str().into())),
        ])
    }

    pub(super) fn to_interface(&self) -> Interface {
        let spoken = spoken(&self.version);
        Interface {
            url: self.url.clone(),
            binding: spoken.and(binding(&self.binding)),
            version: spoken.unwrap_or(if self.version.starts_with("0.") { Version::V03 } else { Version::V1 }),
            tenant: self.tenant.clone(),
        }
    }
}

/// Takes every interface out of a card; says whether the card is of the old sort.
pub(super) fn take(card: &mut Object, report: &mut Report) -> (Vec<Stated>, bool) {
    let modern = card.has("supportedInterfaces") || card.has("supported_interfaces");
    let mut found = Vec::new();
    for (path, item) in card.list("supportedInterfaces", Need::Optional, ENTRIES, report) {
        if let Some(stated) = modern_interface(item, path, report) {
            found.push(stated);
        }
    }
    take_legacy(card, !modern, &mut found, report);
    if modern && found.is_empty() && report.faults.is_empty() {
        report.wrong("supportedInterfaces", "must name at least one interface");
    }
    (found, !modern)
}

fn modern_interface(item: Value, path: String, report: &mut Report) -> Option<Stated> {
    let mut item = Object::open(item, path, report)?;
    let url = item.name("url", ADDRESS, report);
    let binding = item.name("protocolBinding", SHORT, report);
    let version = item.name("protocolVersion", SHORT, report);
    let tenant = item.text("tenant", Need::Optional, SHORT, report).filter(|tenant| !tenant.is_empty());
    let (url, binding, version) = (url?, binding?, version?);
    let path = item.path("url");
    check_address(&url, &binding, path, report);
    Some(Stated { url, binding, version: major_minor(&version), tenant })
}

fn take_legacy(card: &mut Object, alone: bool, found: &mut Vec<Stated>, report: &mut Report) {
    let version = card.text("protocolVersion", Need::Optional, SHORT, report).filter(|text| !text.is_empty());
    let version = major_minor(version.as_deref().unwrap_or("0.3"));
    let preferred = card.text("preferredTransport", Need::Optional, SHORT, report).filter(|text| !text.is_empty());
    let mut legacy = Vec::new();
    match card.text("url", Need::Optional, ADDRESS, report).filter(|url| !url.is_empty()) {
        Some(url) => legacy.push(("url".to_owned(), url, preferred.unwrap_or_else(|| "JSONRPC".to_owned()))),
        None if alone && report.faults.is_empty() => {
            report.wrong("supportedInterfaces", "is required (or `url`, in a card of A2A 0.3)");
        }
        None => {}
    }
    for (path, item) in card.list("additionalInterfaces", Need::Optional, ENTRIES, report) {
        if let Some(mut item) = Object::open(item, path, report) {
            let (url, transport) = (item.name("url", ADDRESS, report), item.name("transport", SHORT, report));
            if let (Some(url), Some(transport)) = (url, transport) {
                legacy.push((item.path("url"), url, transport));
            }
        }
    }
    for (path, url, binding) in legacy {
        check_address(&url, &binding, path, report);
        let known = found.iter().any(|other| {
            other.url == url && other.binding == binding && other.tenant.is_none() && other.version == version
        });
        if !known {
            found.push(Stated { url, binding, version: version.clone(), tenant: None });
        }
    }
}

fn check_address(url: &str, stated: &str, path: String, report: &mut Report) {
    if url.chars().any(|character| character.is_whitespace() || character.is_control()) {
        report.wrong(path, "must not contain blanks");
        return;
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let hostless = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#', ':']));
    let wants_scheme = matches!(binding(stated), Some(Binding::JsonRpc | Binding::Http));
    if hostless || (wants_scheme && rest.is_none()) {
        report.wrong(path, "must be an absolute http or https address");
    }
}

/// The binding that a card names; nothing for one that this crate does not speak.
pub(super) fn binding(stated: &str) -> Option<Binding> {
    Binding::ALL.into_iter().find(|binding| binding.as_str().eq_ignore_ascii_case(stated))
}

/// `0.3.0` as `0.3`: patch numbers mean nothing on the wire (A2A 1.0 §3.6).
fn major_minor(version: &str) -> String {
    let version = version.trim();
    match version.match_indices('.').nth(1) {
        Some((second, _)) => version.get(..second).unwrap_or(version).trim_end().to_owned(),
        None => version.to_owned(),
    }
}

fn spoken(version: &str) -> Option<Version> {
    match version {
        "1.0" | "1" => Some(Version::V1),
        "0.3" | "0.2" => Some(Version::V03),
        _ => None,
    }
}
