//! The engine that forgets: maps behind locks.

mod index;
mod push;
mod queue;
mod records;
mod registry;
mod tasks;

use std::future::ready;
use std::path::PathBuf;

use moongate_core::seam::records::Records;
use moongate_core::seam::tasks::Tasks;
use moongate_core::seam::{Later, Registry, Store};
use moongate_core::{Code, Problem};
use parking_lot::Mutex;

use records::Sheet;
use registry::Entries;
use tasks::Rows;

/// Keeps everything until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    registry: Mutex<Entries>,
    tasks: Mutex<Rows>,
    records: Mutex<Sheet>,
}

impl Store for Memory {
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
        Box::pin(ready(Ok(Vec::new())))
    }

    fn backup(&self, _to: PathBuf) -> Later<'_, Result<(), Problem>> {
        Box::pin(ready(Err(nothing_to_copy())))
    }

    fn health(&self) -> Result<(), Problem> {
        Ok(())
    }
}

/// Why there is no backup.
pub(crate) fn nothing_to_copy() -> Problem {
    Problem::new(Code::StoreUnusable, "a store in memory has nothing to copy")
}
