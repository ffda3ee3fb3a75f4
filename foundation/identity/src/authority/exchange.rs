//! Token exchange (RFC 8693): a client that was registered for it turns an access token of ours that it was handed into one of its
//! own, which speaks for the same person or program, says who acts for them (`act`), and can do no more.
//!
//! - **Narrower.** Its scopes are those that the subject token is worth at this moment, that the client may have, and that were
//!   asked for; all three. It ends with the subject token: by its time, and by whatever ends that one before
//!   ([`super::standing`] follows the line back to its beginning).
//! - **Who acts** is the client that asks, and proves who it is; it presents no token for itself. At most four act in a line.
//! - The protocol is the crate's, which compares scopes word by word and wants an actor token. So while it is at work, the storage
//!   shows it the subject token with the scopes that may be given, and a word for the client that asks, good for this request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use moongate_core::seam::records::Broken;
use moongate_core::{Code, Problem, Scopes, Time};
use oauth_as::{Client, ClientId, GrantType, IssuedToken, ScopeSet};
use serde::{Deserialize, Serialize};

use super::Authority;
use super::form;
use super::rows::{Entry, Sheet, TOKEN, hashed, system};
use super::web::{refused, told};

/// Who act in one line at most.
pub(super) const MOST_ACTORS: usize = 4;
/// Tokens that one token is exchanged for at once, at most.
const FROM_ONE: usize = 100;

/// The end of the year 9999.
const FAR: Time = Time(253_402_300_799_000);

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

/// A token's row with the one that it was exchanged for.
#[derive(Serialize)]
struct Exchanged<'t> {
    #[serde(flatten)]
    token: &'t IssuedToken,
    /// The key of the subject token's row.
    from: &'t str,
}

/// The same row, for who only wants to know that.
#[derive(Deserialize)]
pub(super) struct Descent {
    pub(super) from: Option<String>,
}

/// An exchange that the crate is at work on.
#[derive(Clone)]
pub(super) struct Exchange(Arc<Inner>);

struct Inner {
    /// The subject token.
    subject: String,
    /// The key of its row.
    key: String,
    /// The word for the client that asks.
    actor: String,
    /// What the subject token is worth; nothing if it counts no more.
    worth: Option<Worth>,
    /// What may be given, once it is known who asks.
    settled: OnceLock<Settled>,
    /// Whether the crate was shown nothing where it would have found the subject token.
    hidden: AtomicBool,
}

struct Worth {
    scopes: Scopes,
    actors: usize,
}

struct Settled {
    client: ClientId,
    scopes: ScopeSet,
}

impl Exchange {
    /// It is known who asks; whether it is who it says, the crate judges before it looks at any token. What it may get stands
    /// among its scopes, for this request.
    pub(super) fn settle(&self, client: &mut Client) {
        let given = Scopes::read(&client.allowed_scopes.to_string());
        let both = self.0.worth.as_ref().map(|worth| worth.scopes.meet(&given)).unwrap_or_default();
        let scopes = ScopeSet::from_tokens(both.words().iter().map(|word| &**word)).unwrap_or_default();
        let settled = self.0.settled.get_or_init(|| Settled { client: client.client_id.clone(), scopes });
        if settled.client == client.client_id {
            let own: Vec<String> = client.allowed_scopes.iter().map(ToString::to_string).collect();
            let more = settled.scopes.iter().map(ToString::to_string);
            if let Ok(scopes) = ScopeSet::from_tokens(own.into_iter().chain(more)) {
                client.allowed_scopes = scopes;
            }
        }
    }

    /// What the crate is shown under this text: the actor, the subject token as far as it may be exchanged, or nothing.
    pub(super) fn shown(&self, text: &str, found: Option<IssuedToken>) -> Option<IssuedToken> {
        let settled = self.0.settled.get()?;
        if text == self.0.actor {
            let (id, always) = (settled.client.clone(), (system(Time(0)), system(FAR)));
            return Some(IssuedToken::new(text, id, None, ScopeSet::default(), always.0, always.1));
        }
        if text != self.0.subject || self.0.worth.is_none() {
            return None;
        }
        if self.refusal().is_some() {
            self.0.hidden.store(true, Ordering::Release);
            return None;
        }
        let mut token = found?;
        // A program that speaks for itself is whom the new token speaks for.
        token.subject = Some(token.subject.unwrap_or_else(|| token.client_id.to_string()));
        token.scope = settled.scopes.clone();
        Some(token)
    }

