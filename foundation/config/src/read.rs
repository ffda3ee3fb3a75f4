//! Reads one table of the file against its section of the schema.
//!
//! Every reader answers with something usable, so that reading goes on and all mistakes are found in one go: a key that
//! is missing or wrong reads as its default. What is wrong is noted in [`Notes`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_core::Code;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::keys::{Key, Kind, Section, nearest};
use crate::problems::Mistake;

/// A value and where it stands.
pub(crate) type Value<'t> = Spanned<DeValue<'t>>;

/// What reading leaves behind besides values.
pub(crate) struct Notes<'n> {
    pub(crate) base: &'n Path,
    pub(crate) env: &'n dyn Fn(&str) -> Option<String>,
    pub(crate) mistakes: RefCell<Vec<Mistake>>,
    pub(crate) origins: RefCell<BTreeMap<String, Range<usize>>>,
    pub(crate) files: RefCell<Vec<PathBuf>>,
}

impl Notes<'_> {
    pub(crate) fn mistake(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// The path as it counts: relative to the file's folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    pub(crate) fn origin(&self, path: &str) -> Option<Range<usize>> {
        self.origins.borrow().get(path).cloned()
    }
}

/// One table of the file.
pub(crate) struct Table<'t> {
    pub(crate) notes: &'t Notes<'t>,
    pub(crate) section: &'static Section,
    /// The path of the table itself, as `agents[0]`.
    pub(crate) path: String,
    /// Where the table stands.
    pub(crate) place: Range<usize>,
    entries: Option<&'t DeTable<'t>>,
    defaults: bool,
}

impl<'t> Table<'t> {
    /// A table that stands in the file; complains of keys that the section does not have.
    pub(crate) fn new(
        notes: &'t Notes<'t>,
        section: &'static Section,
        path: String,
        place: Range<usize>,
        entries: &'t DeTable<'t>,
    ) -> Self {
        let table = Self { notes, section, path, place, entries: Some(entries), defaults: true };
        for (name, value) in entries.iter() {
            let at = name.span();
            notes.origins.borrow_mut().insert(table.path_of(name.get_ref()), at.clone());
            if section.key(name.get_ref()).is_none() {
                table.unknown(name.get_ref(), at, value);
            }
        }
        table
    }

    /// A table that the file does not have: everything is its default.
    pub(crate) fn absent(notes: &'t Notes<'t>, section: &'static Section, path: String) -> Self {
        Self { notes, section, path, place: 0..0, entries: None, defaults: true }
    }

    /// The same, but keys that are missing read as nothing, because the caller has better defaults.
    pub(crate) fn without_defaults(self) -> Self {
        Self { defaults: false, ..self }
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn unknown(&self, name: &str, at: Range<usize>, value: &Value<'_>) {
        let title = self.section.title();
        let within = if self.section.name.is_empty() { "at" } else { "in" };
        let mistake = Mistake::new(Code::ConfigUnknownKey, format!("there is no key `{name}` {within} {title}"));
        let mistake = mistake.at(at, "not a key");
        let keys = self.section.keys.iter().map(|key| key.name);
        let hint = match nearest(name, keys.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                match crate::keys::sections().iter().find(|other| !other.name.is_empty() && other.key(name).is_some()) {
                    Some(other) if !matches!(value.get_ref(), DeValue::Table(_)) => {
                        format!("`{name}` is a key of {}", other.title())
                    }
                    _ => format!("the keys {within} {title} are {}", keys.collect::<Vec<_>>().join(", ")),
                }
            }
        };
        self.notes.mistake(mistake.hint(hint));
    }

    /// Where a key stands, or else the table.
    pub(crate) fn place_of(&self, key: &str) -> Range<usize> {
        self.notes.origin(&self.path_of(key)).unwrap_or_else(|| self.place.clone())
    }

    /// Where the value of a key stands, or else the table.
    pub(crate) fn value_place(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.place.clone(), Spanned::span)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'t Value<'t>> {
        self.entries.and_then(|entries| entries.get(key))
    }

    /// Notes that the value of a key is wrong.
    pub(crate) fn wrong(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let mistake = Mistake::new(Code::ConfigWrongValue, message).at(self.value_place(key), "");
        self.notes.mistake(mistake.hint(hint));
    }

