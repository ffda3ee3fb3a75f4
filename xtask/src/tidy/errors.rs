//! Problem codes and their pages: each code of `core::problem::codes` has one under `docs/errors/`, and each page a code.
//!
//! A page opens with `# MG-nnnn: title`, the very title of the table, and says in sections of fixed names what the
//! problem means, how it looks and what to do. The index of the pages is made from the table (`cargo xtask docs`).

use super::Report;
use crate::tree::Tree;

const TABLE: &str = "foundation/core/src/problem/codes.rs";
const PAGES: &str = "docs/errors/";
const INDEX: &str = "docs/errors/README.md";
const SECTIONS: &[&str] = &["## What it means", "## How it looks", "## What to do", "## Example"];

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    number: u16,
    kind: String,
    blame: String,
    retry: String,
    title: String,
}

impl Row {
    fn code(&self) -> String {
        format!("MG-{:04}", self.number)
    }
}

/// The rows of the table: `Name = 101, Kind, Blame, RETRY, "title", "hint";`.
fn rows(table: &str) -> Vec<Row> {
    table.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let (name, rest) = line.trim().split_once(" = ")?;
    let mut members = rest.splitn(5, ", ");
    let number = members.next()?.parse().ok()?;
    let (kind, blame, retry) = (members.next()?, members.next()?, members.next()?);
    let title = members.next()?.strip_prefix('"')?.split('"').next()?;
    name.chars().all(char::is_alphanumeric).then(|| Row {
        number,
        kind: kind.to_owned(),
        blame: blame.to_lowercase(),
        retry: retry.to_lowercase(),
        title: title.to_owned(),
    })
}

/// The page `docs/errors/README.md`.
pub(crate) fn index(tree: &Tree) -> String {
    let mut out = String::from(
        "# Problem codes\n\nEvery error that Moongate makes carries one of these codes. *Whose* is who can usually do \
         something about it, *again* whether the same request may be tried again. Written by `cargo xtask docs` from \
         `foundation/core/src/problem/codes.rs`.\n\n| code | problem | kind | whose | again |\n|---|---|---|---|---|\n",
    );
    for row in rows(tree.text(TABLE)) {
        let code = row.code();
        out += &format!("| [{code}]({code}.md) | {} | {} | {} | {} |\n", row.title, row.kind, row.blame, row.retry);
    }
    out
}

pub(super) fn check(tree: &Tree, report: &mut Report) {
    let rows = rows(tree.text(TABLE));
    if rows.is_empty() {
        report.error(TABLE, 0, "no problem code is found here; xtask/src/tidy/errors.rs reads rows of a fixed form");
    }
    for row in &rows {
        page(tree, row, report);
    }
    for path in tree.files.keys().filter(|path| path.starts_with(PAGES) && *path != INDEX) {
        if !rows.iter().any(|row| *path == format!("{PAGES}{}.md", row.code())) {
            report.error(path, 0, "there is no such problem code");
        }
    }
    if tree.text(INDEX) != index(tree) {
        report.error(INDEX, 0, "differs from the table; run `cargo xtask docs`");
    }
}

fn page(tree: &Tree, row: &Row, report: &mut Report) {
    let path = format!("{PAGES}{}.md", row.code());
    if !tree.has(&path) {
        report.error(&path, 0, format!("{} has no page", row.code()));
        return;
    }
    let text = tree.text(&path);
    let title = format!("# {}: {}", row.code(), row.title);
    if text.lines().next() != Some(title.as_str()) {
        report.error(&path, 1, format!("the title must be `{title}`"));
    }
    let mut rest = text;
    for section in SECTIONS {
        match rest.split_once(section) {
            Some((_, after)) => rest = after,
            None => report.error(&path, 0, format!("the section `{section}` is missing, or out of order")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "    BodyNotJson = 201, Parse, Caller, NEVER, \"the body is not JSON\", \"send JSON\";\n";
    const PAGE: &str =
        "# MG-0201: the body is not JSON\n## What it means\n## How it looks\n## What to do\n## Example\n";

    fn told(pages: &[(&str, &str)]) -> String {
        let mut tree = Tree::of(pages);
        tree.files.insert(TABLE.into(), ROW.into());
        if !tree.has(INDEX) {
            let made = index(&tree);
            tree.files.insert(INDEX.into(), made);
        }
        let mut report = Report::default();
        check(&tree, &mut report);
        report.told()
    }

    #[test]
    fn each_code_has_a_page_and_each_page_a_code() {
        assert_eq!(told(&[("docs/errors/MG-0201.md", PAGE)]), "");
        assert!(told(&[]).contains("MG-0201 has no page"));
        assert!(
            told(&[("docs/errors/MG-0201.md", PAGE), ("docs/errors/MG-0999.md", "")])
                .contains("MG-0999.md: there is no")
        );
    }

    #[test]
    fn a_page_has_the_tables_title_and_all_sections() {
        let other = PAGE.replace("not JSON", "no JSON");
        assert!(told(&[("docs/errors/MG-0201.md", &other)]).contains("the title must be"));
        let short = PAGE.replace("## What to do\n", "");
        assert!(told(&[("docs/errors/MG-0201.md", &short)]).contains("`## What to do` is missing"));
    }

    #[test]
    fn an_index_that_differs_from_the_table_and_an_unreadable_table_are_errors() {
        assert!(told(&[("docs/errors/MG-0201.md", PAGE), (INDEX, "# old\n")]).contains("cargo xtask docs"));
        let mut report = Report::default();
        check(&Tree::of(&[(TABLE, "fn codes() {}\n")]), &mut report);
        assert!(report.told().contains("no problem code is found"));
    }
}
