//! TLS configurations: version 1.3 only, in both directions, with one provider (aws-lc-rs, X25519MLKEM768 first).
//!
//! TLS 1.2 is absent twice: rustls is built without it, and the versions are named here. Early data is off, because it
//! can be replayed (RFC 8446 §8).
//!
//! Where client certificates may come, no session is resumed: rustls takes over the certificate of the session before
//! without judging it again, so a revoked one would go on.

use std::path::Path;
use std::sync::Arc;

use moongate_core::{Code, Problem};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::file;

/// A certificate with its chain, the leaf first, and its key.
#[derive(Debug)]
pub struct ServerIdentity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl ServerIdentity {
    /// Reads PEM files; the key's must be nobody else's to read.
    ///
    /// # Errors
    /// `KeyUnusable` names the file and what is wrong with it.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Problem> {
        let chain = read_roots(certificate)?;
        Ok(Self { chain, key: file::read_key(key)? })
    }

    /// The certificates, the leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// All certificates of a PEM file.
///
/// # Errors
/// `KeyUnusable` if the file cannot be read or holds none.
pub fn read_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(file::unusable(path, &"it holds no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(file::unusable(path, &file::worded(&error))),
    }
}

/// The configuration of a listener, for HTTP/2 and HTTP/1.1. With `clients`, callers may present a certificate.
///
/// # Errors
/// `KeyUnusable` if key and certificate do not belong together or are of a kind that TLS 1.3 does not know.
pub fn server_config(
    identity: ServerIdentity,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, Problem> {
    let refuse =
        |error: rustls::Error| Problem::new(Code::KeyUnusable, format!("the certificate cannot be used: {error}"));
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(refuse)?;
    let asks = clients.is_some();
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(identity.chain, identity.key).map_err(refuse)?;
    if asks {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    Ok(config)
}

/// The configuration of outgoing connections: the web's authorities and these.
///
/// # Errors
/// `KeyUnusable` if one of the further authorities is not a certificate.
pub fn client_config(further: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, Problem> {
    client_config_with(further, None)
}

/// The same, with a certificate for servers that ask for one.
///
/// # Errors
/// As [`client_config`]; and `KeyUnusable` if key and certificate do not belong together.
pub fn client_config_with(
    further: &[CertificateDer<'static>],
    identity: Option<ServerIdentity>,
) -> Result<Arc<ClientConfig>, Problem> {
    let refuse =
        |error: rustls::Error| Problem::new(Code::KeyUnusable, format!("an authority cannot be trusted: {error}"));
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in further {
        roots.add(certificate.clone()).map_err(refuse)?;
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refuse)?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(|error| Problem::new(Code::KeyUnusable, format!("the certificate cannot be shown: {error}")))?,
    };
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
