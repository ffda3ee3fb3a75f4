//! The ways out to agents, and what the gateway shows there: credentials and certificates of the configuration, kept over reloads that change nothing
//! about them, so that a token once fetched serves on and connections stay open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moongate_a2a::routing::credential::{Line, Shows};
use moongate_config::Config;
use moongate_config::schema::{Agent, Auth, ClientCertificate, ClientProof, OauthClient};
use moongate_core::seam::{Clock, Dialer};
use moongate_core::{Code, Problem};
use moongate_identity::ServerIdentity;
use moongate_identity::outbound::{AssertionKey, ClientCredentials, Proof, TokenRequest};
use moongate_transport::{HttpDialer, Pool, PoolConfig};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;

/// An agent's name, its client, and what its key's file held.
type ClientId = (String, OauthClient, Vec<u8>);

/// The ways out: connections, and what is shown over them.
pub(crate) struct Outbound {
    clock: Arc<dyn Clock>,
    dialer: Arc<dyn Dialer>,
    pool: Arc<Pool>,
    /// How connections are kept, and whom they trust.
    limits: PoolConfig,
    roots: Vec<CertificateDer<'static>>,
    clients: Mutex<HashMap<ClientId, Shows>>,
    lines: Mutex<HashMap<(ClientCertificate, Vec<u8>), Line>>,
}

impl Outbound {
    /// Opens nothing yet.
    pub(crate) fn new(config: &Config, cores: usize, clock: &Arc<dyn Clock>) -> Result<Self, Problem> {
        let ca = config.tls.ca_dir.join("ca.pem");
        let roots = if ca.exists() { moongate_identity::tls::read_roots(&ca)? } else { Vec::new() };
        let tls = moongate_identity::tls::client_config(&roots)?;
        // Many agents' servers close idle connections after five seconds; a request must not meet one that is closing.
        // Streams and watches hold connections for long; requests must not wait for them.
        let most = config.limits.streams + 4096;
        let idle_timeout = Duration::from_secs(3);
        let limits = PoolConfig { idle_timeout, max_per_origin: most, cores, ..PoolConfig::default() };
        let pool = Pool::new(limits, tls);
        Ok(Self {
            clock: clock.clone(),
            dialer: Arc::new(HttpDialer::new(pool.clone())),
            pool: Arc::new(pool),
            limits,
            roots,
            clients: Mutex::default(),
            lines: Mutex::default(),
        })
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
    pub(crate) fn shows(&self, agent: &Agent) -> Result<Option<Shows>, Problem> {
        let header = |name: &str, value: &str| {
            let shows = Shows::header(name, value);
            let why = || format!("the credential of the agent {} cannot stand in a header", agent.name);
            shows.ok_or_else(|| Problem::new(Code::ConfigWrongValue, why()))
        };
        match (&agent.auth, &agent.authorization) {
            (Some(Auth::Header { name, value }), _) => header(name, value.expose()).map(Some),
            (Some(Auth::Oauth(client)), _) => self.client(&agent.name, client).map(Some),
            (None, Some(value)) => header("authorization", value.expose()).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn client(&self, name: &str, client: &OauthClient) -> Result<Shows, Problem> {
        let key = match &client.proof {
            ClientProof::Secret(_) => Vec::new(),
            ClientProof::Key { path, .. } => std::fs::read(path).unwrap_or_default(),
        };
        let id = (name.to_owned(), client.clone(), key);
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
        let made = ClientCredentials::new(request, self.clock.clone(), self.dialer.clone());
        let shows = Shows::Fetched(Arc::new(made));
        let mut clients = self.clients.lock();
        clients.retain(|(held, ..), _| held != name);
        clients.insert(id, shows.clone());
        Ok(shows)
    }

    /// The line to an agent that is shown a certificate.
    ///
    /// # Errors
    /// Certificate or key cannot be used.
    pub(crate) fn line(&self, agent: &Agent) -> Result<Option<Line>, Problem> {
        let Some(certificate) = &agent.client_certificate else { return Ok(None) };
        let read = |path| std::fs::read(path).unwrap_or_default();
        let id = (certificate.clone(), [read(&certificate.cert), read(&certificate.key)].concat());
        if let Some(made) = self.lines.lock().get(&id) {
            return Ok(Some(made.clone()));
        }
        let identity = ServerIdentity::read(&certificate.cert, &certificate.key)?;
        let tls = moongate_identity::tls::client_config_with(&self.roots, Some(identity))?;
        let pool = Pool::new(self.limits, tls);
        let line = Line { dialer: Arc::new(HttpDialer::new(pool.clone())), pool: Arc::new(pool) };
        let mut lines = self.lines.lock();
        lines.retain(|(held, _), _| held != certificate);
        lines.insert(id, line.clone());
        Ok(Some(line))
    }
}
