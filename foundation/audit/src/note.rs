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
    pub(crate) fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Signs it; the key bears the name of the log.
    pub fn sign(self, key: &Key) -> Signed {
        let text = self.note("", key);
        Signed { checkpoint: self, text }
    }

    /// The signed note with a further line: what is never published as a checkpoint.
    pub(crate) fn note(&self, more: &str, key: &Key) -> String {
        let body = self.body() + more;
        let mut signature = key.verifying(&self.origin).id().to_vec();
        signature.extend_from_slice(&key.sign(body.as_bytes()));
        format!("{body}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(signature))
    }
}

impl Signed {
    /// Reads a note and believes it if this key has signed it. Signatures of others, as of witnesses, are no concern.
    pub fn open(note: &[u8], key: &VerifyingKey) -> Option<Self> {
        let text = std::str::from_utf8(note).ok()?;
        let parts = Parts::of(text)?;
        let signed =
            !key.cosigns() && parts.signatures(key).any(|signature| key.verifies(parts.body.as_bytes(), &signature));
        let checkpoint = parts.checkpoint()?;
        (signed && checkpoint.origin == key.name()).then(|| Self { checkpoint, text: text.to_owned() })
    }
}

/// A note taken apart.
pub(crate) struct Parts<'n> {
    /// What is signed, with its last line's end.
    pub(crate) body: &'n str,
    below: &'n str,
}

impl<'n> Parts<'n> {
    pub(crate) fn of(text: &'n str) -> Option<Self> {
        let at = text.rfind("\n\n")?;
        Some(Self { body: text.get(..=at)?, below: text.get(at + 2..)? })
    }

    /// What it says; nothing of it is believed.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let mut lines = self.body.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let named = !origin.is_empty();
        Some(Checkpoint { origin: origin.to_owned(), size: number(size)?, root: Hash::parse(root)? }).filter(|_| named)
    }

    /// What stands below in the name of that key, without the id.
    pub(crate) fn signatures(&self, key: &VerifyingKey) -> impl Iterator<Item = Vec<u8>> {
        let (name, own) = (key.name().to_owned(), key.id());
        self.below.lines().filter_map(move |line| {
            let (signer, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = STANDARD.decode(signature).ok()?;
            let (id, signature) = bytes.split_at_checked(4)?;
            (signer == name && id == own).then(|| signature.to_vec())
        })
    }
}

/// A decimal number as it is written in one way only.
pub(crate) fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| plain)
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
