//! What tests of the whole program stand on: scripted agents, clients of every binding and version, a receiver of push
//! notifications, and the program itself as a process.
//!
//! Nothing here is in a release; helpers fail by panicking, as tests do. Every wait has a deadline ([`soon`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "only tests use this crate"
)]

pub mod agent;
pub mod authenticator;
pub mod broker;
pub mod client;
pub mod dialect;
pub mod files;
pub mod gateway;
pub mod issuer;
pub mod mailbox;
pub mod pki;
pub mod receiver;
pub mod token_endpoint;

use std::future::Future;
use std::time::Duration;

pub use moongate_core::Operation;
pub use moongate_wire::a2a::{Binding, Version};

/// How long anything may take in a test; far beyond what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that has to happen.
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}
