//! The queue: who is served first, who holds a task, what is overdue.

use std::collections::BTreeSet;
use std::sync::Arc;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{NewTask, Saved, Waiting};
use moongate_core::task::{Command, Deadlines, Fence, Pause};
use moongate_core::{Phase, Task, TaskState, Time};

use crate::sample::{advance, claim, config, get, id, ids, new, running, step, waiting};

exercise! {
    urgent_tasks_go_first_then_the_longest_waiting_then_the_oldest
    only_what_is_ready_for_this_agent_goes_out
    a_claim_moves_the_task_and_nothing_else
    what_is_put_off_hides_nothing_behind_it
    no_task_is_claimed_twice
    a_worker_that_slept_past_its_lease_is_refused
    a_claim_that_is_renewed_is_not_abandoned
    renewing_says_which_claims_are_lost
    what_was_made_in_the_middle_of_sending_is_abandoned_until_it_is_renewed
    what_waits_is_counted_by_agent
    running_tasks_are_read_in_slices
    overdue_tasks_come_in_the_order_of_their_deadlines
    a_deadline_moves_with_its_task
}

async fn make(store: &Arc<dyn Store>, tasks: impl IntoIterator<Item = Task>) {
    for task in tasks {
        store.tasks().create(new(task)).await.unwrap();
    }
}

async fn urgent_tasks_go_first_then_the_longest_waiting_then_the_oldest(store: Arc<dyn Store>) {
    let at = |id: &str, priority, next: u64| Task { priority, next_run_at: Some(Time(next)), ..waiting(id) };
    let order = [("c", 4, 900), ("z", 4, 800), ("d", 4, 900), ("b", 0, 999), ("y", 9, 1), ("a", 4, 900)];
    make(&store, order.map(|(id, priority, next)| at(id, priority, next))).await;
    make(&store, [Task { next_run_at: None, ..waiting("at once") }]).await;
    let claimed = store.tasks().claim(claim("lights", 1000, 2000, 3)).await.unwrap();
    assert_eq!(ids(&claimed), ["b", "at once", "z"]);
    let claimed = store.tasks().claim(claim("lights", 1000, 2000, 9)).await.unwrap();
    assert_eq!(ids(&claimed), ["c", "d", "a", "y"]);
    assert_eq!(store.tasks().claim(claim("lights", 1000, 2000, 9)).await, Ok(vec![]));
}

async fn only_what_is_ready_for_this_agent_goes_out(store: Arc<dyn Store>) {
    let phases = Phase::ALL.into_iter().filter(|phase| *phase != Phase::Ready);
    make(
        &store,
        phases.map(|phase| {
            let state = if phase == Phase::Done { TaskState::Completed } else { TaskState::Submitted };
            Task { phase, state, ..waiting(phase.as_str()) }
        }),
    )
    .await;
    make(&store, [Task { agent: "lock".into(), ..waiting("another's") }]).await;
    make(&store, [Task { next_run_at: Some(Time(1001)), ..waiting("later") }, waiting("now")]).await;
    let tasks = store.tasks();
    assert_eq!(tasks.claim(claim("lights", 1000, 2000, 0)).await, Ok(vec![]));
    assert_eq!(ids(&tasks.claim(claim("lights", 1000, 2000, 99)).await.unwrap()), ["now"]);
    assert_eq!(ids(&tasks.claim(claim("lights", 1001, 2000, 99)).await.unwrap()), ["later"]);
    assert_eq!(ids(&tasks.claim(claim("lock", 1001, 2000, 99)).await.unwrap()), ["another's"]);
    assert_eq!(tasks.claim(claim("nobody", 1001, 2000, 99)).await, Ok(vec![]));
}

async fn a_claim_moves_the_task_and_nothing_else(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let first = NewTask { configs: vec![config("c", 0)], ..new(waiting("t")) };
    tasks.create(first.clone()).await.unwrap();
    advance(tasks, "t", Command::Status(TaskState::Working), 1500).await.unwrap();
    let before = get(tasks, "t").await;
    let claimed = tasks.claim(claim("lights", 2000, 3000, 1)).await.unwrap().remove(0);
    let task = Task { phase: Phase::Sending, attempt: 1, next_run_at: None, ..before.task.clone() };
    assert_eq!(claimed.task, task);
    assert_eq!(claimed.request, first.request);
    assert_eq!((&claimed.tail, &claimed.configs), (&before.tail, &before.configs));
    assert_eq!(get(tasks, "t").await, claimed);
    let phases = tasks.census().await.unwrap().phases;
    assert_eq!(phases[..2], [(Phase::Ready, 0), (Phase::Sending, 1)]);
}

