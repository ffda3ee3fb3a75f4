//! The program as its users see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod demo;
mod hostile;
mod stage;
mod supply;
mod surface;
mod translation;
