//! Certificate authorities of other domains, whatever they sign, and clients that present it.

mod caller;

use std::sync::Arc;

pub use caller::{Caller, Group};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    /// The certificates between it and the root, its own first.
    above: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// A root.
    pub fn root(name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate, above: Vec::new() }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut above = vec![certificate.der().clone()];
        above.extend(self.above.iter().cloned());
        Self { issuer: Issuer::new(params, key), certificate, above }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// A good client certificate with this URI, after `change`.
    pub fn client_with(&self, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri).unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.above.iter().cloned());
        Identity { chain, key }
    }

    /// A good client certificate with this URI.
    pub fn client(&self, uri: &str) -> Identity {
        self.client_with(uri, |_| ())
    }

    /// A good server certificate with this URI and this serial number, for no host.
    pub fn server(&self, uri: &str, serial: u64) -> Identity {
        self.client_with(uri, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.serial_number = Some(serial.into());
        })
    }

    /// A good server certificate for this host.
    pub fn host(&self, name: &str) -> Identity {
        let name = SanType::DnsName(Ia5String::try_from(name).unwrap());
        self.client_with("", |params| {
            params.subject_alt_names = vec![name];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        })
    }

    /// A revocation list in PEM that names these serial numbers and counts for so many seconds from now.
    pub fn crl(&self, number: u64, revoked: &[u64], seconds: i64) -> String {
        let now = rcgen::date_time_ymd(1970, 1, 1) + std::time::UNIX_EPOCH.elapsed().unwrap();
        let from = now - std::time::Duration::from_secs(3600);
        let until = if seconds >= 0 {
            now + std::time::Duration::from_secs(seconds.unsigned_abs())
        } else {
            now - std::time::Duration::from_secs(seconds.unsigned_abs())
        };
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: from,
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: from,
            next_update: until,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A certificate that somebody has, with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    /// One that nobody but itself vouches for.
    pub fn of_its_own(uri: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri).unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        Self { chain: vec![params.self_signed(&key).unwrap().der().clone()], key }
    }

    /// One that lies in files, as `moongate ca issue` writes them.
    pub fn read(certificate: &std::path::Path, key: &std::path::Path) -> Self {
        use rustls::pki_types::pem::PemObject;
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
        Self { chain, key: KeyPair::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap() }
    }

    /// SHA-256 of its SubjectPublicKeyInfo, as the configuration wants it.
    pub fn pin(&self) -> String {
        use base64::Engine;
        let digest = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            &rcgen::PublicKeyData::subject_public_key_info(&self.key),
        );
        format!("sha256:{}", base64::engine::general_purpose::STANDARD.encode(digest.as_ref()))
    }

    /// Its chain and its key, in PEM.
    pub fn pem(&self) -> [String; 2] {
        use base64::Engine;
        let one = |der: &CertificateDer<'_>| {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        };
        [self.chain.iter().map(one).collect(), self.key.serialize_pem()]
    }

    /// The configuration of a server that shows it.
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(self.chain.clone(), self.private()).unwrap())
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    /// The same certificate without the authorities above it.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.chain.truncate(1);
        self
    }
}

/// A client's configuration that trusts `root` and presents `identity`. It resumes sessions wherever it can.
pub fn client_config(root: &CertificateDer<'static>, identity: Option<&Identity>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.private()).unwrap(),
        None => builder.with_no_client_auth(),
    };
    Arc::new(config)
}

/// Opens a connection to `localhost` at that port.
///
/// # Errors
/// What the handshake failed by.
pub async fn connect(
    address: std::net::SocketAddr,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}