async fn what_is_put_off_hides_nothing_behind_it(store: Arc<dyn Store>) {
    for priority in 0..3 {
        let off = |n| Task { priority, next_run_at: Some(Time(9000)), ..waiting(&format!("off-{priority}-{n}")) };
        make(&store, (0..20).map(off)).await;
    }
    make(&store, [Task { priority: 9, ..waiting("idle") }, Task { priority: 2, ..waiting("urgent") }]).await;
    let claimed = store.tasks().claim(claim("lights", 1000, 2000, 9)).await.unwrap();
    assert_eq!(ids(&claimed), ["urgent", "idle"]);
}

async fn no_task_is_claimed_twice(store: Arc<dyn Store>) {
    make(&store, (0..300).map(|n| waiting(&format!("t{n:03}")))).await;
    let workers: Vec<_> = (0..64)
        .map(|worker| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = store.tasks().claim(claim("lights", 1000, 2000, 1 + worker % 4)).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|stored| (stored.task.id, stored.task.attempt)));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    assert_eq!(all.len(), 300);
    assert!(all.iter().all(|(_, attempt)| *attempt == 1));
    assert_eq!(all.iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>().len(), 300);
}

async fn a_worker_that_slept_past_its_lease_is_refused(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, [waiting("t")]).await;
    let sleeper = tasks.claim(claim("lights", 1000, 2000, 1)).await.unwrap().remove(0).task;
    let abandoned = tasks.abandoned(Time(2000), 9).await.unwrap().remove(0).task;
    assert_eq!(abandoned, sleeper);
    assert_eq!(tasks.save(step(&abandoned, [Command::Again(Time(2000))], 2000)).await, Ok(Saved::Done));
    let second = tasks.claim(claim("lights", 2000, 3000, 1)).await.unwrap().remove(0).task;
    assert_eq!((second.attempt, second.phase), (2, Phase::Sending));
    for late in [Command::Started("lights@1".into(), None), Command::GiveUp, Command::Status(TaskState::Completed)] {
        assert_eq!(tasks.save(step(&sleeper, [late], 2500)).await, Ok(Saved::Conflict(second.fence())));
    }
    assert_eq!(tasks.renew(vec![(id("t"), sleeper.fence())], Time(9000)).await, Ok(vec![id("t")]));
    assert_eq!(ids(&tasks.abandoned(Time(3000), 9).await.unwrap()), ["t"], "the sleeper has prolonged nothing");
    assert_eq!(get(tasks, "t").await.task, second);
}

async fn a_claim_that_is_renewed_is_not_abandoned(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, ["a", "b", "c"].map(waiting)).await;
    for until in [2000, 1900, 1800] {
        tasks.claim(claim("lights", 1000, until, 1)).await.unwrap();
    }
    assert_eq!(tasks.abandoned(Time(1799), 9).await, Ok(vec![]));
    assert_eq!(ids(&tasks.abandoned(Time(1900), 9).await.unwrap()), ["c", "b"], "the oldest claim first");
    assert_eq!(ids(&tasks.abandoned(Time(1900), 1).await.unwrap()), ["c"]);
    let held = get(tasks, "c").await.task.fence();
    assert_eq!(tasks.renew(vec![(id("c"), held)], Time(3000)).await, Ok(vec![]));
    assert_eq!(ids(&tasks.abandoned(Time(2000), 9).await.unwrap()), ["b", "a"]);
    let started = step(&get(tasks, "b").await.task, [Command::Started("lights@1".into(), None)], 1950);
    assert_eq!(tasks.save(started).await, Ok(Saved::Done));
    assert_eq!(ids(&tasks.abandoned(Time(9000), 9).await.unwrap()), ["a", "c"]);
}

async fn renewing_says_which_claims_are_lost(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, ["held", "moved", "started", "waits"].map(waiting)).await;
    let claimed = tasks.claim(claim("lights", 1000, 2000, 3)).await.unwrap();
    let fence = |n: usize| claimed[n].task.fence();
    advance(tasks, "moved", Command::Artifact, 1500).await.unwrap();
    tasks.save(step(&claimed[2].task, [Command::Started("i".into(), None)], 1500)).await.unwrap();
    let waits = Fence { seq: 1, attempt: 0, phase: Phase::Sending };
    let running = get(tasks, "started").await.task.fence();
    let held = vec![
        (id("held"), fence(0)),
        (id("moved"), fence(1)),
        (id("started"), fence(2)),
        (id("started"), running),
        (id("waits"), waits),
        (id("missing"), waits),
    ];
    let lost = tasks.renew(held, Time(3000)).await.unwrap();
    assert_eq!(lost, ["moved", "started", "started", "waits", "missing"].map(id));
    assert_eq!(ids(&tasks.abandoned(Time(2000), 9).await.unwrap()), ["moved"]);
    assert_eq!(tasks.renew(vec![], Time(3000)).await, Ok(vec![]));
}

