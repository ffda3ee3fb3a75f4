//! Every key of the configuration as data: its kind, default, meaning, and whether a change needs a restart.
//!
//! One table feeds four things: the reader (types, ranges, defaults), the messages (nearest spelling, what would be
//! right), `docs/reference/configuration.md` and the file that `init` writes. The rows stand in `keys::table`.

mod notify;
mod table;
mod trust;

pub(crate) use table::{AGENT, BALANCE, ROOT, ROUTE, SKILL};

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name, as in `[limits]`; empty for the top of the file.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Its keys, in the order that a reader wants them.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default as TOML; empty if there is none.
    pub default: &'static str,
    /// An example as TOML, for keys without a default.
    pub example: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// What a change of it does to a running gateway.
    pub effect: Effect,
}

/// What a change does to a running gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It takes effect at once; requests under way keep what they began with.
    Applied,
    /// It takes effect when the gateway starts again.
    NeedsRestart,
}

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number in a range.
    Integer(u64, u64),
    /// A span of time in seconds, whole or with a fraction, in a range.
    Seconds(f64, f64),
    /// A number of bytes in a range, as a number or as `"16MiB"`.
    Size(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `"address:port"` or `"off"`.
    Address,
    /// `"system"`, or the address of a DNS server.
    Resolver,
    /// An `http` or `https` URL.
    Url,
    /// A path, relative to the file.
    Path,
    /// A list of texts.
    Texts,
    /// A list of address ranges.
    Prefixes,
    /// A table of texts.
    Labels,
    /// Text, `{ file = "…" }` or `{ env = "…" }`.
    Secret,
    /// CEL.
    Rule,
    /// The path of a file, or a card as a table.
    Card,
    /// A table.
    Table(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// A list of skill ids or tables.
    Skills,
}

impl Kind {
    /// What would be right, for messages and the reference.
    pub fn describe(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Self::Seconds(least, most) => format!("seconds from {least} to {most}"),
            Self::Size(least, most) => format!("bytes from {} to {}, as 65536 or \"64KiB\"", size(*least), size(*most)),
            Self::Share => "a number from 0 to 1".to_owned(),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                match words.split_last() {
                    Some((last, [])) => last.clone(),
                    Some((last, others)) => format!("{} or {last}", others.join(", ")),
                    None => "text".to_owned(),
                }
            }
            Self::Address => "`\"address:port\"` or `\"off\"`".to_owned(),
            Self::Resolver => "`\"system\"` or `\"address:port\"`".to_owned(),
            Self::Url => "an http or https URL".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Texts => "a list of texts".to_owned(),
            Self::Prefixes => "a list of address ranges, as `\"10.0.0.0/8\"`".to_owned(),
            Self::Labels => "a table of texts".to_owned(),
            Self::Secret => "text, `{ file = \"…\" }` or `{ env = \"…\" }`".to_owned(),
            Self::Rule => "a rule in CEL".to_owned(),
            Self::Card => "the path of a file, or the card itself as a table".to_owned(),
            Self::Table(section) => format!("a table, `[{}]`", section.name),
            Self::Tables(section) => format!("a list of tables, `[[{}]]`", section.name),
            Self::Skills => {
                "a list of skill ids, or of tables with `id`, `name`, `description`, `tags`, `examples`".to_owned()
            }
        }
    }
}

fn size(bytes: u64) -> String {
    for (unit, width) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << width && bytes.trailing_zeros() >= width {
            return format!("{}{unit}", bytes >> width);
        }
    }
    bytes.to_string()
}

impl Section {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// How messages call the section.
    pub fn title(&self) -> String {
        match self.name {
            "" => "the top of the file".to_owned(),
            name if is_list(name) => format!("[[{name}]]"),
            name => format!("[{name}]"),
        }
    }
}

fn is_list(name: &str) -> bool {
    let (section, last) = match name.rsplit_once('.') {
        Some(("agents", last)) => (&AGENT, last),
        Some(("peers", last)) => (&trust::PEER, last),
        Some(("audit", last)) => (&table::AUDIT, last),
        Some((_, last)) => (&ROUTE, last),
        None => (&ROOT, name),
    };
    section.key(last).is_some_and(|key| matches!(key.kind, Kind::Tables(_) | Kind::Skills))
}

/// Walks all sections from the top of the file downwards, each once.
pub fn sections() -> Vec<&'static Section> {
    let mut found: Vec<&'static Section> = vec![&ROOT];
    let mut next = 0;
    while let Some(section) = found.get(next).copied() {
        for key in section.keys {
            let inner = match key.kind {
                Kind::Table(inner) | Kind::Tables(inner) => inner,
                Kind::Skills => &SKILL,
                _ => continue,
            };
            if !found.iter().any(|known| std::ptr::eq(*known, inner)) {
                found.push(inner);
            }
        }
        next += 1;
    }
    found
}

/// What a change of the key at this path does, as `limits.body_bytes`.
pub(crate) fn effect(path: &str) -> Effect {
    let found = match path.split_once('.') {
        None => ROOT.key(path),
        Some((section, key)) => ROOT.key(section).and_then(|outer| match outer.kind {
            Kind::Table(inner) => inner.key(key),
            _ => Some(outer),
        }),
    };
    found.map_or(Effect::NeedsRestart, |key| key.effect)
}

/// The word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let far = (word.chars().count() / 3).clamp(1, 3);
    let word = word.to_lowercase();
    words
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&word, &known.to_lowercase()), known))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
