//! The OpenAPI 3.1 description of `/api/v1` and of everything else beside A2A, kept as a document beside the code. What it does
//! not name is not served (`routes.rs`).

use std::sync::OnceLock;

use serde_json::Value;

/// The description.
pub(crate) fn document() -> Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("openapi.json")).unwrap_or_default()).clone()
}
