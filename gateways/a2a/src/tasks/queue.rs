//! Store and forward: tasks that wait for their agent, handed over when it is there.
//!
//! - A worker claims a task, which is durable before the first byte leaves, sends it and asks for an answer at once.
//! - Nothing acknowledged (no connection, 502, 503, 504, overload): the task waits again, and so does its agent's whole lane,
//!   longer each time. So an agent that is away is asked by one task, not by all of them.
//! - It may have been acknowledged (a connection that broke, no answer in time): sent again only if the operator calls the skill
//!   idempotent; else the task ends, and says that its outcome is unknown.
//! - A lane takes at most so many tasks at a time, until each is over or waits for somebody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::entry::Deed;
use moongate_core::seam::tasks::{Claim, Stored};
use moongate_core::task::{Command, Fence};
use moongate_core::{AgentName, Clearance, Code, Operation, Problem, Retry, TaskId, TaskState, Time};
use moongate_transport::{Drain, Ticket};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pace::{self, Pace};
use super::request::Asked;
use super::row::Told;
use super::{Row, control, people};
use crate::gateway::{A2aGateway, Chosen};
use crate::routing::directory::Agent;
use crate::supply::{self, watch};
use crate::translation::behalf::Who;
use crate::translation::exchange::{Bounds, Exchange, verdict};
use crate::translation::{Answer, Learned, Outgoing};

/// Tasks that one lane hands over at once, where nobody set a limit.
const AT_ONCE: u32 = 32;
/// Without news, the queue is looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// Tasks that are claimed in one go.
const BATCH: usize = 64;
/// When a task is tried again that found all of the agent's places taken by others.
const CROWDED: Duration = Duration::from_millis(500);
/// How long a claim holds unless it is prolonged.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// One agent's way out.
struct Lane {
    limit: u32,
    places: Arc<Semaphore>,
    pace: Pace,
}

/// All lanes, and what is being handed over.
#[derive(Default)]
pub struct Lanes {
    lanes: Mutex<HashMap<AgentName, Lane>>,
    in_hand: Mutex<HashMap<TaskId, (Fence, AgentName)>>,
}

impl Lanes {
    /// The places of a lane, if it may be used now.
    fn open(&self, agent: &Agent, now: Time) -> Option<Arc<Semaphore>> {
        let limit = limit_of(agent);
        let mut lanes = self.lanes.lock();
        let fresh = || Lane { limit, places: Arc::new(Semaphore::new(limit as usize)), pace: Pace::default() };
        let lane = lanes.entry(agent.name.clone()).or_insert_with(fresh);
        if lane.limit != limit {
            *lane = Lane { pace: lane.pace, ..fresh() };
        }
        lane.pace.closed(now).is_none().then(|| lane.places.clone())
    }

    /// A task that was sent at `began` could not be handed over.
    fn failed(&self, agent: &AgentName, began: Time, now: Time) {
        if let Some(lane) = self.lanes.lock().get_mut(agent) {
            lane.pace.failed(began, now);
        }
    }

    /// How many tasks may be claimed at once. An agent whose last task could not be handed over is asked by one, not by all.
    fn most(&self, agent: &AgentName) -> usize {
        if !self.lanes.lock().get(agent).is_some_and(|lane| lane.pace.doubtful()) {
            return BATCH;
        }
        usize::from(!self.in_hand.lock().values().any(|(_, of)| of == agent))
    }

    /// The agent takes messages: whatever waits for it need not wait longer.
    pub fn reopen(&self, agent: &AgentName) {
        if let Some(lane) = self.lanes.lock().get_mut(agent) {
            lane.pace.succeeded();
        }
    }

    /// What is being handed over.
    pub(super) fn in_hand(&self) -> Vec<(TaskId, Fence)> {
        self.in_hand.lock().iter().map(|(id, (fence, _))| (id.clone(), *fence)).collect()
    }

