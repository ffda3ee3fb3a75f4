//! The stage *identify*: whose request it is.
//!
//! - With an access token that an issuer of the configuration has signed: whoever the token names, with the scopes that the
//!   token and the issuer's entry both allow; with one of the gateway's own authorization server, the same, as long as it has
//!   not been revoked.
//! - With a client certificate, which was verified when the connection was made: whoever it names, with the scopes that its
//!   trust domain, or the device, is allowed; an agent that its domain's entry names, with no more than stands there. With a token as well: whoever the token names, with what both allow. A
//!   certificate that ran out after its connection was made is refused.
//! - A token that is bound to a certificate counts only on a connection that shows it.
//! - A token of another trust domain counts only beside a certificate of that domain.
//! - On a loopback listener, with the operator's secret: the operator; without any credential: the principal `local` with its
//!   limited rights, for who reaches such a listener is at this machine.
//! - Everybody else is refused. A credential that does not hold is refused, never ignored; the operator's secret does not
//!   count on a listener that other machines reach.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_config::Config;
use moongate_config::schema::Jwks;
use moongate_core::seam::{Clock, Dialer, Later, Verifier};
use moongate_core::{Arrival, Certificate, Code, Listener, Principal, PrincipalKind, Problem, Proof, Scopes};
use moongate_identity::jwt::{Algorithm, Holder};
use moongate_identity::{Authority, Epoch, Issuer, KeySource, Keys, Secret, Tokens};

pub(crate) struct Doorkeeper {
    secret: Secret,
    local: Arc<Principal>,
    operator: Arc<Principal>,
    /// Listeners that other machines reach.
    facing_out: Vec<Listener>,
    tokens: ArcSwap<Tokens>,
    allowed: ArcSwap<Allowed>,
    /// Rises with the configuration.
    standing: Epoch,
    clock: Arc<dyn Clock>,
}

/// What holders of client certificates may do.
#[derive(Default)]
struct Allowed {
    /// By trust domain.
    domains: HashMap<String, Scopes>,
    /// By the ids of agents that may do less than their domain: what both may do.
    agents: HashMap<String, Scopes>,
    /// By the id of the device.
    devices: HashMap<String, Scopes>,
}

impl Allowed {
    fn of(config: &Config) -> Self {
        let domains = config.peers.iter().map(|peer| (peer.domain.clone(), peer.scopes.clone()));
        let agents = config
            .peers
            .iter()
            .flat_map(|peer| peer.agents.iter().map(|agent| (agent.spiffe.clone(), peer.scopes.meet(&agent.scopes))));
        let devices = config.devices.iter().map(|one| (format!("device/{}", one.name), one.scopes.clone()));
        Self { domains: domains.collect(), agents: agents.collect(), devices: devices.collect() }
    }

    /// Nothing, for whom the configuration does not name any more.
    fn scopes(&self, certificate: &Certificate) -> Scopes {
        let found = if certificate.id.starts_with("device/") {
            self.devices.get(&*certificate.id)
        } else {
            self.agents.get(&*certificate.id).or_else(|| self.domains.get(&*certificate.domain))
        };
        found.cloned().unwrap_or_default()
    }
}