    /// Reads a key by `convert`, which says what is wrong with a value; falls back to the default.
    fn read<T>(&self, key: &str, convert: impl Fn(&Kind, &DeValue<'_>) -> Result<T, Wrong>) -> Option<T> {
        let row: &'static Key = self.section.key(key)?;
        if let Some(value) = self.get(key) {
            match convert(&row.kind, value.get_ref()) {
                Ok(read) => return Some(read),
                Err(Wrong::Said) => {}
                Err(Wrong::Type) => {
                    let found = described(value.get_ref());
                    self.wrong(
                        key,
                        format!("`{}` is {found}", self.path_of(key)),
                        format!("it takes {}", row.kind.describe()),
                    );
                }
                Err(Wrong::Value(why)) => {
                    self.wrong(
                        key,
                        format!("`{}`: {why}", self.path_of(key)),
                        format!("it takes {}", row.kind.describe()),
                    );
                }
                Err(Wrong::Secret(why)) => {
                    let mistake = Mistake::new(Code::ConfigSecret, why).at(value.span(), "");
                    self.notes.mistake(mistake);
                }
            }
        } else if !self.defaults {
            return None;
        }
        if row.default.is_empty() {
            return None;
        }
        let default = DeValue::parse(row.default).ok()?;
        convert(&row.kind, default.get_ref()).ok()
    }

    /// Text with `${NAME}` replaced.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.read(key, |_, value| match value {
            DeValue::String(text) => expand(text, self.notes.env),
            _ => Err(Wrong::Type),
        })
    }

    /// Text that must not be empty; reports that it is missing.
    pub(crate) fn required(&self, key: &str) -> String {
        match self.text(key) {
            Some(text) if !text.trim().is_empty() => return text,
            Some(_) => {
                self.wrong(key, format!("`{}` is empty", self.path_of(key)), "write something, or remove the table")
            }
            None if self.has(key) => {}
            None => {
                let message = format!("{} has no `{key}`", self.section.title());
                let example = self.section.key(key).map_or("", |row| row.example);
                let mistake = Mistake::new(Code::ConfigWrongValue, message).at(self.place.clone(), "in this table");
                self.notes.mistake(mistake.hint(format!("add `{key} = {example}`")));
            }
        }
        String::new()
    }

    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|path| self.notes.resolve(&path))
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.read(key, |_, value| value.as_bool().ok_or(Wrong::Type))
    }

    /// A whole number in the range that the schema gives.
    pub(crate) fn integer<T: TryFrom<u64>>(&self, key: &str) -> Option<T> {
        self.read(key, |kind, value| {
            let (least, most) = match kind {
                Kind::Integer(least, most) | Kind::Size(least, most) => (*least, *most),
                _ => return Err(Wrong::Type),
            };
            let number = match (kind, value) {
                (_, DeValue::Integer(number)) => {
                    let found = i128::from_str_radix(number.as_str(), number.radix()).map_err(|_| Wrong::Type)?;
                    u64::try_from(found).map_err(|_| Wrong::Value(format!("{found} is out of range")))?
                }
                (Kind::Size(..), DeValue::String(text)) => {
                    size(text).ok_or_else(|| Wrong::Value(format!("{text:?} is not a size")))?
                }
                _ => return Err(Wrong::Type),
            };
            if !(least..=most).contains(&number) {
                return Err(Wrong::Value(format!("{number} is out of range")));
            }
            T::try_from(number).map_err(|_| Wrong::Value(format!("{number} is too large for this machine")))
        })
    }

    pub(crate) fn seconds(&self, key: &str) -> Option<Duration> {
        self.read(key, |kind, value| {
            let Kind::Seconds(least, most) = kind else { return Err(Wrong::Type) };
            let seconds = number(value)?;
            if !(*least..=*most).contains(&seconds) {
                return Err(Wrong::Value(format!("{seconds} is out of range")));
            }
            Duration::try_from_secs_f64(seconds).map_err(|_| Wrong::Type)
        })
    }

    pub(crate) fn share(&self, key: &str) -> Option<f64> {
        self.read(key, |_, value| match number(value)? {
            share if (0.0..=1.0).contains(&share) => Ok(share),
            other => Err(Wrong::Value(format!("{other} is out of range"))),
        })
    }

    /// One of the words of `table`; the schema lists the same.
    pub(crate) fn word<T: Copy>(&self, key: &str, table: &[(&str, T)]) -> Option<T> {
        self.read(key, |kind, value| {
            let DeValue::String(text) = value else { return Err(Wrong::Type) };
            let text = expand(text, self.notes.env)?;
            if let Some((_, word)) = table.iter().find(|(word, _)| *word == text) {
                return Ok(*word);
            }
            let hint = match nearest(&text, table.iter().map(|(word, _)| *word)) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("it takes {}", kind.describe()),
            };
            self.wrong(key, format!("`{}` cannot be {text:?}", self.path_of(key)), hint);
            Err(Wrong::Said)
        })
    }

    /// A list of texts, each with its place.
    pub(crate) fn texts(&self, key: &str) -> Vec<(String, Range<usize>)> {
        let list = self.read(key, |_, value| {
            let DeValue::Array(items) = value else { return Err(Wrong::Type) };
            let texts: Result<Vec<_>, Wrong> = items
                .iter()
                .map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok((expand(text, self.notes.env)?, item.span())),
                    _ => Err(Wrong::Type),
                })
                .collect();
            texts
        });
        list.unwrap_or_default()
    }

    pub(crate) fn labels(&self, key: &str) -> BTreeMap<String, String> {
        let map = self.read(key, |_, value| {
            let DeValue::Table(entries) = value else { return Err(Wrong::Type) };
            let pairs: Result<BTreeMap<_, _>, Wrong> = entries
                .iter()
                .map(|(name, value)| match value.get_ref() {
                    DeValue::String(text) => Ok((name.get_ref().to_string(), expand(text, self.notes.env)?)),
                    _ => Err(Wrong::Value(format!("the label `{}` is not text", name.get_ref()))),
                })
                .collect();
            pairs
        });
        map.unwrap_or_default()
    }

    /// The table under a key; `None` if there is none, or if it is something else, which is noted.
    pub(crate) fn table(&self, key: &str) -> Option<Table<'t>> {
        let Some(Kind::Table(section)) = self.section.key(key).map(|row| row.kind) else { return None };
        let value = self.get(key)?;
        let path = self.path_of(key);
        match value.get_ref() {
            DeValue::Table(entries) => Some(Self::new(self.notes, section, path, value.span(), entries)),
            other => {
                let hint = format!("write it as a table, [{key}]");
                self.wrong(key, format!("`{path}` is {}", described(other)), hint);
                None
            }
        }
    }

    /// The table under a key, or one that has only defaults.
    pub(crate) fn table_or_defaults(&self, key: &str, section: &'static Section) -> Table<'t> {
        self.table(key).unwrap_or_else(|| Self::absent(self.notes, section, self.path_of(key)))
    }

    /// The tables under a key, with their paths.
    pub(crate) fn tables(&self, key: &str) -> Vec<Table<'t>> {
        let Some(Kind::Tables(section)) = self.section.key(key).map(|row| row.kind) else { return Vec::new() };
        let Some(value) = self.get(key) else { return Vec::new() };
        let path = self.path_of(key);
        let DeValue::Array(items) = value.get_ref() else {
            let name = section.name;
            let hint = format!("write each as a table of its own, [[{name}]], or as a list");
            self.wrong(key, format!("`{path}` is {}", described(value.get_ref())), hint);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item.get_ref() {
                DeValue::Table(entries) => tables.push(Self::new(self.notes, section, path, item.span(), entries)),
                other => {
                    let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{path}` is {}", described(other)));
                    self.notes.mistake(
                        mistake.at(item.span(), "").hint(format!("it takes a table with {}", keys_of(section))),
                    );
                }
            }
        }
        tables
    }
}

fn keys_of(section: &Section) -> String {
    section.keys.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a value.
pub(crate) enum Wrong {
    /// It is of the wrong type.
    Type,
    /// It is of the right type.
    Value(String),
    /// An environment variable or a file is missing.
    Secret(String),
    /// It has been said already.
    Said,
}

/// Replaces `${NAME}` by the environment's value; `$${` stands for `${`.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        let after = after.get(2..).unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            return Err(Wrong::Value(
                "a `${` is never closed; write `$${` for the two characters themselves".to_owned(),
            ));
        };
        let value = env(name).ok_or_else(|| Wrong::Secret(format!("the environment variable {name:?} is not set")))?;
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn number(value: &DeValue<'_>) -> Result<f64, Wrong> {
    match value {
        DeValue::Integer(number) => i32::from_str_radix(number.as_str(), number.radix())
            .map(f64::from)
            .map_err(|_| Wrong::Value("it is out of range".to_owned())),
        DeValue::Float(number) => number.as_str().parse().map_err(|_| Wrong::Type),
        _ => Err(Wrong::Type),
    }
}

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A value's type in words.
pub(crate) fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Option<String> {
        expand(text, &|name| (name == "HOME").then(|| "/root${X}".to_owned())).ok()
    }

    #[test]
    fn variables_are_replaced_once_and_can_be_escaped() {
        assert_eq!(expanded("a ${HOME} b").as_deref(), Some("a /root${X} b"));
        assert_eq!(expanded("$${HOME} $HOME $").as_deref(), Some("${HOME} $HOME $"));
        assert_eq!(expanded("${HOME").as_deref(), None);
        assert_eq!(expanded("${NOPE}").as_deref(), None);
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("16 MiB"), Some(16 << 20));
        assert_eq!(size("12"), Some(12));
        for bad in ["", "MiB", "1.5MiB", "1MB", "-1", "99999999999999999999", "18446744073709551615GiB"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }
}
