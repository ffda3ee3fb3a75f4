//! The pipeline itself: [`run`] reads like the picture in the crate's documentation.

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_core::decision::Refusal;
use moongate_core::seam::{Clock, Recorder, Verifier, identify};
use moongate_core::{Challenge, Clearance, Code, Decision, Envelope, Principal, Problem, Resolved, Route, TaskId};

use crate::policy::{Policy, Subject};
use crate::rate::Meter;
use crate::record::Draft;

/// What a gateway contributes: which candidates could serve a request, and which one shall.
pub trait Gateway: Send + Sync {
    /// A decoded request in the gateway's own form.
    type Call: Send + Sync;
    /// What *pick* chose, with whatever guard the gateway needs to count it.
    type Picked: Send;

    /// Brings within reach what *resolve* will look at, such as a task that only the store has. Decides nothing.
    ///
    /// # Errors
    /// The store cannot be read.
    fn recall(
        &self,
        who: &Principal,
        envelope: &Envelope,
        call: &Self::Call,
    ) -> impl Future<Output = Result<(), Problem>> + Send;

    /// Which skill, and who could serve it. Pure: asks nobody.
    ///
    /// # Errors
    /// Nothing fits, or the caller may not know of it.
    fn resolve(&self, who: &Principal, envelope: &Envelope, call: &Self::Call) -> Result<Resolved, Problem>;

    /// Whether the caller's scopes reach so far. Rules then only narrow what these allow.
    ///
    /// # Errors
    /// `InsufficientScope`, with the scope that is missing in the field `scope`.
    fn may(&self, who: &Principal, envelope: &Envelope, resolved: &Resolved, call: &Self::Call) -> Result<(), Problem>;

    /// Which instance of the candidates.
    ///
    /// # Errors
    /// None can be reached.
    fn pick(
        &self,
        who: &Principal,
        envelope: &Envelope,
        resolved: &Resolved,
        call: &Self::Call,
    ) -> Result<(Route, Self::Picked), Problem>;

    /// What rules may read of the request's headers, lower-case names.
    fn headers<'a>(&self, call: &'a Self::Call) -> Vec<(&'a str, &'a str)>;

    /// The request as JSON and its text, for policies that read them.
    fn content(&self, call: &Self::Call) -> (Option<serde_json::Value>, Option<String>);
}

/// Carries out what the pipeline let through. The live one is the gateway's own; `explain` puts one in its place that
/// calls nobody.
pub trait Dispatch<G: Gateway>: Send + Sync {
    /// What comes of it.
    type Answer: Send;

    /// Carries it out.
    fn dispatch(
        &self,
        clearance: Clearance,
        order: Order<G>,
    ) -> impl Future<Output = Result<Self::Answer, Problem>> + Send;

    /// Asks people about what policy wants confirmed; what the caller hears meanwhile. What they say yes to is dispatched by the
    /// gateway itself, by the grant that this becomes.
    fn ask(&self, challenge: Challenge, order: Order<G>) -> impl Future<Output = Result<Self::Answer, Problem>> + Send;

    /// Whether runs with it are entered in the record, as all are that do anything.
    const RECORDS: bool = true;

    /// The word for an answer in records: `done`, `stream`, `accepted`.
    fn result(answer: &Self::Answer) -> &'static str;

    /// The task that an answer is about, for records; a request that names one needs none here.
    fn task(answer: &Self::Answer) -> Option<TaskId> {
        let _ = answer;
        None
    }
}

/// All that *dispatch* needs.
pub struct Order<G: Gateway> {
    /// Who asked.
    pub principal: Arc<Principal>,
    /// The request.
    pub envelope: Envelope,
    /// The request as the gateway decoded it.
    pub call: G::Call,
    /// What was resolved.
    pub resolved: Resolved,
    /// Where it goes.
    pub route: Route,
    /// The gateway's own guard.
    pub picked: G::Picked,
}

/// The pipeline's standing parts.
pub struct Flow {
    /// Who is asking.
    pub verifier: Arc<dyn Verifier>,
    /// The operator's rules; swapped as a whole on reload.
    pub policy: ArcSwap<Policy>,
    /// Who asks too often.
    pub meter: Meter,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where entries go.
    pub recorder: Arc<dyn Recorder>,
}

