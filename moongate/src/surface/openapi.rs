//! The OpenAPI 3.1 description of `/api/v1`, kept as a document beside the code.

use std::sync::OnceLock;

use serde_json::Value;

/// The description.
pub(crate) fn document() -> Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("openapi.json")).unwrap_or_default()).clone()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_description_is_json_and_names_every_path() {
        let document = super::document();
        for path in [
            "/agents",
            "/agents/{id}",
            "/agents/{id}/heartbeat",
            "/skills",
            "/explain",
            "/tasks",
            "/tasks/{id}",
            "/tasks/{id}/events",
            "/tasks/{id}/timeline",
            "/events",
            "/tasks/{id}:cancel",
            "/tasks:redrive",
            "/queue",
            "/store",
            "/store:backup",
            "/status",
            "/clients",
            "/clients/{id}",
            "/clients/{id}:disable",
            "/clients/{id}:enable",
            "/tokens",
            "/tokens/{id}",
            "/tokens/keys",
            "/tokens:rotate-key",
            "/users",
            "/users/{name}",
            "/users/{name}:invite",
            "/overview",
            "/console:link",
        ] {
            assert!(document["paths"].get(path).is_some(), "{path}");
        }
    }
}
