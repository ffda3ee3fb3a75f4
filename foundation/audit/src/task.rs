//! The lines that speak of one task, without reading the whole log for it: none of them is older than the task.

use memchr::memmem::Finder;
use moongate_core::{Problem, Time};
use serde_json::Value;

use crate::key::VerifyingKey;
use crate::leaf;
use crate::read::{Files, frames};
use crate::search::Found;
use crate::tile::Tile;
use crate::tree::WIDTH;

/// A line is written when its request ends and bears the moment of its arrival. A request that takes longer than this may be
/// passed over.
const SLACK: std::time::Duration = std::time::Duration::from_secs(3600);

/// What was found, and what was not looked at.
#[derive(Clone, Debug)]
pub struct OfTask {
    /// The lines, the oldest first.
    pub found: Vec<Found>,
    /// Whether all lines since then were looked at that are signed.
    pub whole: bool,
}

/// Whether a line speaks of a task: it is of a request that names it or made it, of a decision about it, or of what an
/// operator did to it.
pub fn speaks_of(leaf: &Value, task: &str) -> bool {
    let text = |name: &str| leaf.get(name).and_then(Value::as_str);
    let noted = text("detail").and_then(|detail| detail.split(' ').find_map(|word| word.strip_prefix("task=")));
    let done_to = text("target").and_then(|target| target.strip_prefix("/api/v1/tasks/"));
    let done_to = done_to.map(|rest| rest.rsplit_once(':').map_or(rest, |(id, _)| id));
    [text("task"), noted, done_to].contains(&Some(task))
}

impl Files {
    /// The lines of this shard that speak of a task which is there since `since`: at most `lines` of them, out of at most
    /// `bytes` bytes of lines.
    ///
    /// # Errors
    /// As [`Files::signed`]; a tile cannot be read.
    pub fn of_task(
        &self,
        task: &str,
        since: Time,
        key: &VerifyingKey,
        (lines, mut bytes): (usize, usize),
    ) -> Result<OfTask, Problem> {
        let size = self.signed(key)?.checkpoint.size;
        // As it stands in a line.
        let quoted = serde_json::to_string(task).unwrap_or_default();
        let finder = Finder::new(quoted.trim_matches('"'));
        let mut found = Vec::new();
        for index in self.begin(since, size)?..size.div_ceil(WIDTH as u64) {
            let first = index * WIDTH as u64;
            let width = usize::try_from(size - first).unwrap_or(WIDTH).min(WIDTH);
            let bundle = self.tile(Tile { level: None, index, width }, size)?;
            let Some(left) = bytes.checked_sub(bundle.len()) else { return Ok(OfTask { found, whole: false }) };
            bytes = left;
            if finder.find(&bundle).is_none() {
                continue;
            }
            for (number, line) in (first..).zip(frames(&bundle)) {
                let leaf = finder.find(line).and_then(|_| serde_json::from_slice::<Value>(line).ok());
                let Some(leaf) = leaf.filter(|leaf| speaks_of(leaf, task)) else { continue };
                if found.len() == lines {
                    return Ok(OfTask { found, whole: false });
                }
                found.push(Found { index: number, leaf });
            }
        }
        Ok(OfTask { found, whole: true })
    }

    /// The tile behind which no line of `since` or later is missed.
    fn begin(&self, since: Time, size: u64) -> Result<u64, Problem> {
        let mut earliest = String::new();
        leaf::moment(&mut earliest, Time(since.0.saturating_sub(u64::try_from(SLACK.as_millis()).unwrap_or(u64::MAX))));
        let (mut low, mut high) = (0, size.div_ceil(WIDTH as u64));
        // Tiles before `low` begin too early, those from `high` on do not.
        while low < high {
            let middle = low + (high - low) / 2;
            let line: Value = serde_json::from_slice(&self.line(middle * WIDTH as u64, size)?).unwrap_or_default();
            let at = line.get("ts").and_then(Value::as_str).unwrap_or_default();
            if at < earliest.as_str() { low = middle + 1 } else { high = middle }
        }
        Ok(low.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::speaks_of;

    #[test]
    fn a_line_speaks_of_the_task_that_it_names_and_of_no_other() {
        for leaf in [
            json!({"task": "t1"}),
            json!({"detail": "task=t1 approval=a1 by=passkey"}),
            json!({"target": "/api/v1/tasks/t1:cancel"}),
            json!({"target": "/api/v1/tasks/t1"}),
        ] {
            assert!(speaks_of(&leaf, "t1"), "{leaf}");
            assert!(!speaks_of(&leaf, "t") && !speaks_of(&leaf, "t11") && !speaks_of(&leaf, ""), "{leaf}");
        }
        assert!(!speaks_of(&json!({"detail": "task=x task=t1", "target": "t1", "skill": "t1"}), "t1"));
    }
}
