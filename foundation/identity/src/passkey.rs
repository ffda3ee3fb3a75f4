//! Passkeys: what an authenticator says when one is made and when somebody signs in with it (W3C Web Authentication
//! Level 3 §7.1, §7.2).
//!
//! - The browser's part, `clientDataJSON`, names the ceremony, the challenge and the page's origin: [`ClientData`].
//! - The authenticator's part names the site (`rpIdHash`), says that a person was there and was verified, and, when the
//!   passkey is made, holds its public key: [`registration`].
//! - At a sign-in it is signed by that key together with the hash of the browser's part: [`assertion`].
//!
//! Attestation is neither asked for nor read: which make an authenticator is decides nothing here. Whether the challenge is
//! one that was given, and whose passkey it is, the caller knows.

mod cbor;
mod key;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use key::{ALGORITHMS, PublicKey};

/// Bytes of a credential id at most (§5.8.3 allows 1023; they are a few dozen).
const ID: usize = 512;
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;
/// `rpIdHash`, flags, counter.
const HEAD: usize = 37;

/// What does not hold about a passkey's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw(pub &'static str);

/// Which of the two a browser was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// A passkey is made.
    Registration,
    /// Somebody signs in.
    SignIn,
}

/// The browser's part of an answer, checked but for its challenge.
#[derive(Debug)]
pub struct ClientData {
    /// The challenge that it answers.
    pub challenge: Vec<u8>,
    hash: [u8; 32],
}

#[derive(Deserialize)]
struct Collected {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(rename = "topOrigin")]
    top_origin: Option<String>,
}

impl ClientData {
    /// Reads `clientDataJSON`: it must be of this ceremony, and of a page of one of these origins.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &[u8], ceremony: Ceremony, origins: &[String]) -> Result<Self, Flaw> {
        let unreadable = Flaw("the browser's part is not understood");
        moongate_wire::json::check(json, &moongate_wire::json::Limits::default()).map_err(|_| unreadable)?;
        let collected: Collected = serde_json::from_slice(json).map_err(|_| unreadable)?;
        let kind = match ceremony {
            Ceremony::Registration => "webauthn.create",
            Ceremony::SignIn => "webauthn.get",
        };
        if collected.r#type != kind {
            return Err(Flaw("the answer belongs to another ceremony"));
        }
        if collected.cross_origin || collected.top_origin.is_some() {
            return Err(Flaw("the page was shown inside another one"));
        }
        if !origins.contains(&collected.origin) {
            return Err(Flaw("the answer was made for a page of another origin"));
        }
        let challenge = URL_SAFE_NO_PAD.decode(collected.challenge).map_err(|_| unreadable)?;
        Ok(Self { challenge, hash: Sha256::digest(json).into() })
    }
}

/// A passkey that was just made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The credential's id.
    pub id: Vec<u8>,
    /// The key that will sign.
    pub key: PublicKey,
    /// The signature counter; zero where the authenticator has none.
    pub counter: u32,
}

/// Reads the `attestationObject` of a passkey that was just made for this site.
///
/// # Errors
/// What is wrong with it.
pub fn registration(site: &str, attestation: &[u8]) -> Result<Made, Flaw> {
    let object = cbor::whole(attestation).ok_or(Flaw("the attestation object is not understood"))?;
    let data = object.text("authData").and_then(cbor::Value::bytes).ok_or(Flaw("there is no authenticator data"))?;
    let head = Head::read(site, data)?;
    let rest = data.get(HEAD..).unwrap_or_default();
    let short = Flaw("the authenticator data ends too early");
    if head.flags & HAS_CREDENTIAL == 0 {
        return Err(Flaw("the authenticator data holds no passkey"));
    }
    // The authenticator's make (16 bytes), then the id's length.
    let rest = rest.get(16..).ok_or(short)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > ID {
        return Err(Flaw("the credential id has a strange length"));
    }
    let (id, rest) = rest.split_at_checked(length).ok_or(short)?;
    let (key, rest) = cbor::first(rest).ok_or(Flaw("the public key is not understood"))?;
    extensions(head.flags, rest)?;
    Ok(Made { id: id.to_vec(), key: PublicKey::of_cose(&key)?, counter: head.counter })
}

/// Checks the answer to a sign-in, signed by this key; the signature counter that it reports.
///
/// # Errors
/// What is wrong with it.
pub fn assertion(
    site: &str,
    key: &PublicKey,
    client: &ClientData,
    authenticator: &[u8],
    signature: &[u8],
) -> Result<u32, Flaw> {
    let head = Head::read(site, authenticator)?;
    if head.flags & HAS_CREDENTIAL != 0 {
        return Err(Flaw("a sign-in does not bring a new passkey"));
    }
    extensions(head.flags, authenticator.get(HEAD..).unwrap_or_default())?;
    key.verify(&[authenticator, &client.hash].concat(), signature)?;
    Ok(head.counter)
}

struct Head {
    flags: u8,
    counter: u32,
}

impl Head {
    fn read(site: &str, data: &[u8]) -> Result<Self, Flaw> {
        let short = Flaw("the authenticator data is too short");
        let (hash, rest) = data.split_first_chunk::<32>().ok_or(short)?;
        let (flags, rest) = rest.split_first().ok_or(short)?;
        let counter = rest.first_chunk::<4>().ok_or(short)?;
        if hash.as_slice() != Sha256::digest(site.as_bytes()).as_slice() {
            return Err(Flaw("the passkey belongs to another site"));
        }
        if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
            return Err(Flaw("the authenticator did not verify that its owner is there"));
        }
        if flags & BACKED_UP != 0 && flags & BACKUP_ELIGIBLE == 0 {
            return Err(Flaw("the authenticator contradicts itself"));
        }
        Ok(Self { flags: *flags, counter: u32::from_be_bytes(*counter) })
    }
}

/// Extensions decide nothing here, but nothing else may stand where they do.
fn extensions(flags: u8, rest: &[u8]) -> Result<(), Flaw> {
    let fits = match flags & HAS_EXTENSIONS {
        0 => rest.is_empty(),
        _ => matches!(cbor::whole(rest), Some(cbor::Value::Map(_))),
    };
    if fits { Ok(()) } else { Err(Flaw("something stands behind the authenticator data")) }
}
