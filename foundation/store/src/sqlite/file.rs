//! The file from outside, before SQLite touches it: may we have it, and is it ours?

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use moongate_core::{Code, Problem};

use super::schema;

/// The file's own name, links resolved, so that two names of one file share one lock.
///
/// # Errors
/// `StoreUnusable` if the folder does not exist or something else than a file stands there.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, Problem> {
    match fs::canonicalize(path) {
        Ok(found) if found.is_dir() => Err(unusable(&found, "it is a folder")),
        Ok(found) => Ok(found),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(unusable(path, "it has no name"));
            };
            let folder = fs::canonicalize(folder).map_err(|error| unusable(path, &format!("its folder: {error}")))?;
            Ok(folder.join(name))
        }
        Err(error) => Err(unusable(path, &error.to_string())),
    }
}

/// Holds the file for this handle alone, until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Locks `<path>.lock`, without waiting.
    ///
    /// # Errors
    /// `StoreLocked` if somebody holds it, `StoreUnusable` if the folder cannot be written or knows no locks.
    pub(super) fn take(path: &Path) -> Result<Self, Problem> {
        let beside = beside(path, ".lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&beside);
        let mut file = opened.map_err(|error| cannot_write(path, &error))?;
        match file.try_lock() {
            Ok(()) => {
                // For whoever is refused; the lock does not depend on it.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(20).read_to_string(&mut holder);
                let holder = holder.parse::<u32>().map(|pid| format!(" by process {pid}")).unwrap_or_default();
                Err(Problem::new(Code::StoreLocked, format!("the store {} is in use{holder}", path.display())))
            }
            Err(TryLockError::Error(error)) => {
                let why = format!("its folder knows no locks ({error}); a network file system cannot hold a store");
                Err(unusable(path, &why))
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

/// Makes the file if there is none, readable for this account only; else judges its first bytes.
///
/// # Errors
/// `StoreUnusable`, `StoreDamaged` or `StoreNewer`, and the file is as it was.
pub(super) fn prepare(path: &Path) -> Result<(), Problem> {
    match new(path) {
        Ok(_) => sync_folder(path).map_err(|error| cannot_write(path, &error)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => judge(path),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Makes an empty file, readable for this account only; fails if something stands there.
pub(super) fn new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The name of a new file is durable once its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        #[cfg(unix)]
        Some(folder) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Judges the header (SQLite file format §1.3) by hand, since SQLite leaves files beside a database that it opens. While
/// a write-ahead log lies there, the header may be behind it, and [`schema::open`] has the last word.
fn judge(path: &Path) -> Result<(), Problem> {
    let unreadable = |error: io::Error| unusable(path, &error.to_string());
    let mut header = Vec::new();
    File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)).map_err(unreadable)?;
    if header.is_empty() {
        return Ok(());
    }
    let word = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    let (Some(version), Some(application)) = (word(60), word(68)) else {
        return Err(damaged(path, "it is too short for a database"));
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged(path, "it is not a SQLite database"));
    }
    if fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        return Ok(());
    }
    match application {
        // Made, but never written to; or another program's: seen when it is open.
        0 => Ok(()),
        schema::APPLICATION_ID if version > schema::VERSION => Err(newer(path, version, schema::written_by(path))),
        schema::APPLICATION_ID => Ok(()),
        _ => Err(damaged(path, "it is the database of another program")),
    }
}

/// A file beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The file cannot be used, for this reason.
pub(super) fn unusable(path: &Path, why: &str) -> Problem {
    Problem::new(Code::StoreUnusable, format!("the store {} cannot be used: {why}", path.display()))
}

/// The file is damaged or not ours.
pub(super) fn damaged(path: &Path, why: &str) -> Problem {
    Problem::new(Code::StoreDamaged, format!("the store {} is left untouched: {why}", path.display()))
}

/// The file has a schema from the future.
pub(super) fn newer(path: &Path, version: i32, written_by: Option<String>) -> Problem {
    let writer = written_by.map(|version| format!(" by Moongate {version}")).unwrap_or_default();
    let (path, known) = (path.display(), schema::VERSION);
    let detail =
        format!("the store {path} was written{writer} with schema {version}; this version knows up to {known}");
    Problem::new(Code::StoreNewer, detail)
}

fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    let folder = path.parent().unwrap_or(path).display();
    unusable(path, &format!("its folder {folder} cannot be written ({error})"))
}