    /// The key of the subject token's row.
    pub(super) fn from(&self) -> &str {
        &self.0.key
    }

    /// Why nothing is given, where the crate cannot know it.
    fn refusal(&self) -> Option<(&'static str, &'static str)> {
        let worth = self.0.worth.as_ref()?;
        let settled = self.0.settled.get()?;
        if worth.actors >= MOST_ACTORS {
            return Some(("invalid_request", "four act for one another already"));
        }
        let empty = settled.scopes.iter().next().is_none();
        empty.then_some((
            "invalid_scope",
            "the subject token, the client's scopes and what was asked for have nothing in common",
        ))
    }

    /// What is answered, with the reason where the crate does not know it.
    pub(super) fn answered(&self, response: Response<Bytes>) -> Response<Bytes> {
        match self.refusal().filter(|_| self.0.hidden.load(Ordering::Acquire)) {
            Some((error, why)) => told(refused(StatusCode::BAD_REQUEST, error), why),
            None => response,
        }
    }

    /// The request as the crate is given it: it takes all that the subject token is shown to be worth, for the actor.
    pub(super) fn posed(&self, request: Request<Bytes>) -> Request<Bytes> {
        let Ok(text) = std::str::from_utf8(request.body()) else { return request };
        let is_scope = |pair: &&str| form::pairs(pair).iter().any(|(key, _)| key == "scope");
        let mut kept: Vec<&str> = text.split('&').filter(|pair| !is_scope(pair)).collect();
        let actor = format!("actor_token={}&actor_token_type={ACCESS_TOKEN}", self.0.actor);
        kept.push(&actor);
        let body = Bytes::from(kept.join("&"));
        request.map(|_| body)
    }
}

/// Writes a token that was exchanged; `false` if there are too many of the same, and nothing if that one ended meanwhile.
pub(super) fn put_exchanged(sheet: &Sheet<'_>, token: &IssuedToken, from: &str) -> Result<Option<bool>, Broken> {
    let group = format!("from {from}");
    if !sheet.has(TOKEN, from)? {
        return Ok(None);
    }
    if sheet.live(TOKEN, &group, token.issued_at)? >= FROM_ONE {
        return Ok(Some(false));
    }
    let mut value = token.clone();
    let key = hashed(&std::mem::take(&mut value.access_token));
    let row = Exchanged { token: &value, from };
    sheet.write(TOKEN, &key, Entry { value: &row, group: Some(&group), until: Some(token.expires_at) })?;
    Ok(Some(true))
}

/// Nobody is known to be allowed to exchange anything but while an exchange is at work.
pub(super) fn withheld(client: &mut Client) {
    client.grant_types.retain(|grant| *grant != GrantType::TokenExchange);
}

impl Authority {
    /// The exchange that a form asks for, if it does.
    ///
    /// # Errors
    /// What is answered where there is nothing to be exchanged for it.
    pub(super) async fn exchange(
        &self,
        path: &str,
        pairs: &[(String, String)],
    ) -> Result<Option<Exchange>, Response<Bytes>> {
        if path != "/oauth/token" || form::first(pairs, "grant_type") != Some(GRANT) {
            return Ok(None);
        }
        if ["actor_token", "actor_token_type"].into_iter().any(|name| form::first(pairs, name).is_some()) {
            let why = "the actor is the client that asks; no actor_token is taken";
            return Err(told(refused(StatusCode::BAD_REQUEST, "invalid_request"), why));
        }
        self.offered(pairs).await.map(Some).map_err(|problem| {
            tracing::error!(%problem, "a token to be exchanged cannot be looked up");
            refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        })
    }

    async fn offered(&self, pairs: &[(String, String)]) -> Result<Exchange, Problem> {
        let subject = form::first(pairs, "subject_token").unwrap_or_default().to_owned();
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| Problem::new(Code::Internal, "the machine has no random numbers"))?;
        let asked = form::words(pairs, "scope");
        let worth = self.standing(&subject).await?.map(|standing| Worth {
            scopes: match asked.is_empty() {
                true => standing.scopes,
                false => standing.scopes.meet(&Scopes::read(&asked.join(" "))),
            },
            actors: standing.actors,
        });
        let (key, actor) = (hashed(&subject), URL_SAFE_NO_PAD.encode(bytes));
        let (settled, hidden) = (OnceLock::new(), AtomicBool::new(false));
        Ok(Exchange(Arc::new(Inner { subject, key, actor, worth, settled, hidden })))
    }
}
