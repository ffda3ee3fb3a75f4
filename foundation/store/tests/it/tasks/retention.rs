//! What is forgotten, and what never is.

use std::collections::BTreeSet;
use std::sync::Arc;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Filter, NewTask, Settled};
use moongate_core::task::Command;
use moongate_core::{Phase, Task, TaskState, Time};

use crate::Dice;
use crate::sample::{advance, config, id, new, running, waiting};

exercise! {
    old_finished_tasks_go_and_leave_nothing
    beyond_the_number_to_keep_the_oldest_go
    live_tasks_stay_whatever_their_age
    a_task_that_owes_a_delivery_stays
    tasks_go_in_slices
    an_id_that_is_gone_is_free_again
    random_ends_expire_as_the_model_says
}

fn finished(id: &str, at: u64) -> Task {
    Task { state: TaskState::Completed, phase: Phase::Done, status_at: Time(at), ..running(id) }
}

async fn left(store: &Arc<dyn Store>) -> BTreeSet<String> {
    let page = store.tasks().list(Filter { limit: 999, ..Filter::default() }).await.unwrap();
    assert_eq!(page.total, page.tasks.len() as u64);
    page.tasks.into_iter().map(|stored| stored.task.id.to_string()).collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

async fn old_finished_tasks_go_and_leave_nothing(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let context = |task| Task { context: Some("c".into()), upstream_id: Some("theirs".into()), ..task };
    let configs = vec![config("c", 1)];
    tasks.create(NewTask { configs, ..new(context(finished("old", 10))) }).await.unwrap();
    tasks.create(new(finished("edge", 20))).await.unwrap();
    assert_eq!(tasks.expire(Time(99), Time(20), 99, 99).await, Ok(1));
    assert_eq!(left(&store).await, names(["edge"]));
    assert_eq!(tasks.get(None, id("old")).await, Ok(None));
    assert_eq!(tasks.events(id("old"), 0, 9).await, Ok(vec![]));
    assert_eq!(tasks.conversation("alice".into(), "c".into()).await, Ok(None));
    assert_eq!(tasks.upstream("lights".into(), id("theirs")).await, Ok(None));
    let census = tasks.census().await.unwrap();
    assert_eq!((census.events, census.configs), (1, 0));
    assert_eq!(store.inspect().await, Ok(vec![]));
}

async fn beyond_the_number_to_keep_the_oldest_go(store: Arc<dyn Store>) {
    for (name, at) in [("c", 30), ("a", 10), ("e", 50), ("b", 10), ("d", 40)] {
        store.tasks().create(new(finished(name, at))).await.unwrap();
    }
    assert_eq!(store.tasks().expire(Time(99), Time(0), 5, 99).await, Ok(0));
    assert_eq!(store.tasks().expire(Time(99), Time(0), 4, 99).await, Ok(1));
    assert_eq!(left(&store).await, names(["b", "c", "d", "e"]), "of two of one age the one that was made first");
    assert_eq!(store.tasks().expire(Time(99), Time(0), 1, 99).await, Ok(3));
    assert_eq!(left(&store).await, names(["e"]));
    assert_eq!(store.tasks().expire(Time(99), Time(0), 0, 99).await, Ok(1));
}

async fn live_tasks_stay_whatever_their_age(store: Arc<dyn Store>) {
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Done) {
        store.tasks().create(new(Task { phase, status_at: Time(0), ..waiting(phase.as_str()) })).await.unwrap();
    }
    store.tasks().create(new(finished("done", 50))).await.unwrap();
    assert_eq!(store.tasks().expire(Time(99), Time(99), 0, 99).await, Ok(1));
    assert_eq!(left(&store).await.len(), 5);
    advance(store.tasks(), "running", Command::Status(TaskState::Failed), 70).await.unwrap();
    assert_eq!(store.tasks().expire(Time(99), Time(71), 9, 99).await, Ok(1));
}

async fn a_task_that_owes_a_delivery_stays(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    for (name, delivered) in [("owes", 0), ("dies", 0), ("settled", 1)] {
        let configs = vec![config("other", 1), config("c", delivered)];
        tasks.create(NewTask { configs, ..new(finished(name, 10)) }).await.unwrap();
    }
    assert_eq!(tasks.expire(Time(99), Time(99), 99, 99).await, Ok(1));
    assert_eq!(left(&store).await, names(["dies", "owes"]));
    tasks.deliveries(Time(9000), Time(9999), 9).await.unwrap();
    assert_eq!(tasks.expire(Time(99), Time(99), 0, 99).await, Ok(0), "on its way is not there");
    tasks.settle(id("dies"), "c".into(), 1, Settled::Dead("no".into())).await.unwrap();
    assert_eq!(tasks.expire(Time(99), Time(99), 0, 99).await, Ok(1));
    tasks.settle(id("owes"), "c".into(), 1, Settled::Taken).await.unwrap();
    assert_eq!(tasks.expire(Time(99), Time(99), 0, 99).await, Ok(1));
    let census = tasks.census().await.unwrap();
    assert_eq!((census.configs, census.dead_configs, census.events), (0, 0, 0));
}

async fn tasks_go_in_slices(store: Arc<dyn Store>) {
    for n in 0..25 {
        drop(store.tasks().create(new(finished(&format!("t{n:02}"), n))));
    }
    for (expected, keep) in [(10, 3), (10, 3), (2, 3), (0, 3), (3, 0)] {
        assert_eq!(store.tasks().expire(Time(99), Time(0), keep, 10).await, Ok(expected));
    }
    assert_eq!(store.tasks().expire(Time(99), Time(99), 0, 0).await, Ok(0));
}

async fn an_id_that_is_gone_is_free_again(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(NewTask { configs: vec![config("c", 1)], ..new(finished("t", 10)) }).await.unwrap();
    tasks.expire(Time(99), Time(99), 0, 99).await.unwrap();
    tasks.create(new(running("t"))).await.unwrap();
    let again = crate::sample::get(tasks, "t").await;
    assert_eq!((again.task, again.tail, again.configs), (running("t"), vec![], vec![]));
    assert_eq!(tasks.events(id("t"), 0, 9).await.unwrap().len(), 1);
}

async fn random_ends_expire_as_the_model_says(store: Arc<dyn Store>) {
    let mut dice = Dice::roll();
    let mut finished_at = BTreeSet::new();
    for n in 0..200 {
        let (name, at) = (format!("t{n:03}"), dice.below(50));
        let task =
            if dice.below(3) == 0 { Task { status_at: Time(at), ..running(&name) } } else { finished(&name, at) };
        if task.state.is_terminal() {
            finished_at.insert((at, name));
        }
        store.tasks().create(new(task)).await.unwrap();
    }
    let live = 200 - finished_at.len();
    while !finished_at.is_empty() {
        let (before, keep, limit) = (dice.below(60), dice.below(150), 1 + dice.below(20));
        let mut expected = 0;
        while expected < limit
            && let Some((at, _)) = finished_at.first()
            && (*at < before || finished_at.len() as u64 > keep)
        {
            finished_at.pop_first();
            expected += 1;
        }
        assert_eq!(store.tasks().expire(Time(0), Time(before), keep, limit as u32).await, Ok(expected));
        let left = left(&store).await;
        assert_eq!(left.len(), live + finished_at.len());
        assert!(finished_at.iter().all(|(_, name)| left.contains(name)));
    }
}
