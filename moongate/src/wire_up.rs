//! Where the rooms are joined: from a configuration to a running gateway, and from a changed one to a gateway that has
//! taken it over.
//!
//! Everything that knows of two rooms which must not know each other stands here or in the modules below.

mod authority;
pub(crate) mod egress;
mod healths;
mod listeners;
mod names;
mod notify;
mod outbound;
pub(crate) mod record;
mod reload;
pub(crate) mod rules;
mod settings;
mod specs;
mod trust;
mod verifier;
pub(crate) mod witnesses;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moongate_a2a::api::Api;
use moongate_a2a::gateway::Addresses;
use moongate_a2a::routing::directory::Directory;
use moongate_a2a::routing::registry::{AgentRegistry, Grounds};
use moongate_a2a::tasks::courier::Courier;
use moongate_a2a::tasks::{Tasks, clockwork, courier, people, queue};
use moongate_a2a::{A2aGateway, Endpoint, Parts};
use moongate_approval::Desk;
use moongate_approval::channels::push::Push;
use moongate_config::{Config, Loaded};
use moongate_console::{Console, Pages, Users};
use moongate_core::seam::{self, Clock, Dialer, Store};
use moongate_core::{Code, Listener, Problem};
use moongate_flow::Flow;
use moongate_identity::revocation::Seams;
use moongate_identity::secret::Secret;
use moongate_identity::signing::Workshop;
use moongate_identity::{Notary, Vault};
use moongate_telemetry::{Exporter, ExporterConfig, Metrics, SystemClock, Telemetry};
use moongate_transport::{Cores, Drain};
use tokio::sync::Notify;

use crate::surface::lines::readers;
use crate::surface::{PublicHost, Pulse, Standing, Status, Surface};
use authority::Authorities;
use egress::SwappableEgress;
use notify::Notifications;
use outbound::Outbound;
use record::Records;
use trust::Renewed;
use witnesses::Witnessing;

pub(crate) use authority::Own;
pub(crate) use listeners::Listening;
pub(crate) use trust::{Boundary, bundle};
pub(crate) use verifier::Doorkeeper;

/// How long the admin listener's requests may go on, at least, when all others have ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// So many seconds lie between two looks at the certificates of open connections.
const RECHECK: u64 = 30;

/// A gateway with all its parts.
pub(crate) struct Running {
    pub(crate) gateway: Arc<A2aGateway>,
    pub(crate) registry: Arc<AgentRegistry>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) verifier: Arc<Doorkeeper>,
    pub(crate) boundary: Arc<Boundary>,
    seams: Seams,
    notary: Arc<Notary>,
    pub(crate) authorities: Arc<Authorities>,
    outbound: Outbound,
    notifications: Notifications,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) records: Arc<Records>,
    witnessing: Arc<Witnessing>,
    pub(crate) egress: Arc<SwappableEgress>,
    pub(crate) status: Arc<Status>,
    pub(crate) drain: Drain,
    /// The admin listener closes last: until then it says that the gateway lives and is not ready.
    last: Drain,
    pub(crate) listening: Vec<Listening>,
    level: moongate_telemetry::log::Level,
    pub(crate) surface: Arc<Surface>,
    public_host: Arc<PublicHost>,
    /// How long requests may go on at the end; a reload may change it.
    drain_limit: parking_lot::Mutex<Duration>,
    /// What connections run on, until the very end.
    _cores: Arc<Cores>,
    wake: Arc<Notify>,
}

