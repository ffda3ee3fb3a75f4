//! Lists and look-ups: the right tasks, in one order, and nobody else's.

use std::collections::BTreeSet;
use std::sync::Arc;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Filter, NewTask, Page, Stored};
use moongate_core::task::Command;
use moongate_core::{Phase, Task, TaskState, Time};

use crate::Dice;
use crate::sample::{advance, config, get, id, ids, new, owned, running, waiting};

exercise! {
    the_newest_status_comes_first_then_the_id
    pages_follow_one_another
    every_filter_narrows_the_list_and_its_total
    pages_show_each_task_that_stays_while_others_move
    a_page_shows_tails_but_no_requests_and_no_configs
    strangers_see_nothing
    a_conversation_leads_to_its_newest_task
    an_agents_own_id_leads_to_its_task
    a_task_that_moves_is_found_by_its_new_names
}

async fn make(store: &Arc<dyn Store>, tasks: impl IntoIterator<Item = Task>) {
    for task in tasks {
        store.tasks().create(new(task)).await.unwrap();
    }
}

fn at(id: &str, status: u64) -> Task {
    Task { status_at: Time(status), ..running(id) }
}

async fn page(store: &Arc<dyn Store>, filter: Filter) -> Page {
    store.tasks().list(filter).await.unwrap()
}

/// The page behind this task.
fn behind(filter: &Filter, last: &Stored) -> Filter {
    Filter { after: Some((last.task.status_at, last.task.id.clone())), ..filter.clone() }
}

async fn the_newest_status_comes_first_then_the_id(store: Arc<dyn Store>) {
    make(&store, [at("b", 5), at("z", 9), at("B", 5), at("a", 5), at("ä", 5), at("old", 0)]).await;
    for owner in [None, Some("alice".into())] {
        let page = page(&store, Filter { owner, limit: 99, ..Filter::default() }).await;
        assert_eq!(ids(&page.tasks), ["z", "B", "a", "b", "ä", "old"]);
        assert_eq!((page.total, page.more), (6, false));
    }
    advance(store.tasks(), "old", Command::Status(TaskState::Completed), 7).await.unwrap();
    let page = page(&store, Filter { limit: 2, ..Filter::default() }).await;
    assert_eq!((ids(&page.tasks), page.total, page.more), (vec!["z", "old"], 6, true));
}

async fn pages_follow_one_another(store: Arc<dyn Store>) {
    make(&store, (0..50).map(|n| at(&format!("t{n:02}"), n / 7))).await;
    let all = page(&store, Filter { limit: 99, ..Filter::default() }).await.tasks;
    for limit in [1, 2, 3, 7, 49, 50, 51] {
        let mut filter = Filter { limit, owner: Some("alice".into()), ..Filter::default() };
        let mut seen = Vec::new();
        loop {
            let page = page(&store, filter.clone()).await;
            assert_eq!(page.total, 50);
            assert_eq!(page.more, seen.len() + page.tasks.len() < 50);
            seen.extend(page.tasks);
            if !page.more {
                break;
            }
            filter = behind(&filter, seen.last().unwrap());
        }
        assert_eq!(ids(&seen), ids(&all), "{limit} at a time");
    }
    let none = page(&store, Filter::default()).await;
    assert_eq!((none.tasks.len(), none.total, none.more), (0, 50, true));
    let past = Filter { after: Some((Time(0), id("t99"))), limit: 9, ..Filter::default() };
    let past = page(&store, past).await;
    assert_eq!((past.tasks.len(), past.total, past.more), (0, 50, false));
}

