//! What the gateway shows to an agent, and by which line it reaches it. Only the configuration says so, and nothing that a
//! caller sent is ever shown; what is fetched may be fetched for the caller.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use moongate_core::seam::Dialer;
use moongate_core::seam::credential::{Credential, Shown};
use moongate_transport::Pool;

/// What an agent is shown.
#[derive(Clone)]
pub enum Shows {
    /// The same header always.
    Header(HeaderName, HeaderValue),
    /// An `Authorization` that is fetched.
    Fetched(Arc<dyn Credential>),
}

impl Shows {
    /// A header whose value no log shows; `None` if the text can be none.
    pub fn header(name: &str, value: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Self::Header(HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    }

    /// A fetched credential as a header.
    pub(crate) fn fetched(shown: &Shown) -> Option<(HeaderName, HeaderValue)> {
        let mut value = HeaderValue::from_maybe_shared(shown.expose().clone()).ok()?;
        value.set_sensitive(true);
        Some((AUTHORIZATION, value))
    }
}

impl PartialEq for Shows {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(name, value), Self::Header(other, another)) => (name, value) == (other, another),
            (Self::Fetched(one), Self::Fetched(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name, _) => write!(f, "Header({name}, …)"),
            Self::Fetched(_) => f.write_str("Fetched(…)"),
        }
    }
}

/// Connections of their own for agents that are shown a certificate.
#[derive(Clone)]
pub struct Line {
    /// For requests.
    pub pool: Arc<Pool>,
    /// For cards.
    pub dialer: Arc<dyn Dialer>,
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pool, &other.pool)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(…)")
    }
}
