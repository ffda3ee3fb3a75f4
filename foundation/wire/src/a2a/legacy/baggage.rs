//! What one version cannot say travels in `metadata` and comes back on the return way.
//!
//! - Towards 0.3, members that only 1.0 has (`filename` of a text part, whatever 1.1 may add) go under [`V1_KEY`].
//! - Towards 1.0, members that 0.3 agents invented go under [`V03_KEY`].
//!
//! What comes back may only be a member that the other version really cannot say: a caller must not slip a `taskId`
//! past the peek by hiding it here. Entries that may not come back stay where they are.

use serde_json::{Map, Value};

use super::fields::camel;

/// Where members of 1.0 travel through 0.3.
pub const V1_KEY: &str = "https://w3id.org/moongate/a2a/1.0";

/// Where members of 0.3 travel through 1.0.
pub const V03_KEY: &str = "https://w3id.org/moongate/a2a/0.3";

/// The flag by which a2a-sdk marks a data part that was no object.
pub(super) const DATA_PART_COMPAT: &str = "data_part_compat";

/// Entries of `metadata` that had to make room, kept under this name.
pub(super) const DISPLACED: &str = "metadata";

/// The members of a type in both versions.
pub(super) struct Shape {
    /// What 1.0 has.
    pub(super) v1: &'static [&'static str],
    /// What 0.3 has, in either style.
    pub(super) v03: &'static [&'static str],
    /// Members of 1.0 that some form of 0.3 cannot say.
    pub(super) only_v1: &'static [&'static str],
}

/// The way of a translation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ToV1,
    FromV1,
}

impl Way {
    fn comes_back(self) -> &'static str {
        match self {
            Self::ToV1 => V1_KEY,
            Self::FromV1 => V03_KEY,
        }
    }

    fn goes_under(self) -> &'static str {
        match self {
            Self::ToV1 => V03_KEY,
            Self::FromV1 => V1_KEY,
        }
    }

    fn may_come_back(self, shape: &Shape, name: &str) -> bool {
        let known = match self {
            Self::ToV1 => shape.v1,
            Self::FromV1 => shape.v03,
        };
        (self == Self::ToV1 && shape.only_v1.contains(&name)) || !known.contains(&camel(name).as_str())
    }
}

/// Writes `metadata` into `out`: what had travelled becomes a member again, `kept` begins its journey.
pub(super) fn settle(
    out: &mut Map<String, Value>,
    metadata: Option<Map<String, Value>>,
    kept: Map<String, Value>,
    way: Way,
    shape: &Shape,
) {
    let metadata = unpack(out, metadata, way, shape);
    if let Some(metadata) = pack(metadata, kept, way) {
        out.insert("metadata".to_owned(), Value::Object(metadata));
    }
}

fn unpack(
    out: &mut Map<String, Value>,
    metadata: Option<Map<String, Value>>,
    way: Way,
    shape: &Shape,
) -> Option<Map<String, Value>> {
    let mut metadata = metadata?;
    let travelled = match metadata.get_mut(way.comes_back()) {
        Some(Value::Object(travelled)) => std::mem::take(travelled),
        _ => return Some(metadata),
    };
    metadata.shift_remove(way.comes_back());
    let mut was_there = false;
    let mut stays = Map::new();
    for (name, value) in travelled {
        match value {
            Value::Object(displaced) if name == DISPLACED => {
                was_there = true;
                for (name, value) in displaced {
                    if [V1_KEY, V03_KEY, DATA_PART_COMPAT].contains(&name.as_str()) && !metadata.contains_key(&name) {
                        metadata.insert(name, value);
                    }
                }
            }
            value if way.may_come_back(shape, &name) && !out.contains_key(&name) => {
                out.insert(name, value);
            }
            value => {
                stays.insert(name, value);
            }
        }
    }
    if !stays.is_empty() && !metadata.contains_key(way.comes_back()) {
        metadata.insert(way.comes_back().to_owned(), Value::Object(stays));
    }
    (was_there || !metadata.is_empty()).then_some(metadata)
}

fn pack(metadata: Option<Map<String, Value>>, mut kept: Map<String, Value>, way: Way) -> Option<Map<String, Value>> {
    kept.retain(|_, value| !value.is_null());
    let mut displaced = match kept.shift_remove(DISPLACED) {
        Some(Value::Object(displaced)) => Some(displaced),
        _ => None,
    };
    let was_there = metadata.is_some();
    let mut metadata = metadata.unwrap_or_default();
    if let Some(foreign) = metadata.shift_remove(way.goes_under()) {
        displaced.get_or_insert_default().insert(way.goes_under().to_owned(), foreign);
    }
    if kept.is_empty() && displaced.is_none() {
        return was_there.then_some(metadata);
    }
    if was_there && metadata.is_empty() {
        displaced.get_or_insert_default();
    }
    if let Some(displaced) = displaced {
        kept.insert(DISPLACED.to_owned(), Value::Object(displaced));
    }
    metadata.insert(way.goes_under().to_owned(), Value::Object(kept));
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Shape = Shape { v1: &["id", "taskId", "note"], v03: &["id", "taskId"], only_v1: &["note"] };

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("no object: {other}"),
        }
    }

    fn there_and_back(metadata: Option<Value>) {
        let mut old = Map::new();
        let kept = object(json!({"note": "n", "generation": 3}));
        settle(&mut old, metadata.clone().map(object), kept, Way::FromV1, &SHAPE);
        let travelled = old.get("metadata").cloned().map(object);
        let mut new = Map::new();
        settle(&mut new, travelled, Map::new(), Way::ToV1, &SHAPE);
        assert_eq!(new.shift_remove("note"), Some(json!("n")));
        assert_eq!(new.shift_remove("generation"), Some(json!(3)));
        assert_eq!(new.shift_remove("metadata"), metadata);
        assert!(new.is_empty());
    }

    #[test]
    fn metadata_comes_back_exactly_as_it_was() {
        there_and_back(None);
        there_and_back(Some(json!({})));
        there_and_back(Some(json!({"a": 1})));
        there_and_back(Some(json!({V1_KEY: {"taskId": "x"}})));
        there_and_back(Some(json!({V1_KEY: 5, "a": null})));
    }

    #[test]
    fn members_that_both_versions_have_cannot_be_slipped_in() {
        for name in ["taskId", "task_id", "id"] {
            let mut out = Map::new();
            let metadata = object(json!({V1_KEY: {name: "x", "metadata": {"zone": "y"}}}));
            settle(&mut out, Some(metadata), Map::new(), Way::ToV1, &SHAPE);
            assert_eq!(Value::Object(out), json!({"metadata": {V1_KEY: {name: "x"}}}));
        }
    }
}
