//! The schema as text: the file that `init` writes, and `docs/reference/configuration.md`. Tests compare both with what
//! is in the repository; `cargo run -p moongate-config --example reference` writes them anew.

use std::fmt::Write as _;

use crate::keys::{Effect, Kind, ROOT, Section, sections};

/// Lines that the sample sets rather than shows.
const SET: [(&str, &str, &str); 1] = [("listen", "plain", "\"127.0.0.1:7480\"")];

/// Sections that switch something on by standing in the file; the sample only shows them.
const SWITCHES: [&str; 1] = ["oauth"];

const OPENING: &str = "\
## Moongate's configuration. Every key is shown; those behind a `#` show their default, or an example where
## there is none. Unknown keys are errors. Check a change with `moongate check`; a running gateway takes it up by
## itself, and keeps the old configuration if the new one is wrong.
##
## Any text may hold ${NAME}, which becomes the value of the environment variable NAME. Secrets may also be given
## as { env = \"NAME\" } or { file = \"path\" }. Paths are relative to this file.
";

/// The sample configuration.
pub fn sample() -> String {
    let mut out = format!("{OPENING}\n");
    keys(&mut out, &ROOT);
    for section in sections() {
        if section.name.is_empty() || section.name.contains('.') {
            continue;
        }
        let listed = ROOT.key(section.name).is_some_and(|key| matches!(key.kind, Kind::Tables(_)));
        let _ = writeln!(out);
        comment(&mut out, section.doc);
        let _ = match section.name {
            name if listed => writeln!(out, "# [[{name}]]"),
            name if SWITCHES.contains(&name) => writeln!(out, "# [{name}]"),
            name => writeln!(out, "[{name}]"),
        };
        keys(&mut out, section);
    }
    out
}

fn keys(out: &mut String, section: &Section) {
    for key in section.keys {
        if let Kind::Table(inner) = key.kind {
            if section.name == "agents" {
                let with = if inner.name.contains('.') { format!(" With {}.", listed(inner)) } else { String::new() };
                comment(out, &format!("{}{with}", key.doc));
                let usual = "{ policy = \"consistent_hash\", key = \"context\" }";
                let _ = writeln!(out, "# {} = {}", key.name, if key.example.is_empty() { usual } else { key.example });
            }
            continue;
        }
        if let Kind::Tables(inner) = key.kind {
            if section.name.is_empty() {
                continue;
            }
            comment(
                out,
                &format!(
                    "{} Each with {}.",
                    key.doc,
                    inner.keys.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
                ),
            );
            let example = if key.example.is_empty() { first_keys(inner) } else { key.example.to_owned() };
            let _ = writeln!(out, "# {} = {example}", key.name);
            continue;
        }
        match key.kind {
            Kind::Text | Kind::Path | Kind::Rule | Kind::Flag => comment(out, key.doc),
            _ => comment(out, &format!("{} Takes {}.", key.doc, key.kind.describe())),
        }
        let set = SET.iter().find(|(table, name, _)| *table == section.name && *name == key.name);
        let _ = match set {
            Some((_, _, value)) => writeln!(out, "{} = {value}", key.name),
            None => {
                writeln!(out, "# {} = {}", key.name, if key.default.is_empty() { key.example } else { key.default })
            }
        };
    }
}

/// The keys of a section, and in parentheses those of the tables in it.
fn listed(section: &Section) -> String {
    let keys = section.keys.iter().map(|key| match key.kind {
        Kind::Table(inner) => format!("`{}` ({})", key.name, listed(inner)),
        _ => format!("`{}`", key.name),
    });
    keys.collect::<Vec<_>>().join(", ")
}

/// A list of one table with the first two keys of a section.
fn first_keys(section: &Section) -> String {
    let keys: Vec<String> = section.keys.iter().take(2).map(|key| format!("{} = {}", key.name, key.example)).collect();
    format!("[{{ {} }}]", keys.join(", "))
}

/// A comment, wrapped.
fn comment(out: &mut String, text: &str) {
    let mut line = String::from("##");
    for word in text.replace('`', "").split(' ') {
        if line.len() + 1 + word.len() > 110 {
            let _ = writeln!(out, "{line}");
            line = String::from("##");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

/// `docs/reference/configuration.md`.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
        One TOML file. Unknown keys are errors. Any text may hold `${NAME}`, the value of an environment variable (`$${` stands \
        for `${` itself); a secret may also be `{ env = \"NAME\" }` or `{ file = \"path\" }`. Paths are relative to the file. \
        `moongate init` writes a file with every key explained; `moongate check` says everything that is wrong with one at once.\n\n\
        A running gateway reads the file again when it changes. A change marked *at once* takes effect for the next request; \
        one marked *restart* is reported and waits for the next start. A file that is wrong changes nothing.\n\n\
        This page is made from the schema: `cargo run -p moongate-config --example reference`.\n",
    );
    for section in sections() {
        let title = if section.name.is_empty() { "Top of the file".to_owned() } else { section.title() };
        let _ = write!(
            out,
            "\n## {title}\n\n{}\n\n| key | takes | default | a change | |\n|---|---|---|---|---|\n",
            section.doc
        );
        for key in section.keys {
            let default = if key.default.is_empty() { "—".to_owned() } else { format!("`{}`", key.default) };
            let effect = match (key.effect, key.kind) {
                (_, Kind::Table(_)) if section.name.is_empty() => "see there",
                (Effect::Applied, _) => "at once",
                (Effect::NeedsRestart, _) => "restart",
            };
            let _ = writeln!(out, "| `{}` | {} | {default} | {effect} | {} |", key.name, key.kind.describe(), key.doc);
        }
    }
    out
}
