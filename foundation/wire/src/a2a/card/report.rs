//! Reading a card's members and collecting what is wrong with them, each with its path.
//!
//! All faults of a card are reported together (up to twenty): whoever writes a card mends it in one go.

use moongate_core::problem::FieldViolation;
use serde_json::{Map, Value};

/// Names, ids, tags, media types, versions.
pub(super) const SHORT: usize = 512;
/// Addresses.
pub(super) const ADDRESS: usize = 2048;
/// Descriptions and examples.
pub(super) const LONG: usize = 16 * 1024;
/// Entries of any list or map but the skills.
pub(super) const ENTRIES: usize = 100;

const FAULTS: usize = 20;

/// What was found wrong.
#[derive(Default)]
pub(super) struct Report {
    pub(super) faults: Vec<FieldViolation>,
}

impl Report {
    pub(super) fn wrong(&mut self, path: impl Into<String>, what: impl Into<String>) {
        if self.faults.len() < FAULTS {
            self.faults.push(FieldViolation { field: path.into(), description: what.into() });
        }
    }
}

/// Whether a member must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// An object of the card and where it stands.
pub(super) struct Object {
    map: Map<String, Value>,
    path: String,
}

impl Object {
    /// Opens a value that must be an object.
    pub(super) fn open(value: Value, path: String, report: &mut Report) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { map, path }),
            _ => {
                report.wrong(path, "must be an object");
                None
            }
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// A member in camelCase, or in snake_case as some SDKs print it.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let found = self.map.shift_remove(name).filter(|value| !value.is_null());
        found.or_else(|| self.map.shift_remove(&snake(name)).filter(|value| !value.is_null()))
    }

    pub(super) fn text(&mut self, name: &str, need: Need, limit: usize, report: &mut Report) -> Option<String> {
        match self.take(name) {
            Some(Value::String(text)) if text.len() > limit => {
                report.wrong(self.path(name), format!("is longer than {limit} bytes"));
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                report.wrong(self.path(name), "must be a string");
                None
            }
            None => {
                if need == Need::Required {
                    report.wrong(self.path(name), "is required");
                }
                None
            }
        }
    }

    /// A required string that may not be empty.
    pub(super) fn name(&mut self, name: &str, limit: usize, report: &mut Report) -> Option<String> {
        let text = self.text(name, Need::Required, limit, report)?;
        if text.is_empty() {
            report.wrong(self.path(name), "must not be empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, name: &str, report: &mut Report) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(value) => Some(value),
            _ => {
                report.wrong(self.path(name), "must be true or false");
                None
            }
        }
    }

    pub(super) fn object(&mut self, name: &str, report: &mut Report) -> Option<Self> {
        let path = self.path(name);
        Self::open(self.take(name)?, path, report)
    }

    /// The items of a list, with their paths.
    pub(super) fn list(&mut self, name: &str, need: Need, limit: usize, report: &mut Report) -> Vec<(String, Value)> {
        let path = self.path(name);
        match self.take(name) {
            Some(Value::Array(list)) if list.len() > limit => {
                report.wrong(path, format!("has more than {limit} entries"));
                Vec::new()
            }
            Some(Value::Array(list)) => {
                list.into_iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
            }
            Some(_) => {
                report.wrong(path, "must be a list");
                Vec::new()
            }
            None => {
                if need == Need::Required {
                    report.wrong(path, "is required");
                }
                Vec::new()
            }
        }
    }

    pub(super) fn strings(&mut self, name: &str, need: Need, limit: usize, report: &mut Report) -> Vec<String> {
        let mut strings = Vec::new();
        for (path, item) in self.list(name, need, ENTRIES, report) {
            match item {
                Value::String(text) if text.len() > limit => {
                    report.wrong(path, format!("is longer than {limit} bytes"));
                }
                Value::String(text) => strings.push(text),
                _ => report.wrong(path, "must be a string"),
            }
        }
        strings
    }

    /// The entries of a map, with their paths.
    pub(super) fn entries(self, report: &mut Report) -> Vec<(String, String, Value)> {
        if self.map.len() > ENTRIES {
            report.wrong(self.path, format!("has more than {ENTRIES} entries"));
            return Vec::new();
        }
        let path = self.path;
        self.map.into_iter().map(|(name, value)| (format!("{path}.{name}"), name, value)).collect()
    }

    /// A free-form object, as it is.
    pub(super) fn anything(&mut self, name: &str, report: &mut Report) -> Option<Value> {
        Some(Value::Object(self.object(name, report)?.map))
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// An object from its members; `None` is left out.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect())
}

/// A list that is left out when empty.
pub(super) fn unless_empty(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then_some(Value::Array(list))
}
