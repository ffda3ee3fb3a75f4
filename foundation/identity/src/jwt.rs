//! Access tokens that issuers have signed (RFC 9068): read strictly, verified, remembered for a while.
//!
//! - What a token may be is decided by [`token`], without input or output: its size, its form, its algorithm, its times, its
//!   issuer and audience.
//! - Keys come from the issuer's key set ([`keys`]), never from a token.
//! - The effective scopes are those that the token names **and** the operator allows this issuer to give.
//! - Tokens of the gateway's own authorization server are verified with its keys at hand, and are worth what its store says at
//!   this moment ([`crate::authority::standing`]).
//! - A token that was verified is known by a tag ([`names`]) for a minute at most, and never longer than it is valid; so a
//!   request with a token that came before costs one pass over it.

mod keys;
mod names;
mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::{Clock, Dialer, Later};
use moongate_core::{Certificate, Code, Mono, Principal, PrincipalKind, Problem, Proof, Scopes};
use parking_lot::Mutex;

use crate::authority::Authority;

pub(crate) use keys::{Key, KeySet};
pub use keys::{KeySource, Keys};
use names::{Name, Names};
pub use token::Algorithm;
pub(crate) use token::object;
use token::{Claims, Token};

/// How long a verified token is known without another look.
const KNOWN: Duration = Duration::from_secs(60);
/// Tokens that are known at once.
const MOST_KNOWN: usize = 10_000;

/// Whose tokens are accepted, and for what.
pub struct Issuer {
    /// What the operator calls it; the ids of its callers begin with it.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud` must hold one of these.
    pub audience: Vec<String>,
    /// The algorithms that it signs with.
    pub algorithms: Vec<Algorithm>,
    /// What its tokens may give at most.
    pub scopes: Scopes,
    /// The trust domain of its callers; `None` is the verifier's own.
    pub domain: Option<Arc<str>>,
    /// Its keys.
    pub keys: Arc<Keys>,
}

/// Whom a token names. Who that is counts only on a connection that shows the certificate which the token is bound to, if it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    principal: Arc<Principal>,
    bound_to: Option<[u8; 32]>,
}

impl Holder {
    /// Who it is, on a connection with this certificate (RFC 8705 §3).
    ///
    /// # Errors
    /// `Unauthenticated` if the token is bound to another one.
    pub fn on(self, certificate: Option<&Certificate>) -> Result<Arc<Principal>, Problem> {
        match self.bound_to {
            Some(bound) if certificate.is_none_or(|one| one.thumbprint != bound) => {
                Err(refused("is bound to a client certificate that this connection does not show"))
            }
            _ => Ok(self.principal),
        }
    }
}

struct Known {
    holder: Holder,
    until: Mono,
    /// Of a token of our own: the epoch that it was looked up in.
    epoch: Option<u64>,
}

/// Verifies tokens of all issuers.
pub struct Tokens {
    issuers: Vec<Issuer>,
    own: Option<Arc<Authority>>,
    /// The domain that callers belong to.
    domain: Arc<str>,
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    names: Names,
    known: Mutex<HashMap<Name, Known>>,
}

impl Tokens {
    /// A verifier; it fetches no key before the first token comes.
    pub fn new(issuers: Vec<Issuer>, domain: &str, clock: Arc<dyn Clock>, dialer: Arc<dyn Dialer>) -> Self {
        Self { issuers, own: None, domain: domain.into(), clock, dialer, names: Names::new(), known: Mutex::default() }
    }

    /// The same, which takes the tokens of the gateway's own authorization server too.
    #[must_use]
    pub fn with_own(self, own: Option<Arc<Authority>>) -> Self {
        Self { own, ..self }
    }

    /// The keys of an issuer that another configuration named alike, with what is known of them.
    pub fn keys(&self, name: &str, source: &KeySource) -> Option<Arc<Keys>> {
        let found = self.issuers.iter().find(|issuer| issuer.name == name && issuer.keys.source() == source);
        found.map(|issuer| issuer.keys.clone())
    }

