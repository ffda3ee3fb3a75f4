//! Reads a file, checks it as a whole, and says everything that is wrong with it at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_core::Code;
use toml::de::DeTable;

use crate::check::{self, Places};
use crate::keys::ROOT;
use crate::problems::{Mistake, Problems};
use crate::read::{Notes, Table};
use crate::schema::Config;
use crate::typed;

/// What a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// `match` of a route.
    Match,
    /// `deny`, `confirm` or `allow` of a policy.
    Policy,
}

/// Compiles a rule for its mistakes only: what is wrong, and at which byte. This room knows no rules; whoever loads a
/// file lends it `moongate-rules`.
pub type CheckRule<'c> = &'c dyn Fn(&str, RuleKind) -> Result<(), (String, Option<usize>)>;

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file's text.
    pub text: Arc<str>,
    /// The file.
    pub path: PathBuf,
    /// Where each key that the file sets stands.
    pub origins: Origins,
    /// Further files that were read or named: secrets and cards.
    pub files: Vec<PathBuf>,
}

/// Where keys stand: by path, as `limits.body_bytes` or `agents[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Range<usize>>);

impl Origins {
    /// The bytes of the key.
    pub fn place(&self, path: &str) -> Option<Range<usize>> {
        self.0.get(path).cloned()
    }

    /// The line of the key, counted from 1.
    pub fn line(&self, path: &str, text: &str) -> Option<usize> {
        let before = text.get(..self.place(path)?.start)?;
        Some(before.matches('\n').count() + 1)
    }

    /// Every path that the file sets.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Loads a file, with the environment of this process.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, check_rule: CheckRule<'_>) -> Result<Loaded, Problems> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let mistake = Mistake::new(Code::ConfigUnreadable, format!("{} cannot be read: {error}", path.display()));
        Problems::new(path, Arc::from(""), vec![mistake])
    })?;
    parse(&text, path, &environment, check_rule)
}

#[allow(clippy::disallowed_methods, reason = "this is the room that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Checks a text as if it stood at `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    text: &str,
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    check_rule: CheckRule<'_>,
) -> Result<Loaded, Problems> {
    let shared: Arc<str> = Arc::from(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = errors.iter().map(|error| syntax(text, error)).collect();
    if mistakes.iter().any(|mistake| mistake.code == Code::ConfigSyntax) {
        // What the parser made of a broken file says little about the rest of it.
        mistakes.retain(|mistake| mistake.code == Code::ConfigSyntax);
        return Err(Problems::new(path, shared, mistakes));
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let notes =
        Notes { base, env, mistakes: RefCell::new(mistakes), origins: RefCell::default(), files: RefCell::default() };
    let config = {
        let table = Table::new(&notes, &ROOT, String::new(), 0..0, root.get_ref());
        typed::config(&table)
    };
    check::all(&config, &Places { text, root: root.get_ref() }, &notes, check_rule);
    let Notes { mistakes, origins, files, .. } = notes;
    let mistakes = distinct(mistakes.into_inner());
    if !mistakes.is_empty() {
        return Err(Problems::new(path, shared, mistakes));
    }
    Ok(Loaded {
        config,
        text: shared,
        path: path.to_owned(),
        origins: Origins(origins.into_inner()),
        files: files.into_inner(),
    })
}

/// A table that is read twice complains twice; once is enough.
fn distinct(mistakes: Vec<Mistake>) -> Vec<Mistake> {
    let mut kept: Vec<Mistake> = Vec::with_capacity(mistakes.len());
    for mistake in mistakes {
        let said = |other: &Mistake| other.message == mistake.message && other.places == mistake.places;
        if !kept.iter().any(said) {
            kept.push(mistake);
        }
    }
    kept
}

fn syntax(text: &str, error: &toml::de::Error) -> Mistake {
    let place = error.span().unwrap_or(text.len()..text.len());
    if error.message().contains("duplicate key") {
        let key = text.get(place.clone()).unwrap_or_default();
        return Mistake::new(Code::ConfigDuplicate, format!("`{key}` stands twice in the same table"))
            .at(place, "again here")
            .hint("keep one of them; a list of tables is written [[name]]");
    }
    let word = text.get(place.clone()).unwrap_or_default();
    let before = text.get(..place.start).unwrap_or_default().trim_end_matches([' ', '\t']);
    if before.ends_with('=') && word.starts_with(|c: char| c.is_alphabetic()) {
        let message = format!("not valid TOML: `{}` has no quotes", word.trim_end());
        return Mistake::new(Code::ConfigSyntax, message)
            .at(place, "")
            .hint("text stands in quotes, as name = \"lights\"");
    }
    let mistake = Mistake::new(Code::ConfigSyntax, format!("not valid TOML: {}", error.message())).at(place, "");
    let hint = match error.message() {
        message if message.contains("unquoted key") => "a key with other characters stands in quotes, as \"…\" = …",
        message if message.contains("basic string") => {
            "close the text with `\"` on the same line; text with `\"` or `\\` in it is easier in '…'"
        }
        message if message.contains("literal string") => "close the text with `'` on the same line",
        _ => return mistake,
    };
    mistake.hint(hint)
}
