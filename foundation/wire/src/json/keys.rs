//! Which members an open object has had so far.
//!
//! One list serves all open objects: each knows where its own keys begin, and gives them up when it closes. A key is
//! remembered by a hash and its place in the body; only equal hashes make the texts be compared. Up to [`FEW`] keys are
//! compared one by one; larger objects are sorted when they close, by hash and then by text, so that neither a million
//! members nor a million members of one hash cost more than the sorting.

use std::cmp::Ordering;

use super::scan::Scan;
use super::text::{Text, characters, folded};
use super::{Fault, Span};

/// Up to this many keys, comparing each with each is faster than sorting.
const FEW: usize = 24;

/// When two names are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// If they read the same.
    Exact,
    /// Also if they differ in case or underscores only: objects whose members some reader might confuse.
    Folded,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u32,
    inner: Span,
}

/// The keys of all open objects, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    open: Vec<Key>,
}

/// One open object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    base: usize,
    names: Names,
}

impl Keys {
    pub(crate) fn open(&self, names: Names) -> Object {
        Object { base: self.open.len(), names }
    }

    /// Adds a key, and complains if it is there already (for large objects only when they close).
    #[inline]
    pub(crate) fn add(&mut self, object: Object, key: &Text<'_>, source: &str) -> Scan<()> {
        let hash = hash(key, object.names);
        let before = self.open.get(object.base..).unwrap_or_default();
        if before.len() < FEW {
            for earlier in before {
                if earlier.hash == hash && same(raw(source, earlier.inner), key.raw, object.names) {
                    return Err(Fault::Duplicate(key.inner()).into());
                }
            }
        }
        self.open.push(Key { hash, inner: key.inner() });
        Ok(())
    }

    /// Forgets the keys of an object that ends.
    #[inline]
    pub(crate) fn close(&mut self, object: Object, source: &str) -> Scan<()> {
        let keys = self.open.get_mut(object.base..).unwrap_or_default();
        if keys.len() > FEW
            && let Some(key) = twice(keys, object.names, source)
        {
            return Err(Fault::Duplicate(key).into());
        }
        self.open.truncate(object.base);
        Ok(())
    }
}

fn twice(keys: &mut [Key], names: Names, source: &str) -> Option<Span> {
    keys.sort_unstable_by(|a, b| {
        a.hash.cmp(&b.hash).then_with(|| order(raw(source, a.inner), raw(source, b.inner), names))
    });
    keys.windows(2).find_map(|pair| match pair {
        [a, b] if a.hash == b.hash && same(raw(source, a.inner), raw(source, b.inner), names) => {
            Some(a.inner.max(b.inner))
        }
        _ => None,
    })
}

fn raw(source: &str, span: Span) -> &str {
    source.get(span.start as usize..span.end as usize).unwrap_or_default()
}

fn same(a: &str, b: &str, names: Names) -> bool {
    a == b || order(a, b, names) == Ordering::Equal
}

fn order(a: &str, b: &str, names: Names) -> Ordering {
    match names {
        Names::Exact => characters(a).cmp(characters(b)),
        Names::Folded => folded(a).cmp(folded(b)),
    }
}

/// Equal names have equal hashes; that is all that correctness needs.
#[inline]
fn hash(key: &Text<'_>, names: Names) -> u32 {
    match names {
        Names::Folded => ends(key),
        Names::Exact if key.escaped => bytewise(key.read().as_bytes()),
        Names::Exact => bytewise(key.raw.as_bytes()),
    }
}

/// Judged objects have few members: their first and last characters tell nearly all of them apart.
#[inline]
fn ends(key: &Text<'_>) -> u32 {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = key.raw.as_bytes();
    let (first, last) = match (bytes.first().filter(|b| plain(b)), bytes.last().filter(|b| plain(b))) {
        // The last character may belong to an escape.
        (Some(first), Some(last)) if !key.escaped => {
            (u32::from(first.to_ascii_lowercase()), u32::from(last.to_ascii_lowercase()))
        }
        _ => {
            let mut characters = folded(key.raw).map(u32::from);
            let first = characters.next().unwrap_or_default();
            (first, characters.last().unwrap_or(first))
        }
    };
    (first << 16) ^ last
}

/// Length, first eight and last eight bytes: no loop whose end would have to be guessed.
#[inline]
fn bytewise(bytes: &[u8]) -> u32 {
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
            _ => (bytes.first().copied().unwrap_or_default().into(), bytes.last().copied().unwrap_or_default().into()),
        },
    };
    let mixed = (first ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ last;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}
