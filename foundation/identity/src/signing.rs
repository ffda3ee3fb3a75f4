//! Keys that sign in the gateway's name: ES256, made here, kept sealed in the store, replaced now and then.
//!
//! - A key is called by its thumbprint (RFC 7638), so the same key never has two names.
//! - Its private half is sealed by the vault; a key that was replaced loses it at once and can sign nothing more.
//! - Its public half stays published for as long as what it signed may be valid, then the store forgets it.
//!
//! Each purpose has keys of its own (`oauth`, `card`): what signs tokens signs nothing else.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::seam::records::{Page, Record, change, look};
use moongate_core::seam::{Clock, Store, Vault};
use moongate_core::{Code, Problem, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind of their rows.
const KIND: &str = "signing.key";

/// Where keys are kept and what they are made with.
#[derive(Clone)]
pub struct Workshop {
    /// Keeps them.
    pub store: Arc<dyn Store>,
    /// Seals their private halves.
    pub vault: Arc<dyn Vault>,
    /// Dates them.
    pub clock: Arc<dyn Clock>,
}

/// A public key as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its thumbprint.
    pub id: String,
    /// The point's coordinates, each 32 bytes in base64url.
    pub x: String,
    /// The other one.
    pub y: String,
    /// When it was made.
    pub made_at: Time,
    /// When another one took its place; the current one has none.
    pub replaced_at: Option<Time>,
}

impl PublicKey {
    /// As a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": self.x, "y": self.y, "kid": self.id, "use": "sig", "alg": "ES256"})
    }
}

/// A signature and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The key's id.
    pub key: String,
    /// `r || s`, as JWS wants it (RFC 7518 §3.4).
    pub signature: [u8; 64],
}

/// The keys of one purpose.
pub struct SigningKeys {
    workshop: Workshop,
    purpose: &'static str,
    /// How long a key that was replaced stays published.
    keep: Duration,
    ring: ArcSwap<Ring>,
}

struct Ring {
    pair: EcdsaKeyPair,
    current: PublicKey,
    replaced: Vec<PublicKey>,
}

/// How a key lies in the store.
#[derive(Serialize, Deserialize)]
struct Row {
    x: String,
    y: String,
    made_at: u64,
    replaced_at: Option<u64>,
    /// PKCS #8, sealed, in base64url; gone once it is replaced.
    sealed: Option<String>,
}

impl SigningKeys {
    /// The keys of this purpose, from the store; the first is made here if there is none.
    ///
    /// # Errors
    /// The store fails, or it holds a key that this gateway's vault cannot open (`KeyUnusable`).
    pub async fn load_or_make(workshop: Workshop, purpose: &'static str, keep: Duration) -> Result<Self, Problem> {
        let ring = match stored(&workshop, purpose).await? {
            Some(ring) => ring,
            None => {
                replace(&workshop, purpose, keep).await?;
                stored(&workshop, purpose).await?.ok_or_else(|| unusable("a new signing key is not in the store"))?
            }
        };
        Ok(Self { workshop, purpose, keep, ring: ArcSwap::from_pointee(ring) })
    }

    /// Signs with the current key.
    ///
    /// # Errors
    /// `Internal`; the machine has no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Signed, Problem> {
        let ring = self.ring.load();
        let failed = || Problem::new(Code::Internal, "a signature could not be made");
        let made = ring.pair.sign(&SystemRandom::new(), message).map_err(|_| failed())?;
        let signature = made.as_ref().try_into().map_err(|_| failed())?;
        Ok(Signed { key: ring.current.id.clone(), signature })
    }

    /// The key that signs now.
    pub fn current(&self) -> PublicKey {
        self.ring.load().current.clone()
    }

    /// All that are published: the current one first.
    pub fn published(&self) -> Vec<PublicKey> {
        let ring = self.ring.load();
        let now = self.workshop.clock.now();
        let kept = |key: &&PublicKey| key.replaced_at.is_none_or(|at| now < at.plus(self.keep));
        std::iter::once(&ring.current).chain(ring.replaced.iter().filter(kept)).cloned().collect()
    }

    /// The same as a key set (RFC 7517 §5).
    pub fn jwks(&self) -> Value {
        json!({"keys": self.published().iter().map(PublicKey::jwk).collect::<Vec<_>>()})
    }

    /// Makes a new key, which signs from now on.
    ///
    /// # Errors
    /// The store fails; the old key goes on signing then.
    pub async fn rotate(&self) -> Result<PublicKey, Problem> {
        replace(&self.workshop, self.purpose, self.keep).await?;
        let ring = stored(&self.workshop, self.purpose).await?;
        self.ring.store(Arc::new(ring.ok_or_else(|| unusable("the new signing key is not in the store"))?));
        Ok(self.current())
    }
}

