//! Signatures under cards: what we sign can be verified, and of others only what holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moongate_core::seam::notary::{Finding, KeysAt, Notary as _, Signature, Signed, Trust};
use moongate_core::seam::{Clock, Dialer, Fetch, Fetched, Later};
use moongate_core::{Code, Mono, Problem, Time};
use moongate_identity::signing::Workshop;
use moongate_identity::{Notary, Vault};
use moongate_testkit::issuer::{encode, header as decode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::{Folder, folder};

const CARD: &str = "https://agent.test/.well-known/agent-card.json";
const KEYS: &str = "https://agent.test/jwks.json";
const FORM: &[u8] = br#"{"name":"agent"}"#;

#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Time {
        Time(1_788_220_800_000).plus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }

    fn mono(&self) -> Mono {
        Mono(0).plus(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }
}

/// Serves key sets by URL, and notes who was asked.
#[derive(Default)]
struct Net {
    sets: Mutex<Vec<(String, Value)>>,
    asked: Mutex<Vec<String>>,
}

impl Dialer for Net {
    fn fetch(&self, fetch: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        self.asked.lock().push(fetch.url.clone());
        let found = self.sets.lock().iter().find(|(url, _)| *url == fetch.url).map(|(_, set)| set.clone());
        Box::pin(async move {
            let set = found.ok_or_else(|| Problem::new(Code::AgentUnreachable, "down"))?;
            Ok(Fetched { status: 200, headers: Vec::new(), body: set.to_string().into() })
        })
    }
}

struct Bed {
    clock: Arc<Hands>,
    net: Arc<Net>,
    notary: Notary,
    _folder: Folder,
}

impl Bed {
    async fn new() -> Self {
        let folder = folder();
        let (clock, net) = (Arc::new(Hands::default()), Arc::new(Net::default()));
        let workshop = Workshop {
            store: moongate_store::open("memory:", folder.path()).unwrap(),
            vault: Arc::new(Vault::load_or_make(&folder.path().join("gateway.key")).unwrap()),
            clock: clock.clone(),
        };
        let notary = Notary::load_or_make(workshop, net.clone()).await.unwrap();
        net.sets.lock().push((KEYS.to_owned(), serde_json::from_slice(&notary.key_set()).unwrap()));
        Self { clock, net, notary, _folder: folder }
    }

    async fn judge(&self, signature: Signature, trust: &Trust) -> Finding {
        self.notary.judge(&Signed { signatures: vec![signature], forms: vec![FORM.to_vec()] }, trust).await
    }

    fn sign(&self) -> Signature {
        self.notary.sign(FORM, KEYS).unwrap()
    }
}

fn from_card() -> Trust {
    Trust { keys: None, from: Some(CARD.to_owned()) }
}

fn header(signature: &Signature) -> Value {
    decode(&signature.protected)
}

fn with_header(signature: &Signature, change: impl FnOnce(&mut Value)) -> Signature {
    let mut value = header(signature);
    change(&mut value);
    Signature { protected: encode(value.to_string()), ..signature.clone() }
}

#[tokio::test]
async fn what_is_signed_here_holds_by_the_keys_that_are_published_here() {
    let bed = Bed::new().await;
    let signature = bed.sign();
    let said = header(&signature);
    assert_eq!((&said["alg"], &said["typ"], &said["jku"]), (&json!("ES256"), &json!("JOSE"), &json!(KEYS)));
    let kid = said["kid"].as_str().unwrap().to_owned();
    assert_eq!(bed.judge(signature.clone(), &from_card()).await, Finding::Holds { kid });
    assert_eq!(bed.sign(), signature, "the same card keeps its signature");
    assert_ne!(bed.notary.sign(b"{}", KEYS).unwrap().signature, signature.signature);
}