async fn what_was_made_in_the_middle_of_sending_is_abandoned_until_it_is_renewed(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, [Task { phase: Phase::Sending, attempt: 1, ..waiting("t") }]).await;
    assert_eq!(ids(&tasks.abandoned(Time(0), 9).await.unwrap()), ["t"]);
    let fence = get(tasks, "t").await.task.fence();
    assert_eq!(tasks.renew(vec![(id("t"), fence)], Time(3000)).await, Ok(vec![]));
    assert_eq!(tasks.abandoned(Time(2999), 9).await, Ok(vec![]));
}

async fn what_waits_is_counted_by_agent(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    assert_eq!(tasks.waiting().await, Ok(vec![]));
    let of = |agent: &str, id: &str, next| Task {
        agent: agent.into(),
        next_run_at: next,
        priority: id.len() as u8,
        ..waiting(id)
    };
    make(&store, [of("b", "1", Some(Time(70))), of("b", "22", Some(Time(50))), of("b", "333", Some(Time(60)))]).await;
    make(&store, [of("a", "4444", Some(Time(90))), of("c", "5", None), running("6")]).await;
    let expected = |agent: &str, count, next| Waiting { agent: agent.into(), count, next: Time(next) };
    assert_eq!(tasks.waiting().await, Ok(vec![expected("a", 1, 90), expected("b", 3, 50), expected("c", 1, 0)]));
    tasks.claim(claim("b", 60, 99, 9)).await.unwrap();
    assert_eq!(tasks.waiting().await, Ok(vec![expected("a", 1, 90), expected("b", 1, 70), expected("c", 1, 0)]));
}

async fn running_tasks_are_read_in_slices(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, ["d", "ä", "b", "a", "c"].map(running)).await;
    make(&store, [waiting("w")]).await;
    advance(tasks, "b", Command::Status(TaskState::Completed), 2000).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    while let Some(last) = {
        let slice = tasks.running(after.clone(), 2).await.unwrap();
        seen.extend(slice.iter().map(|stored| stored.task.id.to_string()));
        slice.last().map(|stored| stored.task.id.clone())
    } {
        after = Some(last);
    }
    assert_eq!(seen, ["a", "c", "d", "ä"]);
}

async fn overdue_tasks_come_in_the_order_of_their_deadlines(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let by = |id: &str, deadlines| Task { deadlines, ..running(id) };
    let none = Deadlines::default();
    let pause = |frozen| Some(Pause { from: Phase::Running, at: Time(1), frozen });
    make(
        &store,
        [
            by("finish", Deadlines { finish_by: Some(Time(30)), close_by: Some(Time(90)), ..none }),
            by("beat", Deadlines { beat_by: Some(Time(20)), ..none }),
            by("start", Deadlines { start_by: Some(Time(30)), ..none }),
            by("never", none),
            Task {
                phase: Phase::Paused,
                pause: pause(true),
                ..by("ice", Deadlines { close_by: Some(Time(5)), ..none })
            },
            Task {
                phase: Phase::Paused,
                pause: pause(false),
                ..by("runs", Deadlines { close_by: Some(Time(10)), ..none })
            },
        ],
    )
    .await;
    assert_eq!(tasks.due(Time(9), 9).await, Ok(vec![]));
    assert_eq!(ids(&tasks.due(Time(10), 9).await.unwrap()), ["runs"]);
    assert_eq!(ids(&tasks.due(Time(99), 9).await.unwrap()), ["runs", "beat", "finish", "start"]);
    assert_eq!(ids(&tasks.due(Time(99), 2).await.unwrap()), ["runs", "beat"]);
}

async fn a_deadline_moves_with_its_task(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let second = Some(std::time::Duration::from_secs(1));
    let mut task = running("t");
    (task.timeouts.heartbeat, task.timeouts.schedule_to_close) = (second, Some(std::time::Duration::from_secs(60)));
    task.schedule(Time(1000));
    make(&store, [task]).await;
    assert_eq!(ids(&tasks.due(Time(2000), 9).await.unwrap()), ["t"]);
    advance(tasks, "t", Command::Artifact, 1500).await.unwrap();
    assert_eq!(tasks.due(Time(2499), 9).await, Ok(vec![]));
    assert_eq!(ids(&tasks.due(Time(2500), 9).await.unwrap()), ["t"]);
    advance(tasks, "t", Command::Status(TaskState::InputRequired), 2000).await.unwrap();
    assert_eq!(tasks.due(Time(60_999), 9).await, Ok(vec![]), "nobody beats while somebody else is asked");
    advance(tasks, "t", Command::Pause(true), 3000).await.unwrap();
    assert_eq!(tasks.due(Time(99_999), 9).await, Ok(vec![]), "frozen");
    advance(tasks, "t", Command::Resume, 13_000).await.unwrap();
    assert_eq!(ids(&tasks.due(Time(71_000), 9).await.unwrap()), ["t"], "ten seconds later");
    advance(tasks, "t", Command::Status(TaskState::Canceled), 14_000).await.unwrap();
    assert_eq!(tasks.due(Time(99_999), 9).await, Ok(vec![]));
}
