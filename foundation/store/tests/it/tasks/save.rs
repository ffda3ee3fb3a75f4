//! Steps: compare and swap, logs without gaps, ends that hold.

use std::sync::Arc;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Event, Saved, Step};
use moongate_core::task::{Command, Fence};
use moongate_core::{Code, Phase, Task, TaskState, Time};

use crate::sample::{advance, at, claim, document, event, get, id, new, owned, running, step, waiting};

exercise! {
    a_step_continues_the_log
    a_step_may_carry_many_events_or_none
    documents_are_replaced_when_they_come_and_requests_stay
    events_are_read_in_slices
    racing_writers_lose_no_update
    of_two_steps_that_nobody_sees_one_is_refused
    a_conflict_says_where_the_row_stands
    a_conflict_harms_no_neighbour
    a_task_that_is_over_never_changes
    a_missing_task_is_missing
    steps_that_break_the_log_are_refused
    owner_and_birth_never_change
    readers_see_what_was_asked_for_before
    what_nobody_waits_for_happens_in_order
}

async fn a_step_continues_the_log(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(running("t"))).await.unwrap();
    let first = step(&running("t"), [Command::Status(TaskState::InputRequired)], 2000);
    assert_eq!(tasks.save(first.clone()).await, Ok(Saved::Done));
    let stored = get(tasks, "t").await;
    assert_eq!((stored.task.seq, stored.task.status_at), (2, Time(2000)));
    assert_eq!(stored.task, first.task);
    assert_eq!((stored.document, stored.document_seq), (document(&running("t")), 1));
    assert_eq!(stored.tail, first.events);
    let second = step(&first.task, [Command::Artifact], 3000);
    assert_eq!(tasks.save(second.clone()).await, Ok(Saved::Done));
    assert_eq!(get(tasks, "t").await.tail, [first.events, second.events].concat());
}

async fn a_step_may_carry_many_events_or_none(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(waiting("t"))).await.unwrap();
    let started = step(&waiting("t"), [Command::Started("lights@1".into(), Some("theirs".into()))], 2000);
    assert!(started.events.is_empty());
    assert_eq!(tasks.save(started.clone()).await, Ok(Saved::Done));
    assert_eq!(get(tasks, "t").await.task, started.task);
    let many = (0..500).map(|_| Command::Artifact).chain([Command::Status(TaskState::Completed)]);
    let many = step(&started.task, many, 3000);
    assert_eq!(tasks.save(many.clone()).await, Ok(Saved::Done));
    let stored = get(tasks, "t").await;
    assert_eq!((stored.task, stored.tail), (many.task, many.events));
}

async fn documents_are_replaced_when_they_come_and_requests_stay(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(waiting("t"))).await.unwrap();
    let asked = get(tasks, "t").await.request;
    assert!(asked.is_some());
    let first = step(&waiting("t"), [Command::Pause(true)], 2000);
    tasks.save(first.clone()).await.unwrap();
    let stored = get(tasks, "t").await;
    assert_eq!((&stored.request, stored.document_seq), (&asked, 1));
    let mut second = step(&first.task, [Command::Resume], 3000);
    second.document = Some("folded".into());
    tasks.save(second.clone()).await.unwrap();
    let stored = get(tasks, "t").await;
    assert_eq!((&stored.document[..], stored.document_seq, stored.tail), (&b"folded"[..], 3, vec![]));
    assert_eq!(stored.request, asked);
    let folded = Step { document: Some("folded again".into()), ..step(&second.task, [], 3000) };
    assert_eq!(tasks.save(folded).await, Ok(Saved::Done));
    assert_eq!(get(tasks, "t").await.document_seq, 3);
}

async fn events_are_read_in_slices(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(running("t"))).await.unwrap();
    tasks.save(step(&running("t"), vec![Command::Artifact; 9], 2000)).await.unwrap();
    for (after, limit, expected) in [(0, 3, 1..=3), (3, 3, 4..=6), (8, 9, 9..=10), (0, 99, 1..=10)] {
        let events = tasks.events(id("t"), after, limit).await.unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    for (id, after, limit) in [(id("t"), 10, 9), (id("t"), u64::MAX, 9), (id("t"), 0, 0), (id("other"), 0, 9)] {
        assert_eq!(tasks.events(id, after, limit).await, Ok(vec![]));
    }
}

