//! Bytes to meaning and back, and nothing else: no sockets, no clock, no state that outlives a body.
//!
//! Two ways lead through this crate. The fast one looks at a body once and forwards it as it is: [`peek`] learns the few
//! members that routing and policy need (and refuses what could be read in two ways), [`splice`] exchanges ids inside
//! the original bytes, [`sse`] cuts streams into events without copying them. The other one translates between versions
//! and bindings of A2A and works on whole values: [`a2a`].

pub mod a2a;
pub mod json;
pub mod peek;
pub mod splice;
pub mod sse;
