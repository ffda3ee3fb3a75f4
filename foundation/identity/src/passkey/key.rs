//! A passkey's public key: ES256 or Ed25519, read from COSE (RFC 9053), kept and checked.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Flaw, cbor};

/// The numbers of the algorithms, as browsers are asked for them: EdDSA, ES256.
pub const ALGORITHMS: [i64; 2] = [-8, -7];

/// The key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// The point, or the 32 bytes of Ed25519, in base64url.
    key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    Ed25519,
}

impl Algorithm {
    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_ASN1,
            Self::Ed25519 => &ED25519,
        }
    }
}

impl PublicKey {
    /// Reads a COSE key: type and curve must be those of its algorithm, and the point must lie on the curve.
    pub(super) fn of_cose(cose: &cbor::Value<'_>) -> Result<Self, Flaw> {
        let number = |label: i64| cose.number(label).and_then(cbor::Value::integer);
        let part = |label: i64| cose.number(label).and_then(cbor::Value::bytes).filter(|part| part.len() == 32);
        let unlike = Flaw("the public key is not what its algorithm wants");
        let (kind, algorithm, curve) = (number(1), number(3), number(-1));
        let (algorithm, key) = match algorithm {
            Some(-7) if (kind, curve) == (Some(2), Some(1)) => {
                let (x, y) = (part(-2).ok_or(unlike)?, part(-3).ok_or(unlike)?);
                (Algorithm::Es256, [&[4], x, y].concat())
            }
            Some(-8) if (kind, curve) == (Some(1), Some(6)) => (Algorithm::Ed25519, part(-2).ok_or(unlike)?.to_vec()),
            Some(-7 | -8) => return Err(unlike),
            _ => return Err(Flaw("the passkey's algorithm is neither ES256 nor EdDSA")),
        };
        ParsedPublicKey::new(algorithm.verification(), &key).map_err(|_| unlike)?;
        Ok(Self { algorithm, key: URL_SAFE_NO_PAD.encode(key) })
    }

    /// Checks a signature.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Flaw> {
        let wrong = Flaw("the signature is not of this passkey");
        let key = URL_SAFE_NO_PAD.decode(&self.key).map_err(|_| wrong)?;
        let key = ParsedPublicKey::new(self.algorithm.verification(), &key).map_err(|_| wrong)?;
        key.verify_sig(message, signature).map_err(|_| wrong)
    }
}
