//! The log while the gateway runs: a queue before one thread that writes.
//!
//! - Whoever records hands a line over and goes on; the thread makes its text, appends it with all others that wait, and
//!   flushes once for all of them.
//! - What must be durable before it happens ([`Log::intend`]) is flushed at once, and whoever waits hears of it.
//! - A line that was handed over is never dropped. A queue that is full makes callers wait before their request begins
//!   ([`Log::room`]), so it is longer than its limit by no more than the requests in flight.
//! - While the disk refuses, the lines stay, intents are refused at once, [`Log::health`] says why, and the thread tries again.

mod retention;
mod start;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use moongate_core::entry::{Deed, Intent, Line};
use moongate_core::seam::{Clock, Later};
use moongate_core::{Code, Problem};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};

use crate::key::VerifyingKey;
use crate::leaf::Phase;
use writer::Writer;

pub(crate) use start::breaks;
pub use writer::is_shard;
pub(crate) use writer::names;

/// So many lines may wait before callers do.
const LIMIT: usize = 16 * 1024;
/// Lines that nobody waits for gather for so long: each flush costs the processor as much as dozens of lines, and flash wears by them.
const LINGER: Duration = Duration::from_millis(20);
/// So many lines are a batch that does not linger.
const BATCH: usize = 4096;
/// The longest that anybody waits for room, or for a flush.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a log lies and what it is called.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its folder; a folder in it for each month.
    pub folder: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
    /// The file that says how far it was signed; not in its folder.
    pub mark: PathBuf,
    /// The gateway's domain.
    pub domain: String,
    /// So many months are kept besides the running one; all unless said.
    pub keep_months: Option<u32>,
}

/// A log that is written.
pub struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    folder: PathBuf,
    /// The public key, under no name yet.
    key: VerifyingKey,
    domain: String,
}

/// What the thread and all others share.
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the thread.
    wake: Condvar,
    /// Wakes those who wait for room.
    room: Notify,
    /// Why nothing can be written at present.
    failing: Mutex<Option<String>>,
    /// The shard that is written, and how many of its lines are signed.
    current: Mutex<(String, u64)>,
    limit: usize,
    /// Requests that were refused because their line would have had no room; how many they were is a line of its own.
    refused: AtomicU64,
}

#[derive(Default)]
struct Queue {
    lines: Vec<Queued>,
    /// Somebody waits for one of them.
    urgent: bool,
    closed: bool,
    /// The last intent's number.
    intents: u64,
}

/// A line that waits.
struct Queued {
    line: Line,
    phase: Waiting,
    done: Option<oneshot::Sender<Result<(), Problem>>>,
}

/// What a line is to its deed, by the number that callers know it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Intent(Intent),
    Outcome(Intent),
    Only,
}

/// Waits for a line's flush, not for ever.
async fn in_time(flushed: oneshot::Receiver<Result<(), Problem>>) -> Result<(), Problem> {
    match tokio::time::timeout(PATIENCE, flushed).await {
        Ok(Ok(written)) => written,
        Ok(Err(_)) => Err(Problem::new(Code::AuditUnwritable, "the audit log is closed")),
        Err(_) => Err(Problem::new(Code::AuditUnwritable, "the audit log does not answer")),
    }
}

impl Log {
    /// Opens the log, and makes it if there is none. Reads every line of the running month.
    ///
    /// # Errors
    /// - `AuditLocked`: another process writes it.
    /// - `AuditKeyUnusable`: the key cannot be read, or others can.
    /// - `AuditDamaged`, `AuditShortened`: it is not what was signed. Nothing was changed.
    /// - `AuditUnwritable`: the disk refuses.
    pub fn open(place: &Place, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        Self::open_with(place, clock, LIMIT)
    }

