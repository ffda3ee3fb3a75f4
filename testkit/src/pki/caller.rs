//! A client that makes every handshake in full and insists on one key exchange, so that handshakes can be counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SignatureScheme};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Identity, connect};

/// How both sides agree on keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The elliptic curve.
    X25519,
    /// The curve together with ML-KEM-768.
    X25519MlKem768,
}

/// Opens connections over TLS 1.3 that never resume a session.
pub struct Caller {
    config: Arc<ClientConfig>,
}

impl Caller {
    /// One that trusts `root`, presents `identities` in turn, one each time, and offers `group` alone.
    pub fn new(root: &CertificateDer<'static>, identities: &[Identity], group: Group) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let mut provider = default_provider();
        provider.kx_groups = vec![match group {
            Group::X25519 => kx_group::X25519,
            Group::X25519MlKem768 => kx_group::X25519MLKEM768,
        }];
        let key = |one: &Identity| {
            let key = provider.key_provider.load_private_key(one.private()).unwrap();
            Arc::new(CertifiedKey::new(one.chain.clone(), key))
        };
        let turns = Turns { keys: identities.iter().map(key).collect(), next: AtomicUsize::new(0) };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(turns));
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config) }
    }

    /// Opens a connection to `localhost` at that port. TLS 1.3 lets a client go ahead before the server has looked at its
    /// certificate: only an answer says that it was accepted.
    ///
    /// # Errors
    /// What the handshake failed by, or that it was not a full one in one round trip.
    pub async fn open(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = connect(address, self.config.clone()).await?;
        match stream.get_ref().1.handshake_kind() {
            Some(HandshakeKind::Full) => Ok(stream),
            kind => Err(std::io::Error::other(format!("a handshake of another kind: {kind:?}"))),
        }
    }
}

/// Certificates, each shown in its turn.
#[derive(Debug)]
struct Turns {
    keys: Vec<Arc<CertifiedKey>>,
    next: AtomicUsize,
}

impl ResolvesClientCert for Turns {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.keys.get(turn % self.keys.len().max(1)).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.keys.is_empty()
    }
}
