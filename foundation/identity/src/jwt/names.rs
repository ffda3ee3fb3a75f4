//! What verified tokens are remembered by: never the token itself.
//!
//! A name is the tag that AES-128-GCM gives the token as additional data (GMAC), under a key that is drawn when the verifier
//! is made and never leaves it, as no tag does. To whoever knows neither key nor tags, two tokens have the same tag with a
//! chance of less than 2^-118 (NIST SP 800-38D, GHASH over at most 8 KiB); that needs no nonce that is used once, which only
//! protects tags that others see. It costs a tenth of SHA-256 where the processor has no instructions for that.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// A token's name.
pub(super) type Name = [u8; 16];

/// Names tokens.
pub(super) struct Names(Option<LessSafeKey>);

impl Names {
    /// With a new key. Without one, as when the system has no random numbers, nothing has a name.
    pub(super) fn new() -> Self {
        let mut key = [0; 16];
        let drawn = SystemRandom::new().fill(&mut key).and_then(|()| UnboundKey::new(&AES_128_GCM, &key));
        Self(drawn.ok().map(LessSafeKey::new))
    }

    /// The name of a token.
    pub(super) fn of(&self, token: &str) -> Option<Name> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self.0.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(token.as_bytes()), &mut []).ok()?;
        tag.as_ref().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_keeps_its_name_and_shares_it_with_no_other() {
        let names = Names::new();
        let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl".repeat(8);
        let name = names.of(&token).unwrap();
        assert_eq!(names.of(&token), Some(name));
        let mut seen = HashSet::from([name]);
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] ^= 1;
            assert!(seen.insert(names.of(std::str::from_utf8(&other).unwrap()).unwrap()), "a byte at {at}");
            assert!(seen.insert(names.of(&token[..at]).unwrap()), "the first {at} bytes");
        }
        assert_ne!(Names::new().of(&token), Some(name), "another gateway has other names");
    }
}
