//! The agent's cards: one for each base, with a skill that no other base has.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// The card of a base such as `message` or `n/17`; without one, that of `message`.
pub(super) fn card(base: &str, address: SocketAddr) -> String {
    let base = if base.is_empty() { "message" } else { base };
    let url = format!("http://{address}/{base}");
    let name = base.replace('/', "-");
    let skill = json!({
        "id": format!("{name}.set"),
        "name": format!("Set the lights of {name}"),
        "description": "Sets lights of a room to a brightness or a scene, at once or within some minutes.",
        // A lock is sensitive: it has a line in the audit log before anything is done.
        "tags": [if base == "lock" { "lock" } else { "light" }, "scene"],
        "examples": ["kitchen to forty per cent", "evening scene in the hall"],
    });
    let card = if base == "legacy" { v03(&name, &url, &skill) } else { v1(&name, &url, &skill) };
    card.to_string()
}

fn v1(name: &str, url: &str, skill: &Value) -> Value {
    json!({
        "name": format!("Fixture {name}"),
        "description": "Answers at once; made for measuring.",
        "version": "1.0.0",
        "supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"streaming": true, "pushNotifications": false},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [skill],
    })
}

fn v03(name: &str, url: &str, skill: &Value) -> Value {
    json!({
        "protocolVersion": "0.3.0",
        "name": format!("Fixture {name}"),
        "description": "Answers at once; made for measuring.",
        "url": url,
        "preferredTransport": "JSONRPC",
        "version": "1.0.0",
        "capabilities": {"streaming": true, "pushNotifications": false},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [skill],
    })
}

#[cfg(test)]
mod tests {
    use moongate_wire::a2a::Version;

    use super::*;

    #[test]
    fn the_gateway_can_read_both_kinds_of_card() {
        for (base, version) in [("message", Version::V1), ("n/17", Version::V1), ("legacy", Version::V03)] {
            let text = card(base, "127.0.0.1:9".parse().unwrap());
            let card = moongate_wire::a2a::card::parse(text.as_bytes()).unwrap();
            assert_eq!(card.interfaces.first().unwrap().version, version);
            assert!(card.streaming);
        }
    }
}
