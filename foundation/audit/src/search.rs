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

/// Whether a text can be compared with the time of a line: a day, or a moment of it (`2026-11-28T01:00`, in UTC).
pub fn is_moment(text: &str) -> bool {
    let (day, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let digits = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .chars()
                .zip(pattern.chars())
                .all(|(own, form)| if form == '0' { own.is_ascii_digit() } else { own == form })
    };
    let clock = |rest: &str| {
        let rest = rest.trim_end_matches('Z');
        ["00", "00:00", "00:00:00", "00:00:00.000"].iter().any(|form| digits(rest, form))
    };
    digits(day, "0000-00-00") && (rest.is_empty() || rest.strip_prefix('T').is_some_and(clock))
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

#[cfg(test)]
mod tests {
    use super::is_moment;

    #[test]
    fn a_slip_is_no_moment() {
        for good in
            ["2026-11-28", "2026-11-28T01", "2026-11-28T01:00", "2026-11-28T01:00:07Z", "2026-11-28T01:00:07.123Z"]
        {
            assert!(is_moment(good), "{good}");
        }
        for bad in [
            "",
            "foo",
            "28.11.2026",
            "2026-11-28 01:00",
            "2026-11",
            "2026-11-28T",
            "2026-11-28T1:00",
            "2026-11-28T01:00+01:00",
        ] {
            assert!(!is_moment(bad), "{bad}");
        }
    }
}
