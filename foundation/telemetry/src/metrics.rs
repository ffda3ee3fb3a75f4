//! Numbers: what happens, how often and how long it takes, as OpenMetrics text at `/metrics`.
//!
//! Writing is on the way of every request, so it is a look-up and three relaxed additions: the series of an agent
//! lies in a map that is replaced as a whole when an agent appears (one atomic load to read it), the operation and the
//! outcome are places in arrays. Nothing is formatted before somebody asks.
//!
//! The number of series is bounded: beyond [`Metrics::with_cap`] agents, further ones count together as `other`.
//! [`Metrics::forget`] makes room when an agent has gone. The label `agent` is `-` where the gateway itself answered or
//! refused.

mod expose;
mod lists;
mod notifications;
mod sample;
mod series;
mod witnesses;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_core::{Entry, Listener};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;

pub use lists::{ListState, RevocationList};
pub use notifications::Notifications;
pub use sample::{BUCKETS, Sample};
pub use series::{AgentSeries, Counter, Gauge, Held};
pub use witnesses::Witness;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The label of the gateway itself.
const HERE: &str = "-";

/// The label of agents beyond the cap.
const OTHER: &str = "other";

/// How many agents have series of their own unless said otherwise.
const DEFAULT_CAP: usize = 1000;

type Agents = HashMap<Arc<str>, Arc<AgentSeries>>;

/// All numbers that the gateway keeps. One for the process, shared by [`Arc`].
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    registry: Registry,
}

#[derive(Debug)]
struct Shared {
    agents: ArcSwap<Agents>,
    /// Whoever replaces `agents` holds this meanwhile.
    growing: Mutex<()>,
    cap: usize,
    here: Arc<AgentSeries>,
    other: Arc<AgentSeries>,
    connections: [(Listener, Gauge); 3],
    streams: Gauge,
    tasks: Gauge,
    health: Mutex<BTreeMap<&'static str, u64>>,
    lists: lists::RevocationLists,
    notifications: notifications::ByChannel,
    dispatches: series::Histogram,
    witnesses: witnesses::Witnesses,
    reloads_applied: Counter,
    reloads_refused: Counter,
    spans_exported: Counter,
    spans_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Numbers that all stand at zero.
    pub fn new() -> Self {
        Self::with_cap(DEFAULT_CAP)
    }

    /// The same with another bound on the agents that are counted one by one.
    pub fn with_cap(cap: usize) -> Self {
        let shared = Arc::new(Shared {
            agents: ArcSwap::default(),
            growing: Mutex::new(()),
            cap,
            here: Arc::default(),
            other: Arc::default(),
            connections: [Listener::Main, Listener::Plain, Listener::Admin]
                .map(|listener| (listener, Gauge::default())),
            streams: Gauge::default(),
            tasks: Gauge::default(),
            health: Mutex::default(),
            lists: lists::RevocationLists::default(),
            notifications: notifications::ByChannel::default(),
            dispatches: series::Histogram::default(),
            witnesses: witnesses::Witnesses::default(),
            reloads_applied: Counter::default(),
            reloads_refused: Counter::default(),
            spans_exported: Counter::default(),
            spans_dropped: Counter::default(),
        });
        let mut registry = Registry::with_prefix("moongate");
        registry.register_collector(Box::new(expose::Exposition(shared.clone())));
        Self { shared, registry }
    }

    /// Counts a request that has ended.
    pub fn record(&self, entry: &Entry) {
        let agents = self.shared.agents.load();
        match agents.get(&entry.target) {
            Some(series) => series.record(entry),
            None if &*entry.target == HERE => self.shared.here.record(entry),
            None => self.agent(&entry.target).record(entry),
        }
    }

    /// The series of an agent, to be kept by whoever sends to it; those of `other` if there are too many agents.
    pub fn agent(&self, name: &str) -> Arc<AgentSeries> {
        let shared = &self.shared;
        let known = |agents: &Agents| match agents.get(name) {
            Some(series) => Some(series.clone()),
            None if name == HERE => Some(shared.here.clone()),
            None if name == OTHER || agents.len() >= shared.cap => Some(shared.other.clone()),
            None => None,
        };
        if let Some(series) = known(&shared.agents.load()) {
            return series;
        }
        let _growing = shared.growing.lock();
        let agents = shared.agents.load_full();
        known(&agents).unwrap_or_else(|| {
            let series = Arc::<AgentSeries>::default();
            let mut next = Agents::clone(&agents);
            next.insert(name.into(), series.clone());
            shared.agents.store(Arc::new(next));
            series
        })
    }

    /// Ends the series of an agent that has gone.
    pub fn forget(&self, name: &str) {
        let _growing = self.shared.growing.lock();
        let mut next = Agents::clone(&self.shared.agents.load());
        if next.remove(name).is_some() {
            self.shared.agents.store(Arc::new(next));
        }
    }

    /// Connections that are open at a listener.
    pub fn connections(&self, listener: Listener) -> Gauge {
        let found = self.shared.connections.iter().find(|(of, _)| *of == listener);
        found.map(|(_, gauge)| gauge.clone()).unwrap_or_default()
    }

    /// Streams of events that are open to clients.
    pub fn streams(&self) -> Gauge {
        self.shared.streams.clone()
    }

    /// Tasks that the gateway knows.
    pub fn tasks(&self) -> Gauge {
        self.shared.tasks.clone()
    }

    /// How many agents' instances there are by health; replaces what was said before.
    pub fn set_agents(&self, by_health: &[(&'static str, u64)]) {
        *self.shared.health.lock() = by_health.iter().copied().collect();
    }

    /// How other domains' revocation lists stand; replaces what was said before.
    pub fn set_revocation_lists(&self, lists: Vec<RevocationList>) {
        self.shared.lists.set(lists);
    }

    /// The numbers of a channel by which people are told.
    pub fn notifications(&self, channel: &str) -> Notifications {
        self.shared.notifications.of(channel)
    }

    /// A request went out so long after people had said yes.
    pub fn dispatched(&self, after: std::time::Duration) {
        self.shared.dispatches.observe(after);
    }

    /// How witnesses of the audit log stand, and with whom a log has two histories; replaces what was said before.
    pub fn set_witnesses(&self, witnesses: Vec<Witness>, conflicts: Vec<(String, u64)>) {
        self.shared.witnesses.set(witnesses, conflicts);
    }

    /// Counts a reload of the configuration, applied or refused.
    pub fn config_reloaded(&self, applied: bool) {
        if applied { self.shared.reloads_applied.inc() } else { self.shared.reloads_refused.inc() }
    }

    /// Spans that a collector accepted.
    pub(crate) fn spans_exported(&self) -> Counter {
        self.shared.spans_exported.clone()
    }

    /// Spans that were thrown away because the collector was too slow or not there.
    pub(crate) fn spans_dropped(&self) -> Counter {
        self.shared.spans_dropped.clone()
    }

    /// Everything as OpenMetrics text, see [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a string cannot fail; a half-written answer would lack the end mark and so be refused.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
