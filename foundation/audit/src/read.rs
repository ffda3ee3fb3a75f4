//! Reading a shard, or an exported one, whether somebody writes it or not.
//!
//! What is read is what a checkpoint covers: lines that came after it are not there yet for anybody who asks here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use moongate_core::{Code, Problem};

use crate::hash::Hash;
use crate::key::VerifyingKey;
use crate::log::names;
use crate::note::Signed;
use crate::proof::{self, Hashes};
use crate::source::{Next, Source};
use crate::tile::Tile;
use crate::tree::WIDTH;
use crate::{damaged, file};

/// One shard on the disk.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

/// A line and the proof that it is in the log.
#[derive(Clone, Debug)]
pub struct Proven {
    /// Which line.
    pub index: u64,
    /// The line itself.
    pub line: Vec<u8>,
    /// The hashes from it up to the root.
    pub path: Vec<Hash>,
    /// The signed root.
    pub signed: Signed,
}

impl Files {
    /// The shard, or the export, in that folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The shards of a log, the oldest first.
    ///
    /// # Errors
    /// `AuditOff`: there is no log in that folder.
    pub fn shards(log: &Path) -> Result<Vec<(String, Self)>, Problem> {
        let none = |error: io::Error| Problem::new(Code::AuditOff, format!("{}: {error}", log.display()));
        let shards: Vec<_> =
            names(log).map_err(none)?.into_iter().map(|name| (name.clone(), Self::at(log.join(name)))).collect();
        if shards.is_empty() {
            return Err(Problem::new(Code::AuditOff, format!("there is no audit log in {}", log.display())));
        }
        Ok(shards)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it was begun and not signed yet: it holds nothing that anybody was told of.
    pub fn only_begun(&self) -> bool {
        crate::shard::only_begun(&self.folder).unwrap_or_default()
    }

    /// The checkpoint as it lies there.
    ///
    /// # Errors
    /// `AuditDamaged`: there is none.
    pub fn note(&self) -> Result<Vec<u8>, Problem> {
        fs::read(self.folder.join("checkpoint")).map_err(|error| self.unreadable("checkpoint", &error))
    }

    /// The public key as it lies there, which proves nothing to whoever does not know it from elsewhere.
    ///
    /// # Errors
    /// `AuditDamaged`: there is none.
    pub fn vkey(&self) -> Result<VerifyingKey, Problem> {
        let text = fs::read_to_string(self.folder.join("vkey")).map_err(|error| self.unreadable("vkey", &error))?;
        VerifyingKey::parse(&text).ok_or_else(|| self.unreadable("vkey", &"it is not a public key"))
    }

    /// The checkpoint, if that key has signed it.
    ///
    /// # Errors
    /// `AuditDamaged`: there is none, or it is not signed by that key.
    pub fn signed(&self, key: &VerifyingKey) -> Result<Signed, Problem> {
        Signed::open(&self.note()?, key)
            .ok_or_else(|| self.unreadable("checkpoint", &"it is not signed by the log's key"))
    }

    /// A tile. At most what a log of `size` lines has: nobody is shown what is not signed.
    ///
    /// # Errors
    /// `NoSuchEntryLogged`: that log has no such tile.
    pub fn tile(&self, tile: Tile, size: u64) -> Result<Vec<u8>, Problem> {
        let level = tile.level.unwrap_or(0);
        let there = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let first = tile.index.checked_mul(WIDTH as u64);
        if first.and_then(|first| first.checked_add(tile.width as u64)).is_none_or(|end| end > there) {
            return Err(Problem::new(Code::NoSuchEntryLogged, format!("the log has no tile {tile}")));
        }
        let read = match tile.level {
            _ if !self.folder.join("entries").exists() => self.exported(tile, there),
            Some(level) => {
                let from = first.unwrap_or_default() * Hash::LENGTH as u64;
                file::slice(&self.folder.join(format!("hashes.{level}")), from, tile.width * Hash::LENGTH)
            }
            None => self.lines(tile),
        };
        read.map_err(|error| self.unreadable(&tile.to_string(), &error))
    }

    /// From the tile's own file, or from a wider one.
    fn exported(&self, tile: Tile, there: u64) -> io::Result<Vec<u8>> {
        let most = usize::try_from(there - tile.index * WIDTH as u64).unwrap_or(WIDTH).min(WIDTH);
        let bytes = fs::read(self.folder.join("tile").join(Tile { width: most, ..tile }.to_string()))?;
        match tile.level {
            Some(_) => Ok(bytes.get(..tile.width * Hash::LENGTH).unwrap_or(&bytes).to_vec()),
            None => cut(bytes, tile.width),
        }
    }

    /// The lines of a tile, from the file that holds all.
    fn lines(&self, tile: Tile) -> io::Result<Vec<u8>> {
        let from = self.offset(tile.index)?;
        let to = match self.offset(tile.index + 1) {
            Ok(to) => to,
            Err(_) => fs::metadata(self.folder.join("entries"))?.len(),
        };
        let length = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
        cut(file::slice(&self.folder.join("entries"), from, length)?, tile.width)
    }

    /// Where the lines of a tile begin.
    fn offset(&self, index: u64) -> io::Result<u64> {
        let bytes = file::slice(&self.folder.join("offsets"), index * 8, 8)?;
        Ok(bytes.first_chunk().copied().map(u64::from_be_bytes).unwrap_or_default())
    }

    /// One line of a log of `size` lines.
    ///
    /// # Errors
    /// `NoSuchEntryLogged`: it has not so many.
    pub fn line(&self, index: u64, size: u64) -> Result<Vec<u8>, Problem> {
        if index >= size {
            return Err(Problem::new(Code::NoSuchEntryLogged, format!("the log has {size} lines, the first one is 0")));
        }
        let width = usize::try_from(index % WIDTH as u64).unwrap_or_default() + 1;
        let tile = Tile { level: None, index: index / WIDTH as u64, width };
        let bytes = self.tile(tile, size)?;
        frames(&bytes).last().map(<[u8]>::to_vec).ok_or_else(|| self.unreadable(&tile.to_string(), &"it is empty"))
    }

    /// A line with the proof that it is in the log.
    ///
    /// # Errors
    /// As [`Files::line`] and [`Files::signed`].
    pub fn prove(&self, index: u64, key: &VerifyingKey) -> Result<Proven, Problem> {
        let signed = self.signed(key)?;
        let size = signed.checkpoint.size;
        let line = self.line(index, size)?;
        let path = proof::inclusion(&Sized { files: self, size }, index, size)?;
        if !proof::check_inclusion(Hash::leaf(&line), index, size, &path, signed.checkpoint.root) {
            return Err(damaged(format!(
                "line {index} does not lead to the root that was signed; see `moongate audit verify`"
            )));
        }
        Ok(Proven { index, line, path, signed })
    }

    /// What proves that the log's first `old` lines are the ones that it had then.
    ///
    /// # Errors
    /// As [`Files::signed`].
    pub fn growth(&self, old: u64, key: &VerifyingKey) -> Result<(Vec<Hash>, Signed), Problem> {
        let signed = self.signed(key)?;
        let size = signed.checkpoint.size;
        if old > size {
            return Err(Problem::new(Code::NoSuchEntryLogged, format!("the log has {size} lines only")));
        }
        Ok((proof::growth(&Sized { files: self, size }, old, size)?, signed))
    }

    /// All lines, also those that are not signed yet.
    pub(crate) fn source(&self) -> Result<Source, Problem> {
        Source::open(&self.folder).map_err(|error| self.unreadable("entries", &error))
    }

    /// Goes over all lines that a checkpoint of `size` covers.
    pub(crate) fn each(&self, size: u64, mut look: impl FnMut(u64, &[u8])) -> Result<(), Problem> {
        let mut source = self.source()?;
        for index in 0..size {
            match source.next().map_err(|error| self.unreadable("entries", &error))? {
                Next::Line(line) => look(index, &line),
                Next::End | Next::Torn => return Err(damaged(format!("the log ends after {index} of {size} lines"))),
            }
        }
        Ok(())
    }

    pub(crate) fn unreadable(&self, what: &str, why: &dyn std::fmt::Display) -> Problem {
        damaged(format!("{} in {}: {why}", what, self.folder.display()))
    }
}

/// A shard as far as it is signed.
pub(crate) struct Sized<'f> {
    pub(crate) files: &'f Files,
    pub(crate) size: u64,
}

impl Hashes for Sized<'_> {
    fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, Problem> {
        let (index, skip) = (first / WIDTH as u64, usize::try_from(first % WIDTH as u64).unwrap_or_default());
        let width = skip + usize::try_from(count).unwrap_or_default();
        let bytes = self.files.tile(Tile { level: Some(level), index, width }, self.size)?;
        Ok(bytes.chunks_exact(Hash::LENGTH).skip(skip).filter_map(Hash::read).collect())
    }
}

/// The lines in a bundle.
pub(crate) fn frames(mut bundle: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (line, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        bundle = rest;
        Some(line)
    })
}

/// The first lines of a bundle.
fn cut(mut bundle: Vec<u8>, width: usize) -> io::Result<Vec<u8>> {
    let mut lines = frames(&bundle).map(|line| line.len() + 2);
    let (count, length) = lines.by_ref().take(width).fold((0, 0), |(count, length), line| (count + 1, length + line));
    if count < width {
        return Err(io::Error::other("it has fewer lines than it should"));
    }
    drop(lines);
    bundle.truncate(length);
    Ok(bundle)
}
