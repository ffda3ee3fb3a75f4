//! Readers: threads with connections that cannot write. Each question is one snapshot that ends with the answer, so
//! that no reader keeps the write-ahead log from being cut.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use moongate_core::{Code, Problem};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::health::{Health, refused};
use super::schema;

/// How many questions are answered at once.
const READERS: usize = 2;
/// Questions that may wait for one reader.
const QUEUE: usize = 1024;

type Question = Box<dyn FnOnce(&Connection, &Health) + Send>;

/// The threads, asked in turn.
#[derive(Debug)]
pub(super) struct Readers {
    threads: Vec<(SyncSender<Question>, JoinHandle<()>)>,
    next: AtomicUsize,
}

impl Readers {
    /// Opens the connections.
    pub(super) fn start(path: &Path, health: &Arc<Health>) -> Result<Self, Problem> {
        let start = |_| {
            let connection = schema::open_reader(path)?;
            let (queue, waiting) = sync_channel::<Question>(QUEUE);
            let health = health.clone();
            let work = move || waiting.into_iter().for_each(|question| question(&connection, &health));
            let thread = Builder::new().name("store-reader".into()).spawn(work);
            let thread =
                thread.map_err(|error| Problem::new(Code::StoreUnusable, "no thread for the store").inside(error))?;
            Ok((queue, thread))
        };
        let threads = (0..READERS).map(start).collect::<Result<_, Problem>>()?;
        Ok(Self { threads, next: AtomicUsize::new(0) })
    }

    /// Asks one of them at once.
    pub(super) fn ask<T, F>(&self, question: F) -> impl Future<Output = Result<T, Problem>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection, health| {
            let answer = match health.stopped() {
                Some(problem) => Err(problem),
                None => question(connection).map_err(|error| health.failed(&error)),
            };
            let _ = reply.send(answer);
        });
        let turn = self.next.fetch_add(1, Relaxed) % READERS;
        let sent = self.threads.get(turn).map(|(queue, _)| queue.try_send(question));
        async move {
            match sent {
                Some(Ok(())) => answer.await.unwrap_or_else(|_| Err(refused(false))),
                Some(Err(TrySendError::Full(_))) => Err(refused(true)),
                Some(Err(TrySendError::Disconnected(_))) | None => Err(refused(false)),
            }
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for (queue, thread) in self.threads.drain(..) {
            drop(queue);
            let _ = thread.join();
        }
    }
}
