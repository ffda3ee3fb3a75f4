//! Messages that wait for their agent: when a send is queued, and what its caller hears.
//!
//! - the draft's task creation: always, so that it returns at once with the task;
//! - an agent that is down, or that did not acknowledge anything: unless the operator wants a refusal instead;
//! - a request with an idempotency key: always, since the key is kept with the task that it made.
//!
//! A caller that does not wait gets the SUBMITTED task; one that waits gets the task when it is over, waits for somebody, or
//! when the caller's time is up; a stream begins with the SUBMITTED task and goes on when the agent is back.

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::seam::tasks::Idempotency;
use moongate_core::{Code, ContextId, Problem, TaskId};
use moongate_flow::pipeline::Order;
use serde_json::json;

use super::send::from_row;
use super::{Attempt, Whole};
use crate::gateway::{A2aGateway, Pick};
use crate::supply::{self, Stream, StreamPermit, Until};
use crate::tasks::push::{PushConfig, wrap_task};
use crate::tasks::{Held, Order as NewOrder, Placed, Row, Terms, request};
use crate::translation::behalf;

/// How long a key is remembered.
const KEY_WINDOW: std::time::Duration = std::time::Duration::from_secs(600);

/// Whether a message waits in the queue from the beginning.
pub(super) fn waits(order: &Order<A2aGateway>) -> bool {
    let fresh = order.envelope.head.task.is_none();
    let keyed = order.call.wishes.idempotency.is_some() || dedups(order);
    matches!(order.picked, Pick::Queue(_)) || (fresh && (order.call.draft || keyed))
}

/// The order of a message that could not be handed over, to be queued.
///
/// # Errors
/// The problem itself where the message may not wait: something may have been acknowledged, it continues a task, or the
/// operator wants a refusal.
pub(super) fn instead(gateway: &A2aGateway, attempt: Attempt, problem: Problem) -> Result<Order<A2aGateway>, Problem> {
    let away = matches!(problem.code, Code::AgentUnreachable | Code::NoInstance) && problem.reported.is_none();
    let agent = attempt.chosen.agent.clone();
    let mut order = attempt.finish(gateway, Err(&problem));
    if !away || !agent.settings.tasks.queue || order.envelope.head.task.is_some() {
        return Err(problem);
    }
    order.picked = Pick::Queue(agent);
    Ok(order)
}

fn dedups(order: &Order<A2aGateway>) -> bool {
    agent_of(order).is_some_and(|agent| agent.settings.tasks.dedup)
}

pub(super) fn agent_of(order: &Order<A2aGateway>) -> Option<Arc<crate::routing::directory::Agent>> {
    match &order.picked {
        Pick::Queue(agent) => Some(agent.clone()),
        Pick::Agent(chosen) => Some(chosen.agent.clone()),
        Pick::Here => None,
    }
}

/// A task that waits: its row, and the task object as it was made if it is new.
pub(super) struct Waiting {
    pub(super) row: Arc<Row>,
    made: Option<Bytes>,
}

impl Waiting {
    /// Whether it was made just now.
    pub(super) fn is_new(&self) -> bool {
        self.made.is_some()
    }
}

