//! Making tasks: whole, once, and under one key only one.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Created, Event, NewTask, Stored};
use moongate_core::task::{Command, Deadlines, Pause, Timeouts};
use moongate_core::{Code, Phase, Task, TaskState, Time};

use crate::sample::{claim, config, get, id, key, new, owned, running, step, waiting};

exercise! {
    a_task_comes_back_whole
    sparse_and_large_tasks_come_back_whole
    an_id_is_taken_by_whomever
    racers_under_one_key_make_one_task
    another_request_under_the_same_key_is_refused
    keys_belong_to_their_owner
    a_key_that_has_run_out_is_free_again
    a_key_outlives_its_task
    a_taken_id_leaves_the_key_free
    no_more_wait_than_may
    logs_begin_with_event_one
    phase_and_state_agree_from_the_beginning
}

fn stored(new: &NewTask) -> Stored {
    let (task, document) = (new.task.clone(), new.document.clone());
    let (request, configs) = (new.request.clone(), new.configs.clone());
    Stored { task, document, document_seq: 1, tail: vec![], request, configs }
}

async fn comes_back(store: &Arc<dyn Store>, new: NewTask) {
    let (expected, first) = (stored(&new), new.first.clone());
    let id = new.task.id.clone();
    assert_eq!(store.tasks().create(new).await, Ok(Created::New));
    assert!(
        store.tasks().get(None, id.clone()).await == Ok(Some(expected)),
        "{id} came back otherwise than it went in"
    );
    assert!(store.tasks().events(id, 0, 9).await == Ok(vec![first]));
}

async fn a_task_comes_back_whole(store: Arc<dyn Store>) {
    let span = |seconds| Some(Duration::from_secs(seconds));
    let task = Task {
        context: Some("c".into()),
        instance: Some("lights@2".into()),
        upstream_id: Some("theirs".into()),
        state: TaskState::InputRequired,
        phase: Phase::Paused,
        pause: Some(Pause { from: Phase::Running, at: Time(7), frozen: true }),
        attempt: 3,
        priority: 9,
        timeouts: Timeouts {
            schedule_to_start: span(1),
            start_to_close: span(2),
            schedule_to_close: span(3),
            heartbeat: Some(Duration::from_millis(4)),
        },
        deadlines: Deadlines {
            start_by: Some(Time(11)),
            finish_by: Some(Time(12)),
            close_by: Some(Time(13)),
            beat_by: Some(Time(14)),
        },
        created_at: Time(15),
        status_at: Time(16),
        ended_at: Some(Time(17)),
        ..waiting("all members")
    };
    let mut dead = config("dead", 1);
    (dead.dead, dead.attempt, dead.since) = (Some("410 Gone".into()), 5, Some(Time(17)));
    let configs = vec![config("z", 0), dead, config("a", 1)];
    comes_back(&store, NewTask { configs, idempotency: key("k", 1, 2000), ..new(task) }).await;
    for phase in Phase::ALL {
        for frozen in [false, true] {
            let state = if phase == Phase::Done { TaskState::Rejected } else { TaskState::AuthRequired };
            let pause = Some(Pause { from: phase, at: Time(0), frozen });
            let id = format!("{}-{frozen}", phase.as_str());
            comes_back(&store, new(Task { phase, state, pause, ..waiting(&id) })).await;
        }
    }
    for state in TaskState::ALL {
        let phase = if state.is_terminal() { Phase::Done } else { Phase::Running };
        comes_back(&store, new(Task { phase, state, ..running(&format!("state {}", state as i32)) })).await;
    }
}

