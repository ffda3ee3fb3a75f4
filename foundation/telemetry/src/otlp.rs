//! Traces to a collector, by OTLP over HTTP (OTLP 1.9 §OTLP/HTTP).
//!
//! - `POST {endpoint}/v1/traces`, `content-type: application/x-protobuf`, an `ExportTraceServiceRequest`
//! - 200 with an `ExportTraceServiceResponse`, whose `partial_success` may reject some of the spans
//! - 429, 502, 503, 504 and failures of the connection: the same batch again, after a pause that doubles (or the one
//!   that `Retry-After` names); anything else: the batch is thrown away
//!
//! One span for each request, of the kind SERVER. The queue is bounded: when the collector is slow, spans are dropped
//! and counted (`moongate_spans_total{result="dropped"}`); requests never wait.

mod message;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::Entry;
use moongate_core::seam::{Dialer, Fetch, TraceContext};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::metrics::{Counter, Metrics};

/// Spans in one request at most.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Spans that may wait while a request is under way.
const QUEUE: usize = 8 * BATCH;
/// How often one batch is tried.
const TRIES: u32 = 4;
/// The pause before the second try, and the longest that a collector may ask for.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long one try may take.
const TIMEOUT_MS: u64 = 10_000;

/// Where spans go and under which name.
#[derive(Clone, Debug)]
pub struct ExporterConfig {
    /// The collector's base URL, as `http://127.0.0.1:4318`; `/v1/traces` is added unless it is there.
    pub endpoint: String,
    /// The resource attribute `service.name`.
    pub service_name: String,
}

/// A request that has ended, on its way to the collector.
struct Finished {
    entry: Entry,
    trace: TraceContext,
}

/// Takes spans without waiting and sends them in batches from a task of its own.
#[derive(Debug)]
pub struct Exporter {
    queue: mpsc::Sender<Finished>,
    closing: Arc<Notify>,
    dropped: Counter,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Exporter {
    /// Begins to export; must be called inside a tokio runtime.
    pub fn start(config: &ExporterConfig, dialer: Arc<dyn Dialer>, metrics: &Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let closing = Arc::new(Notify::new());
        let base = config.endpoint.trim_end_matches('/');
        let url = if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
        let worker = Worker {
            url,
            service_name: config.service_name.clone(),
            dialer,
            waiting,
            closing: closing.clone(),
            exported: metrics.spans_exported(),
            dropped: metrics.spans_dropped(),
            reachable: true,
        };
        let worker = Mutex::new(Some(tokio::spawn(worker.run())));
        Self { queue, closing, dropped: metrics.spans_dropped(), worker }
    }

    /// Takes a span, or drops and counts it if the queue is full.
    pub fn offer(&self, entry: Entry, trace: TraceContext) {
        if self.queue.try_send(Finished { entry, trace }).is_err() {
            self.dropped.inc();
        }
    }

    /// Sends what still waits, for at most `within`; spans offered afterwards are dropped.
    pub async fn close(&self, within: Duration) {
        let worker = self.worker.lock().take();
        let Some(mut worker) = worker else { return };
        self.closing.notify_one();
        if timeout(within, &mut worker).await.is_err() {
            worker.abort();
        }
    }
}

/// The task behind an [`Exporter`].
struct Worker {
    url: String,
    service_name: String,
    dialer: Arc<dyn Dialer>,
    waiting: mpsc::Receiver<Finished>,
    closing: Arc<Notify>,
    exported: Counter,
    dropped: Counter,
    /// Whether the last batch arrived; the log hears of changes only.
    reachable: bool,
}

/// What became of one try.
enum Tried {
    Accepted { rejected: u64 },
    Refused(String),
    Later(String, Option<Duration>),
}

impl Worker {
    async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            self.deliver(&batch).await;
        }
    }

    /// The next batch; empty once the exporter is closed and nothing is left.
    async fn gather(&mut self) -> Vec<Finished> {
        let mut batch = Vec::new();
        let mut deadline = None;
        while batch.len() < BATCH {
            let full = sleep_until(deadline.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                next = self.waiting.recv() => match next {
                    Some(finished) => batch.push(finished),
                    None => break,
                },
                // Closed to new spans, the queue still hands out those that wait, and then ends.
                () = self.closing.notified() => self.waiting.close(),
                () = full, if deadline.is_some() => break,
            }
            if deadline.is_none() && !batch.is_empty() {
                deadline = Some(Instant::now() + GATHER);
            }
        }
        batch
    }

    async fn deliver(&mut self, batch: &[Finished]) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let spans = batch.iter().map(|finished| message::span(&finished.entry, &finished.trace)).collect();
        let body = Bytes::from(message::request(&self.service_name, spans).encode_to_vec());
        let mut pause = PAUSE;
        for tries_left in (0..TRIES).rev() {
            match self.attempt(body.clone()).await {
                Tried::Accepted { rejected } => {
                    let rejected = rejected.min(count);
                    self.exported.add(count - rejected);
                    self.dropped.add(rejected);
                    return self.note(None);
                }
                Tried::Later(_, wait) if tries_left > 0 => {
                    sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                    pause *= 2;
                }
                Tried::Refused(why) | Tried::Later(why, _) => {
                    self.dropped.add(count);
                    return self.note(Some(&why));
                }
            }
        }
    }

    async fn attempt(&self, body: Bytes) -> Tried {
        let fetch = Fetch {
            method: "POST",
            url: self.url.clone(),
            headers: vec![("content-type".into(), "application/x-protobuf".into())],
            body,
            timeout_ms: TIMEOUT_MS,
            limit: 64 * 1024,
            body_wanted: true,
            egress: None,
        };
        match self.dialer.fetch(fetch).await {
            Err(problem) => Tried::Later(problem.inside.unwrap_or_else(|| problem.detail.into_owned()), None),
            Ok(answer) => match answer.status {
                200..=299 => Tried::Accepted { rejected: message::rejected(&answer.body) },
                429 | 502..=504 => {
                    let seconds = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
                    Tried::Later(format!("status {}", answer.status), seconds.map(Duration::from_secs))
                }
                status => Tried::Refused(format!("status {status}")),
            },
        }
    }

    fn note(&mut self, failure: Option<&str>) {
        match failure {
            Some(why) if self.reachable => {
                tracing::warn!(url = %self.url, why, "the trace collector does not take spans; they are dropped");
            }
            None if !self.reachable => tracing::info!(url = %self.url, "the trace collector takes spans again"),
            _ => {}
        }
        self.reachable = failure.is_none();
    }
}
