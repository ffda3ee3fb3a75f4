//! The load generator: persistent connections, each of which sends its next request when the last was answered.
//!
//! Being closed-loop it never asks for more than it gets; latency under load is to be read together with throughput.
//! Every answer is checked ([`check`]): a proxy that answers fast and wrong has errors, not a record. Connections are
//! made and warmed up before anything is counted.

pub(crate) mod call;
pub(crate) mod check;
mod link;
pub(crate) mod options;
mod outcome;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use call::Call;
use worker::{Stats, Worker};

pub(crate) use outcome::{Latency, Outcome};

use crate::fault::Fault;

/// How long one phase of a run lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Length {
    /// So many requests, exactly.
    Requests(u64),
    /// As many as are begun in this time.
    Time(Duration),
    /// So many a second in this time, or as many as will go.
    Paced(Duration, f64),
}

/// What to load, with what, how long.
#[derive(Clone)]
pub(crate) struct Spec {
    /// The server.
    pub(crate) address: SocketAddr,
    /// The request and what its answer must be.
    pub(crate) call: Arc<Call>,
    /// Connections; on each, one request at a time.
    pub(crate) connections: usize,
    /// Over how long the connections' first requests are spread in each phase, so that what takes long does not march
    /// in step.
    pub(crate) spread: Duration,
    /// What is sent before counting begins.
    pub(crate) warm_up: Length,
    /// What is counted.
    pub(crate) length: Length,
}

/// Numbers for requests, never used twice by this tool: they are in message and task ids.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A number of fifteen digits.
fn number() -> u64 {
    const LOWEST: u64 = 100_000_000_000_000;
    let begin = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        LOWEST + now % 800_000 * 1_000_000_000
    };
    if NUMBER.load(Ordering::Relaxed) == 0 {
        let _ = NUMBER.compare_exchange(0, begin(), Ordering::Relaxed, Ordering::Relaxed);
    }
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// When a phase is over.
struct Phase {
    until: Option<Instant>,
    left: AtomicI64,
    pace: Option<Pace>,
}

/// When requests are due: one after the other, whoever sends them.
struct Pace {
    began: Instant,
    apart: Duration,
    next: AtomicU64,
}

impl Pace {
    /// When the next one is due. A load that is behind has it at once.
    fn due(&self) -> Instant {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.began + Duration::from_secs_f64(self.apart.as_secs_f64() * number as f64)
    }
}

impl Phase {
    fn new(length: Length) -> Self {
        match length {
            Length::Requests(count) => {
                Self { until: None, left: AtomicI64::new(i64::try_from(count).unwrap_or(i64::MAX)), pace: None }
            }
            Length::Time(time) => {
                Self { until: Some(Instant::now() + time), left: AtomicI64::new(i64::MAX), pace: None }
            }
            Length::Paced(time, rate) => {
                let apart = Duration::from_secs_f64(1.0 / rate.clamp(0.01, 1e9));
                let pace = Pace { began: Instant::now(), apart, next: AtomicU64::new(0) };
                Self { pace: Some(pace), ..Self::new(Length::Time(time)) }
            }
        }
    }

    /// Takes leave to send one more, when it is due.
    async fn take(&self) -> bool {
        if let Some(due) = self.pace.as_ref().map(Pace::due) {
            if self.until.is_some_and(|until| due >= until) {
                return false;
            }
            tokio::time::sleep_until(due.into()).await;
        }
        match self.until {
            Some(until) => Instant::now() < until,
            None => self.left.fetch_sub(1, Ordering::Relaxed) > 0,
        }
    }
}

/// A load whose connections stand and are warm.
pub(crate) struct Load {
    spec: Spec,
    workers: Vec<Worker>,
}

impl Load {
    /// Connects and warms up. An error during warm-up is an error of the load.
    pub(crate) async fn prepare(spec: Spec) -> Result<Self, Fault> {
        let mut workers = Vec::with_capacity(spec.connections);
        for index in 0..spec.connections {
            workers.push(Worker::connect(spec.address, spec.call.clone(), index).await?);
        }
        let mut load = Self { spec, workers };
        let warm_up = load.spec.warm_up;
        let outcome = load.phase(warm_up).await?;
        match outcome.first_error {
            Some(error) => Err(Fault::new("wrong-answer", format!("during warm-up: {error}"))),
            None => Ok(load),
        }
    }

    /// Sends what is counted.
    pub(crate) async fn measure(&mut self) -> Result<Outcome, Fault> {
        let length = self.spec.length;
        self.phase(length).await
    }

    /// Sends another number of requests, or for another time.
    pub(crate) async fn send(&mut self, length: Length) -> Result<Outcome, Fault> {
        self.phase(length).await
    }

    async fn phase(&mut self, length: Length) -> Result<Outcome, Fault> {
        let phase = Arc::new(Phase::new(length));
        let began = Instant::now();
        let step = self.spec.spread / u32::try_from(self.workers.len().max(1)).unwrap_or(u32::MAX);
        let running: Vec<_> = self
            .workers
            .drain(..)
            .zip(0u32..)
            .map(|(mut worker, index)| {
                let phase = phase.clone();
                tokio::spawn(async move {
                    if !step.is_zero() {
                        tokio::time::sleep(step * index).await;
                    }
                    let stats = worker.work(&phase).await;
                    (worker, stats)
                })
            })
            .collect();
        let mut total = Stats::default();
        for task in running {
            let (worker, stats) = task.await.map_err(|error| Fault::new("load", error))?;
            self.workers.push(worker);
            total.add(&stats);
        }
        Ok(Outcome::of(self.spec.connections, &total, began.elapsed()))
    }
}
