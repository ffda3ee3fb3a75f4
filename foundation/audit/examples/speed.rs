//! How many lines are durable in a second, beside how often the same disk flushes in the same run:
//! `cargo run --release -p moongate-audit --example speed -- FOLDER [--json]`; `moongate-bench audit` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not the program"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use moongate_audit::{Log, Place};
use moongate_core::entry::Line;
use moongate_core::seam::Clock;
use moongate_core::{Entry, Listener, Mono, Operation, Time};
use serde_json::json;

/// Seconds of each part.
const SECONDS: u64 = 4;

struct Machine(Instant);

impl Clock for Machine {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Time(since.as_millis() as u64)
    }

    fn mono(&self) -> Mono {
        Mono(self.0.elapsed().as_micros() as u64)
    }
}

fn line(clock: &dyn Clock) -> Line {
    let entry = Entry {
        request: "0199f3a1-7f6b-7c31-9a55-0d6f0f4b9a77".into(),
        source: "spiffe://car.example/gw/front".into(),
        domain: "car.example".into(),
        address: [192, 168, 1, 77].into(),
        target: "lights".into(),
        instance: "lights@kitchen".into(),
        skill: Some("lights.set".into()),
        task: None,
        operation: Operation::Send,
        listener: Listener::Main,
        result: "done",
        code: None,
        rule: "routes[2]".into(),
        cleared_by: "no rule refuses".into(),
        intent: None,
        at: clock.now(),
        took: Duration::from_micros(1234),
    };
    Line::Request(entry, Some([7; 16]))
}

/// Appends and flushes of one line each, in a second.
fn flushes(folder: &Path) -> u64 {
    let mut file = File::create(folder.join("raw")).unwrap();
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(SECONDS) {
        file.write_all(&[b'x'; 480]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count / SECONDS
}

/// Lines that so many callers wait for, in a second, and how long the slowest hundredth took.
async fn awaited(log: &Arc<Log>, clock: &Arc<Machine>, callers: usize) -> (u64, Duration) {
    let (done, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (log, clock, done) = (log.clone(), clock.clone(), done.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                while began.elapsed() < Duration::from_secs(SECONDS) {
                    let from = Instant::now();
                    log.intend(line(&*clock)).await.unwrap();
                    took.push(from.elapsed());
                    done.fetch_add(1, Ordering::Relaxed);
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for caller in callers {
        took.extend(caller.await.unwrap());
    }
    took.sort();
    let slow = took.get(took.len() * 99 / 100).copied().unwrap_or_default();
    (done.load(Ordering::Relaxed) / SECONDS, slow)
}

/// Lines that nobody waits for, in a second, all of them flushed at the end.
async fn handed_over(log: &Log, clock: &Machine) -> u64 {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(SECONDS) {
        if let Some(room) = log.room() {
            room.await.unwrap();
        }
        log.record(line(clock));
        count += 1;
    }
    log.intend(line(clock)).await.unwrap();
    (count as f64 / began.elapsed().as_secs_f64()) as u64
}

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into).join("moongate-audit-speed");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let json = std::env::args().any(|argument| argument == "--json");
    let mut raw = vec![flushes(&folder)];
    let clock = Arc::new(Machine(Instant::now()));
    let place = Place {
        folder: folder.join("log"),
        key: folder.join("key"),
        mark: folder.join("mark"),
        domain: "home.example".into(),
        keep_months: None,
    };
    let log = Arc::new(Log::open(&place, clock.clone()).unwrap());
    let mut found = Vec::new();
    for callers in [1, 16, 64, 256, 1024] {
        let (lines, slow) = awaited(&log, &clock, callers).await;
        raw.push(flushes(&folder));
        found.push((callers, lines, slow));
    }
    let handed_over = handed_over(&log, &clock).await;
    log.close();
    let _ = fs::remove_dir_all(&folder);
    if json {
        let awaited = found.iter().map(|(callers, lines, slow)| {
            json!({"callers": callers, "per_second": lines, "p99_us": slow.as_micros() as u64})
        });
        let awaited: Vec<_> = awaited.collect();
        println!("{}", json!({"flushes": raw, "awaited": awaited, "handed_over": handed_over}));
        return;
    }
    raw.sort_unstable();
    let raw = raw.get(raw.len() / 2).copied().unwrap_or_default();
    println!("{raw:>8} flushes of one line a second");
    let times = |lines: u64| lines as f64 / raw as f64;
    for (callers, lines, slow) in found {
        println!(
            "{lines:>8} lines a second, {:>5.1} times as many, {callers:>4} callers wait, p99 {slow:.1?}",
            times(lines)
        );
    }
    println!("{handed_over:>8} lines a second that nobody waits for, {:>5.1} times as many", times(handed_over));
}
