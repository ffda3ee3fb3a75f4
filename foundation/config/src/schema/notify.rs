//! The tables `[[notify]]`.

use moongate_core::approval::Class;

use crate::secret::Secret;

/// A channel by which people learn that something waits for their yes.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// What it is called in logs and numbers.
    pub name: String,
    /// What it is; `None` was complained of.
    pub way: Option<Way>,
    /// Tells of this class only.
    pub class: Option<Class>,
    /// Tells of questions of these rules only; of all if there are none.
    pub rules: Vec<String>,
}

/// What a channel is.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// A topic of ntfy.
    Ntfy {
        /// The topic's URL.
        url: String,
        /// An access token.
        token: Option<Secret>,
    },
    /// A URL that takes JSON.
    Webhook {
        /// The URL.
        url: String,
        /// What signs, decoded.
        secret: Option<Secret>,
    },
}
