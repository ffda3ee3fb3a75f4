//! Freshness of keys and of what is known; whole tokens are tried on the binary (`moongate/tests/it/tokens.rs`).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::Time;
use moongate_core::seam::{Fetch, Fetched, Later};
use serde_json::{Value, json};

use super::*;

/// Seconds that a test moves by hand.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(1_000_000_000_000 + self.0.load(Ordering::Relaxed) * 1000)
    }

    fn mono(&self) -> Mono {
        Mono(0).plus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

/// Serves a key set that a test may change, and counts.
struct Publisher {
    keys: Mutex<Option<Value>>,
    age: &'static str,
    asked: AtomicUsize,
}

impl Dialer for Publisher {
    fn fetch(&self, _: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = self.keys.lock().clone();
        Box::pin(async move {
            // Others come meanwhile.
            tokio::task::yield_now().await;
            let keys = keys.ok_or_else(|| Problem::new(Code::AgentUnreachable, "down"))?;
            let headers = vec![("cache-control".to_owned(), self.age.to_owned())];
            Ok(Fetched { status: 200, headers, body: keys.to_string().into() })
        })
    }
}

struct Bed {
    clock: Arc<Hands>,
    publisher: Arc<Publisher>,
    tokens: Tokens,
    pair: EcdsaKeyPair,
}

fn jwk(pair: &EcdsaKeyPair, id: &str) -> Value {
    let point = pair.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "kid": id,
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65])})
}

impl Bed {
    fn new(age: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let keys = Mutex::new(Some(json!({ "keys": [jwk(&pair, "k")] })));
        let publisher = Arc::new(Publisher { keys, age, asked: AtomicUsize::new(0) });
        let clock = Arc::new(Hands::default());
        let issuer = Issuer {
            name: "idp".into(),
            issuer: "https://idp.test".into(),
            audience: vec!["me".into()],
            algorithms: vec![Algorithm::Es256],
            scopes: Scopes::read("a2a:*:send"),
            domain: None,
            keys: Arc::new(Keys::new("idp", KeySource::Url("https://idp.test/jwks".into()))),
        };
        let tokens = Tokens::new(vec![issuer], "home.test", clock.clone(), publisher.clone());
        Self { clock, publisher, tokens, pair }
    }

    fn sign(&self, kid: &str, seconds: u64, number: u64) -> String {
        let now = self.clock.now().0 / 1000;
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid});
        let claims = json!({"iss": "https://idp.test", "aud": ["you", "me"], "sub": "app", "client_id": "app", "iat": now,
            "exp": now + seconds, "scope": "a2a:*:* register", "jti": number.to_string()});
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.publisher.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_program_is_known_by_what_it_signed_for_and_only_for_a_while() {
    let bed = Bed::new("max-age=600");
    let token = bed.sign("k", 90, 1);
    assert!(bed.tokens.known(&token).is_none());
    let holder = bed.tokens.verify(&token).await.unwrap();
    let who = holder.clone().on(None).unwrap();
    assert_eq!((&*who.id, who.kind, &*who.domain), ("idp/app", PrincipalKind::Agent, "home.test"));
    assert_eq!(who.scopes.words().iter().map(|word| &**word).collect::<Vec<_>>(), ["a2a:*:send"]);
    assert_eq!(bed.tokens.known(&token), Some(holder));
    bed.pass(61);
    assert!(bed.tokens.known(&token).is_none(), "it is looked at again");
    bed.tokens.verify(&token).await.unwrap();
    bed.pass(29);
    assert!(bed.tokens.known(&token).is_none(), "it has run out, to the second");
    bed.pass(31);
    assert!(bed.tokens.verify(&token).await.unwrap_err().detail.contains("run out"));
}