#[tokio::test]
async fn a_changed_card_and_a_forged_signature_do_not_hold() {
    let bed = Bed::new().await;
    let good = bed.sign();
    let other = Signed { signatures: vec![good.clone()], forms: vec![br#"{"name":"other"}"#.to_vec()] };
    assert!(matches!(bed.notary.judge(&other, &from_card()).await, Finding::Broken(_)));
    let formless = Signed { signatures: vec![good.clone()], forms: Vec::new() };
    assert!(matches!(bed.notary.judge(&formless, &from_card()).await, Finding::Broken(_)));
    let forged = [
        (
            "alg none",
            with_header(&Signature { signature: String::new(), ..good.clone() }, |h| h["alg"] = json!("none")),
        ),
        ("HS256", with_header(&good, |h| h["alg"] = json!("HS256"))),
        ("another algorithm", with_header(&good, |h| h["alg"] = json!("ES384"))),
        ("zeros", Signature { signature: encode([0; 64]), ..good.clone() }),
        (
            "no key",
            with_header(&good, |h| {
                h.as_object_mut().unwrap().remove("kid");
            }),
        ),
        ("a key nobody published", with_header(&good, |h| h["kid"] = json!("elsewhere"))),
        ("a demand", with_header(&good, |h| h["crit"] = json!(["exp"]))),
        ("a header with blanks before it", Signature { protected: format!(" {}", good.protected), ..good.clone() }),
        ("a changed header", with_header(&good, |h| h["typ"] = json!("JWT"))),
        ("no header", Signature { protected: String::new(), ..good.clone() }),
        ("a jku that is a number", with_header(&good, |h| h["jku"] = json!(7))),
    ];
    for (what, signature) in forged {
        let finding = bed.judge(signature, &from_card()).await;
        assert!(matches!(finding, Finding::Broken(_)), "{what}: {finding:?}");
    }
}

#[tokio::test]
async fn keys_are_looked_for_where_the_card_lies_or_where_the_operator_said_and_nowhere_else() {
    let bed = Bed::new().await;
    let set = bed.net.sets.lock()[0].1.clone();
    bed.net.sets.lock().push(("https://evil.test/jwks.json".into(), set));
    let elsewhere = bed.notary.sign(FORM, "https://evil.test/jwks.json").unwrap();
    assert!(matches!(bed.judge(elsewhere.clone(), &from_card()).await, Finding::Unknown(_)));
    assert!(matches!(bed.judge(bed.sign(), &Trust::default()).await, Finding::Unknown(_)));
    assert!(bed.net.asked.lock().is_empty(), "nobody was asked");
    let named = |url: &str| Trust { keys: Some(KeysAt::Url(url.into())), from: Some(CARD.into()) };
    assert!(matches!(bed.judge(elsewhere, &named(KEYS)).await, Finding::Holds { .. }));
    assert_eq!(*bed.net.asked.lock(), [KEYS]);
    assert!(matches!(bed.judge(bed.sign(), &named("https://down.test/")).await, Finding::Unreachable(_)));
    let file = bed._folder.path().join("keys.json");
    std::fs::write(&file, bed.notary.key_set()).unwrap();
    let trust = Trust { keys: Some(KeysAt::File(file)), from: None };
    assert!(matches!(bed.judge(bed.sign(), &trust).await, Finding::Holds { .. }));
}

#[tokio::test]
async fn one_signature_that_holds_is_enough() {
    let bed = Bed::new().await;
    let foreign = bed.notary.sign(FORM, "https://evil.test/jwks.json").unwrap();
    let broken = Signature { signature: "AAAA".into(), ..bed.sign() };
    let all = |signatures| Signed { signatures, forms: vec![b"{}".to_vec(), FORM.to_vec()] };
    let finding = bed.notary.judge(&all(vec![foreign.clone(), broken.clone(), bed.sign()]), &from_card()).await;
    assert!(matches!(finding, Finding::Holds { .. }));
    let finding = bed.notary.judge(&all(vec![foreign, broken]), &from_card()).await;
    assert!(matches!(finding, Finding::Broken(_)), "what is broken is not hidden by what is unknown: {finding:?}");
    assert_eq!(bed.notary.judge(&all(Vec::new()), &from_card()).await, Finding::Unsigned);
}

#[tokio::test]
async fn a_key_is_replaced_in_time_and_what_it_signed_holds_for_a_while() {
    let bed = Bed::new().await;
    let old = bed.sign();
    bed.clock.0.fetch_add(89 * 86_400, Ordering::Relaxed);
    assert!(!bed.notary.tend().await.unwrap());
    assert_eq!(bed.sign(), old);
    bed.clock.0.fetch_add(2 * 86_400, Ordering::Relaxed);
    assert!(bed.notary.tend().await.unwrap());
    let new = bed.sign();
    assert_ne!(header(&new)["kid"], header(&old)["kid"]);
    bed.net.sets.lock()[0].1 = serde_json::from_slice(&bed.notary.key_set()).unwrap();
    for signature in [&old, &new] {
        assert!(matches!(bed.judge(signature.clone(), &from_card()).await, Finding::Holds { .. }));
    }
    bed.clock.0.fetch_add(8 * 86_400, Ordering::Relaxed);
    let set: Value = serde_json::from_slice(&bed.notary.key_set()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    let kids: Vec<&Value> = keys.iter().map(|key| &key["kid"]).collect();
    assert!(kids.contains(&&header(&new)["kid"]) && !kids.contains(&&header(&old)["kid"]), "{set}");
    assert!(keys.iter().all(|key| key.get("d").is_none()), "nothing private is published");
}
