//! Channels: how people learn that something waits for their yes.
//!
//! - Each channel has a task of its own, so that a mail server that dawdles holds up no phone. Asking waits for none of them.
//! - What a channel owes is tried again, less and less often, until the question runs out ([`owed`]).
//! - That a channel has told of a question is noted in the store. What it had not told of when the gateway stopped, it tells of
//!   when it starts again; what it was telling at that moment may be told twice.
//! - What is told fits a locked screen: an id, a title made of names in the registry, and a link to a page behind a sign-in
//!   ([`words`]). A link decides nothing.

mod http;
mod mail;
mod mqtt;
mod ntfy;
mod owed;
pub mod push;
mod webhook;
mod words;

use std::sync::Arc;
use std::time::Duration;

use moongate_core::approval::{Class, State};
use moongate_core::seam::Clock;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::{Code, Problem, Time};
use moongate_telemetry::Metrics;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::AbortHandle;

use crate::Desk;
use owed::{Next, Owed};

pub use mail::Mail;
pub use mqtt::Mqtt;
pub use ntfy::Ntfy;
pub use webhook::Webhook;
pub use words::{Place, title};

/// How long one try may take, whatever the channel thinks.
const TRY: Duration = Duration::from_secs(20);
/// After so long it is looked again whether anything is owed.
const LOOK: Duration = Duration::from_secs(30);
/// How long one waits for a store that cannot be read.
const MENDING: Duration = Duration::from_secs(5);

/// One channel, as it was configured.
pub struct Channel {
    /// Its name.
    pub name: Arc<str>,
    /// The word for what it is: `ntfy`, `webhook`, …
    pub kind: &'static str,
    /// What it tells of.
    pub about: About,
    /// The channel itself.
    pub notifier: Arc<dyn Notifier>,
}

/// What a channel tells of; everything, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Questions of this class only.
    pub class: Option<Class>,
    /// Questions of these rules only; of all, if it names none.
    pub rules: Vec<String>,
}

impl About {
    fn covers(&self, notice: &Notice) -> bool {
        self.class.is_none_or(|class| class == notice.class)
            && (self.rules.is_empty() || self.rules.iter().any(|rule| **rule == *notice.rule))
    }
}

/// How a channel fares.
#[derive(Default)]
struct Standing {
    told: u64,
    failed: u64,
    late: u64,
    owed: usize,
    /// What went wrong, and when; nothing once it goes well again.
    trouble: Option<(String, Time)>,
}

struct Running {
    name: Arc<str>,
    kind: &'static str,
    standing: Arc<Mutex<Standing>>,
    task: AbortHandle,
}

/// All channels of a gateway.
pub struct Channels {
    desk: Arc<Desk>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    running: Mutex<Vec<Running>>,
}

impl Channels {
    /// None yet.
    pub fn new(desk: Arc<Desk>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { desk, clock, metrics, running: Mutex::default() }
    }

    /// These from now on, and no others. What they have not told of before, they tell of now.
    pub fn replace(&self, channels: Vec<Channel>) {
        let mut running = self.running.lock();
        running.drain(..).for_each(|old| old.task.abort());
        running.extend(channels.into_iter().map(|channel| {
            let standing = Arc::new(Mutex::new(Standing::default()));
            let (name, kind) = (channel.name.clone(), channel.kind);
            self.metrics.notifications(&name);
            let crier = Crier {
                channel,
                desk: self.desk.clone(),
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
                standing: standing.clone(),
                owed: Owed::default(),
                counted: None,
            };
            let task = tokio::spawn(crier.run()).abort_handle();
            Running { name, kind, standing, task }
        }));
    }

    /// How each channel fares. No address and no credential is in it.
    pub fn view(&self) -> Vec<Value> {
        let running = self.running.lock();
        let view = |one: &Running| {
            let standing = one.standing.lock();
            let trouble = standing.trouble.as_ref();
            json!({
                "name": &*one.name, "kind": one.kind, "told": standing.told, "failed": standing.failed,
                "late": standing.late, "owed": standing.owed,
                "trouble": trouble.map(|(why, _)| why.as_str()), "trouble_since": trouble.map(|(_, at)| at.0),
            })
        };
        running.iter().map(view).collect()
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.running.lock().iter().for_each(|one| one.task.abort());
    }
}

/// The task of one channel.
struct Crier {
    channel: Channel,
    desk: Arc<Desk>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    standing: Arc<Mutex<Standing>>,
    owed: Owed,
    /// How many questions it last said are open.
    counted: Option<usize>,
}

