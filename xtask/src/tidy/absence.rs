//! What must not be in the tree: paths of somebody's machine, and package sources other than the public ones.
//!
//! A lock file that names a mirror makes everybody else's build depend on it.

use super::Report;
use crate::source::line_of;
use crate::tree::Tree;

/// The public home of each registry, by the key that names a source in lock files and settings.
const PUBLIC: &[(&str, &[&str])] = &[
    ("\"resolved\": \"", &[]),
    ("source = \"", &["registry+https://github.com/rust-lang/crates.io-index"]),
    ("index-url", &[]),
    ("replace-with", &[]),
];

/// Beginnings of paths that only one machine has. In halves, so that this file may name them.
const MACHINE: &[(&str, &str)] =
    &[("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/"), ("/var/fo", "lders/")];

pub(super) fn check(tree: &Tree, report: &mut Report) {
    for (path, text) in &tree.files {
        let lock = path.ends_with(".lock") || path.ends_with("package-lock.json");
        for (key, allowed) in PUBLIC {
            let relevant =
                if key.starts_with("source") { path.ends_with("Cargo.lock") } else { !path.ends_with(".rs") };
            for (at, _) in text.match_indices(key).filter(|_| relevant) {
                let value = text.get(at + key.len()..).unwrap_or_default();
                if !allowed.iter().any(|home| value.starts_with(home)) {
                    let what = format!(
                        "`{}` names something else than the public registry",
                        key.trim_end_matches([' ', '"', '=', ':'])
                    );
                    report.error(path, line_of(text, at), what);
                }
            }
        }
        if !lock {
            machine(path, text, report);
        }
    }
}

fn machine(path: &str, text: &str, report: &mut Report) {
    for (first, second) in MACHINE {
        let beginning = format!("{first}{second}");
        for (at, _) in text.match_indices(&beginning) {
            // `examples/01-home/` is a path of ours; only an absolute one belongs to a machine.
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            if !before.is_some_and(|c| c.is_alphanumeric() || "._-}~/$".contains(c)) {
                report.error(path, line_of(text, at), format!("`{beginning}…` is a path of one machine"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, text: &str) -> String {
        let mut report = Report::default();
        check(&Tree::of(&[(path, text)]), &mut report);
        report.told()
    }

    #[test]
    fn packages_from_elsewhere_are_found() {
        let npm = "  \"resolved\": \"https://mirror.example/a.tgz\"";
        assert!(told("a/package-lock.json", npm).contains("public registry"));
        assert!(told("Cargo.lock", "source = \"registry+https://mirror.example/\"").contains("public registry"));
        assert_eq!(told("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\""), "");
        assert!(told("lock/py.txt", "--index-url https://mirror.example/").contains("index-url"));
        assert!(told(".cargo/config.toml", "replace-with = \"mirror\"").contains("replace-with"));
    }

    #[test]
    fn paths_of_one_machine_are_found_and_relative_ones_are_not() {
        let path = format!("see {}{}me/moongate", "/ho", "me/");
        assert!(told("docs/a.md", &path).contains("docs/a.md:1"));
        assert_eq!(told("docs/a.md", &format!("examples/01{}{}x", "/ho", "me/")), "");
    }
}
