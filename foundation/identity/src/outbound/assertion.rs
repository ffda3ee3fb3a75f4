//! An assertion by which the gateway proves to a token endpoint who it is (RFC 7523 §2.2, `private_key_jwt`).

use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::{Problem, Time};
use serde_json::json;

use crate::file;

/// How long an assertion is valid: it is used at once.
const VALID: Duration = Duration::from_secs(60);

/// The key that signs assertions.
pub struct AssertionKey {
    pair: Pair,
    kid: Option<String>,
}

enum Pair {
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Ed25519KeyPair),
    Ps256(RsaKeyPair),
}

impl AssertionKey {
    /// Reads a private key in PEM: P-256 (ES256), Ed25519 (EdDSA) or RSA (PS256).
    ///
    /// # Errors
    /// `KeyUnusable` names the file.
    pub fn read(path: &Path, kid: Option<String>) -> Result<Self, Problem> {
        let key = file::read_key(path)?;
        let der = key.secret_der();
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(|pair| Pair::Es256(Box::new(pair)))
            .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::EdDsa))
            .or_else(|_| RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).map(Pair::Ps256));
        let pair = pair.map_err(|_| file::unusable(path, &"it holds no private key of P-256, Ed25519 or RSA"))?;
        Ok(Self { pair, kid })
    }

    /// An assertion for this endpoint, to be used once.
    pub(super) fn sign(&self, client: &str, audience: &str, now: Time) -> Option<String> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let issued = now.0 / 1000;
        let claims = json!({"iss": client, "sub": client, "aud": audience, "iat": issued, "exp": issued + VALID.as_secs(),
            "jti": URL_SAFE_NO_PAD.encode(id)});
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if let (Some(kid), Some(members)) = (&self.kid, header.as_object_mut()) {
            members.insert("kid".into(), json!(kid));
        }
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = self.signature(text.as_bytes())?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
            Pair::Ps256(_) => "PS256",
        }
    }

    fn signature(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        Some(match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, text).ok()?.as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(text).as_ref().to_vec(),
            Pair::Ps256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, text, &mut signature).ok()?;
                signature
            }
        })
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.algorithm())
    }
}
