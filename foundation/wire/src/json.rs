//! JSON as it stands in a body: which bytes are acceptable, where values lie, how strings read once unescaped.
//!
//! The grammar is RFC 8259, as strict as `serde_json` reads it into values (no lone surrogates, no numbers beyond an
//! `f64`, no byte order mark), so that whatever passes here can be parsed whole later. Two things are refused on top:
//! nesting beyond a limit, and an object that has one member twice. Readers differ in which of the two they believe, so
//! such a body could be authorised as one request and carried out as another. Members are compared after unescaping.
//!
//! [`scan`] holds the hand-written scanner; it looks at each byte once and allocates nothing but one small list of the
//! keys of the objects that are open. What members mean is left to [`crate::peek`].

pub(crate) mod keys;
pub(crate) mod scan;
pub(crate) mod swar;
pub(crate) mod text;

use std::borrow::Cow;

use bytes::Bytes;
use moongate_core::{Code, Problem};

use scan::Scanner;

/// The deepest nesting that any configuration can allow: `serde_json` reads no deeper.
pub const MAX_DEPTH: u16 = 127;

/// What a body may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Arrays and objects inside one another; anything above [`MAX_DEPTH`] counts as [`MAX_DEPTH`].
    pub depth: u16,
    /// Parts of one message.
    pub parts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, parts: 1000 }
    }
}

/// Where a value lies in its body: byte offsets, the end exclusive. A string's span includes its quotes, so that any
/// JSON value can take its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// The span's length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes of `body` that it covers; empty if it belongs to another body.
    pub fn bytes(self, body: &[u8]) -> &[u8] {
        body.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The same as a shared slice, without copying.
    pub fn of(self, body: &Bytes) -> Bytes {
        let range = self.start as usize..self.end as usize;
        if body.get(range.clone()).is_some() { body.slice(range) } else { Bytes::new() }
    }

    /// The text of `body` that it covers; empty if it belongs to another body.
    pub fn as_str(self, body: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(body)).unwrap_or_default()
    }

    /// The string that stands there, unescaped; `None` if the value is no string.
    pub fn unescaped(self, body: &[u8]) -> Option<Cow<'_, str>> {
        let inner = self.as_str(body).strip_prefix('"')?.strip_suffix('"')?;
        Some(text::unescape(inner))
    }
}

/// Checks that `body` is one JSON value in UTF-8, not nested too deeply, and without duplicate members.
///
/// # Errors
/// `BodyNotUtf8`, `BodyNotJson` (both with the offset of the byte that is wrong), `TooDeep`, `DuplicateKey`, or
/// `BodyTooLarge` from 4 GiB on.
pub fn check(body: &[u8], limits: &Limits) -> Result<(), Problem> {
    let run = || {
        let mut scanner = Scanner::new(body, limits)?;
        scanner.value()?;
        scanner.finish()
    };
    run().map_err(|fault: Box<Fault>| fault.problem(body))
}

/// Writes `text` as a JSON string, quotes included.
pub fn quote(text: &str) -> Bytes {
    Bytes::from(serde_json::Value::from(text).to_string())
}

/// Why a scan stopped. Small, because every step of the scanner may return one; becomes a [`Problem`] at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON: the offset, and what is wrong there.
    Syntax(usize, &'static str),
    /// Not UTF-8 at this offset.
    Utf8(usize),
    /// The array or object that begins here lies too deep.
    Deep(usize),
    /// This key (the span without quotes) was there before.
    Duplicate(Span),
    /// A member whose name could be taken for this one by readers that ignore case.
    Lookalike(Span, &'static str),
    /// Offsets would not fit.
    Huge,
    /// JSON, but not what is expected here.
    Shape(Code, &'static str),
}

impl Fault {
    pub(crate) fn problem(&self, body: &[u8]) -> Problem {
        match *self {
            Self::Syntax(at, what) => Problem::new(Code::BodyNotJson, format!("{what} at byte {at}")),
            Self::Utf8(at) => Problem::new(Code::BodyNotUtf8, format!("the body is not UTF-8 at byte {at}")),
            Self::Deep(at) => Problem::new(Code::TooDeep, format!("the nesting passes the limit at byte {at}")),
            Self::Duplicate(key) => {
                let (name, at) = (shown(key.as_str(body)), key.start);
                Problem::new(
                    Code::DuplicateKey,
                    format!("the member `{name}` at byte {at} is there for the second time"),
                )
            }
            Self::Lookalike(key, known) => {
                let (name, at) = (shown(key.as_str(body)), key.start);
                let detail = format!("the member `{name}` at byte {at} must be spelled `{known}`");
                Problem::new(Code::InvalidParams, detail).field(name, format!("must be spelled `{known}`"))
            }
            Self::Huge => Problem::new(Code::BodyTooLarge, "the body has 4 GiB or more"),
            Self::Shape(code, what) => Problem::new(code, what),
        }
    }
}

/// At most 64 characters of a name that a stranger chose; still escaped, so it holds no control characters.
fn shown(name: &str) -> &str {
    name.char_indices().nth(64).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

#[cfg(test)]
mod tests;
