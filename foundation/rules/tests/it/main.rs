//! Rules as their writers meet them: what compiles, what is answered, what many of them cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod answers;
mod mistakes;
mod page;
mod sets;
