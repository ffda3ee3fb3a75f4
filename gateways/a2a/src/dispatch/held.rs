//! What cannot wait as a task of its own, and a rule wants confirmed all the same: a message that continues a task, a
//! cancellation, a list. The caller holds its connection while people are asked, and nothing is done once it has gone.
//!
//! - No agent's place is taken meanwhile: which instance gets it is chosen after the yes.
//! - What the caller's deadline counts begins anew with the yes.

use std::sync::Arc;

use moongate_approval::desk::Terms;
use moongate_approval::document::digest;
use moongate_approval::{Asked, Desk};
use moongate_core::approval::State;
use moongate_core::entry::Deed;
use moongate_core::{Challenge, Clearance, Code, Problem};
use moongate_flow::Gateway as _;
use moongate_flow::pipeline::{Order, unconfirmed};

use super::ask::{callback, params, skill};
use super::queued;
use super::send::inline_config;
use crate::gateway::{A2aGateway, Pick};
use crate::tasks::people;

/// An order that people have said yes to, and what is written down of it until it has ended.
pub(super) struct Allowed {
    pub(super) clearance: Clearance,
    pub(super) order: Order<A2aGateway>,
    pub(super) deed: Deed,
}

/// Asks, and waits for the answer.
///
/// # Errors
/// `Unconfirmed` without a yes in time; whatever keeps a question from being asked.
pub(super) async fn held(
    gateway: &Arc<A2aGateway>,
    challenge: Challenge,
    mut order: Order<A2aGateway>,
) -> Result<Allowed, Problem> {
    let agent = queued::agent_of(&order);
    order.picked = Pick::Here;
    let asked = Asked {
        requester: order.principal.id.clone(),
        operation: order.call.operation.as_str().into(),
        agent: agent.as_ref().map_or_else(|| "-".into(), |agent| agent.name.shared()),
        skill: skill(&challenge, &order),
        task: order.envelope.head.task.as_ref().map_or_else(|| "-".into(), |task| task.as_str().into()),
        params: params(&challenge, &order)?,
        extensions: order.call.service.extensions.clone(),
        callbacks: inline_config(gateway, &order.call)?.iter().map(callback).collect(),
        place: agent.as_ref().map(|agent| people::place_of(agent)).unwrap_or_default(),
        policy: challenge.policy.clone(),
    };
    let terms = Terms {
        rule: challenge.rule.clone(),
        class: challenge.class,
        needed: challenge.needed,
        wait: challenge.wait,
        held: true,
    };
    let question = gateway.desk.ask(&asked, &terms, &digest(order.envelope.body.bytes())).await?;
    let mut caller = Caller { desk: gateway.desk.clone(), question: Some(question.approval.id.clone()) };
    gateway.desk.announce(&question);
    let answered = gateway.desk.answered(&question.approval.id).await?;
    let decided = &answered.approval;
    if decided.state != State::Approved {
        caller.question = None;
        let why = match decided.state {
            State::Denied => "; a person has said no",
            State::Cancelled => "; the rules, or the people who may decide, are others by now; ask again",
            _ => "; nobody has decided in time",
        };
        return Err(unconfirmed(&challenge, why));
    }
    people::decided(gateway, &answered).await?;
    if !gateway.verifier.stands(&order.principal.id).await? {
        return Err(Problem::new(Code::Unauthenticated, "whoever asked for this is not known here any more"));
    }
    let now = gateway.clock.mono();
    let patience = order.envelope.deadline - order.envelope.arrival.at;
    order.envelope.deadline = now.plus(patience);
    // What was shown is sent, and nothing that only the bytes as they came say.
    order.call.verbatim = false;
    let (route, picked) = gateway.pick(&order.principal, &order.envelope, &order.resolved, &order.call)?;
    (order.route, order.picked) = (route, picked);
    let asked = Asked {
        place: queued::agent_of(&order).map(|agent| people::place_of(&agent)).unwrap_or_default(),
        policy: gateway.settings.load().policy.clone(),
        ..asked
    };
    let deed = people::goes_out(gateway, &asked, &decided.id).await?;
    caller.question = None;
    match gateway.desk.consume(&decided.id, &asked).await {
        Ok(grant) => Ok(Allowed { clearance: Clearance::granted(grant), order, deed }),
        Err(problem) => {
            gateway.recorder.note(Deed { result: "failed", code: Some(problem.code), ..deed });
            Err(problem)
        }
    }
}

/// Whoever waits: once gone, nobody is asked any more.
struct Caller {
    desk: Arc<Desk>,
    question: Option<Arc<str>>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        let (Some(question), Ok(runtime)) = (self.question.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let desk = self.desk.clone();
        runtime.spawn(async move {
            if let Err(problem) = desk.cancel(&question).await {
                tracing::warn!(approval = &*question, %problem, "a question whose caller went away stays open");
            }
        });
    }
}
