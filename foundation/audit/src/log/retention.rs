//! Months that are not kept any longer.
//!
//! A month goes as a whole, and never the running one. Before it goes, a line that is flushed says how it ended, so that the
//! first month that is left, which begins with that checkpoint, is still known to follow. A clock that jumps ahead does not
//! empty the log: a month goes only if it is too old by the calendar *and* as many younger ones as are to be kept are there.

use std::fs;
use std::io;
use std::path::Path;

use moongate_core::Problem;

use super::names;
use super::writer::Writer;
use crate::leaf;
use crate::note::Signed;
use crate::{damaged, unwritable};

/// What a month is called on its way out.
pub(super) const LEAVING: &str = "removed";

impl Writer {
    /// Takes away what is not to be kept. What fails is said and tried again with the next month, or start.
    pub(super) fn prune(&mut self) {
        let Some(keep) = self.place.keep_months else { return };
        let folder = self.place.folder.clone();
        let outdated = names(&folder).map(|names| outdated(&names, &self.shard.name, keep));
        for name in outdated.unwrap_or_default() {
            if let Err(problem) = self.remove(&folder, &name) {
                tracing::error!(%problem, month = name, "a month of the audit log that is not to be kept could not be removed");
                return;
            }
            tracing::info!(month = name, "a month of the audit log was removed, as audit.keep_months says");
        }
        if let Err(error) = sweep(&folder) {
            tracing::warn!(%error, "what is left of a removed month could not be cleared away");
        }
    }

    fn remove(&mut self, log: &Path, name: &str) -> Result<(), Problem> {
        let (folder, origin) = (log.join(name), format!("{}/audit/{name}", self.place.domain));
        let failed = |error: io::Error| unwritable(&folder, &error);
        let note = fs::read(folder.join("checkpoint")).map_err(failed)?;
        let signed = Signed::open(&note, &self.key.verifying(&origin));
        let signed = signed.ok_or_else(|| damaged(format!("{origin} does not end with a checkpoint of its own")))?;
        let mut line = String::new();
        leaf::removed(&mut line, &origin, &signed.text, self.shard.size(), self.clock.now());
        self.shard.append(&[line]).map_err(failed)?;
        // Who looks for the month from now on finds the line.
        self.sign()?;
        // Whole or gone: half a month would look like a damaged one.
        fs::rename(&folder, log.join(format!("{name}.{LEAVING}"))).map_err(failed)
    }
}

/// Clears away what was renamed, by this run or by one that was cut off.
pub(super) fn sweep(log: &Path) -> io::Result<()> {
    for entry in fs::read_dir(log)? {
        let path = entry?.path();
        let leaving = path.extension().is_some_and(|extension| extension == LEAVING);
        if leaving && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(super::is_shard) {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// The months that go, the oldest first.
fn outdated(names: &[String], running: &str, keep: u32) -> Vec<String> {
    let frozen: Vec<&String> = names.iter().filter(|name| name.as_str() < running).collect();
    let surplus = frozen.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    let old = |name: &&&String| month(running).saturating_sub(month(name)) > u64::from(keep);
    frozen.iter().take(surplus).filter(old).map(|name| (*name).clone()).collect()
}

/// Months since the year 0.
fn month(name: &str) -> u64 {
    let (year, month) = name.split_once('-').unwrap_or_default();
    year.parse().unwrap_or(0_u64) * 12 + month.parse().unwrap_or(0_u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(names: &[&str], running: &str, keep: u32) -> Vec<String> {
        outdated(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), running, keep)
    }

    #[test]
    fn whole_months_go_that_are_too_old_and_never_more_than_there_are_to_spare() {
        let year = ["2025-11", "2025-12", "2026-01", "2026-02", "2026-03"];
        assert_eq!(gone(&year, "2026-03", 2), ["2025-11", "2025-12"]);
        assert_eq!(gone(&year, "2026-03", 4), [""; 0]);
        assert_eq!(gone(&year, "2026-03", 12), [""; 0]);
        // A gateway that slept for a year keeps the last months that it has.
        assert_eq!(gone(&["2025-01", "2025-02", "2026-03"], "2026-03", 2), [""; 0]);
        // And one whose clock says 2099 loses one month, not all.
        assert_eq!(gone(&["2026-01", "2026-02", "2026-03", "2099-01"], "2099-01", 2), ["2026-01"]);
        assert_eq!(gone(&["2026-03"], "2026-03", 1), [""; 0]);
    }
}
