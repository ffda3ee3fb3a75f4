//! What the pages need of the authorization server: what is asked, and somewhere to take the answer.

use std::net::IpAddr;

use moongate_core::seam::Later;
use moongate_core::{Problem, Time};

/// Who asks a person for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The program's id.
    pub client: String,
    /// What the operator calls it.
    pub client_name: String,
    /// The scopes that it would like.
    pub scopes: Vec<String>,
}

/// What a device's code is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceQuestion {
    /// Who asks for what.
    pub asked: Asked,
    /// From where the device asked.
    pub remote: Option<IpAddr>,
    /// Until when the answer counts.
    pub expires_at: Time,
}

/// What becomes of a request of a program in the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A person decides.
    Ask {
        /// Who asks for what.
        asked: Asked,
        /// Where the browser goes afterwards.
        redirect_uri: String,
    },
    /// The program made a mistake that it is told of: the browser goes there.
    Redirect(String),
}

/// The authorization server, as pages see it.
pub trait Asking: Send + Sync {
    /// What the code is about that a person typed.
    fn device_question<'a>(&'a self, code: &'a str) -> Later<'a, Result<DeviceQuestion, Problem>>;
    /// What this person answered.
    fn device_answer<'a>(&'a self, code: &'a str, user: &'a str, yes: bool) -> Later<'a, Result<(), Problem>>;
    /// Judges the query of `/oauth/authorize`.
    fn authorization_question<'a>(&'a self, query: &'a str) -> Later<'a, Result<Next, Problem>>;
    /// What this person answered; where the browser goes then.
    fn authorization_answer<'a>(
        &'a self,
        query: &'a str,
        user: &'a str,
        yes: bool,
    ) -> Later<'a, Result<String, Problem>>;
}
