//! The names of members, one table for each kind of object.

use crate::json::Fault;
use crate::json::scan::Scan;
use crate::json::text::{Text, folded};

/// A table of the members that an object may have.
pub(super) trait Name: Copy + Sized {
    /// The member of exactly this name.
    fn of(name: &str) -> Option<Self>;
    /// The spellings of all members.
    const SPELLINGS: &'static [&'static str];
    /// A bit of its own.
    fn bit(self) -> u32;
}

/// Declares a table: for each member all its spellings.
macro_rules! names {
    ($(#[$doc:meta])* $table:ident { $($variant:ident = $($spelling:literal)|+,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $table { $($variant),* }

        impl $crate::peek::names::Name for $table {
            const SPELLINGS: &'static [&'static str] = &[$($($spelling),+),*];

            #[inline]
            fn of(name: &str) -> Option<Self> {
                match name {
                    $($($spelling)|+ => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn bit(self) -> u32 {
                1 << self as u32
            }
        }
    };
}
pub(super) use names;

/// The members that one object has had so far, whatever their spelling.
#[derive(Debug, Default)]
pub(super) struct Seen(u32);

impl Seen {
    /// Which member of the table the key names; two spellings of one member are refused.
    #[inline]
    pub(super) fn once<N: Name>(&mut self, key: &Text<'_>) -> Scan<Option<N>> {
        let name = if key.escaped { N::of(&key.read()) } else { N::of(key.raw) };
        if let Some(name) = name {
            if self.0 & name.bit() != 0 {
                return Err(Fault::Duplicate(key.inner()).into());
            }
            self.0 |= name.bit();
        }
        Ok(name)
    }

    /// The same, and refuses a name that a careless reader could take for one of the table.
    #[inline]
    pub(super) fn strictly<N: Name>(&mut self, key: &Text<'_>) -> Scan<Option<N>> {
        let name = self.once(key)?;
        if name.is_none()
            && let Some(first) = folded(key.raw).next()
            && let Some(known) = N::SPELLINGS.iter().find(|known| known.starts_with(first) && alike(key.raw, known))
        {
            return Err(Fault::Lookalike(key.inner(), known).into());
        }
        Ok(name)
    }
}

fn alike(raw: &str, known: &str) -> bool {
    folded(raw).eq(folded(known))
}
