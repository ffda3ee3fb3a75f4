//! One month of the log, open for writing: appending a batch, and signing how far it got.
//!
//! Order of a commit: lines to the end of `entries`, one flush, then the length to `synced` (which may lag behind what was
//! flushed, never run ahead), then the derived files. Order of a checkpoint: the file itself, whole and flushed, then the mark
//! beside the key; only then is it handed out. So no size is ever shown with two roots, and a folder that was put back from a
//! backup falls short of the mark.

mod derived;
pub(crate) mod mark;
pub(crate) mod older;
mod recover;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use moongate_core::{Problem, Time};

use crate::file;
#[cfg(test)]
use crate::hash::Hash;
use crate::key::Key;
use crate::leaf;
use crate::note::{Checkpoint, Signed};
use crate::tree::Tree;
use crate::unwritable;

use derived::{Derived, Growth};
pub(crate) use mark::Mark;
pub(crate) use recover::{Read, Recovered, only_begun};

/// A shard that is written.
pub(crate) struct Shard {
    folder: PathBuf,
    /// Its name: the month.
    pub(crate) name: String,
    pub(crate) origin: String,
    entries: File,
    /// How many bytes of `entries` are flushed.
    length: u64,
    synced: File,
    tree: Tree,
    derived: Derived,
    /// The last signed root.
    pub(crate) signed: Option<Signed>,
}

impl Shard {
    /// Begins a shard; the line that it begins with is written by the caller.
    pub(crate) fn begin(log: &Path, domain: &str, name: &str, key: &Key) -> Result<Self, Problem> {
        let folder = log.join(name);
        let origin = format!("{domain}/audit/{name}");
        let made = || -> io::Result<Self> {
            crate::file::private_folder(&folder)?;
            file::replace(&folder.join("vkey"), format!("{}\n", key.verifying(&origin)).as_bytes())?;
            let (entries, synced) = (read_write(&folder.join("entries"))?, read_write(&folder.join("synced"))?);
            // What a turn that failed before has left; nobody was shown it.
            entries.set_len(0)?;
            entries.sync_all()?;
            file::settle(&folder)?;
            file::settle(&folder.join("entries"))?;
            let derived = Derived::begin(&folder);
            Ok(Self {
                folder: folder.clone(),
                name: name.to_owned(),
                origin: origin.clone(),
                entries,
                length: 0,
                synced,
                tree: Tree::default(),
                derived,
                signed: None,
            })
        };
        made().map_err(|error| unwritable(&folder, &error))
    }

    /// How many lines it has.
    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How many lines the last checkpoint covers.
    pub(crate) fn signed_size(&self) -> u64 {
        self.signed.as_ref().map_or(0, |signed| signed.checkpoint.size)
    }

    /// Appends lines and flushes them. If that fails, none of them is part of the log, and they may be appended again.
    pub(crate) fn append(&mut self, lines: &[String]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 2).sum());
        for line in lines {
            let length = u16::try_from(line.len()).map_err(|_| io::Error::other("a line is too long"))?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(line.as_bytes());
        }
        let written = self.entries.seek(SeekFrom::Start(self.length)).and_then(|_| {
            self.entries.write_all(&bytes)?;
            self.entries.sync_data()
        });
        if let Err(error) = written {
            // After a failed flush nobody knows what the disk has: what was to be appended goes, and is written anew.
            let _ = self.entries.set_len(self.length);
            return Err(error);
        }
        let before = self.length;
        self.length += bytes.len() as u64;
        if let Err(error) = note_length(&mut self.synced, self.length) {
            tracing::warn!(%error, "how far the audit log was flushed could not be noted");
        }
        self.grow(lines, before);
        Ok(())
    }

    fn grow(&mut self, lines: &[String], mut position: u64) {
        let mut growth = Growth::default();
        for line in lines {
            growth.line(&mut self.tree, line.as_bytes(), position);
            position += 2 + line.len() as u64;
        }
        self.derived.add(growth);
        if let Err(error) = self.derived.settle() {
            tracing::warn!(%error, "tiles of the audit log could not be written; they are written before it is signed again");
        }
    }

    /// Signs the root over all lines, and keeps it before anybody sees it.
    pub(crate) fn sign(&mut self, key: &Key, mark: &Path) -> Result<Signed, Problem> {
        self.derived.settle().map_err(|error| unwritable(&self.folder, &error))?;
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: self.tree.size(), root: self.tree.root() };
        let signed = checkpoint.sign(key);
        let path = self.folder.join("checkpoint");
        file::replace(&path, signed.text.as_bytes()).map_err(|error| unwritable(&path, &error))?;
        Mark { checkpoint: signed.checkpoint.clone(), closed: false }.write(mark, key)?;
        self.signed = Some(signed.clone());
        Ok(signed)
    }

    /// Says beside the key that lines may come behind the signed ones. It is said before the first of them does.
    pub(crate) fn resume(&self, key: &Key, mark: &Path) -> Result<(), Problem> {
        match &self.signed {
            Some(signed) => Mark { checkpoint: signed.checkpoint.clone(), closed: false }.write(mark, key),
            None => Ok(()),
        }
    }

    /// Says beside the key that nothing stands behind the signed lines, if that is so.
    pub(crate) fn conclude(&self, key: &Key, mark: &Path) -> Result<(), Problem> {
        let Some(signed) = self.signed.as_ref().filter(|signed| signed.checkpoint.size == self.size()) else {
            return Ok(());
        };
        // A batch that the disk refused may have left some bytes.
        let cut = self.entries.set_len(self.length).and_then(|()| self.entries.sync_all());
        cut.map_err(|error| unwritable(&self.folder, &error))?;
        Mark { checkpoint: signed.checkpoint.clone(), closed: true }.write(mark, key)
    }

    #[cfg(test)]
    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Another file in the place of the lines' own.
    #[cfg(test)]
    pub(crate) fn swap_entries(&mut self, file: File) -> File {
        std::mem::replace(&mut self.entries, file)
    }

    /// Another file in the place of the hashes of lines.
    #[cfg(test)]
    pub(crate) fn swap_hashes(&mut self, file: File) -> Option<File> {
        self.derived.swap(file)
    }

    /// The line that a shard begins with.
    pub(crate) fn opening(&self, previous: Option<&str>, at: Time) -> String {
        let mut line = String::new();
        leaf::opening(&mut line, &self.origin, previous, at);
        line
    }
}

/// Lines are nobody else's to read.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn read_write(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)
}

/// Writes the length and its complement, by which a half-written one is told from a whole one.
fn note_length(file: &mut File, length: u64) -> io::Result<()> {
    let mut bytes = [0; 16];
    let (left, right) = bytes.split_at_mut(8);
    left.copy_from_slice(&length.to_be_bytes());
    right.copy_from_slice(&(!length).to_be_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}

/// The length that was noted; 0 if none was, or only half of it.
pub(crate) fn noted_length(folder: &Path) -> io::Result<u64> {
    let bytes = file::read(&folder.join("synced"))?.unwrap_or_default();
    let Some((left, right)) = bytes.split_at_checked(8) else { return Ok(0) };
    let number = |half: &[u8]| half.try_into().map(u64::from_be_bytes).unwrap_or_default();
    let length = number(left);
    Ok(if number(right) == !length { length } else { 0 })
}