async fn racing_writers_lose_no_update(store: Arc<dyn Store>) {
    for n in 0..4 {
        store.tasks().create(new(running(&format!("t{n}")))).await.unwrap();
    }
    let racers: Vec<_> = (0..32)
        .map(|racer| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..8 {
                    let task = format!("t{}", racer % 4);
                    advance(store.tasks(), &task, Command::Artifact, 2000 + racer).await.unwrap();
                }
            })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    for n in 0..4 {
        let events = store.tasks().events(format!("t{n}").into(), 0, 999).await.unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=65).collect::<Vec<_>>());
        assert_eq!(get(store.tasks(), &format!("t{n}")).await.task.seq, 65);
    }
    assert_eq!(store.inspect().await, Ok(vec![]));
}

async fn of_two_steps_that_nobody_sees_one_is_refused(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    for started_first in [false, true] {
        let name = format!("t-{started_first}");
        tasks.create(new(waiting(&name))).await.unwrap();
        let claimed = tasks.claim(claim("lights", 1000, 2000, 1)).await.unwrap().remove(0).task;
        let started = step(&claimed, [Command::Started("lights@1".into(), None)], 2500);
        let again = step(&claimed, [Command::Again(Time(9000))], 2500);
        let (first, second) = if started_first { (started, again) } else { (again, started) };
        let expected = first.task.clone();
        assert_eq!(tasks.save(first).await, Ok(Saved::Done));
        assert_eq!(tasks.save(second).await, Ok(Saved::Conflict(expected.fence())));
        assert_eq!(get(tasks, &name).await.task, expected);
    }
}

async fn a_conflict_says_where_the_row_stands(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(running("t"))).await.unwrap();
    let stale = step(&running("t"), [Command::Status(TaskState::Failed)], 3000);
    let moved = advance(tasks, "t", Command::Artifact, 2000).await.unwrap();
    let before = get(tasks, "t").await;
    assert_eq!(tasks.save(stale).await, Ok(Saved::Conflict(moved.fence())));
    for expected in [Fence { attempt: 1, ..at(2) }, Fence { phase: Phase::Ready, ..at(2) }, at(1), at(3)] {
        let task = Task { seq: expected.seq, attempt: expected.attempt, ..running("t") };
        let blind = Step { expected, ..step(&task, [], 3000) };
        assert_eq!(tasks.save(blind).await, Ok(Saved::Conflict(at(2))), "{expected:?}");
    }
    assert_eq!(get(tasks, "t").await, before);
}

async fn a_conflict_harms_no_neighbour(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    for n in 0..50 {
        drop(tasks.create(new(running(&format!("t{n}")))));
    }
    let saves: Vec<_> = (0..50)
        .flat_map(|n| {
            let once = step(&running(&format!("t{n}")), [Command::Artifact], 2000);
            [tasks.save(once.clone()), tasks.save(once)]
        })
        .collect();
    for (n, save) in saves.into_iter().enumerate() {
        let expected = if n % 2 == 0 { Saved::Done } else { Saved::Conflict(at(2)) };
        assert_eq!(save.await, Ok(expected));
    }
    assert_eq!(tasks.census().await.unwrap().events, 100);
}

async fn a_task_that_is_over_never_changes(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    for state in TaskState::ALL.into_iter().filter(|state| state.is_terminal()) {
        let name = format!("{state:?}");
        tasks.create(new(running(&name))).await.unwrap();
        let over = advance(tasks, &name, Command::Status(state), 2000).await.unwrap();
        let before = get(tasks, &name).await;
        let next = Task { seq: 3, state: TaskState::Working, phase: Phase::Running, ..over.clone() };
        let revived = Step { expected: over.fence(), events: vec![event(&next, Time(3000))], ..step(&next, [], 0) };
        let other_end = Task { state: TaskState::Rejected, ..over.clone() };
        let other_end = Step { expected: over.fence(), ..step(&other_end, [], 0) };
        let folded = Step { document: Some("another".into()), ..step(&over, [], 0) };
        let stale = step(&running(&name), [Command::Artifact], 3000);
        for late in [revived, other_end, folded, stale] {
            assert_eq!(tasks.save(late).await, Ok(Saved::Over));
        }
        assert_eq!(get(tasks, &name).await, before);
    }
}

