//! What is in force, key by key: the value as the file writes it or the default, and where it stands. For people to look at,
//! so nothing here has seen a secret: what may be one is named by its source, and never read.

use toml::de::{DeTable, DeValue};

use crate::keys::{Effect, Key, Kind, ROOT, Section};
use crate::load::Loaded;
use crate::read::Value;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its path: `limits.body_bytes`, `agents[0].name`.
    pub path: String,
    /// Its value as TOML; `None`: it has none, and no default.
    pub value: Option<String>,
    /// Where it comes from.
    pub from: From,
    /// What it means.
    pub doc: &'static str,
    /// What a change of it does to a running gateway.
    pub effect: Effect,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// This line of the file, counted from 1.
    File(usize),
    /// The environment, or another file, which this line of the file names.
    Elsewhere(usize),
    /// Nobody has set it.
    Default,
}

/// What stands for a secret that the file itself holds.
const HIDDEN: &str = "•••";

/// Every key of a configuration, in the order of the schema. Entries of a list say what the file sets.
pub fn settings(loaded: &Loaded) -> Vec<Setting> {
    let mut all = Listing { text: &loaded.text, settings: Vec::new() };
    if let Ok(root) = DeTable::parse(&loaded.text) {
        all.section(&ROOT, "", Some(root.get_ref()), true);
    }
    all.settings
}

struct Listing<'l> {
    text: &'l str,
    settings: Vec<Setting>,
}

impl Listing<'_> {
    /// The keys of a table; with `whole`, those that it does not set as well.
    fn section(&mut self, section: &'static Section, path: &str, table: Option<&DeTable<'_>>, whole: bool) {
        for key in section.keys {
            let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            let value = table.and_then(|table| table.get(key.name));
            match (key.kind, value.map(|value| value.get_ref())) {
                (Kind::Table(inner), Some(DeValue::Table(table))) => self.section(inner, &path, Some(table), whole),
                (Kind::Table(inner), _) if whole => self.section(inner, &path, None, true),
                (Kind::Tables(inner), Some(DeValue::Array(items))) => {
                    for (index, item) in items.iter().enumerate() {
                        if let DeValue::Table(table) = item.get_ref() {
                            self.section(inner, &format!("{path}[{index}]"), Some(table), false);
                        }
                    }
                }
                (_, Some(_)) => self.set(key, path, value),
                (Kind::Tables(_), None) => {}
                (_, None) if whole => self.unset(key, path),
                (_, None) => {}
            }
        }
    }

    fn set(&mut self, key: &'static Key, path: String, value: Option<&Value<'_>>) {
        let Some(value) = value else { return };
        let written = self.text.get(value.span()).unwrap_or_default();
        let line = self.text.get(..value.span().start).unwrap_or_default().matches('\n').count() + 1;
        let secret = matches!(key.kind, Kind::Secret);
        let elsewhere = written.contains("${") || (secret && matches!(value.get_ref(), DeValue::Table(_)));
        let value = match (secret, value.get_ref()) {
            (true, DeValue::Table(_)) => one_line(written),
            (true, _) => HIDDEN.to_owned(),
            // Whoever knows the path of such an address may write to it.
            (false, _) if path.starts_with("notify") => without_paths(&without_secrets(&one_line(written))),
            (false, _) => without_secrets(&one_line(written)),
        };
        let from = if elsewhere { From::Elsewhere(line) } else { From::File(line) };
        self.settings.push(Setting { path, value: Some(value), from, doc: key.doc, effect: key.effect });
    }

    fn unset(&mut self, key: &'static Key, path: String) {
        let value = (!key.default.is_empty()).then(|| key.default.to_owned());
        self.settings.push(Setting { path, value, from: From::Default, doc: key.doc, effect: key.effect });
    }
}

/// The same on one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Hides the path of a URL.
fn without_paths(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.split_once('/') {
        Some((host, path)) => {
            let quote = if path.ends_with('"') { "\"" } else { "" };
            format!("{scheme}://{host}/{HIDDEN}{quote}")
        }
        None => text.to_owned(),
    }
}

