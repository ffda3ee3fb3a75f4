//! Random texts for cookies, links and challenges, and what of them is stored: their hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::{Code, Problem};
use sha2::{Digest as _, Sha256};

pub(super) fn bytes<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Problem::new(Code::Internal, "the system gives no random numbers").inside(error))?;
    Ok(bytes)
}

/// So many random bytes, 32 at most, in base64url.
pub(super) fn text(length: usize) -> Result<String, Problem> {
    Ok(encode(bytes::<32>()?.get(..length).unwrap_or_default()))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What of a secret text is stored.
pub(super) fn hashed(secret: &str) -> String {
    encode(&Sha256::digest(secret.as_bytes()))
}