/// Which way a request took, stage by stage, as far as it got.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// *identify*.
    pub principal: Option<Arc<Principal>>,
    /// *resolve*.
    pub resolved: Option<Resolved>,
    /// *authorize*, *confirm*: the rule that let it through.
    pub cleared_by: Option<Arc<str>>,
    /// *confirm*: the rule by which people are asked first.
    pub asked_by: Option<Arc<str>>,
    /// *pick*.
    pub route: Option<Route>,
}

/// What came of a run.
pub struct Ran<A> {
    /// The way that it took.
    pub trail: Trail,
    /// The answer.
    pub result: Result<A, Problem>,
}

/// Takes one request through all stages, and records how it ended.
pub async fn run<G: Gateway, D: Dispatch<G>>(
    flow: &Flow,
    gateway: &G,
    dispatch: &D,
    envelope: Envelope,
    credential: Option<&str>,
    call: G::Call,
) -> Ran<D::Answer> {
    let mut draft = Draft::open(flow, &envelope, D::RECORDS);
    let result = stages(flow, gateway, dispatch, envelope, credential, call, &mut draft).await;
    draft.made(result.as_ref().ok().and_then(D::task));
    let trail = draft.close(result.as_ref().map(D::result));
    Ran { trail, result }
}

async fn stages<G: Gateway, D: Dispatch<G>>(
    flow: &Flow,
    gateway: &G,
    dispatch: &D,
    envelope: Envelope,
    credential: Option<&str>,
    call: G::Call,
    draft: &mut Draft<'_>,
) -> Result<D::Answer, Problem> {
    draft.room().await?;
    let principal = identify(&*flow.verifier, &envelope.arrival, credential).await?;
    draft.trail.principal = Some(principal.clone());
    // What leaves no record, as an explanation, costs nobody a request.
    if D::RECORDS {
        flow.meter.admit(&principal, envelope.arrival.remote.ip(), flow.clock.mono())?;
    }
    gateway.recall(&principal, &envelope, &call).await?;
    let resolved = gateway.resolve(&principal, &envelope, &call)?;
    draft.trail.resolved = Some(resolved.clone());
    gateway.may(&principal, &envelope, &resolved, &call)?;
    let decision = authorize(flow, gateway, &principal, &envelope, &resolved, &call);
    let confirmed = confirm(decision)?;
    if let Confirmed::Cleared(clearance) = &confirmed {
        draft.trail.cleared_by = Some(clearance.rule().into());
    }
    let (route, picked) = gateway.pick(&principal, &envelope, &resolved, &call)?;
    draft.trail.route = Some(route.clone());
    draft.intend(&resolved).await?;
    let order = Order { principal, envelope, call, resolved, route, picked };
    match confirmed {
        Confirmed::Cleared(clearance) => dispatch.dispatch(clearance, order).await,
        Confirmed::Asks(challenge) => {
            draft.trail.asked_by = Some(challenge.rule.clone());
            dispatch.ask(challenge, order).await
        }
    }
}

fn authorize<G: Gateway>(
    flow: &Flow,
    gateway: &G,
    who: &Principal,
    envelope: &Envelope,
    resolved: &Resolved,
    call: &G::Call,
) -> Decision {
    let policy = flow.policy.load();
    if let Some(open) = policy.open() {
        return open;
    }
    let (args, text) = if policy.reads_body() { gateway.content(call) } else { (None, None) };
    let headers = if policy.reads_headers() { gateway.headers(call) } else { Vec::new() };
    let subject = Subject {
        head: &envelope.head,
        headers: &headers,
        args: args.as_ref(),
        text: text.as_deref(),
        now: flow.clock.now(),
    };
    policy.decide(who, resolved, &subject)
}

/// What policy leaves to do.
enum Confirmed {
    /// Dispatch it.
    Cleared(Clearance),
    /// Ask people first.
    Asks(Challenge),
}

fn confirm(decision: Decision) -> Result<Confirmed, Problem> {
    match Clearance::of(decision) {
        Ok(clearance) => Ok(Confirmed::Cleared(clearance)),
        Err(Refusal::Unconfirmed(challenge)) => Ok(Confirmed::Asks(challenge)),
        Err(Refusal::Denied(problem)) => Err(problem),
    }
}

/// The refusal of what wants a person, where nobody is asked.
pub fn unconfirmed(challenge: &Challenge, why: &str) -> Problem {
    Problem::new(Code::Unconfirmed, format!("the rule {} wants a person to confirm this{why}", challenge.rule))
}
