//! A runtime for each core, each on a thread of its own.
//!
//! Connections are handed out when they are accepted, to the core that has the fewest, and stay there: their requests, the
//! exchanges with agents that these lead to and the connections kept for those never cross threads, so a request wakes no
//! other core. What belongs to no connection (probes, watches, the accepting itself) runs elsewhere.
//!
//! The cost: a request that computes for long holds up the others of its core, as in any proxy of this shape.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// The number of the core that this thread serves, from 1; 0 on every other thread.
pub(crate) fn here() -> usize {
    HERE.with(Cell::get)
}

/// The runtimes. They end, with whatever still runs on them, when this is dropped: keep it until all has drained.
#[derive(Debug)]
pub struct Cores {
    cores: Vec<Core>,
}

#[derive(Debug)]
struct Core {
    runtime: Handle,
    seated: Arc<AtomicUsize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One connection's place on a core; counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    seated: Arc<AtomicUsize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seated.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Cores {
    /// Starts so many runtimes, at least one.
    ///
    /// # Errors
    /// The system gives no thread or no event queue.
    pub fn start(count: usize) -> io::Result<Self> {
        let cores = (1..=count.max(1)).map(Core::start).collect::<io::Result<_>>()?;
        Ok(Self { cores })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cores.len()
    }

    /// Runs a connection on the core that has the fewest of them.
    pub(crate) fn seat<F>(&self, connection: impl FnOnce(Place) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(core) = self.cores.iter().min_by_key(|core| core.seated.load(Ordering::Relaxed)) else { return };
        core.seated.fetch_add(1, Ordering::Relaxed);
        core.runtime.spawn(connection(Place { seated: core.seated.clone() }));
    }
}

impl Core {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = Builder::new().name(format!("core-{number}")).spawn(move || {
            HERE.with(|here| here.set(number));
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, seated: Arc::default(), end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}
