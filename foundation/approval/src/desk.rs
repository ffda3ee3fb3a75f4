//! The desk: open questions in the store, and what may be done with them.
//!
//! - A question is durable before anyone hears of it; each change is one transaction over the machine of
//!   [`moongate_core::approval`], so of a hundred answers at once one counts, and of a hundred dispatches one happens.
//! - Nobody asks without end: a requester has so many open questions and so many an hour ([`Limits`]), and is refused beyond.
//! - Questions outlive a restart. Those that are over stay for a week, for whoever looks back.
//! - Whoever tells people hears of questions by [`Desk::listen`], and says [`Desk::told`].
//! - Whoever carries requests out hears of news by [`Desk::news`], takes [`Desk::undelivered`], and says [`Desk::delivered`].
//!   What was not delivered when the gateway stopped is found again when it starts.

mod bell;
pub mod memory;
mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use moongate_core::approval::{Class, Input, Means, Rejected, State};
use moongate_core::seam::notifier::Notice;
use moongate_core::seam::{Clock, Store};
use moongate_core::{Approval, Code, Grant, Problem, Retry, Time};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast};

use crate::document::{Asked, Callback, Document, Frame, challenge, hex, remembering, template};
use bell::Bell;
use memory::Memory;
use rows::{Change, Refused};

/// How much may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open questions of one requester.
    pub open: u32,
    /// Questions of one requester in an hour.
    pub an_hour: u32,
    /// Open questions altogether.
    pub altogether: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { open: 3, an_hour: 10, altogether: 20_000 }
    }
}

/// How a question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The rule that wants a person.
    pub rule: Arc<str>,
    /// How much is at stake.
    pub class: Class,
    /// How many people have to say yes.
    pub needed: u8,
    /// How long anybody may take.
    pub wait: Duration,
    /// Whether the caller holds its connection for the answer, and nothing is carried out once it is gone.
    pub held: bool,
}

/// A question as it lies in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Where it stands.
    pub approval: Approval,
    /// What was fixed when it was asked.
    pub frame: Frame,
    /// The document that its hash is of.
    pub document: Value,
    /// Whether whoever carries requests out knows what was decided.
    pub delivered: bool,
    /// Whether the caller holds its connection for the answer.
    #[serde(default)]
    pub held: bool,
    /// What people signed when they said yes, as their passkeys gave it; or the question whose yes is remembered.
    #[serde(default)]
    pub receipts: Vec<Value>,
    /// What it has in common with the very same request at another moment.
    #[serde(default)]
    pub template: String,
    /// The channels that have told of it, by their names.
    #[serde(default)]
    pub told: Vec<Arc<str>>,
}

impl Stored {
    /// The agent that it would go to.
    pub fn agent(&self) -> &str {
        self.document.pointer("/target/agent").and_then(Value::as_str).unwrap_or_default()
    }

    /// The skill that it is about, if one is known.
    pub fn skill(&self) -> Option<&str> {
        self.document.pointer("/target/skill").and_then(Value::as_str)
    }

    /// What a passkey signs to say yes to just this: `SHA-256(hash ‖ nonce)`.
    pub fn challenge(&self) -> [u8; 32] {
        challenge(&self.approval.hash, &self.frame.nonce)
    }

    /// What a passkey signs to say yes to this, and to the very same again for so long.
    pub fn remembering(&self, span: Duration) -> [u8; 32] {
        remembering(&self.approval.hash, &self.frame.nonce, span.as_secs())
    }

    /// What there is to see of it.
    pub fn view(&self) -> Value {
        let Approval { id, hash, requester, class, rule, needed, asked_at, expires_at, state, votes, denied_by, since } =
            &self.approval;
        let votes: Vec<Value> =
            votes.iter().map(|vote| json!({"by": &*vote.by, "means": vote.means.as_str(), "at": vote.at.0})).collect();
        json!({
            "id": &**id, "state": state.as_str(), "since": since.0, "class": class.as_str(), "rule": &**rule,
            "requester": &**requester, "needed": needed, "votes": votes, "denied_by": denied_by.as_deref(),
            "asked_at": asked_at.0, "expires_at": expires_at.0, "hash": hex(hash), "sentence": self.sentence(),
            "document": self.document, "receipts": self.receipts, "held": self.held,
        })
    }

