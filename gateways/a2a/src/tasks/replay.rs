//! Events of a task from any number on: from the store what is there, from memory what is on its way.

use std::collections::VecDeque;
use std::sync::Arc;

use moongate_core::Problem;

use super::row::{Recorded, Row};

/// How many are read at once.
const PAGE: u32 = 256;

impl Row {
    /// The next events behind `after`, in order and without a gap; empty if there are none yet.
    ///
    /// # Errors
    /// What keeps the store from being read.
    pub async fn events_after(self: &Arc<Self>, after: u64) -> Result<VecDeque<Arc<Recorded>>, Problem> {
        if self.told() <= after {
            return Ok(VecDeque::new());
        }
        if let Some(events) = self.in_memory_after(after) {
            return Ok(events);
        }
        let read = self.home.store.tasks().events(self.id.clone(), after, PAGE).await?;
        let limit = self.told();
        let told = read.into_iter().take_while(|event| event.seq <= limit);
        let event = |event: moongate_core::seam::tasks::Event| {
            Arc::new(Recorded { seq: event.seq, canonical: event.payload, state: event.state })
        };
        Ok(told.map(event).collect())
    }

    /// The number of the newest event that may be told.
    pub fn told(&self) -> u64 {
        let held = self.state.lock();
        held.held_back.first().map_or(held.task.seq, |event| event.seq - 1)
    }

    /// The events behind `after`, if memory has all of them.
    fn in_memory_after(&self, after: u64) -> Option<VecDeque<Arc<Recorded>>> {
        let held = self.state.lock();
        let first = held.on_the_way.first().or(held.unsaved.first())?.seq;
        if first > after + 1 {
            return None;
        }
        let limit = held.held_back.first().map_or(held.task.seq, |event| event.seq - 1);
        let events = held.on_the_way.iter().chain(&held.unsaved);
        let told = events.filter(|event| event.seq > after && event.seq <= limit);
        Some(
            told.map(|event| {
                Arc::new(Recorded { seq: event.seq, canonical: event.payload.clone(), state: event.state })
            })
            .collect(),
        )
    }
}
