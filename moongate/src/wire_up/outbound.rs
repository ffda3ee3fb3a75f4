//! The ways out to agents, and what the gateway shows there: credentials and certificates of the configuration, kept over reloads that change nothing
//! about them, so that a token once fetched serves on and connections stay open.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moongate_a2a::routing::credential::{Line, Shows};
use moongate_config::Config;
use moongate_config::schema::{Agent, Auth, ClientCertificate, ClientProof, ExchangeSubject, OauthClient};
use moongate_core::seam::{Clock, Dialer};
use moongate_core::{Code, Problem};
use moongate_identity::outbound::{
    AssertionKey, ClientCredentials, Proof, Subject, TokenExchange, TokenRequest, Voucher,
};
use moongate_identity::{ServerIdentity, SigningKeys};
use moongate_transport::{HttpDialer, Pool, PoolConfig};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;

use super::names::SwappableNames;
use super::trust::Boundary;

/// An agent's name, its client, what its key's file held, and for whom it asks.
type ClientId = (String, OauthClient, Vec<u8>, Asks);

/// For whom tokens are asked, and by what these are known.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Asks {
    /// The gateway itself.
    Itself,
    /// Callers, by their tokens.
    ByTokens,
    /// Callers, by the word of the gateway of this URL.
    ByWord(String),
}

/// A certificate with what its files held, and the id on the other side.
type LineId = (Option<(ClientCertificate, Vec<u8>)>, Option<String>);

/// The ways out: connections, and what is shown over them.
pub(crate) struct Outbound {
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    pool: Arc<Pool>,
    /// How connections are kept, and whom they trust.
    limits: PoolConfig,
    roots: Vec<CertificateDer<'static>>,
    clients: Mutex<HashMap<ClientId, Shows>>,
    lines: Mutex<HashMap<LineId, Line>>,
    boundary: Arc<Boundary>,
    pub(crate) names: Arc<SwappableNames>,
    /// What the gateway's word for its callers is signed with.
    vouching: OnceLock<Arc<SigningKeys>>,
}

impl Outbound {
    /// Opens nothing yet.
    pub(crate) fn new(
        config: &Config,
        cores: usize,
        clock: &Arc<dyn Clock>,
        boundary: &Arc<Boundary>,
    ) -> Result<Self, Problem> {
        let ca = config.tls.ca_dir.join("ca.pem");
        let roots = if ca.exists() { moongate_identity::tls::read_roots(&ca)? } else { Vec::new() };
        let tls = moongate_identity::tls::client_config(&roots)?;
        // Many agents' servers close idle connections after five seconds; a request must not meet one that is closing.
        // Streams and watches hold connections for long; requests must not wait for them.
        let most = config.limits.streams + 4096;
        let idle_timeout = Duration::from_secs(3);
        let limits = PoolConfig { idle_timeout, max_per_origin: most, cores, ..PoolConfig::default() };
        let names = Arc::new(SwappableNames::new(config)?);
        let pool = Pool::with_resolver(limits, &tls, names.clone());
        Ok(Self {
            clock: clock.clone(),
            dialer: Arc::new(HttpDialer::new(pool.clone())),
            pool: Arc::new(pool),
            limits,
            roots,
            clients: Mutex::default(),
            lines: Mutex::default(),
            boundary: boundary.clone(),
            names,
            vouching: OnceLock::new(),
        })
    }

    /// The gateway's word for its callers is signed with these; they are made after the ways out.
    pub(crate) fn vouch_with(&self, keys: Arc<SigningKeys>) {
        let _ = self.vouching.set(keys);
    }

