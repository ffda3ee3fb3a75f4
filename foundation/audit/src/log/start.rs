//! What a start finds, and whether it is the history that was signed. Nothing is touched before all of it is known to fit.
//!
//! A key belongs to one history, and the mark says how far that was signed. So both are made together, in an order that leaves
//! nothing behind that a later start would refuse, whenever the first one is cut off: a mark of no lines, then the key that has
//! signed it, then the first month. A month counts from its first checkpoint on; one that was begun and not signed yet holds
//! nothing that anybody was told of, and is begun again.

use std::fs;
use std::io;
use std::path::Path;

use moongate_core::{Code, Problem};
use serde_json::Value;

use super::{Place, names};
use crate::key::{Key, unusable};
use crate::read::Files;
use crate::search::Wanted;
use crate::shard::mark::{claimed, missing};
use crate::shard::older::Older;
use crate::shard::{Mark, Read, Recovered, only_begun};
use crate::{damaged, leaf, unwritable};

use super::retention::{LEAVING, sweep};

/// Whether the key has signed the log of another domain, as that domain's mark says: the gateway was renamed, and begins
/// another one.
fn had_another_domain(place: &Place, key: &Key) -> bool {
    let folder = place.mark.parent().and_then(|folder| fs::read_dir(folder).ok());
    folder.into_iter().flatten().flatten().any(|file| {
        let (path, name) = (file.path(), file.file_name().to_string_lossy().into_owned());
        let domain = name.strip_prefix("audit.").and_then(|name| name.strip_suffix(".mark"));
        let signed =
            |domain: &str| Mark::read(&path, &key.verifying(&format!("{domain}/audit/0000-00"))).ok().flatten();
        path != place.mark && domain.and_then(signed).is_some()
    })
}

/// The key, and what it has signed.
pub(super) struct Start {
    pub(super) key: Key,
    mark: Mark,
}

impl Start {
    /// The key of the log, which is made if there is none; `month` is the one that a first log begins with.
    pub(super) fn of(place: &Place, month: &str) -> Result<Self, Problem> {
        if let Some(key) = Key::load(&place.key)? {
            let mark = Mark::read(&place.mark, &key.verifying(&origin(place, month)))?;
            if let Some(mark) = mark {
                return Ok(Self { key, mark });
            }
            if !begun(place)?.is_empty() || !had_another_domain(place, &key) {
                return Err(missing(&place.mark, &place.key));
            }
            let mark = Mark::first(origin(place, month));
            mark.write(&place.mark, &key)?;
            return Ok(Self { key, mark });
        }
        let signed = claimed(&place.mark)?.is_some_and(|size| size > 0);
        if signed || !begun(place)?.is_empty() {
            return Err(unusable(&place.key, &"it is gone, and it has signed the log; put it back from a copy"));
        }
        let (key, mark) = (Key::generate()?, Mark::first(origin(place, month)));
        if let Some(folder) = place.mark.parent() {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
        }
        mark.write(&place.mark, &key)?;
        key.keep(&place.key)?;
        Ok(Self { key, mark })
    }

    /// The month that goes on; `None` if none was ever signed.
    pub(super) fn take_up(&self, place: &Place) -> Result<Option<Recovered>, Problem> {
        let begun = begun(place)?;
        let signs = |name: &String| place.folder.join(name).join("checkpoint").exists();
        self.reaches(place, &begun)?;
        let running = begun.iter().rposition(signs);
        let (before, after) = begun.split_at(running.map_or(0, |at| at + 1));
        for name in after {
            let folder = place.folder.join(name);
            if !only_begun(&folder).map_err(|error| unwritable(&folder, &error))? {
                return Err(damaged(format!("{} has lines, and no checkpoint", origin(place, name))));
            }
        }
        let recovered = match before.split_last() {
            None => None,
            Some((running, older)) => {
                let read = Read::open(&place.folder, &place.domain, running, &self.key, &self.mark)?;
                let older = self.chain(place, older, &read)?;
                older.into_iter().try_for_each(Older::mend)?;
                Some(Recovered::take_up(read)?)
            }
        };
        after
            .iter()
            .try_for_each(|name| discard(&place.folder, name))
            .map_err(|error| unwritable(&place.folder, &error))?;
        Ok(recovered)
    }

