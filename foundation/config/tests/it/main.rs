//! The configuration as its writers meet it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod broken;
mod changes;
mod reading;
mod reference;

use std::path::Path;

use moongate_config::{Loaded, Problems, RuleKind, parse};

/// Stands in for `moongate-rules`: knows a few names, and where it found another.
fn rules(text: &str, kind: RuleKind) -> Result<(), (String, Option<usize>)> {
    let bad = text.find("zoen").map(|at| ("there is no name `zoen`; did you mean `zone`?".to_owned(), Some(at)));
    let unfinished = text
        .ends_with("==")
        .then(|| ("not valid CEL: mismatched input the end of the rule".to_owned(), Some(text.len())));
    let confused = (kind == RuleKind::Match && text.contains("skill.id"))
        .then(|| ("in `match`, `skill` is the id itself".to_owned(), text.find("skill.id")));
    bad.or(unfinished).or(confused).map_or(Ok(()), Err)
}

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "Bearer abc".to_owned())
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Writes a file that nobody else may read.
fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    set_mode(path, 0o600);
}

fn read(text: &str) -> Result<Loaded, Problems> {
    parse(text, Path::new("moongate.toml"), &env, &rules)
}
