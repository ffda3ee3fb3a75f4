//! The agent registry: who is there, where from, and whether they live.
//!
//! Entries come from the configuration or over the API; those of the API are stored and survive a restart. Each change
//! makes a new [`Directory`], which is all that requests see. Cards are fetched here, judged here, and kept: an agent
//! whose card cannot be read is named with the reason while everything else goes on.

pub mod build;
pub mod fetch;
pub mod health;
pub mod signature;
pub mod spec;
pub mod upstreams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use moongate_core::seam::notary::Notary;
use moongate_core::seam::{Clock, Dialer, Egress, RegistryRow, Store};
use moongate_core::{AgentName, Code, InstanceId, Mono, Principal, Problem, Time};
use moongate_transport::Pool;
use moongate_wire::a2a::card::Card;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::balance::{self, Health, Instance};
use super::directory::{Directory, Routes};
use health::{Lease, Standing};
use signature::Verdict;
use spec::Spec;

/// Who made an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration; nobody else may change it.
    Config,
    /// A principal, by id.
    Api(String),
}

/// One entry and what is known of it.
pub(crate) struct Entry {
    pub(crate) spec: Spec,
    pub(crate) source: Source,
    pub(crate) card: Option<Arc<Card>>,
    pub(crate) etag: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) problem: Option<Problem>,
    pub(crate) load: Arc<Instance>,
    pub(crate) beat_at: Option<Time>,
    pub(crate) failures: u32,
    pub(crate) probe_at: Mono,
    pub(crate) updated_at: Time,
}

/// Settings of the registry; swapped on reload.
#[derive(Clone)]
pub struct RegistrySettings {
    /// The lease of entries that beat.
    pub lease: Lease,
    /// How often an entry that never beat is probed.
    pub probe: Duration,
    /// The most entries.
    pub limit: usize,
    /// How an answer may take where the entry does not say.
    pub request_timeout: Duration,
    /// How instances are balanced.
    pub balance: balance::Settings,
    /// The operator's routes.
    pub routes: Arc<Routes>,
    /// The agent for what nobody else claims.
    pub default_agent: Option<AgentName>,
    /// Whether texts are matched to skills.
    pub intent: bool,
    /// How sure a match must be.
    pub threshold: f32,
}

/// What the registry stands on.
pub struct Grounds {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Fetches cards.
    pub dialer: Arc<dyn Dialer>,
    /// Judges strangers' addresses.
    pub egress: Arc<dyn Egress>,
    /// Judges the signatures of cards.
    pub notary: Arc<dyn Notary>,
    /// Connections to agents.
    pub pool: Arc<Pool>,
    /// Numbers for each agent.
    pub metrics: Arc<moongate_telemetry::Metrics>,
    /// The gateway's own listeners, which no agent can be.
    pub own: Vec<std::net::SocketAddr>,
    /// Keeps entries of the API.
    pub store: Arc<dyn Store>,
}

/// The registry.
pub struct AgentRegistry {
    pub(crate) grounds: Grounds,
    pub(crate) settings: Mutex<RegistrySettings>,
    entries: Mutex<BTreeMap<InstanceId, Entry>>,
    publish: Box<dyn Fn(Directory) + Send + Sync>,
    revision: AtomicU64,
    attempted: AtomicBool,
}

impl AgentRegistry {
    /// An empty registry that hands each new directory to `publish`.
    pub fn new(
        grounds: Grounds,
        settings: RegistrySettings,
        publish: impl Fn(Directory) + Send + Sync + 'static,
    ) -> Self {
        Self {
            grounds,
            settings: Mutex::new(settings),
            entries: Mutex::new(BTreeMap::new()),
            publish: Box::new(publish),
            revision: AtomicU64::new(1),
            attempted: AtomicBool::new(false),
        }
    }

    /// The connections by which an entry is reached.
    pub(crate) fn pool<'a>(&'a self, spec: &'a Spec) -> &'a Pool {
        spec.line.as_ref().map_or(&*self.grounds.pool, |line| &*line.pool)
    }

    /// Whether every configured agent's card has been tried once.
    pub fn is_ready(&self) -> bool {
        self.attempted.load(Ordering::Relaxed)
    }