/// Builds everything that a configuration asks for and opens the listeners; nothing is served yet when this returns an
/// error.
pub(crate) async fn start(loaded: &Loaded, level: moongate_telemetry::log::Level) -> Result<Arc<Running>, Problem> {
    let config = &loaded.config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = moongate_store::open(&config.store.url, &config.data_dir)?;
    let boundary = Arc::new(Boundary::new(config, &clock));
    let bound = listeners::bind(config, &boundary)?;
    let egress = Arc::new(SwappableEgress::new(config, bound.addresses()));
    let cores = cores()?;
    let outbound = Outbound::new(config, cores.count(), &clock, &boundary)?;
    let dialer = outbound.dialer();
    let records = Arc::new(Records::open(config, telemetry(config, &dialer), clock.clone())?);
    let witnessing = Witnessing::open(config, &records, &store, &dialer)?;
    let (telemetry, hook) = (records.telemetry.clone(), record::lists(records.clone()));
    let seams = Seams { store: store.clone(), clock: clock.clone(), dialer: dialer.clone(), hook };
    boundary.trust(boundary.prepare(config, &seams).await?).await;
    let vault: Arc<dyn seam::Vault> = Arc::new(Vault::load_or_make(&Vault::path(&config.data_dir))?);
    let workshop = Workshop { store: store.clone(), vault: vault.clone(), clock: clock.clone() };
    let (authorities, verifier) = identity(config, workshop.clone(), &bound, &dialer).await?;
    let flow = flow(config, &verifier, &clock, &records)?;
    let notary = Arc::new(Notary::load_or_make(workshop, dialer.clone()).await?);
    let desk = Desk::open(store.clone(), clock.clone(), moongate_approval::Limits::default()).await?;
    settings::desk(&desk, config).await?;
    let metrics = telemetry.metrics().clone();
    desk.observe(Box::new(move |after| metrics.dispatched(after)));
    let push = notify::push(&seams, &vault, &egress).await?;
    outbound.vouch_with(notary.vouching());
    let gateway = gateway(config, &seams, &egress, vault, (&notary, desk, &records, &verifier));
    gateway.addresses.store(Arc::new(Addresses(bound.public(config))));
    let grounds = grounds(&seams, &egress, &notary, &outbound, (&telemetry, bound.addresses()));
    let healths = healths::Healths::new(telemetry.feed().clone(), clock.clone());
    let registry = registry(config, grounds, &gateway, healths).await?;
    let (drain, last, status) = (Drain::new(), Drain::new(), Arc::new(Status::default()));
    let notifications =
        Notifications::new(&gateway, &telemetry, &outbound, &status, (push.clone(), authorities.people.clone()));
    let parts = (&gateway, &flow, &registry, &verifier);
    let told = (&telemetry, &status, &records, &witnessing, &push);
    let surface = surface(loaded, parts, told, (store, &drain, &bound, &boundary), &authorities);
    let (public_host, served) = (surface.public_host.clone(), surface.clone());
    let listening = bound.serve(config, (surface, &boundary), &telemetry, (&drain, &last), &cores);
    let running = Arc::new(Running {
        gateway,
        registry,
        flow,
        verifier,
        boundary,
        seams,
        notary,
        authorities,
        outbound,
        notifications,
        dialer,
        telemetry,
        records,
        witnessing,
        egress,
        status,
        drain,
        last,
        listening,
        level,
        surface: served,
        public_host,
        drain_limit: parking_lot::Mutex::new(config.limits.drain_seconds),
        _cores: cores,
        wake: Arc::new(Notify::new()),
    });
    running.configure_agents(config).await?;
    Ok(running)
}

/// What the registry stands on.
fn grounds(
    seams: &Seams,
    egress: &Arc<SwappableEgress>,
    notary: &Arc<Notary>,
    outbound: &Outbound,
    (telemetry, own): (&Arc<Telemetry>, Vec<std::net::SocketAddr>),
) -> Grounds {
    let Seams { store, clock, dialer, .. } = seams;
    Grounds {
        clock: clock.clone(),
        dialer: dialer.clone(),
        egress: egress.clone(),
        notary: notary.clone(),
        pool: outbound.pool(),
        metrics: telemetry.metrics().clone(),
        own,
        store: store.clone(),
    }
}

/// Agents that were registered before; what is known of them is the gateway's directory from now on.
async fn registry(
    config: &Config,
    grounds: Grounds,
    gateway: &Arc<A2aGateway>,
    healths: healths::Healths,
) -> Result<Arc<AgentRegistry>, Problem> {
    let published = gateway.clone();
    let publish = move |directory| {
        healths.published(&directory);
        published.directory.store(Arc::new(directory));
    };
    let registry = Arc::new(AgentRegistry::new(grounds, settings::registry(config)?, publish));
    registry.restore().await?;
    Ok(registry)
}

