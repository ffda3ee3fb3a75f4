//! Who we are and where strangers' addresses may lead us.
//!
//! - [`authority`]: the gateway's own authorization server (OAuth 2.0).
//! - [`ca`]: the gateway's own certificate authority, for listeners without a certificate from elsewhere.
//! - [`tls`]: the TLS configurations of both directions; TLS 1.3 only, no early data.
//! - [`egress`]: the guard that judges every URL and address which a stranger chose.
//! - [`epoch`]: what rises when a credential may be worth less.
//! - [`jwt`]: access tokens of issuers that the operator trusts, and their keys.
//! - [`mtls`]: client certificates of other domains and of devices; [`spiffe`]: whom they name.
//! - [`revocation`]: which certificates their authorities have taken back.
//! - [`outbound`]: credentials that the gateway fetches to be let in by agents.
//! - [`notary`]: signatures under cards, ours and those of agents.
//! - [`people`]: people who sign in at the gateway's pages, by password or passkey, and their sessions.
//! - [`passkey`]: what authenticators say, checked.
//! - [`secret`]: the operator's secret file, by which the command line proves that it runs on this machine.
//! - [`signing`]: keys that sign in the gateway's name.
//! - [`vault`]: the gateway's own key, under which secrets lie in the store.
//!
//! It opens no socket: `moongate-transport` takes what is made here.

pub mod authority;
pub mod ca;
pub mod egress;
pub mod epoch;
mod file;
pub mod jwt;
pub mod mtls;
mod names;
pub mod notary;
pub mod outbound;
pub mod passkey;
pub mod people;
pub mod revocation;
pub mod secret;
pub mod signing;
pub mod spiffe;
pub mod tls;
pub mod vault;

pub use authority::Authority;
pub use ca::Ca;
pub use egress::EgressGuard;
pub use epoch::Epoch;
pub use jwt::{Issuer, KeySource, Keys, Tokens};
pub use mtls::Trust;
pub use notary::Notary;
pub use people::People;
pub use secret::Secret;
pub use signing::SigningKeys;
pub use tls::{ServerIdentity, client_config, read_roots, server_config};
pub use vault::Vault;
