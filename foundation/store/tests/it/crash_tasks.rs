//! `kill -9` in the middle of tasks' lives. A ledger outside of the process that dies holds what it said before and after
//! each call: no acknowledged task, event, claim, delivery or end is lost; what was not acknowledged is there whole or
//! not at all.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdout};
use std::sync::Arc;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Created, Filter, NewTask, Saved, Settled, Stored};
use moongate_core::task::Command;
use moongate_core::{TaskState, Time};

use crate::folder::{Folder, reopen};
use crate::sample::{claim, config, get, key, new, step, waiting};
use crate::{Dice, child};

const ROUNDS: u64 = 20;
const WORKERS: u64 = 8;
const TEST: &str = "crash_tasks::no_acknowledged_step_is_lost_to_kill_9";

/// What is known of one task.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The newest event that was acknowledged; 0 for a task that was only tried to make.
    seq: u64,
    /// The newest event that was tried.
    tried: u64,
    attempt: u32,
    delivered: u64,
}

type Ledger = BTreeMap<String, Known>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_step_is_lost_to_kill_9() {
    if let Some(folder) = child::folder() {
        return live_until_killed(reopen(&folder)).await;
    }
    let (folder, mut dice, mut ledger) = (Folder::new(), Dice::roll(), Ledger::new());
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut worker = child::command(None, TEST, folder.path()).spawn().unwrap();
        let mut until = 1 + dice.below(600);
        for line in BufReader::new(worker.stdout.take().unwrap()).lines() {
            let acknowledges = note(&mut ledger, &line.unwrap());
            acknowledged += u64::from(acknowledges);
            until = until.saturating_sub(u64::from(acknowledges));
            if until == 0 && acknowledges {
                // The lines that are in the pipe already are read on until its end.
                worker.kill().unwrap();
            }
        }
        assert!(!worker.wait().unwrap().success(), "round {round}: the worker ended by itself");
        check(&folder, &mut ledger, round).await;
    }
    assert!(acknowledged >= ROUNDS * 20, "only {acknowledged} acknowledged: too little to prove anything");
}

/// The copy: workers make tasks of their own, lead them to their end, and say before and after what they do.
async fn live_until_killed(store: Arc<dyn Store>) {
    let born = store.tasks().list(Filter::default()).await.unwrap().total;
    let workers: Vec<_> = (0..WORKERS).map(|worker| tokio::spawn(work(store.clone(), worker, born))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

fn say(line: &str) {
    stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn work(store: Arc<dyn Store>, worker: u64, born: u64) {
    let (tasks, agent) = (store.tasks(), format!("agent-{worker}"));
    for n in 0..1_000_000 {
        let id = format!("{born}-{worker}-{n}");
        let mut task = waiting(&id);
        task.agent = agent.as_str().into();
        say(&format!("saving {id} 1"));
        let new = NewTask { configs: vec![config("c", 0)], idempotency: key(&id, 1, u64::MAX), ..new(task) };
        assert_eq!(tasks.create(new).await, Ok(Created::New));
        say(&format!("saved {id} 1"));
        let claimed = tasks.claim(claim(&agent, 5000, 6000, 99)).await.unwrap();
        let mut task = claimed.into_iter().find(|stored| stored.task.id.as_str() == id).unwrap().task;
        say(&format!("claimed {id} {}", task.attempt));
        let start = [Command::Started("i".into(), None), Command::Status(TaskState::Working)];
        let end = vec![Command::Status(TaskState::Completed)];
        for commands in [start.into(), vec![Command::Artifact; 1 + n as usize % 3], end] {
            let next = step(&task, commands, 5000);
            say(&format!("saving {id} {}", next.task.seq));
            task = next.task.clone();
            assert_eq!(tasks.save(next).await, Ok(Saved::Done));
            say(&format!("saved {id} {}", task.seq));
        }
        for delivery in tasks.deliveries(Time(5000), Time(5000), 3).await.unwrap() {
            let (id, seq) = (delivery.task.clone(), delivery.event.seq);
            tasks.settle(delivery.task, delivery.config.id, seq, Settled::Taken).await.unwrap();
            say(&format!("delivered {id} {seq}"));
        }
    }
}

/// Learns from a line of the copy; whether it acknowledges something.
fn note(ledger: &mut Ledger, line: &str) -> bool {
    let words: Vec<_> = line.split(' ').collect();
    let [word, id, number] = words[..] else { return false };
    let Ok(number) = number.parse::<u64>() else { return false };
    let known = |ledger: &mut Ledger| ledger.entry(id.to_owned()).or_default().clone();
    let known = match word {
        "saving" => Known { tried: number, ..known(ledger) },
        "saved" => Known { seq: number, ..known(ledger) },
        "claimed" => Known { attempt: number as u32, ..known(ledger) },
        // Whoever settles the same event twice says so twice, in whatever order.
        "delivered" => {
            let known = known(ledger);
            Known { delivered: known.delivered.max(number), ..known }
        }
        _ => return false,
    };
    ledger.insert(id.to_owned(), known);
    word != "saving"
}

async fn check(folder: &Folder, ledger: &mut Ledger, round: u64) {
    let store = reopen(folder.path());
    let tasks = store.tasks();
    assert_eq!(store.inspect().await, Ok(vec![]), "round {round}");
    let total = tasks.list(Filter::default()).await.unwrap().total;
    let mut found = 0;
    for (id, known) in ledger.iter_mut() {
        let stored = tasks.get(None, id.as_str().into()).await.unwrap();
        let seq = stored.as_ref().map_or(0, |stored| stored.task.seq);
        assert!((known.seq..=known.tried).contains(&seq), "round {round}: {id} is at event {seq}, but {known:?}");
        (known.seq, known.tried) = (seq, seq);
        if let Some(stored) = stored {
            found += 1;
            whole(&stored, known, round);
            let again = NewTask { idempotency: key(id, 1, u64::MAX), ..new(waiting("again")) };
            assert_eq!(tasks.create(again).await, Ok(Created::Repeated(id.as_str().into())), "round {round}");
        }
    }
    assert_eq!(found, total, "round {round}: there are tasks that nobody made");
    // What the next round may claim is its own.
    let left = tasks.running(None, 999).await.unwrap();
    for stored in left {
        let id = stored.task.id.to_string();
        tasks.save(step(&get(tasks, &id).await.task, [Command::Status(TaskState::Failed)], 9000)).await.unwrap();
        let seq = stored.task.seq + 1;
        ledger.entry(id).and_modify(|known| (known.seq, known.tried) = (seq, seq));
    }
}

/// The log is gap-free, and row, log and cursor agree with what was acknowledged.
fn whole(stored: &Stored, known: &Known, round: u64) {
    let (task, config) = (&stored.task, &stored.configs[0]);
    assert!(stored.tail.iter().map(|event| event.seq).eq(2..=task.seq), "round {round}: {}", task.id);
    assert_eq!(stored.tail.last().map_or(TaskState::Submitted, |event| event.state), task.state, "round {round}");
    assert!(task.attempt >= known.attempt, "round {round}: a claim of {} is lost", task.id);
    assert!((known.delivered..=task.seq).contains(&config.delivered), "round {round}: {} of {}", config.id, task.id);
}