/// The gateway without agents.
fn gateway(
    config: &Config,
    seams: &Seams,
    egress: &Arc<SwappableEgress>,
    vault: Arc<dyn seam::Vault>,
    (notary, desk, records, verifier): (&Arc<Notary>, Arc<Desk>, &Arc<Records>, &Arc<Doorkeeper>),
) -> Arc<A2aGateway> {
    let Seams { store, clock, dialer, .. } = seams;
    Arc::new(A2aGateway::new(Parts {
        directory: Directory::empty(),
        settings: settings::gateway(config),
        courier: Courier { dialer: dialer.clone(), egress: egress.clone(), give_up: config.tasks.push_seconds },
        clock: clock.clone(),
        notary: notary.clone(),
        verifier: verifier.clone(),
        desk,
        recorder: records.clone(),
        tasks: Arc::new(Tasks::new(store.clone(), clock.clone(), vault)),
        retry_budget_percent: u32::from(config.balance.retry_budget_percent),
    }))
}

/// Who gives tokens, and who looks at them.
async fn identity(
    config: &Config,
    workshop: Workshop,
    bound: &listeners::AllBound,
    dialer: &Arc<dyn Dialer>,
) -> Result<(Arc<Authorities>, Arc<Doorkeeper>), Problem> {
    let clock = workshop.clock.clone();
    let authorities = Arc::new(Authorities::open(config, workshop, &bound.public(config)).await?);
    let secret = Secret::load_or_make(&secret_path(config))?;
    let tokens = verifier::tokens(config, (None, authorities.own.load_full()), &clock, dialer);
    let verifier = Arc::new(Doorkeeper::new(config, secret, bound.facing_out(), tokens, clock));
    Ok((authorities, verifier))
}

/// The pipeline's standing parts.
fn flow(
    config: &Config,
    verifier: &Arc<Doorkeeper>,
    clock: &Arc<dyn Clock>,
    records: &Arc<Records>,
) -> Result<Arc<Flow>, Problem> {
    Ok(Arc::new(Flow {
        verifier: verifier.clone(),
        policy: arc_swap::ArcSwap::from_pointee(rules::policy(config)?),
        meter: moongate_flow::Meter::new(&config.domain, rates(config)),
        clock: clock.clone(),
        recorder: records.clone(),
    }))
}

/// How often callers may ask.
pub(crate) fn rates(config: &Config) -> moongate_flow::Rates {
    let limits = &config.limits;
    let rate = |per_second: Option<u32>| Some(moongate_flow::Rate::new(per_second?, limits.burst_seconds));
    moongate_flow::Rates {
        caller: rate(limits.caller_requests_per_second),
        domain: rate(limits.domain_requests_per_second),
        address: rate(limits.address_requests_per_second),
    }
}

/// Numbers, and spans where a collector is named.
fn telemetry(config: &Config, dialer: &Arc<dyn Dialer>) -> Arc<Telemetry> {
    let metrics = Arc::new(Metrics::new());
    let exporter = config.telemetry.otlp.as_ref().map(|endpoint| {
        let config = ExporterConfig { endpoint: endpoint.clone(), service_name: config.telemetry.service_name.clone() };
        Exporter::start(&config, dialer.clone(), &metrics)
    });
    Arc::new(Telemetry::new(metrics, exporter, config.log.access))
}

/// What tells of the gateway, and of what happens in it.
type Told<'a> = (&'a Arc<Telemetry>, &'a Arc<Status>, &'a Arc<Records>, &'a Arc<Witnessing>, &'a Arc<Push>);

