//! The shape of source files: their size, the size of functions, module documentation, no `mod.rs`.

use super::Report;
use crate::source::{items, line_of, mask};
use crate::tree::Tree;

/// Lines from which a file is worth a second look, and from which it is too long.
const FILE: (usize, usize) = (500, 800);
/// The most lines of a function.
const FUNCTION: usize = 70;
/// Files of four lines, each documented by the function that it calls.
const ENTRY_POINTS: &str = "fuzz/targets/";
/// Lifts a limit from the file, or the function right below it. A reason must follow.
const EXEMPT: &str = "// tidy: long because ";

pub(super) fn check(tree: &Tree, report: &mut Report) {
    for (path, text) in tree.rust() {
        if path.ends_with("/mod.rs") {
            report.error(path, 0, "name the module's file after the module, not mod.rs");
        }
        if !text.starts_with("//!") && !path.starts_with(ENTRY_POINTS) {
            report.error(path, 1, "a module opens with `//!`: what it decides, why so, what it leaves to others");
        }
        size(path, text, report);
        functions(path, text, report);
    }
}

fn size(path: &str, text: &str, report: &mut Report) {
    let lines = text.lines().count();
    // The file's own exemption stands before its first item.
    let head = text.lines().take_while(|line| line.starts_with("//") || line.is_empty());
    if lines <= FILE.0 || head.into_iter().any(exempts) {
        return;
    }
    if lines > FILE.1 {
        report.error(path, 0, format!("{lines} lines; the limit is {}: a file tells one thing", FILE.1));
    } else {
        report.warning(path, 0, format!("{lines} lines; more than {} are worth a second look", FILE.0));
    }
}

fn exempts(line: &str) -> bool {
    line.trim_start().strip_prefix(EXEMPT).is_some_and(|reason| reason.trim().len() >= 10)
}

fn functions(path: &str, text: &str, report: &mut Report) {
    let masked = mask(text);
    for function in items(&masked, "fn") {
        let (first, last) = (line_of(&masked, function.at), line_of(&masked, function.end));
        let lines = last - first + 1;
        if lines <= FUNCTION {
            continue;
        }
        let above = text.lines().take(first.saturating_sub(1)).collect::<Vec<_>>();
        let attached = above.iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with("#[")
        });
        if !attached.into_iter().any(|line| exempts(line)) {
            report.error(path, first, format!("fn {} has {lines} lines; the limit is {FUNCTION}", function.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(path: &str, text: &str) -> Report {
        let mut report = Report::default();
        check(&Tree::of(&[(path, text)]), &mut report);
        report
    }

    #[test]
    fn a_module_without_documentation_and_a_mod_rs_are_errors() {
        assert!(report("a/src/x.rs", "fn a() {}\n").told().contains("opens with `//!`"));
        assert!(report("a/src/x/mod.rs", "//! Doc.\n").told().contains("mod.rs"));
        assert_eq!(report("a/src/x.rs", "//! Doc.\nfn a() {}\n").told(), "");
    }

    #[test]
    fn long_files_warn_and_longer_ones_fail_unless_they_say_why() {
        let of = |lines: usize| format!("//! Doc.\n{}", "const A: u8 = 1;\n".repeat(lines - 1));
        assert_eq!(report("x.rs", &of(500)).warnings.len(), 0);
        assert_eq!(report("x.rs", &of(501)).warnings.len(), 1);
        assert!(report("x.rs", &of(801)).told().contains("801 lines"));
        let excused = of(801).replacen('\n', "\n// tidy: long because it is one table\n", 1);
        assert_eq!(report("x.rs", &excused).told(), "");
        let unexplained = of(801).replacen('\n', "\n// tidy: long because \n", 1);
        assert!(report("x.rs", &unexplained).told().contains("802 lines"));
    }

    #[test]
    fn a_long_function_fails_and_strings_do_not_end_it() {
        let of = |lines: usize| format!("fn long() {{\n{}}}\n", "    a(\"}\");\n".repeat(lines - 2));
        assert_eq!(report("x.rs", &format!("//! Doc.\n{}", of(70))).told(), "");
        assert!(report("x.rs", &format!("//! Doc.\n{}", of(71))).told().contains("x.rs:2: fn long has 71 lines"));
        let excused = format!("//! Doc.\n// tidy: long because it is one table\n#[test]\n{}", of(71));
        assert_eq!(report("x.rs", &excused).told(), "");
    }
}
