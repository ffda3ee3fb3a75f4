//! As much CBOR (RFC 8949) as authenticators write: integers, byte and text strings, arrays, maps and simple values, all of
//! definite length (CTAP2 canonical form), a few levels deep. Everything else is refused.

/// Levels, CTAP 2.1 §8 allows four; attestation statements have a map and a list inside the outer map.
const DEPTH: usize = 6;
/// Members of one array or map.
const MEMBERS: u64 = 64;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    Simple(u8),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    /// A map's member by its name.
    pub(super) fn text(&self, name: &str) -> Option<&Self> {
        self.member(&Value::Text(name))
    }

    /// A map's member by its number.
    pub(super) fn number(&self, number: i64) -> Option<&Self> {
        self.member(&Value::Integer(number))
    }

    fn member(&self, name: &Value<'_>) -> Option<&Self> {
        let Self::Map(members) = self else { return None };
        members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// The item that is all of this.
pub(super) fn whole(bytes: &[u8]) -> Option<Value<'_>> {
    let (value, rest) = first(bytes)?;
    rest.is_empty().then_some(value)
}

/// The item that comes first, and what follows it.
pub(super) fn first(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let mut reader = Reader { rest: bytes };
    let value = reader.item(DEPTH)?;
    Some((value, reader.rest))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn item(&mut self, depth: usize) -> Option<Value<'a>> {
        let depth = depth.checked_sub(1)?;
        let first = *self.take(1)?.first()?;
        let (major, argument) = (first >> 5, self.argument(first & 0x1f)?);
        match major {
            0 => Some(Value::Integer(i64::try_from(argument).ok()?)),
            1 => Some(Value::Integer(-1 - i64::try_from(argument).ok()?)),
            2 => Some(Value::Bytes(self.take(argument)?)),
            3 => Some(Value::Text(std::str::from_utf8(self.take(argument)?).ok()?)),
            4 if argument <= MEMBERS => {
                (0..argument).map(|_| self.item(depth)).collect::<Option<_>>().map(Value::Array)
            }
            5 if argument <= MEMBERS => {
                let mut members: Vec<(Value<'a>, Value<'a>)> = Vec::new();
                for _ in 0..argument {
                    let (key, value) = (self.item(depth)?, self.item(depth)?);
                    if members.iter().any(|(known, _)| *known == key) {
                        return None;
                    }
                    members.push((key, value));
                }
                Some(Value::Map(members))
            }
            // false, true, null; no floats, no tags.
            7 if first & 0x1f < 24 => Some(Value::Simple(first & 0x1f)),
            _ => None,
        }
    }

    fn argument(&mut self, short: u8) -> Option<u64> {
        match short {
            0..24 => Some(u64::from(short)),
            24..28 => Some(self.take(1 << (short - 24))?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
            _ => None,
        }
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_rfc_8949_shows_them() {
        assert_eq!(whole(&[0x18, 0x64]), Some(Value::Integer(100)));
        assert_eq!(whole(&[0x1a, 0x00, 0x0f, 0x42, 0x40]), Some(Value::Integer(1_000_000)));
        assert_eq!(whole(&[0x39, 0x03, 0xe7]), Some(Value::Integer(-1000)));
        assert_eq!(whole(&[0x44, 1, 2, 3, 4]), Some(Value::Bytes(&[1, 2, 3, 4])));
        assert_eq!(whole(&[0x62, 0xc3, 0xbc]), Some(Value::Text("ü")));
        let map = whole(&[0xa2, 0x01, 0x02, 0x61, 0x61, 0x82, 0xf5, 0xf6]).unwrap();
        assert_eq!(map.number(1), Some(&Value::Integer(2)));
        assert_eq!(map.text("a"), Some(&Value::Array(vec![Value::Simple(21), Value::Simple(22)])));
    }

    #[test]
    fn what_authenticators_do_not_write_is_refused() {
        let cases: [(&str, &[u8]); 9] = [
            ("nothing", &[]),
            ("indefinite length", &[0x5f, 0x41, 0x00, 0xff]),
            ("a float", &[0xf9, 0x3c, 0x00]),
            ("a tag", &[0xc1, 0x00]),
            ("a length beyond the end", &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("a huge map", &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("a key twice", &[0xa2, 0x01, 0x02, 0x01, 0x03]),
            ("text that is none", &[0x61, 0xff]),
            ("more behind it", &[0x00, 0x00]),
        ];
        for (what, bytes) in cases {
            assert_eq!(whole(bytes), None, "{what}");
        }
        assert_eq!(whole(&[0x81; 1000]), None, "too deep");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = whole(&bytes);
        }
    }
}
