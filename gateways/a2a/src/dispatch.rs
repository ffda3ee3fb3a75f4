//! The stage *dispatch*: carry out what the pipeline let through, at the agent or here.
//!
//! One file for each kind of operation: [`send`] and [`stream`] carry messages, [`task`] looks at tasks, [`push`] keeps
//! notification configs, [`card`] tells what there is. What an agent lacks, [`crate::supply`] supplies.

mod ask;
mod card;
mod held;
mod hold;
mod push;
mod queued;
mod send;
mod stream;
mod survivor;
mod task;

use std::sync::Arc;

use bytes::Bytes;
use moongate_core::entry::Deed;
use moongate_core::{Challenge, Clearance, Code, Operation, Problem, TaskId};
use moongate_flow::Dispatch;
use moongate_flow::pipeline::Order;
use moongate_wire::a2a::{Dialect, Version};

use crate::gateway::{A2aGateway, Chosen, Pick};
use crate::supply::Stream;
use crate::translation::behalf::Who;
use crate::translation::exchange::{Bounds, Exchange, may_retry, verdict};
use crate::translation::outgoing::passes;
use crate::translation::{Answer, Outgoing};
use survivor::Survivor;

/// What comes of a request, for the endpoint to put into the client's binding.
pub enum Reply {
    /// A whole result.
    Whole(Whole),
    /// Events.
    Stream(Stream),
}

/// A whole result.
pub struct Whole {
    /// Canonical JSON.
    pub canonical: Bytes,
    /// The agent's bytes, if the client speaks its dialect and nothing was changed.
    pub raw: Option<(Dialect, Bytes)>,
    /// The task that it shows, where the request did not name it.
    pub task: Option<TaskId>,
}

impl Whole {
    /// A result of the gateway's own making.
    pub fn own(value: &serde_json::Value) -> Self {
        Self { canonical: serde_json::to_vec(value).unwrap_or_default().into(), raw: None, task: None }
    }
}

/// The live dispatch.
pub struct Live<'a>(pub &'a Arc<A2aGateway>);

impl Dispatch<A2aGateway> for Live<'_> {
    type Answer = Reply;

    async fn dispatch(&self, _clearance: Clearance, order: Order<A2aGateway>) -> Result<Reply, Problem> {
        let gateway = self.0;
        offered(&order)?;
        // Boxed each by itself: the request's own future stays small, and it is moved several times before it runs.
        match order.call.operation {
            Operation::Send => Survivor::of(send::send(gateway.clone(), order)).await.map(Reply::Whole),
            Operation::Stream => Survivor::of(stream::stream(gateway.clone(), order)).await.map(Reply::Stream),
            Operation::Get => Box::pin(task::get(gateway, order)).await.map(Reply::Whole),
            Operation::List => task::list(gateway, &order).await.map(Reply::Whole),
            Operation::Cancel => Box::pin(task::cancel(gateway, order)).await.map(Reply::Whole),
            Operation::Pause | Operation::Resume => Box::pin(hold::hold(gateway, order)).await.map(Reply::Whole),
            Operation::Subscribe => Box::pin(task::subscribe(gateway, order)).await.map(Reply::Stream),
            Operation::PushCreate => push::create(gateway, &order).await.map(Reply::Whole),
            Operation::PushGet => push::read(gateway, &order).map(Reply::Whole),
            Operation::PushList => push::list(gateway, &order).map(Reply::Whole),
            Operation::PushDelete => push::delete(gateway, &order).await.map(Reply::Whole),
            Operation::ExtendedCard => Box::pin(card::extended(gateway, order)).await.map(Reply::Whole),
        }
    }

    async fn ask(&self, challenge: Challenge, order: Order<A2aGateway>) -> Result<Reply, Problem> {
        offered(&order)?;
        if ask::waits(&order) {
            return Survivor::of(ask::ask(self.0.clone(), challenge, order)).await;
        }
        let held::Allowed { clearance, order, deed } = Box::pin(held::held(self.0, challenge, order)).await?;
        let gateway = self.0.clone();
        let work = async move {
            let result = Live(&gateway).dispatch(clearance, order).await;
            let code = result.as_ref().err().map(|problem| problem.code);
            gateway.recorder.note(Deed { result: if code.is_none() { "done" } else { "failed" }, code, ..deed });
            result
        };
        Survivor::of(work).await
    }

    fn result(answer: &Reply) -> &'static str {
        match answer {
            Reply::Whole(_) => "done",
            Reply::Stream(_) => "stream",
        }
    }

    fn task(answer: &Reply) -> Option<TaskId> {
        match answer {
            Reply::Whole(whole) => whole.task.clone(),
            Reply::Stream(events) => events.task(),
        }
    }
}

/// Refuses what the agent's card does not offer: extensions that it demands and the caller lacks, and, where the
/// operator wants the card repeated as it is, capabilities that it denies.
fn offered(order: &Order<A2aGateway>) -> Result<(), Problem> {
    let Pick::Agent(chosen) = &order.picked else { return Ok(()) };
    let card = &chosen.endpoint.card;
    let operation = order.call.operation;
    if operation.carries_message() {
        let has = |uri: &String| order.call.service.extensions.contains(uri);
        if let Some(missing) = card.required_extensions.iter().find(|uri| !has(uri)) {
            return Err(Problem::new(Code::ExtensionRequired, format!("the agent demands the extension {missing}")));
        }
    }
    if chosen.agent.settings.capabilities == crate::routing::directory::Capabilities::Agent {
        let push = matches!(
            operation,
            Operation::PushCreate | Operation::PushGet | Operation::PushList | Operation::PushDelete
        ) || order.call.peek.push_config.is_some();
        if push && !card.push {
            return Err(Problem::new(Code::PushNotOffered, "the agent offers no push notifications"));
        }
        if operation.is_streaming() && !card.streaming {
            return Err(Problem::new(Code::NotOffered, "the agent does not stream"));
        }
    }
    Ok(())
}

