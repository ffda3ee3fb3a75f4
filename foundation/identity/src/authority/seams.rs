//! What the protocol crate asks its host for: a signature, a look at somebody else's, the time, how much is too much, and
//! somebody who hears of what happened.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::seam::Clock;
use oauth_as::jwt::{Jwk, JwsAlg, JwsSignature, JwsSigner, JwsVerifier, SignerError};
use oauth_as::rate_limit::FixedWindowRateLimiter;
use oauth_as::{Attempt, AttemptOutcome, Event, EventSink, RateLimitDecision, RateLimiter};

use super::rows::system;
use crate::signing::{PublicKey, SigningKeys};

/// Signs access tokens with the key that was current when this was made; another key wants another one of these, for the
/// crate writes the key's id into the token beforehand.
pub struct Signer {
    keys: Arc<SigningKeys>,
    key: PublicKey,
}

impl Signer {
    /// Over the current key.
    pub fn new(keys: Arc<SigningKeys>) -> Self {
        let key = keys.current();
        Self { keys, key }
    }
}

impl JwsSigner for Signer {
    fn alg(&self) -> JwsAlg {
        JwsAlg::Es256
    }

    async fn sign(&self, signing_input: &[u8]) -> Result<JwsSignature, SignerError> {
        let signed = self.keys.sign(signing_input).map_err(|problem| SignerError::new(problem.to_string()))?;
        if signed.key != self.key.id {
            // Replaced between the header and here; the client asks again and is answered by its successor.
            return Err(SignerError::new("the key was replaced a moment ago"));
        }
        Ok(JwsSignature::Es256(signed.signature))
    }

    fn public_jwk(&self) -> Jwk {
        Jwk::Ec {
            crv: oauth_as::EcCurve::P256,
            x: self.key.x.clone(),
            y: self.key.y.clone(),
            kid: Some(self.key.id.clone()),
        }
    }
}

/// Verifies ES256 of clients' assertions.
#[derive(Clone, Copy)]
pub struct Es256;

impl JwsVerifier for Es256 {
    fn alg(&self) -> JwsAlg {
        JwsAlg::Es256
    }

    fn verify(&self, key: &Jwk, signing_input: &[u8], signature: &[u8]) -> bool {
        let Jwk::Ec { x, y, .. } = key else { return false };
        let (Ok(x), Ok(y)) = (URL_SAFE_NO_PAD.decode(x), URL_SAFE_NO_PAD.decode(y)) else { return false };
        if x.len() != 32 || y.len() != 32 {
            return false;
        }
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signing_input, signature).is_ok()
    }
}

/// Verifies EdDSA of clients' assertions.
#[derive(Clone, Copy)]
pub struct EdDsa;

impl JwsVerifier for EdDsa {
    fn alg(&self) -> JwsAlg {
        JwsAlg::EdDsa
    }

    fn verify(&self, key: &Jwk, signing_input: &[u8], signature: &[u8]) -> bool {
        let Jwk::Okp { x, .. } = key else { return false };
        let Ok(x) = URL_SAFE_NO_PAD.decode(x) else { return false };
        x.len() == 32 && UnparsedPublicKey::new(&ED25519, x).verify(signing_input, signature).is_ok()
    }
}

/// The gateway's clock as the crate reads it.
#[derive(Clone)]
pub struct Ticking(pub(super) Arc<dyn Clock>);

impl oauth_as::server::Clock for Ticking {
    fn now(&self) -> SystemTime {
        system(self.0.now())
    }
}

/// How often codes may be typed; it outlives the server that a new key replaces. Nothing is counted by `client_id`, which
/// everybody knows: a stranger would lock the client out. Secrets cannot be guessed, and who tries is slowed down by network.
#[derive(Clone)]
pub(super) struct Limits(pub(super) Arc<FixedWindowRateLimiter>);

impl RateLimiter for Limits {
    fn check(&self, attempt: Attempt<'_>) -> RateLimitDecision {
        match attempt {
            Attempt::ClientAuthentication { .. } | Attempt::AuthorizationRequest { .. } => RateLimitDecision::Allow,
            other => self.0.check(other),
        }
    }

    fn record(&self, attempt: Attempt<'_>, outcome: AttemptOutcome) {
        if !matches!(attempt, Attempt::ClientAuthentication { .. } | Attempt::AuthorizationRequest { .. }) {
            self.0.record(attempt, outcome);
        }
    }
}

/// Writes what happened to the log; what smells of theft, as a warning.
pub(super) struct Chronicle;

impl EventSink for Chronicle {
    fn on_event(&self, event: Event<'_>) {
        match event {
            Event::RefreshTokenReuseDetected { client_id, family_id, records_revoked, containment_failed } => {
                tracing::warn!(
                    client_id,
                    family_id,
                    records_revoked,
                    containment_failed,
                    "a refresh token was used twice; all tokens of its grant are revoked"
                )
            }
            Event::AuthorizationCodeReplayDetected { client_id, tokens_revoked, containment_failed, .. } => {
                tracing::warn!(
                    client_id,
                    tokens_revoked,
                    containment_failed,
                    "an authorization code was used twice; the tokens made with it are revoked"
                )
            }
            Event::ClientAuthenticationFailed { client_id, failure } => {
                tracing::info!(client_id, %failure, "a client did not prove who it is");
            }
            Event::TokenIssued { client_id, grant_type, subject, scope, .. } => {
                let grant = grant_type.as_str();
                tracing::info!(client_id, grant, subject, %scope, "an access token was issued");
            }
            Event::GrantRefused { client_id, error, .. } => {
                tracing::debug!(client_id, ?error, "a grant was refused");
            }
            Event::DeviceGrantApproved { client_id, subject } => {
                tracing::info!(client_id, subject, "a person let a device in");
            }
            Event::DeviceGrantDenied { client_id } => tracing::info!(client_id, "a person turned a device away"),
            Event::TokenRevoked { client_id, cascade_failed, .. } => {
                tracing::info!(client_id, cascade_failed, "a client gave its token back");
            }
            _ => {}
        }
    }
}