/// What the listeners serve.
fn surface(
    loaded: &Loaded,
    (gateway, flow, registry, verifier): (&Arc<A2aGateway>, &Arc<Flow>, &Arc<AgentRegistry>, &Arc<Doorkeeper>),
    (telemetry, status, records, witnessing, push): Told<'_>,
    (store, drain, bound, boundary): (Arc<dyn Store>, &Drain, &listeners::AllBound, &Arc<Boundary>),
    authorities: &Authorities,
) -> Arc<Surface> {
    let config = &loaded.config;
    let endpoint = Arc::new(Endpoint::new(gateway.clone(), flow.clone(), drain.clone()));
    let api = Api::new(endpoint.clone(), registry.clone(), verifier.clone());
    let Authorities { own, people, public, .. } = authorities;
    public.opened(bound.opened());
    Arc::new(Surface {
        endpoint,
        api,
        registry: registry.clone(),
        telemetry: telemetry.clone(),
        records: records.clone(),
        status: status.clone(),
        store,
        drain: drain.clone(),
        facing_out: bound.facing_out(),
        public_host: Arc::new(PublicHost::from_pointee(config.public_url.as_deref().and_then(listeners::host))),
        verifier: verifier.clone(),
        authority: own.clone(),
        pages: Pages::new(
            people.clone(),
            own.clone(),
            public.clone(),
            gateway.clock.clone(),
            gateway.desk.clone(),
            push.clone(),
        ),
        push: push.clone(),
        users: Users::new(people.clone(), public.clone(), own.clone(), gateway.desk.clone()),
        console: Console::new(people.clone(), own.clone(), public.clone(), gateway.clock.clone()),
        admin: bound.address(Listener::Admin),
        pulse: Arc::new(Pulse::new(&*gateway.clock)),
        standing: Arc::new(Standing::new(loaded, gateway.clock.now())),
        readers: readers(),
        boundary: boundary.clone(),
        witnessing: witnessing.clone(),
    })
}

/// The file by which an operator at this machine is known.
pub(crate) fn secret_path(config: &Config) -> PathBuf {
    config.data_dir.join("operator.secret")
}

/// A runtime for each core of the machine.
fn cores() -> Result<Arc<Cores>, Problem> {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = Cores::start(count);
    cores.map(Arc::new).map_err(|error| Problem::new(Code::Internal, format!("no thread for connections: {error}")))
}

impl Running {
    /// Hands the configured agents to the registry; their cards are fetched in the background.
    async fn configure_agents(self: &Arc<Self>, config: &Config) -> Result<(), Problem> {
        let specs = specs::specs(config, &self.outbound)?;
        let settings = settings::registry(config)?;
        let registry = self.registry.clone();
        tokio::spawn(async move { registry.configure(settings, specs).await });
        Ok(())
    }

