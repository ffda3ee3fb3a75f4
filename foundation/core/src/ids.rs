//! Names and identifiers, a type for each, so that a task id never stands where an agent's name belongs.
//!
//! All are cheap to clone (one reference count) and compare byte for byte.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is; use `parse` functions where the text comes from outside.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text, shared.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

id! {
    /// The name of an agent in this domain, as it stands in `/agents/{name}/`.
    AgentName
}
id! {
    /// One running copy of an agent. `name` for the only one, `name@label` for further ones.
    InstanceId
}
id! {
    /// The id of a skill, unique within the card that lists it.
    SkillId
}
id! {
    /// The id of a task as clients see it.
    TaskId
}
id! {
    /// The id of a conversation; its agent chooses it.
    ContextId
}
id! {
    /// The id of one request through the pipeline; appears in logs, traces and audit entries.
    RequestId
}

/// Path segments that the surface itself uses, and which therefore cannot name an agent or a tenant.
const RESERVED: [&str; 9] =
    ["v1", "tasks", "ws", "message:send", "message:stream", "extendedAgentCard", ".well-known", "card", "api"];

impl AgentName {
    /// Accepts 1 to 64 characters of `[A-Za-z0-9._-]` that start with a letter or digit and are not reserved.
    ///
    /// # Errors
    /// A sentence that says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 64 {
            return Err(format!("an agent's name has 1 to 64 characters, this one has {}", text.len()));
        }
        if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
            return Err(format!("the name {text:?} contains {bad:?}; letters, digits, '.', '_' and '-' are allowed"));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(format!("the name {text:?} must start with a letter or a digit"));
        }
        if RESERVED.contains(&text) {
            return Err(format!("the name {text:?} is a path of the gateway itself"));
        }
        Ok(Self::new(text))
    }
}

impl TaskId {
    /// Whether the text can stand in our paths unchanged: at most 128 characters of `[A-Za-z0-9._~-]`.
    pub fn is_path_safe(text: &str) -> bool {
        !text.is_empty()
            && text.len() <= 128
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_shadow_the_surface_are_refused() {
        for name in ["v1", "tasks", "ws", ".well-known", "", "a/b", "-a", "käse"] {
            assert!(AgentName::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(AgentName::parse("lights-2.kitchen").unwrap().as_str(), "lights-2.kitchen");
    }

    #[test]
    fn task_ids_of_strange_shape_are_not_path_safe() {
        assert!(TaskId::is_path_safe("0b5c-~._A"));
        for id in ["", "a/b", "a b", "ä", &"x".repeat(129)] {
            assert!(!TaskId::is_path_safe(id), "{id:?}");
        }
    }
}
