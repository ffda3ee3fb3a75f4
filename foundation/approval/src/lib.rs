//! A person decides: which requests wait for a yes, and what becomes of them.
//!
//! - [`document`]: what exactly is asked about, as one document and its hash. What is dispatched after a yes is hashed anew
//!   and must be the same.
//! - [`desk`]: the open questions, in the store: asked within limits, decided once, used once, over in time.
//! - [`channels`]: how people learn that something waits for them.
//! - The machine of one question, and the [`moongate_core::Grant`] that a yes becomes, are in [`moongate_core::approval`].
//!
//! It knows neither gateways nor people: who may decide is judged by whoever asks the desk, by what was proved.

pub mod channels;
pub mod desk;
pub mod document;

pub use desk::{Desk, Limits, Stored};
pub use document::{Asked, Callback, Document};
