//! Files that can be made anew from the lines: the hashes of each level of tiles, and where every 256th line begins.
//!
//! What the disk refuses of them is kept and written with the next batch, at its own place, so that none of them ever has a hole;
//! and nothing is signed before they are whole, as whoever sees a checkpoint may ask for its tiles.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::read_write;
use crate::hash::Hash;
use crate::tree::{Tree, WIDTH};

/// All of them.
pub(super) struct Derived {
    folder: PathBuf,
    levels: Vec<Grown>,
    offsets: Grown,
}

/// One of them.
struct Grown {
    path: PathBuf,
    file: Option<File>,
    /// How many bytes of it are right.
    length: u64,
    /// What comes behind them and is not written yet.
    waiting: Vec<u8>,
}

/// What lines add to them.
#[derive(Default)]
pub(super) struct Growth {
    levels: Vec<Vec<u8>>,
    offsets: Vec<u8>,
}

impl Growth {
    /// Adds a line that begins at this position.
    pub(super) fn line(&mut self, tree: &mut Tree, line: &[u8], position: u64) {
        if tree.size().is_multiple_of(WIDTH as u64) {
            self.offsets.extend_from_slice(&position.to_be_bytes());
        }
        tree.push(Hash::leaf(line), |level, hash| {
            if self.levels.len() <= level {
                self.levels.resize(level + 1, Vec::new());
            }
            if let Some(bytes) = self.levels.get_mut(level) {
                bytes.extend_from_slice(&hash.0);
            }
        });
    }
}

impl Derived {
    /// Those of a shard without lines. What lies in their place is written over.
    pub(super) fn begin(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), levels: Vec::new(), offsets: Grown::new(folder.join("offsets")) }
    }

    /// Writes those of a shard anew, and takes away what an end that was cut off has left.
    pub(super) fn anew(folder: &Path, growth: Growth) -> io::Result<Self> {
        let mut derived = Self::begin(folder);
        derived.add(growth);
        derived.settle()?;
        for level in derived.levels.len().. {
            match fs::remove_file(level_file(folder, level)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                removed => removed?,
            }
        }
        Ok(derived)
    }

    /// Takes over what lines add.
    pub(super) fn add(&mut self, growth: Growth) {
        self.offsets.waiting.extend(growth.offsets);
        for (level, bytes) in growth.levels.into_iter().enumerate() {
            if self.levels.len() <= level {
                self.levels.push(Grown::new(level_file(&self.folder, level)));
            }
            if let Some(grown) = self.levels.get_mut(level) {
                grown.waiting.extend(bytes);
            }
        }
    }

    /// Writes what waits.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.levels.iter_mut().chain([&mut self.offsets]).try_for_each(Grown::settle)
    }

    /// Another file in the place of the hashes of lines.
    #[cfg(test)]
    pub(super) fn swap(&mut self, file: File) -> Option<File> {
        self.levels.first_mut().and_then(|grown| grown.file.replace(file))
    }
}

impl Grown {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, length: 0, waiting: Vec::new() }
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = read_write(&self.path)?;
                file.set_len(self.length)?;
                none.insert(file)
            }
        };
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(&self.waiting)?;
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

fn level_file(folder: &Path, level: usize) -> PathBuf {
    folder.join(format!("hashes.{level}"))
}