    /// Connections without a certificate of the gateway.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        self.pool.clone()
    }

    /// Small whole requests over them.
    pub(crate) fn dialer(&self) -> Arc<dyn Dialer> {
        self.dialer.clone()
    }

    /// What an agent is shown.
    ///
    /// # Errors
    /// A key's file cannot be used.
    pub(crate) fn shows(&self, config: &Config, agent: &Agent) -> Result<Option<Shows>, Problem> {
        let header = |name: &str, value: &str| {
            let shows = Shows::header(name, value);
            let why = || format!("the credential of the agent {} cannot stand in a header", agent.name);
            shows.ok_or_else(|| Problem::new(Code::ConfigWrongValue, why()))
        };
        match (&agent.auth, &agent.authorization) {
            (Some(Auth::Header { name, value }), _) => header(name, value.expose()).map(Some),
            (Some(Auth::Oauth(client)), _) => self.client(&config.domain, &agent.name, client, Asks::Itself).map(Some),
            (Some(Auth::Exchange { client, subject }), _) => {
                let asks = match subject {
                    ExchangeSubject::Token => Asks::ByTokens,
                    ExchangeSubject::Assertion => Asks::ByWord(config.public_url.clone().unwrap_or_default()),
                };
                self.client(&config.domain, &agent.name, client, asks).map(Some)
            }
            (None, Some(value)) => header("authorization", value.expose()).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn client(&self, domain: &str, name: &str, client: &OauthClient, asks: Asks) -> Result<Shows, Problem> {
        let key = match &client.proof {
            ClientProof::Secret(_) => Vec::new(),
            ClientProof::Key { path, .. } => std::fs::read(path).unwrap_or_default(),
        };
        let id = (name.to_owned(), client.clone(), key, asks.clone());
        if let Some(made) = self.clients.lock().get(&id) {
            return Ok(made.clone());
        }
        let request = TokenRequest {
            name: name.to_owned(),
            url: client.token_url.clone(),
            client: client.client_id.clone(),
            proof: match &client.proof {
                ClientProof::Secret(secret) => Proof::Secret(secret.clone()),
                ClientProof::Key { path, id } => Proof::Assertion(AssertionKey::read(path, id.clone())?),
            },
            scope: client.scope.clone(),
            audience: client.audience.clone(),
            resource: client.resource.clone(),
        };
        let (clock, dialer) = (self.clock.clone(), self.dialer.clone());
        let subject = match asks {
            Asks::Itself => None,
            Asks::ByTokens => Some(Subject::Token),
            Asks::ByWord(issuer) => {
                let missing = || Problem::new(Code::Internal, "the keys of the gateway's word are not at hand");
                let keys = self.vouching.get().ok_or_else(missing)?.clone();
                Some(Subject::Assertion(Voucher { keys, issuer, domain: domain.to_owned() }))
            }
        };
        let shows = Shows::Fetched(match subject {
            None => Arc::new(ClientCredentials::new(request, clock, dialer)),
            Some(subject) => Arc::new(TokenExchange::new(request, subject, clock, dialer)),
        });
        let mut clients = self.clients.lock();
        clients.retain(|(held, ..), _| held != name);
        clients.insert(id, shows.clone());
        Ok(shows)
    }

    /// The line to an agent that is shown a certificate, or must show one of another domain.
    ///
    /// # Errors
    /// Certificate or key cannot be used.
    pub(crate) fn line(&self, agent: &Agent) -> Result<Option<Line>, Problem> {
        if agent.client_certificate.is_none() && agent.spiffe.is_none() {
            return Ok(None);
        }
        let read = |path: &std::path::Path| std::fs::read(path).unwrap_or_default();
        let shown = agent.client_certificate.as_ref();
        let shown = shown.map(|shown| (shown.clone(), [read(&shown.cert), read(&shown.key)].concat()));
        let id = (shown, agent.spiffe.clone());
        if let Some(made) = self.lines.lock().get(&id) {
            return Ok(Some(made.clone()));
        }
        let identity = agent.client_certificate.as_ref().map(|own| ServerIdentity::read(&own.cert, &own.key));
        let identity = identity.transpose()?;
        let names = self.names.clone();
        let pool = match &agent.spiffe {
            Some(id) => self.boundary.pool(id, identity, self.limits, names)?,
            None => {
                let tls = moongate_identity::tls::client_config_with(&self.roots, identity)?;
                Pool::with_resolver(self.limits, &tls, names)
            }
        };
        let line = Line { dialer: Arc::new(HttpDialer::new(pool.clone())), pool: Arc::new(pool) };
        let mut lines = self.lines.lock();
        // What was shown before, with other content, is not shown again.
        let file = |id: &LineId| id.0.as_ref().map(|(certificate, _)| certificate.clone());
        lines.retain(|held, _| (file(held), &held.1) != (file(&id), &id.1));
        lines.insert(id, line.clone());
        Ok(Some(line))
    }
}
