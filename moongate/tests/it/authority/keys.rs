//! Signing keys: one signs, those before it stay published for a while, and none leaves the store in the clear.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::Code;
use moongate_identity::SigningKeys;
use moongate_identity::signing::{PublicKey, Signed};

use super::{Moment, NOW, workshop};
use crate::support::folder;

const KEEP: Duration = Duration::from_secs(3600);

fn holds(key: &PublicKey, message: &[u8], signed: &Signed) -> bool {
    let point = [vec![4], URL_SAFE_NO_PAD.decode(&key.x).unwrap(), URL_SAFE_NO_PAD.decode(&key.y).unwrap()].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &signed.signature).is_ok()
}

#[tokio::test]
async fn a_key_outlives_a_restart_and_stays_published_after_it_was_replaced() {
    let folder = folder();
    let clock = Arc::new(Moment(AtomicU64::new(NOW.0)));
    let open = || SigningKeys::load_or_make(workshop("sqlite:keys.db", folder.path(), &clock), "card", KEEP);
    let first = {
        let keys = open().await.unwrap();
        let signed = keys.sign(b"text").unwrap();
        assert!(holds(&keys.current(), b"text", &signed) && !holds(&keys.current(), b"other", &signed));
        assert_eq!(signed.key, keys.current().id);
        keys.current()
    };
    let keys = open().await.unwrap();
    assert_eq!(keys.current(), first, "the same key after a restart");

    let second = keys.rotate().await.unwrap();
    assert_ne!(second.id, first.id);
    let signed = keys.sign(b"text").unwrap();
    assert!(holds(&second, b"text", &signed) && !holds(&first, b"text", &signed));
    let ids = |keys: &SigningKeys| keys.published().into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(&keys), [second.id.clone(), first.id.clone()]);
    drop(keys);
    let keys = open().await.unwrap();
    assert_eq!(ids(&keys), [second.id.clone(), first.id]);

    clock.0.fetch_add(u64::try_from(KEEP.as_millis()).unwrap(), Ordering::SeqCst);
    assert_eq!(ids(&keys), [second.id], "what it signed has expired by now");
}

#[tokio::test]
async fn a_key_of_another_gateway_opens_nothing() {
    let folder = folder();
    let clock = Arc::new(Moment(AtomicU64::new(NOW.0)));
    let open = || SigningKeys::load_or_make(workshop("sqlite:keys.db", folder.path(), &clock), "card", KEEP);
    drop(open().await.unwrap());
    let database = std::fs::read(folder.path().join("keys.db")).unwrap();
    assert!(!database.windows(8).any(|part| part == [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03]), "no PKCS #8");
    std::fs::remove_file(folder.path().join("gateway.key")).unwrap();
    assert_eq!(open().await.err().map(|problem| problem.code), Some(Code::KeyUnusable));
}
