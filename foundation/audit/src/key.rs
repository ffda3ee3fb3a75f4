//! The key that signs checkpoints: Ed25519, in a file of its own that only this account can read.
//!
//! Nothing that is served reads the file; what others need is the public half, a line of text (C2SP signed-note:
//! `name+id+key`). A log has the name of its shard, so one key stands under a name for each month.

use std::fmt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_core::{Code, Problem};
use zeroize::Zeroizing;

use crate::file;

/// What signed-note puts before an Ed25519 key that signs notes.
const SIGNS: u8 = 1;
/// What it puts before one that cosigns checkpoints of others, with the time (C2SP tlog-cosignature).
const COSIGNS: u8 = 4;

/// The private key.
pub struct Key(Ed25519KeyPair);

impl Key {
    /// The key in that file; a new one is made if there is no file.
    ///
    /// # Errors
    /// `AuditKeyUnusable`: others can read the file, or it holds no key.
    pub fn load_or_make(path: &Path) -> Result<Self, Problem> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let key = Self::generate()?;
        key.keep(path)?;
        Ok(key)
    }

    /// Puts it into a file that was not there before.
    pub(crate) fn keep(&self, path: &Path) -> Result<(), Problem> {
        let bytes = |seed: aws_lc_rs::signature::Ed25519Seed<'_>| seed.as_be_bytes();
        let seed: Curve25519SeedBin<'_> =
            self.0.seed().and_then(bytes).map_err(|_| unusable(path, &"it has no seed"))?;
        let text = Zeroizing::new(format!("{}\n", STANDARD.encode(seed.as_ref())));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| unusable(path, &error))?;
        }
        file::create_private(path, text.as_bytes()).map_err(|error| unusable(path, &error))
    }

    /// The key in that file; `None` if there is none.
    ///
    /// # Errors
    /// As [`Key::load_or_make`].
    pub fn load(path: &Path) -> Result<Option<Self>, Problem> {
        let Some(text) = file::read(path).map_err(|error| unusable(path, &error))?.map(Zeroizing::new) else {
            return Ok(None);
        };
        if !file::is_private(path).map_err(|error| unusable(path, &error))? {
            return Err(unusable(path, &"others than this account can read it"));
        }
        let seed = Zeroizing::new(STANDARD.decode(text.trim_ascii()).unwrap_or_default());
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| unusable(path, &"it holds no key"))?;
        Ok(Some(Self(pair)))
    }

    pub(crate) fn generate() -> Result<Self, Problem> {
        let failed = |_| Problem::new(Code::Internal, "a key could not be made");
        Ed25519KeyPair::generate().map(Self).map_err(failed)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    /// The public half under the name of a log.
    pub fn verifying(&self, name: &str) -> VerifyingKey {
        VerifyingKey { name: name.to_owned(), kind: SIGNS, point: self.0.public_key().as_ref().to_vec() }
    }

    /// The public half of a witness of that name.
    pub fn cosigning(&self, name: &str) -> VerifyingKey {
        VerifyingKey { kind: COSIGNS, ..self.verifying(name) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The public key of one log, or of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    kind: u8,
    point: Vec<u8>,
}

impl VerifyingKey {
    /// Reads the line `name+id+key`.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, rest) = line.trim().split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let bytes = STANDARD.decode(key).ok()?;
        let (kind, point) = bytes.split_first()?;
        let read = Self { name: name.to_owned(), kind: *kind, point: point.to_vec() };
        (matches!(read.kind, SIGNS | COSIGNS) && point.len() == 32 && id == hex(&read.id())).then_some(read)
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a witness's, and no log's own.
    pub fn cosigns(&self) -> bool {
        self.kind == COSIGNS
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The first bytes of the hash over name and key, by which a signature names its key.
    pub(crate) fn id(&self) -> [u8; 4] {
        let mut text = self.name.clone().into_bytes();
        text.extend_from_slice(&[b'\n', self.kind]);
        text.extend_from_slice(&self.point);
        digest(&SHA256, &text).as_ref().first_chunk().copied().unwrap_or_default()
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.point).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind];
        bytes.extend_from_slice(&self.point);
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(bytes))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why that file holds no key to use.
pub(crate) fn unusable(path: &Path, reason: &dyn fmt::Display) -> Problem {
    Problem::new(Code::AuditKeyUnusable, format!("{}: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_key_of_the_specification_is_read_and_written_alike() {
        // The example of golang.org/x/mod/sumdb/note.
        let line = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = VerifyingKey::parse(line).unwrap();
        assert_eq!(key.to_string(), line);
        assert_eq!(VerifyingKey::parse(&line.replace("c74f20a3", "c74f20a4")), None);
        assert_eq!(VerifyingKey::parse("PeterNeumann+c74f20a3"), None);
        let signature = STANDARD
            .decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=");
        let text =
            b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        assert!(key.verifies(text, &signature.unwrap()[4..]));
    }
}
