//! What people meet: pages on which they sign in and decide, and the operator's nouns about them.
//!
//! - [`pages`]: sign-in, sign-up, the account, the questions of the authorization server. HTML, whole without scripts; only
//!   passkeys need one.
//! - [`frame`]: the console of whoever runs the gateway, on the admin listener.
//! - [`beside`]: what a question says beside its parameters.
//! - [`timeline`]: what became of one task, as the API tells it and pages show it.
//! - [`users`]: people under `/api/v1/users`, for the operator.
//!
//! It knows no gateway and no socket: requests come whole, answers go back whole, `moongate` joins them to the listeners.

pub mod beside;
pub mod frame;
pub mod pages;
pub mod timeline;
pub mod users;
mod view;
mod words;

pub use frame::Console;
pub use pages::{Pages, Visitor};
pub use users::Users;
