//! Whether a peer's chain leads to its domain's authorities, and none of its certificates is revoked; both directions.
//!
//! - The whole chain is looked up, and a certificate whose status no list tells is refused.
//! - Without any list at all `webpki` would ask nothing; here nobody is let in then, unless lists are switched off.
//! - The moment is the handshake's: a list that expires between two refreshes counts as expired at once.
//! - Root names are not sent to clients: who our partners are is not for strangers.
//! - Resumed connections are not verified by rustls at all. Whoever uses these verifiers switches resumption off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use moongate_core::Time;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationOptions, RevocationOptionsBuilder,
    VerifiedPath,
};

use super::crl::Crl;
use super::event::{Event, Hook};
use super::lists::{Lists, Policy, State};

/// Keys of authorities with the same names are tried in so many combinations at most.
const MOST_TURNS: usize = 16;

/// Whether a server's certificate must name the host that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// It must.
    Checked,
    /// It need not: whoever wraps the verifier checks another identity, as a SPIFFE id.
    Ignored,
}

/// The verifier of one domain at one epoch.
pub struct ChainVerifier {
    lists: Arc<Lists>,
    names: Names,
    algorithms: WebPkiSupportedAlgorithms,
    hook: Hook,
}

impl ChainVerifier {
    /// A verifier by these lists.
    pub fn new(lists: Arc<Lists>, names: Names, hook: Hook) -> Self {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Self { lists, names, algorithms, hook }
    }

    /// Judges a chain.
    ///
    /// # Errors
    /// As rustls names them: `Revoked`, `UnknownRevocationStatus`, `ExpiredRevocationListContext`, `UnknownIssuer`, …
    pub fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let certificate = EndEntityCert::try_from(end_entity).map_err(told)?;
        let between: Vec<CertificateDer<'_>> = intermediates
            .iter()
            .chain(&self.lists.authorities.between)
            .map(|one| CertificateDer::from(&**one))
            .collect();
        let at = Time(now.as_secs().saturating_mul(1000));
        let anchors = &self.lists.authorities.anchors;
        let mut refused = None;
        for serving in self.serving(at) {
            let revocation = self.revocation(&serving)?;
            match certificate.verify_for_usage(self.algorithms.all, anchors, &between, now, usage, revocation, None) {
                Ok(path) => {
                    self.tell_of_grace(&path, at);
                    return Ok(());
                }
                Err(webpki::Error::CertRevoked) => return Err(CertificateError::Revoked.into()),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.map_or_else(|| CertificateError::UnknownRevocationStatus.into(), told))
    }

    /// The lists that may be asked: expired ones remain among them where none is forgiven, so that the reason is told.
    ///
    /// `webpki` asks the first list with the issuer's name, and refuses if another key signed it. While an authority
    /// changes its key, two have that name: then each key's lists are asked in turn.
    fn serving(&self, now: Time) -> Vec<Vec<&CertRevocationList<'static>>> {
        let hard = self.lists.policy == Policy::Hard;
        let serves = |list: &&Arc<Crl>| hard || !matches!(self.lists.state_of(list, now), State::Expired { .. });
        let serving: Vec<&Arc<Crl>> = self.lists.lists.iter().filter(serves).collect();
        let mut keys: BTreeMap<&[u8], Vec<[u8; 32]>> = BTreeMap::new();
        for list in &serving {
            let known = keys.entry(&list.issuer).or_default();
            if !known.contains(&list.fingerprint) {
                known.push(list.fingerprint);
            }
        }
        let turns = keys.values().map(Vec::len).product::<usize>().min(MOST_TURNS);
        let turn = |turn: usize| {
            let mut rest = turn;
            let chosen: BTreeMap<&[u8], Option<[u8; 32]>> = keys
                .iter()
                .map(|(issuer, keys)| {
                    let key = keys.get(rest % keys.len().max(1)).copied();
                    rest /= keys.len().max(1);
                    (*issuer, key)
                })
                .collect();
            let asked = |list: &&&Arc<Crl>| chosen.get(list.issuer.as_slice()) == Some(&Some(list.fingerprint));
            serving.iter().filter(asked).map(|list| &list.entries).collect()
        };
        (0..turns).map(turn).collect()
    }

    fn revocation<'a>(
        &self,
        serving: &'a [&'a CertRevocationList<'a>],
    ) -> Result<Option<RevocationOptions<'a>>, rustls::Error> {
        let expiration = match self.lists.policy {
            Policy::Off => return Ok(None),
            Policy::Soft { .. } => ExpirationPolicy::Ignore,
            Policy::Hard => ExpirationPolicy::Enforce,
        };
        // Depth and unknown status keep their defaults: the whole chain, denied.
        let builder = RevocationOptionsBuilder::new(serving).map_err(|_| CertificateError::UnknownRevocationStatus)?;
        Ok(Some(builder.with_expiration_policy(expiration).build()))
    }

    fn tell_of_grace(&self, path: &VerifiedPath<'_>, now: Time) {
        if self.lists.policy == Policy::Off {
            return;
        }
        let issuers: Vec<&[u8]> = std::iter::once(path.end_entity().issuer())
            .chain(path.intermediate_certificates().map(|one| one.issuer()))
            .collect();
        for list in self.lists.lists.iter().filter(|list| issuers.contains(&list.entries.issuer())) {
            if let State::Grace { since, until } = self.lists.state_of(list, now) {
                let domain = self.lists.domain.clone();
                (self.hook)(&Event::Grace { domain, authority: list.authority.clone(), since, until });
            }
        }
    }
}

impl fmt::Debug for ChainVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainVerifier").field("lists", &self.lists).field("names", &self.names).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ChainVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, KeyUsage::client_auth(), now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(end_entity, intermediates, KeyUsage::server_auth(), now)?;
        if self.names == Names::Checked {
            let certificate = EndEntityCert::try_from(end_entity).map_err(told)?;
            certificate.verify_is_valid_for_subject_name(name).map_err(told)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_1_3())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn only_1_3() -> rustls::Error {
    rustls::Error::General("only TLS 1.3 is spoken here".to_owned())
}

/// The same in rustls' words, from which it chooses the alert.
fn told(error: webpki::Error) -> rustls::Error {
    use webpki::Error;
    let told = match error {
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::BadEncoding,
        Error::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Error::InvalidCertValidity => CertificateError::Expired,
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        Error::CertNotValidForName(_) => CertificateError::NotValidForName,
        Error::CertRevoked => CertificateError::Revoked,
        Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Error::CrlExpired { time, next_update } => CertificateError::ExpiredRevocationListContext { time, next_update },
        Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    told.into()
}
