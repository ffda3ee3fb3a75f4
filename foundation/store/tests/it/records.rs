//! What every engine promises of small rows.

use std::sync::Arc;

use moongate_core::Time;
use moongate_core::seam::Store;
use moongate_core::seam::records::{Broken, Record, change, look};

exercise! {
    a_row_comes_back_whole_and_is_replaced_whole
    kinds_do_not_see_each_other
    a_group_is_found_in_the_order_of_its_keys
    pages_go_on_after_a_key
    what_has_expired_is_swept_and_nothing_else
    of_a_hundred_that_claim_one_row_one_succeeds
    a_look_cannot_write
}

fn plain(key: &str, value: &str) -> Record {
    Record { key: key.into(), group: None, value: value.into(), expires_at: None }
}

async fn one(store: &Arc<dyn Store>, kind: &'static str, key: &'static str) -> Option<Record> {
    look(store.records(), move |page| page.record(kind, key)).await.unwrap()
}

async fn put(store: &Arc<dyn Store>, kind: &'static str, record: Record) {
    change(store.records(), move |page| page.put(kind, &record)).await.unwrap();
}

async fn a_row_comes_back_whole_and_is_replaced_whole(store: Arc<dyn Store>) {
    assert_eq!(one(&store, "user", "ann").await, None);
    let first = Record {
        key: "ann".into(),
        group: Some("灯'\u{0}\"".into()),
        value: (0..=255).collect(),
        expires_at: Some(Time(0)),
    };
    put(&store, "user", first.clone()).await;
    assert_eq!(one(&store, "user", "ann").await, Some(first));
    put(&store, "user", plain("ann", "")).await;
    assert_eq!(one(&store, "user", "ann").await, Some(plain("ann", "")));
    let removed = |store: Arc<dyn Store>| async move {
        change(store.records(), |page| page.remove("user", "ann")).await.unwrap()
    };
    assert!(removed(store.clone()).await);
    assert!(!removed(store.clone()).await);
    assert_eq!(one(&store, "user", "ann").await, None);
}

async fn kinds_do_not_see_each_other(store: Arc<dyn Store>) {
    put(&store, "user", plain("x", "a user")).await;
    put(&store, "client", plain("x", "a client")).await;
    assert_eq!(one(&store, "user", "x").await, Some(plain("x", "a user")));
    change(store.records(), |page| page.remove("user", "x")).await.unwrap();
    assert_eq!(one(&store, "client", "x").await, Some(plain("x", "a client")));
    let users = look(store.records(), |page| page.after("user", "", 10)).await.unwrap();
    assert_eq!(users, []);
}

async fn a_group_is_found_in_the_order_of_its_keys(store: Arc<dyn Store>) {
    for (key, group) in [("b", "f1"), ("a", "f1"), ("c", "f2"), ("d", "")] {
        let group = (!group.is_empty()).then(|| group.to_owned());
        put(&store, "refresh", Record { group, ..plain(key, "") }).await;
    }
    let keys = |group: &'static str| {
        let store = store.clone();
        async move {
            let rows = look(store.records(), move |page| page.group("refresh", group)).await.unwrap();
            rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
        }
    };
    assert_eq!(keys("f1").await, ["a", "b"]);
    assert_eq!(keys("f2").await, ["c"]);
    assert!(keys("").await.is_empty());
}

async fn pages_go_on_after_a_key(store: Arc<dyn Store>) {
    for key in ["b", "ä", "B", "a", "ab"] {
        put(&store, "user", plain(key, "")).await;
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let last = seen.last().cloned().unwrap_or_default();
        let rows = look(store.records(), move |page| page.after("user", &last, 2)).await.unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.into_iter().map(|row| row.key));
    }
    assert_eq!(seen, ["B", "a", "ab", "b", "ä"]);
}

async fn what_has_expired_is_swept_and_nothing_else(store: Arc<dyn Store>) {
    put(&store, "code", Record { expires_at: Some(Time(10)), ..plain("old", "") }).await;
    put(&store, "code", Record { expires_at: Some(Time(11)), ..plain("new", "") }).await;
    put(&store, "user", plain("kept", "")).await;
    let swept = change(store.records(), |page| page.sweep(Time(10))).await.unwrap();
    assert_eq!(swept, 1);
    assert!(one(&store, "code", "old").await.is_none());
    assert!(one(&store, "code", "new").await.is_some());
    assert!(one(&store, "user", "kept").await.is_some());
}

async fn of_a_hundred_that_claim_one_row_one_succeeds(store: Arc<dyn Store>) {
    put(&store, "code", plain("once", "")).await;
    let claims = (0..100).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { change(store.records(), |page| page.remove("code", "once")).await.unwrap() })
    });
    let mut taken = 0;
    for claim in claims.collect::<Vec<_>>() {
        taken += usize::from(claim.await.unwrap());
    }
    assert_eq!(taken, 1);
}

async fn a_look_cannot_write(store: Arc<dyn Store>) {
    let refused = look(store.records(), |page| page.put("user", &plain("ann", ""))).await;
    assert!(refused.is_err());
    // A closure that hides the failure does not get its way either.
    let hidden = look(store.records(), |page| {
        let _ = page.put("user", &plain("ann", ""));
        Ok::<_, Broken>(())
    });
    let _ = hidden.await;
    assert_eq!(one(&store, "user", "ann").await, None);
}
