//! Push configs: each is a cursor into its task's log.

use moongate_core::seam::tasks::{Delivery, PushRow, Settled};
use moongate_core::{TaskId, Time};

use super::index::{Config, Row};
use super::tasks::Rows;

impl Row {
    /// Makes a config, or replaces it in its place.
    pub(super) fn put(&mut self, config: PushRow, made: &mut u64) {
        match self.configs.iter_mut().find(|one| one.row.id == config.id) {
            Some(old) => (old.row, old.taken) = (config, false),
            None => {
                *made += 1;
                self.configs.push(Config { made: *made, row: config, taken: false });
            }
        }
    }

    /// Events up to `seq` are about to be written, the first of them recorded at `first`: for whoever had everything it is
    /// due.
    pub(super) fn owe(&mut self, seq: u64, first: Time) {
        let had = self.task.seq..seq;
        for config in self.configs.iter_mut().filter(|config| config.row.dead.is_none()) {
            if had.contains(&config.row.delivered) {
                config.row.due_at = first;
            }
        }
    }

    fn settle(&mut self, id: &str, seq: u64, end: Settled) {
        let next = self.behind(seq).first().map(|event| event.at);
        let in_turn = |one: &&mut Config| one.row.id == id && one.taken && one.row.delivered + 1 == seq;
        let Some(config) = self.configs.iter_mut().find(in_turn) else { return };
        config.taken = false;
        let row = &mut config.row;
        match end {
            Settled::Taken => {
                (row.delivered, row.attempt, row.since) = (seq, 0, None);
                row.due_at = next.unwrap_or(row.due_at);
            }
            Settled::Again { at, since } => {
                row.attempt += 1;
                (row.due_at, row.since) = (at, Some(since));
            }
            Settled::Later(at) => row.due_at = at,
            Settled::Dead(reason) => {
                row.attempt += 1;
                row.dead = Some(reason);
            }
            Settled::Gone => self.configs.retain(|one| one.row.id != id),
        }
    }
}

impl Rows {
    pub(super) fn put_config(&mut self, task: &TaskId, config: PushRow) -> bool {
        let mut made = self.configs_made;
        let found = self.change(task, |row| row.put(config, &mut made)).is_some();
        self.configs_made = made;
        found
    }

    pub(super) fn remove_config(&mut self, task: &TaskId, id: &str) -> bool {
        let remove = |row: &mut Row| {
            let before = row.configs.len();
            row.configs.retain(|config| config.row.id != id);
            row.configs.len() < before
        };
        self.change(task, remove).unwrap_or(false)
    }

    pub(super) fn deliveries(&mut self, now: Time, until: Time, limit: u32) -> Vec<Delivery> {
        let due = self.index.owed.iter().take_while(|(due_at, ..)| *due_at <= now).take(limit as usize);
        let due: Vec<_> = due.filter_map(|(_, made, pk)| Some((*made, self.rows.get(pk)?.task.id.clone()))).collect();
        due.into_iter().filter_map(|(made, task)| self.change(&task, |row| row.take(made, until)).flatten()).collect()
    }

    pub(super) fn settle(&mut self, task: &TaskId, config: &str, seq: u64, end: Settled) {
        self.change(task, |row| row.settle(config, seq, end));
    }

    pub(super) fn next_delivery(&self) -> Option<Time> {
        self.index.owed.first().map(|(due_at, ..)| *due_at)
    }

    pub(super) fn redrive(&mut self, task: Option<TaskId>, now: Time) -> u64 {
        let dead = |row: &Row| row.configs.iter().any(|config| config.row.dead.is_some());
        let tasks: Vec<_> = match task {
            Some(task) => vec![task],
            None => self.rows.values().filter(|row| dead(row)).map(|row| row.task.id.clone()).collect(),
        };
        let redriven = tasks.iter().filter_map(|task| self.change(task, |row| row.redrive(now)));
        redriven.sum()
    }
}

impl Row {
    fn take(&mut self, made: u64, until: Time) -> Option<Delivery> {
        let config = self.configs.iter_mut().find(|config| config.made == made)?;
        let place = usize::try_from(config.row.delivered).ok()?;
        let event = self.events.get(place)?.clone();
        config.taken = true;
        config.row.due_at = until;
        let (task, owner) = (self.task.id.clone(), self.task.owner.clone());
        Some(Delivery { task, owner, config: config.row.clone(), event })
    }

    fn redrive(&mut self, now: Time) -> u64 {
        let mut redriven = 0;
        for config in self.configs.iter_mut().filter(|config| config.row.dead.is_some()) {
            let row = &mut config.row;
            (row.dead, row.attempt, row.since, row.due_at) = (None, 0, None, now);
            redriven += 1;
        }
        redriven
    }
}
