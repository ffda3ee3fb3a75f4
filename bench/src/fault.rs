//! What can go wrong here: a name that scripts can look for, a sentence, and what to do about it.

use std::fmt;

/// An error of this tool.
#[derive(Debug)]
pub(crate) struct Fault {
    name: &'static str,
    detail: String,
    hint: Option<String>,
}

impl Fault {
    /// A fault called `name`.
    pub(crate) fn new(name: &'static str, detail: impl fmt::Display) -> Self {
        Self { name, detail: detail.to_string(), hint: None }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error[{}]: {}", self.name, self.detail)?;
        match &self.hint {
            Some(hint) => write!(out, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