    /// Reads the entries that an earlier run stored.
    ///
    /// # Errors
    /// The store cannot be read. A single row that cannot be understood is logged and left alone.
    pub async fn restore(&self) -> Result<(), Problem> {
        for row in self.grounds.store.registry().rows().await? {
            match serde_json::from_slice::<Spec>(&row.document) {
                Ok(spec) => {
                    let mut entry = self.entry(spec, Source::Api(row.owner));
                    entry.beat_at = row.beat_at;
                    entry.updated_at = row.updated_at;
                    self.entries.lock().insert(entry.spec.id(), entry);
                }
                Err(error) => {
                    tracing::warn!(id = row.id, %error, "a stored agent cannot be understood and is left alone")
                }
            }
        }
        Ok(())
    }

    fn entry(&self, spec: Spec, source: Source) -> Entry {
        let now = self.grounds.clock.mono();
        let settings = self.settings.lock();
        let balance = spec.balance.clone().unwrap_or_else(|| settings.balance.clone());
        let load = Arc::new(Instance::new(spec.id(), spec.weight, now, &balance));
        load.set_health(Health::Down, now);
        let updated_at = self.grounds.clock.now();
        Entry {
            spec,
            source,
            card: None,
            etag: None,
            verdict: Verdict::default(),
            problem: None,
            load,
            beat_at: None,
            failures: 0,
            probe_at: now,
            updated_at,
        }
    }

    /// Removes the rows of entries that have gone.
    async fn give_way(&self, gone: &[InstanceId]) {
        for id in gone {
            tracing::warn!(entry = %id, "an entry made over the API bore the name of an agent of the configuration, and was removed");
            if let Err(problem) = self.grounds.store.registry().remove(id.to_string()).await {
                tracing::error!(entry = %id, %problem, "its row cannot be removed; it is not taken up all the same");
            }
        }
    }

    /// Takes over the agents of a configuration: new ones come, changed ones are fetched again, others stay as they are.
    pub async fn configure(self: &Arc<Self>, settings: RegistrySettings, specs: Vec<Spec>) {
        let soonest = self.grounds.clock.mono().plus(settings.probe);
        *self.settings.lock() = settings;
        let mut fresh = Vec::new();
        let strangers: Vec<InstanceId>;
        {
            let mut entries = self.entries.lock();
            let wanted: BTreeMap<InstanceId, Spec> = specs.into_iter().map(|spec| (spec.id(), spec)).collect();
            entries.retain(|id, entry| entry.source != Source::Config || wanted.contains_key(id));
            // An agent of the configuration is its alone: what others registered under its name goes.
            let named = |entry: &Entry| wanted.values().any(|spec| spec.name == entry.spec.name);
            strangers = entries
                .iter()
                .filter(|(_, entry)| entry.source != Source::Config && named(entry))
                .map(|(id, _)| id.clone())
                .collect();
            entries.retain(|id, _| !strangers.contains(id));
            for entry in entries.values_mut() {
                entry.probe_at = entry.probe_at.min(soonest);
            }
            for (id, spec) in wanted {
                let same_place = entries.get(&id).is_some_and(|held| {
                    let same =
                        held.spec.at == spec.at && held.spec.signature == spec.signature && held.spec.line == spec.line;
                    held.source == Source::Config && same
                });
                match entries.get_mut(&id).filter(|_| same_place) {
                    Some(held) => {
                        held.load.set_weight(spec.weight);
                        held.spec = spec;
                    }
                    None => fresh.push((id, spec)),
                }
            }
        }
        self.give_way(&strangers).await;
        let mut replaced = Vec::new();
        for (id, spec) in fresh {
            let entry = self.entry(spec, Source::Config);
            let mut entries = self.entries.lock();
            match entries.get(&id) {
                // Who serves goes on until its successor's card is there.
                Some(held) if held.card.is_some() => replaced.push(entry),
                _ => drop(entries.insert(id, entry)),
            }
        }
        self.rebuild();
        if !replaced.is_empty() {
            self.replace_all(replaced).await;
        }
        let bare = self.entries.lock().iter().filter(|(_, e)| e.card.is_none()).map(|(id, _)| id.clone()).collect();
        self.probe_all(bare).await;
        self.attempted.store(true, Ordering::Relaxed);
    }

    /// Puts entries in the place of others of the same id, once their cards have been tried.
    async fn replace_all(self: &Arc<Self>, entries: Vec<Entry>) {
        let mut running = tokio::task::JoinSet::new();
        for mut entry in entries {
            let registry = self.clone();
            running.spawn(async move {
                if let Ok(fetch::Fetched::Card { card, etag, verdict }) =
                    fetch::card(&registry, &entry.spec, None).await
                {
                    entry.card = Some(Arc::from(card));
                    (entry.etag, entry.verdict) = (etag, verdict);
                    entry.load.set_health(Health::Up, registry.grounds.clock.mono());
                    entry.probe_at = registry.grounds.clock.mono().plus(registry.settings.lock().probe);
                }
                registry.entries.lock().insert(entry.spec.id(), entry);
            });
        }
        while running.join_next().await.is_some() {}
        self.rebuild();
    }

