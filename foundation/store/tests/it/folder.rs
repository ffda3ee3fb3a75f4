//! A folder for one test, removed at its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_core::seam::Store;
use moongate_core::{Code, Problem};

/// Exists until dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("moongate-store-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Opens the store `m.db` in it.
    pub(crate) fn open(&self) -> Result<Arc<dyn Store>, Problem> {
        // A lock without a name in it was left in good order.
        let left = |problem: &Problem| problem.code == Code::StoreLocked && !problem.detail.contains("by process");
        again_while(left, || open(&self.0))
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens the store `m.db` of this folder, in which only processes that are gone have written.
pub(crate) fn reopen(folder: &Path) -> Arc<dyn Store> {
    again_while(|problem: &Problem| problem.code == Code::StoreLocked, || open(folder)).unwrap()
}

fn open(folder: &Path) -> Result<Arc<dyn Store>, Problem> {
    moongate_store::open("sqlite:m.db", folder)
}

/// A process that another test forks has every file that is open here, locks too, until it has become another program.
/// What fails for this reason is tried again.
pub(crate) fn again_while<T, E>(passes: impl Fn(&E) -> bool, mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..1_000_000 {
        match work() {
            Err(error) if passes(&error) => std::thread::yield_now(),
            end => return end,
        }
    }
    work()
}
