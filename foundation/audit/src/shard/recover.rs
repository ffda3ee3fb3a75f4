//! Opening a shard that an earlier run wrote: reading every line, and comparing the root with what was signed.
//!
//! Only what was never flushed for certain may be cut off. Anything else that does not fit changes nothing on the disk and
//! is a refusal: a log that was changed must not be signed again as if it were whole.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use memchr::memmem;
use moongate_core::{Code, Problem};
use serde_json::Value;

use super::{Derived, Growth, Shard, noted_length, read_write};
use crate::file;
use crate::hash::Hash;
use crate::key::Key;
use crate::note::{Checkpoint, Signed};
use crate::source::{Next, Source};
use crate::tree::Tree;
use crate::{damaged, unwritable};

/// The last root that was signed, kept beside the key and outside of the log's folder: a log that was put back from a backup
/// falls short of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) Checkpoint);

impl Mark {
    pub(crate) fn of(checkpoint: &Checkpoint) -> Self {
        Self(checkpoint.clone())
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let Checkpoint { origin, size, root } = &self.0;
        file::replace(path, format!("{origin}\n{size}\n{root}\n").as_bytes())
    }

    /// The mark in that file; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Problem> {
        let bytes = file::read(path).map_err(|error| unwritable(path, &error))?;
        let Some(text) = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()) else { return Ok(None) };
        let mut lines = text.lines();
        let read = (|| {
            let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
            Some(Checkpoint { origin: origin.to_owned(), size: size.parse().ok()?, root: Hash::parse(root)? })
        })();
        let why = || damaged(format!("{} is not what this program writes", path.display()));
        read.map(|checkpoint| Some(Self(checkpoint))).ok_or_else(why)
    }
}

/// What opening a shard brought to light.
pub(crate) struct Recovered {
    pub(crate) shard: Shard,
    /// Lines that say what was about to happen and have no line that says how it ended, with their operation.
    pub(crate) open: BTreeMap<u64, String>,
    /// How many bytes were cut off at the end.
    pub(crate) cut: u64,
}

/// Reads all lines once.
struct Reading {
    tree: Tree,
    /// The roots that somebody asks for, by size.
    roots: BTreeMap<u64, Option<Hash>>,
    open: BTreeMap<u64, String>,
    growth: Growth,
}

impl Recovered {
    /// Opens the shard of that name.
    pub(crate) fn open(log: &Path, domain: &str, name: &str, key: &Key, mark: Option<&Mark>) -> Result<Self, Problem> {
        let folder = log.join(name);
        let origin = format!("{domain}/audit/{name}");
        let failed = |error: io::Error| unwritable(&folder, &error);
        let signed = signed(&folder, &origin, key)?;
        let mark = mark.filter(|mark| mark.0.origin == origin);
        let known = signed.iter().map(|signed| &signed.checkpoint).chain(mark.map(|mark| &mark.0));
        let known: Vec<Checkpoint> = known.cloned().collect();
        let synced = noted_length(&folder).map_err(failed)?;
        let mut reading = Reading::new(&known);
        let mut source = Source::open(&folder).map_err(failed)?;
        let whole = reading.all(&mut source, synced).map_err(failed)?;
        let length = source.position;
        if length < synced {
            let (had, what) = (reading.tree.size(), if whole { "it ends" } else { "what follows is no line" });
            return Err(damaged(format!(
                "{origin}: after line {had}, at byte {length}, {what}; {synced} bytes were flushed"
            )));
        }
        for checkpoint in &known {
            reading.matches(checkpoint)?;
        }
        let mut shard = Shard {
            entries: read_write(&folder.join("entries")).map_err(failed)?,
            synced: read_write(&folder.join("synced")).map_err(failed)?,
            derived: Derived::anew(&folder, reading.growth).map_err(failed)?,
            tree: reading.tree,
            name: name.to_owned(),
            length,
            folder: folder.clone(),
            origin,
            signed,
        };
        let cut = shard.cut().map_err(failed)?;
        Ok(Self { shard, open: reading.open, cut })
    }
}

impl Shard {
    /// Cuts off what is no whole line, and makes sure of the rest.
    fn cut(&mut self) -> io::Result<u64> {
        let there = self.entries.metadata()?.len();
        if there > self.length {
            self.entries.set_len(self.length)?;
        }
        // Lines that were written and not flushed are lines from now on.
        self.entries.sync_all()?;
        super::note_length(&mut self.synced, self.length)?;
        Ok(there.saturating_sub(self.length))
    }
}

impl Reading {
    fn new(known: &[Checkpoint]) -> Self {
        Self {
            tree: Tree::default(),
            roots: known.iter().map(|checkpoint| (checkpoint.size, None)).collect(),
            open: BTreeMap::new(),
            growth: Growth::default(),
        }
    }

    /// Reads on until the end, or until something is no line; whether it came to the end.
    fn all(&mut self, source: &mut Source, synced: u64) -> io::Result<bool> {
        loop {
            if let Some(root) = self.roots.get_mut(&self.tree.size()) {
                *root = Some(self.tree.root());
            }
            let position = source.position;
            let line = match source.next()? {
                Next::End => return Ok(true),
                Next::Torn => return Ok(false),
                Next::Line(line) => line,
            };
            // What was not flushed may be anything, even of the right length.
            if source.position > synced && serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_err() {
                source.position = position;
                return Ok(false);
            }
            self.follow(&line);
            self.growth.line(&mut self.tree, &line, position);
        }
    }

    /// Remembers an intent until its outcome.
    fn follow(&mut self, line: &[u8]) {
        if memmem::find(line, br#""phase":""#).is_none() {
            return;
        }
        let Ok(leaf) = serde_json::from_slice::<Value>(line) else { return };
        let text = |name: &str| leaf.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("phase"), leaf.get("intent").and_then(Value::as_u64)) {
            ("intent", _) => {
                self.open.insert(self.tree.size(), text("operation").to_owned());
            }
            ("outcome", Some(seq)) => {
                self.open.remove(&seq);
            }
            _ => {}
        }
    }

    /// Compares what was read with what was signed.
    fn matches(&self, signed: &Checkpoint) -> Result<(), Problem> {
        let Checkpoint { origin, size, root } = signed;
        match self.roots.get(size).copied().flatten() {
            None => Err(Problem::new(
                Code::AuditShortened,
                format!("{origin} has {} lines, and {size} were signed", self.tree.size()),
            )),
            Some(read) if read == *root => Ok(()),
            Some(read) => Err(damaged(format!(
                "the first {size} lines of {origin} have the root {read}, and the root that was signed is {root}"
            ))),
        }
    }
}

/// The checkpoint of a shard, if one was ever made.
fn signed(folder: &Path, origin: &str, key: &Key) -> Result<Option<Signed>, Problem> {
    let path = folder.join("checkpoint");
    let Some(note) = file::read(&path).map_err(|error| unwritable(&path, &error))? else { return Ok(None) };
    let signed = Signed::open(&note, &key.verifying(origin));
    signed.map(Some).ok_or_else(|| damaged(format!("{} is not signed by this gateway's key", path.display())))
}
