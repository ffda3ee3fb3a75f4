//! What people decide becomes of the tasks that wait for them: a yes lets them go to their agent, anything else ends them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use moongate_approval::document::digest;
use moongate_approval::{Asked, Stored};
use moongate_core::approval::State;
use moongate_core::entry::{About, Deed, Line};
use moongate_core::task::Command;
use moongate_core::{Operation, Problem, TaskId, TaskState};
use moongate_transport::Drain;
use serde_json::Value;

use super::request::Asked as Request;
use super::row::Told;
use super::{Row, control};
use crate::gateway::A2aGateway;
use crate::routing::directory::Agent;

/// Metadata of a task that waits for people: the question's id, its class, and until when.
pub const APPROVAL: &str = "https://w3id.org/moongate/extensions/approval/v1";
/// Without news, the desk is looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// However soon the next question runs out, there is so much time between two looks.
const BREATH: Duration = Duration::from_millis(20);
/// So many decisions are carried out at once: the store writes them together.
const AT_ONCE: usize = 32;
/// Why a question ends that its caller did not take back.
const OTHERS: &str = "It is not asked any more: the rules, or the people who may decide, are others by now. Whoever wants it asks again.";
/// A question's task is there after so long, or never.
const MAKING: Duration = Duration::from_secs(60);

/// Carries decisions out, until `drain` begins. What was decided while nobody ran is carried out first.
pub async fn run(gateway: Arc<A2aGateway>, drain: Drain) {
    loop {
        let mut failed = false;
        match gateway.desk.undelivered().await {
            Ok(decided) => {
                let gateway = &gateway;
                let carried = stream::iter(decided).for_each_concurrent(AT_ONCE, |question| async move {
                    if let Err(problem) = deliver(gateway, &question).await {
                        tracing::error!(approval = &*question.approval.id, %problem, "a decision cannot be carried out; trying again");
                    }
                });
                carried.await;
            }
            Err(problem) => {
                failed = true;
                tracing::warn!(%problem, "decisions cannot be read");
            }
        }
        let next = gateway.desk.next().filter(|_| !failed);
        let left = next.map_or(LOOK, |at| at.since(gateway.clock.now()).max(BREATH));
        tokio::select! {
            () = gateway.desk.news() => {}
            () = tokio::time::sleep(left.min(LOOK)) => {}
            () = drain.started() => return,
        }
    }
}

async fn deliver(gateway: &Arc<A2aGateway>, question: &Stored) -> Result<(), Problem> {
    // Its caller waits itself, and sees to it.
    if question.held && question.approval.state == State::Approved {
        return Ok(());
    }
    let id = TaskId::from(question.task());
    let row = if question.held { None } else { gateway.tasks.any(&id).await? };
    // Its task may be about to be made.
    if row.is_none() && !question.held && gateway.clock.now().since(question.approval.asked_at) < MAKING {
        return Ok(());
    }
    // Before anything comes of it: what was decided is known, whatever becomes of this process now.
    decided(gateway, question).await?;
    if let Some(row) = row {
        carry_out(&row, question.approval.state);
        row.saved().await?;
        gateway.tasks.ready.notify_one();
    }
    gateway.desk.delivered(&question.approval.id).await
}

/// Writes down what was decided, by whom and by what; on the disk when this returns, where such a record is kept. Where the
/// gateway was killed just now it may be there twice.
///
/// # Errors
/// It cannot be written down.
pub(crate) async fn decided(gateway: &A2aGateway, question: &Stored) -> Result<(), Problem> {
    let approval = &question.approval;
    let votes: Vec<String> = approval.votes.iter().map(|vote| format!("{}/{}", vote.by, vote.means.as_str())).collect();
    let is_yes = matches!(approval.state, State::Approved | State::Consumed);
    let means: Vec<&str> = approval.votes.iter().filter(|_| is_yes).map(|vote| vote.means.as_str()).collect();
    let source = match (is_yes, &approval.denied_by) {
        (true, _) => approval.votes.iter().map(|vote| &*vote.by).collect::<Vec<_>>().join(" "),
        (false, Some(by)) => by.to_string(),
        (false, None) => "gateway".to_owned(),
    };
    let deed = Deed {
        operation: format!("approval.{}", approval.state.as_str()).into(),
        source: source.into(),
        domain: gateway.settings.load().domain.clone(),
        address: None,
        target: question.agent().into(),
        result: "done",
        code: None,
        detail: Some(format!("by={} votes={}", means.join(","), votes.join(",")).into()),
        about: Some(About {
            approval: approval.id.clone(),
            skill: question.skill().map(Into::into),
            task: question.task().into(),
        }),
        intent: None,
        at: approval.since,
    };
    match gateway.recorder.keep(deed) {
        Some(kept) => kept.await,
        None => Ok(()),
    }
}

