//! What must hold for every input of each decoder. One function a fuzz target; each panics where a property breaks.
//!
//! The properties are about meaning, not only about crashes: what a decoder accepts is compared with `serde_json`, and
//! what it reads is written and read again.

mod bindings;
mod cards;
mod legacy;
mod lists;
mod oracle;
mod peeks;

pub use bindings::{grpc_frame, grpc_request, http_path, sse};
pub use cards::card;
pub use legacy::{legacy_kind, legacy_proto};
pub use lists::crl;
pub use peeks::{answer, json, params, request};
