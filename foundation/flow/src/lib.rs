//! The one pipeline that every request of every gateway takes.
//!
//! ```text
//! decode ─▶ identify ─▶ resolve ─▶ authorize ─▶ confirm ─▶ pick ─▶ translate ─▶ dispatch ─▶ reply
//! ```
//!
//! *decode* and *reply* belong to the endpoint that took the request, *translate* to the adapter that *dispatch* hands
//! it to; what lies between is [`run`]. Right after *identify* stands a turnstile ([`Meter`]): who asks too often goes no
//! further. This crate decides the order of the stages and that none is left out. It does not
//! know by which protocol a request came, and a [`Gateway`] does not know in which order its parts are called.

pub mod pipeline;
pub mod policy;
pub mod rate;
pub mod record;

pub use pipeline::{Dispatch, Flow, Gateway, Ran, Trail, run};
pub use policy::{Asks, Defaults, Policy, PolicyRule, Verdict};
pub use rate::{Meter, Rate, Rates};
