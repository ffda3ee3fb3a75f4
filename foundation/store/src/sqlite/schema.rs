//! What lies in the file: the mark that says whose it is, the tables, and how an older file becomes a newer one.
//!
//! Opening goes in two steps. The file is judged first, on a connection that can neither write nor check-point; only
//! then is it configured and migrated. Migrations go forward only, each in one transaction, counted by `user_version`.
//! Each facet owns its tables.

use std::path::Path;
use std::time::Duration;

use moongate_core::Problem;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{file, health};

/// "MOON" in the header's `application_id`.
pub(super) const APPLICATION_ID: i32 = 0x4d4f_4f4e;

/// The schema that this program writes: the number of migrations.
pub(super) const VERSION: i32 = 3;

/// Step `n` leads from schema `n` to `n + 1`. Never change one that has been released; add another.
const MIGRATIONS: [&str; VERSION as usize] = [
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE registry (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, document BLOB NOT NULL,
        beat_at INTEGER, updated_at INTEGER NOT NULL) STRICT;
",
    include_str!("schema/tasks.sql"),
    "
    CREATE TABLE record (
        kind TEXT NOT NULL, key TEXT NOT NULL, belongs TEXT, value BLOB NOT NULL, expires_at INTEGER,
        PRIMARY KEY (kind, key)) STRICT, WITHOUT ROWID;
    CREATE INDEX record_belongs ON record (kind, belongs, key) WHERE belongs IS NOT NULL;
    CREATE INDEX record_expires ON record (expires_at) WHERE expires_at IS NOT NULL;
",
];

/// Statements that a connection keeps compiled; more than there are.
const STATEMENTS: usize = 128;

/// Pages that a connection keeps in memory, in KiB; the rest is the operating system's, so that memory does not grow with
/// the file.
const WRITER_CACHE: i64 = 4096;
const READER_CACHE: i64 = 1024;

/// Files up to this size are checked page by page when they are opened; of larger ones only what is read is checked,
/// since a start should not take minutes.
const CHECKED_BYTES: i64 = 64 << 20;

/// The log is copied into the file when it has so many pages (64 MiB): a page that many tasks touch, such as those of
/// indexes, is then written once for all of them.
const LOG_PAGES: i64 = 16_000;

/// How long a statement waits for another connection of this process, which holds locks for moments only.
const BUSY: Duration = Duration::from_secs(5);

/// Opens the file for writing, judges it, and brings it up to [`VERSION`].
///
/// # Errors
/// `StoreUnusable`, `StoreDamaged` or `StoreNewer`, and the file is as it was.
pub(super) fn open(path: &Path) -> Result<Connection, Problem> {
    let failed = |error: rusqlite::Error| health::problem_at(path, &error);
    let mut connection = connect(path).map_err(failed)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(file::unusable(path, "this account may not write it"));
    }
    let look_only = |on: bool| -> rusqlite::Result<()> {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on)?;
        connection.pragma_update(None, "query_only", on)
    };
    look_only(true).map_err(failed)?;
    let version = judge(&connection, path)?;
    look_only(false).map_err(failed)?;
    configure(&connection, version).map_err(failed)?;
    migrate(&mut connection, version).map_err(failed)?;
    Ok(connection)
}

/// A further connection, which cannot write.
///
/// # Errors
/// `StoreUnusable` if SQLite cannot open another one.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Problem> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE)?;
        Ok(connection)
    };
    open().map_err(|error| health::problem_at(path, &error))
}

/// The version of the program that last migrated the file, as far as it can be read without leaving a trace.
pub(super) fn written_by(path: &Path) -> Option<String> {
    let mut uri = String::from("file:");
    for byte in path.to_str()?.bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri + "?immutable=1", flags).ok()?;
    connection.query_row("SELECT value FROM meta WHERE key = 'written_by'", [], |row| row.get(0)).ok()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // No SQLITE_OPEN_CREATE: whoever opens has made the file. No URI: a path is a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan never depends on the values: otherwise statements with a limit are compiled anew each time that one is bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Whose is it, is it whole, and which schema does it have? 0 for a file without tables.
///
/// # Errors
/// `StoreDamaged`, `StoreNewer`.
pub(super) fn judge(connection: &Connection, path: &Path) -> Result<i32, Problem> {
    let failed = |error: rusqlite::Error| health::problem_at(path, &error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let size = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    let version = i32::try_from(number("PRAGMA user_version")?).unwrap_or(i32::MAX);
    let ours = application == i64::from(APPLICATION_ID);
    if !ours && (tables > 0 || application != 0) {
        return Err(file::damaged(path, "it is the database of another program"));
    }
    if ours && version > VERSION {
        let found = connection.query_row("SELECT value FROM meta WHERE key = 'written_by'", [], |row| row.get(0));
        return Err(file::newer(path, version, found.ok()));
    }
    if size <= CHECKED_BYTES {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(file::damaged(path, &format!("it is damaged ({})", verdict.replace('\n', " "))));
        }
    }
    if ours && !(1..=VERSION).contains(&version) {
        return Err(file::damaged(path, "its schema has no number"));
    }
    Ok(if ours { version } else { 0 })
}

fn configure(connection: &Connection, version: i32) -> rusqlite::Result<()> {
    if version == 0 {
        // Must come before the first table; lets pages go back to the disk in small steps.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", mode)?;
    if mode != "wal" {
        tracing::warn!(mode, "the store's disk does not support a write-ahead log; writes will be slow");
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE)?;
    #[cfg(target_os = "macos")]
    for pragma in ["fullfsync", "checkpoint_fullfsync"] {
        connection.pragma_update(None, pragma, true)?;
    }
    Ok(())
}

fn migrate(connection: &mut Connection, from: i32) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or(0);
    for (step, sql) in (1..).zip(MIGRATIONS).skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step)?;
        let written_by = env!("CARGO_PKG_VERSION");
        transaction.execute("INSERT OR REPLACE INTO meta VALUES ('written_by', ?1)", [written_by])?;
        transaction.commit()?;
    }
    if from < VERSION {
        // From now on the file itself says whose it is, not only its log.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}
