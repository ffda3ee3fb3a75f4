//! Values of requests as values of CEL. Strings are borrowed from the request.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use serde_json::Value as Json;

/// There are more values in `args` than a rule may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// A list of words.
pub(crate) fn list<'b>(words: &'b [Arc<str>]) -> CowVal<'b, 'b> {
    let words: Vec<Box<dyn Val + 'b>> =
        words.iter().map(|word| Box::new(CelString::from(&**word)) as Box<dyn Val + 'b>).collect();
    CowVal::owned(CelList::from(words))
}

/// A map of words; of a key that occurs more than once, the first value counts.
pub(crate) fn map<'b>(pairs: impl Iterator<Item = (&'b str, &'b str)>) -> CowVal<'b, 'b> {
    let mut map: HashMap<CelMapKey<'b>, Box<dyn Val + 'b>> = HashMap::new();
    for (key, value) in pairs {
        map.entry(CelMapKey::String(CelString::from(key))).or_insert_with(|| Box::new(CelString::from(value)));
    }
    CowVal::owned(CelMap::from(map))
}

/// A JSON value of at most `nodes` values; absent, it is an empty object.
pub(crate) fn of_json(value: Option<&Json>, nodes: usize) -> Result<Box<dyn Val + '_>, TooLarge> {
    let mut left = nodes;
    match value {
        Some(value) => convert(value, &mut left),
        None => Ok(Box::new(CelMap::from(HashMap::new()))),
    }
}

fn convert<'v>(value: &'v Json, left: &mut usize) -> Result<Box<dyn Val + 'v>, TooLarge> {
    *left = left.checked_sub(1).ok_or(TooLarge)?;
    Ok(match value {
        Json::Null => Box::new(CelNull),
        Json::Bool(value) => Box::new(CelBool::from(*value)),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(text) => Box::new(CelString::from(text.as_str())),
        Json::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| convert(item, left)).collect();
            Box::new(CelList::from(items?))
        }
        Json::Object(members) => {
            let mut map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::with_capacity(members.len());
            for (key, value) in members {
                map.insert(CelMapKey::String(CelString::from(key.as_str())), convert(value, left)?);
            }
            Box::new(CelMap::from(map))
        }
    })
}
