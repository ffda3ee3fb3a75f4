//! Verifying a shard, or an export: everything that start-up looks at and more, without changing anything.

use std::collections::BTreeMap;

use moongate_core::Problem;
use serde_json::Value;

use crate::file;
use crate::hash::Hash;
use crate::key::VerifyingKey;
use crate::note::{Checkpoint, Signed};
use crate::proof::Hashes as _;
use crate::read::{Files, Sized};
use crate::shard::{Mark, noted_length};
use crate::source::Next;
use crate::tree::{Tree, WIDTH};

/// What verifying brought to light.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// How many lines are signed.
    pub size: u64,
    /// The root over them, as it was computed from the lines.
    pub root: Option<Hash>,
    /// Lines that came after the last checkpoint; on a log that runs there may be some.
    pub unsigned: u64,
    /// Everything that does not fit. Empty: the log is what was signed.
    pub findings: Vec<Finding>,
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which line, if it can be told.
    pub line: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Looks a shard over. `saved` are checkpoints that were kept from before, each with a name for messages; `mark` is the file
/// beside the key.
///
/// # Errors
/// The files cannot be read. Whatever is wrong with what they hold is a finding.
pub fn verify(
    files: &Files,
    key: &VerifyingKey,
    saved: &[(String, Vec<u8>)],
    mark: Option<&std::path::Path>,
) -> Result<Report, Problem> {
    let mut report = Report { origin: key.name().to_owned(), ..Report::default() };
    let known = report.known(files, key, saved, mark);
    let mut reading = Reading { tree: Tree::default(), hashes: Vec::new(), roots: BTreeMap::new() };
    reading.roots.extend(known.iter().map(|(_, checkpoint)| (checkpoint.size, None)));
    reading.all(files, &mut report)?;
    for (name, checkpoint) in &known {
        match reading.roots.get(&checkpoint.size).copied().flatten() {
            None => report.found(
                None,
                format!("the log has {} lines, and {name} covers {}", reading.tree.size(), checkpoint.size),
            ),
            Some(root) if root != checkpoint.root => {
                let what = format!(
                    "the first {} lines have the root {root}, and {name} says {}",
                    checkpoint.size, checkpoint.root
                );
                report.found(None, what);
            }
            Some(root) if checkpoint.size == report.size => report.root = Some(root),
            Some(_) => {}
        }
    }
    report.unsigned = reading.tree.size().saturating_sub(report.size);
    Ok(report)
}

struct Reading {
    tree: Tree,
    /// The hashes of the tile that the next line is in, as they lie on the disk.
    hashes: Vec<Hash>,
    roots: BTreeMap<u64, Option<Hash>>,
}

impl Report {
    fn found(&mut self, line: Option<u64>, what: impl Into<String>) {
        self.findings.push(Finding { line, what: what.into() });
    }

    /// The checkpoints that the log must fit.
    fn known(
        &mut self,
        files: &Files,
        key: &VerifyingKey,
        saved: &[(String, Vec<u8>)],
        mark: Option<&std::path::Path>,
    ) -> Vec<(String, Checkpoint)> {
        let mut known = Vec::new();
        match files.signed(key) {
            Ok(signed) => {
                self.size = signed.checkpoint.size;
                known.push(("the checkpoint".to_owned(), signed.checkpoint));
            }
            Err(problem) => self.found(None, problem.detail),
        }
        for (name, note) in saved {
            match Signed::open(note, key) {
                Some(signed) => known.push((name.clone(), signed.checkpoint)),
                None => {
                    self.found(None, format!("{name} is not a checkpoint of {} that its key has signed", key.name()))
                }
            }
        }
        match mark.map_or(Ok(None), Mark::read) {
            Ok(Some(Mark(checkpoint))) if checkpoint.origin == self.origin => {
                known.push(("the mark beside the key".to_owned(), checkpoint));
            }
            Ok(_) => {}
            Err(problem) => self.found(None, problem.detail),
        }
        known
    }
}

