//! Long work beside the store's ordinary life: a thread and a connection of its own, so that neither writers nor readers
//! wait for it. It is stopped when the store closes.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{Builder, JoinHandle, ThreadId, current};

use moongate_core::{Code, Problem};
use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use super::health::refused;
use super::schema;

/// Starts such work, and stops it when dropped.
pub(super) struct Aside {
    path: PathBuf,
    state: Arc<State>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    closing: AtomicBool,
    working: Mutex<Vec<(ThreadId, InterruptHandle)>>,
}

impl Aside {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Arc::default(), threads: Mutex::default() }
    }

    /// Starts the work at once; dropping the future does not stop it. Work of several parts looks at the flag between
    /// them: once it is set nobody waits for the rest.
    pub(super) fn start<T, F>(&self, name: &str, work: F) -> impl Future<Output = Result<T, Problem>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &AtomicBool) -> Result<T, Problem> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let (path, state) = (self.path.clone(), self.state.clone());
        let thread = Builder::new().name(name.into()).spawn(move || {
            let answer = schema::open_reader(&path).and_then(|connection| state.run(&connection, work));
            let _ = reply.send(answer);
        });
        let started = thread.map(|thread| {
            let mut threads = self.threads.lock();
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        });
        async move {
            started.map_err(|error| Problem::new(Code::StoreUnusable, "no thread for the store").inside(error))?;
            answer.await.unwrap_or_else(|_| Err(refused(false)))
        }
    }
}

impl State {
    fn run<T, F>(&self, connection: &Connection, work: F) -> Result<T, Problem>
    where
        F: FnOnce(&Connection, &AtomicBool) -> Result<T, Problem>,
    {
        self.working.lock().push((current().id(), connection.get_interrupt_handle()));
        let answer = if self.closing.load(SeqCst) { Err(refused(false)) } else { work(connection, &self.closing) };
        self.working.lock().retain(|(thread, _)| *thread != current().id());
        answer
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.state.closing.store(true, SeqCst);
        self.state.working.lock().iter().for_each(|(_, handle)| handle.interrupt());
        for thread in self.threads.get_mut().drain(..) {
            let _ = thread.join();
        }
    }
}