    /// Whether this task is being handed over.
    pub(super) fn hands_over(&self, id: &TaskId) -> bool {
        self.in_hand.lock().contains_key(id)
    }
}

/// A task in the hands of a worker, also if that breaks down.
struct InHand {
    gateway: Arc<A2aGateway>,
    id: TaskId,
    fence: Fence,
}

impl InHand {
    fn new(gateway: &Arc<A2aGateway>, stored: &Stored) -> Self {
        let (id, fence) = (stored.task.id.clone(), stored.task.fence());
        gateway.lanes.in_hand.lock().insert(id.clone(), (fence, stored.task.agent.clone()));
        Self { gateway: gateway.clone(), id, fence }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut in_hand = self.gateway.lanes.in_hand.lock();
        // One that waits again may be in the next worker's hands already.
        if in_hand.get(&self.id).is_some_and(|(fence, _)| *fence == self.fence) {
            in_hand.remove(&self.id);
        }
    }
}

/// Hands over whatever can be, until `drain` begins; what is being handed over then may end.
pub async fn run(gateway: Arc<A2aGateway>, drain: Drain) {
    let worker: Arc<str> = uuid::Uuid::new_v4().to_string().into();
    loop {
        let ready = gateway.tasks.ready.notified();
        let ticket = Arc::new(drain.ticket());
        if drain.draining() {
            return;
        }
        match round(&gateway, &worker, (&drain, &ticket)).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(problem) => tracing::warn!(%problem, "the queue cannot be read"),
        }
        drop(ticket);
        tokio::select! {
            _ = tokio::time::timeout(LOOK, ready) => {}
            () = drain.started() => return,
        }
    }
}

/// One look at all lanes; whether another should follow at once.
async fn round(
    gateway: &Arc<A2aGateway>,
    worker: &Arc<str>,
    (drain, ticket): (&Drain, &Arc<Ticket>),
) -> Result<bool, Problem> {
    let mut more = false;
    for waiting in gateway.tasks.store().tasks().waiting().await? {
        let now = gateway.clock.now();
        let ahead = waiting.next.since(now);
        // Farther ahead than any pause: the clock was set back.
        let now = if ahead > pace::LONGEST { waiting.next } else { now };
        let directory = gateway.directory.load_full();
        let Some(agent) = directory.agents.get(&waiting.agent).filter(|agent| agent.is_up()) else { continue };
        if waiting.next > now {
            continue;
        }
        let Some(places) = gateway.lanes.open(agent, now) else { continue };
        // What is handed over after the drain has begun may not end before it does.
        if drain.draining() {
            return Ok(false);
        }
        let most = gateway.lanes.most(&agent.name);
        let free = places.available_permits().min(most);
        let Ok(mut free) = places.try_acquire_many_owned(u32::try_from(free).unwrap_or_default()) else { continue };
        let limit = u32::try_from(free.num_permits()).unwrap_or_default();
        if limit == 0 {
            continue;
        }
        let claim = Claim { agent: agent.name.clone(), worker: worker.clone(), now, until: now.plus(LEASE), limit };
        let claimed = gateway.tasks.store().tasks().claim(claim).await?;
        more |= most == BATCH && claimed.len() == limit as usize && waiting.count > u64::from(limit);
        for stored in claimed {
            let place = free.split(1);
            let in_hand = InHand::new(gateway, &stored);
            let (agent, ticket) = (agent.clone(), ticket.clone());
            tokio::spawn(async move {
                hand_over(&in_hand.gateway, &agent, stored, place).await;
                drop((in_hand, ticket));
            });
        }
    }
    Ok(more)
}

/// Hands one claimed task to its agent.
async fn hand_over(gateway: &Arc<A2aGateway>, agent: &Arc<Agent>, stored: Stored, place: Option<OwnedSemaphorePermit>) {
    let request = stored.request.clone().unwrap_or_default();
    match gateway.tasks.take_up(stored).await {
        Some(row) => {
            send(gateway, agent, &row, &request).await;
            // What keeps the store from taking it is told where the row is saved.
            let _ = row.saved().await;
            keep_place(gateway.clone(), row, place);
        }
        None => drop(place),
    }
    gateway.tasks.ready.notify_one();
}

