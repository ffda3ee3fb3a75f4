//! Signatures under documents: ours under what the gateway publishes, others' under what they publish.
//!
//! Whoever writes a document says which bytes are signed; what signing and verifying is, only the room behind this seam
//! knows. Signatures are JWS in flattened form without their payload (RFC 7515 §7.2.2, A2A 1.0 §8.4.2).

use bytes::Bytes;

use super::Later;

/// One signature of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The protected header, base64url.
    pub protected: String,
    /// The signature, base64url.
    pub signature: String,
}

/// A document and what its signers put under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// The signatures, none of them verified.
    pub signatures: Vec<Signature>,
    /// The document's bytes as signers may have seen them: a signature that holds for one of these holds.
    pub forms: Vec<Vec<u8>>,
}

/// Where somebody's public keys lie (a key set, RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeysAt {
    /// In a file.
    File(std::path::PathBuf),
    /// At a URL.
    Url(String),
}

/// By whose keys a document's signatures are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The keys that the operator named. With them, what a signature says of its own keys counts for nothing.
    pub keys: Option<KeysAt>,
    /// Where the document itself was fetched: a signature may name keys (`jku`) on that very origin, nowhere else.
    pub from: Option<String>,
}

/// What was found out about a document's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There are none.
    Unsigned,
    /// One of them holds.
    Holds {
        /// The id of its key.
        kid: String,
    },
    /// None of them names a key that may be looked for; says why.
    Unknown(String),
    /// The keys are not at hand.
    Unreachable(String),
    /// There are keys, and no signature holds under them; says why.
    Broken(String),
}

/// Signs in the gateway's name, and judges the signatures of others.
pub trait Notary: Send + Sync {
    /// Signs one form of a document. The same form gets the same signature for as long as the key is the same.
    ///
    /// `None` if there is no key to sign with at present.
    fn sign(&self, form: &[u8], keys_at: &str) -> Option<Signature>;
    /// The public keys, as a key set (RFC 7517).
    fn key_set(&self) -> Bytes;
    /// Judges a document of somebody else.
    fn judge<'a>(&'a self, signed: &'a Signed, trust: &'a Trust) -> Later<'a, Finding>;
}
