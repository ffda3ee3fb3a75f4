//! Cards of every version, sloppy ones, wrong ones and large ones.

use moongate_core::{Code, Problem};
use moongate_wire::a2a::card::{self, Card};
use moongate_wire::a2a::{Binding, Version};
use serde_json::{Value, json};

fn read(card: &Value) -> Result<Card, Problem> {
    card::parse(card.to_string().as_bytes())
}

fn fields(problem: &Problem) -> Vec<&str> {
    problem.fields.iter().map(|fault| fault.field.as_str()).collect()
}

fn skill(id: &str) -> Value {
    json!({"id": id, "name": "Name", "description": "What it does", "tags": ["tag"]})
}

fn modern() -> Value {
    json!({
        "name": "Agent", "description": "An agent", "version": "1.2.3",
        "supportedInterfaces": [
            {"url": "https://a.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": "a.example:443", "protocolBinding": "GRPC", "protocolVersion": "1.0.1", "tenant": "lights"},
            {"url": "mqtt://broker/agent", "protocolBinding": "https://example.com/bindings/mqtt", "protocolVersion": "1.0"},
            {"url": "https://a.example/2", "protocolBinding": "JSONRPC", "protocolVersion": "2.0"},
        ],
        "capabilities": {"streaming": true, "pushNotifications": false, "extendedAgentCard": true, "extensions": [
            {"uri": "https://ext.example/a", "required": true}, {"uri": "https://ext.example/b"}]},
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [skill("a"), skill("b")],
        "signatures": [{"protected": "e30", "signature": "AA"}],
        "vendorMember": 1,
    })
}

fn old() -> Value {
    json!({
        "name": "Agent", "description": "An agent", "version": "1", "url": "http://127.0.0.1:9001/",
        "capabilities": {}, "defaultInputModes": [], "defaultOutputModes": [], "skills": [skill("a")],
    })
}

#[test]
fn a_modern_card_is_read_whole() {
    let card = read(&modern()).unwrap();
    assert_eq!(card.name, "Agent");
    assert!(card.streaming && !card.push && card.extended && card.signed && !card.legacy);
    assert_eq!(card.required_extensions, ["https://ext.example/a"]);
    assert_eq!(card.extensions, ["https://ext.example/a", "https://ext.example/b"]);
    assert_eq!(card.skills[1].id, "b");
    assert_eq!(card.skills[1].raw, skill("b"));
    let interfaces: Vec<_> = card.interfaces.iter().map(|one| (one.binding, one.version)).collect();
    assert_eq!(interfaces[0], (Some(Binding::JsonRpc), Version::V1));
    assert_eq!(interfaces[1], (Some(Binding::Grpc), Version::V1));
    assert_eq!(interfaces[2], (None, Version::V1));
    assert_eq!(interfaces[3], (None, Version::V1), "a version that is not spoken here is of no use");
    assert_eq!(card.interfaces[1].tenant.as_deref(), Some("lights"));
    assert!(card.document.get("signatures").is_none());
    assert!(card.document.get("vendorMember").is_none());
    assert_eq!(card.document["supportedInterfaces"][1]["protocolVersion"], "1.0");
}

#[test]
fn an_old_card_without_a_version_or_transport_is_json_rpc_of_0_3() {
    let card = read(&old()).unwrap();
    assert!(card.legacy && !card.streaming && !card.signed);
    assert_eq!(card.interfaces.len(), 1);
    assert_eq!((card.interfaces[0].binding, card.interfaces[0].version), (Some(Binding::JsonRpc), Version::V03));
}

#[test]
fn an_old_card_names_its_other_transports() {
    let mut card = old();
    card["protocolVersion"] = json!("0.2.6");
    card["preferredTransport"] = json!("GRPC");
    card["url"] = json!("127.0.0.1:9001");
    card["additionalInterfaces"] = json!([
        {"url": "127.0.0.1:9001", "transport": "GRPC"},
        {"url": "http://127.0.0.1:9002", "transport": "HTTP+JSON"},
        {"url": "x", "transport": "carrier-pigeon"},
    ]);
    let card = read(&card).unwrap();
    let bindings: Vec<_> = card.interfaces.iter().map(|one| one.binding).collect();
    assert_eq!(bindings, [Some(Binding::Grpc), Some(Binding::Http), None], "the main one is not listed twice");
    assert!(card.interfaces.iter().all(|one| one.version == Version::V03));
}

