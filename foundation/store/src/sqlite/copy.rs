//! A copy of the whole store as of one moment, while it goes on working.
//!
//! It is read in one snapshot, which holds up no writer (the write-ahead log grows until the copy is done), and written
//! under another name first: a file with the name that was asked for is whole.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moongate_core::{Code, Problem};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::file;
use super::health::refused;

/// Pages between two looks at whether the store is closing.
const STEP: i32 = 1024;

/// Copies what `connection` sees into a new file.
///
/// # Errors
/// `FileExists` if something stands there already; `StoreUnusable` if it cannot be written, and then nothing is left.
pub(super) fn copy(connection: &Connection, to: &Path, closing: &AtomicBool) -> Result<(), Problem> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(exists(to));
    }
    let unfinished = Unfinished::create(to)?;
    let copied = pages(connection, &unfinished.0, closing).map_err(|error| failed(to, &error))?;
    if !copied {
        return Err(refused(false));
    }
    unfinished.publish(to)
}

/// Copies the pages; whether all of them.
fn pages(connection: &Connection, to: &Path, closing: &AtomicBool) -> rusqlite::Result<bool> {
    let snapshot = connection.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags)?;
    // It is flushed once, when it is whole, and thrown away if it does not become so.
    target.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    target.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&snapshot, &mut target)?;
    while !closing.load(Ordering::SeqCst) {
        if backup.step(STEP)? == StepResult::Done {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A file that is being written; removed if it does not become the copy.
struct Unfinished(PathBuf);

impl Unfinished {
    /// Beside the copy, readable for this account only.
    fn create(to: &Path) -> Result<Self, Problem> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = file::beside(to, &format!(".{process}-{count}.partial"));
        file::new(&path).map_err(|error| failed(to, &error))?;
        Ok(Self(path))
    }

    fn publish(self, to: &Path) -> Result<(), Problem> {
        let flushed = OpenOptions::new().write(true).open(&self.0).and_then(|file| file.sync_all());
        let published = flushed.and_then(|()| self.link(to)).and_then(|()| file::sync_folder(to));
        published
            .map_err(|error| if error.kind() == ErrorKind::AlreadyExists { exists(to) } else { failed(to, &error) })
    }

    /// Gives it its name, unless that has been taken meanwhile.
    fn link(&self, to: &Path) -> io::Result<()> {
        match fs::hard_link(&self.0, to) {
            // Some file systems of memory sticks have no links. An empty file holds the name for a moment then.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                file::new(to)?;
                fs::rename(&self.0, to)
            }
            end => end,
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn exists(to: &Path) -> Problem {
    Problem::new(Code::FileExists, format!("{} exists already", to.display()))
}

fn failed(to: &Path, error: &dyn std::error::Error) -> Problem {
    Problem::new(Code::StoreUnusable, format!("the copy {} cannot be written: {error}", to.display()))
}