impl Reading {
    fn all(&mut self, files: &Files, report: &mut Report) -> Result<(), Problem> {
        let synced = noted_length(files.folder()).unwrap_or_default();
        let mut source = files.source()?;
        loop {
            let index = self.tree.size();
            if let Some(root) = self.roots.get_mut(&index) {
                *root = Some(self.tree.root());
            }
            match source.next().map_err(|error| files.unreadable("entries", &error))? {
                Next::Line(line) => self.line(files, index, &line, report),
                Next::Torn if source.position < synced || index < report.size => {
                    report.found(Some(index), "what stands here is no line");
                    return Ok(());
                }
                // The end of a line that was never acknowledged, or is being written now.
                Next::Torn | Next::End => break,
            }
        }
        if source.position < synced {
            report.found(None, format!("{} bytes of lines were flushed, and {} are there", synced, source.position));
        }
        Ok(())
    }

    fn line(&mut self, files: &Files, index: u64, line: &[u8], report: &mut Report) {
        let hash = Hash::leaf(line);
        let at = usize::try_from(index % WIDTH as u64).unwrap_or_default();
        if at == 0 {
            let count = report.size.saturating_sub(index).min(WIDTH as u64);
            self.hashes = match (Sized { files, size: report.size }).hashes(0, index, count) {
                Ok(hashes) => hashes,
                Err(_) if count == 0 => Vec::new(),
                Err(problem) => {
                    report.found(None, problem.detail);
                    Vec::new()
                }
            };
        }
        if self.hashes.get(at).is_some_and(|kept| *kept != hash) {
            report.found(Some(index), "the line is not the one whose hash is in the tree");
        }
        match serde_json::from_slice::<Value>(line).map(|leaf| leaf.get("seq").and_then(Value::as_u64)) {
            Ok(Some(seq)) if seq == index => {}
            Ok(seq) => report.found(Some(index), format!("the line says that it is number {seq:?}")),
            Err(_) => report.found(Some(index), "the line is not JSON"),
        }
        self.tree.push(hash, |_, _| {});
    }
}

/// Whether the shard begins with the checkpoint that the one before it ended with.
///
/// # Errors
/// The files cannot be read.
pub fn follows(files: &Files, before: &Files) -> Result<Option<Finding>, Problem> {
    let path = before.folder().join("checkpoint");
    let last = file::read(&path).map_err(|error| before.unreadable("checkpoint", &error))?.unwrap_or_default();
    let first = files.line(0, 1)?;
    let leaf: Value = serde_json::from_slice(&first).unwrap_or_default();
    let said = leaf.get("previous").and_then(Value::as_str).unwrap_or_default();
    let what = || format!("it does not begin with the checkpoint by which {} ended", before.folder().display());
    Ok((said.as_bytes() != last).then(|| Finding { line: Some(0), what: what() }))
}

/// Where a log begins, as far as the months that are there can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With its first month.
    First,
    /// Later: the month of that name was removed, and a line says how it ended, which fits.
    Removed(String),
    /// Later: the month of that name is not there, and no line says why.
    Gone(String),
}

/// Where a log begins whose months are these, the oldest first.
///
/// # Errors
/// The files cannot be read.
pub fn beginning(months: &[Files]) -> Result<Beginning, Problem> {
    let Some(first) = months.first() else { return Ok(Beginning::First) };
    let opening: Value = serde_json::from_slice(&first.line(0, 1)?).unwrap_or_default();
    let Some(previous) = opening.get("previous").and_then(Value::as_str) else { return Ok(Beginning::First) };
    let before = previous.lines().next().unwrap_or_default().to_owned();
    let says = format!("\"operation\":\"{}\"", crate::leaf::REMOVED);
    for files in months {
        let mut said = false;
        let size = files.vkey().and_then(|key| files.signed(&key))?.checkpoint.size;
        files.each(size, |_, line| {
            if !said && memchr::memmem::find(line, says.as_bytes()).is_some() {
                let leaf: Value = serde_json::from_slice(line).unwrap_or_default();
                said = leaf.get("checkpoint").and_then(Value::as_str) == Some(previous);
            }
        })?;
        if said {
            return Ok(Beginning::Removed(before));
        }
    }
    Ok(Beginning::Gone(before))
}
