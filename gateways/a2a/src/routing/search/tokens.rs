//! From text to units: words, and what the lexicon knows about them.
//!
//! Latin text is split at everything but letters and digits and at case changes (`setColor`), folded (case, accents, full
//! width) and lightly stemmed, so that "charging", "charges" and "charge" are one. Han and kana have no gaps: the longest
//! words of the lexicon are cut out, the rest becomes overlapping pairs. Particle verbs may be apart ("turn the lamp
//! on"). An unknown name within a sentence ("to London", "with Maria") says where or who, not what.

use super::lexicon::{Class, Lexicon};

/// The most words that a phrase of the lexicon has, and the most characters of a Chinese word.
const PHRASE: usize = 4;
/// How far a verb's particle may stand from it.
const APART: usize = 6;
const VERBS: [&str; 11] = ["turn", "switch", "put", "power", "shut", "warm", "heat", "cool", "bring", "roll", "lock"];
const PARTICLES: [&str; 6] = ["on", "off", "up", "down", "in", "out"];

/// One thing that the text says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    /// As written, folded; for explanations.
    pub(super) surface: String,
    /// What it can be found by: the word itself, then its concepts. Never empty.
    pub(super) terms: Vec<String>,
    /// What role it plays.
    pub(super) class: Class,
}

/// The units of a text, without those that say nothing.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let lexicon = Lexicon::shared();
    let mut units = Vec::new();
    for run in runs(text) {
        match run {
            Run::Words(words) => latin(&words, lexicon, &mut units),
            Run::Han(chars) => han(&chars, lexicon, &mut units),
        }
    }
    units
}

/// Every term that a text can be found by: those of its units, and each character and pair of Han text.
pub(super) fn index_terms(text: &str) -> Vec<String> {
    let mut terms: Vec<String> = units(text).into_iter().flat_map(|unit| unit.terms).collect();
    for run in runs(text) {
        if let Run::Han(chars) = run {
            let lexicon = Lexicon::shared();
            let content = |word: &String| lexicon.word(word).is_none_or(|(class, _)| class != Class::Nothing);
            let pairs = chars.windows(2).map(|pair| pair.iter().collect());
            let singles = chars.iter().map(char::to_string);
            terms.extend(pairs.chain(singles).filter(content));
        }
    }
    terms
}

/// A word in the Latin sense, folded.
struct Word {
    text: String,
    /// It was written with a capital.
    capital: bool,
}

enum Run {
    /// Consecutive words of a sentence.
    Words(Vec<Word>),
    /// Consecutive characters of a script without gaps.
    Han(Vec<char>),
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

/// Splits the text into stretches of words and of Han characters; punctuation ends a sentence of words.
fn runs(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut han: Vec<char> = Vec::new();
    let mut word = Word { text: String::new(), capital: false };
    let mut last_lower = false;
    for c in text.chars().map(narrow) {
        let alphanumeric = c.is_alphanumeric() && !is_han(c);
        if (!alphanumeric && c != '\'' && c != '’') || (last_lower && c.is_uppercase()) {
            finish_word(&mut word, &mut words);
        }
        last_lower = alphanumeric && c.is_lowercase();
        if is_han(c) {
            close_words(&mut words, &mut runs);
            han.push(c);
            continue;
        }
        if !han.is_empty() && (alphanumeric || !c.is_whitespace()) {
            runs.push(Run::Han(std::mem::take(&mut han)));
        }
        if alphanumeric {
            word.capital |= word.text.is_empty() && c.is_uppercase();
            word.text.extend(c.to_lowercase().map(plain));
        } else if matches!(c, '\'' | '’') {
            finish_word(&mut word, &mut words);
        } else if matches!(c, ',' | '.' | ';' | '!' | '?' | ':') {
            close_words(&mut words, &mut runs);
        }
    }
    finish_word(&mut word, &mut words);
    close_words(&mut words, &mut runs);
    if !han.is_empty() {
        runs.push(Run::Han(han));
    }
    runs
}

fn finish_word(word: &mut Word, words: &mut Vec<Word>) {
    let capital = std::mem::take(&mut word.capital);
    if !word.text.is_empty() {
        words.push(Word { text: std::mem::take(&mut word.text), capital });
    }
}

fn close_words(words: &mut Vec<Word>, runs: &mut Vec<Run>) {
    if !words.is_empty() {
        runs.push(Run::Words(std::mem::take(words)));
    }
}

/// Full-width forms are the ASCII ones, drawn wider.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        '。' => '.',
        _ => c,
    }
}

/// Latin letters without their accents.
fn plain(c: char) -> char {
    match c {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        _ => c,
    }
}

fn latin(words: &[Word], lexicon: &Lexicon, units: &mut Vec<Unit>) {
    let stems: Vec<String> = words.iter().map(|word| stem(&word.text)).collect();
    let mut used = vec![false; words.len()];
    for at in 0..words.len() {
        let (Some(word), Some(own)) = (words.get(at), stems.get(at)) else { continue };
        if used.get(at).copied().unwrap_or(true) {
            continue;
        }
        if VERBS.contains(&own.as_str())
            && let Some(unit) = particle_verb(own, words, at, &mut used, lexicon)
        {
            units.push(unit);
            continue;
        }
        if let Some((length, unit)) = phrase(&stems, words, at, lexicon) {
            used.iter_mut().skip(at).take(length).for_each(|used| *used = true);
            units.extend(unit);
            continue;
        }
        // A number tells how much, a name who or where.
        let detail = word.text.chars().all(|c| c.is_ascii_digit()) || (word.capital && at > 0);
        let class = if detail { Class::Detail } else { Class::Thing };
        units.push(Unit { surface: word.text.clone(), terms: vec![own.clone()], class });
    }
}

