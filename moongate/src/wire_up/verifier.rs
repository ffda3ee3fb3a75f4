//! The stage *identify* of this version: who reaches a loopback listener is at this machine.
//!
//! Without a credential that is the principal `local` with its limited rights; with the operator's secret it is the
//! operator. A credential that does not hold is refused, not ignored. Strangers off this machine are refused: the
//! configuration opens no listener to them until there is a way to know them.

use std::sync::Arc;

use moongate_core::seam::Verifier;
use moongate_core::{Arrival, Code, Principal, Problem};
use moongate_identity::secret::Secret;

pub(crate) struct LocalVerifier {
    secret: Secret,
    local: Arc<Principal>,
    operator: Arc<Principal>,
}

impl LocalVerifier {
    pub(crate) fn new(domain: &str, secret: Secret) -> Self {
        Self { secret, local: Arc::new(Principal::local(domain)), operator: Arc::new(Principal::operator(domain)) }
    }
}

impl Verifier for LocalVerifier {
    fn verify(&self, arrival: &Arrival, credential: Option<&str>) -> Result<Arc<Principal>, Problem> {
        if !arrival.remote.ip().is_loopback() {
            return Err(Problem::new(Code::Unauthenticated, "callers from other machines are not known yet"));
        }
        match credential {
            None => Ok(self.local.clone()),
            Some(text) => match text.split_once(' ') {
                Some((scheme, secret))
                    if scheme.eq_ignore_ascii_case("bearer") && self.secret.matches(secret.trim()) =>
                {
                    Ok(self.operator.clone())
                }
                _ => Err(Problem::new(Code::Unauthenticated, "the credential is not one that this gateway gave")),
            },
        }
    }
}
