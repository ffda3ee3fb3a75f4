//! Verifying a shard, or an export: everything that start-up looks at and more, without changing anything.

mod kept;
mod whole;

use std::collections::BTreeMap;
use std::path::Path;

use moongate_core::Problem;
use serde_json::Value;

use crate::hash::Hash;
use crate::key::VerifyingKey;
use crate::note::{Checkpoint, Signed};
use crate::read::Files;
use crate::shard::{Mark, noted_length};
use crate::source::Next;
use crate::tree::Tree;

use kept::Kept;
pub use whole::{Beginning, beginning, follows, whole};

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
    mark: Option<&Path>,
) -> Result<Report, Problem> {
    let mut report = Report { origin: key.name().to_owned(), ..Report::default() };
    let known = report.known(files, key, saved, mark);
    let mut reading = Reading { tree: Tree::default(), kept: Kept::default(), roots: BTreeMap::new(), torn: false };
    reading.roots.extend(known.iter().map(|(_, checkpoint)| (checkpoint.size, None)));
    reading.all(files, &mut report)?;
    let read = |checkpoint: &Checkpoint| reading.roots.get(&checkpoint.size).copied().flatten();
    let own = known.iter().map(|(_, checkpoint)| checkpoint).find(|checkpoint| checkpoint.size == report.size);
    report.root = own.filter(|own| read(own) == Some(own.root)).map(|own| own.root);
    reading.kept.judge(files, &mut report);
    for (name, checkpoint) in &known {
        match read(checkpoint) {
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
            Some(_) => {}
        }
    }
    report.unsigned = reading.tree.size().saturating_sub(report.size);
    let behind = report.unsigned > 0 || reading.torn;
    if behind && mark.is_some_and(|mark| closed(mark, files, key, report.size)) {
        report.found(
            Some(report.size),
            "this and what follows was put behind the last line that the gateway signed and closed the log with",
        );
    }
    Ok(report)
}

/// Whether the log was closed with so many lines: by a gateway that ended, or by a month that is over. A gateway that goes on says
/// so before its first line.
fn closed(mark: &Path, files: &Files, key: &VerifyingKey, size: u64) -> bool {
    let Ok(Some(mark)) = Mark::read(mark, key) else { return false };
    let shard = key.name().rsplit('/').next().unwrap_or_default();
    let ended = if mark.shard() == shard { mark.closed && mark.checkpoint.size == size } else { mark.shard() > shard };
    // While lines were read, it may have been signed again.
    ended && files.signed(key).is_ok_and(|signed| signed.checkpoint.size == size)
}

struct Reading {
    tree: Tree,
    kept: Kept,
    roots: BTreeMap<u64, Option<Hash>>,
    /// What stands behind the last line is none.
    torn: bool,
}

impl Report {
    pub(crate) fn found(&mut self, line: Option<u64>, what: impl Into<String>) {
        self.findings.push(Finding { line, what: what.into() });
    }

    /// The checkpoints that the log must fit.
    fn known(
        &mut self,
        files: &Files,
        key: &VerifyingKey,
        saved: &[(String, Vec<u8>)],
        mark: Option<&Path>,
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
        match mark.map_or(Ok(None), |mark| Mark::read(mark, key)) {
            Ok(Some(Mark { checkpoint, .. })) if checkpoint.origin == self.origin => {
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
                Next::Torn => {
                    self.torn = true;
                    break;
                }
                Next::End => break,
            }
        }
        if source.position < synced {
            report.found(None, format!("{} bytes of lines were flushed, and {} are there", synced, source.position));
        }
        Ok(())
    }

    fn line(&mut self, files: &Files, index: u64, line: &[u8], report: &mut Report) {
        let hash = Hash::leaf(line);
        self.kept.compare(files, index, hash, report);
        match serde_json::from_slice::<Value>(line).map(|leaf| leaf.get("seq").and_then(Value::as_u64)) {
            Ok(Some(seq)) if seq == index => {}
            Ok(seq) => report.found(Some(index), format!("the line says that it is number {seq:?}")),
            Err(_) => report.found(Some(index), "the line is not JSON"),
        }
        let size = report.size;
        self.tree.push(hash, |level, hash| self.kept.above(level, hash, index < size));
    }
}
