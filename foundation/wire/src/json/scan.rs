//! The scanner: walks a body once, value by value, and lets its caller look at the members that matter.
//!
//! A caller descends with [`Scanner::object`] and [`Scanner::array`], whose closures must consume exactly one value for
//! each call: by descending again, by [`Scanner::string`], or by [`Scanner::value`], which checks a value of any kind and
//! tells where it lies.

use moongate_core::Code;

use super::keys::{Keys, Names};
use super::text::Text;
use super::{Fault, Limits, MAX_DEPTH, Span, swar};

/// A step of the scan. Boxed, so that what goes well fits into registers.
pub(crate) type Scan<T> = Result<T, Box<Fault>>;

/// What the next value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// A position in a body that is known to be UTF-8.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    source: &'a str,
    at: usize,
    levels: u16,
    keys: Keys,
}

impl<'a> Scanner<'a> {
    /// Begins at the first byte.
    pub(crate) fn new(body: &'a [u8], limits: &Limits) -> Scan<Self> {
        if u32::try_from(body.len()).is_err() {
            return Err(Fault::Huge.into());
        }
        let source = std::str::from_utf8(body).map_err(|error| Fault::Utf8(error.valid_up_to()))?;
        Ok(Self { source, at: 0, levels: limits.depth.min(MAX_DEPTH), keys: Keys::default() })
    }

    /// The whole body.
    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space, without consuming it.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(byte) if byte > b' ' => return Some(byte),
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    #[cold]
    fn wrong<T>(&self, what: &'static str) -> Scan<T> {
        Err(Fault::Syntax(self.at, if self.at < self.source.len() { what } else { "the JSON ends too early" }).into())
    }

    fn since(&self, start: usize) -> Span {
        // `new` refuses bodies whose offsets do not fit.
        Span { start: start as u32, end: self.at as u32 }
    }

    /// What the next value is.
    #[inline]
    pub(crate) fn kind(&mut self) -> Scan<Kind> {
        Ok(match self.token() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'n') => Kind::Null,
            _ => return self.wrong("no JSON value"),
        })
    }

    /// Consumes a value of any kind.
    pub(crate) fn value(&mut self) -> Scan<Span> {
        let first = self.token();
        let start = self.at;
        match first {
            Some(b'"') => drop(self.text()?),
            Some(b'{') => return self.object(Names::Exact, |inner, _| inner.value().map(drop)),
            Some(b'[') => return self.array(|inner| inner.value().map(drop)),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => return self.wrong("no JSON value"),
        }
        Ok(self.since(start))
    }

    /// After the last value: nothing but white space.
    pub(crate) fn finish(&mut self) -> Scan<()> {
        match self.token() {
            None => Ok(()),
            Some(_) => self.wrong("something follows the JSON value"),
        }
    }

    /// Consumes an object; `member` is called after each key and consumes that member's value.
    pub(crate) fn object<F>(&mut self, names: Names, mut member: F) -> Scan<Span>
    where
        F: FnMut(&mut Self, &Text<'a>) -> Scan<()>,
    {
        let start = self.descend(b'{', "no object")?;
        let object = self.keys.open(names);
        if self.token() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                if self.token() != Some(b'"') {
                    return self.wrong("no key");
                }
                let key = self.string()?;
                self.keys.add(object, &key, self.source)?;
                if self.token() != Some(b':') {
                    return self.wrong("no colon after a key");
                }
                self.at += 1;
                member(self, &key)?;
                match self.token() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break self.at += 1,
                    _ => return self.wrong("neither comma nor brace after a member"),
                }
            }
        }
        self.keys.close(object, self.source)?;
        self.levels += 1;
        Ok(self.since(start))
    }

    /// Consumes an array; `element` is called for each element and consumes it.
    pub(crate) fn array<F>(&mut self, mut element: F) -> Scan<Span>
    where
        F: FnMut(&mut Self) -> Scan<()>,
    {
        let start = self.descend(b'[', "no array")?;
        if self.token() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                element(self)?;
                match self.token() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break self.at += 1,
                    _ => return self.wrong("neither comma nor bracket after an element"),
                }
            }
        }
        self.levels += 1;
        Ok(self.since(start))
    }

    fn descend(&mut self, opening: u8, what: &'static str) -> Scan<usize> {
        if self.token() != Some(opening) {
            return self.wrong(what);
        }
        self.levels = self.levels.checked_sub(1).ok_or(Fault::Deep(self.at))?;
        self.at += 1;
        Ok(self.at - 1)
    }

    /// Consumes a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Scan<Text<'a>> {
        if self.token() != Some(b'"') {
            return self.wrong("no string");
        }
        let start = self.at + 1;
        let escaped = self.text()?;
        // Both ends are quotes, so they are character boundaries.
        let raw = self.source.get(start..self.at - 1).unwrap_or_default();
        Ok(Text { raw, at: start as u32, escaped })
    }

    /// Consumes a string, from its opening quote to its closing one, and tells whether it holds an escape.
    #[inline]
    fn text(&mut self) -> Scan<bool> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += swar::plain(self.source.as_bytes().get(self.at..).unwrap_or_default());
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.wrong("a control character inside a string"),
            }
        }
    }

    fn escape(&mut self) -> Scan<()> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let unit = self.unit()?;
                if (0xdc00..0xe000).contains(&unit) {
                    return self.wrong("half a surrogate pair before this");
                }
                if (0xd800..0xdc00).contains(&unit) {
                    if self.byte() != Some(b'\\') {
                        return self.wrong("half a surrogate pair before this");
                    }
                    self.at += 1;
                    if self.byte() != Some(b'u') || !(0xdc00..0xe000).contains(&self.unit()?) {
                        return self.wrong("half a surrogate pair before this");
                    }
                }
            }
            _ => return self.wrong("no such escape"),
        }
        Ok(())
    }

    /// `uXXXX`, from the `u` on.
    fn unit(&mut self) -> Scan<u32> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.wrong("no hexadecimal digit") };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn word(&mut self, word: &'static str) -> Scan<()> {
        for expected in word.bytes() {
            if self.byte() != Some(expected) {
                return self.wrong("no JSON value");
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scan<()> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.wrong("no digit"),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.needed_digits()?;
        }
        // Without a third digit in the exponent, 200 digits stay below 1e308.
        let mut large = self.at - start > 200;
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            let exponent = self.at;
            self.needed_digits()?;
            large |= self.at - exponent > 2;
        }
        // Whatever parses the body later reads numbers as `f64`; ask it where the range may be left.
        let span = self.since(start);
        if large && serde_json::from_str::<serde_json::Number>(span.as_str(self.source.as_bytes())).is_err() {
            return Err(Fault::Syntax(start, "a number out of range").into());
        }
        Ok(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
    }

    fn needed_digits(&mut self) -> Scan<()> {
        let start = self.at;
        self.digits();
        if self.at == start { self.wrong("no digit") } else { Ok(()) }
    }

    /// Checks a value that is not what was wanted here, and complains: about its JSON first.
    pub(crate) fn refuse<T>(&mut self, code: Code, what: &'static str) -> Scan<T> {
        self.value()?;
        self.finish()?;
        Err(Fault::Shape(code, what).into())
    }
}
