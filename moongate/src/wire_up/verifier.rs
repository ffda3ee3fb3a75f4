//! The stage *identify*: whose request it is.
//!
//! - With an access token that an issuer of the configuration has signed: whoever the token names, with the scopes that the
//!   token and the issuer's entry both allow; with one of the gateway's own authorization server, the same, as long as it has
//!   not been revoked.
//! - On a loopback listener, with the operator's secret: the operator; without any credential: the principal `local` with its
//!   limited rights, for who reaches such a listener is at this machine.
//! - Everybody else is refused. A credential that does not hold is refused, never ignored; the operator's secret does not
//!   count on a listener that other machines reach.

use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_config::Config;
use moongate_config::schema::Jwks;
use moongate_core::seam::{Clock, Dialer, Later, Verifier};
use moongate_core::{Arrival, Code, Listener, Principal, Problem};
use moongate_identity::jwt::Algorithm;
use moongate_identity::{Authority, Issuer, KeySource, Keys, Secret, Tokens};

pub(crate) struct Doorkeeper {
    secret: Secret,
    local: Arc<Principal>,
    operator: Arc<Principal>,
    /// Listeners that other machines reach.
    facing_out: Vec<Listener>,
    tokens: ArcSwap<Tokens>,
}

impl Doorkeeper {
    /// Knows the callers that a configuration describes; `facing_out` are the listeners off loopback.
    pub(crate) fn new(config: &Config, secret: Secret, facing_out: Vec<Listener>, tokens: Tokens) -> Self {
        Self {
            secret,
            local: Arc::new(Principal::local(&config.domain)),
            operator: Arc::new(Principal::operator(&config.domain)),
            facing_out,
            tokens: ArcSwap::from_pointee(tokens),
        }
    }

    /// The issuers of this configuration from now on; what was known of tokens is forgotten, what was fetched of keys is not.
    pub(crate) fn trust(
        &self,
        config: &Config,
        own: Option<Arc<Authority>>,
        clock: &Arc<dyn Clock>,
        dialer: &Arc<dyn Dialer>,
    ) {
        let before = self.tokens.load_full();
        let tokens = tokens(config, (Some(&before), own), clock, dialer);
        self.tokens.store(Arc::new(tokens));
    }

    fn is_at_this_machine(&self, arrival: &Arrival) -> bool {
        arrival.remote.ip().to_canonical().is_loopback() && !self.facing_out.contains(&arrival.listener)
    }
}

/// The tokens that a configuration accepts; `before` are those of the one before, `own` issues tokens of our own.
pub(crate) fn tokens(
    config: &Config,
    (before, own): (Option<&Tokens>, Option<Arc<Authority>>),
    clock: &Arc<dyn Clock>,
    dialer: &Arc<dyn Dialer>,
) -> Tokens {
    let issuers = config.issuers.iter().map(|issuer| {
        let source = match &issuer.jwks {
            Jwks::Url(url) => KeySource::Url(url.clone()),
            Jwks::File(path) => KeySource::File(path.clone()),
        };
        let known = before.and_then(|before| before.keys(&issuer.name, &source));
        Issuer {
            name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            algorithms: issuer.algorithms.iter().filter_map(|name| Algorithm::parse(name)).collect(),
            scopes: issuer.scopes.clone(),
            keys: known.unwrap_or_else(|| Arc::new(Keys::new(&issuer.name, source))),
        }
    });
    Tokens::new(issuers.collect(), &config.domain, clock.clone(), dialer.clone()).with_own(own)
}

fn refused(why: &'static str) -> Problem {
    Problem::new(Code::Unauthenticated, why)
}

/// The token of an `Authorization: Bearer …`.
fn bearer(credential: &str) -> Option<&str> {
    let (scheme, token) = credential.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Verifier for Doorkeeper {
    fn verify<'a>(
        &'a self,
        arrival: &'a Arrival,
        credential: Option<&'a str>,
    ) -> Later<'a, Result<Arc<Principal>, Problem>> {
        Box::pin(async move {
            if let Some(judged) = self.known(arrival, credential) {
                return judged;
            }
            let tokens = self.tokens.load_full();
            tokens.verify(credential.and_then(bearer).unwrap_or_default()).await
        })
    }

    fn known(&self, arrival: &Arrival, credential: Option<&str>) -> Option<Result<Arc<Principal>, Problem>> {
        let at_home = self.is_at_this_machine(arrival);
        let Some(credential) = credential else {
            return Some(if at_home {
                Ok(self.local.clone())
            } else {
                Err(refused("callers from other machines send an access token (Authorization: Bearer …)"))
            });
        };
        let Some(token) = bearer(credential) else {
            return Some(Err(refused(
                "the credential is not of a kind that is accepted; send Authorization: Bearer …",
            )));
        };
        if at_home && self.secret.matches(token) {
            return Some(Ok(self.operator.clone()));
        }
        let tokens = self.tokens.load();
        if tokens.is_empty() {
            return Some(Err(refused("the credential is not one that this gateway gave")));
        }
        tokens.known(token).map(Ok)
    }
}
