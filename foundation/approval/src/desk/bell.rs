//! Says aloud that a question is asked, and that it is over: a ring of bounded length, which waits for nobody.
//!
//! Whoever does not keep up misses the oldest news, learns that it did, and looks at the store instead.

use std::collections::BTreeSet;
use std::sync::Arc;

use moongate_core::seam::notifier::Notice;
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// News that are kept for whoever is slow.
const RING: usize = 1024;

pub(super) struct Bell {
    ring: broadcast::Sender<Notice>,
    /// Questions that wait for people.
    open: Mutex<BTreeSet<Arc<str>>>,
}

impl Bell {
    pub(super) fn new(open: impl Iterator<Item = Arc<str>>) -> Self {
        Self { ring: broadcast::Sender::new(RING), open: Mutex::new(open.collect()) }
    }

    pub(super) fn opened(&self, id: &Arc<str>) {
        self.open.lock().insert(id.clone());
    }

    pub(super) fn open(&self) -> usize {
        self.open.lock().len()
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Notice> {
        self.ring.subscribe()
    }

    pub(super) fn ring(&self, notice: Notice) {
        // Without listeners nobody is told, which is no fault.
        let _ = self.ring.send(notice);
    }

    /// Once for each question, whatever becomes of it later.
    pub(super) fn over(&self, notice: Notice) {
        if self.open.lock().remove(&notice.id) {
            self.ring(notice);
        }
    }
}
