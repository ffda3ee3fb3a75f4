//! How far a request came before it failed: what decides whether it may be sent elsewhere.

use std::fmt;

/// The step at which sending failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The name has no address.
    Resolve,
    /// No address took the connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// Bytes of the request may have left; no answer came.
    Request,
    /// The answer broke off.
    Body,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// How far it came.
    pub stage: Stage,
    /// What happened; may name addresses, so it is for the log.
    pub source: String,
}

impl SendError {
    pub(crate) fn new(stage: Stage, source: impl fmt::Display) -> Self {
        Self { stage, source: source.to_string() }
    }

    /// Whether the origin cannot have seen the request.
    pub fn unsent(&self) -> bool {
        self.stage < Stage::Request
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.source)
    }
}

impl std::error::Error for SendError {}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "look-up failed",
            Self::Connect => "connection failed",
            Self::Tls => "TLS handshake failed",
            Self::Request => "no answer",
            Self::Body => "the answer broke off",
        })
    }
}

/// An error with all its causes; hyper keeps the telling part in the cause.
pub(crate) fn all(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
