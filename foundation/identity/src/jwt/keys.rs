//! An issuer's public keys (RFC 7517): from a file, or from where it publishes them, kept for as long as it says.
//!
//! - Fetched when the first token comes, and again when they have aged; by one request at a time, for all who wait.
//! - A key that is not among them is looked for once more, at most every thirty seconds: so a new key works at once, and
//!   tokens with invented keys cost the issuer nothing.
//! - While the issuer cannot be reached, the keys at hand serve for a day longer. One that answers and publishes none has
//!   withdrawn them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::DecodingKey;
use moongate_core::seam::{Dialer, Fetch};
use moongate_core::{Code, Mono, Problem};
use serde_json::Value;
use tokio::sync::Mutex;

use super::token::Algorithm;

/// Keys are fetched again after so long at the earliest, whatever the issuer says, and at the latest.
const FRESH: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(24 * 3600));
/// With an issuer that says nothing.
const USUAL: Duration = Duration::from_secs(3600);
/// How long keys serve while they cannot be fetched.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// A key that is not there is looked for this often at most.
const ANEW: Duration = Duration::from_secs(30);
/// After a fetch that failed, the next one waits so long.
const REST: Duration = Duration::from_secs(15);
const PATIENCE: u64 = 5_000;
const SIZE: usize = 256 * 1024;
/// Keys of one issuer at most.
const MOST: usize = 64;
/// An RSA modulus has at least so many bytes.
const MODULUS: usize = 256;

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file, read at the first token and when it is asked for anew.
    File(PathBuf),
    /// A URL that the operator named.
    Url(String),
}

/// One public key.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// Whether it made this signature (base64url) under these bytes.
    pub(crate) fn verifies(&self, signature: &str, signed: &[u8], algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(signature, signed, &self.key, algorithm.foreign()).unwrap_or(false)
    }
}

/// A key set as it was read.
#[derive(Default)]
pub(crate) struct KeySet {
    pub(crate) keys: Vec<Key>,
}

impl KeySet {
    /// Reads a key set. Keys that nothing here can be verified with are left out; a set without keys is one, too.
    ///
    /// # Errors
    /// It is no key set.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON")?;
        let keys = value.get("keys").and_then(Value::as_array).ok_or("it has no list `keys`")?;
        let keys: Vec<Key> = keys.iter().take(MOST).filter_map(key).collect();
        Ok(Self { keys })
    }
}

fn key(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|meant| meant != "sig") {
        return None;
    }
    let operations = jwk.get("key_ops").and_then(Value::as_array);
    if operations.is_some_and(|operations| !operations.iter().any(|one| one == "verify")) {
        return None;
    }
    let fitting: &[Algorithm] = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => &[Algorithm::Es256],
        ("EC", Some("P-384")) => &[Algorithm::Es384],
        ("OKP", Some("Ed25519")) => &[Algorithm::EdDsa],
        ("RSA", None) => &[Algorithm::Ps256, Algorithm::Rs256],
        _ => return None,
    };
    let algorithms: Vec<Algorithm> = match text("alg") {
        Some(named) => fitting.iter().copied().filter(|fits| fits.as_str() == named).collect(),
        None => fitting.to_vec(),
    };
    let key = match text("kty")? {
        "EC" => DecodingKey::from_ec_components(text("x")?, text("y")?),
        "OKP" => DecodingKey::from_ed_components(text("x")?),
        _ => {
            use base64::Engine as _;
            let modulus = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text("n")?).ok()?;
            let size = modulus.iter().skip_while(|byte| **byte == 0).count();
            if size < MODULUS {
                return None;
            }
            DecodingKey::from_rsa_components(text("n")?, text("e")?)
        }
    };
    (!algorithms.is_empty()).then_some(Key { id: text("kid").map(str::to_owned), algorithms, key: key.ok()? })
}

struct Held {
    keys: Arc<KeySet>,
    fetched: Mono,
    fresh: Duration,
    tag: Option<String>,
}

/// An issuer's keys, kept fresh.
pub struct Keys {
    /// What the operator calls the issuer, for the log.
    name: String,
    source: KeySource,
    held: ArcSwapOption<Held>,
    /// Held by whoever fetches.
    fetching: Mutex<Tried>,
}

/// When keys were asked for.
#[derive(Default)]
struct Tried {
    /// When the last try failed, and why.
    failed: Option<(Mono, Problem)>,
    /// When a key was looked for that was not there.
    anew: Option<Mono>,
}

impl Keys {
    /// Keys from there.
    pub fn new(name: &str, source: KeySource) -> Self {
        Self { name: name.to_owned(), source, held: ArcSwapOption::empty(), fetching: Mutex::default() }
    }

    /// Where they come from.
    pub(super) fn source(&self) -> &KeySource {
        &self.source
    }

