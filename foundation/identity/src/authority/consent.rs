//! What pages ask of the authorization server when a person decides, and what they tell it.
//!
//! - A device: [`Authority::device_question`] says what the code that somebody typed is about; the page shows it and sends the
//!   answer to [`Authority::device_answer`]. A code that came inside a link is a question like any other (RFC 8628 §5.4,
//!   RFC 10027): nothing happens without the answer.
//! - A program in the browser: [`Authority::authorization_question`] judges the query of `/oauth/authorize`; the page shows what is
//!   asked, and [`Authority::authorization_answer`] says where the browser goes next.
//!
//! A yes gives what is asked for as far as the person may go at that moment; the grant never grows afterwards.
//!
//! The person is signed in before either; `user` is the name that the person's rows have, and stands as `sub` in tokens.
//! Pages protect their forms; nothing here knows of cookies.

use std::net::IpAddr;

use moongate_core::{Code, Problem, Retry, Scopes, Time};
use oauth_as::authorization::{AuthorizationError, AuthorizationRequest, ValidatedAuthorizationRequest};
use oauth_as::device::{DeviceGrantState, normalize_user_code};
use oauth_as::server::{DeviceApprovalError, UserApproval};
use oauth_as::store::{Storage as _, StorageError};
use oauth_as::{
    Attempt, AttemptOutcome, ClientId, ErrorCode, ErrorResponse, RateLimitDecision, RateLimiter as _, ScopeSet,
};

use super::rows::{CLIENT, moment};
use super::storage::{ASKING, Asking, ClientRow};
use super::{Authority, form};

/// Who asks a person for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The client's id.
    pub client: String,
    /// What the operator calls it; the id if nothing else.
    pub client_name: String,
    /// The scopes that it would get, as text.
    pub scopes: Vec<String>,
}

/// What a user code is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceQuestion {
    /// Who asks for what.
    pub asked: Question,
    /// From where the device asked.
    pub remote: Option<IpAddr>,
    /// When it asked.
    pub asked_at: Time,
    /// Until when the answer counts.
    pub expires_at: Time,
}

/// What becomes of a request to `/oauth/authorize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// A person decides.
    Ask {
        /// Who asks for what.
        asked: Question,
        /// Where the browser goes afterwards: registered for this client, but for the port of a public one on
        /// loopback (RFC 8252 §7.3).
        redirect_uri: String,
    },
    /// The client made a mistake that it is told of: the browser goes there.
    Redirect(String),
}

impl Authority {
    /// What the code is about that a person typed.
    ///
    /// # Errors
    /// `DeviceCodeUnknown`: nobody waits for it, or no longer, or it was answered. `TooManyGuesses`.
    pub async fn device_question(&self, user_code: &str) -> Result<DeviceQuestion, Problem> {
        let attempt = Attempt::DeviceUserCodeEntry;
        if self.limits.check(attempt) == RateLimitDecision::Deny {
            return Err(guesses());
        }
        let row = self.grants.device_row(&normalize_user_code(user_code)).await.map_err(broken)?;
        let now = self.clock.now();
        let row = row.filter(|row| row.grant.state == DeviceGrantState::Pending && now < moment(row.grant.expires_at));
        let outcome = if row.is_some() { AttemptOutcome::Succeeded } else { AttemptOutcome::Failed };
        self.limits.record(attempt, outcome);
        let row = row.ok_or_else(unknown)?;
        Ok(DeviceQuestion {
            asked: self.question(&row.grant.client_id, &row.grant.scope).await?,
            remote: row.remote,
            asked_at: moment(row.grant.created_at),
            expires_at: moment(row.grant.expires_at),
        })
    }

    /// What a person answered; the device hears of it when it asks next.
    ///
    /// # Errors
    /// As [`Authority::device_question`]; the first answer counts. Nobody says yes to what was asked before they were there.
    pub async fn device_answer(&self, user_code: &str, user: &str, yes: bool) -> Result<(), Problem> {
        // Before anything is looked at: what is answered below tells a right code from a wrong one.
        if self.limits.check(Attempt::DeviceUserCodeEntry) == RateLimitDecision::Deny {
            return Err(guesses());
        }
        let server = self.server();
        let row = self.grants.device_row(&normalize_user_code(user_code)).await.map_err(broken)?;
        let granted = match row.filter(|_| yes) {
            Some(row) => {
                let rights = self.rights(user, row.grant.created_at).await?.ok_or_else(unknown)?;
                Some(self.granted(&row.grant.client_id, &row.grant.scope, &rights).await?)
            }
            None => None,
        };
        let answering = async {
            if yes { server.approve_device(user_code, user).await } else { server.deny_device(user_code).await }
        };
        let answered = ASKING.scope(Asking { granted, ..Asking::default() }, answering).await;
        answered.map_err(|error| match error {
            DeviceApprovalError::RateLimited => guesses(),
            DeviceApprovalError::Storage(error) => broken(error),
            _ => unknown(),
        })
    }