#[tokio::test]
async fn keys_are_fetched_when_they_have_aged_and_serve_a_day_while_they_cannot_be() {
    let bed = Bed::new("public, max-age=600");
    for n in 0..3 {
        bed.tokens.verify(&bed.sign("k", 600, n)).await.unwrap();
    }
    assert_eq!(bed.asked(), 1);
    bed.pass(601);
    bed.tokens.verify(&bed.sign("k", 600, 4)).await.unwrap();
    assert_eq!(bed.asked(), 2);
    *bed.publisher.keys.lock() = None;
    bed.pass(601);
    for n in 5..8 {
        bed.tokens.verify(&bed.sign("k", 600, n)).await.unwrap();
    }
    assert_eq!(bed.asked(), 3, "a fetch that failed is not repeated at once");
    bed.pass(23 * 3600);
    bed.tokens.verify(&bed.sign("k", 600, 8)).await.unwrap();
    bed.pass(3600);
    let problem = bed.tokens.verify(&bed.sign("k", 600, 9)).await.unwrap_err();
    assert_eq!(problem.code, Code::IssuerUnreachable);
    assert!(matches!(problem.retry, moongate_core::Retry::Later(_)));
}

#[tokio::test]
async fn a_key_that_is_not_there_is_looked_for_once_by_all_who_come_at_once() {
    let bed = Bed::new("max-age=86400");
    bed.tokens.verify(&bed.sign("k", 600, 0)).await.unwrap();
    bed.pass(60);
    *bed.publisher.keys.lock() = Some(json!({ "keys": [jwk(&bed.pair, "new")] }));
    let (tokens, fresh): (_, Vec<String>) = (&bed.tokens, (0..9).map(|n| bed.sign("new", 600, n)).collect());
    let all = futures_util::future::join_all(fresh.iter().map(|token| tokens.verify(token))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(bed.asked(), 2);
    for n in 0..9 {
        assert_eq!(bed.tokens.verify(&bed.sign("invented", 600, n)).await.unwrap_err().code, Code::Unauthenticated);
    }
    assert_eq!(bed.asked(), 2, "not again within thirty seconds");
    assert!(bed.tokens.verify(&bed.sign("k", 600, 10)).await.is_err(), "the old key is gone");
    // Whoever breaks off in the middle of a look has not used it up, nor ended it.
    bed.pass(60);
    *bed.publisher.keys.lock() = Some(json!({ "keys": [jwk(&bed.pair, "newest")] }));
    let token = bed.sign("newest", 600, 11);
    assert!(futures_util::FutureExt::now_or_never(bed.tokens.verify(&token)).is_none());
    bed.tokens.verify(&token).await.unwrap();
    assert_eq!(bed.asked(), 3);
    // What is withdrawn counts no more.
    bed.pass(60);
    *bed.publisher.keys.lock() = Some(json!({ "keys": [] }));
    assert!(bed.tokens.verify(&bed.sign("x", 600, 12)).await.is_err());
    assert_eq!(bed.tokens.verify(&bed.sign("newest", 600, 13)).await.unwrap_err().code, Code::Unauthenticated);
}

#[test]
fn keys_that_nothing_can_be_verified_with_are_left_out() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let good = jwk(&pair, "k");
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let small = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"});
    for (what, key) in [
        ("for encryption", with("use", json!("enc"))),
        ("for signing only", with("key_ops", json!(["sign"]))),
        ("another curve", with("crv", json!("secp256k1"))),
        ("another algorithm", with("alg", json!("ES384"))),
        ("symmetric", json!({"kty": "oct", "k": "c2VjcmV0"})),
        ("small", small),
        ("no key", json!(7)),
    ] {
        let alone = json!({ "keys": [key] }).to_string();
        assert_eq!(keys::KeySet::read(alone.as_bytes()).map(|set| set.keys.len()), Ok(0), "{what}");
        let both = json!({ "keys": [key, good] }).to_string();
        assert_eq!(keys::KeySet::read(both.as_bytes()).map(|set| set.keys.len()), Ok(1), "{what}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert!(keys::KeySet::read(text.as_bytes()).is_err(), "{text}");
    }
}
