//! The configuration: one TOML file, checked as a whole, with messages that point at the place and say what to do.
//!
//! - [`schema`]: the typed result. [`keys`]: every key as data, which feeds reading, messages and [`mod@reference`].
//! - [`load`](fn@load) and [`parse`]: from a file or a text to [`Loaded`], or to [`Problems`]: everything that is wrong, at once.
//! - [`settings`](fn@settings): every key with its value and where that stands, without secrets, to look at.
//! - [`diff`](fn@diff): what changed, and what of it needs a restart. [`Watch`]: whether anything changed at all.
//!
//! What the values do is left to the rooms that use them; whether a rule compiles is asked of whoever loads the file.

pub mod keys;
pub mod reference;
pub mod schema;

mod check;
mod diff;
mod load;
mod prefix;
mod private;
mod problems;
mod read;
mod secret;
mod settings;
mod typed;
mod url;
mod watch;

pub use diff::{Change, diff};
pub use keys::Effect;
pub use load::{CheckRule, Loaded, Origins, RuleKind, load, parse};
pub use prefix::Prefix;
pub use private::judge_private;
pub use problems::{Mistake, Problems};
pub use schema::Config;
pub use secret::Secret;
pub use settings::{From as Source, Setting, settings};
pub use watch::Watch;

/// The file that `moongate init` writes: every key, explained.
pub const SAMPLE: &str = include_str!("sample.toml");
