//! Certificates of other domains and of devices, in both directions: whose they are, and who has to vouch for them.
//!
//! - A certificate names its trust domain itself ([`SpiffeId`]); only that domain's authorities are then asked whether it
//!   holds. So a partner's authority never makes a name of another domain.
//! - A device may instead have a key that the operator pinned (SHA-256 of its SubjectPublicKeyInfo). The key alone counts
//!   then: the certificate around it may be signed by anybody and have run out.
//! - Nobody has to present a certificate: what a caller without one may do is decided for each request.
//! - The names of the authorities are not sent: who our partners are is nobody's business (RFC 8446 §4.2.4 leaves it free).
//!
//! A server of another domain is verified the same way: by its domain's authorities and its id, and not by the name of its host.
//!
//! What is trusted is replaced as a whole ([`Trust::replace`]); every verdict belongs to one state of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use moongate_core::seam::Clock;
use moongate_core::{Certificate, Code, Mono, Problem, Time};
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::KeyUsage;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::revocation::{ChainVerifier, Hook, Lists};
use crate::spiffe::SpiffeId;
use crate::tls::{ServerIdentity, provider};

/// Chains whose verdict is remembered, and for how long: a handshake asks twice, and callers come back.
const MOST_SEEN: usize = 4096;
const SEEN: Duration = Duration::from_secs(5);
/// Refusals are told this seldom.
const TOLD: Duration = Duration::from_secs(1);

/// Who shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Side {
    fn usage(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

/// Whether a certificate says what it is for: `webpki` refuses one for the other side, and takes one that says nothing for both.
fn says_for_what(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    match certificate.extended_key_usage() {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("it does not say whether it is a client's or a server's (extended key usage)"),
        Err(_) => Err("its extended key usage cannot be read"),
    }
}

/// A key that stands for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What the device is called.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub sha256: [u8; 32],
}

/// A domain's authorities and what they have taken back, as they are whenever it is asked for.
pub type Snapshot = Arc<dyn Fn() -> Arc<Lists> + Send + Sync>;

/// All that is trusted at one time.
pub struct Standing {
    /// By domain: its authorities, and what they have taken back.
    domains: HashMap<Arc<str>, Snapshot>,
    pins: HashMap<[u8; 32], Arc<str>>,
    /// Chains that were found to hold in this state.
    seen: Mutex<HashMap<[u8; 32], Seen>>,
}

/// A chain that was found to hold.
struct Seen {
    certificate: Arc<Certificate>,
    /// By these lists; with others, it is looked at anew.
    lists: Option<Arc<Lists>>,
    /// From then on too.
    until: Mono,
}

impl Standing {
    /// Trusts these domains and devices.
    pub fn new(domains: impl IntoIterator<Item = (Arc<str>, Snapshot)>, pins: &[Pin]) -> Self {
        let pins = pins.iter().map(|pin| (pin.sha256, format!("device/{}", pin.name).into()));
        Self { domains: domains.into_iter().collect(), pins: pins.collect(), seen: Mutex::default() }
    }

    fn is_current(&self, lists: &Arc<Lists>) -> bool {
        self.domains.get(lists.domain()).is_some_and(|snapshot| Arc::ptr_eq(&snapshot(), lists))
    }
}

/// Judges client certificates.
pub struct Trust {
    own_domain: Arc<str>,
    state: ArcSwap<Standing>,
    clock: Arc<dyn Clock>,
    algorithms: WebPkiSupportedAlgorithms,
    hook: Hook,
    /// When a refusal was told last.
    told: Mutex<Option<Mono>>,
}

impl Trust {
    /// Trusts nobody yet. Pinned devices belong to `own_domain`.
    pub fn new(own_domain: &str, clock: Arc<dyn Clock>, hook: Hook) -> Self {
        let state = Standing::new([], &[]);
        let algorithms = provider().signature_verification_algorithms;
        Self {
            own_domain: own_domain.into(),
            state: ArcSwap::from_pointee(state),
            clock,
            algorithms,
            hook,
            told: Mutex::default(),
        }
    }

    /// From now on these are trusted, and nobody else.
    pub fn replace(&self, standing: Standing) {
        self.state.store(Arc::new(standing));
    }