/// One request on its way to an instance, with what is needed to try another.
pub(crate) struct Attempt {
    /// The order, its pick taken out.
    pub(crate) order: Order<A2aGateway>,
    /// The instance in turn.
    pub(crate) chosen: Box<Chosen>,
}

impl Attempt {
    /// Takes the picked instance out of an order.
    pub(crate) fn new(mut order: Order<A2aGateway>) -> Result<Self, Problem> {
        match std::mem::replace(&mut order.picked, Pick::Here) {
            Pick::Agent(chosen) => Ok(Self { order, chosen }),
            Pick::Here | Pick::Queue(_) => Err(Problem::new(Code::Internal, "an operation of an agent has no agent")),
        }
    }

    /// Limits for a request to the instance in turn.
    pub(crate) fn bounds(&self, gateway: &A2aGateway) -> Bounds {
        let settings = gateway.settings.load();
        Bounds {
            timeout: self.chosen.agent.settings.timeout.min(self.order.envelope.deadline.since(gateway.clock.mono())),
            answer_bytes: settings.answer_bytes,
            json: settings.json,
        }
    }

    /// Whether the answer's bytes may pass unchanged.
    pub(crate) fn passes(&self, outgoing: &Outgoing) -> bool {
        self.chosen
            .endpoint
            .upstream_for(self.order.call.dialect)
            .is_some_and(|upstream| passes(&self.order.call, upstream, outgoing))
    }

    /// Sends and reads a whole answer; on a failure that left nothing acknowledged, tries other instances.
    pub(crate) async fn whole(&mut self, gateway: &A2aGateway, outgoing: &Outgoing) -> Result<Answer, Problem> {
        let mut tried = Vec::new();
        let trace = self.order.envelope.trace.as_ref().map(moongate_telemetry::trace::header);
        loop {
            let upstream = self.chosen.endpoint.upstream_for(self.order.call.dialect).ok_or_else(no_interface)?;
            let exchange = Exchange {
                call: &self.order.call,
                who: Who::Caller(&self.order.principal),
                upstream,
                outgoing,
                trace: trace.as_ref().map(|header| header.as_str()),
                bounds: self.bounds(gateway),
            };
            gateway.budget.deposit();
            self.chosen.agent.series.attempts.inc();
            let result = exchange.whole().await;
            match result {
                Ok(answer) => {
                    self.chosen.first_event(gateway.clock.mono());
                    return Ok(self.trimmed(answer));
                }
                Err(problem) => self.elsewhere(gateway, problem, outgoing.operation, &mut tried)?,
            }
        }
    }

    /// Cuts a history that is longer than was asked for. An agent of the older version cannot be asked for none at all, and
    /// some others do not heed the wish.
    fn trimmed(&self, answer: Answer) -> Answer {
        let call = &self.order.call;
        let Some(length) = call.peek.history_length.filter(|_| call.dialect.version == Version::V1) else {
            return answer;
        };
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&answer.canonical) else { return answer };
        let task = if value.get("task").is_some() { value.get_mut("task") } else { Some(&mut value) };
        let Some(task) = task else { return answer };
        let held = task.get("history").and_then(serde_json::Value::as_array).map(Vec::len);
        if held.is_none_or(|held| held <= usize::try_from(length).unwrap_or(0) && (length > 0 || held > 0)) {
            return answer;
        }
        crate::tasks::fold::trim_history(task, Some(length));
        Answer { canonical: serde_json::to_vec(&value).unwrap_or_default().into(), raw: None, ..answer }
    }

    /// After a failure: another instance takes its turn, or the failure is final.
    pub(crate) fn elsewhere(
        &mut self,
        gateway: &A2aGateway,
        problem: Problem,
        operation: Operation,
        tried: &mut Vec<moongate_core::InstanceId>,
    ) -> Result<(), Problem> {
        tried.push(self.chosen.endpoint.id.clone());
        let attempts = self.order.route.attempts as usize;
        let may = (may_retry(operation, &problem) || self.may_repeat(&problem))
            && tried.len() < attempts
            && gateway.budget.withdraw();
        let next = if may {
            gateway.choose(&self.order.principal, &self.order.envelope, &self.order.resolved, tried).ok()
        } else {
            None
        };
        let now = gateway.clock.mono();
        match next {
            Some(Pick::Agent(next)) if !tried.contains(&next.endpoint.id) => {
                let failed = std::mem::replace(&mut self.chosen, next);
                failed.agent.series.retries.inc();
                failed.finish(now, verdict(Err(&problem)));
                Ok(())
            }
            _ => Err(problem),
        }
    }

    /// Whether the operator says that the skill may be asked for again although the first attempt may have arrived.
    fn may_repeat(&self, problem: &Problem) -> bool {
        let named = self.chosen.agent.settings.may_repeat(self.order.resolved.skill.as_ref());
        named && matches!(problem.code, Code::AgentClosed | Code::AgentUnreachable)
    }

    /// Ends the instance's turn; the order is left.
    pub(crate) fn finish(self, gateway: &A2aGateway, result: Result<(), &Problem>) -> Order<A2aGateway> {
        self.chosen.finish(gateway.clock.mono(), verdict(result));
        self.order
    }
}

pub(crate) fn no_interface() -> Problem {
    Problem::new(Code::NoInstance, "the agent's card names no interface that this gateway speaks")
}
