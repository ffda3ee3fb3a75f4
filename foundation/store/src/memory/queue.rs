//! The queue: claims and their leases, what waits, what is overdue.

use moongate_core::seam::tasks::{Claim, Stored, Waiting};
use moongate_core::task::Fence;
use moongate_core::{Phase, TaskId, Time};

use super::tasks::Rows;

impl Rows {
    pub(super) fn claim(&mut self, claim: &Claim) -> Vec<Stored> {
        let first = (claim.agent.clone(), 0, None, 0);
        let mine = self.index.ready.range(first..).take_while(|(agent, ..)| *agent == claim.agent);
        let ready = mine.filter(|(_, _, next, _)| next.is_none_or(|next| next <= claim.now)).map(|(.., pk)| *pk);
        let taken: Vec<_> = ready.take(claim.limit as usize).collect();
        let ids: Vec<_> = taken.iter().filter_map(|pk| Some(self.rows.get(pk)?.task.id.clone())).collect();
        for id in ids {
            self.change(&id, |row| {
                row.task.phase = Phase::Sending;
                row.task.attempt += 1;
                row.task.next_run_at = None;
                row.lease_until = Some(claim.until);
            });
        }
        self.stored(taken.into_iter())
    }

    pub(super) fn renew(&mut self, held: Vec<(TaskId, Fence)>, until: Time) -> Vec<TaskId> {
        let mut holds = |id: &TaskId, fence: Fence| {
            let held = |row: &super::index::Row| row.task.phase == Phase::Sending && row.task.fence() == fence;
            self.by_id(id).is_some_and(held) && self.change(id, |row| row.lease_until = Some(until)).is_some()
        };
        held.into_iter().filter(|(id, fence)| !holds(id, *fence)).map(|(id, _)| id).collect()
    }

    pub(super) fn abandoned(&self, now: Time, limit: u32) -> Vec<Stored> {
        let over = self.index.leases.iter().take_while(|(until, _)| *until <= now);
        self.stored(over.take(limit as usize).map(|(_, pk)| *pk))
    }

    pub(super) fn due(&self, now: Time, limit: u32) -> Vec<Stored> {
        let over = self.index.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        self.stored(over.take(limit as usize).map(|(_, pk)| *pk))
    }

    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let mut waiting = Vec::<Waiting>::new();
        for (agent, _, next, _) in &self.index.ready {
            let next = next.unwrap_or_default();
            match waiting.last_mut() {
                Some(last) if last.agent == *agent => {
                    last.count += 1;
                    last.next = last.next.min(next);
                }
                _ => waiting.push(Waiting { agent: agent.clone(), count: 1, next }),
            }
        }
        waiting
    }
}