async fn sparse_and_large_tasks_come_back_whole(store: Arc<dyn Store>) {
    let bare = Task { skill: None, next_run_at: None, created_at: Time(0), status_at: Time(0), ..waiting("bare") };
    comes_back(&store, NewTask { request: None, document: vec![].into(), ..new(bare) }).await;
    let odd = owned("o'; DROP TABLE task; --\u{0}", waiting("灯@küche'\u{0}\""));
    comes_back(&store, new(odd)).await;
    let large = bytes::Bytes::from((0..3_000_000).map(|n| n as u8).collect::<Vec<_>>());
    let first = Event { payload: large.clone(), ..new(waiting("large")).first };
    let mut sealed = config("c", 0);
    sealed.sealed = large.slice(..100_000);
    let request = Some(large.slice(5..));
    let whole = NewTask { document: large.slice(9..), first, request, configs: vec![sealed], ..new(waiting("large")) };
    comes_back(&store, whole).await;
}

async fn an_id_is_taken_by_whomever(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    assert_eq!(tasks.create(new(waiting("t"))).await, Ok(Created::New));
    assert_eq!(tasks.create(new(owned("bob", running("t")))).await, Ok(Created::Taken));
    assert_eq!(tasks.create(new(waiting("t"))).await, Ok(Created::Taken));
    assert_eq!(get(tasks, "t").await.task, waiting("t"));
    assert_eq!(tasks.events(id("t"), 0, 9).await.unwrap().len(), 1);
}

