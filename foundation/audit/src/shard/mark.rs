//! The mark beside the key and outside of the log's folder: how far the log was signed, and whether it was closed with that.
//!
//! It is a note that the log's key has signed, so that nobody writes one who has not the key. Its last line tells it from a
//! checkpoint: `running` while lines may come behind the last one that is signed, as a gateway that is killed leaves them, and
//! `closed` once there are none. A log that was put back from a backup falls short of it; lines that were put behind the end of
//! a log that was closed are none of the gateway's.

use std::path::Path;

use moongate_core::{Code, Problem};

use crate::file;
use crate::hash::Hash;
use crate::key::{Key, VerifyingKey};
use crate::log::is_shard;
use crate::note::{Checkpoint, Parts, Signed};
use crate::{damaged, unwritable};

const RUNNING: &str = "running\n";
const CLOSED: &str = "closed\n";

/// The last root that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) checkpoint: Checkpoint,
    /// No line came behind it.
    pub(crate) closed: bool,
}

impl Mark {
    /// That of a log that has no line yet.
    pub(crate) fn first(origin: String) -> Self {
        Self { checkpoint: Checkpoint { origin, size: 0, root: Hash::empty() }, closed: false }
    }

    /// Signs it and puts it there.
    pub(crate) fn write(&self, path: &Path, key: &Key) -> Result<(), Problem> {
        let note = self.checkpoint.note(if self.closed { CLOSED } else { RUNNING }, key);
        file::replace(path, note.as_bytes()).map_err(|error| unwritable(path, &error))
    }

    /// The mark in that file; `None` if there is none. `key` bears the name of any of the log's months.
    pub(crate) fn read(path: &Path, key: &VerifyingKey) -> Result<Option<Self>, Problem> {
        let Some(text) = text(path)? else { return Ok(None) };
        let log = key.name().rsplit_once('/').map_or("", |(log, _)| log);
        let read = || {
            let parts = Parts::of(&text)?;
            let Checkpoint { origin, size, root } = parts.checkpoint()?;
            let (of, shard) = origin.rsplit_once('/')?;
            let state = parts.body.strip_prefix(format!("{origin}\n{size}\n{root}\n").as_str())?;
            let closed = state == CLOSED;
            let signed = Signed::open(text.as_bytes(), &key.named(&origin))?;
            let known = of == log && is_shard(shard) && (closed || state == RUNNING);
            known.then_some(Self { checkpoint: signed.checkpoint, closed })
        };
        let why =
            || damaged(format!("{} is not what this log's key has signed; put it back from a copy", path.display()));
        read().map(Some).ok_or_else(why)
    }

    /// The month that it speaks of.
    pub(crate) fn shard(&self) -> &str {
        self.checkpoint.origin.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it speaks of lines.
    pub(crate) fn has_lines(&self) -> bool {
        self.checkpoint.size > 0
    }
}

/// How many lines the mark in that file says were signed, whoever says so; `None` if there is none.
pub(crate) fn claimed(path: &Path) -> Result<Option<u64>, Problem> {
    let claimed =
        |text: String| Parts::of(&text).and_then(|parts| parts.checkpoint()).map_or(u64::MAX, |said| said.size);
    Ok(text(path)?.map(claimed))
}

/// What is to be said of a key without a mark.
pub(crate) fn missing(mark: &Path, key: &Path) -> Problem {
    let detail = format!(
        "{} is not there, and {} is: a key belongs to one history. Put the mark back from a copy; to begin another log on \
         purpose, move the key and the folder away, both",
        mark.display(),
        key.display()
    );
    Problem::new(Code::AuditShortened, detail)
}

fn text(path: &Path) -> Result<Option<String>, Problem> {
    let bytes = file::read(path).map_err(|error| unwritable(path, &error))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
