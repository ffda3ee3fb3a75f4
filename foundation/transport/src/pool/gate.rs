//! Counts the open connections of an origin and lets those wait who come when it is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicUsize,
    waiting: AtomicUsize,
    changed: Notify,
}

impl Gate {
    /// A place for one more connection, if there are fewer than `most`.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Pass> {
        let entered =
            self.open.try_update(Ordering::SeqCst, Ordering::SeqCst, |open| (open < most).then_some(open + 1));
        entered.ok().map(|_| Pass { gate: Arc::clone(self) })
    }

    /// Waits, counted, until [`Gate::tell`]; `look` is asked first, and again after each time.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let _waiting = Waiting::count(&self.waiting);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }

    /// Tells one who waits that a connection is idle, or a place free.
    pub(crate) fn tell(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_one();
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The place of one open connection.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Arc<Gate>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::SeqCst);
        self.gate.tell();
    }
}
