//! Protocol translation: from the canonical request to what an agent speaks, and back.
//!
//! Each pair goes through canonical A2A 1.0 JSON, never pair by pair; if client and agent speak the same dialect and
//! nothing has to be changed, the bytes pass as they came. [`outgoing`] and [`incoming`] are pure, [`exchange`] moves
//! bytes, and [`behalf`] says for whom.

pub mod behalf;
pub mod exchange;
pub mod incoming;
pub mod outgoing;

pub use exchange::{Events, Exchange};
pub use incoming::{Answer, Learned};
pub use outgoing::Outgoing;
