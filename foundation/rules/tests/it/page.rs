//! The page `docs/reference/rules.md` tells the truth: its examples compile, and it names every operation.

use std::path::Path;

use moongate_core::Operation;
use moongate_rules::{Mode, Rule};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_example_of_the_page_compiles() {
    let page = page();
    let mut seen = 0;
    for line in page.lines() {
        let Some((key, rule)) = line.trim_start_matches(['-', ' ', '`']).split_once(" = '") else { continue };
        let mode = match key.rsplit('`').next().unwrap_or(key) {
            "match" => Mode::Match,
            "deny" | "confirm" | "allow" => Mode::Policy,
            _ => continue,
        };
        let rule = &rule[..rule.rfind('\'').unwrap()];
        Rule::compile(rule, mode).unwrap_or_else(|error| panic!("{rule}: {error}"));
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} examples were found");
}

#[test]
fn the_page_names_every_operation_and_every_name() {
    let page = page();
    for operation in Operation::ALL {
        assert!(page.contains(&format!("`{}`", operation.as_str())), "{operation:?}");
    }
    // The names, as a mistake lists them.
    let error = Rule::compile("unheard_of == 1", Mode::Match).map(|_| ()).unwrap_err();
    let (_, names) = error.message.split_once("The names are ").unwrap();
    for name in names.split(", ") {
        let name = name.trim_matches('`');
        let named = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}."));
        assert!(named, "{name}");
    }
}
