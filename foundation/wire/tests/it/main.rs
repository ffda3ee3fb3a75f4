//! The crate as its users see it: dialects against a foreign implementation, cards of every version, and properties
//! that hold for any value.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod cards;
mod dialects;
mod golden;
mod values;