    /// Fetches the cards of these entries, sixteen at a time, and publishes what came of it.
    pub(crate) async fn probe_all(self: &Arc<Self>, ids: Vec<InstanceId>) {
        let gate = Arc::new(tokio::sync::Semaphore::new(16));
        let mut running = tokio::task::JoinSet::new();
        for id in ids {
            let (registry, gate) = (self.clone(), gate.clone());
            running.spawn(async move {
                let _turn = gate.acquire().await;
                registry.probe(&id).await
            });
        }
        let mut changed = false;
        while let Some(result) = running.join_next().await {
            changed |= result.unwrap_or(false);
        }
        if changed {
            self.rebuild();
        }
    }

    /// Looks at one entry's card; whether anything changed that requests should know.
    async fn probe(&self, id: &InstanceId) -> bool {
        // A signed card is read whole each time: whether its signature holds is as fresh as the keys.
        let whole = |entry: &Entry| entry.card.as_ref().is_none_or(|card| card.signed);
        let Some((spec, had)) =
            self.entries.lock().get(id).map(|e| (e.spec.clone(), e.etag.clone().filter(|_| !whole(e))))
        else {
            return false;
        };
        let result = fetch::card(self, &spec, had.as_deref()).await;
        let now = self.grounds.clock.mono();
        let usual = self.settings.lock().probe;
        let mut entries = self.entries.lock();
        let Some(entry) = entries.get_mut(id).filter(|entry| entry.spec == spec) else { return false };
        let before = (entry.load.health(), entry.problem.is_some());
        let mut changed = false;
        match result {
            Ok(fetch::Fetched::Same) => entry.failures = 0,
            Ok(fetch::Fetched::Card { card, etag, verdict }) => {
                changed = entry.card.as_ref().is_none_or(|held| held.document != card.document);
                entry.card = Some(Arc::from(card));
                (entry.etag, entry.verdict) = (etag, verdict);
                entry.failures = 0;
                entry.problem = None;
            }
            Err(problem) => {
                if entry.failures == 0 {
                    tracing::warn!(agent = %id, %problem, fields = ?problem.fields, inside = problem.inside, "an agent's card cannot be used");
                }
                entry.failures = entry.failures.saturating_add(if entry.card.is_none() { 3 } else { 1 });
                entry.problem = Some(problem);
            }
        }
        if entry.failures == 0 {
            entry.problem = None;
        }
        entry.probe_at = now.plus(health::next_probe(entry.failures, usual));
        if entry.beat_at.is_none() {
            entry.load.set_health(health::by_probe(entry.failures), now);
        }
        changed || before != (entry.load.health(), entry.problem.is_some())
    }

