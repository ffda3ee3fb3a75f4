//! The state of the one task that somebody watches, as it changes.

use std::sync::Arc;

use moongate_a2a::tasks::{Recorded, Row};
use moongate_a2a::{A2aGateway, supply};
use moongate_core::{Problem, TaskId, TaskState};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// A task that is followed.
pub(super) struct Following {
    row: Arc<Row>,
    events: Receiver<Arc<Recorded>>,
    state: TaskState,
}

impl Following {
    /// Follows a task from now on, if it is one that there is and that is not over.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn begin(gateway: &Arc<A2aGateway>, task: Option<&str>) -> Result<Option<Self>, Problem> {
        let Some(task) = task else { return Ok(None) };
        let row = gateway.tasks.any(&TaskId::from(task)).await?;
        let Some(row) = row.filter(|row| !row.state().is_terminal()) else { return Ok(None) };
        let events = row.follow().events;
        let state = row.state();
        supply::watch(gateway, &row);
        Ok(Some(Self { row, events, state }))
    }

    /// The task's next state; never, where none is followed.
    pub(super) async fn turn(following: &mut Option<Self>) -> TaskState {
        while let Some(task) = following {
            let state = match task.events.recv().await {
                Ok(event) => event.state,
                Err(RecvError::Lagged(_)) => task.row.state(),
                Err(RecvError::Closed) => break,
            };
            if state != task.state {
                task.state = state;
                return state;
            }
        }
        *following = None;
        std::future::pending().await
    }
}
