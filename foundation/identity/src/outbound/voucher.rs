//! The gateway's word for whoever asks: a JWT that the target's authorization server takes in place of the caller's own token
//! (RFC 8693 §2.1). It is signed with a key of its own, which is published with those of cards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::Time;
use serde_json::json;

use crate::signing::SigningKeys;

/// How long the gateway's word holds: it is used at once.
const VALID: Duration = Duration::from_secs(60);

/// Vouches for callers.
#[derive(Clone)]
pub struct Voucher {
    /// The keys that it is signed with.
    pub keys: Arc<SigningKeys>,
    /// The gateway's public URL.
    pub issuer: String,
    /// The gateway's domain, which acts for the caller.
    pub domain: String,
}

impl Voucher {
    /// Says to this endpoint who asks, and what they may do here. `None` if there is nothing to sign with at present.
    pub(super) fn sign(&self, subject: &str, scope: &str, audience: &str, now: Time) -> Option<String> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let key = self.keys.current().id;
        let issued = now.0 / 1000;
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": key});
        let claims = json!({"iss": self.issuer, "sub": subject, "aud": audience, "act": {"sub": self.domain},
            "scope": scope, "iat": issued, "exp": issued + VALID.as_secs(), "jti": URL_SAFE_NO_PAD.encode(id)});
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signed = self.keys.sign(text.as_bytes()).ok()?;
        // Replaced meanwhile: the header would name the wrong key.
        (signed.key == key).then(|| format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed.signature)))
    }
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Voucher({})", self.issuer)
    }
}
