//! What an agent's skills are by nature: their tags over all of its cards, and whether they open, burn or delete something.
//!
//! A skill speaks of a thing if one of the words of its id or tags is that thing's: `door.open`, `openGarageDoor`, `frontdoor`
//! and the tag `front-door` speak of a door, `outdoor` does not. Letters of any width or style count as their plain ones. Made
//! once with the directory, looked up for each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_core::Effects;
use moongate_wire::a2a::card::Card;

use self::words::words;

mod words;

/// Things that open something, or that can do harm once they are on.
const GUARDED: [&str; 26] = [
    "lock",
    "locking",
    "unlocking",
    "opendoor",
    "closedoor",
    "dooropen",
    "dooropener",
    "opengarage",
    "garageopener",
    "opengate",
    "closegate",
    "gateopener",
    "deadbolt",
    "door",
    "garage",
    "gate",
    "alarm",
    "disarm",
    "gas",
    "oven",
    "stove",
    "vault",
    "strongbox",
    "shutter",
    "valve",
    "opensafe",
];
/// The same where words are not set apart.
const GUARDED_UNSPACED: [&str; 17] = [
    "锁",
    "开门",
    "大门",
    "房门",
    "车门",
    "车库",
    "警报",
    "报警",
    "燃气",
    "煤气",
    "烤箱",
    "炉灶",
    "保险箱",
    "保险柜",
    "金库",
    "卷帘",
    "阀",
];
/// Things that stand at the end of a longer word as well, and the beginnings that make another word of it.
const AT_THE_END: [(&str, &[&str]); 6] = [
    ("door", &["in", "out"]),
    ("lock", NO_LOCKS),
    ("garage", &[]),
    ("alarm", &[]),
    ("shutter", &[]),
    ("valve", &["bi"]),
];
/// With these endings before it, `lock` is no lock: blocks, clocks and flocks of all kinds, herbs, hair, animals, keys and names.
#[rustfmt::skip]
const NO_LOCKS: &[&str] = &[
    "b", "c", "f", "bol", "bul", "caps", "char", "dead", "dread", "fet", "flint", "fore", "grid", "have", "head", "hem", "hil",
    "inter", "num", "oar", "pol", "row", "scroll", "sher", "shy", "spin", "war", "wed", "whit",
];
/// Most words that end with `gate` are verbs; with these before it, one can go through.
#[rustfmt::skip]
const GATES: &[&str] = &[
    "auto", "back", "barn", "car", "close", "dog", "drive", "driveway", "east", "electric", "entrance", "entry", "exit", "farm",
    "field", "flood", "front", "garage", "garden", "house", "inner", "iron", "lock", "main", "north", "open", "outer", "park",
    "parking", "pool", "safety", "security", "side", "slide", "sliding", "smart", "south", "street", "swing", "tail", "toll",
    "unlock", "west", "yard",
];
/// What makes `safe` a manner, and no box: the word before it, and the one after.
const NO_SAFE_AFTER: [&str; 15] = [
    "fail", "thread", "type", "memory", "child", "kid", "kids", "family", "food", "pet", "is", "stay", "keep", "be",
    "not",
];
const NO_SAFE_BEFORE: [&str; 12] =
    ["mode", "search", "browsing", "zone", "list", "shutdown", "start", "boot", "stop", "default", "driving", "eval"];
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
        let plain: Vec<String> = std::iter::once(id).chain(tags.iter().map(|tag| &**tag)).map(words::plain).collect();
        let said: Vec<Vec<String>> = plain.iter().map(|text| words(text)).collect();
        let all = || said.iter().flatten();
        let effects = Effects {
            guarded: all().any(|word| is_guarded(word))
                || plain.iter().any(|text| GUARDED_UNSPACED.iter().any(|word| text.contains(word)))
                // A tag `safe` says most often that nothing can go wrong.
                || said.first().is_some_and(|id| is_about_a_safe(id)),
            destructive: all().any(|word| is_one_of(word, &DESTRUCTIVE)),
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

fn is_one_of(word: &str, things: &[&str]) -> bool {
    things.iter().any(|thing| word == *thing || word.strip_suffix('s') == Some(thing))
}

fn is_guarded(word: &str) -> bool {
    is_one_of(word, &GUARDED) || ends_with_a_thing(word) || word.strip_suffix('s').is_some_and(ends_with_a_thing)
}

/// Whether a longer word is one of a thing: `frontdoor`, `padlock`, `gardengate`.
fn ends_with_a_thing(word: &str) -> bool {
    let other = |before: &str, thing: &str, others: &[&str]| match thing {
        "lock" => others.iter().any(|end| before.ends_with(end)),
        _ => others.contains(&before),
    };
    AT_THE_END
        .iter()
        .any(|(thing, others)| word.strip_suffix(thing).is_some_and(|before| !other(before, thing, others)))
        || word.strip_suffix("gate").is_some_and(|before| GATES.contains(&before))
}

/// Whether the words of an id are about a safe.
fn is_about_a_safe(words: &[String]) -> bool {
    let at = |index: usize| words.get(index).map_or("", String::as_str);
    words.iter().enumerate().any(|(index, word)| {
        is_one_of(word, &["safe"])
            && !index.checked_sub(1).is_some_and(|before| NO_SAFE_AFTER.contains(&at(before)))
            && !NO_SAFE_BEFORE.contains(&at(index + 1))
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
        #[rustfmt::skip]
        let guarded = [
            "door.open", "openGarageDoor", "unlock_all", "Lock", "gates", "gas", "door2", "front-DOOR", "oven/preheat", "IoTDoor",
            "opendoor", "unlocking.all", "DOORs", "OPENdoor", "UNLOCKdoor", "OPENgate", "OPENsafe", "garagedoor", "frontdoor",
            "frontdoors.close", "unlockdoor", "ｄｏｏｒ.open", "ＤＯＯＲＳ", "𝐝𝐨𝐨𝐫", "padlock", "doorlock", "bikelocks", "airlock",
            "gardengate", "tailgate.open", "frontgates", "firealarm", "burglarAlarms", "safe.open", "openSafe", "hotel-safes",
            "vault", "vaults.open", "strongbox", "shutter", "rollershutters.up", "valve.main", "gasvalve", "GATEs",
        ];
        for id in guarded {
            assert_eq!(effects(id, &[]), (true, false), "{id}");
        }
        #[rustfmt::skip]
        let plain = [
            "outdoor.lights", "outdoors", "indoor.climate", "block", "unblock", "adblock.on", "CSSBlock", "TIMEBlocks", "clock.set",
            "wallclock", "flock", "shylock", "sherlock", "warlock", "wedlock",
            "gridlock.report", "deadlock.find", "hillock", "bullocks", "pollock", "numlock", "gasoline.price", "navigate", "gateway",
            "interlocking", "alarming", "delegate", "aggregate", "aggregates", "investigate", "propagate", "litigate", "mitigate",
            "surrogate", "negate", "irrigate.garden", "interrogate", "segregate", "frigate", "agate", "relegate", "conjugate",
            "fail-safe", "failSafe.test", "safe-mode", "safeMode", "safety.check", "thread-safe", "failsafe", "safeguard", "unsafe",
            "bivalve", "woven", "vendor.list", "corridor.lights", "ambassadors", "lockdown",
            "glass", "class.list", "locale", "location.get", "catalog", "camera.show", "defaults", "vaulted",
        ];
        for id in plain {
            assert_eq!(effects(id, &[]), (false, false), "{id}");
        }
        assert_eq!(effects("lights.set", &["safe"]), (false, false), "that a skill is safe is no reason to ask");
        assert_eq!(effects("box.a", &["vault"]), (true, false));
        assert_eq!(effects("run", &["保险柜"]), (true, false));
        assert_eq!(effects("DELETEfiles", &[]), (false, true));
        assert_eq!(effects("run", &["smart-lock"]), (true, false));
        assert_eq!(effects("run", &["智能门锁"]), (true, false));
        assert_eq!(effects("files.delete", &["storage"]), (false, true));
        assert_eq!(effects("factoryReset", &["alarm"]), (true, true));
        assert_eq!(effects("", &[""]), (false, false));
    }
}
