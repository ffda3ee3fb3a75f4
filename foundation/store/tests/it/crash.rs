//! `kill -9` in the middle of writing registered agents: what was acknowledged is there, what was not is there whole or not
//! at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write, stdout};
use std::sync::Arc;

use moongate_core::seam::Store;

use crate::folder::{Folder, reopen};
use crate::{Dice, child, row};

const ROUNDS: u64 = 20;
const TASKS: u64 = 8;

/// What each id may be after a crash: a version of its row, or nothing.
type Possible = BTreeMap<String, BTreeSet<Option<u64>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_row_is_lost_to_kill_9() {
    if let Some(folder) = child::folder() {
        return write_until_killed(reopen(&folder)).await;
    }
    let (folder, mut dice) = (Folder::new(), Dice::roll());
    let mut possible = Possible::new();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let test = "crash::no_acknowledged_row_is_lost_to_kill_9";
        let mut writer = child::command(None, test, folder.path()).spawn().unwrap();
        let mut until = 1 + dice.below(400);
        for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
            let acknowledges = note(&mut possible, &line.unwrap());
            acknowledged += u64::from(acknowledges);
            until = until.saturating_sub(u64::from(acknowledges));
            if until == 0 && acknowledges {
                // The lines that are in the pipe already are read on until its end.
                writer.kill().unwrap();
            }
        }
        assert!(!writer.wait().unwrap().success(), "round {round}: the writer ended by itself");
        check(&folder, &mut possible, round).await;
    }
    assert!(acknowledged >= ROUNDS, "{acknowledged}");
    assert_eq!(possible.len() as u64, TASKS * 16, "too little was written to prove anything");
}

/// The copy: several tasks write and remove, and say before and after what they do.
async fn write_until_killed(store: Arc<dyn Store>) {
    let known = store.registry().rows().await.unwrap();
    let first = known.iter().map(|row| row.updated_at.0 - 1_000_000).max().unwrap_or(0);
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(store.clone(), task, first))).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn work(store: Arc<dyn Store>, task: u64, first: u64) {
    let say = |line: String| stdout().lock().write_all(line.as_bytes()).unwrap();
    for step in 1..1_000_000 {
        let id = format!("{task}-{}", step % 16);
        if step % 5 == 0 {
            say(format!("removing {id}\n"));
            store.registry().remove(id.clone()).await.unwrap();
            say(format!("removed {id}\n"));
        } else {
            let version = first + step;
            say(format!("writing {id} {version}\n"));
            store.registry().upsert(row(&id, version)).await.unwrap();
            say(format!("written {id} {version}\n"));
        }
    }
}

/// Learns from a line of the copy; whether it acknowledges something.
fn note(possible: &mut Possible, line: &str) -> bool {
    let mut words = line.split(' ');
    let (word, id) = (words.next().unwrap(), words.next().unwrap_or_default());
    let version = words.next().and_then(|version| version.parse().ok());
    let mut states = possible.get(id).cloned().unwrap_or_else(|| [None].into());
    let acknowledges = match word {
        "writing" | "removing" => {
            states.insert(version);
            false
        }
        "written" | "removed" => {
            states = [version].into();
            true
        }
        _ => return false,
    };
    possible.insert(id.to_owned(), states);
    acknowledges
}

async fn check(folder: &Folder, possible: &mut Possible, round: u64) {
    let store = reopen(folder.path());
    let found: BTreeMap<_, _> =
        store.registry().rows().await.unwrap().into_iter().map(|row| (row.id.clone(), row)).collect();
    for (id, states) in possible.iter_mut() {
        let version = found.get(id).map(|found| found.updated_at.0 - 1_000_000);
        assert!(states.contains(&version), "round {round}: {id} is {version:?}, but only {states:?} would be true");
        if let Some(version) = version {
            assert_eq!(found[id], row(id, version), "round {round}: a row of two halves");
        }
        *states = [version].into();
    }
    assert!(found.keys().all(|id| possible.contains_key(id)), "round {round}: a row that nobody wrote");
}
