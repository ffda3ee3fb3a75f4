//! The certificate authorities of one trust domain, as its bundle lists them.
//!
//! Where a path may end: at every authority of the bundle whose issuer is not in the bundle itself. An intermediate that
//! stands beside its root is thus no end of its own, and its root can revoke it.

use moongate_core::{Code, Problem};
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{AlgorithmIdentifier, CertificateDer, TrustAnchor};
use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::{Any, FromDer};
use x509_parser::parse_x509_certificate;

use super::facts::Facts;

/// One authority.
#[derive(Clone, Debug)]
pub struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) name: String,
    pub(super) subject: Vec<u8>,
    issuer: Vec<u8>,
    key_algorithm: Vec<u8>,
    key: Vec<u8>,
    /// SHA-256 of its public key.
    pub(super) fingerprint: [u8; 32],
    signs_lists: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Authorities {
    pub(super) all: Vec<Authority>,
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) between: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Reads a bundle.
    ///
    /// # Errors
    /// `KeyUnusable` if it is empty, or one of the certificates is malformed or not an authority's.
    pub fn new(bundle: &[CertificateDer<'static>]) -> Result<Self, Problem> {
        let refuse = |reason: String| Problem::new(Code::KeyUnusable, format!("the bundle cannot be used: {reason}"));
        let all = bundle.iter().map(Authority::read).collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        if all.is_empty() {
            return Err(refuse("it is empty".to_owned()));
        }
        let (between, ends): (Vec<&Authority>, Vec<&Authority>) = all
            .iter()
            .partition(|one| all.iter().any(|above| one.issuer != one.subject && one.issuer == above.subject));
        let anchors: Result<Vec<_>, _> = ends
            .iter()
            .map(|one| webpki::anchor_from_trusted_cert(&one.certificate).map(|anchor| anchor.to_owned()))
            .collect();
        let anchors = anchors.map_err(|error| refuse(error.to_string()))?;
        if anchors.is_empty() {
            return Err(refuse("its authorities vouch for each other only".to_owned()));
        }
        let between = between.iter().map(|one| one.certificate.clone()).collect();
        Ok(Self { all, anchors, between })
    }

    /// Their names, in the order of the bundle.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|one| one.name.as_str())
    }

    /// Who signed a list.
    pub(super) fn signer(&self, facts: &Facts<'_>) -> Result<&Authority, &'static str> {
        let mut named = self.all.iter().filter(|one| one.subject == facts.issuer).peekable();
        if named.peek().is_none() {
            return Err("its issuer is none of the domain's authorities");
        }
        let mut found = Err("its signature does not hold");
        for authority in named {
            match authority.signed(facts) {
                Ok(()) if authority.signs_lists => return Ok(authority),
                Ok(()) => found = Err("its issuer's key usage does not allow it to sign lists (cRLSign)"),
                Err(()) => {}
            }
        }
        found
    }
}

impl Authority {
    fn read(certificate: &CertificateDer<'static>) -> Result<Self, String> {
        let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
        let name = parsed.subject().to_string();
        if !parsed.is_ca() {
            return Err(format!("{name} is not the certificate of an authority"));
        }
        // Where no usage is named, all are allowed (RFC 5280 §6.3.3 f).
        let usage = parsed.key_usage().map_err(|error| error.to_string())?;
        let malformed = |_| format!("the public key of {name} is malformed");
        let (_, info) = Any::from_der(parsed.public_key().raw).map_err(malformed)?;
        let (rest, algorithm) = Any::from_der(info.data).map_err(malformed)?;
        let (_, bits) = Any::from_der(rest).map_err(malformed)?;
        let Some((0, key)) = bits.data.split_first() else {
            return Err(format!("the public key of {name} is malformed"));
        };
        Ok(Self {
            certificate: certificate.clone(),
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            key_algorithm: algorithm.data.to_vec(),
            key: key.to_vec(),
            fingerprint: Sha256::digest(parsed.public_key().raw).into(),
            signs_lists: usage.is_none_or(|usage| usage.value.crl_sign()),
            name,
        })
    }

    /// Whether its key made the signature, by one of the algorithms that certificates may be signed with.
    fn signed(&self, facts: &Facts<'_>) -> Result<(), ()> {
        let is = |id: AlgorithmIdentifier, content: &[u8]| id.as_ref() == content;
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        algorithms
            .iter()
            .filter(|one| {
                is(one.signature_alg_id(), facts.algorithm) && is(one.public_key_alg_id(), &self.key_algorithm)
            })
            .find_map(|one| one.verify_signature(&self.key, facts.signed, facts.signature).ok())
            .ok_or(())
    }
}