/// A task that is over, or that an agent has, is left as it is.
fn carry_out(row: &Arc<Row>, decided: State) {
    let changed = match decided {
        State::Approved => row.change(Command::Release, Told { text: "People have said yes.", ..Told::default() }),
        _ if row.instance().is_some() => Ok(()),
        State::Denied => control::end(row, TaskState::Rejected, "A person has said no."),
        State::Expired => control::end(
            row,
            TaskState::Rejected,
            "Nobody decided in time, or the yes could not be used before its time was over.",
        ),
        State::Cancelled => control::end(row, TaskState::Rejected, OTHERS),
        State::Pending | State::Consumed => Ok(()),
    };
    if let Err(rejected) = changed {
        tracing::debug!(task = %row.id, %rejected, "a decision came for a task that was ended");
    }
}

/// Writes down that a request goes out by people's yes; durable before it does, where a record is kept.
///
/// # Errors
/// It cannot be written down, and so is not done.
pub(crate) async fn goes_out(gateway: &A2aGateway, asked: &Asked, approval: &str) -> Result<Deed, Problem> {
    let question = gateway.desk.find(approval).await?;
    let skill = question.as_ref().and_then(Stored::skill).map(Into::into);
    let deed = Deed {
        operation: "approval.dispatch".into(),
        source: asked.requester.clone(),
        domain: gateway.settings.load().domain.clone(),
        address: None,
        target: asked.agent.clone(),
        result: "intended",
        code: None,
        detail: None,
        about: Some(About { approval: approval.into(), skill, task: asked.task.clone() }),
        intent: None,
        at: gateway.clock.now(),
    };
    match gateway.recorder.intend(Line::Deed(deed.clone())) {
        Some(intended) => Ok(Deed { intent: Some(intended.await?), ..deed }),
        None => Ok(deed),
    }
}

/// What a task asks of its agent, made of what is about to be sent and of the rules that are in force now.
pub(super) fn about(gateway: &A2aGateway, row: &Row, asked: &Request<'_>) -> Asked {
    let task = row.task();
    Asked {
        requester: task.owner,
        operation: Operation::Send.as_str().into(),
        agent: task.agent.shared(),
        // Both are the question's own: they are not sent.
        skill: None,
        callbacks: Vec::new(),
        task: task.id.as_str().into(),
        params: serde_json::from_str(asked.params.get()).unwrap_or_default(),
        extensions: asked.extensions.clone(),
        place: gateway.directory.load().agents.get(&task.agent).map(|agent| place_of(agent)).unwrap_or_default(),
        policy: gateway.settings.load().policy.clone(),
    }
}

/// Where an agent is: the addresses of its instances, hashed. Another agent of the same name is another one.
pub(crate) fn place_of(agent: &Agent) -> Arc<str> {
    let mut places: Vec<String> = agent
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.upstreams)
        .map(|upstream| format!("{}://{}{}", upstream.scheme, upstream.authority, upstream.path))
        .collect();
    places.sort();
    places.dedup();
    digest(places.join("\n").as_bytes())
}

/// A task that was cancelled is not asked about any more.
pub(crate) async fn withdraw(gateway: &A2aGateway, row: &Row) {
    let document = row.value();
    let id = document.get("metadata").and_then(|metadata| metadata.get(APPROVAL)).and_then(|about| about.get("id"));
    let Some(id) = id.and_then(Value::as_str) else { return };
    if let Err(problem) = gateway.desk.cancel(id).await {
        tracing::warn!(approval = id, %problem, "a question whose task was cancelled stays open");
    }
}
