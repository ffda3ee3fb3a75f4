//! Months before the running one, as far as a start looks at them: their checkpoint is signed, their lines are as many as it
//! covers and end where the file ends, and the first and the last one lead to the signed root. That reads a few thousand
//! bytes of each. Where the derived files do not fit, the whole month is read instead, and they are made anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use moongate_core::Problem;

use super::recover::signed;
use super::{Derived, Growth};
use crate::file;
use crate::hash::Hash;
use crate::key::Key;
use crate::leaf::CAP;
use crate::note::Signed;
use crate::read::{Files, frames};
use crate::source::{Next, Source};
use crate::tree::{Tree, WIDTH};
use crate::{damaged, unwritable};

/// A month that is over.
pub(crate) struct Older {
    folder: PathBuf,
    /// Its last checkpoint.
    pub(crate) signed: Signed,
    /// The line that it begins with.
    pub(crate) first: Vec<u8>,
    /// Its derived files, if they have to be made anew.
    anew: Option<Growth>,
}

impl Older {
    /// Looks at the month of that name.
    pub(crate) fn open(log: &Path, domain: &str, name: &str, key: &Key) -> Result<Self, Problem> {
        let (folder, origin) = (log.join(name), format!("{domain}/audit/{name}"));
        let none = || damaged(format!("{origin} has no checkpoint, and a later month has one"));
        let signed = signed(&folder, &origin, key)?.ok_or_else(none)?;
        let files = Files::at(&folder);
        let (size, verifying) = (signed.checkpoint.size, key.verifying(&origin));
        let proven = |index: u64| files.prove(index, &verifying).map(|proven| proven.line);
        let fits = fits(&folder, size).unwrap_or_default();
        let ends = (fits && proven(size.saturating_sub(1)).is_ok()).then(|| proven(0).ok()).flatten();
        let (first, anew) = match ends {
            Some(first) => (first, None),
            None => whole(&folder, &signed).map(|(first, growth)| (first, Some(growth)))?,
        };
        Ok(Self { folder, signed, first, anew })
    }

    /// Makes the derived files anew, if they did not fit.
    pub(crate) fn mend(self) -> Result<(), Problem> {
        let Some(growth) = self.anew else { return Ok(()) };
        tracing::warn!(month = %self.signed.checkpoint.origin, "hashes of the audit log were damaged; they were made anew from the lines");
        Derived::anew(&self.folder, growth).map(drop).map_err(|error| unwritable(&self.folder, &error))
    }
}

/// Whether the files are as long as so many lines make them, and the last tile of lines ends where its file ends.
fn fits(folder: &Path, size: u64) -> io::Result<bool> {
    let length = |name: &str| fs::metadata(folder.join(name)).map(|metadata| metadata.len());
    let tiles = size.div_ceil(WIDTH as u64);
    let long = (length("hashes.0")?, length("offsets")?);
    if size == 0 || long != (size * Hash::LENGTH as u64, tiles * 8) {
        return Ok(false);
    }
    let offset = file::slice(&folder.join("offsets"), (tiles - 1) * 8, 8)?;
    let offset = offset.first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default();
    let rest = length("entries")?.checked_sub(offset).and_then(|rest| usize::try_from(rest).ok());
    let Some(rest) = rest.filter(|rest| *rest <= WIDTH * (CAP + 2)) else { return Ok(false) };
    let bytes = file::slice(&folder.join("entries"), offset, rest)?;
    let (count, read) = frames(&bytes).fold((0, 0), |(count, read), line| (count + 1, read + 2 + line.len()));
    Ok(count == size - (tiles - 1) * WIDTH as u64 && read == rest)
}

/// Reads all lines of a month: they have to be those that were signed, and no more.
fn whole(folder: &Path, signed: &Signed) -> Result<(Vec<u8>, Growth), Problem> {
    let (origin, size) = (&signed.checkpoint.origin, signed.checkpoint.size);
    let failed = |error: io::Error| damaged(format!("{origin} cannot be read: {error}"));
    let mut source = Source::open(folder).map_err(failed)?;
    let (mut tree, mut growth, mut first) = (Tree::default(), Growth::default(), Vec::new());
    let torn = loop {
        let position = source.position;
        match source.next().map_err(failed)? {
            Next::End => break false,
            Next::Torn => break true,
            Next::Line(line) => {
                growth.line(&mut tree, &line, position);
                if tree.size() == 1 {
                    first = line;
                }
            }
        }
    };
    if torn || tree.size() != size || tree.root() != signed.checkpoint.root {
        let (root, end) = (tree.root(), if torn { " and something that is no line" } else { "" });
        return Err(damaged(format!(
            "{origin} has {} lines{end} with the root {root}, and {size} with the root {} were signed",
            tree.size(),
            signed.checkpoint.root
        )));
    }
    Ok((first, growth))
}