    /// The keys, fetched if they have aged.
    pub(crate) async fn get(self: &Arc<Self>, dialer: &Arc<dyn Dialer>, now: Mono) -> Result<Arc<KeySet>, Problem> {
        let fresh = move |held: &Held| now.since(held.fetched) < held.fresh;
        if let Some(held) = self.held.load_full().filter(|held| fresh(held)) {
            return Ok(held.keys.clone());
        }
        let fetched = self.look(dialer, now, move |held, _| held.is_some_and(fresh)).await;
        let served = |held: &Arc<Held>| now.since(held.fetched) < held.fresh + STALE;
        fetched.or_else(|problem| match self.held.load_full().filter(served) {
            Some(held) => Ok(held.keys.clone()),
            None => Err(problem),
        })
    }

    /// The keys as the issuer has them now, unless they were looked at a moment ago.
    pub(crate) async fn newer(self: &Arc<Self>, dialer: &Arc<dyn Dialer>, now: Mono) -> Result<Arc<KeySet>, Problem> {
        let keys = self.look(dialer, now, move |_, tried| tried.anew.is_some_and(|at| now.since(at) < ANEW)).await?;
        Ok(keys)
    }

    /// Fetches the keys, unless by the time that it is our turn there is no need any more. Whoever asks may go away: what was
    /// begun is ended and kept all the same.
    async fn look(
        self: &Arc<Self>,
        dialer: &Arc<dyn Dialer>,
        now: Mono,
        needless: impl FnOnce(Option<&Held>, &Tried) -> bool + Send + 'static,
    ) -> Result<Arc<KeySet>, Problem> {
        let (this, dialer) = (self.clone(), dialer.clone());
        let looking = tokio::spawn(async move {
            let mut tried = this.fetching.lock().await;
            let held = this.held.load_full();
            if let Some(held) = held.as_ref().filter(|held| needless(Some(held), &tried)) {
                return Ok(held.keys.clone());
            }
            if let Some((at, problem)) = &tried.failed
                && now.since(*at) < REST
            {
                return Err(problem.clone());
            }
            match this.read(&*dialer, held.as_deref()).await {
                Ok((keys, fresh, tag)) => {
                    if held.is_some() {
                        tried.anew = Some(now);
                    }
                    tried.failed = None;
                    this.held.store(Some(Arc::new(Held { keys: keys.clone(), fetched: now, fresh, tag })));
                    Ok(keys)
                }
                Err(problem) => {
                    let inside = problem.inside.as_deref();
                    tracing::warn!(issuer = %this.name, %problem, inside, "an issuer's keys cannot be fetched");
                    tried.failed = Some((now, problem.clone()));
                    Err(problem)
                }
            }
        });
        looking.await.unwrap_or_else(|_| Err(self.unusable("looking for them broke off")))
    }

    async fn read(
        &self,
        dialer: &dyn Dialer,
        held: Option<&Held>,
    ) -> Result<(Arc<KeySet>, Duration, Option<String>), Problem> {
        let url = match &self.source {
            KeySource::File(path) => {
                let bytes = tokio::fs::read(path)
                    .await
                    .map_err(|error| self.unusable("the file cannot be read").inside(error))?;
                let keys = KeySet::read(&bytes).map_err(|why| self.unusable(why))?;
                return Ok((Arc::new(keys), FRESH.0, None));
            }
            KeySource::Url(url) => url.clone(),
        };
        let mut headers = vec![("accept".to_owned(), "application/jwk-set+json, application/json".to_owned())];
        if let Some(tag) = held.and_then(|held| held.tag.clone()) {
            headers.push(("if-none-match".to_owned(), tag));
        }
        let fetch = Fetch {
            method: "GET",
            url,
            headers,
            body: bytes::Bytes::new(),
            timeout_ms: PATIENCE,
            limit: SIZE,
            body_wanted: true,
            egress: None,
        };
        let answer =
            dialer.fetch(fetch).await.map_err(|problem| self.unusable("they cannot be fetched").inside(problem))?;
        let fresh = answer.header("cache-control").and_then(max_age).unwrap_or(USUAL).clamp(FRESH.0, FRESH.1);
        let tag = answer.header("etag").map(str::to_owned);
        match (answer.status, held) {
            (200, _) => {
                let keys = KeySet::read(&answer.body).map_err(|why| self.unusable(why))?;
                Ok((Arc::new(keys), fresh, tag))
            }
            (304, Some(held)) => Ok((held.keys.clone(), fresh, tag.or_else(|| held.tag.clone()))),
            // It publishes none any more: that is an answer.
            (404 | 410, _) => Ok((Arc::new(KeySet::default()), FRESH.0, None)),
            (status, _) => Err(self.unusable("they cannot be fetched").inside(format!("HTTP {status}"))),
        }
    }

    fn unusable(&self, why: &str) -> Problem {
        let detail = format!("the keys of the issuer {} are not at hand: {why}", self.name);
        Problem::new(Code::IssuerUnreachable, detail)
    }
}

/// `max-age` of a Cache-Control header.
fn max_age(text: &str) -> Option<Duration> {
    let ages = text.split(',').filter_map(|directive| directive.trim().strip_prefix("max-age="));
    ages.filter_map(|age| age.trim_matches('"').parse().ok()).map(Duration::from_secs).next()
}
