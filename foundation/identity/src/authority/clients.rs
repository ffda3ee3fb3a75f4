//! Programs that may ask for tokens, and the tokens that they hold, as an operator sees and ends them.
//!
//! A client is given the least: no grant that was not named, scopes that the operator lists, redirect URIs word by word (but for a
//! public client's port on loopback, which is free by RFC 8252 §7.3). The device
//! flow is for clients that were registered for it and no others (RFC 10027).

mod check;
mod tokens;

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::{Code, Problem, Scopes};
use oauth_as::client_assertion::AssertionKeys;
use oauth_as::store::RevocationWindow;
use oauth_as::{Client, ClientAuth, ClientId, GrantType, ScopeSet, SecretHash};
use serde_json::{Value, json};

use super::consent::broken;
use super::rows::{CLIENT, Entry, moment, system};
use super::storage::{ClientRow, forget_client};
use super::{Authority, LONGEST, certified};
use crate::names;

/// A client to be registered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewClient {
    /// Letters, digits, `.`, `_`, `-`; at most 64.
    pub id: String,
    /// What people are shown; the id if absent.
    pub name: Option<String>,
    /// How it proves who it is.
    pub proof: ClientProof,
    /// How it may get tokens: `authorization_code`, `device_code`, `client_credentials`, `token_exchange`.
    pub grants: Vec<String>,
    /// What it may get at most, as text.
    pub scopes: Vec<String>,
    /// Where a browser may be sent, word by word.
    pub redirect_uris: Vec<String>,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientProof {
    /// Not at all: a program on somebody's device that can keep no secret.
    Public,
    /// By a secret, which is made here and shown once.
    Secret,
    /// By assertions that it signs (`private_key_jwt`): its key set.
    Keys(Value),
    /// By the certificate of its connection (`tls_client_auth`): the SPIFFE id that it has here, or `device/NAME`.
    Certificate(String),
}

impl Authority {
    /// Registers a client; its secret, if it has one, is told here and never again.
    ///
    /// # Errors
    /// `InvalidParams` with the member that is wrong, `ClientExists` if the id is or was a client's or a user's, the store fails.
    pub async fn add_client(&self, new: NewClient) -> Result<(Value, Option<String>), Problem> {
        let grants = check::all(&new, &self.state.load().terms.scopes)?;
        let (auth, secret) = credential(&new.proof)?;
        let scopes = ScopeSet::from_tokens(new.scopes.iter().map(String::as_str))
            .map_err(|error| check::wrong("scopes", error.to_string()))?;
        let client = Client {
            client_id: ClientId::new(new.id.clone()),
            auth,
            grant_types: grants,
            redirect_uris: new.redirect_uris,
            allowed_scopes: scopes.clone(),
            default_scopes: scopes,
            name: new.name,
            registration: None,
        };
        let row = ClientRow { client, disabled: false, made_at: system(self.clock.now()) };
        let view = view(&row);
        let put = self.grants.change(move |sheet| {
            let id = row.client.client_id.as_str();
            let holder = names::holder(sheet.page(), id)?;
            if holder.is_none() {
                sheet.write(CLIENT, id, Entry { value: &row, group: None, until: None })?;
            }
            Ok(holder)
        });
        match put.await.map_err(broken)? {
            None => Ok((view, secret)),
            Some(holder) => Err(holder.refusal(Code::ClientExists, &new.id)),
        }
    }

