//! The main listener's TLS: our certificate, whose client certificates are accepted, and what happens to open connections
//! when either changes.
//!
//! Each trust domain has a cache of revocation lists with a task that keeps it fresh. Over reloads it stays as long as the
//! domain's entry and the content of its bundle stay the same. Whatever changes, a list, a bundle or an entry, every open
//! connection's certificate is judged anew.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moongate_config::Config;
use moongate_config::schema::{Jwks, Peer, Revocation};
use moongate_core::seam::Clock;
use moongate_core::{Certificate, Problem, Time};
use moongate_identity::mtls::{self, Pin, Standing, Trust};
use moongate_identity::revocation::{Authorities, Lists, Policy, Revocations, Seams, Settings, Source, State, logged};
use moongate_identity::{Ca, ServerIdentity, server_config, tls};
use moongate_telemetry::metrics::{ListState, RevocationList};
use moongate_transport::{Certified, Pool, PoolConfig, TlsSlot};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::task::JoinHandle;

use super::listeners::host;
use super::names::SwappableNames;

/// How long a start, or a reload, waits for the first list of a domain that has none.
const FIRST_LIST: Duration = Duration::from_secs(5);

/// What the main listener trusts, and is trusted for.
pub(crate) struct Boundary {
    trust: Arc<Trust>,
    /// Who is connected with a client certificate.
    pub(crate) clients: Arc<Certified>,
    /// Servers of other domains that we are connected to.
    servers: Arc<Certified>,
    clock: Arc<dyn Clock>,
    domains: Mutex<Vec<Arc<Domain>>>,
    checking: Mutex<()>,
}

/// One trust domain, kept fresh until it is dropped.
struct Domain {
    entry: Peer,
    bundle: Vec<CertificateDer<'static>>,
    revocations: Arc<Revocations>,
    tending: Option<JoinHandle<()>>,
}

impl Drop for Domain {
    fn drop(&mut self) {
        if let Some(tending) = &self.tending {
            tending.abort();
        }
    }
}

/// Whom a configuration trusts, with everything read that can fail to be.
pub(crate) struct Prepared {
    domains: Vec<Arc<Domain>>,
    standing: Standing,
}

/// Reads a domain's authorities.
///
/// # Errors
/// `KeyUnusable` names the file and what is wrong with it.
pub(crate) fn bundle(peer: &Peer) -> Result<(Vec<CertificateDer<'static>>, Authorities), Problem> {
    let bundle = tls::read_roots(&peer.bundle)?;
    let authorities = Authorities::new(&bundle).map_err(|problem| {
        let detail = format!("{}, the bundle of {}: {}", peer.bundle.display(), peer.domain, problem.detail);
        Problem::new(problem.code, detail)
    })?;
    Ok((bundle, authorities))
}

impl Boundary {
    /// Trusts nobody yet.
    pub(crate) fn new(config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let trust = Arc::new(Trust::new(&config.domain, clock.clone(), logged()));
        let judge = trust.clone();
        let naming = move |chain: &[_]| -> Option<Arc<Certificate>> { judge.holder(chain) };
        let clients = Arc::new(Certified::new(Arc::new(naming)));
        let judge = trust.clone();
        let naming = move |chain: &[_]| -> Option<Arc<Certificate>> { judge.server(chain) };
        let servers = Arc::new(Certified::new(Arc::new(naming)));
        Self { trust, clients, servers, clock: clock.clone(), domains: Mutex::default(), checking: Mutex::default() }
    }

