//! The card of a scripted agent, in its own version.

use std::net::SocketAddr;

use moongate_wire::a2a::{Binding, Version};
use serde_json::{Value, json};

use super::Plan;

pub(super) fn card(plan: &Plan, address: SocketAddr) -> Value {
    let path = if plan.binding == Binding::JsonRpc { "/rpc" } else { "/rest" };
    let url = format!("http://{address}{path}");
    let skill = |id: &String| json!({"id": id, "name": id, "description": format!("does {id}"), "tags": ["test"]});
    let skills: Vec<Value> = plan.skills.iter().map(skill).collect();
    let mut extensions: Vec<Value> = plan.extensions.iter().map(|uri| json!({"uri": uri})).collect();
    extensions.extend(plan.demands.iter().map(|uri| json!({"uri": uri, "required": true})));
    let mut card = json!({
        "name": plan.name,
        "description": format!("the scripted agent {}", plan.name),
        "version": "1",
        "capabilities": {"streaming": plan.streaming, "pushNotifications": plan.streaming, "extensions": extensions},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": skills,
    });
    if plan.version == Version::V1 {
        let interface = json!({"url": url, "protocolBinding": plan.binding.as_str(), "protocolVersion": "1.0"});
        card["supportedInterfaces"] = json!([interface]);
        card["capabilities"]["extendedAgentCard"] = json!(plan.extended);
    } else {
        card["url"] = json!(url);
        card["preferredTransport"] = json!(plan.binding.as_str());
        card["protocolVersion"] = json!("0.3.0");
        card["supportsAuthenticatedExtendedCard"] = json!(plan.extended);
    }
    for (name, value) in plan.card.as_object().into_iter().flatten() {
        card[name] = match value.as_str() {
            Some(text) => json!(text.replace("{address}", &address.to_string())),
            None => value.clone(),
        };
    }
    card
}
