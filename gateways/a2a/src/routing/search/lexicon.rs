//! Everyday words of homes, cars and offices, in English and Chinese, grouped by what they mean.
//!
//! The lexicon serves three ends: words of different languages meet in a concept ("lamp", "灯"), Chinese text is cut into
//! words, and words that say nothing ("please", "一下") or only how much ("half", "百分之") do not weigh. It is
//! deliberately plain and finite: what it lacks is found by the words themselves. Concepts without any skill on this
//! gateway are useful too, for a request that is clearly about one of them is clearly not about something else.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::tokens::stem;

mod table;

/// What role a word plays in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// What it is about.
    Thing,
    /// What to do with it; alone it points at no skill.
    Action,
    /// A piece of text that the lexicon does not know and that may cut through words.
    Fragment,
    /// Where, when or how much: helps the skill that mentions it and costs the others nothing.
    Detail,
    /// Nothing.
    Nothing,
}

/// Words and phrases with their class and concepts.
#[derive(Debug)]
pub(super) struct Lexicon {
    words: HashMap<String, (Class, Vec<String>)>,
}

impl Lexicon {
    /// The one built in.
    pub(super) fn shared() -> &'static Self {
        static SHARED: LazyLock<Lexicon> = LazyLock::new(Lexicon::build);
        &SHARED
    }

    /// A word or phrase: English as stems with one space between them, Chinese as it is.
    pub(super) fn word(&self, word: &str) -> Option<(Class, &[String])> {
        self.words.get(word).map(|(class, concepts)| (*class, concepts.as_slice()))
    }

    fn build() -> Self {
        let mut words: HashMap<String, (Class, Vec<String>)> = HashMap::new();
        for (class, concept, english, chinese) in table::ROWS {
            let english = english.split(", ").map(|phrase| {
                let stems: Vec<String> = phrase.split(' ').map(stem).collect();
                stems.join(" ")
            });
            let chinese = chinese.split(' ').map(str::to_owned);
            for word in english.chain(chinese).filter(|word| !word.is_empty()) {
                // The first row that names a word decides its class; every row adds its concept.
                let (_, concepts) = words.entry(word).or_insert((*class, Vec::new()));
                if !concept.is_empty() {
                    concepts.push(format!("={concept}"));
                }
            }
        }
        Self { words }
    }
}
