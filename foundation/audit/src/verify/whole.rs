//! The log as a whole: what no month says of itself. Whether each follows the one before it, where the first one begins, and
//! whether what the mark beside the key speaks of is there.

use std::io;

use moongate_core::{Code, Problem};
use serde_json::Value;

use super::Finding;
use crate::file;
use crate::key::VerifyingKey;
use crate::log::{Place, breaks, names};
use crate::read::Files;
use crate::shard::{Mark, mark};
use crate::unwritable;

/// What is wrong with a gateway's own log beside the lines of its months, which are `months`. `key` bears the name of any of them.
///
/// # Errors
/// - `AuditOff`: there is no log at all, and never was one.
/// - `AuditUnwritable`: the files cannot be read.
pub fn whole(place: &Place, key: &VerifyingKey) -> Result<Vec<Finding>, Problem> {
    let found = |what: String| Finding { line: None, what };
    let months = match names(&place.folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names.map_err(|error| unwritable(&place.folder, &error))?,
    };
    let files = |name: &String| Files::at(place.folder.join(name));
    let months: Vec<String> = months.into_iter().filter(|name| !files(name).only_begun()).collect();
    let mut findings = Vec::new();
    match Mark::read(&place.mark, key) {
        Err(problem) => findings.push(found(problem.detail.into_owned())),
        Ok(None) if place.key.exists() => {
            findings.push(found(mark::missing(&place.mark, &place.key).detail.into_owned()))
        }
        Ok(None) => {}
        Ok(Some(mark)) if mark.has_lines() && !months.iter().any(|name| name == mark.shard()) => {
            let (size, origin) = (mark.checkpoint.size, &mark.checkpoint.origin);
            findings.push(found(format!("{size} lines of {origin} were signed, and the log is gone")));
        }
        Ok(Some(_)) => {}
    }
    if months.is_empty() && findings.is_empty() {
        return Err(Problem::new(Code::AuditOff, format!("there is no audit log in {}", place.folder.display())));
    }
    let files: Vec<Files> = months.iter().map(files).collect();
    // What is wrong with files that cannot be read is told of their month.
    if let Ok(Beginning::Gone(origin)) = beginning(&files) {
        findings.push(found(format!("{origin} is not there, and no line says that the gateway removed it")));
    }
    Ok(findings)
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
    let origin = |note: &[u8]| String::from_utf8_lossy(note).lines().next().unwrap_or_default().to_owned();
    let later = files.note().map(|note| origin(&note))?;
    let what = || breaks(&later, &origin(&last), Some(said));
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
