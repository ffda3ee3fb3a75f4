//! The embedded authorization server (OAuth 2.1 in the making): it registers programs, asks people, and issues access tokens
//! that this gateway takes.
//!
//! - The protocol is the crate `oauth-as` (docs/decisions/0009): grants, PKCE, rotation, reuse detection, metadata, errors.
//! - Ours: where its records lie ([`storage`]), who signs ([`seams`], [`crate::signing`]), what people are asked
//!   ([`consent`]), which programs there are ([`clients`]), what one token is exchanged for ([`exchange`]), and what a token is
//!   worth at this moment ([`standing`]).
//! - A token counts while its row is in the store: revoking takes the row away and raises the [`Epoch`], under which
//!   identities are remembered.
//!
//! RFC 6749, 6750, 7009, 7517, 7523, 7636, 7662, 8414, 8628 (with RFC 10027's rules), 8693, 8705, 8707, 9068, 9207, 9700, 9728.

mod caller;
mod certified;
pub mod clients;
pub mod consent;
mod exchange;
pub mod form;
mod pace;
mod rows;
pub mod seams;
pub mod standing;
pub mod storage;
pub mod web;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use moongate_core::seam::Clock;
use moongate_core::{Code, Problem, Scope, Scopes};
use oauth_as::jwt::{AccessTokenFormat, JwtConfig};
use oauth_as::rate_limit::FixedWindowRateLimiter;
use oauth_as::server::{AuthorizationServer, ServerConfig};
use oauth_as::{AuthorizationService, ServiceBuilder};

use crate::epoch::Epoch;
use crate::jwt::KeySet;
use crate::signing::{PublicKey, SigningKeys, Workshop};
use seams::{Chronicle, EdDsa, Es256, Limits, Signer, Ticking};
use standing::People;
use storage::Grants;

/// The longest that an access token may be valid: RFC-free and ours, a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A key is replaced when it has signed for so long.
const KEY_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

type Server = AuthorizationServer<Grants, Ticking>;

/// How the server is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The issuer, which is also the resource that its tokens are for; an absolute URL without a slash at its end.
    pub issuer: String,
    /// How long access tokens are valid.
    pub token: Duration,
    /// How long a person's consent goes on, from refresh to refresh.
    pub refresh: Duration,
    /// How long a device waits for a person's answer.
    pub device: Duration,
    /// What any token can give at most.
    pub scopes: Scopes,
    /// Whether callers may come with certificates, which clients can be known by.
    pub certificates: bool,
}

/// The authorization server.
pub struct Authority {
    /// Principals' names begin with it.
    name: Arc<str>,
    grants: Grants,
    keys: Arc<SigningKeys>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    pace: pace::Pace,
    begun: pace::Pace,
    failures: pace::Pace,
    state: ArcSwap<State>,
    people: OnceLock<Arc<dyn People>>,
}

/// What changes with the configuration and with the key.
struct State {
    terms: Terms,
    server: Arc<Server>,
    service: AuthorizationService<Grants, Ticking>,
    keys: Arc<KeySet>,
}

impl Authority {
    /// Sets it up; `name` is what its callers' names begin with.
    ///
    /// # Errors
    /// The store fails, a key in it cannot be opened, or the issuer is no URL that endpoints can be named after.
    pub async fn open(workshop: Workshop, name: &str, terms: Terms) -> Result<Arc<Self>, Problem> {
        let keep = LONGEST + Duration::from_secs(3600);
        let keys = Arc::new(SigningKeys::load_or_make(workshop.clone(), "oauth", keep).await?);
        let grants = Grants::new(workshop.store, workshop.vault);
        let limits = Limits(Arc::new(FixedWindowRateLimiter::new()));
        let state = state(&grants, &keys, &workshop.clock, &limits, terms)?;
        Ok(Arc::new(Self {
            name: name.into(),
            grants,
            keys,
            clock: workshop.clock,
            limits,
            pace: pace::Pace::new(pace::DEVICES),
            begun: pace::Pace::new(pace::ALL_DEVICES),
            failures: pace::Pace::new(pace::FAILURES),
            state: ArcSwap::from_pointee(state),
            people: OnceLock::new(),
        }))
    }

    /// Other terms from now on; what was issued under the old ones goes on as long as it was meant to.
    ///
    /// # Errors
    /// As [`Authority::open`]; the old terms stay.
    pub fn change(&self, terms: Terms) -> Result<(), Problem> {
        self.state.store(Arc::new(state(&self.grants, &self.keys, &self.clock, &self.limits, terms)?));
        self.grants.epoch().rise();
        Ok(())
    }

