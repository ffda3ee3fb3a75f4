//! The gateway's own key: what it seals only this gateway opens, and what it signs proves that it comes from here.
//!
//! - [`Vault::seal`](moongate_core::seam::Vault::seal): AES-256-GCM under a key derived for that; a random nonce stands in
//!   front.
//! - Derived secrets: HMAC-SHA256 of the purpose under the key in the file, so that one of them says nothing of another.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use moongate_core::{Code, Problem, seam};

use crate::secret::Secret;

/// The key, and what is derived from it for sealing.
pub struct Vault {
    key: hmac::Key,
    sealing: RandomizedNonceKey,
}

impl Vault {
    /// Reads the key's file, or makes it (mode 0600). Without it, what was sealed is lost.
    ///
    /// # Errors
    /// `KeyUnusable` as [`Secret::load_or_make`].
    pub fn load_or_make(path: &Path) -> Result<Self, Problem> {
        let secret = Secret::load_or_make(path)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, &derive(&key, "seal"))
            .map_err(|_| Problem::new(Code::KeyUnusable, format!("{}: it makes no key", path.display())))?;
        Ok(Self { key, sealing })
    }

    /// Where the key of a data folder lies.
    pub fn path(data_dir: &Path) -> std::path::PathBuf {
        data_dir.join("gateway.key")
    }
}

fn derive(key: &hmac::Key, purpose: &str) -> [u8; 32] {
    let mut derived = [0; 32];
    derived.copy_from_slice(hmac::sign(key, purpose.as_bytes()).as_ref());
    derived
}

impl seam::Vault for Vault {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        match self.sealing.seal_in_place_append_tag(Aad::empty(), &mut sealed) {
            Ok(nonce) => [nonce.as_ref().as_slice(), &sealed].concat(),
            // Only texts of many gigabytes cannot be sealed; nothing opens as nothing.
            Err(_) => Vec::new(),
        }
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = sealed.to_vec();
        let length = self.sealing.open_in_place(Nonce::from(nonce), Aad::empty(), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        derive(&self.key, purpose)
    }

    fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&self.key, purpose));
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&key, message).as_ref());
        mac
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}
