//! How fast the store makes and changes tasks, empty and full:
//! `cargo run --release -p moongate-store --example throughput -- FOLDER ROWS [random]`.
//!
//! Ids grow with time, as those that the gateway makes; with `random` they do not, as those of many agents. Contexts are
//! always random. CPU is that of the whole process, the caller's part included.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement by hand, not part of the program"
)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use moongate_core::seam::tasks::{Event, Filter, NewTask, Saved, Step};
use moongate_core::seam::{Later, Store};
use moongate_core::task::{Command, Deadlines, apply};
use moongate_core::{Problem, Task, TaskState, Time};

/// Tasks that are measured at once.
const SLICE: u64 = 30_000;
/// Operations that wait at the same time.
const CALLERS: usize = 512;

struct Bench {
    store: Arc<dyn Store>,
    folder: PathBuf,
    random: bool,
    /// How many tasks there are.
    rows: u64,
}

impl Bench {
    fn task(&self, n: u64) -> Task {
        let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.rotate_left(32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let grows = format!("{n:012x}-7000-8000-{noise:016x}");
        let id = if self.random { format!("{noise:016x}-4000-8000-{n:012x}") } else { grows };
        Task {
            context: Some(format!("{:016x}-4000-8000-{n:012x}", noise.rotate_left(17)).into()),
            skill: Some("lights.on".into()),
            next_run_at: Some(Time(n)),
            deadlines: Deadlines { close_by: Some(Time(n + 1_000_000)), ..Deadlines::default() },
            ..Task::new(id.into(), "local".into(), "lights".into(), Time(n))
        }
    }

    async fn create(&self) {
        let mut waiting = Waiting(VecDeque::new());
        for n in self.rows..self.rows + SLICE {
            let task = self.task(n);
            let (first, document, request) = (event(&task), vec![b'd'; 500].into(), Some(vec![b'r'; 300].into()));
            let new =
                NewTask { document, first, request, idempotency: None, configs: vec![], most_waiting: None, task };
            waiting.push(self.store.tasks().create(new)).await;
        }
        waiting.end().await;
    }

    /// The rest of a life: started, working, an artifact, completed.
    async fn save(&self) {
        let mut waiting = Waiting(VecDeque::new());
        for n in self.rows..self.rows + SLICE {
            let mut task = self.task(n);
            let started = Command::Started("lights@1".into(), None);
            let ends = [Command::Status(TaskState::Working), Command::Artifact, Command::Status(TaskState::Completed)];
            for command in std::iter::once(started).chain(ends) {
                let expected = task.fence();
                let seen = apply(&mut task, expected, command, Time(n + 5)).unwrap();
                let events = if seen { vec![event(&task)] } else { vec![] };
                let step = Step { expected, task: task.clone(), events, document: None };
                let saved = self.store.tasks().save(step);
                waiting.push(Box::pin(async { saved.await.map(|saved| assert_eq!(saved, Saved::Done)) })).await;
            }
        }
        waiting.end().await;
    }

    async fn stage(&mut self) {
        println!("{} rows, {}", self.rows, resident());
        for _ in 0..3 {
            measured("create", SLICE, self.create()).await;
            measured("save", SLICE * 4, self.save()).await;
            self.rows += SLICE;
        }
        measured("get, one at a time", SLICE, async {
            for n in 0..SLICE {
                let id = self.task((n * 7919) % self.rows).id;
                assert!(self.store.tasks().get(None, id).await.unwrap().is_some());
            }
        })
        .await;
        for (what, state) in [("list, 20 of all", None), ("list, 20 working", Some(TaskState::Working))] {
            let filter = Filter { owner: Some("local".into()), state, limit: 20, ..Filter::default() };
            measured(what, 10, async {
                for _ in 0..10 {
                    self.store.tasks().list(filter.clone()).await.unwrap();
                }
            })
            .await;
        }
    }

    async fn end(&self) {
        measured("census", 1, async { drop(self.store.tasks().census().await.unwrap()) }).await;
        measured("inspect", 1, async { assert_eq!(self.store.inspect().await, Ok(vec![])) }).await;
        measured("backup", 1, async { self.store.backup(self.folder.join("copy.db")).await.unwrap() }).await;
        measured("expire", 20_000, async {
            for _ in 0..40 {
                assert_eq!(self.store.tasks().expire(Time(0), Time(0), 1000, 500).await, Ok(500));
            }
        })
        .await;
    }
}

/// Callers that wait for their answers.
struct Waiting<'a, T>(VecDeque<Later<'a, Result<T, Problem>>>);

impl<'a, T> Waiting<'a, T> {
    async fn push(&mut self, caller: Later<'a, Result<T, Problem>>) {
        self.0.push_back(caller);
        if self.0.len() > CALLERS {
            self.0.pop_front().unwrap().await.ok().unwrap();
        }
    }

    async fn end(self) {
        for caller in self.0 {
            caller.await.ok().unwrap();
        }
    }
}

fn event(task: &Task) -> Event {
    Event { seq: task.seq, at: task.status_at, state: task.state, payload: vec![b'e'; 600].into() }
}

/// CPU time of this process, in microseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let words: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    (words[12].parse::<f64>().unwrap() + words[13].parse::<f64>().unwrap()) * 10_000.0
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned()
}

async fn measured<F: Future<Output = ()>>(what: &str, count: u64, work: F) {
    let (begun, before) = (Instant::now(), cpu());
    work.await;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), (cpu() - before) / count as f64);
    println!("{what:>20}: {:>8.1}/s, {cpu:>8.1} µs of CPU each", count as f64 / wall);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap());
    let rows: u64 = arguments.next().unwrap().parse().unwrap();
    let store = moongate_store::open("sqlite:m.db", Path::new(&folder)).unwrap();
    let mut bench = Bench { store, folder, random: arguments.next().is_some(), rows: 0 };
    bench.stage().await;
    while bench.rows < rows {
        bench.create().await;
        bench.save().await;
        bench.rows += SLICE;
    }
    bench.stage().await;
    bench.end().await;
}
