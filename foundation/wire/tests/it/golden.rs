//! Our translations against those of the Python SDK. Where we differ on purpose, the difference is spelt out here.

use moongate_core::Operation;
use moongate_wire::a2a::legacy::{
    Style, V1_KEY, event_from_v1, event_to_v1, request_from_v1, request_to_v1, result_from_v1, result_to_v1,
};
use moongate_wire::a2a::{Version, card, grpc, timestamp};
use serde_json::{Map, Value, json};

const CONVERSIONS: &str = include_str!("../data/conversions.json");
const CARDS: &str = include_str!("../data/cards.json");

fn cases(prefix: &str) -> Vec<(String, Value)> {
    let all: Map<String, Value> = serde_json::from_str(CONVERSIONS).unwrap();
    let found: Vec<_> = all.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    assert!(!found.is_empty(), "no cases {prefix}");
    found
}

fn operation(case: &Value) -> Operation {
    let word = case["operation"].as_str().unwrap();
    Operation::ALL.into_iter().find(|operation| operation.as_str() == word).unwrap()
}

/// Numbers by value, moments by moment, and what ProtoJSON leaves out because it is the default left out.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::String(text) => json!(timestamp::normalise(text).unwrap_or_else(|| text.clone())),
        Value::Array(list) => list.iter().map(plain).collect(),
        Value::Object(map) => {
            let members = map.iter().map(|(name, value)| (name.clone(), plain(value)));
            members.filter(|(name, value)| !is_default(name, value)).collect()
        }
        other => other.clone(),
    }
}

fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "append" | "lastChunk" | "final" | "blocking" | "required" => *value == json!(false),
        "state" => value == "TASK_STATE_UNSPECIFIED",
        "contextId" | "nextPageToken" => value == "",
        "parts" | "tasks" | "configs" | "skills" | "tags" | "scopes" => {
            value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
        }
        "list" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}

#[track_caller]
fn same(name: &str, what: &str, ours: &Value, theirs: &Value) {
    let (ours, theirs) = (plain(ours), plain(theirs));
    assert!(ours == theirs, "{name}: {what}\nours:   {ours}\ntheirs: {theirs}");
}

/// ProtoJSON of 0.3 cannot say `referenceTaskIds`; the SDK loses them, we put them into metadata.
fn without_references(mut value: Value) -> Value {
    walk(&mut value, &mut |object| {
        object.shift_remove("referenceTaskIds");
    });
    value
}

/// Takes our luggage out, so that the rest can be compared with an SDK that has none.
fn without_luggage(mut value: Value) -> Value {
    walk(&mut value, &mut |object| {
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.shift_remove(V1_KEY);
        }
    });
    value
}