async fn every_filter_narrows_the_list_and_its_total(store: Arc<dyn Store>) {
    let mut all = Vec::new();
    let contexts = [None, Some("c1"), Some("c2")];
    for n in 0..96 {
        let owner = ["alice", "bob"][n % 2];
        let state = [TaskState::Working, TaskState::Completed, TaskState::InputRequired][n / 2 % 3];
        let phase = if state.is_terminal() { Phase::Done } else { Phase::Running };
        let (agent, context) = (["lights", "lock"][n / 6 % 2].into(), contexts[n / 12 % 3].map(Into::into));
        let skill = [None, Some("open"), Some("look \"\\ here")][n / 5 % 3].map(Into::into);
        let task = Task { state, phase, agent, context, skill, ..at(&format!("t{n:02}"), n as u64 / 5) };
        all.push(owned(owner, task));
    }
    make(&store, all.clone()).await;
    all.sort_by_key(|task| (std::cmp::Reverse(task.status_at), task.id.clone()));
    let without = [
        vec![],
        vec![("lock".into(), Some("open".into()))],
        vec![("lock".into(), None), ("lights".into(), Some("look \"\\ here".into())), ("stove".into(), None)],
    ];
    for choice in 0..2 * 3 * 2 * 2 * 2 * 3 {
        let filter = Filter {
            owner: (choice % 2 == 1).then(|| "bob".into()),
            context: contexts[choice / 2 % 3].map(Into::into),
            agent: (choice / 6 % 2 == 1).then(|| "lock".into()),
            state: (choice / 12 % 2 == 1).then_some(TaskState::Completed),
            since: (choice / 24 % 2 == 1).then_some(Time(9)),
            without: without[choice / 48].clone(),
            after: None,
            limit: 99,
        };
        let expected: Vec<_> = all
            .iter()
            .filter(|task| filter.owner.as_ref().is_none_or(|owner| task.owner == *owner))
            .filter(|task| filter.context.is_none() || task.context == filter.context)
            .filter(|task| filter.agent.as_ref().is_none_or(|agent| task.agent == *agent))
            .filter(|task| !filter.without.contains(&(task.agent.clone(), task.skill.clone())))
            .filter(|task| filter.state.is_none_or(|state| task.state == state))
            .filter(|task| filter.since.is_none_or(|since| task.status_at >= since))
            .map(|task| task.id.as_str())
            .collect();
        let whole = page(&store, filter.clone()).await;
        assert_eq!(ids(&whole.tasks), expected, "{filter:?}");
        assert_eq!((whole.total, whole.more), (expected.len() as u64, false), "{filter:?}");
        let Some(first) = whole.tasks.first() else { continue };
        let rest = page(&store, Filter { limit: 5, ..behind(&filter, first) }).await;
        assert_eq!(ids(&rest.tasks), expected[1..expected.len().min(6)], "{filter:?}");
        assert_eq!((rest.total, rest.more), (whole.total, expected.len() > 6), "{filter:?}");
    }
}

async fn pages_show_each_task_that_stays_while_others_move(store: Arc<dyn Store>) {
    let mut dice = Dice::roll();
    make(&store, (0..60).map(|n| at(&format!("t{n:02}"), n))).await;
    let mut moved = BTreeSet::new();
    let mut filter = Filter { limit: 4, ..Filter::default() };
    let mut seen = Vec::new();
    for now in 1000.. {
        let page = page(&store, filter.clone()).await;
        seen.extend(page.tasks.iter().map(|stored| stored.task.id.to_string()));
        let Some(last) = page.tasks.last() else { break };
        filter = behind(&filter, last);
        let mover = format!("t{:02}", dice.below(60));
        advance(store.tasks(), &mover, Command::Status(TaskState::Working), now).await.unwrap();
        make(&store, [at(&format!("new-{now}"), now)]).await;
        moved.insert(mover);
    }
    let stayed: BTreeSet<_> = (0..60).map(|n| format!("t{n:02}")).filter(|id| !moved.contains(id)).collect();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "a task was shown twice");
    assert!(stayed.iter().all(|id| seen.contains(id)), "a task that stayed was left out");
}

async fn a_page_shows_tails_but_no_requests_and_no_configs(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    tasks.create(NewTask { configs: vec![config("c", 0)], ..new(waiting("t")) }).await.unwrap();
    advance(tasks, "t", Command::Status(TaskState::Working), 2000).await.unwrap();
    let whole = get(tasks, "t").await;
    assert!(whole.request.is_some() && whole.configs.len() == 1 && whole.tail.len() == 1);
    let page = page(&store, Filter { limit: 1, ..Filter::default() }).await;
    assert_eq!(page.tasks, [Stored { request: None, configs: vec![], ..whole }]);
}

