//! What commands print, and how they fail. Letters that are not seen, and could move a terminal's cursor, are shown as numbers.

use std::io::Write;

use std::borrow::Cow;

use moongate_approval::document::{is_hidden, visible};
use moongate_config::Problems;
use moongate_core::Problem;
use serde_json::Value;

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

fn colours() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && wanted()
}

#[allow(clippy::disallowed_methods, reason = "NO_COLOR is a convention of terminals, not configuration")]
fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Colours for what is printed, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette(bool);

impl Palette {
    /// Colours where there is a terminal, and nobody wants none.
    pub(crate) fn of(terminal: bool) -> Self {
        Self(terminal && wanted())
    }

    /// A text in the colour of a result or a health.
    pub(crate) fn result(self, result: &str, text: &str) -> String {
        let colour = match result {
            "failed" | "abandoned" | "denied" | "expired" | "cancelled" | "down" | "gone" => 31,
            "asked" | "suspect" => 33,
            _ => 32,
        };
        if self.0 { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A text that stands out.
    pub(crate) fn bold(self, text: &str) -> String {
        if self.0 { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A stranger's text in at most so many letters, all of which are seen.
pub(crate) fn short(text: &str, most: usize) -> String {
    let shown = visible(text);
    if shown.chars().count() <= most {
        return shown;
    }
    shown.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// JSON in one line whose letters are all seen; it says the same.
pub(crate) fn written(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(is_hidden) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_hidden(letter) {
            let mut units = [0; 2];
            letter.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Prints a line of data. A reader that has gone away is no error.
pub(crate) fn data(line: &str) {
    let _ = writeln!(std::io::stdout(), "{}", harmless(line));
}

/// Prints a line whose strangers' words were made visible before, with the colours that stand in it.
pub(crate) fn painted(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line of talk.
pub(crate) fn talk(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", harmless(line));
}

/// Writes out what steers a terminal or turns the order of letters around, as JSON writes it: agents and callers choose words.
fn harmless(line: &str) -> Cow<'_, str> {
    let steers = |letter: char| {
        (letter.is_control() && letter != '\n' && letter != '\t')
            || matches!(letter, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !line.contains(steers) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len() + 16);
    for letter in line.chars() {
        if steers(letter) {
            shown.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_strangers_steer_no_terminal_and_json_stays_json() {
        assert_eq!(harmless("two\nlines\tand \u{2764}\u{fe0f}"), "two\nlines\tand \u{2764}\u{fe0f}");
        assert_eq!(harmless("x\u{1b}[31mRED\u{7}\u{202e}\u{9b}\r"), "x\\u001b[31mRED\\u0007\\u202e\\u009b\\u000d");
        let text = harmless("\"a\u{202e}b\"").into_owned();
        assert_eq!(serde_json::from_str::<String>(&text).ok().as_deref(), Some("a\u{202e}b"));
    }
}
