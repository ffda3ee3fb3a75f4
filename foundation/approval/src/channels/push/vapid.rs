//! Says to push services who writes (VAPID, RFC 8292), by a key of the gateway's own that browsers bind their subscriptions to.
//!
//! The key is made once and lies sealed in the store: with another one, every subscription would be lost.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use moongate_core::seam::records::{Record, change};
use moongate_core::seam::{Store, Vault};
use moongate_core::{Code, Problem, Time};
use serde_json::json;

/// The kind of the key's row, and its name.
const KIND: &str = "push.key";
const NAME: &str = "vapid";
/// How long a signature holds; services take a day at most.
const HOLDS: Duration = Duration::from_secs(12 * 3600);

/// The key.
pub(super) struct Vapid {
    key: EcdsaKeyPair,
}

impl Vapid {
    /// The key of the store, made now if there is none.
    pub(super) async fn open(store: &Arc<dyn Store>, vault: &Arc<dyn Vault>) -> Result<Self, Problem> {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).and_then(|key| key.to_pkcs8v1());
        let made = made.map_err(|_| unusable("no key can be made"))?;
        let sealed = vault.seal(made.as_ref());
        let kept = change(store.records(), move |page| {
            if let Some(row) = page.record(KIND, NAME)? {
                return Ok(row.value);
            }
            let row = Record { key: NAME.to_owned(), group: None, value: sealed.clone(), expires_at: None };
            page.put(KIND, &row)?;
            Ok(row.value)
        });
        let plain = vault.open(&kept.await?).ok_or_else(|| unusable("it was sealed by another gateway.key"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &plain);
        Ok(Self { key: key.map_err(|_| unusable("it is no key of P-256"))? })
    }

    /// The public key, as browsers and services take it.
    pub(super) fn public(&self) -> String {
        BASE64.encode(self.key.public_key().as_ref())
    }

    /// The header that goes with a message to a service of this origin.
    pub(super) fn authorization(&self, origin: &str, contact: &str, now: Time) -> Result<String, Problem> {
        let head = json!({"typ": "JWT", "alg": "ES256"});
        let claims = json!({"aud": origin, "exp": now.plus(HOLDS).0 / 1000, "sub": contact});
        let signed = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let signature =
            self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| unusable("it does not sign"))?;
        Ok(format!("vapid t={signed}.{},k={}", BASE64.encode(signature.as_ref()), self.public()))
    }
}

fn unusable(why: &'static str) -> Problem {
    Problem::new(Code::KeyUnusable, format!("the key for push messages cannot be used: {why}"))
}
