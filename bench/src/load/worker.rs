//! What happens on one connection, and what is counted of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Phase;
use super::call::{Call, Template};
use super::check::{Reading, check};
use super::link::Link;
use crate::fault::Fault;
use crate::histogram::Histogram;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How many errors end a worker: it shall not hammer something broken.
const PATIENCE: u64 = 20;

/// What was counted.
#[derive(Clone, Default)]
pub(super) struct Stats {
    /// From sending to the last byte, of right answers.
    pub(super) latency: Histogram,
    /// From sending to the first event, of streams.
    pub(super) first_event: Histogram,
    /// Events of streams.
    pub(super) events: u64,
    /// Requests without a right answer.
    pub(super) errors: u64,
    /// What was wrong with the first of them.
    pub(super) first_error: Option<String>,
    /// Connections made anew because the server had closed one between two requests.
    pub(super) reconnects: u64,
}

impl Stats {
    /// Adds another worker's.
    pub(super) fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.first_event.add(&other.first_event);
        self.events += other.events;
        self.errors += other.errors;
        self.reconnects += other.reconnects;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    fn error(&mut self, what: String) {
        self.errors += 1;
        self.first_error.get_or_insert(what);
    }
}

/// One connection's worth of load.
pub(super) struct Worker {
    address: SocketAddr,
    call: Arc<Call>,
    body: Template,
    link: Link,
    reading: Reading,
}

impl Worker {
    /// Connects the `index`-th connection.
    pub(super) async fn connect(address: SocketAddr, call: Arc<Call>, index: usize) -> Result<Self, Fault> {
        let link = Link::connect(address, &call).await?;
        let body = call.body.for_connection(index);
        Ok(Self { address, call, body, link, reading: Reading::default() })
    }

    /// Sends requests, one at a time, as long as the phase allows.
    pub(super) async fn work(&mut self, phase: &Phase) -> Stats {
        let mut stats = Stats::default();
        while stats.errors < PATIENCE && phase.take().await {
            if self.link.is_closed() {
                match Link::connect(self.address, &self.call).await {
                    Ok(link) => self.link = link,
                    Err(fault) => {
                        stats.error(fault.to_string());
                        continue;
                    }
                }
                stats.reconnects += 1;
            }
            self.once(&mut stats).await;
        }
        stats
    }

    async fn once(&mut self, stats: &mut Stats) {
        let number = super::number().to_string();
        let body = self.body.fill(&number);
        let began = Instant::now();
        let exchange = tokio::time::timeout(LIMIT, self.link.exchange(body, &mut self.reading)).await;
        let took = began.elapsed();
        match exchange {
            Ok(Ok(())) => match check(&self.call.expect, &self.reading, &number) {
                Ok(()) => {
                    stats.latency.record(took);
                    stats.events += self.reading.events.count;
                    if let Some(first) = self.reading.first_event {
                        stats.first_event.record(first - began);
                    }
                }
                Err(what) => stats.error(what),
            },
            Ok(Err(error)) => stats.error(error.to_string()),
            Err(_) => stats.error(format!("no answer within {LIMIT:?}")),
        }
    }
}
