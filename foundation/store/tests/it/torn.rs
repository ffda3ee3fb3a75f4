//! A write-ahead log that was cut or damaged on the disk: what is left is the state after some earlier commit.

use std::fs;

use moongate_core::seam::tasks::{Created, Filter, NewTask, Settled};
use moongate_core::task::Command;
use moongate_core::{TaskState, Time};

use crate::folder::Folder;
use crate::sample::{advance, config, new, running};
use crate::{Dice, row};

const ROWS: u64 = 150;

/// The file and its log while the store is open, with [`ROWS`] rows committed one after another.
async fn open_files() -> (Vec<u8>, Vec<u8>) {
    // Should the writer tidy up between the last row and the copy, there is no log; then again.
    loop {
        let folder = Folder::new();
        let store = folder.open().unwrap();
        for id in 0..ROWS {
            store.registry().upsert(row(&format!("agent-{id:04}"), id)).await.unwrap();
        }
        let files = (folder.read("m.db"), folder.read("m.db-wal"));
        if !files.1.is_empty() {
            return files;
        }
    }
}

/// How many rows there are after opening these files; they must be the first ones.
async fn rows_of(file: &[u8], log: &[u8], what: &str) -> u64 {
    let folder = Folder::new();
    fs::write(folder.file("m.db"), file).unwrap();
    fs::write(folder.file("m.db-wal"), log).unwrap();
    let store = folder.open().unwrap_or_else(|problem| panic!("{what}: {problem}"));
    let rows = store.registry().rows().await.unwrap();
    let expected: Vec<_> = (0..rows.len() as u64).map(|id| row(&format!("agent-{id:04}"), id)).collect();
    assert_eq!(rows, expected, "{what}");
    store.registry().upsert(row("after", 1)).await.unwrap();
    rows.len() as u64
}

#[tokio::test]
async fn a_cut_log_leaves_a_prefix() {
    let ((file, log), mut dice) = (open_files().await, Dice::roll());
    assert_eq!(rows_of(&file, &log, "whole").await, ROWS);
    let mut cuts: Vec<_> = (0..40).map(|_| dice.below(log.len() as u64) as usize).collect();
    cuts.sort_unstable();
    let mut last = 0;
    for cut in cuts {
        let rows = rows_of(&file, &log[..cut], &format!("cut at {cut} of {}", log.len())).await;
        assert!(rows >= last, "a longer log has fewer rows");
        last = rows;
    }
    assert!(last > 0);
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_ends_it_there() {
    let ((file, log), mut dice) = (open_files().await, Dice::roll());
    let mut shorter = 0;
    for _ in 0..40 {
        let (place, bit) = (dice.below(log.len() as u64) as usize, dice.below(8));
        let mut flipped = log.clone();
        flipped[place] ^= 1 << bit;
        shorter += u64::from(rows_of(&file, &flipped, &format!("bit {bit} of byte {place}")).await < ROWS);
    }
    assert!(shorter >= 35, "only {shorter} of 40 flips were noticed");
}

/// The file and its log while the store is open, with a history of tasks committed step by step; and how many events.
async fn files_of_tasks() -> (Vec<u8>, Vec<u8>, u64) {
    loop {
        let folder = Folder::new();
        let store = folder.open().unwrap();
        for n in 0..30 {
            let id = format!("t{n}");
            let new = NewTask { configs: vec![config("c", 0)], ..new(running(&id)) };
            store.tasks().create(new).await.unwrap();
            for command in [Command::Artifact, Command::Artifact, Command::Status(TaskState::Completed)] {
                advance(store.tasks(), &id, command, 2000 + n).await.unwrap();
            }
            for delivery in store.tasks().deliveries(Time(9000), Time(9000), 2).await.unwrap() {
                let (config, seq) = (delivery.config.id, delivery.event.seq);
                store.tasks().settle(delivery.task, config, seq, Settled::Taken).await.unwrap();
            }
        }
        let events = store.tasks().census().await.unwrap().events;
        let files = (folder.read("m.db"), folder.read("m.db-wal"), events);
        if !files.1.is_empty() {
            return files;
        }
    }
}

/// How many events there are after opening these files, if they can be opened; every task must be whole.
async fn events_of(file: &[u8], log: &[u8], what: &str) -> u64 {
    let folder = Folder::new();
    fs::write(folder.file("m.db"), file).unwrap();
    fs::write(folder.file("m.db-wal"), log).unwrap();
    let store = folder.open().unwrap_or_else(|problem| panic!("{what}: {problem}"));
    assert_eq!(store.inspect().await, Ok(vec![]), "{what}");
    let events = store.tasks().census().await.unwrap().events;
    let page = store.tasks().list(Filter { limit: 99, ..Filter::default() }).await.unwrap();
    assert_eq!(page.tasks.iter().map(|stored| 1 + stored.tail.len() as u64).sum::<u64>(), events, "{what}");
    assert_eq!(store.tasks().create(new(running("after"))).await, Ok(Created::New), "{what}");
    events
}

#[tokio::test]
async fn a_cut_log_leaves_whole_tasks_of_an_earlier_moment() {
    let ((file, log, all), mut dice) = (files_of_tasks().await, Dice::roll());
    assert_eq!(events_of(&file, &log, "whole").await, all);
    let mut cuts: Vec<_> = (0..40).map(|_| dice.below(log.len() as u64) as usize).collect();
    cuts.sort_unstable();
    let mut last = 0;
    for cut in cuts {
        let events = events_of(&file, &log[..cut], &format!("cut at {cut} of {}", log.len())).await;
        assert!((last..=all).contains(&events), "a longer log has fewer events");
        last = events;
    }
    assert!(last > 0);
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_leaves_whole_tasks() {
    let ((file, log, all), mut dice) = (files_of_tasks().await, Dice::roll());
    for _ in 0..40 {
        let (place, bit) = (dice.below(log.len() as u64) as usize, dice.below(8));
        let mut flipped = log.clone();
        flipped[place] ^= 1 << bit;
        assert!(events_of(&file, &flipped, &format!("bit {bit} of byte {place}")).await <= all);
    }
}
