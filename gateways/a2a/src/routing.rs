//! Agent routing (draft, *Agent Routing*): registry, capability discovery, task routing and load balancing.
//!
//! - [`registry`] knows who is there and makes the [`directory`] that requests see
//! - [`discovery`] tells the world what there is, without telling where
//! - [`resolve`] decides which skill and agents a request means; [`search`] and [`intent`] find skills by words
//! - [`balance`] chooses the instance; [`credential`] is what its agent is shown

pub mod balance;
pub mod credential;
pub mod directory;
pub mod discovery;
pub mod intent;
pub mod registry;
pub mod resolve;
pub mod search;
