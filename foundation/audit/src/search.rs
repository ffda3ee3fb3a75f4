//! Finding lines.

use moongate_core::Problem;
use serde_json::Value;

use crate::key::VerifyingKey;
use crate::read::Files;

/// What a line must have; what is not asked for is anything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Members and their values, as `("target", "lights")`; `source` is the id in it.
    pub members: Vec<(&'static str, String)>,
    /// It speaks of this task ([`crate::speaks_of`]).
    pub task: Option<String>,
    /// Its moment is this one or later, as far as that is written: `2026-11-27`, `2026-11-27T18:`.
    pub since: Option<String>,
    /// Its moment is before this one.
    pub before: Option<String>,
    /// Its number is less than this one.
    pub below: Option<u64>,
    /// The most lines; of more, the last ones.
    pub limit: usize,
}

/// A line that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number.
    pub index: u64,
    /// What it says.
    pub leaf: Value,
}

impl Wanted {
    fn fits(&self, leaf: &Value) -> bool {
        let text = |name: &str| match name {
            "source" => leaf.pointer("/source/id"),
            "domain" => leaf.pointer("/source/domain"),
            other => leaf.get(other),
        };
        let text = |name: &str| text(name).and_then(Value::as_str).unwrap_or_default();
        self.members.iter().all(|(name, value)| text(name) == value)
            && self.task.as_deref().is_none_or(|task| crate::speaks_of(leaf, task))
            && self.since.as_deref().is_none_or(|since| text("ts") >= since)
            && self.before.as_deref().is_none_or(|before| text("ts") < before)
    }
}

impl Files {
    /// The lines that fit, the oldest first.
    ///
    /// # Errors
    /// As [`Files::signed`]; the log is shorter than what was signed.
    pub fn search(&self, wanted: &Wanted, key: &VerifyingKey) -> Result<Vec<Found>, Problem> {
        let size = self.signed(key)?.checkpoint.size;
        let mut found = std::collections::VecDeque::new();
        self.each(wanted.below.map_or(size, |below| size.min(below)), |index, line| {
            let Ok(leaf) = serde_json::from_slice(line) else { return };
            if wanted.fits(&leaf) && wanted.limit > 0 {
                if found.len() == wanted.limit {
                    found.pop_front();
                }
                found.push_back(Found { index, leaf });
            }
        })?;
        Ok(found.into())
    }
}
