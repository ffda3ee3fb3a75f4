//! How tests are kept: one integration binary for each crate, nothing ignored, nothing left to do, no sleeping.
//!
//! Also the index of all tests by name, which `docs/conformance.md` is held against.

use std::collections::BTreeSet;

use super::Report;
use super::crates::Package;
use crate::source::{line_of, mask, test_modules, tests, words};
use crate::tree::Tree;

pub(super) fn check(tree: &Tree, packages: &[Package], report: &mut Report) {
    for package in packages {
        places(tree, &format!("{}/tests/", package.folder), report);
    }
    for (path, text) in tree.rust() {
        let masked = mask(text);
        banned(path, &masked, report);
    }
}

/// `tests/` holds `it/` with a `main.rs`, and data.
fn places(tree: &Tree, folder: &str, report: &mut Report) {
    let mut sources = tree.rust().map(|(path, _)| path).filter(|path| path.starts_with(folder)).peekable();
    if sources.peek().is_none() {
        return;
    }
    let it = format!("{folder}it/");
    for path in sources {
        if !path.starts_with(&it) {
            report.error(path, 0, "integration tests are one binary: move the file into tests/it");
        }
    }
    if !tree.has(&format!("{it}main.rs")) {
        report.error(folder, 0, "integration tests want a tests/it/main.rs");
    }
}

fn banned(path: &str, masked: &str, report: &mut Report) {
    let everywhere = [
        ("#[ignore", "a test is kept or removed, never ignored"),
        ("todo!", "nothing is left to do in what is committed"),
        ("unimplemented!", "nothing is left to do in what is committed"),
    ];
    for (word, why) in everywhere {
        for (at, _) in masked.match_indices(word) {
            report.error(path, line_of(masked, at), format!("`{word}`: {why}"));
        }
    }
    let regions = if path.contains("/tests/") || path.ends_with("/tests.rs") {
        vec![(0, masked.len())]
    } else {
        test_modules(masked)
    };
    for at in words(masked, "sleep") {
        let called = masked.get(at..).is_some_and(|rest| rest.starts_with("sleep("));
        if called && regions.iter().any(|(start, end)| (*start..*end).contains(&at)) {
            report.error(path, line_of(masked, at), "a test sleeps: wait for the thing itself, with a deadline");
        }
    }
}

/// Every test of the workspace: `moongate_wire::sse::tests::name`, `moongate_wire::it::golden::name`.
pub(super) fn index(tree: &Tree, packages: &[Package]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for package in packages {
        let prefix = format!("{}/", package.folder);
        for (path, text) in tree.rust().filter(|(path, _)| path.starts_with(&prefix)) {
            let Some(module) = path.strip_prefix(&prefix).and_then(module) else { continue };
            for test in tests(&mask(text)) {
                let parts = [package.ident(), module.clone(), test];
                let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
                all.insert(parts.join("::"));
            }
        }
    }
    all
}

/// The module that a file of a crate holds; nothing for files that are no modules.
fn module(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    let inside = path.strip_prefix("src/").or_else(|| path.strip_prefix("tests/"))?;
    let module = match inside {
        "lib" | "main" => "",
        _ => inside.strip_suffix("/main").unwrap_or(inside),
    };
    Some(module.replace('/', "::"))
}

#[cfg(test)]
mod tests_of_tests {
    use super::*;

    fn package() -> Package {
        Package { name: "moongate-wire".into(), folder: "foundation/wire".into(), needs: Vec::new() }
    }

    fn told(files: &[(&str, &str)]) -> String {
        let mut report = Report::default();
        check(&Tree::of(files), &[package()], &mut report);
        report.told()
    }

    #[test]
    fn a_second_test_binary_and_a_missing_main_are_errors() {
        assert!(told(&[("foundation/wire/tests/cards.rs", "")]).contains("move the file into tests/it"));
        assert!(told(&[("foundation/wire/tests/it/cards.rs", "")]).contains("tests/it/main.rs"));
        assert_eq!(told(&[("foundation/wire/tests/it/main.rs", ""), ("foundation/wire/tests/data/x.json", "")]), "");
    }

    #[test]
    fn ignored_unfinished_and_sleeping_tests_are_errors() {
        let ignored = "#[ignore]\n#[test]\nfn a() {}";
        assert!(told(&[("x.rs", ignored)]).contains("x.rs:1"));
        assert!(told(&[("x.rs", "fn a() { todo!() }")]).contains("left to do"));
        let sleeping = "async fn a() { sleep(b).await }";
        assert!(told(&[("a/tests/it/x.rs", sleeping)]).contains("a test sleeps"));
        let inline = format!("async fn b() {{ sleep(c).await }}\n#[cfg(test)]\nmod tests {{ {sleeping} }}");
        assert_eq!(told(&[("x.rs", &inline)]).lines().count(), 1);
        assert_eq!(told(&[("x.rs", "fn a() { \"todo!\" } // #[ignore]")]), "");
    }

    #[test]
    fn tests_have_the_path_of_their_module() {
        let tree = Tree::of(&[
            ("foundation/wire/src/sse.rs", "#[cfg(test)]\nmod tests { #[test] fn one() {} }"),
            ("foundation/wire/src/lib.rs", "#[test] fn two() {}"),
            ("foundation/wire/tests/it/golden.rs", "#[test] fn three() {}"),
            ("foundation/wire/tests/it/main.rs", "#[test] fn four() {} fn five() {}"),
        ]);
        let all: Vec<String> = index(&tree, &[package()]).into_iter().collect();
        let expected = ["it::four", "it::golden::three", "sse::tests::one", "two"];
        assert_eq!(all, expected.map(|name| format!("moongate_wire::{name}")));
    }
}
