//! Deliveries: each receiver gets each event in order, at least once, until it is given up or removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use moongate_core::Time;
use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Delivery, NewTask, PushRow, Settled};
use moongate_core::task::Command;

use crate::Dice;
use crate::sample::{advance, config, get, id, new, running};

exercise! {
    events_reach_each_receiver_in_order
    one_delivery_of_a_config_is_on_its_way_at_once
    what_was_not_settled_is_delivered_again
    a_delivery_is_settled_once
    what_was_not_tried_is_put_off_and_no_more
    a_config_that_was_replaced_is_left_as_it_is
    a_failure_is_tried_again_at_its_time
    what_was_given_up_waits_for_its_redrive
    a_receiver_that_wants_no_more_is_removed
    a_config_is_replaced_in_its_place
    an_idle_receiver_is_owed_nothing_until_something_happens
    a_cursor_may_begin_anywhere
    the_most_overdue_delivery_goes_first
    configs_of_missing_tasks_are_missing
    every_event_arrives_whatever_fails
}

async fn deliveries(store: &Arc<dyn Store>, now: u64) -> Vec<Delivery> {
    store.tasks().deliveries(Time(now), Time(now + 100), 99).await.unwrap()
}

async fn settle(store: &Arc<dyn Store>, config: &str, seq: u64, end: Settled) {
    store.tasks().settle(id("t"), config.into(), seq, end).await.unwrap();
}

async fn report(store: &Arc<dyn Store>, now: u64) {
    advance(store.tasks(), "t", Command::Artifact, now).await.unwrap();
}

async fn make(store: &Arc<dyn Store>, configs: Vec<PushRow>) {
    store.tasks().create(NewTask { configs, ..new(running("t")) }).await.unwrap();
}

async fn cursor(store: &Arc<dyn Store>, config: &str) -> PushRow {
    let stored = get(store.tasks(), "t").await;
    stored.configs.into_iter().find(|row| row.id == config).unwrap()
}

fn named(deliveries: &[Delivery]) -> Vec<(&str, u64)> {
    deliveries.iter().map(|delivery| (delivery.config.id.as_str(), delivery.event.seq)).collect()
}

async fn events_reach_each_receiver_in_order(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0), config("b", 1)]).await;
    for now in [2000, 3000] {
        report(&store, now).await;
    }
    let events = store.tasks().events(id("t"), 0, 9).await.unwrap();
    let first = deliveries(&store, 3000).await;
    assert_eq!(named(&first), [("a", 1), ("b", 2)]);
    assert_eq!((&first[0].event, &first[1].event), (&events[0], &events[1]));
    assert_eq!((&first[0].task, &*first[0].owner), (&id("t"), "alice"));
    assert_eq!(first[0].config, PushRow { due_at: Time(3100), ..config("a", 0) });
    settle(&store, "a", 1, Settled::Taken).await;
    settle(&store, "b", 2, Settled::Taken).await;
    assert_eq!(named(&deliveries(&store, 3000).await), [("a", 2), ("b", 3)]);
    settle(&store, "a", 2, Settled::Taken).await;
    settle(&store, "b", 3, Settled::Taken).await;
    assert_eq!(named(&deliveries(&store, 3000).await), [("a", 3)]);
    settle(&store, "a", 3, Settled::Taken).await;
    assert_eq!(store.tasks().next_delivery().await, Ok(None));
    assert_eq!(deliveries(&store, 9000).await, []);
    assert_eq!((cursor(&store, "a").await.delivered, cursor(&store, "b").await.delivered), (3, 3));
}

async fn one_delivery_of_a_config_is_on_its_way_at_once(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0)]).await;
    report(&store, 2000).await;
    assert_eq!(named(&deliveries(&store, 2000).await), [("a", 1)]);
    assert_eq!(deliveries(&store, 2099).await, []);
    assert_eq!(store.tasks().next_delivery().await, Ok(Some(Time(2100))));
    report(&store, 2050).await;
    assert_eq!(deliveries(&store, 2099).await, [], "a new event does not overtake");
    settle(&store, "a", 1, Settled::Taken).await;
    assert_eq!(store.tasks().next_delivery().await, Ok(Some(Time(2000))), "since the next one was recorded");
    assert_eq!(named(&deliveries(&store, 2099).await), [("a", 2)]);
}

