//! The record that nobody can change quietly (draft, *Security Considerations*: "audit logs … MUST be tamper-proof").
//!
//! Every line is a leaf of a Merkle tree (RFC 6962), and the root of the tree is signed now and then. Who has kept one signed
//! root can tell whether the log that is shown later is the same log grown longer; who has one line can prove that it is in
//! it. The formats are public ones, so the proof needs none of this code: C2SP tlog-tiles, tlog-checkpoint, signed-note.
//!
//! | file of a shard (a month) | holds | truth or derived |
//! |---|---|---|
//! | `entries` | every line behind its length: C2SP's entry bundles end to end | **truth** |
//! | `synced` | how many bytes of it were flushed for certain | truth |
//! | `checkpoint` | the last signed root | truth |
//! | `witnessed.*` | the last checkpoint that each witness signed, too | truth |
//! | `vkey` | the public key, to read it with | derived |
//! | `hashes.0`, `hashes.1`, … | the tiles of each level end to end | derived |
//! | `offsets` | where every 256th line begins | derived |
//!
//! A tile is a slice of one of these files, so serving and exporting it copies bytes, and nothing is kept twice.
//!
//! - [`Log`] writes: one thread, one flush for all who wait ([`Log`]).
//! - [`Files`] reads, whether somebody writes or not: `verify`, `prove`, `search`, `export`, and what is served.
//!
//! What is written when is decided by the pipeline's stage *record* and by `moongate/src/wire_up/record.rs`.

mod export;
mod file;
mod hash;
mod key;
mod leaf;
mod log;
mod note;
mod proof;
mod read;
mod search;
mod shard;
mod source;
mod task;
mod tile;
mod tree;
mod verify;
mod witness;

pub use export::{Exported, export};
pub use hash::Hash;
pub use key::{Key, VerifyingKey};
pub use leaf::{CAP, RESULTS};
pub use log::{Log, Place, is_shard};
pub use note::{Checkpoint, Signed};
pub use proof::{check_growth, check_inclusion};
pub use read::{Files, Proven};
pub use search::{Found, Wanted, is_moment};
pub use task::{OfTask, speaks_of};
pub use tile::Tile;
pub use verify::{Beginning, Finding, Report, beginning, follows, verify, whole};
pub use witness::{Asked, Judgement, accepted, cosign, cosigned, judge};

use std::path::Path;

use moongate_core::{Code, Problem};

/// Nothing was changed, and this is why the log cannot be used.
fn damaged(detail: impl Into<String>) -> Problem {
    Problem::new(Code::AuditDamaged, detail.into())
}

/// The disk did not do what it was asked.
fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::AuditUnwritable, format!("the audit log in {} cannot be used: {error}", path.display()))
}
