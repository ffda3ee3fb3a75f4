//! Whether a peer's chain leads to its domain's authorities, and none of its certificates is revoked; both directions.
//!
//! - `webpki` builds the path and verifies it; the lists are asked here. They were verified when they were accepted, and
//!   asking is one look-up for each certificate, however long they are.
//! - The whole chain is looked up, by issuer, key and serial number. What any list names is revoked, be it expired, of
//!   another scope, or older than others: so no list can be put in front of another one.
//! - The newest list that may name a certificate must hold at the handshake's moment; where there is none, the certificate is
//!   refused. An authority that divides its lists by distribution points is judged by the newest of them.
//!
//! What rustls wants of a verifier stands in `crate::mtls`, which asks here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::Time;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{CertificateError, OtherError};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, KeyUsage};

use super::crl::Crl;
use super::event::{Event, Hook};
use super::lists::{Lists, Policy, State};

/// The verifier of one domain at one epoch.
pub struct ChainVerifier {
    lists: Arc<Lists>,
    algorithms: WebPkiSupportedAlgorithms,
    hook: Hook,
}

impl ChainVerifier {
    /// A verifier by these lists.
    pub fn new(lists: Arc<Lists>, hook: Hook) -> Self {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Self { lists, algorithms, hook }
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
        let anchors = &self.lists.authorities.anchors;
        // Lists were verified when they were accepted; `webpki` would verify their signatures again for each chain.
        let path = certificate
            .verify_for_usage(self.algorithms.all, anchors, &between, now, usage, None, None)
            .map_err(told)?;
        if self.lists.policy == Policy::Off {
            return Ok(());
        }
        let at = Time(now.as_secs().saturating_mul(1000));
        let issuers = path.intermediate_certificates().map(|one| fingerprint(&one.subject_public_key_info()));
        let mut issuers = issuers.chain([fingerprint_of(path.anchor())]);
        let above = path.intermediate_certificates().map(|one| (one.issuer(), one.serial(), false));
        for (issuer, serial, leaf) in
            std::iter::once((path.end_entity().issuer(), path.end_entity().serial(), true)).chain(above)
        {
            let key = issuers.next().unwrap_or_default();
            self.ask(&self.lists_of(issuer, &key), serial, leaf, at)?;
        }
        Ok(())
    }

    /// The lists that an authority has signed with this key.
    fn lists_of(&self, issuer: &[u8], key: &[u8; 32]) -> Vec<&Crl> {
        self.lists.all().filter(|list| list.fingerprint == *key && list.entries.issuer() == issuer).collect()
    }

    /// Whether a certificate is on none of its authority's lists, and the newest of those that would name it holds.
    fn ask(&self, lists: &[&Crl], serial: &[u8], leaf: bool, now: Time) -> Result<(), rustls::Error> {
        if lists.iter().any(|list| list.contains(serial)) {
            return Err(CertificateError::Revoked.into());
        }
        let about = lists.iter().filter(|list| if leaf { list.covers.leaves } else { list.covers.authorities });
        let Some(newest) = about.max_by_key(|list| list.this_update()) else {
            return Err(CertificateError::UnknownRevocationStatus.into());
        };
        match self.lists.state_of(newest, now) {
            State::Fresh { .. } => Ok(()),
            State::Grace { since, until } => {
                let (domain, authority) = (self.lists.domain.clone(), newest.authority.clone());
                (self.hook)(&Event::Grace { domain, authority, since, until });
                Ok(())
            }
            State::Expired { since } if self.lists.policy == Policy::Hard => {
                let unix = |time: Time| UnixTime::since_unix_epoch(Duration::from_millis(time.0));
                let error =
                    CertificateError::ExpiredRevocationListContext { time: unix(now), next_update: unix(since) };
                Err(error.into())
            }
            State::Expired { .. } | State::Missing => Err(CertificateError::UnknownRevocationStatus.into()),
        }
    }
}

fn fingerprint(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// An anchor has its key without the head of the structure around it.
fn fingerprint_of(anchor: &TrustAnchor<'_>) -> [u8; 32] {
    let content = &anchor.subject_public_key_info;
    let length = content.len();
    let mut head = vec![0x30];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => head.push(short),
        Ok(long) => head.extend([0x81, long]),
        Err(_) => {
            head.push(0x82);
            head.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    Sha256::new().chain_update(head).chain_update(content).finalize().into()
}

impl fmt::Debug for ChainVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainVerifier").field("lists", &self.lists).finish_non_exhaustive()
    }
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