async fn what_was_not_settled_is_delivered_again(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0)]).await;
    for now in [1000, 1100, 1200] {
        let again = deliveries(&store, now).await;
        assert_eq!(named(&again), [("a", 1)]);
        assert_eq!(again[0].config.attempt, 0, "nothing is known of the tries before");
    }
    settle(&store, "a", 1, Settled::Taken).await;
    assert_eq!(deliveries(&store, 9000).await, [], "the late answer of whichever try is good");
}

async fn a_delivery_is_settled_once(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0)]).await;
    report(&store, 1000).await;
    settle(&store, "a", 1, Settled::Taken).await;
    assert_eq!(cursor(&store, "a").await.delivered, 0, "it was not taken");
    deliveries(&store, 1000).await;
    for seq in [0, 2, 3, u64::MAX] {
        settle(&store, "a", seq, Settled::Taken).await;
        settle(&store, "b", seq, Settled::Gone).await;
    }
    assert_eq!(cursor(&store, "a").await.delivered, 0);
    settle(&store, "a", 1, Settled::Again { at: Time(5000), since: Time(1000) }).await;
    let expected = cursor(&store, "a").await;
    assert_eq!((expected.attempt, expected.due_at), (1, Time(5000)));
    settle(&store, "a", 1, Settled::Later(Time(7000))).await;
    settle(&store, "a", 1, Settled::Again { at: Time(6000), since: Time(2000) }).await;
    settle(&store, "a", 1, Settled::Dead("no".into())).await;
    settle(&store, "a", 1, Settled::Gone).await;
    assert_eq!(cursor(&store, "a").await, expected);
}

async fn what_was_not_tried_is_put_off_and_no_more(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0)]).await;
    deliveries(&store, 1000).await;
    settle(&store, "a", 1, Settled::Later(Time(5000))).await;
    let put_off = cursor(&store, "a").await;
    assert_eq!((put_off.attempt, put_off.since, put_off.due_at), (0, None, Time(5000)));
    assert_eq!(deliveries(&store, 4999).await, []);
    assert_eq!(named(&deliveries(&store, 5000).await), [("a", 1)]);
}

async fn a_config_that_was_replaced_is_left_as_it_is(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0)]).await;
    for end in [Settled::Taken, Settled::Dead("no".into()), Settled::Gone] {
        deliveries(&store, 1000).await;
        let new = PushRow { sealed: format!("{end:?}").into(), ..config("a", 0) };
        assert_eq!(store.tasks().put_config(id("t"), new.clone()).await, Ok(true));
        settle(&store, "a", 1, end).await;
        assert_eq!(cursor(&store, "a").await, new);
    }
    assert_eq!(named(&deliveries(&store, 1000).await), [("a", 1)]);
}

async fn a_failure_is_tried_again_at_its_time(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 0)]).await;
    let mut now = 1000;
    for attempt in 0..5 {
        let tried = deliveries(&store, now).await;
        assert_eq!(named(&tried), [("a", 1)]);
        assert_eq!((tried[0].config.attempt, tried[0].config.since), (attempt, (attempt > 0).then_some(Time(1000))));
        let at = now + (10 << attempt);
        settle(&store, "a", 1, Settled::Again { at: Time(at), since: Time(1000) }).await;
        assert_eq!(deliveries(&store, at - 1).await, []);
        now = at;
    }
    deliveries(&store, now).await;
    settle(&store, "a", 1, Settled::Taken).await;
    let row = cursor(&store, "a").await;
    assert_eq!((row.attempt, row.since, row.delivered), (0, None, 1));
}