async fn strangers_see_nothing(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    let hers = Task { context: Some("c".into()), ..running("t") };
    make(&store, [hers.clone(), owned("bob", running("u"))]).await;
    for stranger in ["bob", "", "alic", "alice2", "ALICE", "alice\u{0}"] {
        assert_eq!(tasks.get(Some(stranger.into()), id("t")).await, Ok(None));
        assert_eq!(tasks.conversation(stranger.into(), "c".into()).await, Ok(None));
        let page = page(&store, Filter { owner: Some(stranger.into()), limit: 9, ..Filter::default() }).await;
        assert_eq!(page.total, u64::from(stranger == "bob"));
        assert_eq!(ids(&page.tasks), if stranger == "bob" { vec!["u"] } else { vec![] });
    }
    assert_eq!(tasks.get(Some("alice".into()), id("t")).await.unwrap().unwrap().task, hers);
    assert_eq!(tasks.get(None, id("t")).await.unwrap().unwrap().task, hers);
}

async fn a_conversation_leads_to_its_newest_task(store: Arc<dyn Store>) {
    let of = |owner: &str, context: &str, id: &str| owned(owner, Task { context: Some(context.into()), ..running(id) });
    make(&store, [of("alice", "c", "2"), of("alice", "c", "1"), of("alice", "d", "3"), of("bob", "c", "4")]).await;
    let newest = |owner: &str, context: &str| store.tasks().conversation(owner.into(), context.into());
    for (owner, context, expected) in [("alice", "c", "1"), ("alice", "d", "3"), ("bob", "c", "4")] {
        let found = newest(owner, context).await.unwrap().unwrap();
        assert_eq!(found, get(store.tasks(), expected).await);
    }
    assert_eq!(newest("bob", "d").await, Ok(None));
    advance(store.tasks(), "2", Command::Status(TaskState::InputRequired), 9999).await.unwrap();
    assert_eq!(newest("alice", "c").await.unwrap().unwrap().task.id, id("1"), "the one that was made last");
}

async fn an_agents_own_id_leads_to_its_task(store: Arc<dyn Store>) {
    let of = |agent: &str, upstream: Option<&str>, id: &str| Task {
        agent: agent.into(),
        upstream_id: upstream.map(Into::into),
        ..running(id)
    };
    make(&store, [of("lights", Some("x"), "a"), of("lock", Some("x"), "b"), of("lights", None, "own")]).await;
    make(&store, [of("lights", Some("y"), "mapped"), of("lock", Some("own"), "c")]).await;
    for (agent, theirs, expected) in [
        ("lights", "x", Some("a")),
        ("lock", "x", Some("b")),
        ("lights", "own", Some("own")),
        ("lock", "own", Some("c")),
        ("lights", "mapped", None),
        ("lock", "y", None),
        ("other", "x", None),
    ] {
        let found = store.tasks().upstream(agent.into(), theirs.into()).await.unwrap();
        assert_eq!(found.map(|stored| stored.task.id), expected.map(id), "{theirs} of {agent}");
    }
    make(&store, [of("lights", Some("x"), "newer")]).await;
    let found = store.tasks().upstream("lights".into(), id("x")).await.unwrap().unwrap();
    assert_eq!(found, get(store.tasks(), "newer").await);
}

async fn a_task_that_moves_is_found_by_its_new_names(store: Arc<dyn Store>) {
    let tasks = store.tasks();
    make(&store, [waiting("t")]).await;
    let mut step = crate::sample::step(&waiting("t"), [Command::Started("i".into(), Some("theirs".into()))], 2000);
    (step.task.context, step.task.agent) = (Some("c".into()), "lamp".into());
    tasks.save(step.clone()).await.unwrap();
    assert_eq!(get(tasks, "t").await.task, step.task);
    assert!(tasks.conversation("alice".into(), "c".into()).await.unwrap().is_some());
    assert!(tasks.upstream("lamp".into(), id("theirs")).await.unwrap().is_some());
    assert_eq!(tasks.upstream("lights".into(), id("theirs")).await, Ok(None));
    for (agent, total) in [("lights", 0), ("lamp", 1)] {
        for owner in [None, Some("alice".into())] {
            let filter = Filter { owner, agent: Some(agent.into()), limit: 9, ..Filter::default() };
            assert_eq!(page(&store, filter).await.total, total);
        }
    }
    assert_eq!(store.inspect().await, Ok(vec![]));
}
