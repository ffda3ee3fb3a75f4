//! The section `[audit]`.

use std::path::PathBuf;
use std::time::Duration;

/// The log that nobody can change quietly, as far as the file says something of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whether it is kept; unless said, it is where the store is a file.
    pub on: Option<bool>,
    /// Its folder; unless said, `audit` in `data_dir`.
    pub dir: Option<PathBuf>,
    /// So many months are kept besides the running one; all unless said.
    pub keep_months: Option<u32>,
    /// Witnesses are asked this often at most.
    pub witness_seconds: Duration,
    /// Who signs its checkpoints, too.
    pub witnesses: Vec<Witness>,
    /// The logs of others whose checkpoints this gateway signs.
    pub cosigns: Vec<Cosigned>,
}

/// Somebody who signs this log's checkpoints, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What it is called here.
    pub name: String,
    /// Where it is asked: `/add-checkpoint` is put behind it.
    pub url: String,
    /// Its public key, as it says it itself.
    pub key: String,
}

/// A log of somebody else whose checkpoints this gateway signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Its name, or the beginning of its months' names.
    pub origin: String,
    /// Its public key.
    pub key: String,
}
