//! Callers of other machines: by token, by certificate, by key.

use std::path::PathBuf;
use std::time::Duration;

use moongate_core::Scopes;

/// An issuer of access tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Issuer {
    /// What it is called here.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// Its keys.
    pub jwks: Jwks,
    /// One of these must stand in `aud`.
    pub audience: Vec<String>,
    /// What its tokens may give at most.
    pub scopes: Scopes,
    /// The trust domain of its callers; `None` is this gateway's.
    pub domain: Option<String>,
    /// Names of algorithms (RFC 7518).
    pub algorithms: Vec<String>,
}

/// Where something that somebody publishes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// Published there.
    Url(String),
    /// In this file.
    File(PathBuf),
}

/// A trust domain whose client certificates are accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its name.
    pub domain: String,
    /// The file with its authorities.
    pub bundle: PathBuf,
    /// What its callers may do at most.
    pub scopes: Scopes,
    /// Agents of it that may do less.
    pub agents: Vec<PeerAgent>,
    /// Where revocation lists are: URLs, or files as [`Jwks`] has them.
    pub crl: Vec<Jwks>,
    /// Whether revoked certificates are refused.
    pub revocation: Revocation,
}

/// One agent of a trust domain that may do less than the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerAgent {
    /// Its SPIFFE id, of that domain.
    pub spiffe: String,
    /// What it may do of what the domain may do.
    pub scopes: Scopes,
}

/// How far revocation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// No list, or one that is overdue: nobody is let in.
    Hard,
    /// An overdue list counts for so long.
    Soft(Duration),
    /// Nobody is asked.
    Off,
}

/// A device that is known by its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub pin: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
}
