//! The one writer: a thread that owns the connection and commits in groups.
//!
//! - It takes whatever waits, up to [`BATCH`] operations, and never waits for more: while one group is being flushed the
//!   next one gathers by itself.
//! - One transaction and one flush for all of them, then each is answered.
//! - An operation is a closure over the connection. It may run twice: if one of the group fails, or the commit itself,
//!   the group is rolled back and each is tried alone, so that nobody pays for another's mistake.
//! - The log is copied into the file every 16,000 pages (by SQLite, without waiting for readers) and cut when nothing has
//!   been written for a second. Pages that are free go back to the disk then, if they are many.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use moongate_core::{Code, Problem};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::health::{Health, refused};
use super::schema;
use super::tally::Tally;

/// Operations that may wait; beyond, callers hear "later".
const QUEUE: usize = 4096;
/// Operations in one transaction at most.
const BATCH: usize = 256;
/// Quiet for this long, the writer tidies up.
const IDLE: Duration = Duration::from_secs(1);
/// Free pages that are not worth giving back.
const SPARE: i64 = 1000;
/// Pages that are given back at once.
const SHRINK: i64 = 2000;
/// With nothing to tidy, it looks after the store's health only this often.
const REST: Duration = Duration::from_secs(30);

/// Takes operations from any thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Counts {
    /// Operations that were queued.
    asked: AtomicU64,
    /// Operations of which the end is known and, if they succeeded, seen by every reader.
    ended: AtomicU64,
    commits: AtomicU64,
}

impl Writer {
    /// Gives the connection to a thread of its own.
    pub(super) fn start(connection: Connection, health: Arc<Health>, tally: Arc<Tally>) -> Result<Self, Problem> {
        let (queue, waiting) = sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let work = Work { connection, waiting, health, tally, counts: counts.clone(), untidy: true };
        let thread = Builder::new().name("store-writer".into()).spawn(move || work.run());
        let thread =
            thread.map_err(|error| Problem::new(Code::StoreUnusable, "no thread for the store").inside(error))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), counts })
    }

    /// Queues an operation at once; the future is ready when its effects are durable. Dropping it changes nothing.
    ///
    /// The closure may run twice and must then do the same again.
    pub(super) fn submit<T, F>(&self, run: F) -> impl Future<Output = Result<T, Problem>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Operation { run, result: None, reply });
        self.counts.asked.fetch_add(1, SeqCst);
        let sent = self.queue.as_ref().map(|queue| queue.try_send(job));
        if !matches!(sent, Some(Ok(()))) {
            self.counts.asked.fetch_sub(1, SeqCst);
        }
        async move {
            match sent {
                Some(Ok(())) => answer.await.unwrap_or_else(|_| Err(refused(false))),
                Some(Err(TrySendError::Full(_))) => Err(refused(true)),
                Some(Err(TrySendError::Disconnected(_))) | None => Err(refused(false)),
            }
        }
    }

    /// Ready when everything that was asked for before has ended; `None` if it has already.
    ///
    /// Operations are counted before they are queued and end in the order of the queue: as many ends as there were
    /// beginnings before us mean that ours are among them.
    pub(super) fn barrier(&self) -> Option<impl Future<Output = Result<(), Problem>> + Send + use<>> {
        let asked = self.counts.asked.load(SeqCst);
        (self.counts.ended.load(SeqCst) < asked).then(|| self.submit(|_| Ok(())))
    }
}

impl Drop for Writer {
    /// Waits until everything that was queued is written and the file is closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        tracing::debug!(commits = self.counts.commits.load(Relaxed), "the store is closed");
    }
}

/// An operation of any result.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, end: Result<(), Problem>);
}

struct Operation<T, F> {
    run: F,
    result: Option<T>,
    reply: oneshot::Sender<Result<T, Problem>>,
}

impl<T, F> Job for Operation<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.run)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), Problem>) {
        let Self { result, reply, .. } = *self;
        // Nobody has to wait for it.
        let _ = reply.send(end.and_then(|()| result.ok_or_else(|| refused(false))));
    }
}

/// What the thread owns.
struct Work {
    connection: Connection,
    waiting: Receiver<Box<dyn Job>>,
    health: Arc<Health>,
    tally: Arc<Tally>,
    counts: Arc<Counts>,
    /// Something was written since the log was cut, or the last write failed.
    untidy: bool,
}

impl Work {
    fn run(mut self) {
        loop {
            match self.waiting.recv_timeout(if self.untidy { IDLE } else { REST }) {
                Ok(first) => {
                    let rest = self.waiting.try_iter().take(BATCH - 1);
                    let batch = std::iter::once(first).chain(rest).collect();
                    self.serve(batch);
                }
                Err(RecvTimeoutError::Timeout) => self.tidy(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
        }
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if self.health.stopped().is_none() && self.commit(&mut batch).is_ok() {
            self.counts.ended.fetch_add(batch.len() as u64, SeqCst);
            return batch.into_iter().for_each(|job| job.answer(Ok(())));
        }
        for mut job in batch {
            let end = match self.health.stopped() {
                Some(problem) => Err(problem),
                None => self.commit(std::slice::from_mut(&mut job)).map_err(|error| {
                    self.untidy = true;
                    self.health.failed(&error)
                }),
            };
            self.counts.ended.fetch_add(1, SeqCst);
            job.answer(end);
        }
    }

    /// All of them or none, in one transaction. One that changes nothing reaches no disk, and says nothing about it.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let before = self.connection.total_changes();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.tally.clear();
        for job in jobs {
            job.run(&transaction)?;
        }
        self.tally.write(&transaction)?;
        let changed = transaction.total_changes() != before;
        transaction.commit()?;
        self.counts.commits.fetch_add(1, Relaxed);
        if changed {
            self.untidy = true;
            self.health.recovered();
        }
        Ok(())
    }

    /// Quiet: sees whether a store that failed can be written again, and cuts the log.
    fn tidy(&mut self) {
        if self.health.stopped().is_some() {
            self.untidy = false;
            return;
        }
        if self.health.check().is_err() {
            match self.probe() {
                Ok(()) => self.health.recovered(),
                Err(error) => {
                    self.health.failed(&error);
                    return;
                }
            }
        }
        if self.untidy {
            let cut = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            match cut {
                // 1: a reader was in the way. The log is cut next time.
                Ok(busy) => self.untidy = busy != 0,
                Err(error) => drop(self.health.failed(&error)),
            }
        }
        if !self.untidy
            && let Err(error) = self.shrink()
        {
            self.health.failed(&error);
        }
    }

    /// Gives free pages back to the disk, a few at a time; as many as a fifth of the file are kept for what comes next.
    fn shrink(&mut self) -> rusqlite::Result<()> {
        let number = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let (free, all) = (number("PRAGMA freelist_count")?, number("PRAGMA page_count")?);
        if free > SPARE && free > all / 5 {
            let sql = format!("PRAGMA incremental_vacuum({SHRINK})");
            let mut vacuum = self.connection.prepare(&sql)?;
            let mut pages = vacuum.query([])?;
            while pages.next()?.is_some() {}
            self.untidy = true;
        }
        Ok(())
    }

    /// Writes something that changes nothing.
    fn probe(&mut self) -> rusqlite::Result<()> {
        self.untidy = true;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Writes the header page, whatever the number.
        transaction.pragma_update(None, "user_version", schema::VERSION)?;
        transaction.commit()
    }

    /// Closing the connection copies the log into the file, unless that is damaged.
    fn close(self) {
        if self.health.stopped().is_some() {
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

#[cfg(test)]
mod tests;