async fn racers_under_one_key_make_one_task(store: Arc<dyn Store>) {
    let racers: Vec<_> = (0..64)
        .map(|n| {
            let store = store.clone();
            let new = NewTask { idempotency: key("k", 1, 2000), ..new(waiting(&format!("task-{n}"))) };
            tokio::spawn(async move { (new.task.id.clone(), store.tasks().create(new).await.unwrap()) })
        })
        .collect();
    let (mut made, mut repeated) = (Vec::new(), Vec::new());
    for racer in racers {
        match racer.await.unwrap() {
            (id, Created::New) => made.push(id),
            (_, Created::Repeated(id)) => repeated.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    assert_eq!(repeated, vec![made[0].clone(); 63]);
    assert_eq!(store.tasks().list(Default::default()).await.unwrap().total, 1);
}

async fn another_request_under_the_same_key_is_refused(store: Arc<dyn Store>) {
    let with = |id: &str, request| NewTask { idempotency: key("k", request, 2000), ..new(waiting(id)) };
    assert_eq!(store.tasks().create(with("one", 1)).await, Ok(Created::New));
    assert_eq!(store.tasks().create(with("two", 2)).await, Ok(Created::KeyReused));
    assert_eq!(store.tasks().create(with("one", 2)).await, Ok(Created::KeyReused), "the key comes before the id");
    assert_eq!(store.tasks().create(with("one", 1)).await, Ok(Created::Repeated(id("one"))));
    assert_eq!(store.tasks().get(None, id("two")).await, Ok(None));
}

async fn keys_belong_to_their_owner(store: Arc<dyn Store>) {
    for owner in ["alice", "bob"] {
        let new = NewTask { idempotency: key("k", 1, 2000), ..new(owned(owner, waiting(owner))) };
        assert_eq!(store.tasks().create(new).await, Ok(Created::New));
    }
}

async fn a_key_that_has_run_out_is_free_again(store: Arc<dyn Store>) {
    let at = |id: &str, now, until| {
        let task = Task { created_at: Time(now), ..waiting(id) };
        NewTask { idempotency: key("k", 1, until), ..new(task) }
    };
    assert_eq!(store.tasks().create(at("one", 1000, 2000)).await, Ok(Created::New));
    assert_eq!(store.tasks().create(at("two", 1999, 9999)).await, Ok(Created::Repeated(id("one"))));
    assert_eq!(store.tasks().create(at("three", 2000, 3000)).await, Ok(Created::New));
    assert_eq!(store.tasks().expire(Time(2500), Time(0), 99, 99).await, Ok(0));
    assert_eq!(store.tasks().create(at("four", 2999, 9999)).await, Ok(Created::Repeated(id("three"))));
    assert_eq!(store.tasks().expire(Time(3000), Time(0), 99, 99).await, Ok(0));
    assert_eq!(store.tasks().create(at("five", 2999, 9999)).await, Ok(Created::New), "it is forgotten");
}

async fn a_key_outlives_its_task(store: Arc<dyn Store>) {
    let done = |id: &str| {
        let task = Task { phase: Phase::Done, state: TaskState::Completed, ..running(id) };
        NewTask { idempotency: key("k", 1, 9000), ..new(task) }
    };
    assert_eq!(store.tasks().create(done("one")).await, Ok(Created::New));
    assert_eq!(store.tasks().expire(Time(5000), Time(5000), 99, 99).await, Ok(1));
    assert_eq!(store.tasks().create(done("two")).await, Ok(Created::Repeated(id("one"))));
}

async fn a_taken_id_leaves_the_key_free(store: Arc<dyn Store>) {
    let with = |id: &str, request| NewTask { idempotency: key("k", request, 2000), ..new(waiting(id)) };
    assert_eq!(store.tasks().create(new(waiting("t"))).await, Ok(Created::New));
    assert_eq!(store.tasks().create(with("t", 1)).await, Ok(Created::Taken));
    assert_eq!(store.tasks().create(with("u", 2)).await, Ok(Created::New));
}

async fn logs_begin_with_event_one(store: Arc<dyn Store>) {
    for seq in [0, 2] {
        let first = Event { seq, ..new(waiting("t")).first };
        let wrong_event = NewTask { first, ..new(waiting("t")) };
        let wrong_task = NewTask { task: Task { seq, ..waiting("t") }, ..new(waiting("t")) };
        for wrong in [wrong_event, wrong_task] {
            assert_eq!(store.tasks().create(wrong).await.unwrap_err().code, Code::Internal);
        }
    }
    assert_eq!(store.tasks().get(None, id("t")).await, Ok(None));
}

async fn phase_and_state_agree_from_the_beginning(store: Arc<dyn Store>) {
    let ended = Task { state: TaskState::Completed, ..running("t") };
    let done = Task { phase: Phase::Done, ..running("t") };
    for wrong in [ended, done] {
        assert_eq!(store.tasks().create(new(wrong)).await.unwrap_err().code, Code::Internal);
    }
    assert_eq!(store.tasks().get(None, id("t")).await, Ok(None));
}

async fn no_more_wait_than_may(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let most = |most, task| NewTask { most_waiting: Some(most), ..new(task) };
    assert_eq!(tasks.create(new(running("busy"))).await, Ok(Created::New), "it does not wait");
    let first = NewTask { idempotency: key("k", 1, 2000), ..most(3, waiting("one")) };
    assert_eq!(tasks.create(first.clone()).await, Ok(Created::New));
    let many: Vec<_> = (0..9).map(|n| tasks.create(most(3, waiting(&format!("many-{n}"))))).collect();
    let mut made = 0;
    for created in many {
        match created.await {
            Ok(Created::New) => made += 1,
            other => assert_eq!(other, Ok(Created::Full(3))),
        }
    }
    assert_eq!(made, 2, "however many come at once");
    assert_eq!(tasks.create(first).await, Ok(Created::Repeated(id("one"))), "the key is looked at first");
    // What is on its way, paused or set aside still waits.
    let sent = tasks.claim(claim("lights", 1000, 2000, 1)).await.unwrap().remove(0).task;
    let paused = get(tasks, "many-0").await.task;
    assert_eq!(tasks.create(most(3, waiting("x"))).await, Ok(Created::Full(3)));
    tasks.save(step(&paused, [Command::Pause(true)], 2000)).await.unwrap();
    assert_eq!(tasks.create(most(3, waiting("x"))).await, Ok(Created::Full(3)));
    tasks.save(step(&sent, [Command::Started("lights@1".into(), None)], 2000)).await.unwrap();
    assert_eq!(tasks.create(most(3, waiting("x"))).await, Ok(Created::New), "one has reached its agent");
    assert_eq!(tasks.create(new(waiting("y"))).await, Ok(Created::New), "who sets no limit is not limited");
}
