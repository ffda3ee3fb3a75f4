//! What a rule wants confirmed: a message waits as a task, in AUTH_REQUIRED, until people have said yes (A2A 1.0 §7.6).
//!
//! - The question is durable before the task is, and the task before its caller hears of it. The task's stored request names the
//!   question, so nothing but the grant for just that request hands it over ([`crate::tasks::queue`]).
//! - A message that begins a task waits so. With anything else the caller waits itself ([`super::held`]).
//! - The caller learns that somebody is asked and until when, and nothing by which the question could be answered.

use std::sync::Arc;
use std::time::Duration;

use moongate_approval::desk::Terms;
use moongate_approval::document::digest;
use moongate_approval::{Asked, Callback};
use moongate_core::approval::State;
use moongate_core::{Challenge, Operation, Problem, TaskState};
use moongate_flow::pipeline::{Order, unconfirmed};
use serde_json::{Value, json};

use super::send::inline_config;
use super::{Reply, queued};
use crate::gateway::A2aGateway;
use crate::supply;
use crate::tasks::push::PushConfig;
use crate::tasks::{Held, people};
use crate::translation::behalf;

/// Bytes of the parameters that a person is asked about at most.
const LARGEST: usize = 64 * 1024;
/// A task that a remembered yes lets go is let go within this time, or its caller looks again.
const RELEASED: Duration = Duration::from_secs(5);

/// Asks about a message, and answers with the task that waits.
pub(super) async fn ask(
    gateway: Arc<A2aGateway>,
    challenge: Challenge,
    mut order: Order<A2aGateway>,
) -> Result<Reply, Problem> {
    let gateway = &gateway;
    let operation = order.call.operation;
    let Some(agent) = queued::agent_of(&order) else {
        return Err(unconfirmed(&challenge, "; a message without an agent cannot wait for that"));
    };
    let permit = match operation {
        Operation::Stream => Some(supply::StreamPermit::take(gateway, &order.principal)?),
        _ => None,
    };
    let config = inline_config(gateway, &order.call)?;
    let params = params(&challenge, &order)?;
    // What may take its time, or fail, does so before anybody is asked.
    behalf::prepare(&agent, &order.principal, &order.call).await?;
    let task = gateway.tasks.fresh_id();
    let asked = Asked {
        requester: order.principal.id.clone(),
        operation: Operation::Send.as_str().into(),
        agent: agent.name.shared(),
        skill: skill(&challenge, &order),
        task: task.as_str().into(),
        params,
        extensions: order.call.service.extensions.clone(),
        callbacks: config.iter().map(callback).collect(),
        place: people::place_of(&agent),
        policy: challenge.policy.clone(),
    };
    let Challenge { rule, class, needed, wait, .. } = challenge;
    let terms = Terms { rule, class, needed, wait, held: false };
    let question = gateway.desk.ask(&asked, &terms, &digest(order.envelope.body.bytes())).await?;
    let approval = &question.approval;
    let until = crate::moment::write(approval.expires_at);
    let remembered = approval.state == State::Approved;
    let text = match remembered {
        true => format!("A yes to the very same is remembered (rule {}).", approval.rule),
        false => format!("A person has to confirm this (rule {}). It waits until {until}.", approval.rule),
    };
    let held = Held {
        id: task,
        approval: approval.id.clone(),
        text,
        about: json!({"id": &*approval.id, "class": approval.class.as_str(), "expiresAt": until}),
    };
    let waiting = match queued::place(gateway, &mut order, config, Some(held)).await {
        Ok(waiting) if waiting.is_new() => waiting,
        // The same order came before: its own question stands, and this one was never asked.
        other => {
            gateway.desk.take_back(&approval.id).await?;
            other?
        }
    };
    gateway.desk.announce(&question);
    if !order.call.return_immediately() && permit.is_none() {
        let most = if remembered { RELEASED } else { gateway.settings.load().approval_hold };
        patiently(&waiting, most.min(order.envelope.deadline.since(gateway.clock.mono()))).await;
    }
    match permit {
        Some(permit) => Ok(Reply::Stream(queued::stream(&waiting, permit))),
        None => queued::answer(gateway, &waiting, &order).await.map(Reply::Whole),
    }
}

/// Whether the request can wait as a task of its own.
pub(super) fn waits(order: &Order<A2aGateway>) -> bool {
    order.call.operation.carries_message() && order.envelope.head.task.is_none()
}

/// The skill that people are asked about: a message that names none, or continues a task, may be taken as another one.
pub(super) fn skill(challenge: &Challenge, order: &Order<A2aGateway>) -> Option<Arc<str>> {
    let skill = challenge.skill.as_ref().or(order.resolved.skill.as_ref());
    skill.map(|skill| skill.as_str().into())
}

/// A push config as people are shown it.
pub(super) fn callback(config: &PushConfig) -> Callback {
    let mut whole = config.document.clone();
    if let Some(members) = whole.as_object_mut() {
        // The gateway may have made it up.
        members.remove("id");
        members.remove("taskId");
    }
    Callback { url: config.url.clone(), whole: digest(whole.to_string().as_bytes()) }
}

/// The parameters that people are asked about, whole.
///
/// # Errors
/// `Unconfirmed` for more than anybody reads.
pub(super) fn params(challenge: &Challenge, order: &Order<A2aGateway>) -> Result<Value, Problem> {
    let params = order.call.recorded()?;
    if params.len() > LARGEST {
        let why = format!("; nobody reads {} bytes before saying yes, {LARGEST} are the most", params.len());
        return Err(unconfirmed(challenge, &why));
    }
    Ok(serde_json::from_slice(&params).unwrap_or_default())
}

/// A caller who waits for the end waits for people too, so long.
async fn patiently(waiting: &queued::Waiting, limit: Duration) {
    if !limit.is_zero() {
        let decided = async {
            let mut events = waiting.row.listen();
            while waiting.row.state() == TaskState::AuthRequired && events.recv().await.is_ok() {}
        };
        let _ = tokio::time::timeout(limit, decided).await;
    }
}
