//! The rows of `[audit]`.

use super::{DAY, Kind, NeedsRestart, Section, key, open};

pub(crate) static AUDIT: Section = Section {
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
        open(
            "keep_months",
            Kind::Integer(1, 1200),
            "24",
            NeedsRestart,
            "So many months are kept besides the running one; older ones are removed as a whole, and a line with their last checkpoint stays. All are kept unless set.",
        ),
        key(
            "witness_seconds",
            Kind::Seconds(1.0, DAY),
            "60",
            NeedsRestart,
            "Witnesses are sent the newest checkpoint this often at most, and only if it has grown.",
        ),
        open(
            "witnesses",
            Kind::Tables(&WITNESS),
            "[{ name = \"car\", url = \"https://witness.example\", key = \"witness.example/w1+326cc343+BOwmJ8WBabty6qnjCfF5zNTUE7xDJ7PI/D1u2UYDwfys\" }]",
            NeedsRestart,
            "Who signs this log's checkpoints, too, so that rewriting it needs them.",
        ),
        open(
            "cosigns",
            Kind::Tables(&COSIGNED),
            "[{ origin = \"car.example/audit\", key = \"car.example/audit/2026-11+62e54815+AewmJ8WBabty6qnjCfF5zNTUE7xDJ7PI/D1u2UYDwfys\" }]",
            NeedsRestart,
            "The logs of others whose checkpoints this gateway signs, at `/audit/witness/add-checkpoint`.",
        ),
    ],
};

static WITNESS: Section = Section {
    name: "audit.witnesses",
    doc: "Somebody who signs this log's checkpoints, too (C2SP tlog-witness): a public witness, or another Moongate.",
    keys: &[
        open("name", Kind::Text, "\"car\"", NeedsRestart, "What it is called here."),
        open(
            "url",
            Kind::Url,
            "\"https://witness.example\"",
            NeedsRestart,
            "Where it is asked: `/add-checkpoint` is put behind it. Another Moongate's ends with `/audit/witness`.",
        ),
        open(
            "key",
            Kind::Text,
            "\"witness.example/w1+326cc343+BOwmJ8WBabty6qnjCfF5zNTUE7xDJ7PI/D1u2UYDwfys\"",
            NeedsRestart,
            "Its public key (C2SP signed-note, `cosignature/v1`). What is not signed by it counts for nothing.",
        ),
    ],
};

static COSIGNED: Section = Section {
    name: "audit.cosigns",
    doc: "A log of somebody else whose checkpoints this gateway signs if they are the same log grown.",
    keys: &[
        open(
            "origin",
            Kind::Text,
            "\"car.example/audit\"",
            NeedsRestart,
            "Its name; without the month, it is every month of a Moongate's log.",
        ),
        open(
            "key",
            Kind::Text,
            "\"car.example/audit/2026-11+62e54815+AewmJ8WBabty6qnjCfF5zNTUE7xDJ7PI/D1u2UYDwfys\"",
            NeedsRestart,
            "Its public key (C2SP signed-note), of whichever month.",
        ),
    ],
};
