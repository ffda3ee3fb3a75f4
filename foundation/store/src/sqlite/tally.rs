//! How many rows there are, kept beside the rows: operations note what they change, and the sum of a group is written
//! once, in its own transaction, so that counting costs neither the operations nor whoever asks.

use moongate_core::Phase;
use moongate_core::seam::tasks::Census;
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::value::count;

const READ: &str = "
    SELECT ready, sending, running, paused, dead, done, events, configs, dead_configs FROM tally WHERE one = 1";
const WRITE: &str = "
    UPDATE tally SET ready = ready + ?1, sending = sending + ?2, running = running + ?3, paused = paused + ?4,
        dead = dead + ?5, done = done + ?6, events = events + ?7, configs = configs + ?8,
        dead_configs = dead_configs + ?9
    WHERE one = 1";

/// Numbers of rows, or by how much they change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    ready: i64,
    sending: i64,
    running: i64,
    paused: i64,
    dead: i64,
    done: i64,
    pub(super) events: i64,
    /// Push configs, dead ones too.
    pub(super) configs: i64,
    pub(super) dead_configs: i64,
}

impl Numbers {
    /// Tasks in this phase.
    pub(super) fn phase(&mut self, phase: Phase) -> &mut i64 {
        match phase {
            Phase::Ready => &mut self.ready,
            Phase::Sending => &mut self.sending,
            Phase::Running => &mut self.running,
            Phase::Paused => &mut self.paused,
            Phase::Dead => &mut self.dead,
            Phase::Done => &mut self.done,
        }
    }

    /// As the seam has it.
    pub(super) fn census(mut self) -> Census {
        Census {
            phases: Phase::ALL.into_iter().map(|phase| (phase, count(*self.phase(phase)))).collect(),
            events: count(self.events),
            configs: count(self.configs - self.dead_configs),
            dead_configs: count(self.dead_configs),
        }
    }
}

/// What the operations of the group at hand have changed so far.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Numbers>);

impl Tally {
    /// An operation has changed something.
    pub(super) fn note(&self, change: impl FnOnce(&mut Numbers)) {
        change(&mut self.0.lock());
    }

    /// The group begins, or begins again.
    pub(super) fn clear(&self) {
        *self.0.lock() = Numbers::default();
    }

    /// The group is about to be committed.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let change = std::mem::take(&mut *self.0.lock());
        if change == Numbers::default() {
            return Ok(());
        }
        let Numbers { ready, sending, running, paused, dead, done, events, configs, dead_configs } = change;
        let numbers = params![ready, sending, running, paused, dead, done, events, configs, dead_configs];
        connection.prepare_cached(WRITE)?.execute(numbers).map(drop)
    }

    /// Tasks that wait, as the group at hand leaves them.
    pub(super) fn waiting(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let waiting = |numbers: &Numbers| numbers.ready + numbers.sending + numbers.paused + numbers.dead;
        Ok(count(waiting(&read(connection)?) + waiting(&self.0.lock())))
    }

    /// Finished tasks, as the group at hand leaves them.
    pub(super) fn finished(&self, connection: &Connection) -> rusqlite::Result<u64> {
        Ok(count(read(connection)?.done + self.0.lock().done))
    }
}

/// The numbers as they were last committed.
pub(super) fn read(connection: &Connection) -> rusqlite::Result<Numbers> {
    connection.prepare_cached(READ)?.query_row([], |row| {
        Ok(Numbers {
            ready: row.get(0)?,
            sending: row.get(1)?,
            running: row.get(2)?,
            paused: row.get(3)?,
            dead: row.get(4)?,
            done: row.get(5)?,
            events: row.get(6)?,
            configs: row.get(7)?,
            dead_configs: row.get(8)?,
        })
    })
}