/// The place is taken until the task is over or waits for somebody.
fn keep_place(gateway: Arc<A2aGateway>, row: Arc<Row>, place: Option<OwnedSemaphorePermit>) {
    let busy =
        |row: &Row| row.phase() == moongate_core::Phase::Running && !row.state().is_interrupted() && !row.is_lost();
    if !busy(&row) {
        return;
    }
    tokio::spawn(async move {
        let mut events = row.listen();
        while busy(&row) {
            if events.recv().await.is_err() && busy(&row) {
                events = row.listen();
            }
        }
        drop(place);
        gateway.tasks.ready.notify_one();
    });
}

async fn send(gateway: &Arc<A2aGateway>, agent: &Arc<Agent>, row: &Arc<Row>, request: &[u8]) {
    let now = gateway.clock.now();
    let Some(asked) = Asked::read(request) else {
        let _ = control::end(row, TaskState::Failed, "The task's request cannot be read any more.");
        return;
    };
    match gateway.verifier.stands(&row.task().owner).await {
        Ok(true) => {}
        Ok(false) => {
            let _ = control::end(row, TaskState::Rejected, "Whoever asked for this is not known here any more.");
            return;
        }
        Err(problem) => {
            tracing::warn!(task = %row.id, %problem, "whether a task's owner is still known cannot be told; it waits");
            return again(row, now.plus(CROWDED));
        }
    }
    let chosen = gateway.instance_of(agent);
    let is_sent = chosen.is_ok();
    let mut deed = None;
    // Last of all: a yes is used up by this.
    if let (Some(approval), Ok(_)) = (&asked.approval, &chosen) {
        match by_a_yes(gateway, row, approval, &asked).await {
            Ok(intended) => deed = Some(intended),
            Err(problem) => {
                let _ = control::end(row, TaskState::Rejected, &format!("{}.", problem.detail));
                return;
            }
        }
    }
    let (params, extensions) = (params(row, asked.params.get()), asked.extensions);
    let result = match chosen {
        Ok(chosen) => exchange(gateway, row, *chosen, params, extensions).await,
        // The gateway's own limit: nothing was tried, and nothing is wrong with the agent.
        Err(problem) if problem.code == Code::AgentOverloaded => {
            again(row, gateway.clock.now().plus(CROWDED));
            return;
        }
        Err(problem) => Err(problem),
    };
    if let Some(deed) = deed {
        let code = result.as_ref().err().map(|problem| problem.code);
        gateway.recorder.note(Deed { result: if code.is_none() { "done" } else { "failed" }, code, ..deed });
    }
    match result {
        Ok((instance, answer)) => {
            gateway.lanes.reopen(&agent.name);
            take_over(gateway, row, instance, &answer);
        }
        Err(problem) if asked.approval.is_some() && is_sent => spent(row, &problem),
        Err(problem) => failed(gateway, agent, row, &problem, now),
    }
}

/// Uses people's yes up; what is written down of it until it has ended.
async fn by_a_yes(gateway: &A2aGateway, row: &Arc<Row>, approval: &str, asked: &Asked<'_>) -> Result<Deed, Problem> {
    let asked = people::about(gateway, row, asked);
    let deed = people::goes_out(gateway, &asked, approval).await?;
    match gateway.desk.consume(approval, &asked).await {
        Ok(grant) => {
            let clearance = Clearance::granted(grant);
            tracing::info!(task = %row.id, approval, rule = clearance.rule(), "a task goes out by people's yes");
            Ok(deed)
        }
        Err(problem) => {
            gateway.recorder.note(Deed { result: "failed", code: Some(problem.code), ..deed });
            Err(problem)
        }
    }
}

