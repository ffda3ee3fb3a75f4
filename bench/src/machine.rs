//! What a result must say about where and when it was taken.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Where, when and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// UTC, `YYYY-MM-DD HH:MM`.
    pub(crate) date: String,
    /// The commit that was measured; `+changes` if files differed from it.
    pub(crate) commit: String,
    /// How it was called.
    pub(crate) command: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// The processor's name.
    pub(crate) processor: String,
    /// Operating system and its version.
    pub(crate) system: String,
    /// Load average before the first run: what else the machine was doing.
    pub(crate) load_before: String,
    /// `nginx -v`, or that there was none.
    pub(crate) nginx: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn look(nginx: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split_once(':')))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            date: date(since),
            commit: commit(),
            command: command(std::env::args()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor,
            system: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            load_before: read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            nginx: nginx.to_owned(),
        }
    }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // Results are what changes while measuring, so they do not count.
    match git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)bench/results"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}+changes"),
    }
}

/// The command line with paths as one would type them from the repository.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let here = std::env::current_dir().map(|path| format!("{}/", path.display())).unwrap_or_default();
    let mut words: Vec<String> = arguments.map(|word| word.replace(&here, "")).collect();
    if let Some(first) = words.first_mut() {
        *first = Path::new(first).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    }
    words.join(" ")
}

/// `YYYY-MM-DD HH:MM` of seconds since 1970, UTC.
fn date(seconds: u64) -> String {
    // Days to civil date, after Howard Hinnant's `civil_from_days`.
    let days = (seconds / 86_400) as i64 + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let minutes = seconds % 86_400 / 60;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_399), "2000-02-28 23:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_767_225_599), "2025-12-31 23:59");
        assert_eq!(date(1_767_225_600), "2026-01-01 00:00");
    }

    #[test]
    fn the_command_is_written_as_typed_from_the_repository() {
        let here = std::env::current_dir().unwrap();
        let words = ["/somewhere/moongate-bench".to_owned(), "run".to_owned(), format!("{}/a/b", here.display())];
        assert_eq!(command(words.into_iter()), "moongate-bench run a/b");
    }
}
