//! Requests of 0.3 in both of its forms: translated to 1.0 and back they keep their meaning.

use moongate_core::Operation;
use moongate_wire::a2a::legacy::{self, Style, V03_KEY};
use moongate_wire::json::{self, Limits};
use serde_json::Value;

use crate::bindings::choose;

/// `kind` JSON.
pub fn legacy_kind(data: &[u8]) {
    legacy(data, Style::Kind);
}

/// ProtoJSON of `a2a.v1`.
pub fn legacy_proto(data: &[u8]) {
    legacy(data, Style::Proto);
}

/// What 1.0 says after the first translation, it says after every further one.
fn legacy(data: &[u8], style: Style) {
    let Some((choice, body)) = choose(data, Operation::ALL.len()) else { return };
    let operation = Operation::ALL[choice];
    if json::check(body, &Limits::default()).is_err() {
        return;
    }
    let value: Value = serde_json::from_slice(body).expect("what was checked can be parsed");
    let Ok(mut new) = legacy::request_to_v1(operation, style, value) else { return };
    let old = match legacy::request_from_v1(operation, style, new.clone()) {
        Ok(old) => old,
        // A slash in an id fits into no resource name.
        Err(problem) => {
            assert!(style == Style::Proto && problem.detail.contains("resource name"), "{problem:?}");
            return;
        }
    };
    let mut again = legacy::request_to_v1(operation, style, old).expect("what we wrote can be read");
    unload(operation, &mut new);
    unload(operation, &mut again);
    assert_eq!(again, new);
}

/// Leaves out what is said in no version: members that strangers invented. They travel in `metadata`, and how deep they
/// lie there may differ. A push config has no `metadata`, so there they stand among the others.
fn unload(operation: Operation, value: &mut Value) {
    if let (Operation::PushCreate, Some(config)) = (operation, value.as_object_mut()) {
        config.retain(|name, _| ["tenant", "id", "taskId", "url", "token", "authentication"].contains(&name.as_str()));
    }
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.shift_remove(V03_KEY);
                if metadata.is_empty() {
                    object.shift_remove("metadata");
                }
            }
            object.values_mut().for_each(|inside| unload(Operation::Send, inside));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|inside| unload(Operation::Send, inside)),
        _ => {}
    }
}