    /// Whom a chain names, the leaf first; `None` if it does not hold now.
    pub fn holder(&self, chain: &[CertificateDer<'static>]) -> Option<Arc<Certificate>> {
        let (leaf, others) = chain.split_first()?;
        self.judge(leaf, others, Side::Client, self.clock.now()).ok()
    }

    /// The same for a server's chain.
    pub fn server(&self, chain: &[CertificateDer<'static>]) -> Option<Arc<Certificate>> {
        let (leaf, others) = chain.split_first()?;
        self.judge(leaf, others, Side::Server, self.clock.now()).ok()
    }

    /// Says why a certificate is refused, at most once a second: whoever tries all the time fills no log.
    fn tell(&self, id: &str, why: &dyn std::fmt::Display) {
        let now = self.clock.mono();
        let mut told = self.told.lock();
        if told.is_none_or(|before| now.since(before) >= TOLD) {
            *told = Some(now);
            tracing::warn!(id, %why, "a certificate is refused");
        }
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        side: Side,
        now: Time,
    ) -> Result<Arc<Certificate>, rustls::Error> {
        let state = self.state.load();
        let id = chain_id(leaf, others, side);
        let mono = self.clock.mono();
        if let Some(seen) = state.seen.lock().get(&id)
            && seen.until > mono
            && seen.certificate.expires_at.is_none_or(|end| end > now)
            && seen.lists.as_ref().is_none_or(|lists| state.is_current(lists))
        {
            return Ok(seen.certificate.clone());
        }
        let (certificate, lists) = self.look(&state, leaf, others, side, now)?;
        let certificate = Arc::new(certificate);
        let mut seen = state.seen.lock();
        if seen.len() >= MOST_SEEN {
            seen.clear();
        }
        seen.insert(id, Seen { certificate: certificate.clone(), lists, until: mono.plus(SEEN) });
        Ok(certificate)
    }

    fn look(
        &self,
        state: &Standing,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        side: Side,
        now: Time,
    ) -> Result<(Certificate, Option<Arc<Lists>>), rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        let thumbprint = sha256(leaf);
        if let (Side::Client, Some(device)) = (side, state.pins.get(&sha256(parsed.public_key().raw))) {
            let domain = self.own_domain.clone();
            return Ok((Certificate { id: device.clone(), domain, thumbprint, expires_at: None }, None));
        }
        let id = SpiffeId::of(&parsed).and_then(|id| says_for_what(&parsed).map(|()| id)).map_err(|why| {
            self.tell("-", &why);
            CertificateError::ApplicationVerificationFailure
        })?;
        let Some(snapshot) = state.domains.get(id.domain()) else {
            self.tell(id.as_str(), &"it is of a trust domain that is not among [[peers]]");
            return Err(CertificateError::UnknownIssuer.into());
        };
        let lists = snapshot();
        let verifier = ChainVerifier::new(lists.clone(), self.hook.clone());
        let at = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        verifier.check(leaf, others, side.usage(), at).inspect_err(|error| self.tell(id.as_str(), error))?;
        let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        let expires_at = Some(Time(end.saturating_mul(1000).saturating_add(1000)));
        let certificate = Certificate { id: id.as_str().into(), domain: id.domain().into(), thumbprint, expires_at };
        Ok((certificate, Some(lists)))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Which chain it is, whatever it holds.
fn chain_id(leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], side: Side) -> [u8; 32] {
    let mut hashes = vec![side as u8];
    hashes.extend(sha256(leaf));
    others.iter().for_each(|other| hashes.extend(sha256(other)));
    sha256(&hashes)
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("own_domain", &self.own_domain).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates, Side::Client, self.clock.now())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies one server of another domain.
#[derive(Debug)]
struct ServerOf {
    trust: Arc<Trust>,
    id: String,
}

impl ServerCertVerifier for ServerOf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = self.trust.judge(end_entity, intermediates, Side::Server, self.trust.clock.now())?;
        if *certificate.id == *self.id {
            return Ok(ServerCertVerified::assertion());
        }
        tracing::debug!(id = %certificate.id, expected = self.id, "a server is another one than expected");
        Err(CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls12_signature(&*self.trust, message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls13_signature(&*self.trust, message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ClientCertVerifier::supported_verify_schemes(&*self.trust)
    }
}

/// The configuration of connections to the server of another domain that has this SPIFFE id; `identity` is shown to those
/// that ask. No session is resumed: a resumed one is not verified again.
///
/// # Errors
/// `KeyUnusable` if key and certificate do not belong together.
pub fn client_config(
    trust: &Arc<Trust>,
    id: &str,
    identity: Option<ServerIdentity>,
) -> Result<Arc<ClientConfig>, Problem> {
    let refuse =
        |error: rustls::Error| Problem::new(Code::KeyUnusable, format!("the certificate cannot be shown: {error}"));
    let verifier = Arc::new(ServerOf { trust: trust.clone(), id: id.to_owned() });
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(refuse)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).map_err(refuse)?,
    };
    config.enable_early_data = false;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
