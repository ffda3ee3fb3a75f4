//! Agent routing: registry, discovery, resolution and balancing (draft, *Agent Routing*).

pub mod balance;
pub mod intent;
pub mod search;