    /// Whether the month that the mark speaks of is there, and signed.
    fn reaches(&self, place: &Place, begun: &[String]) -> Result<(), Problem> {
        let (marked, size) = (self.mark.shard(), self.mark.checkpoint.size);
        let (origin, folder) = (&self.mark.checkpoint.origin, place.folder.join(marked));
        if !self.mark.has_lines() || folder.join("checkpoint").exists() {
            return Ok(());
        }
        let what = if begun.iter().any(|name| name == marked) { "its checkpoint" } else { "the log" };
        Err(Problem::new(Code::AuditShortened, format!("{size} lines of {origin} were signed, and {what} is gone")))
    }

    /// Whether each month begins with the checkpoint by which the one before it ended, and the first one with none, or with
    /// that of a month which the gateway removed.
    fn chain(&self, place: &Place, older: &[String], running: &Read) -> Result<Vec<Older>, Problem> {
        let (mut later, mut begins) = (running.origin().to_owned(), previous(running.first()));
        let mut months = Vec::new();
        for name in older.iter().rev() {
            let month = Older::open(&place.folder, &place.domain, name, &self.key)?;
            let ended = &month.signed;
            if begins.as_deref() != Some(ended.text.as_str()) {
                return Err(damaged(breaks(&later, &ended.checkpoint.origin, begins.as_deref())));
            }
            if self.mark.shard() == name && self.mark.has_lines() && self.mark.checkpoint != ended.checkpoint {
                let what =
                    format!("{later} has begun, and {} did not end with what was signed last", ended.checkpoint.origin);
                return Err(damaged(what));
            }
            (later, begins) = (ended.checkpoint.origin.clone(), previous(&month.first));
            months.push(month);
        }
        match begins {
            Some(begins) if !self.removed(place, &begins, running, older)? => {
                let gone = begins.lines().next().unwrap_or_default();
                let what = format!("{gone} is not there, and no line says that the gateway removed it");
                Err(Problem::new(Code::AuditShortened, what))
            }
            _ => Ok(months),
        }
    }

    /// Whether a line says that the month which ended with this checkpoint was removed.
    fn removed(&self, place: &Place, ended: &str, running: &Read, older: &[String]) -> Result<bool, Problem> {
        let says = |leaf: &Value| leaf.get("checkpoint").and_then(Value::as_str) == Some(ended);
        let read = |line: &Vec<u8>| serde_json::from_slice(line).unwrap_or_default();
        if running.removals().iter().map(read).any(|leaf| says(&leaf)) {
            return Ok(true);
        }
        let wanted =
            Wanted { members: vec![("operation", leaf::REMOVED.to_owned())], limit: usize::MAX, ..Wanted::default() };
        for name in older.iter().rev() {
            let (files, key) = (Files::at(place.folder.join(name)), self.key.verifying(&origin(place, name)));
            let found = files.search(&wanted, &key)?;
            if found.iter().any(|found| says(&found.leaf) && files.prove(found.index, &key).is_ok()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What is wrong if a month does not begin as the one before it ended.
pub(crate) fn breaks(later: &str, before: &str, begins: Option<&str>) -> String {
    let said = begins.and_then(|begins| begins.lines().next()).unwrap_or("no month");
    if said == before {
        return format!("{later} does not begin with the checkpoint by which {before} ended");
    }
    format!("{later} follows {said} by its first line, and {before} is what lies before it")
}

/// The checkpoint that a month's first line holds.
fn previous(first: &[u8]) -> Option<String> {
    let leaf: Value = serde_json::from_slice(first).unwrap_or_default();
    leaf.get("previous").and_then(Value::as_str).map(ToOwned::to_owned)
}

fn origin(place: &Place, shard: &str) -> String {
    format!("{}/audit/{shard}", place.domain)
}

/// The months that hold anything, the oldest first.
fn begun(place: &Place) -> Result<Vec<String>, Problem> {
    let mut names = names(&place.folder).map_err(|error| unwritable(&place.folder, &error))?;
    names.retain(|name| {
        ["entries", "checkpoint", "synced", "hashes.0"].iter().any(|file| place.folder.join(name).join(file).exists())
    });
    Ok(names)
}

/// Takes a month away that was only begun.
fn discard(log: &Path, name: &str) -> io::Result<()> {
    sweep(log)?;
    fs::rename(log.join(name), log.join(format!("{name}.{LEAVING}")))?;
    sweep(log)
}
