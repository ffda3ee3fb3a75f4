//! Notices that the file, or a file that it names, has changed. Compares contents, not times: editors and secret mounts
//! replace files in ways that times do not show. Never sleeps; whoever polls decides how often.

use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;

use crate::load::Loaded;

/// A memory of what files held.
#[derive(Debug)]
pub struct Watch {
    files: Vec<(PathBuf, Option<u64>)>,
}

impl Watch {
    /// Remembers the configuration file as it was loaded, and its secrets and cards as they are now.
    pub fn new(loaded: &Loaded) -> Self {
        let mut files = vec![(loaded.path.clone(), Some(digest(loaded.text.as_bytes())))];
        files.extend(loaded.files.iter().map(|path| (path.clone(), read(path))));
        Self { files }
    }

    /// Whether a file holds something else than at the last call, or is gone or there again.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, known) in &mut self.files {
            let now = read(path);
            changed |= now != *known;
            *known = now;
        }
        changed
    }
}

fn read(path: &std::path::Path) -> Option<u64> {
    std::fs::read(path).ok().map(|bytes| digest(&bytes))
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
