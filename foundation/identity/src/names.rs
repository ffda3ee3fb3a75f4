//! Names of people and of programs are given once. Tasks lie under the name of whoever sent them, so whoever got a name that
//! was another's would read that other's tasks.
//!
//! - What is removed leaves its name behind, for good, in the transaction that removes it.
//! - People and programs share one set of names, compared in lower case: `sub` and `client_id` in tokens never mean two things.

use moongate_core::seam::records::{Broken, Page, Record};
use moongate_core::{Code, Problem, Time};

/// People, by name.
pub(crate) const USER: &str = "user";
/// Registered programs, by id.
pub(crate) const CLIENT: &str = "oauth.client";
/// Names that were somebody's, in lower case; the value says until when.
const FORMER: &str = "former-name";
/// Rows that are read at once.
const STEP: usize = 256;

/// Whose a name is or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A person.
    User,
    /// A program.
    Client,
    /// Somebody until this moment.
    Former(Time),
}

/// Whose this name is, however it is written.
pub(crate) fn holder(page: &dyn Page, name: &str) -> Result<Option<Holder>, Broken> {
    let name = name.to_ascii_lowercase();
    if page.record(USER, &name)?.is_some() {
        return Ok(Some(Holder::User));
    }
    if let Some(row) = page.record(FORMER, &name)? {
        let until = std::str::from_utf8(&row.value).ok().and_then(|text| text.parse().ok());
        return Ok(Some(Holder::Former(Time(until.unwrap_or_default()))));
    }
    let mut last = String::new();
    loop {
        let rows = page.after(CLIENT, &last, STEP)?;
        if rows.iter().any(|row| row.key.eq_ignore_ascii_case(&name)) {
            return Ok(Some(Holder::Client));
        }
        let Some(end) = rows.last() else { return Ok(None) };
        last.clone_from(&end.key);
    }
}

/// Keeps a name from being given again.
pub(crate) fn retire(page: &dyn Page, name: &str, now: Time) -> Result<(), Broken> {
    let (key, value) = (name.to_ascii_lowercase(), now.0.to_string().into_bytes());
    page.put(FORMER, &Record { key, group: None, value, expires_at: None })
}

impl Holder {
    /// Why the name cannot be given.
    pub(crate) fn refusal(self, code: Code, name: &str) -> Problem {
        let what = match self {
            Self::User => format!("there is a user {name} already"),
            Self::Client => format!("there is a client {name} already"),
            Self::Former(until) => format!(
                "the name {name} was somebody's until {}; tasks of that time are still kept under it: choose another, or \
                 disable and enable instead of removing",
                day(until)
            ),
        };
        Problem::new(code, what)
    }
}

fn day(time: Time) -> String {
    let moment = crate::ca::rfc3339(time);
    moment.split('T').next().unwrap_or_default().to_owned()
}
