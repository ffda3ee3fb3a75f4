//! What lives longer than a request, a stream or a socket, lives only as long as the credential that it was opened with: until it
//! runs out, is revoked, or is worth less than it was.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::{Clock, Later, Verifier, identify};
use moongate_core::{Arrival, Code, Principal, Problem};

/// When a credential is looked at again that could not be judged.
const AGAIN: Duration = Duration::from_secs(1);
/// Longer than any credential lasts.
const NEVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Ready when a credential has ended; says why.
pub type Over = Later<'static, Problem>;

/// What is known before a caller is judged, so that no change in between is missed.
pub struct Vigil {
    verifier: Arc<dyn Verifier>,
    changes: Later<'static, ()>,
    arrival: Arrival,
    credential: Option<String>,
}

impl Vigil {
    /// From now on.
    pub fn new(verifier: &Arc<dyn Verifier>, arrival: &Arrival, credential: Option<&str>) -> Self {
        Self {
            verifier: verifier.clone(),
            changes: verifier.changes(),
            arrival: arrival.clone(),
            credential: credential.map(str::to_owned),
        }
    }

    /// Ready when the caller, who was judged to be `who`, is that no more.
    pub fn over(self, who: Arc<Principal>, clock: Arc<dyn Clock>) -> Over {
        Box::pin(self.kept(who, clock))
    }

    async fn kept(mut self, who: Arc<Principal>, clock: Arc<dyn Clock>) -> Problem {
        let left = who.expires_at.map(|at| at.since(clock.now()));
        let mut expiry = std::pin::pin!(async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        });
        let mut again = NEVER;
        loop {
            tokio::select! {
                () = &mut expiry => return unauthenticated("the credential has run out; come again with a new one"),
                () = &mut self.changes => {}
                () = tokio::time::sleep(again) => {}
            }
            again = NEVER;
            self.changes = self.verifier.changes();
            match identify(&*self.verifier, &self.arrival, self.credential.as_deref()).await {
                Ok(now) if now.id == who.id && who.scopes.is_within(&now.scopes) => {}
                Ok(_) => return unauthenticated("the credential gives less than it did; come again"),
                Err(problem) if is_final(problem.code) => return problem,
                // Nobody can be asked at the moment.
                Err(_) => again = AGAIN,
            }
        }
    }
}

fn is_final(code: Code) -> bool {
    matches!(code, Code::Unauthenticated | Code::ForeignWithoutCertificate)
}

fn unauthenticated(why: &'static str) -> Problem {
    Problem::new(Code::Unauthenticated, why)
}
