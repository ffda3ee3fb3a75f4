//! Ending without breaking: what is in flight finishes, what is idle closes, what is new is refused.
//!
//! A connection asks at each of its polls whether draining has begun, so asking is one atomic load. Its waker is kept
//! once, by its ticket: a connection is its task's outermost future, so its waker stays the same for life. Streams that
//! would never end by themselves wait for [`Drain::started`] instead.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

/// How far the draining is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Serving.
    Running,
    /// Finish what is in flight, then close.
    Draining,
    /// The deadline has passed: close now.
    Aborted,
}

/// The end of all listeners that share it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stage: AtomicU8,
    started: watch::Sender<bool>,
    open: watch::Sender<usize>,
    next: AtomicU64,
    wakers: Mutex<HashMap<u64, Waker>>,
}

impl Drain {
    /// Nothing is draining yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                stage: AtomicU8::new(Stage::Running as u8),
                started: watch::Sender::new(false),
                open: watch::Sender::new(0),
                next: AtomicU64::new(0),
                wakers: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// Begins: listeners close, idle connections close, busy ones end after their present exchange.
    pub fn begin(&self) {
        self.advance(Stage::Draining);
        self.shared.started.send_replace(true);
    }

    /// Whether it has begun.
    pub fn draining(&self) -> bool {
        self.stage() != Stage::Running
    }

    /// Ready once it has begun; for streams, which must end by themselves.
    pub fn started(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut started = self.shared.started.subscribe();
        // Keeps the sender alive, so that waiting cannot end for want of one.
        let shared = Arc::clone(&self.shared);
        async move {
            let _ = started.wait_for(|begun| *begun).await;
            drop(shared);
        }
    }

    /// Waits until no connection is open, at most for `limit`; then closes those that are left and says how many they
    /// were. Does not begin by itself.
    pub async fn drained(&self, limit: Duration) -> usize {
        let mut open = self.shared.open.subscribe();
        let empty = open.wait_for(|count| *count == 0);
        if tokio::time::timeout(limit, empty).await.is_ok() {
            return 0;
        }
        let left = self.open();
        self.advance(Stage::Aborted);
        left
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        *self.shared.open.borrow()
    }

    /// Something that must not be cut off: [`drained`](Self::drained) waits until the ticket is dropped.
    pub fn ticket(&self) -> Ticket {
        self.shared.open.send_modify(|count| *count += 1);
        Ticket { drain: self.clone(), key: None }
    }

    fn stage(&self) -> Stage {
        match self.shared.stage.load(Ordering::Acquire) {
            0 => Stage::Running,
            1 => Stage::Draining,
            _ => Stage::Aborted,
        }
    }

    fn advance(&self, stage: Stage) {
        self.shared.stage.fetch_max(stage as u8, Ordering::AcqRel);
        let wakers: Vec<Waker> = self.shared.wakers.lock().values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// One open connection; counts until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    drain: Drain,
    key: Option<u64>,
}

impl Ticket {
    /// How far the draining is; wakes the task of the first caller when that changes.
    pub(crate) fn stage(&mut self, cx: &Context<'_>) -> Stage {
        if self.key.is_none() {
            let key = self.drain.shared.next.fetch_add(1, Ordering::Relaxed);
            self.drain.shared.wakers.lock().insert(key, cx.waker().clone());
            self.key = Some(key);
        }
        self.drain.stage()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.drain.shared.wakers.lock().remove(&key);
        }
        self.drain.shared.open.send_modify(|count| *count = count.saturating_sub(1));
    }
}
