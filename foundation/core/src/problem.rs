//! What went wrong, in one form from the deepest room to the caller's binding.
//!
//! A [`Problem`] carries a stable [`Code`] (`MG-nnnn`, each with a page under `docs/errors/`), who is to blame and
//! whether trying again helps. Its [`Kind`] decides once how it looks in JSON-RPC, HTTP and gRPC (`wire::a2a::error`).

mod codes;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use codes::{Code, Kind};

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request was wrong.
    Caller,
    /// The agent failed.
    Target,
    /// We failed.
    Gateway,
}

/// Whether the same request may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// Another instance may succeed: nothing was acknowledged.
    Elsewhere,
    /// The same place may succeed later.
    Later(Option<Duration>),
}

/// One member of the request that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The path of the member, as `message.parts`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// An error as the agent itself reported it; passed on instead of our own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The JSON-RPC code that the error has or maps to.
    pub code: i64,
    /// The agent's message.
    pub message: String,
    /// The agent's details: a JSON array of `google.protobuf.Any` objects, or any other JSON value of older agents.
    pub details: Option<Bytes>,
}

/// An error on its way to whoever can do something about it. Never holds a secret or an inside address in `detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which error it is.
    pub code: Code,
    /// Whose fault it is.
    pub blame: Blame,
    /// Whether to try again.
    pub retry: Retry,
    /// One sentence for the caller: what was wrong, with the values that matter.
    pub detail: Cow<'static, str>,
    /// Members of the request that were wrong.
    pub fields: Vec<FieldViolation>,
    /// The agent's own error, if it is one.
    pub reported: Option<Box<Reported>>,
    /// What only the log may see, such as an address.
    pub inside: Option<String>,
}

impl Problem {
    /// A problem with the code's usual blame and retry.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            blame: code.blame(),
            retry: code.retry(),
            detail: detail.into(),
            fields: Vec::new(),
            reported: None,
            inside: None,
        }
    }

    /// Names a member of the request that was wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.fields.push(FieldViolation { field: field.into(), description: description.into() });
        self
    }

    /// Adds what only the log may see.
    #[must_use]
    pub fn inside(mut self, text: impl fmt::Display) -> Self {
        self.inside = Some(text.to_string());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Carries the agent's own error.
    #[must_use]
    pub fn reported(mut self, reported: Reported) -> Self {
        self.reported = Some(Box::new(reported));
        self
    }

    /// How the problem looks on the wire.
    pub fn kind(&self) -> Kind {
        self.code.kind()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}
