//! Looking at eight bytes at once, in plain integer arithmetic.
//!
//! `(x - 0x01…) & !x & 0x80…` marks the bytes of `x` that are zero. A borrow may mark bytes above a true hit as well, so
//! only the lowest mark counts, and that is the only one used here.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

const fn zeros(x: u64) -> u64 {
    x.wrapping_sub(ONES) & !x & HIGHS
}

const fn equal(x: u64, byte: u8) -> u64 {
    zeros(x ^ (ONES * byte as u64))
}

const fn below(x: u64, limit: u8) -> u64 {
    x.wrapping_sub(ONES * limit as u64) & !x & HIGHS
}

#[inline]
fn find(bytes: &[u8], marks: impl Fn(u64) -> u64, single: impl Fn(u8) -> bool) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let hits = marks(u64::from_le_bytes(*word));
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + rest.iter().position(|byte| single(*byte)).unwrap_or(rest.len())
}

/// How many bytes come before the first quote, backslash or control character.
#[inline]
pub(crate) fn plain(bytes: &[u8]) -> usize {
    find(
        bytes,
        |x| equal(x, b'"') | equal(x, b'\\') | below(x, 0x20),
        |byte| byte == b'"' || byte == b'\\' || byte < 0x20,
    )
}

/// How many bytes come before the first carriage return or line feed.
#[inline]
pub(crate) fn line(bytes: &[u8]) -> usize {
    find(bytes, |x| equal(x, b'\n') | equal(x, b'\r'), |byte| byte == b'\n' || byte == b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_at_once_finds_what_one_at_once_finds() {
        for special in 0..=255u8 {
            for filler in [b'a', 0x21, 0x23, 0x7f, 0x80, 0xff, 0x5b, 0x5d] {
                for at in 0..20 {
                    let mut bytes = vec![filler; 20];
                    bytes[at] = special;
                    let slow = |stop: &dyn Fn(u8) -> bool| bytes.iter().position(|b| stop(*b)).unwrap_or(20);
                    assert_eq!(plain(&bytes), slow(&|b| b == b'"' || b == b'\\' || b < 0x20), "{bytes:?}");
                    assert_eq!(line(&bytes), slow(&|b| b == b'\n' || b == b'\r'), "{bytes:?}");
                }
            }
        }
    }
}
