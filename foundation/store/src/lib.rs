//! What is kept across restarts.
//!
//! One seam, `core::seam::Store`, and an engine for each need:
//!
//! | URL | engine | for |
//! |---|---|---|
//! | `sqlite:moongate.db` | SQLite in write-ahead mode, one writer with group commit | homes, cars, edge: one process, one file |
//! | `memory:` | a map | tests, demonstrations |
//!
//! Both promise the same: a write is durable when its future is ready (as far as the engine keeps anything at all), writes
//! happen in the order of the calls whether or not anybody waits for them, and a reader sees every write that was answered
//! before it asked. One suite of tests holds both to it (`tests/it/conformance.rs`, `tests/it/tasks/`), and so does a random
//! history that both must answer alike (`tests/it/model.rs`).
//!
//! What the rows mean is decided by the rooms that own them; documents are opaque here.

mod law;
mod location;
mod memory;
mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_core::Problem;
use moongate_core::seam::Store;

use location::Location;

/// Opens the store that `url` names; paths are relative to `base`.
///
/// The store closes when the last reference is dropped; everything that was asked for by then is written first.
///
/// # Errors
/// - `ConfigWrongValue`: the URL names no engine.
/// - `StoreUnusable`: the folder or the file cannot be written.
/// - `StoreLocked`: another process, or another part of this one, has it open.
/// - `StoreNewer`: a newer version of the program wrote it.
/// - `StoreDamaged`: the file is damaged, or belongs to another program.
///
/// In all of these cases the file keeps every byte it has.
pub fn open(url: &str, base: &Path) -> Result<Arc<dyn Store>, Problem> {
    match Location::parse(url, base)? {
        Location::Memory => Ok(Arc::new(memory::Memory::default())),
        Location::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(&path)?)),
    }
}

/// The file that `url` names, whether or not it exists; `None` for a store in memory.
///
/// # Errors
/// `ConfigWrongValue`: the URL names no engine.
pub fn file(url: &str, base: &Path) -> Result<Option<PathBuf>, Problem> {
    Ok(match Location::parse(url, base)? {
        Location::Memory => None,
        Location::Sqlite(path) => Some(path),
    })
}

/// Writes a copy of a store that nobody has open to a new file, whatever its version; the original stays as it is.
///
/// # Errors
/// - `ConfigWrongValue`: the URL names no engine.
/// - `StoreUnusable`: there is no such store, or the copy cannot be written.
/// - `StoreLocked`: somebody has it open; ask it for a backup instead.
/// - `StoreNewer`, `StoreDamaged`: it is not a store of this program, or of a newer one.
/// - `FileExists`: something stands where the copy was to be.
pub fn copy(url: &str, base: &Path, to: &Path) -> Result<(), Problem> {
    match Location::parse(url, base)? {
        Location::Memory => Err(memory::nothing_to_copy()),
        Location::Sqlite(path) => sqlite::copy_closed(&path, to),
    }
}