/// A yes is good for one try.
fn spent(row: &Arc<Row>, problem: &Problem) {
    let text = format!(
        "People have said yes, but the agent did not take it: {}. Whoever wants it asks again.",
        problem.detail
    );
    let _ = control::end(row, TaskState::Failed, &text);
}

/// The parameters as the agent gets them: an answer is wanted at once, and the gateway delivers by itself.
fn params(row: &Row, asked: &str) -> Value {
    let mut params: Value = serde_json::from_str(asked).unwrap_or_default();
    if let Some(members) = params.as_object_mut() {
        let configuration = members.entry("configuration").or_insert_with(|| json!({}));
        if let Some(configuration) = configuration.as_object_mut() {
            configuration.insert("returnImmediately".into(), json!(true));
        }
        if let (Some(message), Some(context)) =
            (members.get_mut("message").and_then(Value::as_object_mut), row.context())
        {
            message.insert("contextId".into(), json!(context.as_str()));
        }
    }
    params
}

async fn exchange(
    gateway: &Arc<A2aGateway>,
    row: &Row,
    chosen: Chosen,
    params: Value,
    extensions: Vec<String>,
) -> Result<(moongate_core::InstanceId, Answer), Problem> {
    let mut call = watch::internal(Operation::Send, params);
    call.service.extensions = extensions;
    let outgoing = Outgoing::same(Operation::Send);
    let settings = gateway.settings.load();
    let bounds =
        Bounds { timeout: chosen.agent.settings.timeout, answer_bytes: settings.answer_bytes, json: settings.json };
    drop(settings);
    let instance = chosen.endpoint.id.clone();
    let upstream = chosen.endpoint.upstream_for(call.dialect).ok_or_else(crate::dispatch::no_interface)?;
    chosen.agent.series.attempts.inc();
    let who = Who::Owner(row, &chosen.agent);
    let result = Exchange { call: &call, who, upstream, outgoing: &outgoing, trace: None, bounds }.whole().await;
    chosen.finish(gateway.clock.mono(), verdict(result.as_ref().map(|_| ())));
    result.map(|answer| (instance, answer))
}

/// The agent has it: from now on the task is what the agent says.
fn take_over(gateway: &Arc<A2aGateway>, row: &Arc<Row>, instance: moongate_core::InstanceId, answer: &Answer) {
    let upstream = match &answer.learned {
        Learned::Task { id, .. } if **id != *row.id.as_str() => Some(TaskId::from(&**id)),
        _ => None,
    };
    let started = row.change(Command::Started(instance.clone(), upstream.clone()), Told::default());
    match (&answer.learned, started) {
        (Learned::Task { document, .. }, Ok(())) => {
            let mut value: Value = serde_json::from_slice(document).unwrap_or_default();
            if let Some(upstream) = &upstream {
                supply::rename(&mut value, upstream.as_str(), row.id.as_str());
            }
            row.snapshot(serde_json::to_vec(&value).unwrap_or_default().into());
            supply::watch(gateway, row);
        }
        (Learned::Message { .. }, Ok(())) => {
            let value: Value = serde_json::from_slice(&answer.canonical).unwrap_or_default();
            let mut said = value.get("message").cloned().unwrap_or_default();
            if let Some(members) = said.as_object_mut() {
                members.insert("taskId".into(), json!(row.id.as_str()));
            }
            let parts = said.get("parts").cloned().unwrap_or_else(|| json!([]));
            let made = json!({"artifactUpdate": {"taskId": row.id.as_str(), "contextId": row.context(), "lastChunk": true,
                "artifact": {"artifactId": "message", "parts": parts}}});
            if let Err(problem) = row.event(&serde_json::to_vec(&made).unwrap_or_default().into()) {
                tracing::warn!(task = %row.id, %problem, "what an agent said could not be kept as an artifact");
            }
            let told = Told { message: Some(&said), ..Told::default() };
            let _ = row.change(Command::Status(TaskState::Completed), told);
        }
        (_, Ok(())) => {
            let _ = control::end(row, TaskState::Failed, "The agent's answer was neither a task nor a message.");
        }
        // It was ended meanwhile; the agent shall know.
        (Learned::Task { .. }, Err(_)) => {
            supply::cancel_upstream(gateway, row, Some(instance), upstream.unwrap_or_else(|| row.id.clone()))
        }
        (_, Err(rejected)) => tracing::info!(task = %row.id, %rejected, "an answer came for a task that was ended"),
    }
}

