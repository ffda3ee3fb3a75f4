//! The schema, the sample file and the reference page say the same.

use std::path::Path;

use moongate_config::keys::{Kind, sections};
use moongate_config::{SAMPLE, reference};

use super::read;

const ANEW: &str = "run `cargo run -p moongate-config --example reference`";

#[test]
fn the_sample_is_the_schemas_and_parses() {
    assert_eq!(SAMPLE, reference::sample(), "{ANEW}");
    let loaded = read(SAMPLE).unwrap();
    assert_eq!(loaded.config.listen.plain, Some("127.0.0.1:7480".parse().unwrap()));
}

#[test]
fn the_reference_page_is_the_schemas() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    assert_eq!(std::fs::read_to_string(page).unwrap(), reference::markdown(), "{ANEW}");
}

/// The sample with every shown key set, but for those that exclude each other or name files and agents.
fn everything_set() -> String {
    let exclusive =
        ["cert", "key", "card", "address", "protocol", "skills", "default_agent", "authorization", "auth", "confirm"];
    let mut text = String::new();
    let mut section = String::new();
    for line in SAMPLE.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            section = line.to_owned();
        }
        let key = line.split(" = ").next().unwrap_or_default();
        let absent = (exclusive.contains(&key) && section != "[balance]") || (key == "allow" && section == "[[policy]]")
            // The agent shown is reached in clear text, on this machine.
            || (key == "spiffe" && section == "[[agents]]")
            // The rule shown asks nobody.
            || (["class", "people", "wait_seconds"].contains(&key) && section == "[[policy]]")
            // What other kinds of channels have, and a rule that asks somebody.
            || (section == "[[notify]]" && !["name", "kind", "url", "class"].contains(&key))
            // Limits that are not set, and so are none.
            || key.ends_with("_requests_per_second");
        if line.starts_with('[') || (line.contains(" = ") && !absent) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn what_the_sample_shows_is_what_the_gateway_does() {
    let text = everything_set();
    let set = read(&text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).config;
    let sample = read(SAMPLE).unwrap().config;
    assert_eq!(set.limits, sample.limits, "the defaults shown are not the defaults");
    assert_eq!((set.listen, set.store, set.egress), (sample.listen, sample.store, sample.egress));
    assert_eq!((&set.balance, set.log), (&sample.balance, sample.log));
    assert_eq!(
        (set.routing.threshold, set.routing.probe_seconds),
        (sample.routing.threshold, sample.routing.probe_seconds)
    );
    assert_eq!((set.agents.len(), set.routes.len(), set.policy.len()), (1, 1, 1));
}

#[test]
fn every_key_of_the_schema_is_in_the_sample() {
    for section in sections() {
        for key in section.keys {
            let shown = match key.kind {
                Kind::Table(inner) if !inner.name.contains('.') => SAMPLE.contains(&format!("[{}]", inner.name)),
                Kind::Tables(inner) if !inner.name.contains('.') => SAMPLE.contains(&format!("[[{}]]", inner.name)),
                _ => [format!("{} = ", key.name), format!(" {}", key.name), format!("({}", key.name)]
                    .iter()
                    .any(|form| SAMPLE.contains(form)),
            };
            assert!(shown, "{}.{}", section.name, key.name);
        }
    }
}

#[test]
fn every_default_and_every_word_is_accepted_and_nonsense_is_not() {
    for section in sections().into_iter().filter(|section| !section.name.is_empty() && !section.name.contains('.')) {
        for key in section.keys {
            let set = |value: &str| match section.name {
                // Only a card can be signed.
                "agents" if key.name == "signature" => {
                    format!("[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\nsignature = {value}\n")
                }
                "agents" => format!(
                    "[[agents]]\nname = \"a\"\naddress = \"http://127.0.0.1:1/\"\nskills = []\n{} = {value}\n",
                    key.name
                ),
                "issuers" => format!(
                    "[[issuers]]\nname = \"i\"\nissuer = \"https://i.test\"\njwks = \"keys.json\"\naudience = [\"a\"]\n\
                     scopes = [\"a2a:*:*\"]\n{} = {value}\n",
                    key.name
                ),
                "peers" => format!(
                    "[[peers]]\ndomain = \"p.test\"\nbundle = \"p.pem\"\ncrl = [\"p.crl\"]\n{} = {value}\n",
                    key.name
                ),
                "policy" => format!("[oauth]\n[[policy]]\nconfirm = 'true'\n{} = {value}\n", key.name),
                "notify" if key.name == "kind" => channel(value),
                "notify" => format!("{}{} = {value}\n", channel("\"ntfy\""), key.name),
                name => format!("[{name}]\n{} = {value}\n", key.name),
            };
            if let Kind::Word(words) = key.kind {
                for word in words {
                    read(&set(&format!("\"{word}\""))).unwrap_or_else(|problems| panic!("{problems:?}"));
                }
                let problems = read(&set("\"nonsense\"")).unwrap_err();
                assert!(problems.mistakes()[0].advice().contains(words[0]), "{problems:?}");
            }
            if !key.default.is_empty() {
                read(&set(key.default)).unwrap_or_else(|problems| panic!("{problems:?}"));
            }
            if matches!(key.kind, Kind::Integer(..) | Kind::Seconds(..) | Kind::Size(..) | Kind::Share | Kind::Flag) {
                assert!(read(&set("\"x\"")).is_err() && read(&set("-1")).is_err(), "{}.{}", section.name, key.name);
            }
        }
    }
}

/// A channel of this kind, with what it cannot do without.
fn channel(kind: &str) -> String {
    let pages = if kind == "\"push\"" { "[oauth]\n" } else { "" };
    let more = match kind {
        "\"ntfy\"" | "\"webhook\"" => "url = \"http://127.0.0.1:1/\"",
        "\"mail\"" => "url = \"smtp://127.0.0.1\"\nfrom = \"a@b\"\nto = [\"a@b\"]",
        "\"mqtt\"" => "url = \"mqtt://127.0.0.1\"\ntopic = \"t\"",
        _ => "",
    };
    format!("{pages}[[notify]]\nname = \"n\"\nkind = {kind}\n{more}\n")
}