async fn what_was_given_up_waits_for_its_redrive(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, vec![config("a", 0), config("b", 0)]).await;
    deliveries(&store, 1000).await;
    settle(&store, "a", 1, Settled::Again { at: Time(1000), since: Time(1000) }).await;
    deliveries(&store, 1000).await;
    settle(&store, "a", 1, Settled::Dead("410 Gone".into())).await;
    let row = cursor(&store, "a").await;
    assert_eq!((row.dead.as_deref(), row.attempt, row.since), (Some("410 Gone"), 2, Some(Time(1000))));
    report(&store, 2000).await;
    settle(&store, "b", 1, Settled::Taken).await;
    assert_eq!(named(&deliveries(&store, 9000).await), [("b", 2)]);
    let census = tasks.census().await.unwrap();
    assert_eq!((census.configs, census.dead_configs), (1, 1));
    assert_eq!(tasks.redrive_configs(Some(id("other")), Time(9000)).await, Ok(0));
    assert_eq!(tasks.redrive_configs(Some(id("t")), Time(9000)).await, Ok(1));
    assert_eq!(tasks.redrive_configs(None, Time(9000)).await, Ok(0));
    let row = cursor(&store, "a").await;
    assert_eq!((row.dead, row.attempt, row.since, row.due_at), (None, 0, None, Time(9000)));
    for seq in [1, 2] {
        assert_eq!(named(&deliveries(&store, 9000).await), [("a", seq)]);
        settle(&store, "a", seq, Settled::Dead("again".into())).await;
        assert_eq!(tasks.redrive_configs(None, Time(9000)).await, Ok(1));
        assert_eq!(named(&deliveries(&store, 9000).await), [("a", seq)]);
        settle(&store, "a", seq, Settled::Taken).await;
    }
}

async fn a_receiver_that_wants_no_more_is_removed(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, vec![config("a", 0), config("b", 0), config("c", 0)]).await;
    deliveries(&store, 1000).await;
    settle(&store, "b", 1, Settled::Gone).await;
    assert_eq!(tasks.remove_config(id("t"), "a".into()).await, Ok(true));
    assert_eq!(tasks.remove_config(id("t"), "a".into()).await, Ok(false));
    let left: Vec<_> = get(tasks, "t").await.configs.into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["c"]);
    settle(&store, "a", 1, Settled::Taken).await;
    settle(&store, "c", 1, Settled::Dead("no".into())).await;
    assert_eq!(tasks.remove_config(id("t"), "c".into()).await, Ok(true));
    report(&store, 2000).await;
    assert_eq!((deliveries(&store, 9000).await, tasks.next_delivery().await), (vec![], Ok(None)));
    let census = tasks.census().await.unwrap();
    assert_eq!((census.configs, census.dead_configs), (0, 0));
    assert_eq!(store.inspect().await, Ok(vec![]));
}

async fn a_config_is_replaced_in_its_place(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, vec![config("z", 0), config("y", 0), config("z", 1)]).await;
    assert_eq!(tasks.put_config(id("t"), config("x", 0)).await, Ok(true));
    let dead = PushRow { dead: Some("no".into()), attempt: 9, ..config("y", 0) };
    assert_eq!(tasks.put_config(id("t"), dead.clone()).await, Ok(true));
    assert_eq!(get(tasks, "t").await.configs, [config("z", 1), dead, config("x", 0)]);
    assert_eq!(named(&deliveries(&store, 1000).await), [("x", 1)]);
    let census = tasks.census().await.unwrap();
    assert_eq!((census.configs, census.dead_configs), (2, 1));
    assert_eq!(tasks.put_config(id("t"), config("y", 0)).await, Ok(true));
    assert_eq!(named(&deliveries(&store, 1000).await), [("y", 1)]);
    assert_eq!(store.inspect().await, Ok(vec![]));
}

async fn an_idle_receiver_is_owed_nothing_until_something_happens(store: Arc<dyn Store>) {
    make(&store, vec![config("a", 1)]).await;
    assert_eq!(store.tasks().next_delivery().await, Ok(None));
    let steps = vec![Command::Artifact; 3];
    store.tasks().save(crate::sample::step(&running("t"), steps, 4000)).await.unwrap();
    assert_eq!(store.tasks().next_delivery().await, Ok(Some(Time(4000))));
    assert_eq!(deliveries(&store, 3999).await, []);
    for seq in 2..=4 {
        assert_eq!(named(&deliveries(&store, 4000).await), [("a", seq)]);
        settle(&store, "a", seq, Settled::Taken).await;
    }
    assert_eq!(store.tasks().next_delivery().await, Ok(None));
}