    /// Judges the query of a request to `/oauth/authorize`.
    ///
    /// # Errors
    /// `AuthorizationRefused`: the client or where it wants the browser sent is not known, so the browser goes nowhere.
    pub async fn authorization_question(&self, query: &str) -> Result<Authorization, Problem> {
        match self.validated(query).await {
            Ok(request) => Ok(Authorization::Ask {
                asked: self.question(&request.client_id, &request.scope).await?,
                redirect_uri: request.redirect_uri,
            }),
            Err(AuthorizationError::Redirect(there)) => Ok(Authorization::Redirect(there.location())),
            Err(AuthorizationError::Direct(error)) => Err(refused(&error)),
        }
    }

    /// Where the browser goes after the answer, with a code or without. The query is judged again: it came from the browser.
    ///
    /// # Errors
    /// As [`Authority::authorization_question`].
    pub async fn authorization_answer(&self, query: &str, user: &str, yes: bool) -> Result<String, Problem> {
        let answered = match self.validated(query).await {
            Ok(request) if !yes => return Ok(request.denied().location()),
            Ok(mut request) => {
                let rights = self.rights(user, super::rows::system(self.clock.now())).await?.ok_or_else(nothing)?;
                request.scope = self.granted(&request.client_id, &request.scope, &rights).await?;
                let issued = self.server().issue_authorization_code(UserApproval::granted(&request, user)).await;
                issued.map(|response| response.location(&request.redirect_uri))
            }
            Err(error) => Err(error),
        };
        match answered {
            Ok(location) => Ok(location),
            Err(AuthorizationError::Redirect(there)) => Ok(there.location()),
            Err(AuthorizationError::Direct(error)) => Err(refused(&error)),
        }
    }

    async fn validated(&self, query: &str) -> Result<ValidatedAuthorizationRequest, AuthorizationError> {
        let pairs = form::pairs(query);
        if let Some(name) = form::excess(&pairs) {
            let error = ErrorResponse::new(ErrorCode::InvalidRequest).with_description(format!("{name} is too long"));
            return Err(AuthorizationError::Direct(error));
        }
        let request = AuthorizationRequest::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let scopes = form::words(&pairs, "scope");
        ASKING
            .scope(Asking { scopes, ..Asking::default() }, self.server().validate_authorization_request(&request))
            .await
    }

    /// What a person's yes is worth: what is asked for, as far as the client, the person and the operator may go at this moment.
    /// The grant holds no more than that, whatever any of them may do later.
    async fn granted(&self, client: &ClientId, asked: &ScopeSet, rights: &Scopes) -> Result<ScopeSet, Problem> {
        let row = self.client_row(client).await?;
        let granted = Scopes::read(&asked.to_string())
            .meet(&Scopes::read(&row.client.allowed_scopes.to_string()))
            .meet(&self.state.load().terms.scopes)
            .meet(rights);
        if granted.words().is_empty() {
            return Err(nothing());
        }
        ScopeSet::from_tokens(granted.words().iter().map(|word| &**word))
            .map_err(|error| Problem::new(Code::Internal, "scopes cannot be written down").inside(error))
    }

    async fn client_row(&self, client: &ClientId) -> Result<ClientRow, Problem> {
        let id = client.clone();
        let row: Option<ClientRow> =
            self.grants.look(move |sheet| sheet.read(CLIENT, id.as_str())).await.map_err(broken)?;
        row.filter(|row| !row.disabled).ok_or_else(unknown)
    }

    async fn question(&self, client: &ClientId, scopes: &ScopeSet) -> Result<Question, Problem> {
        let row = self.client_row(client).await?;
        Ok(Question {
            client: client.to_string(),
            client_name: row.client.name.unwrap_or_else(|| client.to_string()),
            scopes: scopes.iter().map(ToString::to_string).collect(),
        })
    }

    /// Removes what has expired.
    pub(super) async fn sweep(&self) -> Result<u64, Problem> {
        self.grants.sweep_expired(super::rows::system(self.clock.now())).await.map_err(broken)
    }
}

pub(super) fn broken(error: StorageError) -> Problem {
    Problem::new(Code::StoreUnusable, "the authorization server's store cannot be used").inside(error)
}

fn unknown() -> Problem {
    Problem::new(Code::DeviceCodeUnknown, "nobody waits for this code, or no longer")
}

fn nothing() -> Problem {
    Problem::new(Code::AuthorizationRefused, "you cannot give the program anything of what it asks for; deny it")
}

fn guesses() -> Problem {
    let minute = std::time::Duration::from_secs(60);
    Problem::new(Code::TooManyGuesses, "too many wrong codes were typed").retry(Retry::Later(Some(minute)))
}

fn refused(error: &ErrorResponse) -> Problem {
    let why = error.error_description.as_deref().unwrap_or("the request is not one of a registered client");
    Problem::new(Code::AuthorizationRefused, why.to_owned())
}