    /// Takes up the tasks that the last run left, once every configured agent has been tried, and looks after all tasks
    /// from then on.
    async fn tend_tasks(self: Arc<Self>) {
        while !self.registry.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while let Err(problem) = clockwork::recover(&self.gateway).await {
            tracing::error!(%problem, "the tasks of the last run cannot be taken up; trying again");
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let gateway = &self.gateway;
        let courier = courier::run(gateway.tasks.clone(), gateway.courier.clone());
        let queue = queue::run(gateway.clone(), self.drain.clone());
        let people = people::run(gateway.clone(), self.drain.clone());
        tokio::join!(queue, people, clockwork::run(gateway.clone()), courier);
    }

    /// Runs until told to stop: looks at heartbeats, probes and the configuration file, then drains.
    pub(crate) async fn run(self: Arc<Self>, loaded: Loaded) {
        self.records.did("gateway.start", "-", None, Some(env!("CARGO_PKG_VERSION")));
        self.records.asks_by_default(&loaded.config);
        self.notifications.apply(&loaded.config, &self.listening);
        let reloads = tokio::spawn(reload::watch(self.clone(), loaded));
        let ticks = tokio::spawn(ticks(self.clone()));
        let keys = tokio::spawn(tend_keys(self.clone()));
        let tasks = tokio::spawn(self.clone().tend_tasks());
        let grants = tokio::spawn(self.authorities.clone().tend());
        let pulse = tokio::spawn(tend_pulse(self.clone()));
        let witnesses = tokio::spawn(self.witnessing.clone().run());
        self.wake.notified().await;
        reloads.abort();
        ticks.abort();
        keys.abort();
        tasks.abort();
        grants.abort();
        pulse.abort();
        witnesses.abort();
    }

    /// Stops: no new work, what is in flight may end, streams are told.
    pub(crate) async fn stop(&self, limit: Duration) -> usize {
        self.drain.begin();
        tracing::info!("the gateway shuts down; what is in flight may end");
        let began = self.flow.clock.mono();
        let left = self.drain.drained(limit).await;
        self.last.begin();
        let rest = limit.saturating_sub(self.flow.clock.mono() - began).max(LAST_WORDS);
        let left = left + self.last.drained(rest).await;
        self.records.did("gateway.stop", "-", None, None);
        let records = self.records.clone();
        let _ = tokio::task::spawn_blocking(move || records.close()).await;
        self.telemetry.close(Duration::from_secs(2)).await;
        self.wake.notify_one();
        left
    }

    /// How long requests may go on when the gateway stops.
    pub(crate) fn drain_limit(&self) -> Duration {
        *self.drain_limit.lock()
    }

    /// The main listener's TLS as a configuration wants it.
    fn tls(&self, config: &Config) -> Result<Option<Renewed>, Problem> {
        let Some(main) = self.listening.iter().find(|held| held.listener == Listener::Main) else { return Ok(None) };
        let Some(slot) = &main.tls else { return Ok(None) };
        Ok(Some(Renewed { slot: slot.clone(), config: self.boundary.tls(config, main.address)? }))
    }

    /// The address of a listener, as it was really opened.
    pub(crate) fn address(&self, listener: Listener) -> Option<std::net::SocketAddr> {
        self.listening.iter().find(|held| held.listener == listener).map(|held| held.address)
    }
}

/// Once a second: leases, probes, gauges; now and then, whether the certificates of open connections still hold.
async fn ticks(running: Arc<Running>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seconds = 0_u64;
    loop {
        interval.tick().await;
        running.registry.tick().await;
        running.records.tell_refusals();
        running.witnessing.count();
        let [up, suspect, down] = running.registry.census().map(|count| count as u64);
        let metrics = running.telemetry.metrics();
        metrics.set_agents(&[("up", up), ("suspect", suspect), ("down", down)]);
        metrics.set_revocation_lists(running.boundary.lists());
        metrics.tasks().set(i64::try_from(running.gateway.tasks.in_memory()).unwrap_or(i64::MAX));
        let streams = running.gateway.streams.load(std::sync::atomic::Ordering::Relaxed);
        metrics.streams().set(i64::try_from(streams).unwrap_or(i64::MAX));
        if seconds.is_multiple_of(RECHECK) && running.boundary.has_certified() {
            let boundary = running.boundary.clone();
            tokio::task::spawn_blocking(move || boundary.recheck());
        }
        seconds += 1;
        for held in &running.listening {
            metrics.connections(held.listener).set(held.open.load(std::sync::atomic::Ordering::Relaxed) as i64);
        }
    }
}

/// Every few seconds: how much is going on.
async fn tend_pulse(running: Arc<Running>) {
    running.surface.pulse.tend(running.telemetry.metrics(), &*running.gateway.clock).await;
}

/// Once an hour: keys that have signed for long enough.
async fn tend_keys(running: Arc<Running>) {
    let mut interval = tokio::time::interval(Duration::from_secs(3600));
    loop {
        interval.tick().await;
        match running.notary.tend().await {
            Ok(true) => running.registry.rebuild(),
            Ok(false) => {}
            Err(problem) => {
                tracing::warn!(%problem, "the key that signs cards could not be replaced; it goes on signing");
            }
        }
    }
}

/// A problem of the command line as one.
pub(crate) fn failed(detail: impl Into<String>) -> Problem {
    Problem::new(Code::CommandFailed, detail.into())
}
