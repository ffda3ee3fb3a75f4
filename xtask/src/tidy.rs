//! The house's style as a test: what a reviewer would otherwise have to say again and again.
//!
//! Each check reads the [`Tree`] and writes what it found into a [`Report`]; each has tests that show it failing. What a
//! compiler can tell (unwrap, sockets outside `transport`, wall time outside `telemetry`) is left to clippy and
//! `clippy.toml`.

mod absence;
mod conformance;
mod crates;
mod errors;
mod layers;
mod shape;
mod tests;

use std::fmt;
use std::path::Path;

use crate::tree::{Tree, root};

pub(crate) use errors::index as errors_index;

/// Where something is wrong, and what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// What the checks found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Report {
    fn error(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.errors.push(Finding { path: path.to_owned(), line, what: what.into() });
    }

    fn warning(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.warnings.push(Finding { path: path.to_owned(), line, what: what.into() });
    }

    /// The errors as one text, for tests.
    #[cfg(test)]
    fn told(&self) -> String {
        self.errors.iter().map(|finding| format!("{finding}\n")).collect()
    }
}

/// `cargo xtask tidy`: prints what is wrong; whether nothing is.
pub(crate) fn command() -> Result<bool, String> {
    let report = run(&root())?;
    for warning in &report.warnings {
        println!("warning: {warning}");
    }
    for error in &report.errors {
        println!("error: {error}");
    }
    println!("tidy: {} errors, {} warnings", report.errors.len(), report.warnings.len());
    Ok(report.errors.is_empty())
}

fn run(root: &Path) -> Result<Report, String> {
    let tree = Tree::read(root)?;
    let packages = crates::read(root)?;
    let mut report = Report::default();
    layers::check(&packages, &mut report);
    crates::check_features(&crates::features(root)?, &mut report);
    shape::check(&tree, &mut report);
    tests::check(&tree, &packages, &mut report);
    absence::check(&tree, &mut report);
    errors::check(&tree, &mut report);
    conformance::check(&tree, &packages, &mut report);
    report.errors.sort();
    report.warnings.sort();
    Ok(report)
}