    /// Registers an agent over the API.
    ///
    /// # Errors
    /// What is wrong with the registration, the card or the caller's right to it.
    pub async fn register(self: &Arc<Self>, who: &Principal, body: &Value) -> Result<(Value, bool), Problem> {
        let mut spec = Spec::read(body)?;
        let fetched = fetch::card(self, &spec, None).await?;
        let fetch::Fetched::Card { card, etag, verdict } = fetched else {
            return Err(Problem::new(Code::CardUnreachable, "the agent answered its card's address without a card"));
        };
        if spec.name.is_empty() {
            spec.name = name_from(&card.name)?;
        }
        fetch::judge(self, &spec, &card)?;
        let id = spec.id();
        let replaced = {
            let limit = self.settings.lock().limit;
            let entries = self.entries.lock();
            // An instance speaks for its whole agent: the name belongs to whoever made the first entry.
            for held in entries.values().filter(|held| held.spec.name == spec.name) {
                may_change(held, who)?;
            }
            match entries.get(&id) {
                Some(_) => {}
                None if entries.len() >= limit => {
                    return Err(Problem::new(Code::RegistryFull, format!("{limit} agents are registered already")));
                }
                None => {}
            }
            entries.contains_key(&id)
        };
        let now = self.grounds.clock.now();
        let row = RegistryRow {
            id: id.to_string(),
            owner: who.id.to_string(),
            document: serde_json::to_vec(&spec).unwrap_or_default(),
            beat_at: None,
            updated_at: now,
        };
        self.grounds.store.registry().upsert(row).await?;
        let mut entry = self.entry(spec, Source::Api(who.id.to_string()));
        entry.card = Some(Arc::from(card));
        (entry.etag, entry.verdict) = (etag, verdict);
        entry.load.set_health(Health::Up, self.grounds.clock.mono());
        entry.probe_at = self.grounds.clock.mono().plus(self.settings.lock().probe);
        self.entries.lock().insert(id.clone(), entry);
        self.rebuild();
        let view = self.view(id.as_str(), who).ok_or_else(|| Problem::new(Code::Internal, "the entry vanished"))?;
        Ok((view, !replaced))
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// `NoSuchEntry`, `EntryConfigured` or `EntryOwned`.
    pub async fn remove(&self, who: &Principal, id: &str) -> Result<(), Problem> {
        {
            let entries = self.entries.lock();
            let held = entries.get(id).ok_or_else(|| no_entry(id))?;
            may_change(held, who)?;
        }
        self.grounds.store.registry().remove(id.to_owned()).await?;
        self.forget(id);
        self.rebuild();
        Ok(())
    }

    /// Drops an entry, and its agent's numbers if it was the last instance.
    fn forget(&self, id: &str) {
        let mut entries = self.entries.lock();
        let Some(entry) = entries.remove(id) else { return };
        if !entries.values().any(|other| other.spec.name == entry.spec.name) {
            self.grounds.metrics.forget(&entry.spec.name);
        }
    }

    /// Takes a heartbeat.
    ///
    /// # Errors
    /// `NoSuchEntry` or `EntryOwned`.
    pub async fn beat(&self, who: &Principal, id: &str) -> Result<Value, Problem> {
        let now = self.grounds.clock.now();
        let (revived, stored, lease) = {
            let lease = self.settings.lock().lease;
            let mut entries = self.entries.lock();
            let entry = entries.get_mut(id).ok_or_else(|| no_entry(id))?;
            if let Source::Api(owner) = &entry.source
                && **owner != *who.id
                && !is_operator(who)
            {
                return Err(owned(id));
            }
            // A configured agent stays under the eye of the probes, whoever speaks for it.
            if entry.source != Source::Config {
                entry.beat_at = Some(now);
            }
            entry.failures = 0;
            let was = entry.load.health();
            entry.load.set_health(Health::Up, self.grounds.clock.mono());
            (was != Health::Up, entry.source != Source::Config, lease)
        };
        if stored {
            self.grounds.store.registry().beat(vec![(id.to_owned(), now)]).await?;
        }
        if revived {
            self.rebuild();
        }
        Ok(
            json!({"id": id, "health": "up", "interval_seconds": seconds(lease.interval), "ttl_seconds": seconds(lease.ttl)}),
        )
    }

    /// Looks at the clock: leases that ran out, probes that are due. Called every second.
    pub async fn tick(self: &Arc<Self>) {
        let (now, mono) = (self.grounds.clock.now(), self.grounds.clock.mono());
        let lease = self.settings.lock().lease;
        let (mut changed, mut gone, mut due) = (false, Vec::new(), Vec::new());
        for (id, entry) in self.entries.lock().iter_mut() {
            match entry.beat_at.map(|beat| health::by_beat(beat, now, lease)) {
                Some(Standing::Known(health)) if entry.load.health() == health => {}
                Some(Standing::Known(health)) => {
                    tracing::info!(agent = %id, health = health.as_str(), "an agent's heartbeat changed its standing");
                    entry.load.set_health(health, mono);
                    changed = true;
                }
                Some(Standing::Gone) if entry.source != Source::Config => gone.push(id.clone()),
                Some(Standing::Gone) => entry.beat_at = None,
                None => {}
            }
            if entry.probe_at <= mono && (entry.beat_at.is_none() || entry.card.is_none()) {
                entry.probe_at = mono.plus(Duration::from_secs(60));
                due.push(id.clone());
            }
        }
        for id in gone {
            tracing::info!(agent = %id, "an agent without heartbeat is removed");
            if let Err(problem) = self.grounds.store.registry().remove(id.to_string()).await {
                tracing::warn!(agent = %id, %problem, "a removed agent is still stored");
            }
            self.forget(id.as_str());
            changed = true;
        }
        if changed {
            self.rebuild();
        }
        if !due.is_empty() {
            let registry = self.clone();
            tokio::spawn(async move { registry.probe_all(due).await });
        }
    }

    /// Makes a new directory of what is known and publishes it.
    pub fn rebuild(&self) {
        let revision = self.revision.fetch_add(1, Ordering::Relaxed);
        let directory = {
            let entries = self.entries.lock();
            build::directory(self, &entries, revision)
        };
        (self.publish)(directory);
    }

    /// One entry as the API shows it. Addresses only to those who may register or run the gateway.
    pub fn view(&self, id: &str, who: &Principal) -> Option<Value> {
        self.entries.lock().get(id).map(|entry| render(entry, who, self.grounds.clock.mono()))
    }

    /// All entries, by id.
    pub fn views(&self, who: &Principal) -> Vec<Value> {
        let now = self.grounds.clock.mono();
        self.entries.lock().values().map(|entry| render(entry, who, now)).collect()
    }

    /// How many entries are up, suspect and down.
    pub fn census(&self) -> [usize; 3] {
        let mut census = [0; 3];
        for entry in self.entries.lock().values() {
            let slot = match entry.load.health() {
                Health::Up => 0,
                Health::Suspect => 1,
                Health::Down => 2,
            };
            if let Some(count) = census.get_mut(slot) {
                *count += 1;
            }
        }
        census
    }
}

fn render(entry: &Entry, who: &Principal, now: Mono) -> Value {
    let card = entry.card.as_ref();
    let load = entry.load.snapshot(now, &entry.spec.balance.clone().unwrap_or_default());
    let mut view = json!({
        "id": entry.spec.id(),
        "name": entry.spec.name,
        "health": entry.load.health().as_str(),
        "source": match &entry.source { Source::Config => "config", Source::Api(_) => "api" },
        "weight": entry.spec.weight,
        "zone": entry.spec.zone,
        "skills": card.map(|card| card.skills.iter().map(|skill| skill.id.clone()).collect::<Vec<_>>()).unwrap_or_default(),
        "interfaces": card.map(|card| card.interfaces.iter().filter_map(|interface| {
            interface.binding.map(|binding| format!("{}/{}", binding.as_str(), interface.version.as_str()))
        }).collect::<Vec<_>>()).unwrap_or_default(),
        "description": card.and_then(|card| card.document.get("description").cloned()),
        "signature": card.map(|_| entry.verdict.view()),
        "pending": load.pending,
        "ejected_seconds": load.ejected_for.map(|rest| rest.as_secs()),
        "beat_at": entry.beat_at.map(crate::moment::write),
        "updated_at": crate::moment::write(entry.updated_at),
        "problem": entry.problem.as_ref().map(|problem| json!({
            "code": problem.code.to_string(),
            "detail": problem.detail,
            "fields": problem.fields.iter().map(|f| json!({"field": f.field, "description": f.description})).collect::<Vec<_>>(),
            "hint": problem.code.hint(),
        })),
    });
    if who.has_scope("register") {
        let at = match &entry.spec.at {
            spec::At::CardUrl(url) => json!({ "card_url": url }),
            spec::At::Address { address, protocol, .. } => json!({"address": address, "protocol": protocol}),
            spec::At::SameCard(address) => json!({ "address": address }),
            spec::At::Card(_) => json!({"card": "inline"}),
        };
        if let Some(members) = view.as_object_mut() {
            members.insert("at".into(), at);
        }
    }
    view
}

/// Seconds, whole if they are.
fn seconds(span: Duration) -> Value {
    if span.subsec_nanos() == 0 { json!(span.as_secs()) } else { json!(span.as_secs_f64()) }
}

fn is_operator(who: &Principal) -> bool {
    who.has_scope("admin:*")
}

fn may_change(held: &Entry, who: &Principal) -> Result<(), Problem> {
    let id = held.spec.id();
    match &held.source {
        Source::Config => {
            Err(Problem::new(Code::EntryConfigured, format!("the agent {id} comes from the configuration")))
        }
        Source::Api(owner) if **owner == *who.id || is_operator(who) => Ok(()),
        Source::Api(_) => Err(owned(id.as_str())),
    }
}

fn owned(id: &str) -> Problem {
    Problem::new(Code::EntryOwned, format!("the entry {id} belongs to somebody else"))
}

fn no_entry(id: &str) -> Problem {
    Problem::new(Code::NoSuchEntry, format!("there is no entry {id}"))
}

/// A name for an agent whose registrant gave none, from its card: lower case, other characters become `-`.
fn name_from(card_name: &str) -> Result<String, Problem> {
    let mut name: String = card_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c.to_ascii_lowercase() } else { '-' })
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let name: String = name.trim_matches(['-', '.', '_']).chars().take(64).collect();
    AgentName::parse(&name).map(|name| name.to_string()).map_err(|why| {
        Problem::new(
            Code::InvalidParams,
            format!("the card's name {card_name:?} makes no agent name: {why}; send a name"),
        )
        .field("name", "is missing")
    })
}