async fn a_missing_task_is_missing(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    assert_eq!(tasks.save(step(&running("t"), [Command::Artifact], 2000)).await, Ok(Saved::Missing));
    assert_eq!(tasks.get(None, id("t")).await, Ok(None));
    assert_eq!(tasks.list(Default::default()).await.unwrap().total, 0);
}

async fn steps_that_break_the_log_are_refused(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(running("t"))).await.unwrap();
    let good = step(&running("t"), vec![Command::Artifact; 3], 2000);
    let numbered = |numbers: &[u64]| {
        let events = numbers.iter().map(|seq| Event { seq: *seq, ..good.events[0].clone() }).collect();
        Step { events, ..good.clone() }
    };
    let mut wrong = Vec::new();
    for numbers in [&[][..], &[2], &[2, 3], &[2, 4, 3], &[2, 2, 4], &[3, 4, 5], &[1, 2, 3], &[2, 3, 4, 5], &[2, 3, 5]] {
        wrong.push(numbered(numbers));
    }
    for seq in [0, 1, 3, 5, u64::MAX] {
        wrong.push(Step { task: Task { seq, ..good.task.clone() }, ..good.clone() });
    }
    wrong.push(Step { task: Task { state: TaskState::Failed, ..good.task.clone() }, ..good.clone() });
    wrong.push(Step { task: Task { phase: Phase::Done, ..good.task.clone() }, ..good.clone() });
    wrong.push(Step { expected: Fence { attempt: 1, ..good.expected }, ..good.clone() });
    wrong.push(Step { expected: at(u64::MAX), ..good.clone() });
    for wrong in wrong {
        let problem = tasks.save(wrong.clone()).await.unwrap_err();
        assert_eq!(problem.code, Code::Internal, "{wrong:?}");
        assert!(problem.inside.unwrap().starts_with("t: "));
    }
    assert_eq!(get(tasks, "t").await.task, running("t"));
    assert_eq!(tasks.save(good).await, Ok(Saved::Done));
}

async fn owner_and_birth_never_change(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(new(running("t"))).await.unwrap();
    let mut theft = step(&running("t"), [Command::Artifact], 2000);
    theft.task = Task { created_at: Time(1), ..owned("mallory", theft.task) };
    assert_eq!(tasks.save(theft).await, Ok(Saved::Done));
    let stored = get(tasks, "t").await.task;
    assert_eq!((&*stored.owner, stored.created_at), ("alice", Time(1000)));
    assert_eq!(tasks.get(Some("mallory".into()), id("t")).await, Ok(None));
}

async fn readers_see_what_was_asked_for_before(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let mut task = running("t");
    drop(tasks.create(new(task.clone())));
    assert_eq!(tasks.list(Default::default()).await.unwrap().total, 1);
    for seq in 2..200 {
        let next = step(&task, [Command::Artifact], 1000 + seq);
        task = next.task.clone();
        drop(tasks.save(next));
        if seq % 2 == 0 {
            assert_eq!(tasks.events(id("t"), seq - 1, 9).await.unwrap().len(), 1, "event {seq} was not read");
        } else {
            let page = tasks.list(moongate_core::seam::tasks::Filter { limit: 1, ..Default::default() }).await.unwrap();
            assert_eq!(page.tasks[0].task.seq, seq);
        }
    }
}

async fn what_nobody_waits_for_happens_in_order(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let mut task = running("t");
    drop(tasks.create(new(task.clone())));
    for now in 0..300 {
        let next = step(&task, [Command::Artifact], now);
        task = next.task.clone();
        drop(tasks.save(next));
    }
    let last = tasks.save(step(&task, [Command::Status(TaskState::Completed)], 2000)).await;
    assert_eq!(last, Ok(Saved::Done));
    assert_eq!(get(tasks, "t").await.task.seq, 302);
}
