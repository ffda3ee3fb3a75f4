//! The contracts that the protocol crate makes with its host, checked by its own harnesses.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use moongate_identity::SigningKeys;
use moongate_identity::authority::seams::{Es256, Signer};
use moongate_identity::authority::storage::Grants;
use oauth_as::signer_conformance::SignerConformance;
use oauth_as::storage_conformance::StorageConformance;

use super::{Moment, NOW, workshop};
use crate::support::folder;

/// On one thread: there the racers meet for certain, whatever else the machine does; the store has threads of its own.
async fn violations(url: &'static str) -> Vec<String> {
    let folders = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let harness = StorageConformance::new(|| {
        let folders = folders.clone();
        async move {
            let folder = folder();
            let clock = Arc::new(Moment(AtomicU64::new(NOW.0)));
            let workshop = workshop(url, folder.path(), &clock);
            folders.lock().push(folder);
            Grants::new(workshop.store, workshop.vault)
        }
    });
    let harness = harness.with_spawn(|task| {
        tokio::spawn(task);
    });
    harness.run().await.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn grants_in_memory_keep_the_storage_contract() {
    assert_eq!(violations("memory:").await, Vec::<String>::new());
}

#[tokio::test]
async fn grants_in_sqlite_keep_the_storage_contract() {
    assert_eq!(violations("sqlite:grants.db").await, Vec::<String>::new());
}

#[tokio::test]
async fn our_signatures_and_our_look_at_others_keep_the_contract() {
    let folder = folder();
    let clock = Arc::new(Moment(AtomicU64::new(NOW.0)));
    let keys = SigningKeys::load_or_make(workshop("memory:", folder.path(), &clock), "oauth", Duration::from_secs(60));
    let signer = Signer::new(Arc::new(keys.await.unwrap()));
    let violations = SignerConformance::new(signer, Es256).run().await;
    assert!(violations.is_empty(), "{violations:#?}");
}
