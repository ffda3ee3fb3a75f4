//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint): a few lines of text that name the log, its size and its
//! root, and below them who signed that.
//!
//! ```text
//! home.example/audit/2026-11
//! 50000
//! 3uyz…
//!
//! — home.example/audit/2026-11 Az3g…
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::Hash;
use crate::key::{Key, VerifyingKey};

/// What is signed: a log and how far it had grown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `<domain>/audit/<shard>`.
    pub origin: String,
    /// How many lines.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// A checkpoint with its signatures, as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The whole note.
    pub text: String,
}

impl Checkpoint {
    fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Signs it; the key bears the name of the log.
    pub fn sign(self, key: &Key) -> Signed {
        let body = self.body();
        let verifying = key.verifying(&self.origin);
        let mut signature = verifying.id().to_vec();
        signature.extend_from_slice(&key.sign(body.as_bytes()));
        let text = format!("{body}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature));
        Signed { checkpoint: self, text }
    }
}

impl Signed {
    /// Reads a note and believes it if this key has signed it. Signatures of others, as of witnesses, are no concern.
    pub fn open(note: &[u8], key: &VerifyingKey) -> Option<Self> {
        let text = std::str::from_utf8(note).ok()?;
        let (body, signatures) = text.rsplit_once("\n\n").map(|(body, rest)| (format!("{body}\n"), rest))?;
        let signed = signatures.lines().any(|line| {
            let Some((name, signature)) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')) else {
                return false;
            };
            let Ok(bytes) = STANDARD.decode(signature) else { return false };
            let Some((id, signature)) = bytes.split_at_checked(4) else { return false };
            name == key.name() && id == key.id() && key.verifies(body.as_bytes(), signature)
        });
        let mut lines = body.lines();
        let (origin, size, root) = (lines.next()?.to_owned(), lines.next()?, lines.next()?);
        let plain = size == "0" || !size.starts_with(['0', '+']);
        let checkpoint = Checkpoint { origin, size: size.parse().ok().filter(|_| plain)?, root: Hash::parse(root)? };
        (signed && checkpoint.origin == key.name()).then(|| Self { checkpoint, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (Key, Signed) {
        let key = Key::generate().unwrap();
        let checkpoint = Checkpoint { origin: "home.example/audit/2026-11".into(), size: 7, root: Hash::empty() };
        let signed = checkpoint.sign(&key);
        (key, signed)
    }

    #[test]
    fn a_checkpoint_is_believed_from_its_own_key_only() {
        let (key, signed) = signed();
        let verifying = key.verifying("home.example/audit/2026-11");
        assert_eq!(Signed::open(signed.text.as_bytes(), &verifying), Some(signed.clone()));
        let again = VerifyingKey::parse(&verifying.to_string()).unwrap();
        assert_eq!(Signed::open(signed.text.as_bytes(), &again), Some(signed.clone()));
        let stranger = Key::generate().unwrap().verifying("home.example/audit/2026-11");
        assert_eq!(Signed::open(signed.text.as_bytes(), &stranger), None);
        let other_log = key.verifying("home.example/audit/2026-12");
        assert_eq!(Signed::open(signed.text.as_bytes(), &other_log), None);
    }

    #[test]
    fn a_changed_checkpoint_is_not_believed() {
        let (key, signed) = signed();
        let verifying = key.verifying("home.example/audit/2026-11");
        for changed in [
            signed.text.replacen("\n7\n", "\n8\n", 1),
            signed.text.replacen("\n7\n", "\n07\n", 1),
            signed.text.replacen("\n\n", "\n", 1),
            signed.text.replacen("home.example/audit/2026-11\n", "home.example/audit/2026-12\n", 1),
            String::new(),
        ] {
            assert_eq!(Signed::open(changed.as_bytes(), &verifying), None, "{changed}");
        }
    }

    #[test]
    fn further_signatures_below_do_not_disturb() {
        let (key, signed) = signed();
        let verifying = key.verifying("home.example/audit/2026-11");
        let witnessed = format!("{}\u{2014} witness.example AAAAAAAA\n", signed.text);
        assert_eq!(Signed::open(witnessed.as_bytes(), &verifying).unwrap().checkpoint, signed.checkpoint);
    }
}
