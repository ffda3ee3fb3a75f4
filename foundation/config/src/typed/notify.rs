//! Reads `[[notify]]`: by which channels people are told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moongate_core::Code;

use super::agents::secret;
use super::issuers::name;
use super::{CLASSES, Words};
use crate::problems::Mistake;
use crate::read::Table;
use crate::schema::{Notify, Server, Way};
use crate::secret::Secret;
use crate::url::{Host, Reach, Url};

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Ntfy,
    Webhook,
    Mail,
    Mqtt,
    Push,
}

const KINDS: Words<Word> = &[
    ("ntfy", Word::Ntfy),
    ("webhook", Word::Webhook),
    ("mail", Word::Mail),
    ("mqtt", Word::Mqtt),
    ("push", Word::Push),
];
const MAILBOX_HINT: &str = "write it as \"ann@home.example\"";
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
            Self::Mail => &["url", "user", "password", "from", "to", "insecure"],
            Self::Mqtt => &["url", "user", "password", "topic", "insecure"],
            Self::Push => &["services", "contact"],
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
        Word::Mail => {
            let (login, letters) = (login(table), letters(table));
            let server = server(table, ("smtp", 25), ("smtps", 465))?;
            letters.map(|(from, to)| Way::Mail { server, login, from, to })
        }
        Word::Mqtt => {
            let (login, topic) = (login(table), topic(table));
            let server = server(table, ("mqtt", 1883), ("mqtts", 8883))?;
            topic.map(|topic| Way::Mqtt { server, login, topic })
        }
        Word::Push => Some(Way::Push { services: services(table), contact: contact(table) }),
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
    place(table, ("http", "https")).map(|(text, _)| text)
}

/// A URL of one scheme for clear text or one for TLS; clear text stays near.
fn place(table: &Table<'_>, (plain, tls): (&str, &str)) -> Option<(String, Url)> {
    let insecure = table.flag("insecure").unwrap_or_default();
    let text = table.required("url");
    if text.is_empty() {
        return None;
    }
    match Url::of(&text, (plain, tls)) {
        Ok(url) => {
            if !url.secure {
                near(table, (plain, tls), url.reach(), insecure);
            }
            Some((text, url))
        }
        Err(why) => {
            let message = format!("`{}` is not a URL: {why}", table.path_of("url"));
            table.wrong("url", message, format!("write it as \"{tls}://…\""));
            None
        }
    }
}

/// A server that is not one of HTTP: the words for clear text and for TLS, each with its usual port.
fn server(table: &Table<'_>, plain: (&str, u16), tls: (&str, u16)) -> Option<Server> {
    let (_, url) = place(table, (plain.0, tls.0))?;
    if url.path {
        let message = format!("`{}` names more than a server", table.path_of("url"));
        table.wrong("url", message, format!("write \"{}://host\" or \"{}://host:port\"", tls.0, tls.0));
        return None;
    }
    let host = match url.host {
        Host::Name(name) => name,
        Host::Address(address) => address.to_string(),
    };
    Some(Server { secure: url.secure, host, port: url.port.unwrap_or(if url.secure { tls.1 } else { plain.1 }) })
}

/// A name and its password, or neither.
fn login(table: &Table<'_>) -> Option<(String, Secret)> {
    let (user, password) = (table.text("user"), secret(table, "password"));
    for (one, other) in [("user", "password"), ("password", "user")] {
        if table.has(one) && !table.has(other) {
            let message = format!("`{}` has no `{other}`", table.path_of(one));
            table.wrong(one, message, format!("add `{other}`, or remove `{one}`"));
        }
    }
    let user = user.filter(|user| {
        let odd = user.is_empty() || user.len() > 256 || user.chars().any(char::is_control);
        if odd {
            let message = format!("`{}` cannot be {user:?}", table.path_of("user"));
            table.wrong("user", message, "it takes one line of text");
        }
        !odd
    });
    user.zip(password)
}

/// Who writes letters, and to whom.
fn letters(table: &Table<'_>) -> Option<(String, Vec<String>)> {
    let from = table.required("from");
    let mut right = mailbox(&from);
    if !right && !from.is_empty() {
        table.wrong("from", format!("`{}`: {from:?} is no mail address", table.path_of("from")), MAILBOX_HINT);
    }
    let to: Vec<String> = table.texts("to").into_iter().map(|(text, _)| text).collect();
    if to.is_empty() {
        let message = format!("`{}` names nobody", table.path_of("to"));
        table.wrong("to", message, "add `to = [\"ann@home.example\"]`");
    }
    for odd in to.iter().filter(|to| !mailbox(to)) {
        right = false;
        table.wrong("to", format!("`{}`: {odd:?} is no mail address", table.path_of("to")), MAILBOX_HINT);
    }
    (right && !to.is_empty()).then_some((from, to))
}

/// An address in ASCII, as nearly all are.
fn mailbox(text: &str) -> bool {
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let Some((user, domain)) = text.split_once('@') else { return false };
    let atoms = user.len() <= 64 && user.split('.').all(|part| !part.is_empty() && part.bytes().all(atom));
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && label.len() <= 63 && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    atoms && domain.len() <= 253 && domain.split('.').all(label)
}

/// Hosts of push services; `*.` in front stands for any names before it.
fn services(table: &Table<'_>) -> Vec<String> {
    let services: Vec<String> =
        table.texts("services").into_iter().map(|(text, _)| text.to_ascii_lowercase()).collect();
    let is_host = |one: &str| Url::parse(&format!("https://{one}")).is_ok_and(|url| !url.path && url.port.is_none());
    for odd in services.iter().filter(|one| !is_host(one.strip_prefix("*.").unwrap_or(one))) {
        let message = format!("`{}`: {odd:?} is no host", table.path_of("services"));
        table.wrong("services", message, "write it as \"push.example\" or \"*.push.example\"");
    }
    services
}

/// A URL by which somebody can be reached (RFC 8292 §2.1).
fn contact(table: &Table<'_>) -> Option<String> {
    let contact = table.text("contact")?;
    let web = contact.starts_with("https://") && Url::parse(&contact).is_ok();
    if web || contact.strip_prefix("mailto:").is_some_and(mailbox) {
        return Some(contact);
    }
    let message = format!("`{}` cannot be {contact:?}", table.path_of("contact"));
    table.wrong("contact", message, "write it as \"mailto:ann@home.example\" or as an https URL");
    None
}

/// What topics begin with: no wildcards, nothing of the broker's own.
fn topic(table: &Table<'_>) -> Option<String> {
    let topic = table.required("topic");
    if topic.is_empty() {
        return None;
    }
    let odd = topic.len() > 256
        || topic.starts_with('$')
        || topic.split('/').any(str::is_empty)
        || topic.chars().any(|letter| letter.is_control() || matches!(letter, '+' | '#'));
    if odd {
        let message = format!("`{}` cannot be {topic:?}", table.path_of("topic"));
        table.wrong("topic", message, "it takes levels like \"home/moongate\", without `+`, `#` and `$`");
        return None;
    }
    Some(topic)
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
fn signing(table: &Table<'_>) -> Option<Secret> {
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
