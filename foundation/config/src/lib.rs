//! The configuration: one TOML file, checked as a whole, with messages that point at the place and say what to do.
//!
//! - [`schema`]: the typed result.
//! - [`Prefix`], [`Secret`]: values with rules of their own.

pub mod schema;

mod prefix;
mod secret;

pub use prefix::Prefix;
pub use schema::Config;
pub use secret::Secret;