/// Makes the task that waits, or finds the one that the same request made before.
pub(super) async fn place(
    gateway: &Arc<A2aGateway>,
    order: &mut Order<A2aGateway>,
    config: Option<PushConfig>,
    held: Option<Held>,
) -> Result<Waiting, Problem> {
    let Some(agent) = agent_of(order) else {
        return Err(Problem::new(Code::Internal, "a message without an agent cannot wait"));
    };
    // An instance that was chosen is let go: the hand-over chooses anew, and this request is not in its way.
    order.picked = Pick::Queue(agent.clone());
    let call = &order.call;
    behalf::prepare(&agent, &order.principal, call).await?;
    let params = call.value()?;
    let context = order.envelope.head.context.clone();
    let context = context.unwrap_or_else(|| ContextId::new(uuid::Uuid::new_v4().to_string()));
    let mut message = params.get("message").cloned().unwrap_or_default();
    if let Some(members) = message.as_object_mut() {
        members.insert("contextId".into(), json!(context.as_str()));
    }
    let settings = gateway.settings.load_full();
    let now = gateway.clock.now();
    let terms = Terms {
        timeouts: agent.settings.tasks.timeouts(&settings.tasks.timeouts),
        priority: call.priority(),
        request: request::write(&call.service.extensions, held.as_ref().map(|held| &*held.approval), &call.recorded()?),
        config: config.map(Arc::new),
    };
    // A worker may have it at once: what it needs is there before.
    let id = held.as_ref().map_or_else(|| gateway.tasks.fresh_id(), |held| held.id.clone());
    behalf::entrust(&agent, &order.principal, call, &id);
    let placed = gateway.tasks.place(
        &order.principal,
        NewOrder {
            id,
            agent: agent.name.clone(),
            skill: order.resolved.skill.clone(),
            context,
            document: json!({ "history": [message] }),
            most_waiting: settings.tasks.waiting,
            idempotency: idempotency(order, &agent.name, agent.settings.tasks.dedup, now),
            held,
            terms,
        },
    );
    match placed.await? {
        Placed::New(row, made) => Ok(Waiting { row, made: Some(made) }),
        Placed::Repeated(id) => Ok(Waiting { row: repeated(gateway, order, &id).await?, made: None }),
    }
}

async fn repeated(gateway: &A2aGateway, order: &Order<A2aGateway>, id: &TaskId) -> Result<Arc<Row>, Problem> {
    let found = gateway.tasks.recall(&order.principal, id).await?;
    found.ok_or_else(|| Problem::new(Code::TaskNotFound, format!("the task {id} of this idempotency key was removed")))
}

fn idempotency(
    order: &Order<A2aGateway>,
    agent: &moongate_core::AgentName,
    dedup: bool,
    now: moongate_core::Time,
) -> Option<Idempotency> {
    use sha2::Digest as _;
    let call = &order.call;
    let by_message = || {
        let params = call.value().ok()?;
        Some(format!("message {} {}", agent, params.pointer("/message/messageId")?.as_str()?))
    };
    let given = call.wishes.idempotency.as_ref().map(|key| format!("key {key}"));
    let key = given.or_else(|| if dedup { by_message() } else { None })?;
    // The same words to somebody else are another request.
    let head = &order.envelope.head;
    let mut digest = sha2::Sha256::new();
    for named in [head.base.as_ref(), head.tenant.as_ref()] {
        digest.update(named.map_or("", |name| name.as_str()));
        digest.update([0]);
    }
    digest.update(head.skill.as_ref().map_or("", |skill| skill.as_str()));
    digest.update([0]);
    digest.update(&call.canonical);
    let hash = digest.finalize().into();
    Some(Idempotency { key, hash, until: now.plus(KEY_WINDOW) })
}

/// What the caller of a whole answer hears. Who does not wait gets a new task as it was made: that much is durable, whatever
/// has happened since.
pub(super) async fn answer(
    gateway: &Arc<A2aGateway>,
    waiting: &Waiting,
    order: &Order<A2aGateway>,
) -> Result<Whole, Problem> {
    let row = &waiting.row;
    if order.call.return_immediately() {
        if let Some(made) = waiting.made.as_ref().filter(|_| order.call.peek.history_length.is_none()) {
            return Ok(Whole { canonical: wrap_task(made), raw: None, task: Some(row.id.clone()) });
        }
    } else {
        let limit = order.envelope.deadline.since(gateway.clock.mono());
        let _ = tokio::time::timeout(limit, supply::reached(row, Until::Interrupted)).await;
    }
    row.saved().await?;
    Ok(from_row(row, &order.call))
}

/// What the caller of a stream hears.
pub(super) fn stream(waiting: &Waiting, permit: Arc<StreamPermit>) -> Stream {
    Stream::follow(&waiting.row, Until::Interrupted, None, permit)
}
