//! Keys, certificates and the egress guard.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod ca;
mod egress;
mod office;
mod revocation;
mod secret;
mod support;
mod tls;
mod vault;