#[test]
fn a_merged_card_gives_both_views() {
    let mut card = modern();
    card["url"] = json!("https://a.example/old");
    card["protocolVersion"] = json!("0.3.0");
    card["additionalInterfaces"] = json!([{"url": "https://a.example/old", "transport": "JSONRPC"}]);
    let card = read(&card).unwrap();
    assert!(!card.legacy);
    assert_eq!(card.interfaces.len(), 5);
    assert_eq!(card.interfaces[4].version, Version::V03);
    assert_eq!(card.interfaces[0].version, Version::V1);
}

#[test]
fn what_is_wrong_is_named_all_at_once() {
    let mut card = modern();
    card["skills"].as_array_mut().unwrap().push(json!({"id": "c", "name": "C", "description": "d"}));
    card["version"] = Value::Null;
    card["supportedInterfaces"][0]["url"] = json!("ftp://a.example");
    card["capabilities"]["streaming"] = json!("yes");
    let problem = read(&card).unwrap_err();
    assert_eq!(problem.code, Code::CardInvalid);
    assert_eq!(fields(&problem), ["version", "supportedInterfaces[0].url", "capabilities.streaming", "skills[2].tags"]);
}

#[test]
fn each_required_member_is_missed() {
    for name in ["name", "description", "version", "capabilities", "supportedInterfaces"] {
        let mut card = modern();
        card.as_object_mut().unwrap().shift_remove(name);
        assert_eq!(fields(&read(&card).unwrap_err()), [name]);
    }
    for name in ["id", "name", "description", "tags"] {
        let mut card = modern();
        card["skills"][1].as_object_mut().unwrap().shift_remove(name);
        assert_eq!(fields(&read(&card).unwrap_err()), [format!("skills[1].{name}")]);
    }
    for name in ["url", "protocolBinding", "protocolVersion"] {
        let mut card = modern();
        card["supportedInterfaces"][1].as_object_mut().unwrap().shift_remove(name);
        assert_eq!(fields(&read(&card).unwrap_err()), [format!("supportedInterfaces[1].{name}")]);
    }
}

#[test]
fn empty_lists_that_printers_leave_out_are_not_missed() {
    let mut card = modern();
    for name in ["skills", "defaultInputModes", "defaultOutputModes"] {
        card.as_object_mut().unwrap().shift_remove(name);
    }
    let card = read(&card).unwrap();
    assert_eq!(card.document["skills"], json!([]));
    let written: Value = serde_json::from_slice(&card::write(&json!({"name": "x", "skills": [{"id": "a"}]}))).unwrap();
    assert_eq!(written["skills"], json!([{"id": "a", "tags": []}]));
    for name in ["description", "supportedInterfaces", "capabilities", "version", "defaultInputModes"] {
        assert!(written.get(name).is_some(), "{name}");
    }
}

#[test]
fn limits_are_kept() {
    let mut card = modern();
    card["skills"] = (0..1000).map(|number| skill(&number.to_string())).collect();
    assert_eq!(read(&card).unwrap().skills.len(), 1000);
    card["skills"].as_array_mut().unwrap().push(skill("one too many"));
    assert_eq!(fields(&read(&card).unwrap_err()), ["skills"]);
    let mut card = modern();
    card["skills"][0]["id"] = "x".repeat(513).into();
    assert_eq!(fields(&read(&card).unwrap_err()), ["skills[0].id"]);
    let mut card = modern();
    card["skills"][1]["id"] = json!("a");
    assert_eq!(fields(&read(&card).unwrap_err()), ["skills[1].id"]);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(card::MAX_BYTES));
    assert_eq!(card::parse(large.as_bytes()).unwrap_err().code, Code::CardInvalid);
}

#[test]
fn what_is_no_card_is_refused_without_a_crash() {
    for body in ["", "null", "[]", "{}", "\"x\"", "{\"name\":1}", "{\"name\":\"a\",\"name\":\"b\"}", "<html>"] {
        let problem = card::parse(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code, Code::CardInvalid, "{body}");
    }
}