fn walk(value: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values_mut().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

/// `final` at interrupted states: true for us, false for the SDK.
fn with_our_final(case: &str, mut event: Value) -> Value {
    if case == "event.status.input-required" || case == "event.status.auth-required" {
        let update = if event.get("statusUpdate").is_some() { &mut event["statusUpdate"] } else { &mut event };
        update["final"] = json!(true);
    }
    event
}

#[test]
fn events_are_translated_as_the_python_sdk_does() {
    for (name, case) in cases("event.") {
        let ours = event_to_v1(Style::Kind, case["kind"].clone()).unwrap();
        same(&name, "kind to 1.0", &ours.value, &case["v1"]);
        let claims_last = case["kind"]["final"] == true || case["kind"]["kind"] == "message";
        assert_eq!(ours.last, claims_last, "{name}");
        for form in ["proto", "proto_snake"] {
            let ours = event_to_v1(Style::Proto, case[form].clone()).unwrap();
            same(&name, form, &ours.value, &without_references(case["v1"].clone()));
        }
        let kind = event_from_v1(Style::Kind, case["v1"].clone(), false).unwrap();
        same(&name, "1.0 to kind", &kind, &with_our_final(&name, case["kind_again"].clone()));
        let proto = event_from_v1(Style::Proto, case["v1"].clone(), false).unwrap();
        same(&name, "1.0 to proto", &without_luggage(proto), &with_our_final(&name, case["proto"].clone()));
    }
}

#[test]
fn requests_are_translated_as_the_python_sdk_does() {
    for (name, case) in cases("request.") {
        let operation = operation(&case);
        let ours = request_to_v1(operation, Style::Kind, case["kind"].clone()).unwrap();
        same(&name, "kind to 1.0", &ours, &case["v1"]);
        if case["proto"].is_object() {
            for form in ["proto", "proto_snake"] {
                let ours = request_to_v1(operation, Style::Proto, case[form].clone()).unwrap();
                same(&name, form, &ours, &without_references(case["v1"].clone()));
            }
            let proto = request_from_v1(operation, Style::Proto, case["v1"].clone()).unwrap();
            let mut theirs = case["proto"].clone();
            if name == "request.send.unlimited" || name == "request.send.nonblocking" {
                theirs["configuration"].as_object_mut().unwrap().shift_remove("historyLength");
            }
            same(&name, "1.0 to proto", &without_luggage(proto), &theirs);
        }
        let kind = request_from_v1(operation, Style::Kind, case["v1"].clone()).unwrap();
        same(&name, "1.0 to kind", &kind, &case["kind_again"]);
    }
}

#[test]
fn results_are_translated_as_the_python_sdk_does() {
    for (name, case) in cases("result.") {
        let operation = operation(&case);
        let ours = result_to_v1(operation, Style::Kind, case["kind"].clone()).unwrap();
        same(&name, "kind to 1.0", &ours, &case["v1"]);
        for form in ["proto", "proto_snake"] {
            let ours = result_to_v1(operation, Style::Proto, case[form].clone()).unwrap();
            same(&name, form, &ours, &without_references(case["v1"].clone()));
        }
        let kind = result_from_v1(operation, Style::Kind, case["v1"].clone()).unwrap();
        same(&name, "1.0 to kind", &kind, &case["kind_again"]);
        let proto = result_from_v1(operation, Style::Proto, case["v1"].clone()).unwrap();
        same(&name, "1.0 to proto", &without_luggage(proto), &case["proto"]);
    }
}

#[test]
fn what_only_newer_agents_say_looks_to_old_clients_as_the_python_sdk_shows_it() {
    for (name, case) in cases("newer.") {
        let kind = event_from_v1(Style::Kind, case["v1"].clone(), false).unwrap();
        same(&name, "1.0 to kind", &kind, &case["kind"]);
    }
}

#[test]
fn what_we_write_for_old_agents_fits_their_protobuf_messages() {
    for (name, case) in cases("event.").into_iter().chain(cases("newer.")) {
        let event = event_from_v1(Style::Proto, case["v1"].clone(), false).unwrap();
        let bytes = grpc::encode_response(Operation::Stream, Version::V03, &event).unwrap();
        let event = grpc::decode_response(Operation::Stream, Version::V03, &bytes).unwrap();
        same(&name, "by way of gRPC", &event_to_v1(Style::Proto, event).unwrap().value, &case["v1"]);
    }
    for (name, case) in cases("request.") {
        let operation = operation(&case);
        let mut params = case["v1"].clone();
        if name == "request.cancel.metadata" {
            params.as_object_mut().unwrap().shift_remove("metadata");
        }
        let old = request_from_v1(operation, Style::Proto, params.clone()).unwrap();
        let bytes = grpc::encode_request(operation, Version::V03, &old).unwrap();
        let old = grpc::decode_request(operation, Version::V03, &bytes).unwrap();
        same(&name, "by way of gRPC", &request_to_v1(operation, Style::Proto, old).unwrap(), &params);
    }
    for (name, case) in cases("result.") {
        let operation = operation(&case);
        let old = result_from_v1(operation, Style::Proto, case["v1"].clone()).unwrap();
        let bytes = grpc::encode_response(operation, Version::V03, &old).unwrap();
        let old = grpc::decode_response(operation, Version::V03, &bytes).unwrap();
        same(&name, "by way of gRPC", &result_to_v1(operation, Style::Proto, old).unwrap(), &case["v1"]);
    }
    for name in ["full", "minimal"] {
        let mut theirs = short_versions(golden_cards()[name]["v1"].clone());
        let old = card::to_v03_proto(&theirs);
        let bytes = grpc::encode_response(Operation::ExtendedCard, Version::V03, &old).unwrap();
        let old = grpc::decode_response(Operation::ExtendedCard, Version::V03, &bytes).unwrap();
        let mut ours = result_to_v1(Operation::ExtendedCard, Style::Proto, old).unwrap();
        as_proto_says(&mut ours);
        as_proto_says(&mut theirs);
        same(name, "by way of gRPC", &ours, &theirs);
    }
}

fn golden_cards() -> Map<String, Value> {
    serde_json::from_str(CARDS).unwrap()
}

fn parsed(card: &Value) -> Value {
    card::parse(card.to_string().as_bytes()).unwrap().document
}

/// We state versions as `Major.Minor`; the SDK copies `0.3.0`.
fn short_versions(mut card: Value) -> Value {
    for interface in card["supportedInterfaces"].as_array_mut().unwrap() {
        if interface["protocolVersion"] == "0.3.0" {
            interface["protocolVersion"] = json!("0.3");
        }
    }
    card
}

/// The bools of 0.3's proto have no presence: the SDK does not print the false ones.
fn as_proto_says(card: &mut Value) {
    card["capabilities"].as_object_mut().unwrap().retain(|_, value| *value != json!(false));
}

#[test]
fn cards_are_read_as_the_python_sdk_reads_them() {
    for name in ["full", "minimal"] {
        let case = &golden_cards()[name];
        for form in ["kind", "proto", "kind_again"] {
            let mut theirs = short_versions(case["v1"].clone());
            if form == "proto" {
                as_proto_says(&mut theirs);
            }
            same(name, form, &parsed(&case[form]), &theirs);
        }
        same(name, "resolved", &parsed(&case["resolved"]), &short_versions(case["resolved"].clone()));
        same(name, "1.0 again", &parsed(&case["v1"]), &short_versions(case["v1"].clone()));
    }
    let merged = &golden_cards()["merged"];
    same("merged", "merged", &parsed(&merged["merged"]), &short_versions(merged["v1"].clone()));
}

#[test]
fn cards_are_written_for_old_clients_as_the_python_sdk_writes_them() {
    for name in ["full", "minimal"] {
        let case = &golden_cards()[name];
        let mut theirs = case["kind_again"].clone();
        theirs["protocolVersion"] = json!("0.3.0");
        let mut ours = card::to_v03(&case["v1"]);
        // 0.3.0 §5.6.3 wants the main address repeated among the additional ones; the SDK leaves it out.
        let all = ours["additionalInterfaces"].as_array_mut().unwrap();
        let main = all.remove(0);
        assert_eq!(main["url"], ours["url"]);
        assert_eq!(main["transport"], ours["preferredTransport"]);
        let mut more = ours["additionalInterfaces"].clone();
        if more.as_array().unwrap().is_empty() {
            more = Value::Null;
        }
        ours["additionalInterfaces"] = more;
        ours.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        same(name, "0.3 card", &ours, &theirs);
        let mut ours = card::to_v03_proto(&case["v1"]);
        as_proto_says(&mut ours);
        ours.as_object_mut().unwrap().shift_remove("additionalInterfaces");
        let mut theirs = case["proto"].clone();
        theirs["protocolVersion"] = json!("0.3.0");
        theirs.as_object_mut().unwrap().shift_remove("additionalInterfaces");
        same(name, "0.3 proto card", &ours, &theirs);
    }
    let case = &golden_cards()["merged"];
    let ours = card::merge_legacy(&case["v1"]);
    for (name, theirs) in case["merged"].as_object().unwrap() {
        if name != "additionalInterfaces" {
            same("merged", name, &ours[name], theirs);
        }
    }
}