impl Crier {
    async fn run(mut self) {
        let mut news = self.desk.listen();
        // What was announced to nobody is in the store.
        let mut missed = true;
        loop {
            missed |= self.hear(&mut news);
            if missed && let Err(problem) = self.look().await {
                tracing::warn!(channel = &*self.channel.name, %problem, "open questions cannot be read");
                tokio::time::sleep(MENDING).await;
                continue;
            }
            missed = false;
            let wait = match self.owed.next(self.clock.now()) {
                Next::Tell(notice) => {
                    self.tell(notice).await;
                    continue;
                }
                Next::Late(notice) => {
                    self.late(&notice);
                    continue;
                }
                Next::Wait(until) => until,
            };
            if wait.is_none() && self.count().await {
                continue;
            }
            self.standing.lock().owed = self.owed.len();
            let left = wait.map_or(LOOK, |at| at.since(self.clock.now()));
            tokio::select! {
                received = news.recv() => match received {
                    Ok(notice) => self.take(notice),
                    Err(RecvError::Lagged(_)) => missed = true,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(left.min(LOOK).max(Duration::from_millis(5))) => {}
            }
        }
    }

    /// Takes what has come meanwhile; whether something was missed.
    fn hear(&mut self, news: &mut Receiver<Notice>) -> bool {
        let mut missed = false;
        loop {
            match news.try_recv() {
                Ok(notice) => self.take(notice),
                Err(TryRecvError::Lagged(_)) => missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return missed,
            }
        }
    }

    fn take(&mut self, notice: Notice) {
        if self.channel.about.covers(&notice) {
            self.owed.hear(notice, self.channel.notifier.follows());
        }
    }

    /// What waits, as the store has it.
    async fn look(&mut self) -> Result<(), Problem> {
        let pending = self.desk.pending().await?;
        let covered = pending.iter().filter(|one| self.channel.about.covers(&one.notice()));
        self.owed.settle(covered.map(|one| (one.notice(), one.told.contains(&self.channel.name))));
        Ok(())
    }

    async fn tell(&mut self, notice: Notice) {
        match attempt(self.channel.notifier.tell(&notice)).await {
            Ok(()) => {
                if notice.state == State::Pending
                    && let Err(problem) = self.desk.told(&notice.id, &self.channel.name).await
                {
                    tracing::warn!(approval = &*notice.id, %problem, "a notification cannot be noted; it may be repeated");
                }
                tracing::info!(
                    approval = &*notice.id,
                    channel = &*self.channel.name,
                    state = notice.state.as_str(),
                    "people are told"
                );
                self.owed.told(&notice);
                self.went_well(true);
            }
            Err(problem) => {
                self.went_wrong(&problem);
                self.owed.failed(Some(notice), self.clock.now());
            }
        }
    }

    /// Says how many questions are open, if that is not known; whether it tried.
    async fn count(&mut self) -> bool {
        let open = self.desk.open_questions();
        if !self.channel.notifier.follows() || self.counted == Some(open) {
            return false;
        }
        match attempt(self.channel.notifier.count(open)).await {
            Ok(()) => {
                self.counted = Some(open);
                self.owed.went_well();
                self.went_well(false);
            }
            Err(problem) => {
                self.went_wrong(&problem);
                self.owed.failed(None, self.clock.now());
            }
        }
        true
    }

    fn late(&self, notice: &Notice) {
        tracing::warn!(
            approval = &*notice.id,
            channel = &*self.channel.name,
            "nobody was told by this channel before it was too late"
        );
        self.metrics.notifications(&self.channel.name).late.inc();
        self.standing.lock().late += 1;
    }

    fn went_well(&self, told: bool) {
        let mut standing = self.standing.lock();
        standing.trouble = None;
        if told {
            self.metrics.notifications(&self.channel.name).told.inc();
            standing.told += 1;
        }
    }

    fn went_wrong(&self, problem: &Problem) {
        let inside = problem.inside.as_deref().unwrap_or_default();
        tracing::warn!(channel = &*self.channel.name, inside, "a channel does not take it: {}", problem.detail);
        self.metrics.notifications(&self.channel.name).failed.inc();
        let mut standing = self.standing.lock();
        standing.failed += 1;
        standing.trouble = Some((problem.detail.to_string(), self.clock.now()));
    }
}

async fn attempt(tried: impl Future<Output = Result<(), Problem>>) -> Result<(), Problem> {
    let late = || Problem::new(Code::NotTold, "no answer in time");
    tokio::time::timeout(TRY, tried).await.map_err(|_| late())?
}
