//! The watch on one live task: by its agent's own stream where it has one, else by asking again and again.
//!
//! At most one watch or feeder for each task. It ends when the task is over, or when the task waits for somebody and
//! nobody listens; the next listener starts it again.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::{Code, InstanceId, Operation, Phase, Problem, TaskId, TaskState};
use moongate_wire::a2a::{Binding, Dialect, Version};
use serde_json::{Value, json};

use super::rename;
use crate::call::Call;
use crate::gateway::A2aGateway;
use crate::routing::directory::{Agent, Endpoint, Upstream};
use crate::tasks::{Row, control};
use crate::translation::behalf::Who;
use crate::translation::exchange::{Bounds, Events, Exchange};
use crate::translation::{Answer, Learned, Outgoing};

const FIRST_POLL: Duration = Duration::from_millis(250);
const SLOWEST_POLL: Duration = Duration::from_secs(5);
/// How long a stream may be silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);
/// Failures in a row after which a task that nobody follows is looked at only now and then; its timeouts end it some day.
const PATIENT: u32 = 60;
const NOW_AND_THEN: Duration = Duration::from_secs(60);
/// So often in a row the agent may say that it does not know the task, until it is believed.
const BELIEVED: u32 = 10;

/// Sees to it that somebody watches the task.
pub fn watch(gateway: &Arc<A2aGateway>, row: &Arc<Row>) {
    if !wanted(row) {
        return;
    }
    let Some(feeding) = row.feed() else { return };
    let (gateway, row) = (gateway.clone(), row.clone());
    tokio::spawn(async move {
        Watch { gateway: gateway.clone(), row: row.clone() }.run().await;
        drop(feeding);
        // Somebody may have begun to listen between the last look and the release.
        if row.is_followed() && wanted(&row) {
            watch(&gateway, &row);
        }
    });
}

fn wanted(row: &Row) -> bool {
    let state = row.state();
    row.phase() == Phase::Running
        && !row.is_lost()
        && !state.is_terminal()
        && (!state.is_interrupted() || row.is_followed())
}

struct Watch {
    gateway: Arc<A2aGateway>,
    row: Arc<Row>,
}

impl Watch {
    async fn run(&self) {
        let mut pause = FIRST_POLL;
        let (mut failures, mut unknown) = (0, 0);
        while wanted(&self.row) {
            let Some((agent, endpoint)) = self.target() else {
                failures += 1;
                tokio::time::sleep(self.patience(pause, failures)).await;
                pause = (pause * 2).min(SLOWEST_POLL);
                continue;
            };
            let before = self.row.seq();
            let permit = self.gateway.watches.clone().try_acquire_owned().ok();
            let result = if permit.is_some() && endpoint.card.streaming && failures % 2 == 0 {
                self.subscribed(&agent, &endpoint).await
            } else {
                self.asked(&agent, &endpoint).await
            };
            match result {
                Ok(()) => (failures, unknown) = (0, 0),
                Err(problem) => {
                    failures += 1;
                    let denied = problem.code == Code::TaskNotFound && problem.reported.is_some();
                    unknown = if denied { unknown + 1 } else { 0 };
                    tracing::debug!(task = %self.row.id, %problem, failures, "a watched task could not be read");
                }
            }
            drop(permit);
            if unknown >= BELIEVED {
                let _ = control::end(&self.row, TaskState::Failed, "The agent does not know the task any more.");
                return;
            }
            pause = if self.row.seq() == before { (pause * 2).min(SLOWEST_POLL) } else { FIRST_POLL };
            if wanted(&self.row) {
                tokio::time::sleep(self.patience(pause, failures)).await;
            }
        }
    }

    /// How long to wait until the next look.
    fn patience(&self, pause: Duration, failures: u32) -> Duration {
        if failures > PATIENT && !self.row.is_followed() { NOW_AND_THEN } else { pause }
    }

    fn target(&self) -> Option<(Arc<Agent>, Arc<Endpoint>)> {
        self.target_at(&self.row.instance()?)
    }

    fn target_at(&self, instance: &InstanceId) -> Option<(Arc<Agent>, Arc<Endpoint>)> {
        let directory = self.gateway.directory.load();
        let agent = directory.agents.get(&self.row.agent)?;
        let endpoint = agent.endpoint(instance)?;
        Some((agent.clone(), endpoint.clone()))
    }

    fn bounds(&self, agent: &Agent) -> Bounds {
        let settings = self.gateway.settings.load();
        Bounds { timeout: agent.settings.timeout, answer_bytes: settings.answer_bytes, json: settings.json }
    }