    /// What will happen, in one sentence. Words of strangers stand in it as they came.
    pub fn sentence(&self) -> String {
        let text = |pointer: &str| self.document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let parts = self.document.pointer("/params/message/parts").and_then(Value::as_array);
        let said: Vec<&str> =
            parts.into_iter().flatten().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
        let skill = match text("/target/skill") {
            "" => String::new(),
            skill => format!(", skill {skill}"),
        };
        let parts = parts.map_or(0, Vec::len);
        let said = match (said.is_empty(), parts > said.len()) {
            (true, _) => "data without words".to_owned(),
            (false, true) => format!("{:?}, and data besides", said.join(" ")),
            (false, false) => format!("{:?}", said.join(" ")),
        };
        let (who, agent) = (&self.approval.requester, text("/target/agent"));
        match text("/operation") {
            "send" | "stream" => format!("{who} tells {agent}{skill}: {said}"),
            operation => format!("{who} wants {operation} at {agent}{skill}, task {}", text("/target/task")),
        }
    }

    /// What channels tell of it.
    pub fn notice(&self) -> Notice {
        let Approval { id, rule, class, state, since, expires_at, .. } = &self.approval;
        Notice {
            id: id.clone(),
            agent: self.agent().into(),
            skill: self.skill().map(Into::into),
            rule: rule.clone(),
            class: *class,
            state: *state,
            at: *since,
            expires_at: *expires_at,
        }
    }

    /// What is about to be sent, with what a person was shown of it and the agent is not.
    fn besides(&self, asked: &Asked) -> Asked {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let callbacks = self.document.get("callbacks").and_then(Value::as_array).into_iter().flatten();
        let callbacks = callbacks.filter_map(|one| text(one.get("url")));
        Asked {
            skill: self.skill().map(Into::into),
            callbacks: callbacks.map(|url| Callback { url, whole: "".into() }).collect(),
            ..asked.clone()
        }
    }

    /// The task that stands for the request.
    pub fn task(&self) -> &str {
        self.document.pointer("/target/task").and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a person says, and by what. Whoever calls has checked it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// No.
    No,
    /// Yes, by the operator's secret.
    Secret,
    /// Yes, by a passkey over [`Stored::challenge`], or over [`Stored::remembering`]; what it signed.
    Passkey(Value),
}

/// The desk.
pub struct Desk {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Mutex<Limits>,
    /// Questions that may still run out, by when.
    clocks: Mutex<BTreeSet<(Time, Arc<str>)>>,
    news: Notify,
    /// Told of each change, for callers that wait.
    changed: Notify,
    /// How long a yes is remembered at most, in milliseconds.
    remembers: AtomicU64,
    bell: Bell,
    observer: OnceLock<Observer>,
}

/// Hears how long after the yes a request went out.
pub type Observer = Box<dyn Fn(Duration) + Send + Sync>;

impl Desk {
    /// The desk of this store, with the questions that are open in it. Those whose callers held a connection are asked no more:
    /// it is gone.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>, limits: Limits) -> Result<Arc<Self>, Problem> {
        let mut open = rows::all(store.records(), rows::PENDING).await?;
        let bell = Bell::new(open.iter().map(|one| one.approval.id.clone()));
        for group in [rows::DECIDED, rows::GOING] {
            open.extend(rows::all(store.records(), group).await?);
        }
        let open: Vec<Stored> = open.into_iter().filter(|one| !one.approval.state.is_final()).collect();
        let clocks = Mutex::new(open.iter().map(clock_of).collect());
        let desk = Self {
            store,
            clock,
            limits: Mutex::new(limits),
            clocks,
            news: Notify::new(),
            changed: Notify::new(),
            remembers: AtomicU64::new(0),
            bell,
            observer: OnceLock::new(),
        };
        for gone in open.iter().filter(|one| one.held) {
            desk.cancel(&gone.approval.id).await?;
        }
        Ok(Arc::new(desk))
    }

    /// A requester may have so many open questions from now on, and ask so often within an hour.
    pub fn limit(&self, open: u32, an_hour: u32) {
        let mut limits = self.limits.lock();
        (limits.open, limits.an_hour) = (open, an_hour);
    }

