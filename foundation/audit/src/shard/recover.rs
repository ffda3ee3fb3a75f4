//! Opening a shard that an earlier run wrote: reading every line, and comparing the root with what was signed.
//!
//! Only what was never flushed for certain may be cut off. Anything else that does not fit changes nothing on the disk and
//! is a refusal: a log that was changed must not be signed again as if it were whole.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use memchr::memmem;
use moongate_core::{Code, Problem};
use serde_json::Value;

use super::{Derived, Growth, Mark, Shard, noted_length, read_write};
use crate::file;
use crate::hash::Hash;
use crate::key::Key;
use crate::leaf;
use crate::note::{Checkpoint, Signed};
use crate::source::{Next, Source};
use crate::tree::Tree;
use crate::{damaged, unwritable};

/// What opening a shard brought to light.
pub(crate) struct Recovered {
    pub(crate) shard: Shard,
    /// Lines that say what was about to happen and have no line that says how it ended, with their operation.
    pub(crate) open: BTreeMap<u64, String>,
    /// How many bytes were cut off at the end.
    pub(crate) cut: u64,
}

/// A shard whose lines were read and are what was signed; nothing on the disk was touched yet.
pub(crate) struct Read {
    folder: PathBuf,
    name: String,
    origin: String,
    signed: Signed,
    length: u64,
    reading: Reading,
}

/// Reads all lines once.
struct Reading {
    tree: Tree,
    /// The roots that somebody asks for, by size.
    roots: BTreeMap<u64, Option<Hash>>,
    open: BTreeMap<u64, String>,
    growth: Growth,
    /// The first line.
    first: Vec<u8>,
    /// Lines about months that were removed.
    removals: Vec<Vec<u8>>,
    /// So many lines are signed, and whether the last one of them says that the gateway stops.
    signed: u64,
    stopped: bool,
}

impl Read {
    /// Reads the shard of that name, which has a checkpoint.
    pub(crate) fn open(log: &Path, domain: &str, name: &str, key: &Key, mark: &Mark) -> Result<Self, Problem> {
        let folder = log.join(name);
        let origin = format!("{domain}/audit/{name}");
        let failed = |error: io::Error| unwritable(&folder, &error);
        let none = || damaged(format!("{origin} has no checkpoint"));
        let signed = signed(&folder, &origin, key)?.ok_or_else(none)?;
        let mark = Some(mark).filter(|mark| mark.checkpoint.origin == origin);
        let mut known = vec![signed.checkpoint.clone()];
        known.extend(mark.map(|mark| mark.checkpoint.clone()));
        let synced = noted_length(&folder).map_err(failed)?;
        let mut reading = Reading::new(&known, signed.checkpoint.size);
        let entries = folder.join("entries");
        if !entries.is_file() {
            return Err(reading.short(&signed.checkpoint));
        }
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
        let there = fs::metadata(&entries).map_err(failed)?.len();
        reading.ends(&signed.checkpoint, mark, there > length)?;
        Ok(Self { folder, name: name.to_owned(), origin, signed, length, reading })
    }

    /// The name under which it is signed.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The line that it begins with.
    pub(crate) fn first(&self) -> &[u8] {
        &self.reading.first
    }

    /// The lines that speak of months which were removed.
    pub(crate) fn removals(&self) -> &[Vec<u8>] {
        &self.reading.removals
    }
}

impl Recovered {
    /// Takes a shard up that was read.
    pub(crate) fn take_up(read: Read) -> Result<Self, Problem> {
        let Read { folder, name, origin, signed, length, reading } = read;
        let made = || -> io::Result<Self> {
            let mut shard = Shard {
                entries: read_write(&folder.join("entries"))?,
                synced: read_write(&folder.join("synced"))?,
                derived: Derived::anew(&folder, reading.growth)?,
                tree: reading.tree,
                name,
                length,
                folder: folder.clone(),
                origin,
                signed: Some(signed),
            };
            let cut = shard.cut()?;
            Ok(Self { shard, open: reading.open, cut })
        };
        made().map_err(|error| unwritable(&folder, &error))
    }
}