/// The task waits again.
fn again(row: &Arc<Row>, at: Time) {
    if let Err(rejected) = row.change(Command::Again(at), Told::default()) {
        tracing::debug!(task = %row.id, %rejected, "a task that came back was ended meanwhile");
    }
}

/// How many tasks from the queue an agent works on at once: no more than its instances take at all.
fn limit_of(agent: &Agent) -> u32 {
    let settings = &agent.settings;
    let wanted = if settings.tasks.concurrency == 0 { AT_ONCE } else { settings.tasks.concurrency };
    let instances = u32::try_from(agent.endpoints.len()).unwrap_or(u32::MAX).max(1);
    let taken = settings.max_in_flight.saturating_mul(instances);
    if taken == 0 { wanted } else { wanted.min(taken) }
}

fn failed(gateway: &Arc<A2aGateway>, agent: &Arc<Agent>, row: &Arc<Row>, problem: &Problem, now: Time) {
    let away = matches!(problem.code, Code::AgentUnreachable | Code::NoInstance | Code::AgentOverloaded)
        && problem.reported.is_none();
    let unsure = matches!(problem.code, Code::AgentClosed | Code::AgentTimeout);
    if away || (unsure && agent.settings.may_repeat(row.skill.as_ref())) {
        gateway.lanes.failed(&agent.name, now, gateway.clock.now());
        let attempts = gateway.settings.load().tasks.attempts;
        // Counted anew after each time that it was set aside: attempts are fences and never go back.
        let given_up = attempts > 0 && row.task().attempt.is_multiple_of(attempts);
        if !given_up {
            let at = match problem.retry {
                Retry::Later(Some(after)) => now.plus(after.min(pace::LONGEST)),
                _ => now,
            };
            return again(row, at);
        }
        tracing::warn!(task = %row.id, agent = %agent.name, %problem, "a task was given up; `moongate tasks redrive` tries again");
        let told = Told { text: "The task could not be handed to its agent.", ..Told::default() };
        if let Err(rejected) = row.change(Command::GiveUp, told) {
            tracing::debug!(task = %row.id, %rejected, "a task that came back was ended meanwhile");
        }
        return;
    }
    let text = if unsure {
        "The connection to the agent broke while the task was handed over: whether the agent works on it is not known."
            .to_owned()
    } else {
        format!("The agent did not take the task: {}.", problem.detail)
    };
    let _ = control::end(row, TaskState::Failed, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_in_doubt_is_asked_by_one_task_at_a_time() {
        let (lanes, agent) = (Lanes::default(), AgentName::from("lights"));
        let lane = Lane { limit: 32, places: Arc::new(Semaphore::new(32)), pace: Pace::default() };
        lanes.lanes.lock().insert(agent.clone(), lane);
        assert_eq!(lanes.most(&agent), BATCH);
        lanes.failed(&agent, Time(1000), Time(1500));
        assert_eq!(lanes.most(&agent), 1);
        let fence = Fence { seq: 1, attempt: 2, phase: moongate_core::Phase::Sending };
        lanes.in_hand.lock().insert("t".into(), (fence, agent.clone()));
        assert_eq!(lanes.most(&agent), 0, "one is on its way");
        lanes.in_hand.lock().clear();
        lanes.reopen(&agent);
        assert_eq!(lanes.most(&agent), BATCH);
    }
}