    /// Reads the bundles, and the revocation lists that were accepted before.
    ///
    /// # Errors
    /// `KeyUnusable` names the file that cannot be used; the store's, if it cannot be read.
    pub(crate) async fn prepare(self: &Arc<Self>, config: &Config, seams: &Seams) -> Result<Prepared, Problem> {
        let mut bundles = Vec::with_capacity(config.peers.len());
        for peer in &config.peers {
            bundles.push((peer, bundle(peer)?));
        }
        // All at once: each may wait for its first list.
        let domains = bundles.into_iter().map(|(peer, bundle)| self.held_or_new(peer, bundle, seams));
        let domains = futures_util::future::try_join_all(domains).await?;
        let pins = config.devices.iter().map(|device| Pin { name: device.name.clone(), sha256: device.pin });
        let revocations = domains.iter().map(|domain| domain.revocations.asked());
        let standing = Standing::new(revocations, &pins.collect::<Vec<_>>());
        Ok(Prepared { domains, standing })
    }

    /// The domain as it is tended already, or else a new one.
    async fn held_or_new(
        self: &Arc<Self>,
        peer: &Peer,
        (bundle, authorities): (Vec<CertificateDer<'static>>, Authorities),
        seams: &Seams,
    ) -> Result<Arc<Domain>, Problem> {
        let same = |held: &&Arc<Domain>| {
            let given = (peer.scopes.clone(), peer.agents.clone());
            let entry = Peer { scopes: given.0, agents: given.1, ..held.entry.clone() };
            entry == *peer && held.bundle == bundle
        };
        let held = self.domains.lock().iter().find(same).cloned();
        match held {
            Some(held) => Ok(held),
            None => self.domain(peer, (bundle, authorities), seams).await.map(Arc::new),
        }
    }

    async fn domain(
        self: &Arc<Self>,
        peer: &Peer,
        (bundle, authorities): (Vec<CertificateDer<'static>>, Authorities),
        seams: &Seams,
    ) -> Result<Domain, Problem> {
        let sources = peer.crl.iter().map(|one| match one {
            Jwks::Url(url) => Source::Url(url.clone()),
            Jwks::File(path) => Source::File(path.clone()),
        });
        let policy = match peer.revocation {
            Revocation::Hard => Policy::Hard,
            Revocation::Soft(grace) => Policy::Soft { grace },
            Revocation::Off => Policy::Off,
        };
        let sources = if policy == Policy::Off { Vec::new() } else { sources.collect() };
        let settings = Settings { domain: peer.domain.clone(), authorities, sources, policy };
        let revocations = Revocations::new(settings, seams.clone());
        let entry = peer.clone();
        if policy == Policy::Off {
            return Ok(Domain { entry, bundle, revocations, tending: None });
        }
        if revocations.restore().await? == 0 && tokio::time::timeout(FIRST_LIST, revocations.tick()).await.is_err() {
            tracing::warn!(domain = peer.domain, "the first revocation list keeps us waiting; we go on without it");
        }
        let tending = tokio::spawn(tend(self.clone(), revocations.clone()));
        Ok(Domain { entry, bundle, revocations, tending: Some(tending) })
    }

    /// From now on these are trusted; connections of others are closed.
    pub(crate) async fn trust(self: &Arc<Self>, prepared: Prepared) {
        self.trust.replace(prepared.standing);
        *self.domains.lock() = prepared.domains;
        let boundary = self.clone();
        let _ = tokio::task::spawn_blocking(move || boundary.recheck()).await;
    }

    /// Closes connections whose certificate has run out or does not hold any more.
    pub(crate) fn recheck(&self) {
        // One at a time: who comes meanwhile waits for what may have begun before its reason was there.
        let _one = self.checking.lock();
        let closed = self.clients.recheck() + self.servers.recheck();
        if closed > 0 {
            tracing::info!(closed, "connections were closed: the certificates of the other side do not hold any more");
        }
    }

    /// How the revocation lists stand of all domains that need some.
    pub(crate) fn lists(&self) -> Vec<RevocationList> {
        let now = self.clock.now();
        let domains = self.domains.lock();
        let asked = domains.iter().filter(|domain| domain.entry.revocation != Revocation::Off);
        asked.flat_map(|domain| standing(&domain.entry.domain, &domain.revocations.snapshot(), now)).collect()
    }

    /// Whether any connection has to be looked at now and then.
    pub(crate) fn has_certified(&self) -> bool {
        self.clients.open() + self.servers.open() > 0
    }

    /// Connections to a server with this SPIFFE id, which sees `identity` if it asks for a certificate.
    ///
    /// # Errors
    /// `KeyUnusable` if key and certificate do not belong together.
    pub(crate) fn pool(
        &self,
        id: &str,
        identity: Option<ServerIdentity>,
        limits: PoolConfig,
        names: Arc<SwappableNames>,
    ) -> Result<Pool, Problem> {
        let tls = mtls::client_config(&self.trust, id, identity)?;
        Ok(Pool::certified(limits, &tls, names, self.servers.clone()))
    }

    /// The listener's configuration: a certificate from files, or one of the gateway's own authority. Callers are asked
    /// for theirs if there is anybody who might have one.
    ///
    /// # Errors
    /// `KeyUnusable` names the file and what is wrong with it.
    pub(crate) fn tls(&self, config: &Config, address: SocketAddr) -> Result<Arc<rustls::ServerConfig>, Problem> {
        let identity = match (&config.tls.cert, &config.tls.key) {
            (Some(cert), Some(key)) => ServerIdentity::read(cert, key)?,
            _ => self.issue(config, address)?,
        };
        let asks = !(config.peers.is_empty() && config.devices.is_empty());
        server_config(identity, asks.then(|| self.trust.clone() as _)).map(Arc::new)
    }

    fn issue(&self, config: &Config, address: SocketAddr) -> Result<ServerIdentity, Problem> {
        let ca = Ca::load_or_make(&config.tls.ca_dir, &config.domain, self.clock.now())?;
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let public = config.public_url.as_deref().and_then(host);
        names.extend([Some(address.ip().to_string()), Some(config.domain.clone()), public].into_iter().flatten());
        names.sort();
        names.dedup();
        ca.issue_server(&names, self.clock.now())
    }

    /// A slot for the listener's configuration.
    ///
    /// # Errors
    /// As [`Boundary::tls`].
    pub(crate) fn slot(&self, config: &Config, address: SocketAddr) -> Result<Arc<TlsSlot>, Problem> {
        Ok(Arc::new(TlsSlot::new(self.tls(config, address)?)))
    }
}

/// How the lists of a domain's authorities stand.
fn standing(domain: &str, lists: &Lists, now: Time) -> Vec<RevocationList> {
    let standing = lists.standing(now).into_iter().map(|(authority, state)| {
        let (state, next_update) = match state {
            State::Fresh { until } => (ListState::Fresh, Some(until)),
            State::Grace { since, .. } => (ListState::Grace, Some(since)),
            State::Expired { since } => (ListState::Expired, Some(since)),
            State::Missing => (ListState::Missing, None),
        };
        let next_update = next_update.map(|at| at.0 as f64 / 1000.0);
        RevocationList { domain: domain.to_owned(), authority: authority.to_owned(), state, next_update }
    });
    standing.collect()
}

/// A listener's TLS that is ready to take the place of the one before; open connections keep theirs.
pub(crate) struct Renewed {
    pub(crate) slot: Arc<TlsSlot>,
    pub(crate) config: Arc<rustls::ServerConfig>,
}

impl Renewed {
    /// New connections see it from now on.
    pub(crate) fn show(self) {
        self.slot.replace(self.config);
    }
}

/// Keeps a domain's lists fresh, and judges open connections anew whenever they change.
async fn tend(boundary: Arc<Boundary>, revocations: Arc<Revocations>) {
    let mut changes = revocations.changes();
    let obey = async {
        while changes.changed().await.is_ok() {
            let boundary = boundary.clone();
            let _ = tokio::task::spawn_blocking(move || boundary.recheck()).await;
        }
    };
    tokio::join!(revocations.run(), obey);
}
