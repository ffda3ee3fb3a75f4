//! Which rows are in memory, and that there is never more than one of a task.
//!
//! A row stays while somebody holds it (a request, a feeder, a subscriber, a hand-over to the store), and the latest few stay a
//! little longer, since what was just answered is often asked for. All others are read from the store when they are wanted;
//! while one is being read or made, everybody else who wants it waits for that.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use moongate_core::TaskId;
use moongate_core::seam::{Clock, Store, Vault};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Row;

/// Rows that stay although nobody holds them, as long as they have no more bytes together.
const LATEST: usize = 512;
const LATEST_BYTES: usize = 16 * 1024 * 1024;

enum Slot {
    Here(Weak<Row>),
    /// Being read or made.
    Coming(Arc<Notify>),
}

#[derive(Default)]
struct Slots {
    rows: HashMap<TaskId, Slot>,
    latest: VecDeque<Arc<Row>>,
}

/// What all rows share.
pub(super) struct Home {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) vault: Arc<dyn Vault>,
    /// Somebody is owed a delivery.
    pub(super) deliver: Notify,
    slots: Mutex<Slots>,
    /// About how many bytes the documents of all rows have.
    bytes: AtomicUsize,
}

/// What a look for a row found.
pub(super) enum Found<'a> {
    /// The row.
    Here(Arc<Row>),
    /// Nothing: whoever holds this may make it, and others wait.
    Place(Place<'a>),
}

/// The right to put a row into its slot; dropped unused, it leaves the slot free.
pub(super) struct Place<'a> {
    home: &'a Home,
    id: TaskId,
    came: Arc<Notify>,
    used: bool,
}

impl Home {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, vault: Arc<dyn Vault>) -> Self {
        Self { store, clock, vault, deliver: Notify::new(), slots: Mutex::default(), bytes: AtomicUsize::new(0) }
    }

    /// The row, if it is here.
    pub(super) fn held(&self, id: &str) -> Option<Arc<Row>> {
        match self.slots.lock().rows.get(id) {
            Some(Slot::Here(row)) => row.upgrade(),
            Some(Slot::Coming(_)) | None => None,
        }
    }

    /// How many are here.
    pub(super) fn count(&self) -> usize {
        self.slots.lock().rows.len()
    }

    /// Lets go of rows that nobody holds: each holds this in turn, and with it the store.
    pub(super) fn clear(&self) {
        // Outside the lock: a row's drop takes it.
        let latest = std::mem::take(&mut self.slots.lock().latest);
        drop(latest);
    }

    /// The row if it is here, else the place for it; waits for whoever is reading or making it.
    pub(super) async fn find(&self, id: &TaskId) -> Found<'_> {
        loop {
            let came = {
                let mut slots = self.slots.lock();
                match slots.rows.get(id.as_str()) {
                    Some(Slot::Here(row)) => match row.upgrade() {
                        Some(row) => return Found::Here(row),
                        None => return Found::Place(self.place(&mut slots, id)),
                    },
                    Some(Slot::Coming(came)) => came.clone().notified_owned(),
                    None => return Found::Place(self.place(&mut slots, id)),
                }
            };
            came.await;
        }
    }

    fn place(&self, slots: &mut Slots, id: &TaskId) -> Place<'_> {
        let came = Arc::new(Notify::new());
        slots.rows.insert(id.clone(), Slot::Coming(came.clone()));
        Place { home: self, id: id.clone(), came, used: false }
    }

    /// The row that has been here longest, if it is one too many.
    fn spare(&self) -> Option<Arc<Row>> {
        let mut slots = self.slots.lock();
        // Rows that somebody needs are no business of the shelf's: those on it are weighed, but only if all together are heavy.
        let heavy = || slots.latest.iter().map(|row| row.weight()).sum::<usize>() > LATEST_BYTES;
        let many = slots.latest.len() > LATEST || (self.bytes.load(Relaxed) > LATEST_BYTES && heavy());
        if many { slots.latest.pop_front() } else { None }
    }

    /// A row's document has grown or shrunk.
    pub(super) fn weighs(&self, before: usize, now: usize) {
        self.bytes.fetch_add(now.wrapping_sub(before), Relaxed);
    }

    /// A row of this many bytes has been dropped.
    pub(super) fn left(&self, id: &TaskId, weight: usize) {
        self.weighs(weight, 0);
        let mut slots = self.slots.lock();
        if matches!(slots.rows.get(id), Some(Slot::Here(row)) if row.strong_count() == 0) {
            slots.rows.remove(id);
        }
    }
}

impl Place<'_> {
    /// Puts the row there.
    pub(super) fn put(mut self, row: Row) -> Arc<Row> {
        let row = Arc::new(row);
        {
            let mut slots = self.home.slots.lock();
            slots.rows.insert(self.id.clone(), Slot::Here(Arc::downgrade(&row)));
            slots.latest.push_back(row.clone());
        }
        while let Some(spare) = self.home.spare() {
            // Outside the lock: the last holder's drop takes it.
            drop(spare);
        }
        self.used = true;
        self.came.notify_waiters();
        row
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.home.slots.lock().rows.remove(&self.id);
            self.came.notify_waiters();
        }
    }
}