#[test]
fn several_oauth_flows_become_several_schemes_that_are_alternatives() {
    let mut card = old();
    let flow = json!({"tokenUrl": "https://as.example/token", "authorizationUrl": "https://as.example/a", "scopes": {"s": "S"}});
    card["securitySchemes"] = json!({
        "key": {"type": "apiKey", "in": "cookie", "name": "k"},
        "oauth": {"type": "oauth2", "flows": {"clientCredentials": flow.clone(), "authorizationCode": flow}},
        "oauth-2": {"type": "mutualTLS"},
    });
    card["security"] = json!([{"oauth": ["s"], "key": []}]);
    card["skills"][0]["security"] = json!([{"oauth": []}]);
    let document = read(&card).unwrap().document;
    let schemes = document["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["key", "oauth", "oauth-2", "oauth-3"]);
    assert!(schemes["oauth"]["oauth2SecurityScheme"]["flows"]["authorizationCode"].is_object());
    assert!(schemes["oauth-3"]["oauth2SecurityScheme"]["flows"]["clientCredentials"].is_object());
    assert_eq!(
        document["securityRequirements"],
        json!([
            {"schemes": {"oauth": {"list": ["s"]}, "key": {"list": []}}},
            {"schemes": {"oauth-3": {"list": ["s"]}, "key": {"list": []}}},
        ])
    );
    assert_eq!(document["skills"][0]["securityRequirements"].as_array().unwrap().len(), 2);
}

#[test]
fn a_device_code_flow_stays_visible_to_old_readers() {
    let mut card = modern();
    card["securitySchemes"] = json!({"o": {"oauth2SecurityScheme": {"flows": {"deviceCode": {
        "deviceAuthorizationUrl": "https://as.example/d", "tokenUrl": "https://as.example/t", "scopes": {}}}}}});
    let document = read(&card).unwrap().document;
    let old = card::to_v03(&document);
    assert_eq!(old["securitySchemes"]["o"]["type"], "oauth2");
    assert_eq!(old["securitySchemes"]["o"]["flows"]["deviceCode"]["tokenUrl"], "https://as.example/t");
    assert_eq!(read(&old).unwrap().document["securitySchemes"], document["securitySchemes"]);
}

#[test]
fn a_card_for_old_clients_starts_with_json_rpc_and_has_no_tenants() {
    let card = json!({
        "name": "G", "description": "d", "version": "1", "capabilities": {"extendedAgentCard": true}, "skills": [],
        "supportedInterfaces": [
            {"url": "gw.example:443", "protocolBinding": "GRPC", "protocolVersion": "1.0", "tenant": "lights"},
            {"url": "https://gw.example/a2a", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
            {"url": "https://gw.example/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ],
    });
    let old = card::to_v03(&card);
    assert_eq!((&old["url"], &old["preferredTransport"]), (&json!("https://gw.example/a2a"), &json!("JSONRPC")));
    assert_eq!(old["additionalInterfaces"].as_array().unwrap().len(), 2);
    assert_eq!(old["supportsAuthenticatedExtendedCard"], true);
    assert!(old["capabilities"].get("extendedAgentCard").is_none());
    let merged = card::merge_legacy(&card);
    assert_eq!(merged["capabilities"]["extendedAgentCard"], true);
    assert_eq!(merged["supportedInterfaces"], card["supportedInterfaces"]);
    assert_eq!(merged["protocolVersion"], "0.3.0");
    let read = read(&merged).unwrap();
    assert_eq!(read.interfaces.len(), 5);
}

#[test]
fn schemes_that_nobody_knows_are_named() {
    let mut card = old();
    card["securitySchemes"] = json!({"x": {"type": "magic"}, "y": {"type": "apiKey", "in": "pocket", "name": "n"}});
    card["security"] = json!([{"x": "all"}]);
    assert_eq!(
        fields(&read(&card).unwrap_err()),
        ["securitySchemes.x.type", "securitySchemes.y.location", "security[0].x"]
    );
}

#[test]
fn what_a_skill_demands_is_read_from_either_version() {
    let demanded = |mut card: Value, member: &str, requirements: Value| -> Vec<Vec<String>> {
        card["skills"][0][member] = requirements;
        let card = read(&card).unwrap();
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        card.skills[0].demand.alternatives().map(owned).collect()
    };
    let list = |words: &[&str]| json!({"list": words});
    let modern_form = json!([
        {"schemes": {"oauth": list(&["locks:write", "locks:read"]), "mtls": {}}},
        {"schemes": {"key": list(&["owner"])}},
    ]);
    let old_form = json!([{"oauth": ["locks:write", "locks:read"], "mtls": []}, {"key": ["owner"]}]);
    let both = [vec!["locks:read".to_owned(), "locks:write".to_owned()], vec!["owner".to_owned()]];
    assert_eq!(demanded(modern(), "securityRequirements", modern_form), both);
    assert_eq!(demanded(old(), "security", old_form), both);
    let nothing: Vec<Vec<String>> = Vec::new();
    let free = json!([{"schemes": {"oauth": list(&["locks:write"])}}, {"schemes": {"mtls": list(&[])}}]);
    assert_eq!(demanded(modern(), "securityRequirements", free), nothing);
    assert_eq!(demanded(old(), "security", json!([])), nothing);
    // What the whole card wants is between the agent and the gateway.
    let mut card = modern();
    card["securityRequirements"] = json!([{"schemes": {"oauth": list(&["locks:write"])}}]);
    assert!(read(&card).unwrap().skills[0].demand.is_nothing());
}
