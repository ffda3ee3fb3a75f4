//! The A2A Gateway (draft, *A2A Gateway*): agents talk to agents through one address, whatever version and binding each
//! of them speaks.
//!
//! One folder for each of the draft's core capabilities. A request comes in at [`endpoint`], becomes a [`call`], goes
//! through the pipeline of `moongate-flow` with the stages that [`gateway`] contributes ([`routing`]), and is carried out
//! by [`dispatch`] over [`translation`]. [`security`] says what scopes mean here. [`tasks`] remembers what passes, [`supply`] makes up for what agents lack.

pub mod api;
pub mod call;
pub mod dispatch;
pub mod endpoint;
pub mod gateway;
pub mod moment;
pub mod routing;
pub mod security;
pub mod supply;
pub mod tasks;
pub mod translation;

pub use endpoint::Endpoint;
pub use gateway::{A2aGateway, Parts, Settings};
