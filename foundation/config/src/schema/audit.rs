//! The section `[audit]`.

use std::path::PathBuf;

/// The log that nobody can change quietly, as far as the file says something of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whether it is kept; unless said, it is where the store is a file.
    pub on: Option<bool>,
    /// Its folder; unless said, `audit` in `data_dir`.
    pub dir: Option<PathBuf>,
}
