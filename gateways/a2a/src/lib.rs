//! The A2A Gateway.

pub mod routing;
