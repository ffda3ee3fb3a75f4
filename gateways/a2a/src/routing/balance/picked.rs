//! One request's hold on an instance: it counts as open until this value goes, and tells how it went.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use moongate_core::Mono;

use super::outlier::{Change, Role};
use super::{Instance, Settings};

/// The latency that a failure stands for, unless the instance named a time.
const FAILURE: Duration = Duration::from_secs(5);
/// The longest time to stay away that an instance can ask for.
const LONGEST: Duration = Duration::from_secs(300);

/// How a request went, as far as it tells about the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered; a failed task and errors of the protocol's own table (-320xx) are answers too.
    Ok,
    /// Transport error, time-out, 5xx or an answer that is no A2A.
    Failed,
    /// 429, `RESOURCE_EXHAUSTED` or 503 with `Retry-After`: alive, but asks to stay away, possibly for this long.
    Overloaded(Option<Duration>),
}

/// A chosen instance. Dropped without [`finish`](Self::finish), the request was cancelled: that tells nothing about the
/// instance and only gives its place back.
#[derive(Debug)]
#[must_use = "dropping it at once makes the request count as cancelled"]
pub struct Picked {
    /// The instance.
    pub instance: Arc<Instance>,
    /// When it was chosen.
    pub started: Mono,
    settings: Arc<Settings>,
    role: Role,
    answered: AtomicBool,
    finished: bool,
}

impl Picked {
    pub(super) fn new(instance: Arc<Instance>, settings: Arc<Settings>, started: Mono, role: Role) -> Self {
        Self { instance, started, settings, role, answered: AtomicBool::new(false), finished: false }
    }

    /// Whether this request is the probe that decides about an ejected instance.
    pub fn is_probe(&self) -> bool {
        self.role == Role::Probe
    }

    /// The answer, or the first event of a stream, has begun. Call it only if that is no failure (see [`Verdict`]):
    /// it measures the latency, and a probe ends here with success instead of at the end of a long stream.
    pub fn first_event(&self, now: Mono) -> Change {
        if self.answered.swap(true, Relaxed) {
            self.instance.load.progressed(now);
            return Change::None;
        }
        self.instance.load.answered();
        self.instance.load.progressed(now);
        self.instance.load.observe(now.since(self.started), now, self.settings.decay);
        let change = self.instance.outlier.alive(now, self.started, self.role);
        self.note(change, now);
        change
    }

    /// The request or stream is over. What it changed about the instance is for metrics and logs.
    pub fn finish(mut self, now: Mono, verdict: Verdict) -> Change {
        self.finished = true;
        let (load, outlier) = (&self.instance.load, &self.instance.outlier);
        let current = outlier.is_current(self.started);
        let first = !self.answered.swap(true, Relaxed);
        if first {
            load.answered();
        }
        load.progressed(now);
        load.close();
        let change = match verdict {
            Verdict::Ok => {
                if first {
                    load.observe(now.since(self.started), now, self.settings.decay);
                }
                outlier.succeeded(now, self.started, self.role, &self.settings)
            }
            // A late result of the time before the last readmission.
            _ if !current => Change::None,
            Verdict::Failed => {
                load.observe(FAILURE, now, self.settings.decay);
                outlier.failed(now, self.started, self.role, &self.settings)
            }
            Verdict::Overloaded(wait) => {
                load.observe(wait.unwrap_or(FAILURE).min(LONGEST), now, self.settings.decay);
                outlier.alive(now, self.started, self.role)
            }
        };
        self.note(change, now);
        change
    }

    fn note(&self, change: Change, now: Mono) {
        if change == Change::Readmitted {
            self.instance.restart_ramp(now);
        }
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if !self.answered.swap(true, Relaxed) {
            self.instance.load.answered();
        }
        self.instance.load.close();
        if self.role == Role::Probe {
            self.instance.outlier.release_probe(self.started);
        }
    }
}