fn unusable(why: impl Into<String>) -> Problem {
    Problem::new(Code::KeyUnusable, why.into())
}

/// The thumbprint of a P-256 key: the members in this order, without blanks (RFC 7638 §3.2).
fn thumbprint(x: &str, y: &str) -> String {
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// Coordinates of an uncompressed point.
fn coordinates(pair: &EcdsaKeyPair) -> Option<(String, String)> {
    let point = pair.public_key().as_ref().strip_prefix(&[4])?;
    let (x, y) = point.split_at_checked(32)?;
    (y.len() == 32).then(|| (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

/// What the store holds of a purpose; `None` if no key of it can sign.
async fn stored(workshop: &Workshop, purpose: &'static str) -> Result<Option<Ring>, Problem> {
    let rows = look(workshop.store.records(), move |page: &dyn Page| page.group(KIND, purpose)).await?;
    let (mut signing, mut replaced) = (None, Vec::new());
    for record in rows {
        let id = record.key.rsplit('/').next().unwrap_or_default().to_owned();
        let row: Row =
            serde_json::from_slice(&record.value).map_err(|_| unusable(format!("the signing key {id} is damaged")))?;
        let replaced_at = row.replaced_at.map(Time);
        let public = PublicKey { id, x: row.x, y: row.y, made_at: Time(row.made_at), replaced_at };
        match row.sealed {
            Some(sealed) => signing = Some((opened(&*workshop.vault, &sealed, &public)?, public)),
            None => replaced.push(public),
        }
    }
    replaced.sort_by_key(|key| std::cmp::Reverse(key.replaced_at));
    Ok(signing.map(|(pair, current)| Ring { pair, current, replaced }))
}

fn opened(vault: &dyn Vault, sealed: &str, public: &PublicKey) -> Result<EcdsaKeyPair, Problem> {
    let plain = URL_SAFE_NO_PAD.decode(sealed).ok().and_then(|sealed| vault.open(&sealed));
    let pair = plain.and_then(|plain| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &plain).ok());
    let pair = pair.filter(|pair| coordinates(pair).is_some_and(|(x, y)| x == public.x && y == public.y));
    pair.ok_or_else(|| unusable(format!("the signing key {} was sealed with another gateway.key", public.id)))
}

/// Makes a key and puts it in the place of whichever signed before.
async fn replace(workshop: &Workshop, purpose: &'static str, keep: Duration) -> Result<(), Problem> {
    let failed = || Problem::new(Code::Internal, "a signing key could not be made");
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let document = document.map_err(|_| failed())?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).map_err(|_| failed())?;
    let (x, y) = coordinates(&pair).ok_or_else(failed)?;
    let id = thumbprint(&x, &y);
    let now = workshop.clock.now();
    let sealed = Some(URL_SAFE_NO_PAD.encode(workshop.vault.seal(document.as_ref())));
    let row = Row { x, y, made_at: now.0, replaced_at: None, sealed };
    let value = serde_json::to_vec(&row).map_err(|_| failed())?;
    let new = record(purpose, &id, value, None);
    change(workshop.store.records(), move |page: &dyn Page| {
        for old in page.group(KIND, purpose)? {
            let Ok(row) = serde_json::from_slice::<Row>(&old.value) else { continue };
            if row.sealed.is_some() {
                let row = Row { sealed: None, replaced_at: Some(now.0), ..row };
                let value = serde_json::to_vec(&row).unwrap_or_default();
                page.put(KIND, &Record { value, expires_at: Some(now.plus(keep)), ..old })?;
            }
        }
        page.put(KIND, &new)
    })
    .await
}

fn record(purpose: &str, id: &str, value: Vec<u8>, expires_at: Option<Time>) -> Record {
    Record { key: format!("{purpose}/{id}"), group: Some(purpose.to_owned()), value, expires_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_the_hash_of_the_members_in_their_order() {
        // Computed with Python's hashlib for the key of RFC 7515, appendix A.3.
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        assert_eq!(thumbprint(x, y), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
    }
}