    /// Whether any issuer is accepted.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty() && self.own.is_none()
    }

    /// Whoever holds this token, if it was verified a moment ago.
    pub fn known(&self, token: &str) -> Option<Holder> {
        let id = self.names.of(token)?;
        let epoch = self.own.as_ref().map(|own| own.epoch().now());
        let known = self.known.lock();
        let found = known.get(&id).filter(|known| known.until > self.clock.mono())?;
        if found.epoch.is_some() && found.epoch != epoch {
            return None;
        }
        let valid = found.holder.principal.expires_at.is_none_or(|at| at > self.clock.now());
        valid.then(|| found.holder.clone())
    }

    /// Whether a caller that some issuer has named is known to it still, as far as can be said here.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stands(&self, who: &str) -> Result<bool, Problem> {
        let of = |name: &str| who.strip_prefix(name).is_some_and(|rest| rest.starts_with(['/', ':']));
        if self.issuers.iter().any(|issuer| of(&issuer.name)) {
            return Ok(true);
        }
        match &self.own {
            Some(own) => Ok(own.knows(who).await?.unwrap_or_default()),
            None => Ok(false),
        }
    }

    /// Ready once a token of our own may be worth something else than at the moment of this call.
    pub fn changes(&self) -> Later<'static, ()> {
        match &self.own {
            Some(own) => Box::pin(own.epoch().clone().after(own.epoch().now())),
            None => Box::pin(std::future::pending()),
        }
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// `Unauthenticated`, with what is wrong with it; never with the token itself.
    pub async fn verify(&self, text: &str) -> Result<Holder, Problem> {
        let token = Token::read(text).map_err(refused)?;
        if let Some(own) = self.own.as_ref().filter(|own| own.issuer() == token.claims.issuer) {
            return self.verify_own(own, text, &token).await;
        }
        let issuer = self.issuers.iter().find(|issuer| issuer.issuer == token.claims.issuer);
        let issuer = issuer.ok_or_else(|| refused("is of an issuer that is not accepted"))?;
        token.fits(&issuer.algorithms, &issuer.audience, self.clock.now()).map_err(refused)?;
        let keys = issuer.keys.get(&self.dialer, self.clock.mono()).await?;
        if let Err(why) = signed(&token, &keys) {
            // The issuer may have changed its keys since, under the same id too.
            let newer = issuer.keys.newer(&self.dialer, self.clock.mono()).await?;
            if Arc::ptr_eq(&keys, &newer) {
                return Err(refused(why));
            }
            signed(&token, &newer).map_err(refused)?;
        }
        let principal = Arc::new(self.principal(issuer, &token.claims));
        Ok(self.remember(text, principal, &token.claims, None))
    }

    /// A token that says it is of our own authorization server.
    async fn verify_own(&self, own: &Authority, text: &str, token: &Token<'_>) -> Result<Holder, Problem> {
        token.fits(&[Algorithm::Es256], &own.audience(), self.clock.now()).map_err(refused)?;
        signed(token, &own.key_set()).map_err(refused)?;
        // Read before the look at the store: what ends in between makes this void.
        let epoch = own.epoch().now();
        let standing = own.standing(text).await?.ok_or_else(|| refused("was revoked, or who held it is gone"))?;
        let (id, kind) = match standing.user {
            Some(user) => (format!("{}:{user}", own.name()), PrincipalKind::User),
            None => (format!("{}/{}", own.name(), standing.client), PrincipalKind::Agent),
        };
        let principal = Arc::new(Principal {
            id: id.into(),
            kind,
            domain: self.domain.clone(),
            scopes: standing.scopes,
            proof: Proof::Jwt,
            expires_at: Some(token.claims.expires_at),
        });
        Ok(self.remember(text, principal, &token.claims, Some(epoch)))
    }

    fn principal(&self, issuer: &Issuer, claims: &Claims) -> Principal {
        // A program that acts for itself (RFC 9068 §5): nobody becomes a person by calling a program so.
        let own = claims.client == claims.subject;
        let between = if own { '/' } else { ':' };
        Principal {
            id: format!("{}{between}{}", issuer.name, claims.subject).into(),
            kind: if own { PrincipalKind::Agent } else { PrincipalKind::User },
            domain: issuer.domain.as_ref().unwrap_or(&self.domain).clone(),
            scopes: Scopes::read(&claims.scope).meet(&issuer.scopes),
            proof: Proof::Jwt,
            expires_at: Some(claims.expires_at),
        }
    }

    /// Remembers whom a token names.
    fn remember(&self, token: &str, principal: Arc<Principal>, claims: &Claims, epoch: Option<u64>) -> Holder {
        let holder = Holder { principal, bound_to: claims.bound_to };
        let Some(id) = self.names.of(token) else { return holder };
        let now = self.clock.mono();
        let valid = claims.expires_at.since(self.clock.now());
        let until = now.plus(valid.min(KNOWN));
        let mut known = self.known.lock();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, held| held.until > now);
        }
        if known.len() < MOST_KNOWN {
            known.insert(id, Known { holder: holder.clone(), until, epoch });
        }
        holder
    }
}

/// Whether one of these keys made the token's signature.
fn signed(token: &Token<'_>, keys: &KeySet) -> Result<(), &'static str> {
    let candidates = token.candidates(keys);
    if candidates.is_empty() {
        return Err("is signed with a key that its issuer does not publish");
    }
    let holds = candidates.into_iter().any(|key| token.is_signed_by(key));
    if holds { Ok(()) } else { Err("has a signature that does not hold") }
}

fn refused(why: &'static str) -> Problem {
    Problem::new(Code::Unauthenticated, format!("the token {why}"))
}

#[cfg(test)]
mod tests;
