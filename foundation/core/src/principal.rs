//! Who asks: the identity that every later stage of the pipeline judges by.

use std::sync::Arc;

use crate::scope::{Scope, Scopes};
use crate::time::Time;

/// What sort of party a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program that speaks for itself.
    Agent,
    /// Another domain's gateway.
    Gateway,
    /// Whoever runs this gateway.
    Operator,
}

impl PrincipalKind {
    /// The word that rules, logs and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
}

/// By what the principal proved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// It reached a loopback listener; nothing more is known.
    Loopback,
    /// It came over TLS without credentials of its own.
    None,
    /// A client certificate.
    Mtls,
    /// A signed token.
    Jwt,
    /// A chain of federation statements.
    Federation,
}

impl Proof {
    /// The word that rules, logs and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::None => "none",
            Self::Mtls => "mtls",
            Self::Jwt => "jwt",
            Self::Federation => "federation",
        }
    }
}

/// An identified caller. Made by the stage *identify*; cheap to clone behind an [`Arc`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// A stable name, unique within `domain`; owns tasks.
    pub id: Arc<str>,
    /// What sort of party it is.
    pub kind: PrincipalKind,
    /// Its trust domain.
    pub domain: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
    /// How it proved itself.
    pub proof: Proof,
    /// When the proof runs out, if it does.
    pub expires_at: Option<Time>,
}

impl Principal {
    /// The caller without credentials on a loopback listener: it may use agents and register them, and nothing that
    /// wants a signed-in operator.
    pub fn local(domain: &str) -> Self {
        Self {
            id: "local".into(),
            kind: PrincipalKind::User,
            domain: domain.into(),
            scopes: Scopes::read("a2a:*:* register"),
            proof: Proof::Loopback,
            expires_at: None,
        }
    }

    /// The operator at the machine, known by the secret file that only the gateway's own account can read.
    pub fn operator(domain: &str) -> Self {
        Self {
            id: "operator".into(),
            kind: PrincipalKind::Operator,
            domain: domain.into(),
            scopes: Scopes::read("a2a:*:* register topology audit:* admin:*"),
            proof: Proof::Loopback,
            expires_at: None,
        }
    }

    /// Whether its scopes cover this one.
    pub fn has_scope(&self, scope: &str) -> bool {
        Scope::parse(scope).is_some_and(|scope| self.scopes.covers(&scope))
    }
}