    /// The same with another length of the queue.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with(place: &Place, clock: Arc<dyn Clock>, limit: usize) -> Result<Self, Problem> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Notify::new(),
            failing: Mutex::default(),
            current: Mutex::default(),
            limit,
            refused: AtomicU64::new(0),
        });
        let writer = Writer::open(place, shared.clone(), clock)?;
        let key = writer.key.verifying(&place.domain);
        let thread = std::thread::Builder::new().name("moongate-audit".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| Problem::new(Code::Internal, format!("no thread for the log: {error}")))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            folder: place.folder.clone(),
            key,
            domain: place.domain.clone(),
        })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The public key under the name of one of its shards.
    pub fn verifying(&self, shard: &str) -> VerifyingKey {
        self.key.named(&format!("{}/audit/{shard}", self.domain))
    }

    /// The shard that is written, and how many of its lines a checkpoint covers.
    pub fn current(&self) -> (String, u64) {
        self.shared.current.lock().clone()
    }

    /// Hands a line over; it is flushed within a few milliseconds.
    pub fn record(&self, line: Line) {
        if is_refusal(&line) && !self.shared.has_room() {
            self.shared.refused.fetch_add(1, Relaxed);
            return;
        }
        let phase = match &line {
            Line::Request(entry, _) => entry.intent,
            Line::Deed(Deed { intent, .. }) => *intent,
        };
        self.shared.push(Queued { line, phase: phase.map_or(Waiting::Only, Waiting::Outcome), done: None }, false);
    }

    /// Writes down what is about to happen; it is on the disk when the future is ready.
    ///
    /// # Errors
    /// `AuditUnwritable`: it is not, and must not happen.
    pub fn intend(&self, line: Line) -> Later<'_, Result<Intent, Problem>> {
        Box::pin(async move {
            self.health()?;
            let (done, flushed) = oneshot::channel();
            let intent = self.shared.intend(line, done);
            in_time(flushed).await.map(|()| intent)
        })
    }

    /// Writes down what has happened; it is on the disk when the future is ready.
    ///
    /// # Errors
    /// `AuditUnwritable`: it may not be.
    pub fn keep(&self, line: Line) -> Later<'_, Result<(), Problem>> {
        Box::pin(async move {
            self.health()?;
            let (done, flushed) = oneshot::channel();
            self.shared.push(Queued { line, phase: Waiting::Only, done: Some(done) }, true);
            in_time(flushed).await
        })
    }

    /// Ready once the queue has room; `None` if it has.
    pub fn room(&self) -> Option<Later<'_, Result<(), Problem>>> {
        if self.shared.has_room() {
            return None;
        }
        Some(Box::pin(async move {
            let room = async {
                loop {
                    let notified = self.shared.room.notified();
                    if self.shared.has_room() {
                        return;
                    }
                    notified.await;
                }
            };
            let behind = |_| Problem::new(Code::AuditBehind, "too many lines wait for the audit log");
            self.health()?;
            tokio::time::timeout(PATIENCE, room).await.map_err(behind)
        }))
    }

    /// Whether lines can be written at present.
    ///
    /// # Errors
    /// `AuditUnwritable` with the system's reason.
    pub fn health(&self) -> Result<(), Problem> {
        match &*self.shared.failing.lock() {
            None => Ok(()),
            Some(why) => Err(Problem::new(Code::AuditUnwritable, why.clone())),
        }
    }

    /// Writes what waits, signs it, and ends. Lines that come afterwards are lost.
    pub fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        self.queue.lock().lines.len() < self.limit
    }

    fn push(&self, queued: Queued, urgent: bool) {
        let mut queue = self.queue.lock();
        self.add(&mut queue, queued, urgent);
    }

    fn intend(&self, line: Line, done: oneshot::Sender<Result<(), Problem>>) -> Intent {
        let mut queue = self.queue.lock();
        queue.intents += 1;
        let intent = Intent(queue.intents);
        self.add(&mut queue, Queued { line, phase: Waiting::Intent(intent), done: Some(done) }, true);
        intent
    }

    fn add(&self, queue: &mut Queue, queued: Queued, urgent: bool) {
        queue.lines.push(queued);
        // The thread sleeps while there is nothing; with something it lingers, unless it has reason not to.
        let waking = queue.lines.len() == 1 || queue.lines.len() == BATCH || (urgent && !queue.urgent);
        queue.urgent |= urgent;
        if waking {
            self.wake.notify_one();
        }
    }

    /// What waits, as soon as it is worth a flush, and whether there will be no more. Nothing at all after `idle`.
    fn take(&self, idle: Duration) -> (Vec<Queued>, bool) {
        let mut queue = self.queue.lock();
        let mut lingered = false;
        loop {
            let worth =
                queue.urgent || queue.closed || queue.lines.len() >= BATCH || (lingered && !queue.lines.is_empty());
            if worth {
                break;
            }
            let wait = if queue.lines.is_empty() { idle } else { LINGER };
            let was_empty = queue.lines.is_empty();
            let timed_out = self.wake.wait_for(&mut queue, wait).timed_out();
            if was_empty && timed_out && queue.lines.is_empty() {
                break;
            }
            lingered = !was_empty && timed_out;
        }
        let count = queue.lines.len().min(BATCH);
        let rest = queue.lines.split_off(count);
        let lines = std::mem::replace(&mut queue.lines, rest);
        queue.urgent = queue.lines.iter().any(|queued| queued.done.is_some());
        (lines, queue.closed && queue.lines.is_empty())
    }

    fn fail(&self, why: Option<String>) {
        *self.failing.lock() = why;
    }
}

/// Whether nothing happened because the log could not take it.
fn is_refusal(line: &Line) -> bool {
    let refusal = |code: Option<Code>| matches!(code, Some(Code::AuditBehind | Code::AuditUnwritable));
    match line {
        Line::Request(entry, _) => entry.intent.is_none() && refusal(entry.code),
        Line::Deed(deed) => deed.intent.is_none() && refusal(deed.code),
    }
}

impl Waiting {
    /// The same by the number of the line, for those whose intent is known.
    fn phase(self, line: impl Fn(Intent) -> Option<u64>) -> Phase {
        match self {
            Self::Intent(_) => Phase::Intent,
            Self::Outcome(intent) => line(intent).map_or(Phase::Only, Phase::Outcome),
            Self::Only => Phase::Only,
        }
    }
}

#[cfg(test)]
mod tests;
