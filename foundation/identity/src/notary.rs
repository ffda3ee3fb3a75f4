//! Signatures under cards: the gateway's own, and those of agents (JWS, RFC 7515; A2A 1.0 §8.4).
//!
//! - The gateway signs with ES256 and a key that signs cards and nothing else. The same bytes are signed once while the key
//!   is the same, so that a card which did not change keeps its signature. The key is replaced after ninety days.
//! - Beside it stands a key that signs the gateway's word for its callers ([`crate::outbound::Voucher`]) and nothing else; one
//!   key set publishes both.
//! - Others are judged by keys that the operator named, or else by those that a signature names itself (`jku`), if these
//!   lie where the card lies: whoever can put a card there can sign it there as well, and nobody else can.

mod judge;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use moongate_core::Problem;
use moongate_core::seam::notary::{Finding, KeysAt, Signature, Signed, Trust};
use moongate_core::seam::{self, Clock, Dialer, Later};
use parking_lot::Mutex;
use serde_json::json;

use crate::jwt::{KeySource, Keys};
use crate::signing::{PublicKey, SigningKeys, Workshop};

/// A key signs for so long.
const TERM: Duration = Duration::from_secs(90 * 24 * 3600);
/// A key that was replaced stays published for so long: no cache keeps a card for longer.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
/// Signatures that are remembered.
const REMEMBERED: usize = 8192;
/// Key sets of others that are kept.
const KEY_SETS: usize = 1024;

/// Signs in the gateway's name, and judges others.
pub struct Notary {
    own: SigningKeys,
    vouching: Arc<SigningKeys>,
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    made: Mutex<HashMap<[u8; 32], Signature>>,
    others: Mutex<HashMap<KeysAt, Arc<Keys>>>,
}

impl Notary {
    /// With the gateway's keys, which are made here if there are none.
    ///
    /// # Errors
    /// As [`SigningKeys::load_or_make`].
    pub async fn load_or_make(workshop: Workshop, dialer: Arc<dyn Dialer>) -> Result<Self, Problem> {
        let clock = workshop.clock.clone();
        let own = SigningKeys::load_or_make(workshop.clone(), "card", KEEP).await?;
        let vouching = Arc::new(SigningKeys::load_or_make(workshop, "voucher", KEEP).await?);
        Ok(Self { own, vouching, clock, dialer, made: Mutex::default(), others: Mutex::default() })
    }

    /// The keys of the gateway's word for its callers.
    pub fn vouching(&self) -> Arc<SigningKeys> {
        self.vouching.clone()
    }

    /// Replaces the key if it has signed for long enough; whether it was replaced. To be called now and then: what was signed
    /// wants to be signed again then.
    ///
    /// # Errors
    /// The store fails; the old key goes on signing.
    pub async fn tend(&self) -> Result<bool, Problem> {
        if self.clock.now().since(self.vouching.current().made_at) >= TERM {
            self.vouching.rotate().await?;
        }
        if self.clock.now().since(self.own.current().made_at) < TERM {
            return Ok(false);
        }
        let key = self.own.rotate().await?;
        self.made.lock().clear();
        tracing::info!(kid = key.id, "cards are signed with a new key");
        Ok(true)
    }

    fn keys(&self, at: &KeysAt) -> Arc<Keys> {
        let mut others = self.others.lock();
        if others.len() >= KEY_SETS && !others.contains_key(at) {
            others.clear();
        }
        let made = || {
            let (name, source) = match at {
                KeysAt::File(path) => (path.display().to_string(), KeySource::File(path.clone())),
                KeysAt::Url(url) => (url.clone(), KeySource::Url(url.clone())),
            };
            Arc::new(Keys::new(&name, source))
        };
        others.entry(at.clone()).or_insert_with(made).clone()
    }
}

impl seam::notary::Notary for Notary {
    fn sign(&self, form: &[u8], keys_at: &str) -> Option<Signature> {
        let key = self.own.current().id;
        let mut id = [0; 32];
        id.copy_from_slice(
            digest(&SHA256, &[key.as_bytes(), b"\0", keys_at.as_bytes(), b"\0", form].concat()).as_ref(),
        );
        if let Some(made) = self.made.lock().get(&id) {
            return Some(made.clone());
        }
        let header = json!({"alg": "ES256", "typ": "JOSE", "kid": key, "jku": keys_at});
        let protected = URL_SAFE_NO_PAD.encode(header.to_string());
        let signed = self.own.sign(format!("{protected}.{}", URL_SAFE_NO_PAD.encode(form)).as_bytes()).ok()?;
        // Replaced meanwhile: the header would name the wrong key.
        if signed.key != key {
            return None;
        }
        let signature = Signature { protected, signature: URL_SAFE_NO_PAD.encode(signed.signature) };
        let mut made = self.made.lock();
        if made.len() >= REMEMBERED {
            made.clear();
        }
        Some(made.entry(id).or_insert(signature).clone())
    }

    fn key_set(&self) -> Bytes {
        let keys = [self.own.published(), self.vouching.published()].concat();
        json!({"keys": keys.iter().map(PublicKey::jwk).collect::<Vec<_>>()}).to_string().into()
    }

    fn judge<'a>(&'a self, signed: &'a Signed, trust: &'a Trust) -> Later<'a, Finding> {
        Box::pin(judge::judge(self, signed, trust))
    }
}
