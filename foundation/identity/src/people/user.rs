//! A person as the store knows one.

use std::fmt;
use std::sync::Arc;

use moongate_core::scope::Scope;
use moongate_core::{Code, Problem, Scopes, Time};
use serde::{Deserialize, Serialize};

use super::random;

/// Characters of a name at most; it stands in tokens and logs.
const NAME: usize = 64;
/// Characters of a display name at most.
const DISPLAY_NAME: usize = 100;
/// Scopes of one person at most.
const SCOPES: usize = 64;

/// What a person signs in as: lower-case letters, digits, `.`, `-` and `_`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserName(Arc<str>);

impl UserName {
    /// Reads a name as a person types it: blanks around it and capitals do not matter.
    pub fn read(text: &str) -> Option<Self> {
        let name = text.trim().to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = name.len() <= NAME
            && name.bytes().next().is_some_and(plain)
            && name.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'-' | b'_'));
        fits.then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A password's hash in PHC form; never shown.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hash(pub(super) String);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

/// A person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// What the person signs in as.
    pub name: UserName,
    /// What the person is called on pages.
    pub display_name: String,
    /// What programs may be allowed to do in the person's name, at most.
    pub scopes: Vec<String>,
    /// Whether the person is kept out for now.
    pub disabled: bool,
    /// When the person was added.
    pub made_at: Time,
    pub(super) password: Option<Hash>,
    /// What was allowed to programs before is void.
    #[serde(default)]
    pub(super) grants_since: Option<Time>,
    /// Rises when all sessions are to end.
    pub(super) epoch: u64,
    /// What passkeys know the person by: it says nothing about the name.
    pub(super) handle: String,
}

/// What an operator says of a person who is to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What the person signs in as.
    pub name: UserName,
    /// What the person is called; the name, if empty.
    pub display_name: String,
    /// Scopes that programs may get in the person's name, at most.
    pub scopes: Vec<String>,
}

impl NewUser {
    pub(super) fn make(self, now: Time) -> Result<User, Problem> {
        let display_name = shown(&self.name, &self.display_name)?;
        checked(&self.scopes)?;
        let handle = random::text(16)?;
        let (name, scopes) = (self.name, self.scopes);
        Ok(User {
            name,
            display_name,
            scopes,
            disabled: false,
            made_at: now,
            password: None,
            grants_since: None,
            epoch: 0,
            handle,
        })
    }
}

/// A display name that fits a page; the name, where it is empty.
pub(super) fn shown(name: &UserName, display_name: &str) -> Result<String, Problem> {
    let shown = display_name.trim();
    if shown.chars().count() > DISPLAY_NAME || shown.chars().any(char::is_control) {
        return Err(Problem::new(Code::InvalidParams, "the display name is too long, or holds control characters")
            .field("display_name", format!("at most {DISPLAY_NAME} characters, on one line")));
    }
    Ok(if shown.is_empty() { name.to_string() } else { shown.to_owned() })
}

/// Scopes that are most likely meant as they are written, and not too many.
pub(super) fn checked(scopes: &[String]) -> Result<(), Problem> {
    if scopes.len() > SCOPES {
        return Err(Problem::new(Code::InvalidParams, "too many scopes").field("scopes", format!("at most {SCOPES}")));
    }
    scopes.iter().try_for_each(|scope| match Scope::written(scope) {
        Ok(_) => Ok(()),
        Err(why) => {
            let what = format!("{scope:?} is no scope, as a2a:*:send is one: {why}");
            Err(Problem::new(Code::InvalidParams, "a scope is not understood").field("scopes", what))
        }
    })
}

impl User {
    /// What programs may be allowed to do in the person's name.
    pub fn rights(&self) -> Scopes {
        Scopes::new(self.scopes.iter().filter_map(|scope| Scope::parse(scope)))
    }

    /// Whether this is the person that `known` was, not changed since and not disabled.
    pub(super) fn is_still(&self, known: &Self) -> bool {
        !self.disabled && self.epoch == known.epoch && self.handle == known.handle
    }

    /// Since when what the person allows counts.
    pub(super) fn since(&self) -> Time {
        self.grants_since.map_or(self.made_at, |since| since.max(self.made_at))
    }

    /// Whether the person has set a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// What passkeys know the person by, in base64url.
    pub fn handle(&self) -> &str {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_type_them_and_hold_nothing_strange() {
        assert_eq!(UserName::read(" Alice ").unwrap().as_str(), "alice");
        assert_eq!(UserName::read("a.b-c_9").unwrap().as_str(), "a.b-c_9");
        for bad in ["", " ", ".alice", "-", "al ice", "alice:bob", "älice", "a/b", "<b>", &"a".repeat(65), "a\u{0}"] {
            assert!(UserName::read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_new_user_has_scopes_that_exist_and_a_name_on_one_line() {
        let new = |display_name: &str, scopes: &[&str]| NewUser {
            name: UserName::read("alice").unwrap(),
            display_name: display_name.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let user = new("", &["a2a:*:send"]).make(Time(1)).unwrap();
        assert_eq!((user.display_name.as_str(), user.has_password()), ("alice", false));
        assert!(!format!("{user:?}").contains("argon2"));
        assert!(new("Alice\nBob", &[]).make(Time(1)).is_err());
        assert!(new(&"x".repeat(101), &[]).make(Time(1)).is_err());
        assert!(new("", &["a2a:send"]).make(Time(1)).is_err());
    }
}
