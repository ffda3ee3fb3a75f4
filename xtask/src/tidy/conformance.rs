//! `docs/conformance.md`: the draft as a table, held to the sources.
//!
//! A row is `| draft text | section | folder | tests | state |`. The state is `works`, `partly: …` or `not yet`. Tests are
//! named in backquotes as `crate::module::test`, or as `testkit/grid:scenario` for those that real A2A libraries run
//! against the binary. What is said to work must be proved by a test that starts the binary.

use std::collections::BTreeSet;

use super::Report;
use super::crates::Package;
use super::tests;
use crate::tree::Tree;

const TABLE: &str = "docs/conformance.md";
const GRID: &str = "testkit/grid:";
const SCENARIOS: &str = "testkit/grid/peers.py";
/// Tests that start the binary.
const BINARY: &[&str] = &["moongate::it::", GRID];

pub(super) fn check(tree: &Tree, packages: &[Package], report: &mut Report) {
    let mut known = tests::index(tree, packages);
    known.extend(scenarios(tree.text(SCENARIOS)).into_iter().map(|name| format!("{GRID}{name}")));
    let mut rows = 0;
    for (number, line) in tree.text(TABLE).lines().enumerate() {
        let Some(cells) = cells(line) else { continue };
        rows += 1;
        for what in judge(&cells, tree, &known) {
            report.error(TABLE, number + 1, what);
        }
    }
    if rows == 0 {
        report.error(TABLE, 0, "the table of the draft's clauses is missing");
    }
}

/// The cells of a row of the table; nothing for headings, rulers and text.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
    let cells: Vec<&str> = inside.split('|').map(str::trim).collect();
    let ruler = cells.iter().all(|cell| cell.starts_with("--"));
    (!ruler && cells.first() != Some(&"draft text")).then_some(cells)
}

fn judge(cells: &[&str], tree: &Tree, known: &BTreeSet<String>) -> Vec<String> {
    let [quote, section, folder, tests, state] = cells else {
        return vec![format!("a row has five cells, this one {}", cells.len())];
    };
    let mut wrong = Vec::new();
    for (cell, name) in [(quote, "draft text"), (section, "section"), (folder, "folder")] {
        if cell.is_empty() {
            wrong.push(format!("the {name} is missing"));
        }
    }
    let named = quoted(tests);
    for test in named.iter().filter(|test| !known.contains(**test)) {
        wrong.push(format!("there is no test `{test}`"));
    }
    let exists = quoted(folder).iter().all(|folder| tree.has(folder));
    match *state {
        "works" if !named.iter().any(|test| BINARY.iter().any(|prefix| test.starts_with(prefix))) => {
            wrong.push("what works is proved by a test that starts the binary; none is named".to_owned());
        }
        "works" | "not yet" => {}
        _ if state.strip_prefix("partly: ").is_some_and(|missing| missing.len() > 3) => {
            if named.is_empty() {
                wrong.push("what works in part is proved by a test; none is named".to_owned());
            }
        }
        _ => wrong.push(format!("the state is `works`, `partly: what is missing` or `not yet`, not `{state}`")),
    }
    if *state != "not yet" && !exists {
        wrong.push(format!("the folder {folder} does not exist"));
    }
    wrong
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The names in the tuple `SCENARIOS`.
fn scenarios(python: &str) -> Vec<&str> {
    let Some((_, rest)) = python.split_once("SCENARIOS = (") else { return Vec::new() };
    let inside = rest.split(')').next().unwrap_or_default();
    inside.split('"').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests_of_the_table {
    use super::*;

    fn told(row: &str) -> String {
        let package = Package { name: "moongate".into(), folder: "moongate".into(), needs: Vec::new() };
        let unit = Package { name: "moongate-wire".into(), folder: "wire".into(), needs: Vec::new() };
        let table = format!("| draft text | section | folder | tests | state |\n|---|---|---|---|---|\n{row}\n");
        let tree = Tree::of(&[
            (TABLE, &table),
            (SCENARIOS, "SCENARIOS = (\n    \"card\", \"send\",\n)\nOTHERS = (\"none\",)"),
            ("moongate/tests/it/cards.rs", "#[test] fn shown() {}"),
            ("wire/src/sse.rs", "#[test] fn parsed() {}"),
        ]);
        let mut report = Report::default();
        check(&tree, &[package, unit], &mut report);
        report.told()
    }

    #[test]
    fn rows_that_hold_pass() {
        assert_eq!(told("| a | b | `wire` | `moongate::it::cards::shown` | works |"), "");
        assert_eq!(told("| a | b | `wire` | `testkit/grid:send`, `moongate_wire::sse::parsed` | works |"), "");
        assert_eq!(told("| a | b | `wire` | `moongate_wire::sse::parsed` | partly: no gaps |"), "");
        assert_eq!(told("| a | b | `later` | | not yet |"), "");
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        assert!(
            told("| a | b | `wire` | `moongate::it::cards::hidden` | works |")
                .contains("no test `moongate::it::cards::hidden`")
        );
        assert!(told("| a | b | `wire` | `testkit/grid:none` | works |").contains("no test `testkit/grid:none`"));
    }

    #[test]
    fn what_works_needs_the_binary_and_what_works_in_part_a_test() {
        assert!(told("| a | b | `wire` | `moongate_wire::sse::parsed` | works |").contains("starts the binary"));
        assert!(told("| a | b | `wire` | | partly: no gaps |").contains("none is named"));
    }

    #[test]
    fn a_row_without_state_or_folder_is_found() {
        assert!(told("| a | b | `wire` | | |").contains("the state is"));
        assert!(told("| a | b | `wire` | | partly: |").contains("the state is"));
        assert!(told("| a | b | | | not yet |").contains("the folder is missing"));
        assert!(told("| a | b | `gone` | `testkit/grid:send` | works |").contains("does not exist"));
        assert!(told("| a | b | not yet |").contains("five cells"));
    }

    #[test]
    fn a_missing_table_is_found() {
        let mut report = Report::default();
        check(&Tree::default(), &[], &mut report);
        assert!(report.told().contains("is missing"));
    }
}