    /// All clients, by their ids.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clients(&self) -> Result<Vec<Value>, Problem> {
        let all = self.grants.look(|sheet| {
            let mut all = Vec::new();
            sheet.every(CLIENT, |_, row: ClientRow| {
                all.push(view(&row));
                Ok(true)
            })?;
            Ok(all)
        });
        all.await.map_err(broken)
    }

    /// One client.
    ///
    /// # Errors
    /// `NoSuchClient`, the store fails.
    pub async fn client(&self, id: &str) -> Result<Value, Problem> {
        let key = id.to_owned();
        let row: Option<ClientRow> = self.grants.look(move |sheet| sheet.read(CLIENT, &key)).await.map_err(broken)?;
        row.as_ref().map(view).ok_or_else(|| nobody(id))
    }

    /// Takes a client's rights away until it is enabled again; what it was given does not count meanwhile.
    ///
    /// # Errors
    /// As [`Authority::client`].
    pub async fn disable_client(&self, id: &str, disabled: bool) -> Result<Value, Problem> {
        let key = id.to_owned();
        let changed = self.grants.change(move |sheet| {
            let Some(row) = sheet.read::<ClientRow>(CLIENT, &key)? else { return Ok(None) };
            let row = ClientRow { disabled, ..row };
            sheet.write(CLIENT, &key, Entry { value: &row, group: None, until: None })?;
            Ok(Some(view(&row)))
        });
        let changed = changed.await.map_err(broken);
        self.epoch().rise();
        changed?.ok_or_else(|| nobody(id))
    }

    /// Removes a client, and all that it was given. No other one is called so again.
    ///
    /// # Errors
    /// As [`Authority::client`].
    pub async fn remove_client(&self, id: &str) -> Result<(), Problem> {
        let (key, window, now) = (ClientId::new(id), self.window(), self.clock.now());
        let removed = self.grants.change(move |sheet| {
            let there = sheet.has(CLIENT, key.as_str())?;
            if there {
                forget_client(sheet, &key, window)?;
                names::retire(sheet.page(), key.as_str(), now)?;
            }
            Ok(there)
        });
        let removed = removed.await.map_err(broken);
        self.epoch().rise();
        if removed? { Ok(()) } else { Err(nobody(id)) }
    }

    /// How long what is revoked now must be kept from coming to life.
    fn window(&self) -> RevocationWindow {
        let now = system(self.clock.now());
        let longest = self.state.load().terms.refresh.max(LONGEST);
        RevocationWindow { recorded_at: now, until: now.checked_add(longest).unwrap_or(now) }
    }
}

fn nobody(id: &str) -> Problem {
    Problem::new(Code::NoSuchClient, format!("there is no client {id}"))
}

fn credential(proof: &ClientProof) -> Result<(ClientAuth, Option<String>), Problem> {
    match proof {
        ClientProof::Public => Ok((ClientAuth::Public, None)),
        ClientProof::Secret => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes)
                .map_err(|_| Problem::new(Code::Internal, "the machine has no random numbers"))?;
            let secret = URL_SAFE_NO_PAD.encode(bytes);
            Ok((ClientAuth::ConfidentialSecretHash { hash: SecretHash::sha256(&secret) }, Some(secret)))
        }
        ClientProof::Keys(set) => {
            let (alg, keys) = check::keys(set)?;
            Ok((ClientAuth::ConfidentialAssertion { keys: AssertionKeys::PublicKeys { alg, keys } }, None))
        }
        ClientProof::Certificate(identity) => {
            check::identity(identity)?;
            Ok((certified::auth(identity), None))
        }
    }
}

/// Names of grants as operators write them.
const GRANTS: [(&str, GrantType); 5] = [
    ("authorization_code", GrantType::AuthorizationCode),
    ("device_code", GrantType::DeviceCode),
    ("client_credentials", GrantType::ClientCredentials),
    ("refresh_token", GrantType::RefreshToken),
    ("token_exchange", GrantType::TokenExchange),
];

fn view(row: &ClientRow) -> Value {
    let client = &row.client;
    let proof = match &client.auth {
        ClientAuth::Public => "none",
        ClientAuth::ConfidentialAssertion { .. } => "private_key_jwt",
        ClientAuth::Mtls { .. } => "tls_client_auth",
        _ => "client_secret",
    };
    let grants = GRANTS.iter().filter(|(_, grant)| client.allows_grant(*grant)).map(|(name, _)| *name);
    let mut view = json!({
        "id": client.client_id.as_str(),
        "name": client.name,
        "proof": proof,
        "grants": grants.collect::<Vec<_>>(),
        "scopes": client.allowed_scopes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "redirect_uris": client.redirect_uris,
        "disabled": row.disabled,
        "made_at": moment_of(row.made_at),
    });
    if let (Some(members), Some(identity)) = (view.as_object_mut(), certified::identity(&client.auth)) {
        members.insert("certificate".to_owned(), identity.into());
    }
    view
}

/// A moment in milliseconds since 1970.
fn moment_of(at: SystemTime) -> u64 {
    moment(at).0
}

/// What a client may have, for messages.
fn allowed(scopes: &Scopes) -> String {
    scopes.words().iter().map(|word| &**word).collect::<Vec<_>>().join(" ")
}