    /// A request for the task's owner.
    fn exchange<'a>(
        &'a self,
        call: &'a Call,
        upstream: &'a Upstream,
        outgoing: &'a Outgoing,
        agent: &'a Agent,
    ) -> Exchange<'a> {
        Exchange {
            call,
            who: Who::Owner(&self.row, agent),
            upstream,
            outgoing,
            trace: None,
            bounds: self.bounds(agent),
        }
    }

    /// Follows the agent's own stream to its end.
    async fn subscribed(&self, agent: &Agent, endpoint: &Endpoint) -> Result<(), Problem> {
        let call = internal(Operation::Subscribe, json!({"id": self.row.upstream_id().as_str()}));
        let outgoing = Outgoing::same(Operation::Subscribe);
        let upstream = endpoint.upstream_for(call.dialect).ok_or_else(crate::dispatch::no_interface)?;
        let exchange = self.exchange(&call, upstream, &outgoing, agent);
        let mut events: Events = exchange.events().await?;
        // A silent stream is given up now and then: the next look begins with the task as it stands.
        while let Ok(Some(event)) = tokio::time::timeout(SILENCE, events.next()).await {
            self.record(event?)?;
            self.row.room().await;
            if !wanted(&self.row) {
                break;
            }
        }
        Ok(())
    }

    /// Asks once.
    async fn asked(&self, agent: &Agent, endpoint: &Endpoint) -> Result<(), Problem> {
        let call = internal(Operation::Get, json!({"id": self.row.upstream_id().as_str()}));
        let outgoing = Outgoing::same(Operation::Get);
        let upstream = endpoint.upstream_for(call.dialect).ok_or_else(crate::dispatch::no_interface)?;
        let exchange = self.exchange(&call, upstream, &outgoing, agent);
        self.record(exchange.whole().await?)
    }

    fn record(&self, answer: Answer) -> Result<(), Problem> {
        let about = match &answer.learned {
            Learned::Task { id, .. } => Some(id),
            Learned::Update { task, .. } => Some(task),
            Learned::Message { .. } | Learned::Other => None,
        };
        if about.is_some_and(|id| **id != *self.row.upstream_id().as_str()) {
            return Err(Problem::new(Code::AgentGarbage, "the agent told of another task than it was asked about"));
        }
        if !self.row.is_mapped() {
            return match answer.learned {
                Learned::Task { document, .. } => {
                    self.row.snapshot(document);
                    Ok(())
                }
                Learned::Update { .. } => self.row.event(&answer.canonical).map(drop),
                Learned::Message { .. } | Learned::Other => Ok(()),
            };
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&answer.canonical) else { return Ok(()) };
        rename(&mut value, self.row.upstream_id().as_str(), self.row.id.as_str());
        match &answer.learned {
            Learned::Task { .. } => {
                let task = value.get_mut("task").map(Value::take).unwrap_or(value);
                self.row.snapshot(serde_json::to_vec(&task).unwrap_or_default().into());
                Ok(())
            }
            Learned::Update { .. } => self.row.event(&serde_json::to_vec(&value).unwrap_or_default().into()).map(drop),
            Learned::Message { .. } | Learned::Other => Ok(()),
        }
    }
}

/// Tells the instance once that a task, by its own id, is wanted no more; whatever it answers.
pub fn cancel_upstream(gateway: &Arc<A2aGateway>, row: &Arc<Row>, instance: Option<InstanceId>, id: TaskId) {
    let (gateway, row) = (gateway.clone(), row.clone());
    tokio::spawn(async move {
        if let Err(problem) = cancel(&gateway, &row, instance, id).await {
            tracing::debug!(task = %row.id, %problem, "the agent did not cancel a task");
        }
    });
}

/// Tells the instance that a task, by its own id, is wanted no more, and takes over what it answers.
///
/// # Errors
/// The agent is gone or cannot be reached, or does not want to.
pub async fn cancel(
    gateway: &Arc<A2aGateway>,
    row: &Arc<Row>,
    instance: Option<InstanceId>,
    id: TaskId,
) -> Result<(), Problem> {
    let watch = Watch { gateway: gateway.clone(), row: row.clone() };
    let Some((agent, endpoint)) = instance.and_then(|instance| watch.target_at(&instance)) else {
        return Err(Problem::new(Code::NoInstance, format!("the agent {} of the task is gone", row.agent)));
    };
    let call = internal(Operation::Cancel, json!({"id": id.as_str()}));
    let outgoing = Outgoing::same(Operation::Cancel);
    let upstream = endpoint.upstream_for(call.dialect).ok_or_else(crate::dispatch::no_interface)?;
    let exchange = watch.exchange(&call, upstream, &outgoing, &agent);
    watch.record(exchange.whole().await?)
}

/// A request of the gateway's own.
pub(crate) fn internal(operation: Operation, params: Value) -> Call {
    let canonical: bytes::Bytes = serde_json::to_vec(&params).unwrap_or_default().into();
    Call {
        dialect: Dialect { binding: Binding::JsonRpc, version: Version::V1 },
        style: moongate_wire::a2a::legacy::Style::Kind,
        operation,
        rpc_id: bytes::Bytes::from_static(b"1"),
        body: bytes::Bytes::new(),
        verbatim: false,
        canonical,
        peek: moongate_wire::peek::Params::default(),
        service: crate::call::Service::default(),
        draft: false,
        hops: 0,
        headers: http::HeaderMap::new(),
        base: None,
        wishes: crate::call::Wishes::default(),
        recalled: std::sync::OnceLock::new(),
    }
}
