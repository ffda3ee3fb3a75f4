//! Tests of what only this engine can get wrong: plans that read too much, statements compiled too often, a full disk.

use std::path::PathBuf;

use moongate_core::seam::Store;
use moongate_core::task::{Command, Deadlines, apply};
use moongate_core::{Code, Task, TaskState};
use rusqlite::StatementStatus;

use super::*;
use crate::sqlite::tally::Tally;

/// A store in a folder of its own.
struct Bed {
    store: Option<Sqlite>,
    folder: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("moongate-tasks-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self { store: Some(Sqlite::open(&folder.join("m.db")).unwrap()), folder }
    }

    fn store(&self) -> &Sqlite {
        self.store.as_ref().unwrap()
    }

    /// Asks on the writer's connection.
    async fn on_writer<T: Send + 'static>(
        &self,
        run: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        self.store().writer.submit(run).await.unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn task(n: u64) -> Task {
    Task {
        context: Some(format!("context-{n}").into()),
        upstream_id: Some(format!("theirs-{n}").into()),
        next_run_at: Some(Time(n)),
        deadlines: Deadlines { close_by: Some(Time(1_000_000 + n)), ..Deadlines::default() },
        ..Task::new(format!("task-{n:06}").into(), "alice".into(), "lights".into(), Time(n))
    }
}

fn event(task: &Task) -> Event {
    Event { seq: task.seq, at: task.status_at, state: task.state, payload: vec![b'e'; 50].into() }
}

/// With a push config that has everything.
fn new(task: Task) -> NewTask {
    let config = PushRow {
        id: "c".into(),
        sealed: "sealed".into(),
        delivered: 1,
        attempt: 0,
        due_at: Time(0),
        since: None,
        dead: None,
    };
    let (document, first, request) = ("{}".into(), event(&task), Some("request".into()));
    NewTask { document, first, request, idempotency: None, configs: vec![config], most_waiting: None, task }
}

fn step(task: &mut Task, command: Command) -> Step {
    let expected = task.fence();
    let seen = apply(task, expected, command, Time(task.status_at.0 + 1)).unwrap();
    let events = if seen { vec![event(task)] } else { vec![] };
    Step { expected, task: task.clone(), events, document: None }
}

/// Every statement that is written down, with its name.
fn statements() -> Vec<(String, String)> {
    macro_rules! named {
        ($($module:ident: $($name:ident)*;)*) => {
            vec![$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*),*]
        };
    }
    let named = named! {
        row: BY_PK TAIL CONFIGS;
        read: BY_ID BY_ID_AND_OWNER PK NEWEST_PART NEXT_PART CONVERSATION UPSTREAM OWN_ID;
        write: KEY PUT_KEY TASK BODY EVENT STANDING REPLACE_BODY;
        queue: URGENCY READY CLAIM RENEW ABANDONED WAITING RUNNING DUE;
        push: SEQ DEAD PUT CONFIGS REMOVE OWE DUE PUT_OFF TAKEN ADVANCE AGAIN LATER GIVE_UP NEXT REDRIVE_ALL REDRIVE;
        retention: OLDEST BELONGINGS REMOVE KEYS;
    };
    let updates = write::UPDATES.iter().map(|sql| ("write::UPDATES".to_owned(), sql.clone()));
    named.into_iter().map(|(name, sql)| (name.to_owned(), sql.to_owned())).chain(updates).collect()
}

/// The statements of a list with this filter, total and page.
fn lists(filter: &Filter) -> [String; 2] {
    [list::total_query(filter).0, list::page_query(filter).0]
}