async fn a_cursor_may_begin_anywhere(store: Arc<dyn Store>) {
    make(&store, vec![]).await;
    for now in [2000, 3000, 4000] {
        report(&store, now).await;
    }
    for (name, delivered) in [("all", 0), ("last", 3), ("next", 4), ("ahead", 6)] {
        assert_eq!(store.tasks().put_config(id("t"), config(name, delivered)).await, Ok(true));
    }
    assert_eq!(named(&deliveries(&store, 4000).await), [("all", 1), ("last", 4)]);
    report(&store, 5000).await;
    assert_eq!(named(&deliveries(&store, 5000).await), [("all", 1), ("last", 4), ("next", 5)]);
    report(&store, 6000).await;
    report(&store, 7000).await;
    assert_eq!(named(&deliveries(&store, 7000).await), [("all", 1), ("last", 4), ("next", 5), ("ahead", 7)]);
}

async fn the_most_overdue_delivery_goes_first(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    for (name, due) in [("t3", 300), ("t1", 100), ("t4", 400), ("t2", 200)] {
        let configs = ["a", "b"].map(|config_id| PushRow { due_at: Time(due), ..config(config_id, 0) });
        tasks.create(NewTask { configs: configs.into(), ..new(running(name)) }).await.unwrap();
    }
    let mut order = Vec::new();
    for limit in [3, 99] {
        let taken = tasks.deliveries(Time(300), Time(900), limit).await.unwrap();
        order.extend(taken.into_iter().map(|delivery| format!("{} {}", delivery.task, delivery.config.id)));
    }
    assert_eq!(order, ["t1 a", "t1 b", "t2 a", "t2 b", "t3 a", "t3 b"]);
    assert_eq!(tasks.deliveries(Time(400), Time(900), 0).await, Ok(vec![]));
    assert_eq!(tasks.next_delivery().await, Ok(Some(Time(400))));
}

async fn configs_of_missing_tasks_are_missing(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    assert_eq!(tasks.put_config(id("t"), config("a", 0)).await, Ok(false));
    assert_eq!(tasks.remove_config(id("t"), "a".into()).await, Ok(false));
    assert_eq!(tasks.settle(id("t"), "a".into(), 1, Settled::Gone).await, Ok(()));
    assert_eq!(tasks.redrive_configs(None, Time(1)).await, Ok(0));
    assert_eq!(deliveries(&store, 9000).await, []);
}

/// Receivers that fail as the dice say: what each of them took is the log, in order, nothing left out.
async fn every_event_arrives_whatever_fails(store: Arc<dyn Store>) {
    let (tasks, mut dice) = (store.tasks(), Dice::roll());
    for task in 0..5 {
        let configs = (0..task % 3 + 1).map(|n| config(&format!("c{n}"), 0)).collect();
        tasks.create(NewTask { configs, ..new(running(&format!("t{task}"))) }).await.unwrap();
    }
    let mut arrived = BTreeMap::<_, Vec<u64>>::new();
    for now in 1000..4000 {
        if now < 1300 {
            let task = format!("t{}", dice.below(5));
            advance(tasks, &task, Command::Artifact, now).await;
        }
        for delivery in tasks.deliveries(Time(now), Time(now + 5), 3).await.unwrap() {
            let (receiver, seq) = ((delivery.task.clone(), delivery.config.id.clone()), delivery.event.seq);
            let log = arrived.entry(receiver).or_default();
            let end = match dice.below(4) {
                0 => Settled::Again { at: Time(now + dice.below(9)), since: Time(now) },
                // The answer is lost; the receiver has it all the same.
                1 => {
                    log.push(seq);
                    continue;
                }
                _ => {
                    log.push(seq);
                    Settled::Taken
                }
            };
            tasks.settle(delivery.task, delivery.config.id, seq, end).await.unwrap();
        }
    }
    assert_eq!(tasks.next_delivery().await, Ok(None), "something is owed for ever");
    assert_eq!(arrived.len(), 9);
    for ((task, config), mut log) in arrived {
        assert!(log.is_sorted(), "{config} of {task} got {log:?}");
        log.dedup();
        let seq = get(tasks, task.as_str()).await.task.seq;
        assert_eq!(log, (1..=seq).collect::<Vec<_>>(), "{config} of {task}");
    }
}