    /// Who knows the people that tokens speak for; until then, and without, no person's token is worth anything.
    pub fn introduce(&self, people: Arc<dyn People>) {
        let _ = self.people.set(people);
        self.grants.epoch().rise();
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> String {
        self.state.load().terms.issuer.clone()
    }

    /// What its callers' names begin with.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a token of its own can ever give this.
    pub fn may_give(&self, scope: &Scope) -> bool {
        self.state.load().terms.scopes.covers(scope)
    }

    /// What `aud` may be: the gateway as a whole, or its A2A endpoint.
    pub(crate) fn audience(&self) -> Vec<String> {
        audience(&self.state.load().terms.issuer)
    }

    /// Its public keys.
    pub(crate) fn key_set(&self) -> Arc<KeySet> {
        self.state.load().keys.clone()
    }

    /// What rises when a token may be worth less than before; raise it when a person's rights change.
    pub fn epoch(&self) -> &Epoch {
        self.grants.epoch()
    }

    /// Replaces the signing key; tokens of the old one stay valid.
    ///
    /// # Errors
    /// The store fails; the old key goes on.
    pub async fn rotate_key(&self) -> Result<PublicKey, Problem> {
        let key = self.keys.rotate().await?;
        let terms = self.state.load().terms.clone();
        self.change(terms)?;
        tracing::info!(key = key.id, "access tokens are signed with a new key from now on");
        Ok(key)
    }

    /// The published keys, the current one first.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.keys.published()
    }

    /// What is to be done every minute: expired rows go, an old key is replaced.
    pub async fn tend(&self) {
        if let Err(problem) = self.sweep().await {
            tracing::error!(%problem, "expired grants cannot be removed");
        }
        if self.clock.now().since(self.keys.current().made_at) > KEY_AGE
            && let Err(problem) = self.rotate_key().await
        {
            tracing::error!(%problem, "the signing key cannot be replaced");
        }
    }

    fn server(&self) -> Arc<Server> {
        self.state.load().server.clone()
    }
}

fn audience(issuer: &str) -> Vec<String> {
    vec![issuer.to_owned(), format!("{issuer}/a2a")]
}

fn state(
    grants: &Grants,
    keys: &Arc<SigningKeys>,
    clock: &Arc<dyn Clock>,
    limits: &Limits,
    terms: Terms,
) -> Result<State, Problem> {
    let server = AuthorizationServer::with_clock(config(keys, &terms), grants.clone(), Ticking(clock.clone()))
        .with_event_sink(Box::new(Chronicle))
        .with_rate_limiter(Box::new(limits.clone()))
        .with_jws_verifier(Arc::new(Es256))
        .with_jws_verifier(Arc::new(EdDsa));
    let server = Arc::new(server);
    let service = ServiceBuilder::new(server.clone()).build().map_err(|error| {
        Problem::new(Code::Internal, format!("the authorization server cannot be set up for {}: {error}", terms.issuer))
    })?;
    let published = keys.jwks().to_string();
    let keys = KeySet::read(published.as_bytes()).map_err(|why| Problem::new(Code::Internal, why))?;
    Ok(State { terms, server, service, keys: Arc::new(keys) })
}

fn config(keys: &Arc<SigningKeys>, terms: &Terms) -> ServerConfig {
    let at = |path: &str| format!("{}/oauth/{path}", terms.issuer);
    let mut config = ServerConfig::new(terms.issuer.clone(), at("device"));
    config.authorization_endpoint = Some(at("authorize"));
    config.token_endpoint = Some(at("token"));
    config.device_authorization_endpoint = Some(at("device_authorization"));
    config.introspection_endpoint = Some(at("introspect"));
    config.revocation_endpoint = Some(at("revoke"));
    config.jwks_uri = Some(at("jwks"));
    config.scopes_supported = Some(terms.scopes.words().iter().map(|word| word.to_string()).collect());
    config.allowed_resources = Some(audience(&terms.issuer).into_iter().map(Into::into).collect());
    config.access_token_ttl = terms.token.min(LONGEST);
    config.refresh_token_ttl = Some(terms.refresh);
    config.device_code_ttl = terms.device;
    config.include_verification_uri_complete = true;
    let jwt = JwtConfig::new(Signer::new(keys.clone()), terms.issuer.clone()).with_jwks_uri(at("jwks"));
    config.access_token_format = AccessTokenFormat::Jwt(Box::new(jwt));
    config
}
