//! SQLite: one file, one process.
//!
//! - A lock beside the file refuses a second process ([`mod@file`]); what is no store of ours is refused before anything
//!   writes to it ([`schema`]).
//! - One thread owns the writing connection and commits in groups ([`writer`]); two threads read ([`reader`]), so that
//!   no task of the runtime ever waits for the disk. What takes long has a thread and a connection of its own
//!   ([`mod@aside`]): copies ([`mod@copy`]) and inspections ([`mod@inspect`]).
//! - Write-ahead log, `synchronous=FULL`: what was answered survives a loss of power, as far as the disk tells the truth.
//! - Failures of the disk make the store unhealthy until a write succeeds again; a damaged file stops it for good
//!   ([`health`]). Nothing is ever deleted or made anew.

mod aside;
mod copy;
mod file;
mod health;
mod inspect;
mod reader;
mod records;
mod registry;
mod schema;
mod tally;
mod tasks;
mod value;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use moongate_core::Problem;
use moongate_core::seam::records::Records;
use moongate_core::seam::tasks::Tasks;
use moongate_core::seam::{Later, Registry, Store};
use rusqlite::config::DbConfig;

use aside::Aside;
use health::Health;
use reader::Readers;
use tally::Tally;
use writer::Writer;

/// An open file. Fields are dropped in this order: the writer closes the file after everybody else, the lock goes last.
pub(crate) struct Sqlite {
    aside: Aside,
    readers: Readers,
    writer: Writer,
    health: Arc<Health>,
    tally: Arc<Tally>,
    _lock: file::Lock,
}

impl Sqlite {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let path = file::canonical(path)?;
        let lock = file::Lock::take(&path)?;
        file::prepare(&path)?;
        let connection = schema::open(&path)?;
        let health = Arc::new(Health::default());
        let readers = Readers::start(&path, &health)?;
        let tally = Arc::new(Tally::default());
        let writer = Writer::start(connection, health.clone(), tally.clone())?;
        let aside = Aside::new(path);
        Ok(Self { aside, readers, writer, health, tally, _lock: lock })
    }
}

/// Copies a file that nobody has open.
pub(crate) fn copy_closed(path: &Path, to: &Path) -> Result<(), Problem> {
    let path = file::canonical(path)?;
    if !path.exists() {
        return Err(file::unusable(&path, "there is no such file"));
    }
    let _lock = file::Lock::take(&path)?;
    file::prepare(&path)?;
    let connection = schema::open_reader(&path)?;
    // The log stays a log.
    let left = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    left.map_err(|error| health::problem_at(&path, &error))?;
    schema::judge(&connection, &path)?;
    copy::copy(&connection, to, &AtomicBool::new(false))
}

impl Store for Sqlite {
    fn registry(&self) -> &dyn Registry {
        self
    }

    fn tasks(&self) -> &dyn Tasks {
        self
    }

    fn records(&self) -> &dyn Records {
        self
    }

    fn inspect(&self) -> Later<'_, Result<Vec<String>, Problem>> {
        Box::pin(self.aside.start("store-inspect", inspect::inspect))
    }

    fn backup(&self, to: PathBuf) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.aside.start("store-backup", move |connection, closing| copy::copy(connection, &to, closing)))
    }

    fn health(&self) -> Result<(), Problem> {
        self.health.check()
    }
}