/// "turn … on": the verb and a particle near it, which is used up with it.
fn particle_verb(verb: &str, words: &[Word], at: usize, used: &mut [bool], lexicon: &Lexicon) -> Option<Unit> {
    let (offset, particle) = words
        .iter()
        .enumerate()
        .skip(at + 1)
        .take(APART)
        .map(|(offset, word)| (offset, word.text.as_str()))
        .find(|(_, word)| PARTICLES.contains(word) && lexicon.word(&format!("{verb} {word}")).is_some())?;
    let surface = format!("{verb} {particle}");
    let (class, concepts) = lexicon.word(&surface)?;
    *used.get_mut(offset)? = true;
    Some(Unit { surface, terms: concepts.to_vec(), class })
}

/// The longest phrase of the lexicon that begins here; `None` inside if it says nothing.
fn phrase(stems: &[String], words: &[Word], at: usize, lexicon: &Lexicon) -> Option<(usize, Option<Unit>)> {
    (1..=PHRASE.min(stems.len() - at)).rev().find_map(|length| {
        let key = stems.get(at..at + length)?.join(" ");
        let (class, concepts) = lexicon.word(&key)?;
        if class == Class::Nothing {
            return Some((length, None));
        }
        let mut terms = vec![key];
        terms.extend(concepts.iter().cloned());
        let surface: Vec<&str> = words.get(at..at + length)?.iter().map(|word| word.text.as_str()).collect();
        Some((length, Some(Unit { surface: surface.join(" "), terms, class })))
    })
}

fn han(chars: &[char], lexicon: &Lexicon, units: &mut Vec<Unit>) {
    let mut rest: Vec<char> = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let longest = (1..=PHRASE.min(chars.len() - at)).rev().find_map(|length| {
            let word: String = chars.get(at..at + length)?.iter().collect();
            lexicon.word(&word).map(|(class, concepts)| (length, word, class, concepts))
        });
        let Some((length, word, class, concepts)) = longest else {
            rest.extend(chars.get(at));
            at += 1;
            continue;
        };
        pairs(&mut rest, units);
        if class != Class::Nothing {
            let mut terms = vec![word.clone()];
            terms.extend(concepts.iter().cloned());
            units.push(Unit { surface: word, terms, class });
        }
        at += length;
    }
    pairs(&mut rest, units);
}

/// Text that the lexicon does not know: overlapping pairs, or a character that stands alone.
fn pairs(rest: &mut Vec<char>, units: &mut Vec<Unit>) {
    let known = |class, text: String| Unit { surface: text.clone(), terms: vec![text], class };
    match rest.as_slice() {
        [] => {}
        [one] => units.push(known(Class::Fragment, one.to_string())),
        many => units.extend(many.windows(2).map(|pair| known(Class::Fragment, pair.iter().collect()))),
    }
    rest.clear();
}

/// A light stemmer: plural, -ing, -ed and a final e. It need not be right, only the same on both sides.
pub(super) fn stem(word: &str) -> String {
    if !word.is_ascii() || word.len() < 4 {
        return word.to_owned();
    }
    let mut stem = word;
    if let Some(base) = stem.strip_suffix("ies").filter(|base| base.len() > 2) {
        return format!("{base}y");
    }
    if let Some(base) =
        stem.strip_suffix("es").filter(|base| ["s", "x", "z", "ch", "sh"].iter().any(|e| base.ends_with(e)))
    {
        stem = base;
    } else if let Some(base) = stem.strip_suffix('s').filter(|base| !base.ends_with(['s', 'u', 'i'])) {
        stem = base;
    }
    for suffix in ["ing", "ed"] {
        if let Some(base) =
            stem.strip_suffix(suffix).filter(|base| base.len() > 2 && base.contains(['a', 'e', 'i', 'o', 'u', 'y']))
        {
            let bytes = base.as_bytes();
            let doubled = match bytes {
                [.., one, other] => one == other && !matches!(one, b'l' | b's' | b'z' | b'e'),
                _ => false,
            };
            stem = if doubled { base.get(..base.len() - 1).unwrap_or(base) } else { base };
            break;
        }
    }
    stem.strip_suffix('e').filter(|base| base.len() > 2).unwrap_or(stem).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surfaces(text: &str) -> Vec<String> {
        units(text).into_iter().map(|unit| unit.surface).collect()
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for forms in [["charge", "charging", "charged", "charges"], ["dim", "dimming", "dimmed", "dims"]] {
            assert!(forms.iter().all(|form| stem(form) == stem(forms[0])), "{forms:?}");
        }
        assert_eq!(stem("batteries"), stem("battery"));
        assert_ne!(stem("bus"), stem("bu"));
    }

    #[test]
    fn identifiers_and_wide_letters_fall_into_words() {
        assert_eq!(surfaces("zorb.setQuux ＦＬＵＸ-9"), ["zorb", "set", "quux", "flux", "9"]);
    }

    #[test]
    fn a_particle_may_stand_apart_from_its_verb() {
        assert_eq!(surfaces("turn the green widget on"), surfaces("turn on the green widget"));
    }

    #[test]
    fn words_of_the_lexicon_are_cut_out_of_chinese_text() {
        assert_eq!(surfaces("把厨房的灯打开"), ["厨房", "灯", "打开"]);
        assert_eq!(surfaces("魑魅魍魉"), ["魑魅", "魅魍", "魍魉"]);
    }

    #[test]
    fn hostile_text_is_only_text() {
        for text in ["", " ", "\u{0}\u{202e}", "''''", "。。。", "a'b’c", "é\u{301}", &"灯".repeat(10_000)] {
            let _ = units(text);
            let _ = index_terms(text);
        }
    }
}