/// What a statement reads, in SQLite's words.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = explain.raw_query().mapped(|row| row.get(3)).collect::<rusqlite::Result<_>>();
    lines.unwrap()
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let bed = Bed::new();
    bed.on_writer(|connection| {
        for (name, sql) in statements() {
            for line in plan(connection, &sql) {
                // All that waits, all that is dead and what is oldest are walks along an index, the last of them with an end.
                let walk = match name.as_str() {
                    "queue::WAITING" => line == "SCAN task USING COVERING INDEX task_ready",
                    "push::REDRIVE_ALL" => line == "SCAN push_config USING INDEX push_dead",
                    "retention::OLDEST" => line == "SCAN task USING COVERING INDEX task_all",
                    _ => false,
                };
                assert!(walk || !line.contains("SCAN"), "{name}: {line}");
                // The few configs of one task are sorted.
                assert!(name == "row::CONFIGS" || !line.contains("TEMP B-TREE"), "{name}: {line}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn lists_are_read_along_an_index_without_sorting() {
    let bed = Bed::new();
    bed.on_writer(|connection| {
        for choice in 0..32 {
            let chosen = |bit: u32| choice >> bit & 1 == 1;
            let mut filter = Filter {
                owner: chosen(0).then(|| "alice".into()),
                agent: chosen(1).then(|| "lights".into()),
                without: Vec::new(),
                context: None,
                state: chosen(2).then_some(TaskState::Working),
                since: chosen(3).then_some(Time(1)),
                after: chosen(4).then(|| (Time(1), "t".into())),
                limit: 20,
            };
            let index = if chosen(0) { "COVERING INDEX task_list (owner=?" } else { "COVERING INDEX task_all" };
            for sql in lists(&filter) {
                let plan = plan(connection, &sql);
                assert!(plan.len() == 1 && plan[0].contains(index), "{sql}: {plan:?}");
            }
            filter.context = Some("c".into());
            for sql in lists(&filter) {
                let plan = plan(connection, &sql);
                let searched = |line: &String| {
                    line.contains("SEARCH task USING") && line.contains("task_context (<expr>=? AND context_id=?")
                };
                assert!(plan.iter().any(searched), "{sql}: {plan:?}");
                assert!(!plan.iter().any(|line| line.contains("SCAN task")), "{sql}: {plan:?}");
            }
        }
        Ok(())
    })
    .await;
}

/// How many steps SQLite's machine takes in all statements for some work, and how often it compiles one of them anew.
fn cost(connection: &Connection, work: impl FnOnce()) -> (i32, i32) {
    let count = |status| {
        let statements = statements();
        statements.iter().map(|(_, sql)| connection.prepare_cached(sql).unwrap().reset_status(status)).sum::<i32>()
    };
    count(StatementStatus::VmStep);
    count(StatementStatus::RePrepare);
    work();
    (count(StatementStatus::VmStep), count(StatementStatus::RePrepare))
}

/// What the calls of a task's life cost, with a push config, beside the rows that are there.
fn life(connection: &Connection, tally: &Tally, n: u64) -> Vec<(&'static str, i32)> {
    let mut costs = Vec::new();
    let mut measure = |what, work: &mut dyn FnMut()| {
        let (steps, compiled) = cost(connection, work);
        assert_eq!(compiled, 0, "{what} was compiled anew");
        costs.push((what, steps));
    };
    let (mut row, mut save) = (Task { agent: "lamp".into(), ..task(n) }, None);
    measure("create", &mut || assert_eq!(write::create(connection, tally, &new(row.clone())).unwrap(), Created::New));
    let (agent, worker) = (row.agent.clone(), Arc::from("w"));
    let claim = Claim { agent, worker, now: Time(n), until: Time(n), limit: 1 };
    measure("claim", &mut || row = queue::claim(connection, tally, &claim).unwrap().remove(0).task);
    let held = [(row.id.clone(), row.fence())];
    measure("renew", &mut || assert_eq!(queue::renew(connection, &held, Time(n)).unwrap(), []));
    measure("abandoned", &mut || assert_eq!(queue::abandoned(connection, Time(n), 1).unwrap().len(), 1));
    for command in [Command::Started("i".into(), None), Command::Status(TaskState::Working), Command::Artifact] {
        let next = step(&mut row, command);
        measure("save", &mut || save = Some(write::save(connection, tally, &next).unwrap()));
        assert_eq!(save, Some(Saved::Done));
    }
    measure("get", &mut || assert!(read::by_id(connection, Some("alice"), &row.id).unwrap().is_some()));
    measure("events", &mut || assert_eq!(read::events(connection, &row.id, 1, 9).unwrap().len(), 2));
    measure("running", &mut || assert_eq!(queue::running(connection, None, 1).unwrap().len(), 1));
    measure("due", &mut || assert_eq!(queue::due(connection, Time(0), 9).unwrap(), []));
    measure("deliveries", &mut || {
        assert_eq!(push::take(connection, Time(9_000_000), Time(9_000_000), 9).unwrap().len(), 1)
    });
    measure("settle", &mut || push::settle(connection, tally, (&row.id, "c", 2), &Settled::Taken).unwrap());
    measure("next", &mut || assert!(push::next(connection).unwrap().is_some()));
    let end = step(&mut row, Command::Status(TaskState::Completed));
    measure("end", &mut || assert_eq!(write::save(connection, tally, &end).unwrap(), Saved::Done));
    for seq in 3..=4 {
        push::take(connection, Time(9_000_000), Time(9_000_000), 9).unwrap();
        push::settle(connection, tally, (&row.id, "c", seq), &Settled::Taken).unwrap();
    }
    costs
}

#[tokio::test]
async fn a_tasks_life_costs_the_same_beside_few_and_many_others() {
    let bed = Bed::new();
    let tally = bed.store().tally.clone();
    let mut lives = Vec::new();
    for rows in [0..20, 20..4000] {
        for n in rows.clone() {
            drop(bed.store().create(new(task(n))));
        }
        let tally = tally.clone();
        let life = move |connection: &Connection| Ok(life(connection, &tally, 10_000 + rows.start));
        lives.push(bed.on_writer(life).await);
    }
    assert_eq!(lives[0], lives[1]);
}

#[tokio::test]
async fn a_full_disk_refuses_new_tasks_and_keeps_the_old_ones() {
    let bed = Bed::new();
    let (store, limit) = (bed.store(), |more: i64| {
        move |connection: &Connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            connection.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |row| row.get::<_, i64>(0))
        }
    });
    store.create(new(task(0))).await.unwrap();
    bed.on_writer(limit(40)).await;
    let mut kept = vec![0];
    let calls: Vec<_> =
        (1..400).map(|n| (n, store.create(NewTask { document: vec![b'd'; 3000].into(), ..new(task(n)) }))).collect();
    let mut refused = 0;
    for (n, call) in calls {
        match call.await {
            Ok(created) => {
                assert_eq!(created, Created::New);
                kept.push(n);
            }
            Err(problem) => {
                assert_eq!(problem.code, Code::StoreUnusable);
                refused += 1;
            }
        }
    }
    assert!(kept.len() > 10 && refused > 10, "{} kept, {refused} refused", kept.len());
    assert_eq!(store.health().unwrap_err().code, Code::StoreUnusable);
    for n in 0..400 {
        let found = store.get(None, task(n).id).await.unwrap();
        assert_eq!(found.is_some(), kept.contains(&n), "task {n}");
    }
    assert_eq!(store.census().await.unwrap().events, kept.len() as u64);
    bed.on_writer(limit(4000)).await;
    assert_eq!(store.create(new(task(1000))).await, Ok(Created::New));
    assert_eq!((store.health(), store.inspect().await), (Ok(()), Ok(vec![])));
}
