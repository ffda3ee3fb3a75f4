//! The facet of tasks. Owns the tables `task`, `task_body`, `task_event`, `push_config`, `idem` and `tally`.
//!
//! - What writes is one operation of the writer ([`write`](mod@write), [`queue`], [`push`], [`retention`]).
//! - What reads asks a reader, each question in one snapshot ([`read`], [`list`]). Lists and events wait for the writer's
//!   queue first, if anything stands in it.
//! - A task's row is small and often written; its document lies beside it and is not ([`row`] says how).

mod list;
mod push;
mod queue;
mod read;
mod retention;
mod row;
#[cfg(test)]
mod tests;
mod write;

use std::future::{Future, ready};
use std::sync::Arc;

use moongate_core::seam::Later;
use moongate_core::seam::tasks::{
    Census, Claim, Created, Delivery, Event, Filter, NewTask, Page, PushRow, Saved, Settled, Step, Stored, Tasks,
    Waiting,
};
use moongate_core::task::Fence;
use moongate_core::{AgentName, ContextId, Problem, TaskId, Time};
use rusqlite::Connection;

use super::{Sqlite, tally};
use crate::law;

impl Sqlite {
    /// Asks a reader; the whole question sees one snapshot, which ends with the answer.
    fn read<T, F>(&self, question: F) -> impl Future<Output = Result<T, Problem>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.readers.ask(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let answer = question(&snapshot)?;
            snapshot.commit()?;
            Ok(answer)
        })
    }

    /// The same, after everything that was asked of the writer before.
    fn read_behind<T, F>(&self, question: F) -> impl Future<Output = Result<T, Problem>> + Send
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let barrier = self.writer.barrier();
        async move {
            if let Some(barrier) = barrier {
                barrier.await?;
            }
            self.read(question).await
        }
    }
}

impl Tasks for Sqlite {
    fn create(&self, new: NewTask) -> Later<'static, Result<Created, Problem>> {
        if let Err(problem) = law::new(&new) {
            return Box::pin(ready(Err(problem)));
        }
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| write::create(connection, &tally, &new)))
    }

    fn save(&self, step: Step) -> Later<'static, Result<Saved, Problem>> {
        if let Err(problem) = law::step(&step) {
            return Box::pin(ready(Err(problem)));
        }
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| write::save(connection, &tally, &step)))
    }

    fn get(&self, owner: Option<Arc<str>>, id: TaskId) -> Later<'static, Result<Option<Stored>, Problem>> {
        Box::pin(self.read(move |connection| read::by_id(connection, owner.as_deref(), &id)))
    }

    fn list(&self, filter: Filter) -> Later<'_, Result<Page, Problem>> {
        Box::pin(self.read_behind(move |connection| list::page(connection, &filter)))
    }

    fn events(&self, id: TaskId, after: u64, limit: u32) -> Later<'_, Result<Vec<Event>, Problem>> {
        Box::pin(self.read_behind(move |connection| read::events(connection, &id, after, limit)))
    }

    fn conversation(&self, owner: Arc<str>, context: ContextId) -> Later<'static, Result<Option<Stored>, Problem>> {
        Box::pin(self.read(move |connection| read::conversation(connection, &owner, &context)))
    }

    fn upstream(&self, agent: AgentName, id: TaskId) -> Later<'static, Result<Option<Stored>, Problem>> {
        Box::pin(self.read(move |connection| read::upstream(connection, &agent, &id)))
    }

    fn claim(&self, claim: Claim) -> Later<'static, Result<Vec<Stored>, Problem>> {
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| queue::claim(connection, &tally, &claim)))
    }

    fn renew(&self, held: Vec<(TaskId, Fence)>, until: Time) -> Later<'static, Result<Vec<TaskId>, Problem>> {
        Box::pin(self.writer.submit(move |connection| queue::renew(connection, &held, until)))
    }

    fn abandoned(&self, now: Time, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>> {
        Box::pin(self.read(move |connection| queue::abandoned(connection, now, limit)))
    }

    fn waiting(&self) -> Later<'static, Result<Vec<Waiting>, Problem>> {
        Box::pin(self.read(queue::waiting))
    }

    fn running(&self, after: Option<TaskId>, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>> {
        Box::pin(self.read(move |connection| queue::running(connection, after.as_ref(), limit)))
    }

    fn due(&self, now: Time, limit: u32) -> Later<'static, Result<Vec<Stored>, Problem>> {
        Box::pin(self.read(move |connection| queue::due(connection, now, limit)))
    }

    fn put_config(&self, task: TaskId, config: PushRow) -> Later<'static, Result<bool, Problem>> {
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| push::put(connection, &tally, &task, &config)))
    }

    fn remove_config(&self, task: TaskId, id: String) -> Later<'static, Result<bool, Problem>> {
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| push::remove(connection, &tally, &task, &id)))
    }

    fn deliveries(&self, now: Time, until: Time, limit: u32) -> Later<'static, Result<Vec<Delivery>, Problem>> {
        Box::pin(self.writer.submit(move |connection| push::take(connection, now, until, limit)))
    }

    fn settle(&self, task: TaskId, config: String, seq: u64, end: Settled) -> Later<'static, Result<(), Problem>> {
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| push::settle(connection, &tally, (&task, &config, seq), &end)))
    }

    fn next_delivery(&self) -> Later<'static, Result<Option<Time>, Problem>> {
        Box::pin(self.read(push::next))
    }

    fn redrive_configs(&self, task: Option<TaskId>, now: Time) -> Later<'static, Result<u64, Problem>> {
        let tally = self.tally.clone();
        Box::pin(self.writer.submit(move |connection| push::redrive(connection, &tally, task.as_ref(), now)))
    }

    fn expire(&self, now: Time, before: Time, keep: u64, limit: u32) -> Later<'static, Result<u64, Problem>> {
        let (tally, slice) = (self.tally.clone(), retention::Slice { now, before, keep, limit });
        Box::pin(self.writer.submit(move |connection| retention::expire(connection, &tally, &slice)))
    }

    fn census(&self) -> Later<'static, Result<Census, Problem>> {
        Box::pin(self.read(|connection| Ok(tally::read(connection)?.census())))
    }
}