impl Doorkeeper {
    /// Knows the callers that a configuration describes; `facing_out` are the listeners off loopback.
    pub(crate) fn new(
        config: &Config,
        secret: Secret,
        facing_out: Vec<Listener>,
        tokens: Tokens,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            secret,
            local: Arc::new(Principal::local(&config.domain)),
            operator: Arc::new(Principal::operator(&config.domain)),
            facing_out,
            tokens: ArcSwap::from_pointee(tokens),
            allowed: ArcSwap::from_pointee(Allowed::of(config)),
            standing: Epoch::default(),
            clock,
        }
    }

    /// The issuers of this configuration from now on; what was known of tokens is forgotten, what was fetched of keys is not.
    pub(crate) fn trust(&self, config: &Config, own: Option<Arc<Authority>>, dialer: &Arc<dyn Dialer>) {
        let before = self.tokens.load_full();
        let tokens = tokens(config, (Some(&before), own), &self.clock, dialer);
        self.tokens.store(Arc::new(tokens));
        self.allowed.store(Arc::new(Allowed::of(config)));
        self.standing.rise();
    }

    /// Whoever the connection's certificate names.
    fn holder(&self, certificate: &Certificate) -> Arc<Principal> {
        Arc::new(Principal {
            id: certificate.id.clone(),
            kind: PrincipalKind::Agent,
            domain: certificate.domain.clone(),
            scopes: self.allowed.load().scopes(certificate),
            proof: Proof::Mtls,
            expires_at: certificate.expires_at,
        })
    }

    /// Whoever a token names, as far as the connection that it came by lets them.
    fn arrived(&self, holder: Holder, arrival: &Arrival) -> Result<Arc<Principal>, Problem> {
        let certificate = arrival.certificate.as_deref();
        let who = holder.on(certificate)?;
        if *who.domain != *self.local.domain && certificate.is_none_or(|one| one.domain != who.domain) {
            let detail = format!("a token of the domain {} counts only beside a client certificate of it", who.domain);
            return Err(Problem::new(Code::ForeignWithoutCertificate, detail));
        }
        let Some(certificate) = certificate else { return Ok(who) };
        let scopes = who.scopes.meet(&self.allowed.load().scopes(certificate));
        let expires_at = match (who.expires_at, certificate.expires_at) {
            (Some(token), Some(certificate)) => Some(token.min(certificate)),
            (one, other) => one.or(other),
        };
        Ok(Arc::new(Principal { scopes, expires_at, ..(*who).clone() }))
    }

    /// Whether the certificate still held when this request came: a connection lives longer than its handshake.
    fn holds(&self, certificate: Option<&Certificate>) -> Result<(), Problem> {
        match certificate.and_then(|one| one.expires_at) {
            Some(end) if end <= self.clock.now() => {
                Err(refused("the client certificate of this connection has run out"))
            }
            _ => Ok(()),
        }
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
            domain: issuer.domain.as_deref().map(Arc::from),
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
            let holder = tokens.verify(credential.and_then(bearer).unwrap_or_default()).await?;
            self.arrived(holder, arrival)
        })
    }

    fn known(&self, arrival: &Arrival, credential: Option<&str>) -> Option<Result<Arc<Principal>, Problem>> {
        if let Err(problem) = self.holds(arrival.certificate.as_deref()) {
            return Some(Err(problem));
        }
        let at_home = self.is_at_this_machine(arrival);
        let Some(credential) = credential else {
            return Some(match &arrival.certificate {
                Some(certificate) => Ok(self.holder(certificate)),
                None if at_home => Ok(self.local.clone()),
                None => Err(refused("callers from other machines send an access token (Authorization: Bearer …)")),
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
        tokens.known(token).map(|holder| self.arrived(holder, arrival))
    }

    fn stands<'a>(&'a self, owner: &'a str) -> Later<'a, Result<bool, Problem>> {
        Box::pin(async move {
            if [&self.local.id, &self.operator.id].iter().any(|id| ***id == *owner) {
                return Ok(true);
            }
            let allowed = self.allowed.load_full();
            if owner.starts_with("device/") {
                return Ok(allowed.devices.contains_key(owner));
            }
            if let Some(rest) = owner.strip_prefix("spiffe://") {
                return Ok(allowed.domains.contains_key(rest.split('/').next().unwrap_or_default()));
            }
            self.tokens.load_full().stands(owner).await
        })
    }

    fn changes(&self) -> Later<'static, ()> {
        let (standing, tokens) = (self.standing.clone().after(self.standing.now()), self.tokens.load().changes());
        Box::pin(async move {
            tokio::select! {
                () = standing => {}
                () = tokens => {}
            }
        })
    }
}
