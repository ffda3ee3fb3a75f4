//! `serde_json` as the judge of what a body says.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// What a whole parse finds in a body that is JSON.
pub struct Found {
    /// The value, later members winning.
    pub value: Value,
    /// How deep it nests.
    pub depth: usize,
    /// Whether some object has a member twice.
    pub twice: bool,
}

/// Parses the body whole; `None` if it is no JSON.
pub fn parse(body: &[u8]) -> Option<Found> {
    let mut found = Found { value: serde_json::from_slice(body).ok()?, depth: 0, twice: false };
    let mut reader = serde_json::Deserializer::from_slice(body);
    Look(0, &mut found).deserialize(&mut reader).ok()?;
    Some(found)
}

struct Look<'a>(usize, &'a mut Found);

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.1.depth = self.1.depth.max(self.0 + 1);
        while seq.next_element_seed(Look(self.0 + 1, self.1))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.1.depth = self.1.depth.max(self.0 + 1);
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            self.1.twice |= !keys.insert(key);
            map.next_value_seed(Look(self.0 + 1, self.1))?;
        }
        Ok(())
    }
}

/// A name as readers see it that ignore case and underscores (Go's folding included).
pub fn fold(name: &str) -> String {
    name.replace('_', "").replace('\u{17f}', "s").replace('\u{212a}', "k").to_ascii_lowercase()
}