/// Whether a shard without a checkpoint is one that was begun and that nobody was shown: no line but the gateway's own first
/// ones, and nothing that speaks of more.
pub(crate) fn only_begun(folder: &Path) -> io::Result<bool> {
    let synced = noted_length(folder)?;
    let hashes = fs::metadata(folder.join("hashes.0")).map_or(0, |metadata| metadata.len()) / Hash::LENGTH as u64;
    if !folder.join("entries").is_file() {
        return Ok(synced == 0 && hashes == 0 && !folder.join("checkpoint").exists());
    }
    let mut source = Source::open(folder)?;
    let mut lines = 0;
    while let Next::Line(line) = source.next()? {
        match serde_json::from_slice::<Value>(&line) {
            Ok(leaf)
                if leaf::BEGINS.iter().any(|begins| leaf.get("operation").and_then(Value::as_str) == Some(begins)) =>
            {
                lines += 1;
            }
            Ok(_) => return Ok(false),
            // What was not flushed may be anything.
            Err(_) if source.position > synced => break,
            Err(_) => return Ok(false),
        }
    }
    Ok(source.position >= synced && hashes <= lines && !folder.join("checkpoint").exists())
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
    fn new(known: &[Checkpoint], signed: u64) -> Self {
        Self {
            first: Vec::new(),
            removals: Vec::new(),
            signed,
            stopped: false,
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
            self.look(&line);
            self.follow(&line);
            self.growth.line(&mut self.tree, &line, position);
        }
    }

    /// Keeps what is asked for when all is read.
    fn look(&mut self, line: &[u8]) {
        let says = |operation: &str| memmem::find(line, format!("\"operation\":\"{operation}\"").as_bytes()).is_some();
        if self.tree.size() == 0 {
            self.first = line.to_vec();
        }
        if self.tree.size() + 1 == self.signed {
            self.stopped = says("gateway.stop");
        }
        if memmem::find(line, br#""log.removed""#).is_some() && says(leaf::REMOVED) {
            self.removals.push(line.to_vec());
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
            None => Err(self.short(signed)),
            Some(read) if read == *root => Ok(()),
            Some(read) => Err(damaged(format!(
                "the first {size} lines of {origin} have the root {read}, and the root that was signed is {root}"
            ))),
        }
    }

    fn short(&self, signed: &Checkpoint) -> Problem {
        let Checkpoint { origin, size, .. } = signed;
        let what = format!("{origin} has {} lines, and {size} were signed", self.tree.size());
        Problem::new(Code::AuditShortened, what)
    }

    /// Whether what stands behind the last signed line is the gateway's own.
    fn ends(&self, signed: &Checkpoint, mark: Option<&Mark>, torn: bool) -> Result<(), Problem> {
        let Checkpoint { origin, size, .. } = signed;
        let closed = match mark {
            // A checkpoint is on the disk before the mark is.
            Some(mark) if mark.checkpoint.size > *size => {
                let what =
                    format!("the checkpoint of {origin} covers {size} lines, and {} were signed", mark.checkpoint.size);
                return Err(Problem::new(Code::AuditShortened, what));
            }
            Some(mark) if mark.checkpoint.size == *size => mark.closed,
            _ => self.stopped,
        };
        if closed && (torn || self.tree.size() > *size) {
            let what = format!("{origin} was closed with {size} lines, and something was put behind them");
            return Err(damaged(what));
        }
        Ok(())
    }
}

/// The checkpoint of a shard, if one was ever made.
pub(super) fn signed(folder: &Path, origin: &str, key: &Key) -> Result<Option<Signed>, Problem> {
    let path = folder.join("checkpoint");
    let Some(note) = file::read(&path).map_err(|error| unwritable(&path, &error))? else { return Ok(None) };
    let signed = Signed::open(&note, &key.verifying(origin));
    signed.map(Some).ok_or_else(|| damaged(format!("{} is not signed by this gateway's key", path.display())))
}
