//! What every engine promises of registered agents. One suite, run against each.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_core::Time;
use moongate_core::seam::{Registry, RegistryRow, Store};

use crate::{Dice, row};

exercise! {
    rows_come_back_whole
    an_upsert_replaces_every_member
    rows_come_in_the_order_of_their_ids
    removing_says_whether_there_was_one
    beats_move_forward_only_and_make_no_rows
    writes_happen_in_the_order_of_the_calls
    a_write_that_nobody_waits_for_happens_all_the_same
    racing_writers_lose_nothing
    random_histories_end_as_the_model_says
    a_working_store_is_healthy
}

async fn rows(registry: &dyn Registry) -> Vec<RegistryRow> {
    registry.rows().await.unwrap()
}

async fn rows_come_back_whole(store: Arc<dyn Store>) {
    let registry = store.registry();
    assert_eq!(rows(registry).await, []);
    let mut expected = vec![
        RegistryRow { document: vec![], ..row("empty", 1) },
        RegistryRow { document: (0..=255).collect(), ..row("every byte", 2) },
        RegistryRow { document: vec![b'x'; 3 << 20], ..row("large", 3) },
        RegistryRow { owner: String::new(), beat_at: Some(Time(0)), updated_at: Time(0), ..row("zero", 4) },
        RegistryRow { owner: "o'; DROP TABLE registry; --".into(), ..row("灯@küche'\u{0}\"", 5) },
    ];
    for row in &expected {
        registry.upsert(row.clone()).await.unwrap();
    }
    expected.sort_by(|one, two| one.id.cmp(&two.id));
    assert!(rows(registry).await == expected, "something came back otherwise than it went in");
}

async fn an_upsert_replaces_every_member(store: Arc<dyn Store>) {
    let registry = store.registry();
    registry.upsert(row("lights", 1)).await.unwrap();
    registry.upsert(row("lights", 2)).await.unwrap();
    assert_eq!(rows(registry).await, [row("lights", 2)]);
}

async fn rows_come_in_the_order_of_their_ids(store: Arc<dyn Store>) {
    let registry = store.registry();
    for id in ["b", "ä", "B", "a@2", "a", "a@10", "a-1"] {
        registry.upsert(row(id, 1)).await.unwrap();
    }
    let ids: Vec<_> = rows(registry).await.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["B", "a", "a-1", "a@10", "a@2", "b", "ä"]);
}

async fn removing_says_whether_there_was_one(store: Arc<dyn Store>) {
    let registry = store.registry();
    registry.upsert(row("lights", 1)).await.unwrap();
    registry.upsert(row("lock", 1)).await.unwrap();
    assert_eq!(registry.remove("lights".into()).await, Ok(true));
    assert_eq!(registry.remove("lights".into()).await, Ok(false));
    assert_eq!(rows(registry).await, [row("lock", 1)]);
}

async fn beats_move_forward_only_and_make_no_rows(store: Arc<dyn Store>) {
    let registry = store.registry();
    for id in ["a", "b", "c"] {
        registry.upsert(row(id, 2)).await.unwrap();
    }
    let beat = |id: &str, at| (id.to_owned(), Time(at));
    registry.beat(vec![beat("a", 50), beat("b", 10), beat("a", 40), beat("gone", 60)]).await.unwrap();
    registry.beat(vec![beat("b", 9)]).await.unwrap();
    registry.beat(vec![]).await.unwrap();
    let beats: Vec<_> = rows(registry).await.into_iter().map(|row| (row.id, row.beat_at, row.updated_at)).collect();
    let updated_at = row("a", 2).updated_at;
    let expected = [("a", Some(Time(50))), ("b", Some(Time(10))), ("c", None)];
    assert_eq!(beats, expected.map(|(id, beat_at)| (id.to_owned(), beat_at, updated_at)));
}

async fn writes_happen_in_the_order_of_the_calls(store: Arc<dyn Store>) {
    let registry = store.registry();
    let mut calls: Vec<_> = (1..=50).map(|version| registry.upsert(row("lights", version))).collect();
    while let Some(last) = calls.pop() {
        last.await.unwrap();
    }
    assert_eq!(rows(registry).await, [row("lights", 50)]);
}

async fn a_write_that_nobody_waits_for_happens_all_the_same(store: Arc<dyn Store>) {
    let registry = store.registry();
    drop(registry.upsert(row("lights", 1)));
    registry.beat(vec![]).await.unwrap();
    assert_eq!(rows(registry).await, [row("lights", 1)]);
}

async fn racing_writers_lose_nothing(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let registry = store.registry();
                for version in 0..10 {
                    let mine = row(&format!("{task:02}-{}", version % 2), version);
                    registry.upsert(mine.clone()).await.unwrap();
                    assert!(rows(registry).await.contains(&mine), "an answered write was not read");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let expected: Vec<_> =
        (0..64).flat_map(|task| [8, 9].map(|version| row(&format!("{task:02}-{}", version % 2), version))).collect();
    assert_eq!(rows(store.registry()).await, expected);
}

async fn random_histories_end_as_the_model_says(store: Arc<dyn Store>) {
    let (registry, mut dice) = (store.registry(), Dice::roll());
    let mut model = BTreeMap::<String, RegistryRow>::new();
    for step in 0..600 {
        let id = format!("agent-{}", dice.below(12));
        match dice.below(4) {
            0 => {
                let removed = registry.remove(id.clone()).await;
                assert_eq!(removed, Ok(model.remove(&id).is_some()), "step {step}");
            }
            1 => {
                let beats: Vec<_> =
                    (0..dice.below(6)).map(|_| (format!("agent-{}", dice.below(12)), Time(dice.below(1000)))).collect();
                for (id, at) in &beats {
                    model.entry(id.clone()).and_modify(|row| row.beat_at = row.beat_at.max(Some(*at)));
                }
                registry.beat(beats).await.unwrap();
            }
            _ => {
                let new = row(&id, dice.below(1000));
                model.insert(id, new.clone());
                registry.upsert(new).await.unwrap();
            }
        }
        if step % 20 == 0 {
            assert_eq!(rows(registry).await, model.values().cloned().collect::<Vec<_>>(), "step {step}");
        }
    }
    assert_eq!(rows(registry).await, model.into_values().collect::<Vec<_>>());
}

async fn a_working_store_is_healthy(store: Arc<dyn Store>) {
    store.registry().upsert(row("lights", 1)).await.unwrap();
    assert_eq!(store.health(), Ok(()));
}
