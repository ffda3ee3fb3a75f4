//! The words of a name, however it sets them apart.

use icu_normalizer::ComposingNormalizerBorrowed;

/// What may be shouted at the beginning of a name whose rest is not: `OPENdoor`.
#[rustfmt::skip]
const SHOUTED: [&str; 16] = [
    "open", "close", "lock", "unlock", "arm", "disarm", "get", "set", "delete", "remove", "erase", "wipe", "destroy", "purge",
    "reset", "uninstall",
];

/// A text in plain letters, whatever their width and style (NFKC).
pub(super) fn plain(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
}

/// The words of a plain name, in small letters: `openGarageDoor`, `front-door` and `door.open` have two or three each.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|letter: char| !letter.is_alphanumeric()) {
        let letters: Vec<char> = run.chars().collect();
        let mut word = String::new();
        for (at, letter) in letters.iter().enumerate() {
            if begins_a_word(&letters, at, &word) {
                words.push(std::mem::take(&mut word).to_lowercase());
            }
            word.push(*letter);
        }
        if !word.is_empty() {
            words.push(word.to_lowercase());
        }
    }
    words
}

/// Whether the letter at a place begins another word than the one that is being read.
fn begins_a_word(letters: &[char], at: usize, word: &str) -> bool {
    let (Some(before), Some(letter)) = (word.chars().next_back(), letters.get(at)) else { return false };
    let small = |at: usize| letters.get(at).is_some_and(|letter| letter.is_lowercase());
    let shouted = |word: &str| word.chars().all(char::is_uppercase) && SHOUTED.contains(&&*word.to_lowercase());
    if before.is_ascii_digit() != letter.is_ascii_digit() {
        return true;
    }
    if letter.is_lowercase() {
        return before.is_uppercase() && shouted(word);
    }
    if !letter.is_uppercase() {
        return false;
    }
    // `IoTDoor` is two words, and so is `openDoor`; `DOORs` is one.
    let plural = letters.get(at + 1) == Some(&'s') && !small(at + 2);
    let whole = format!("{word}{letter}");
    before.is_lowercase() || (before.is_uppercase() && small(at + 1) && !plural && !shouted(&whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart_where_their_words_do() {
        for (name, expected) in [
            ("openGarageDoor", "open garage door"),
            ("front-door", "front door"),
            ("IoTDoor", "io t door"),
            ("HTTPServer", "http server"),
            ("DOORs", "doors"),
            ("allDOORsShut", "all doors shut"),
            ("OPENdoor", "open door"),
            ("OPENDoor", "open door"),
            ("door2open", "door 2 open"),
            ("CSSBlock", "css block"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
        assert_eq!(plain("ｄｏｏｒ"), "door");
    }
}