/// Hides what may be a secret in a URL: the name and password before the host, and the query.
fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let url = after.split(['"', '\'', ' ']).next().unwrap_or_default();
        let (authority, path) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        match path.split_once('?') {
            Some((path, _)) => out.push_str(&format!("{path}?{HIDDEN}")),
            None => out.push_str(path),
        }
        rest = after.get(url.len()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn all(text: &str) -> Vec<Setting> {
        let env = |name: &str| (name == "KEY").then(|| "hunter2".to_owned());
        settings(&crate::load::parse(text, Path::new("/etc/moongate.toml"), &env, &|_, _| Ok(())).unwrap())
    }

    fn of<'s>(all: &'s [Setting], path: &str) -> &'s Setting {
        all.iter().find(|setting| setting.path == path).unwrap_or_else(|| panic!("no {path}"))
    }

    #[test]
    fn every_key_says_what_it_is_and_where_that_stands() {
        let all = all("domain = \"home.example\"\n\n[limits]\nparts = 7\n");
        let domain = of(&all, "domain");
        assert_eq!((domain.value.as_deref(), domain.from), (Some("\"home.example\""), From::File(1)));
        let parts = of(&all, "limits.parts");
        assert_eq!((parts.value.as_deref(), parts.from, parts.effect), (Some("7"), From::File(4), Effect::Applied));
        let depth = of(&all, "limits.json_depth");
        assert!(depth.from == From::Default && depth.value.is_some());
        assert_eq!(of(&all, "public_url").value, None);
    }

    #[test]
    fn entries_of_a_list_stand_one_by_one() {
        let agent = "[[agents]]\nname = \"lamp\"\ncard_url = \"https://lamp.example/card\"\n";
        let all = all(&format!("{agent}{}", agent.replace("lamp", "lock")));
        assert_eq!(of(&all, "agents[1].name").value.as_deref(), Some("\"lock\""));
        assert_eq!(of(&all, "agents[1].name").from, From::File(5));
    }

    #[test]
    fn secrets_are_named_and_not_shown() {
        let agent = "[[agents]]\nname = \"lamp\"\ncard_url = \"https://lamp.example/card\"\n";
        for (auth, value, from) in [
            ("api_key = \"hunter2\"", "•••", From::File(4)),
            ("api_key = { env = \"KEY\" }", "{ env = \"KEY\" }", From::Elsewhere(4)),
            ("api_key = \"${KEY}\"", "•••", From::Elsewhere(4)),
        ] {
            let all = all(&format!("{agent}auth.{auth}\n"));
            let setting = of(&all, "agents[0].auth.api_key");
            assert_eq!((setting.value.as_deref(), setting.from), (Some(value), from), "{auth}");
            assert!(!format!("{all:?}").contains("hunter2"), "{auth}");
        }
    }

    #[test]
    fn where_people_are_told_is_shown_without_its_path() {
        let all = all("[[notify]]\nname = \"chat\"\nkind = \"webhook\"\nurl = \"https://chat.example/T000/hunter2\"\n");
        assert_eq!(of(&all, "notify[0].url").value.as_deref(), Some("\"https://chat.example/•••\""));
    }

    #[test]
    fn names_passwords_and_queries_in_addresses_are_hidden() {
        for (text, expected) in [
            ("\"https://a.example/b@c\"", "\"https://a.example/b@c\""),
            ("\"https://me:hunter2@a.example/b\"", "\"https://•••@a.example/b\""),
            ("[\"http://x@y:1\", \"http://z\"]", "[\"http://•••@y:1\", \"http://z\"]"),
            ("\"https://a.example/push?token=hunter2\" # x", "\"https://a.example/push?•••\" # x"),
            ("7", "7"),
        ] {
            assert_eq!(without_secrets(text), expected);
        }
    }
}
