//! Strings as they stand between their quotes, and how they read.
//!
//! The scanner has checked every escape before anything here sees it; what cannot happen any more reads as U+FFFD.

use std::borrow::Cow;
use std::iter;
use std::str::Chars;

use super::Span;

/// A string of the body: the raw text between the quotes, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// Between the quotes, escapes as written.
    pub(crate) raw: &'a str,
    /// The offset of the first byte after the opening quote.
    pub(crate) at: u32,
    /// Whether `raw` holds an escape.
    pub(crate) escaped: bool,
}

impl<'a> Text<'a> {
    /// Where the value lies, quotes included.
    pub(crate) fn span(&self) -> Span {
        Span { start: self.at - 1, end: self.inner().end + 1 }
    }

    /// Where the text between the quotes lies.
    pub(crate) fn inner(&self) -> Span {
        // The scanner refuses bodies whose offsets do not fit.
        Span { start: self.at, end: self.at + self.raw.len() as u32 }
    }

    /// How it reads.
    pub(crate) fn read(&self) -> Cow<'a, str> {
        if self.escaped { unescape(self.raw) } else { Cow::Borrowed(self.raw) }
    }
}

/// How the raw text of a string reads.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if raw.contains('\\') { Cow::Owned(characters(raw).collect()) } else { Cow::Borrowed(raw) }
}

/// The characters of a raw text, escapes resolved.
pub(crate) fn characters(raw: &str) -> impl Iterator<Item = char> + '_ {
    let mut rest = raw.chars();
    iter::from_fn(move || match rest.next()? {
        '\\' => Some(escape(&mut rest).unwrap_or(char::REPLACEMENT_CHARACTER)),
        plain => Some(plain),
    })
}

fn escape(rest: &mut Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let first = unit(rest)?;
            if !(0xd800..0xdc00).contains(&first) {
                return char::from_u32(first);
            }
            if (rest.next()?, rest.next()?) != ('\\', 'u') {
                return None;
            }
            let second = unit(rest)?.checked_sub(0xdc00)?;
            return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second);
        }
        itself => itself,
    })
}

fn unit(rest: &mut Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + rest.next()?.to_digit(16)?))
}

/// The characters of a raw text as a careless reader may compare names: case and underscores do not count.
///
/// ProtoJSON readers take `task_id` for `taskId`. Go's `encoding/json` takes any case, and follows Unicode in folding the
/// long s and the Kelvin sign to `s` and `k`.
pub(crate) fn folded(raw: &str) -> impl Iterator<Item = char> + '_ {
    characters(raw).filter(|c| *c != '_').map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    })
}