    /// Asks; durable when the future is ready. Where a yes to the very same is remembered, the question is approved already.
    /// Nobody is told before [`Desk::announce`].
    ///
    /// # Errors
    /// `TooManyQuestions`, `InvalidParams` for what cannot be asked about exactly, the store fails.
    pub async fn ask(&self, asked: &Asked, terms: &Terms, body: &Arc<str>) -> Result<Stored, Problem> {
        let now = self.clock.now();
        let expires_at = now.plus(terms.wait);
        let nonce = random()?.into();
        let frame = Frame { nonce, rule: terms.rule.clone(), body: body.clone(), asked_at: now, expires_at };
        let document = Document::of(asked, &frame)?;
        let approval = Approval {
            id: random()?.into(),
            hash: document.hash()?,
            requester: asked.requester.clone(),
            class: terms.class,
            rule: terms.rule.clone(),
            needed: terms.needed,
            asked_at: now,
            expires_at,
            state: State::Pending,
            votes: Vec::new(),
            denied_by: None,
            since: now,
        };
        let stored = Stored {
            approval,
            frame,
            document: document.value().clone(),
            delivered: false,
            held: terms.held,
            receipts: Vec::new(),
            template: template(asked, &terms.rule)?,
            told: Vec::new(),
        };
        let limits = *self.limits.lock();
        if self.clocks.lock().len() >= limits.altogether {
            return Err(Problem::new(Code::TooManyQuestions, "too many questions wait for people already"));
        }
        let added = rows::add(self.store.records(), &stored, limits, (self.most(), now)).await?;
        let stored = added.map_err(|refused| {
            let (why, again) = match refused {
                Refused::Open => (format!("{} questions of this caller wait for a person already", limits.open), None),
                Refused::Hour(until) => {
                    (format!("this caller has asked {} times within an hour", limits.an_hour), Some(until.since(now)))
                }
            };
            Problem::new(Code::TooManyQuestions, why).retry(Retry::Later(again))
        })?;
        self.clocks.lock().insert(clock_of(&stored));
        let (id, requester) = (&*stored.approval.id, &*asked.requester);
        if stored.approval.state == State::Pending {
            self.bell.opened(&stored.approval.id);
            tracing::info!(approval = id, rule = &*terms.rule, requester, "a person is asked");
        } else {
            tracing::info!(approval = id, rule = &*terms.rule, requester, "a yes is remembered");
        }
        Ok(stored)
    }

    /// Lets channels know of a question that was asked. One that a remembered yes has answered bothers nobody: whoever
    /// carries requests out hears of it instead. Waits for nobody, and cannot fail.
    pub fn announce(&self, question: &Stored) {
        match question.approval.state {
            State::Pending => self.bell.ring(question.notice()),
            _ => self.news.notify_one(),
        }
    }

