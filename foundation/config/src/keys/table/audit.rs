//! The rows of `[audit]`.

use super::{Kind, NeedsRestart, Section, open};

pub(super) static AUDIT: Section = Section {
    name: "audit",
    doc: "The log of what was asked, decided and done: every line is a leaf of a Merkle tree whose root is signed, so that nobody changes it quietly.",
    keys: &[
        open(
            "on",
            Kind::Flag,
            "true",
            NeedsRestart,
            "Whether it is kept; unless set, it is where the store is a file.",
        ),
        open(
            "dir",
            Kind::Path,
            "\"audit\"",
            NeedsRestart,
            "Its folder; `audit` in `data_dir` unless set. The key that signs it stays in `data_dir`, and so does the note of how far it was signed.",
        ),
    ],
};
