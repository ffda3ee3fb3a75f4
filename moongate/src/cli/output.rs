//! What commands print, and how they fail.

use std::io::Write;

use moongate_config::Problems;
use moongate_core::Problem;

/// Why a command could not be carried out.
pub(crate) enum Failure {
    /// The configuration is wrong.
    Config(Box<Problems>),
    /// Anything else.
    Problem(Box<Problem>),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(Box::new(problems))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Failure {
    /// Prints it to stderr: the code, what was wrong, what to do.
    pub(crate) fn print(&self) {
        match self {
            Self::Config(problems) => talk(problems.render(colours()).trim_end()),
            Self::Problem(problem) => {
                talk(&format!("error[{}]: {}", problem.code, problem.detail));
                for field in &problem.fields {
                    talk(&format!("  {}: {}", field.field, field.description));
                }
                if let Some(inside) = &problem.inside {
                    talk(&format!("  cause: {inside}"));
                }
                talk(&format!("hint: {}", problem.code.hint()));
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "NO_COLOR is a convention of terminals, not configuration")]
fn colours() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none()
}

/// Prints a line of data. A reader that has gone away is no error.
pub(crate) fn data(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line of talk.
pub(crate) fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
