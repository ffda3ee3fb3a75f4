//! The hashes that are kept beside the lines. They are derived, so a wrong one accuses a line only where the root over the lines
//! is another one than was signed, too.

use super::Report;
use crate::hash::Hash;
use crate::proof::Hashes as _;
use crate::read::{Files, Sized};
use crate::tree::WIDTH;

/// What does not fit of them.
#[derive(Default)]
pub(super) struct Kept {
    /// Those of the tile that the next line is in, as they lie on the disk.
    tile: Vec<Hash>,
    /// Lines whose hash is another one.
    lines: Vec<u64>,
    /// Tiles that could not be read.
    unread: Vec<String>,
    /// The hashes of full tiles, level 1 first, as they follow from the lines.
    above: Vec<Vec<Hash>>,
}

impl Kept {
    /// Compares the hash of a line with the one that is kept.
    pub(super) fn compare(&mut self, files: &Files, index: u64, hash: Hash, report: &Report) {
        let at = usize::try_from(index % WIDTH as u64).unwrap_or_default();
        if at == 0 {
            let count = report.size.saturating_sub(index).min(WIDTH as u64);
            self.tile = match (Sized { files, size: report.size }).hashes(0, index, count) {
                Ok(hashes) => hashes,
                Err(problem) => {
                    self.unread.extend((count > 0).then(|| problem.detail.into_owned()));
                    Vec::new()
                }
            };
        }
        if self.tile.get(at).is_some_and(|kept| *kept != hash) {
            self.lines.push(index);
        }
    }

    /// Takes down the hash of a tile that became full.
    pub(super) fn above(&mut self, level: usize, hash: Hash, signed: bool) {
        let Some(above) = level.checked_sub(1).filter(|_| signed) else { return };
        if self.above.len() <= above {
            self.above.resize(above + 1, Vec::new());
        }
        if let Some(level) = self.above.get_mut(above) {
            level.push(hash);
        }
    }

    /// Says what it is, now that it is known whether the lines are what was signed.
    pub(super) fn judge(self, files: &Files, report: &mut Report) {
        // The root is that of the lines; it is set only if the checkpoint has the same one.
        if report.root.is_none() {
            self.unread.into_iter().for_each(|what| report.found(None, what));
            let what = "the line is not the one whose hash is in the tree";
            self.lines.into_iter().for_each(|line| report.found(Some(line), what));
            return;
        }
        let anew = if files.folder().join("entries").exists() {
            format!(
                "stop the gateway, remove hashes.* and offsets in {}, and start it: they are made anew from the lines",
                files.folder().display()
            )
        } else {
            "export the log again".to_owned()
        };
        for what in self.unread {
            report.found(
                None,
                format!("{what}; the lines are what was signed, kept hashes of them are not there: {anew}"),
            );
        }
        if let Some(first) = self.lines.first() {
            let what = format!(
                "the line is what was signed, and the hash that is kept of it is damaged ({} such lines): {anew}",
                self.lines.len()
            );
            report.found(Some(*first), what);
        }
        for (level, hashes) in (1_u8..).zip(&self.above) {
            if !same(files, level, hashes, report.size) {
                let what = format!(
                    "the lines are what was signed, and the hashes of level {level} that are kept of them are damaged: {anew}"
                );
                report.found(None, what);
            }
        }
    }
}

/// Whether a level is kept as it follows from the lines.
fn same(files: &Files, level: u8, hashes: &[Hash], size: u64) -> bool {
    let kept = Sized { files, size };
    (0..).zip(hashes.chunks(WIDTH)).all(|(tile, expected)| {
        kept.hashes(level, tile * WIDTH as u64, expected.len() as u64).is_ok_and(|kept| kept == expected)
    })
}
