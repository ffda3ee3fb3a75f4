//! What an agent's skills are by nature: their tags over all of its cards, and whether they open, burn or delete something.
//!
//! A skill speaks of a thing if one of the words of its id or tags is that thing's: `door.open`, `openGarageDoor` and the tag
//! `front-door` speak of a door, `outdoor` does not. Made once with the directory, looked up for each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_core::Effects;
use moongate_wire::a2a::card::Card;

/// Things that open something, or that can do harm once they are on.
const GUARDED: [&str; 19] = [
    "lock",
    "unlock",
    "locking",
    "unlocking",
    "opendoor",
    "closedoor",
    "opengarage",
    "opengate",
    "deadbolt",
    "door",
    "garage",
    "gate",
    "alarm",
    "disarm",
    "gas",
    "oven",
    "stove",
    "doorlock",
    "smartlock",
];
/// The same where words are not set apart.
const GUARDED_UNSPACED: [&str; 12] =
    ["锁", "开门", "大门", "房门", "车门", "车库", "警报", "报警", "燃气", "煤气", "烤箱", "炉灶"];
/// What is not there any more afterwards.
const DESTRUCTIVE: [&str; 10] =
    ["delete", "remove", "erase", "wipe", "destroy", "purge", "reset", "uninstall", "terminate", "shutdown"];

/// One skill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nature {
    /// Its tags.
    pub tags: Arc<[Arc<str>]>,
    /// What it can do.
    pub effects: Effects,
}

impl Nature {
    fn of(id: &str, tags: Vec<Arc<str>>) -> Self {
        let texts = || std::iter::once(id).chain(tags.iter().map(|tag| &**tag));
        let effects = Effects {
            guarded: texts()
                .any(|text| speaks_of(text, &GUARDED) || GUARDED_UNSPACED.iter().any(|word| text.contains(word))),
            destructive: texts().any(|text| speaks_of(text, &DESTRUCTIVE)),
        };
        Self { tags: tags.into(), effects }
    }
}

/// The skills of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Natures(BTreeMap<String, Nature>);

impl Natures {
    /// As the cards of all its instances say: what one of them calls a door is one.
    pub fn of<'a>(cards: impl Iterator<Item = &'a Card>) -> Self {
        let mut tags: BTreeMap<&str, Vec<Arc<str>>> = BTreeMap::new();
        for skill in cards.flat_map(|card| card.skills.iter()) {
            let held = tags.entry(&skill.id).or_default();
            for tag in &skill.tags {
                if !held.iter().any(|known| **known == **tag) {
                    held.push(tag.as_str().into());
                }
            }
        }
        Self(tags.into_iter().map(|(id, tags)| (id.to_owned(), Nature::of(id, tags))).collect())
    }

    /// The skills that any of its instances has.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One skill; of one that no card names, its id is all that is known.
    pub fn skill(&self, id: &str) -> Nature {
        self.0.get(id).cloned().unwrap_or_else(|| Nature::of(id, Vec::new()))
    }
}

fn speaks_of(text: &str, things: &[&str]) -> bool {
    words(text).any(|word| {
        let word = word.to_lowercase();
        things.iter().any(|thing| word == *thing || word.strip_suffix('s') == Some(thing))
    })
}

/// The words of a name: `openGarageDoor`, `front-door` and `door.open` have two or three each.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric()).flat_map(|run| {
        let mut starts = vec![0];
        let letters: Vec<(usize, char)> = run.char_indices().collect();
        for (index, pair) in letters.windows(2).enumerate() {
            let [(_, before), (at, letter)] = pair else { continue };
            // `IoTDoor` is two words, and so is `openDoor`.
            let small_follows = letters.get(index + 2).is_some_and(|(_, next)| next.is_lowercase());
            if (letter.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && small_follows)))
                || before.is_ascii_digit() != letter.is_ascii_digit()
            {
                starts.push(*at);
            }
        }
        let ends: Vec<usize> = starts.iter().skip(1).copied().chain([run.len()]).collect();
        starts.into_iter().zip(ends).filter_map(move |(start, end)| run.get(start..end)).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(id: &str, tags: &[&str]) -> (bool, bool) {
        let Effects { guarded, destructive } = Nature::of(id, tags.iter().map(|tag| (*tag).into()).collect()).effects;
        (guarded, destructive)
    }

    #[test]
    fn a_skill_is_known_by_the_words_of_its_id_and_its_tags() {
        for id in [
            "door.open",
            "openGarageDoor",
            "unlock_all",
            "Lock",
            "gates",
            "gas",
            "door2",
            "front-DOOR",
            "oven/preheat",
            "IoTDoor",
            "opendoor",
            "unlocking.all",
        ] {
            assert_eq!(effects(id, &[]), (true, false), "{id}");
        }
        for id in [
            "outdoor.lights",
            "block",
            "clock.set",
            "gasoline.price",
            "navigate",
            "gateway",
            "interlocking",
            "alarming",
        ] {
            assert_eq!(effects(id, &[]), (false, false), "{id}");
        }
        assert_eq!(effects("run", &["smart-lock"]), (true, false));
        assert_eq!(effects("run", &["智能门锁"]), (true, false));
        assert_eq!(effects("files.delete", &["storage"]), (false, true));
        assert_eq!(effects("factoryReset", &["alarm"]), (true, true));
        assert_eq!(effects("", &[""]), (false, false));
    }
}
