//! People over the store's rows, while time passes and things change around them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod links;
mod passkeys;
mod sessions;
mod support;