    /// What is announced from now on, and what is over. Whoever lags behind looks at [`Desk::pending`].
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.bell.listen()
    }

    /// How many questions wait for people.
    pub fn open_questions(&self) -> usize {
        self.bell.open()
    }

    /// A channel has told of it, and need not do so again.
    ///
    /// # Errors
    /// The store fails.
    pub async fn told(&self, id: &str, channel: &Arc<str>) -> Result<(), Problem> {
        rows::told(self.store.records(), id, channel).await
    }

    /// One question; `None` if there is none of this id.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find(&self, id: &str) -> Result<Option<Stored>, Problem> {
        rows::find(self.store.records(), id).await
    }

    /// The question once it is not open any more; whoever waits sees to it that somebody calls [`Desk::undelivered`].
    ///
    /// # Errors
    /// `NoSuchQuestion`, the store cannot be read.
    pub async fn answered(&self, id: &str) -> Result<Stored, Problem> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.find(id).await? {
                Some(stored) if stored.approval.state == State::Pending => changed.await,
                Some(stored) => return Ok(stored),
                None => return Err(missing(id)),
            }
        }
    }

    /// All open questions, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pending(&self) -> Result<Vec<Stored>, Problem> {
        let mut all = rows::all(self.store.records(), rows::PENDING).await?;
        let now = self.clock.now();
        all.retain(|one| one.approval.expires_at > now);
        all.sort_by(|one, other| {
            (one.approval.asked_at, &one.approval.id).cmp(&(other.approval.asked_at, &other.approval.id))
        });
        Ok(all)
    }

    /// The newest questions that are over, at most so many.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn past(&self, most: usize) -> Result<Vec<Stored>, Problem> {
        rows::last(self.store.records(), most, self.clock.now()).await
    }

    /// A person decides.
    ///
    /// # Errors
    /// `NoSuchQuestion`; `QuestionDecided` for one that is over; `NotYoursToDecide`; the store fails.
    pub async fn decide(&self, id: &str, by: Arc<str>, answer: Answer) -> Result<Stored, Problem> {
        self.answer(id, by, answer, None).await
    }

    async fn answer(&self, id: &str, by: Arc<str>, said: Answer, memory: Option<Memory>) -> Result<Stored, Problem> {
        let (input, receipt) = match said {
            Answer::No => (Input::Deny { by: by.clone() }, None),
            Answer::Secret => (Input::Approve { by: by.clone(), means: Means::Secret }, None),
            Answer::Passkey(receipt) => (Input::Approve { by: by.clone(), means: Means::Passkey }, Some(receipt)),
        };
        let (yes, remembered) = (!matches!(input, Input::Deny { .. }), memory.is_some());
        let applied = self.change(id, Change { input, receipt, memory }).await?;
        let (stored, _) = applied.map_err(|rejected| told(id, rejected))?;
        let state = stored.approval.state.as_str();
        tracing::info!(approval = id, by = &*by, yes, remembered, state, "a person decided");
        Ok(stored)
    }

    /// It is not asked any more; one that is over already is left as it is.
    ///
    /// # Errors
    /// `NoSuchQuestion`, the store fails.
    pub async fn cancel(&self, id: &str) -> Result<(), Problem> {
        match self.apply(id, Input::Cancel).await? {
            Ok(_) | Err(Rejected::Decided(_)) => Ok(()),
            Err(rejected) => Err(told(id, rejected)),
        }
    }

    /// It was never asked: whoever wanted it asked before. Nobody has seen it, and it counts for no limit.
    ///
    /// # Errors
    /// The store fails.
    pub async fn take_back(&self, id: &str) -> Result<(), Problem> {
        if let Some(stored) = rows::remove(self.store.records(), id).await? {
            self.clocks.lock().remove(&clock_of(&stored));
            self.bell.over(Notice { state: State::Cancelled, ..stored.notice() });
        }
        Ok(())
    }

    /// The grant for a request that is about to be dispatched, if people said yes to just this one. Never twice.
    ///
    /// # Errors
    /// `Unconfirmed` with why not; the store fails.
    pub async fn consume(&self, id: &str, asked: &Asked) -> Result<Grant, Problem> {
        let no = |why: &str| Problem::new(Code::Unconfirmed, format!("the request is not carried out: {why}"));
        let Some(stored) = self.find(id).await? else { return Err(no("nobody was asked about it")) };
        let asked = &stored.besides(asked);
        let hash = Document::of(asked, &stored.frame)?.hash()?;
        match self.apply(id, Input::Consume { hash }).await? {
            Ok((_, Some(grant))) => {
                if let Some(observer) = self.observer.get() {
                    observer(self.clock.now().since(stored.approval.since));
                }
                Ok(grant)
            }
            Ok((_, None)) | Err(Rejected::Undecided) => Err(no("nobody has said yes")),
            Err(Rejected::OtherRequest) => {
                tracing::warn!(approval = id, "a request is not the one that a person said yes to");
                let _ = self.cancel(id).await;
                Err(no("it is not the one that was asked about, or the rules are others by now; ask again"))
            }
            Err(Rejected::Decided(State::Consumed)) => {
                Err(no("the yes was used before; whether the agent acted on it is not known"))
            }
            Err(Rejected::Decided(state)) => Err(no(&format!("the question is {}", state.as_str()))),
            Err(rejected) => Err(told(id, rejected)),
        }
    }

    /// What was decided and not delivered, in no order. What has run out by now is among it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn undelivered(&self) -> Result<Vec<Stored>, Problem> {
        for (at, id) in self.overdue() {
            match self.apply(&id, Input::Tick).await {
                Ok(_) => {}
                Err(problem) if problem.code == Code::NoSuchQuestion => {}
                Err(problem) => return Err(problem),
            }
            self.clocks.lock().remove(&(at, id));
        }
        let mut all = rows::all(self.store.records(), rows::DECIDED).await?;
        all.retain(|one| !one.delivered);
        Ok(all)
    }

    /// Other rules are in force: what waits under the former ones is not asked any more, as its yes would count for nothing.
    ///
    /// # Errors
    /// The store fails.
    pub async fn rules(&self, version: &str) -> Result<usize, Problem> {
        let mut voided = 0;
        for group in [rows::PENDING, rows::DECIDED, rows::GOING] {
            for one in rows::all(self.store.records(), group).await? {
                let asked_under = one.document.pointer("/policy/version").and_then(Value::as_str);
                if !one.approval.state.is_final() && asked_under != Some(version) {
                    self.cancel(&one.approval.id).await?;
                    voided += 1;
                }
            }
        }
        Ok(voided)
    }

    /// A person of this name may not decide any more: that one's votes count no longer, and what they had let pass is not
    /// carried out unless it was already.
    async fn revoke(&self, name: &str) -> Result<(), Problem> {
        for group in [rows::PENDING, rows::DECIDED, rows::GOING] {
            for one in rows::all(self.store.records(), group).await? {
                for vote in one.approval.votes.iter().filter(|vote| is_of(&vote.by, name)) {
                    match self.apply(&one.approval.id, Input::Revoke { by: vote.by.clone() }).await? {
                        Ok(_) | Err(Rejected::Nothing | Rejected::Decided(_)) => {}
                        Err(rejected) => return Err(told(&one.approval.id, rejected)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells this one from now on, and nobody else.
    pub fn observe(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }

    /// Whoever carries requests out knows of it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delivered(&self, id: &str) -> Result<(), Problem> {
        rows::deliver(self.store.records(), id).await
    }

    /// Ready when something was decided.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// When the next question runs out.
    pub fn next(&self) -> Option<Time> {
        self.clocks.lock().first().map(|(at, _)| *at)
    }

    fn overdue(&self) -> Vec<(Time, Arc<str>)> {
        let now = self.clock.now();
        self.clocks.lock().iter().take_while(|(at, _)| *at <= now).cloned().collect()
    }

    async fn apply(&self, id: &str, input: Input) -> Result<Result<(Stored, Option<Grant>), Rejected>, Problem> {
        self.change(id, Change { input, receipt: None, memory: None }).await
    }

    async fn change(&self, id: &str, change: Change) -> Result<Result<(Stored, Option<Grant>), Rejected>, Problem> {
        let applied = rows::apply(self.store.records(), id, change, self.clock.now()).await?;
        let applied = applied.ok_or_else(|| missing(id))?;
        if let Ok((stored, _)) = &applied {
            if stored.approval.state.is_final() {
                self.clocks.lock().remove(&clock_of(stored));
            }
            if stored.approval.state != State::Pending {
                self.bell.over(stored.notice());
                self.news.notify_one();
                self.changed.notify_waiters();
            }
        }
        Ok(applied)
    }
}

/// Whether a principal has this name, whichever authority vouches for it.
fn is_of(principal: &str, name: &str) -> bool {
    principal.rsplit_once(':').is_some_and(|(_, own)| own == name)
}

fn clock_of(stored: &Stored) -> (Time, Arc<str>) {
    (stored.approval.expires_at, stored.approval.id.clone())
}

fn missing(id: &str) -> Problem {
    Problem::new(Code::NoSuchQuestion, format!("there is no question {id}"))
}

fn random() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Problem::new(Code::Internal, "the machine has no random numbers"))?;
    Ok(hex(&bytes))
}

fn told(id: &str, rejected: Rejected) -> Problem {
    match rejected {
        Rejected::Decided(state) => {
            Problem::new(Code::QuestionDecided, format!("the question {id} is {} already", state.as_str()))
        }
        Rejected::OwnQuestion => Problem::new(Code::NotYoursToDecide, "whoever asks does not decide"),
        Rejected::WantsPasskey => {
            Problem::new(Code::NotYoursToDecide, "what is critical is decided with a passkey, and in no other way")
        }
        Rejected::Twice => {
            Problem::new(Code::NotYoursToDecide, "you have said yes before; it wants another person too")
        }
        Rejected::Undecided | Rejected::OtherRequest | Rejected::Nothing => {
            Problem::new(Code::Unconfirmed, format!("the question {id} cannot do that"))
        }
    }
}
