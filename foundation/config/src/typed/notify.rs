//! Reads `[[notify]]`: by which channels people are told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moongate_core::Code;

use super::agents::secret;
use super::issuers::name;
use super::{CLASSES, Words};
use crate::problems::Mistake;
use crate::read::Table;
use crate::schema::{Notify, Way};
use crate::url::{Reach, Url};

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Ntfy,
    Webhook,
}

const KINDS: Words<Word> = &[("ntfy", Word::Ntfy), ("webhook", Word::Webhook)];
const SECRET_HINT: &str = "make one by: echo \"whsec_$(openssl rand -base64 32)\"";

impl Word {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, word)| *word == self).map_or("", |(name, _)| name)
    }

    /// The keys that a channel of this kind has, beside those that all have.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Ntfy => &["url", "token", "insecure"],
            Self::Webhook => &["url", "secret", "insecure"],
        }
    }
}

/// Reads one channel.
pub(super) fn notify(table: &Table<'_>) -> Notify {
    Notify {
        name: name(table),
        way: way(table),
        class: table.word("class", CLASSES),
        rules: table.texts("rules").into_iter().map(|(text, _)| text).collect(),
    }
}

fn way(table: &Table<'_>) -> Option<Way> {
    if !table.has("kind") {
        table.required("kind");
        return None;
    }
    let word = table.word("kind", KINDS)?;
    strays(table, word);
    match word {
        Word::Ntfy => {
            let token = secret(table, "token");
            address(table).map(|url| Way::Ntfy { url, token })
        }
        Word::Webhook => {
            let secret = signing(table);
            address(table).map(|url| Way::Webhook { url, secret })
        }
    }
}

/// Keys that are some other kind's.
fn strays(table: &Table<'_>, word: Word) {
    const COMMON: [&str; 4] = ["name", "kind", "class", "rules"];
    let own = word.keys();
    for key in table.section.keys.iter().map(|key| key.name) {
        if table.has(key) && !COMMON.contains(&key) && !own.contains(&key) {
            let message =
                format!("`{}` is nothing that a channel of the kind {:?} has", table.path_of(key), word.name());
            let mistake = Mistake::new(Code::ConfigUnknownKey, message).at(table.place_of(key), "not of this kind");
            table.notes.mistake(mistake.hint(format!("its keys are {}", [&COMMON, own].concat().join(", "))));
        }
    }
}

/// An http or https URL; clear text stays near.
fn address(table: &Table<'_>) -> Option<String> {
    let insecure = table.flag("insecure").unwrap_or_default();
    let text = table.required("url");
    if text.is_empty() {
        return None;
    }
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(why) => {
            let message = format!("`{}` is not a URL: {why}", table.path_of("url"));
            table.wrong("url", message, "write it as \"https://…\"");
            return None;
        }
    };
    if !url.secure {
        near(table, ("http", "https"), url.reach(), insecure);
    }
    Some(text)
}

/// Complains of clear text that leaves the machine, unless it may.
fn near(table: &Table<'_>, (plain, secure): (&str, &str), reach: Reach, insecure: bool) {
    let path = table.path_of("url");
    match reach {
        Reach::Loopback => {}
        Reach::Private | Reach::Unknown if insecure => {}
        Reach::Public => {
            let hint = format!("use {secure}: clear text is only for private networks");
            table.wrong("url", format!("`{path}` is plain {plain} to a public address"), hint);
        }
        Reach::Private | Reach::Unknown => {
            let hint = format!("use {secure}, or add `insecure = true` if the network is private and trusted");
            table.wrong("url", format!("`{path}` is plain {plain} to another machine"), hint);
        }
    }
}

/// A secret as Standard Webhooks writes it; kept as it was written.
fn signing(table: &Table<'_>) -> Option<crate::secret::Secret> {
    let found = secret(table, "secret")?;
    let bytes = found.expose().strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    match bytes {
        Some(bytes) if (24..=64).contains(&bytes.len()) => Some(found),
        Some(bytes) => {
            let message = format!("`{}` has {} bytes; it takes 24 to 64", table.path_of("secret"), bytes.len());
            table.wrong("secret", message, SECRET_HINT);
            None
        }
        None => {
            let message = format!("`{}` is not `whsec_` and bytes in base64", table.path_of("secret"));
            table.wrong("secret", message, SECRET_HINT);
            None
        }
    }
}
