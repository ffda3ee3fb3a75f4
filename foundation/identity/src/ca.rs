//! The gateway's own certificate authority: ECDSA P-256, one key file, one certificate for clients to trust.
//!
//! - `ca.key` (mode 0600) and `ca.pem` lie in one folder. Both are made when neither exists; a lost `ca.pem` is made
//!   again from the key. A lost key is an error: a new one in its place would break every client's trust unasked.
//! - The listener's certificate is issued anew at each start and lives in memory only. Serials are random (RFC 5280
//!   §4.1.2.2), names are DNS names or IP addresses in the SAN; the common name is for people.
//! - [`Office`] issues what others carry, writes down what it issued, takes it back and publishes the list of that.

mod make;
mod office;
mod register;
mod request;

use std::path::Path;
use std::time::Duration;

use moongate_core::{Code, Problem, Time};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::file::{self, Readers};
use crate::tls::ServerIdentity;

pub use make::rfc3339;
pub use office::{Issued, Office, Published};
pub use register::{Entry, Reason, Revoked};
pub use request::{LONGEST_DAYS, Request};

use make::{serial, validity};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CA_DAYS: u32 = 3650;

/// The authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Ca {
    /// Reads the authority from a folder.
    ///
    /// # Errors
    /// `KeyUnusable` names the file and what is wrong with it, be it that there is none.
    pub fn load(folder: &Path, now: Time) -> Result<Self, Problem> {
        for name in ["ca.key", "ca.pem"] {
            let path = folder.join(name);
            if file::read_public(&path)?.is_none() {
                return Err(file::unusable(&path, &"it is missing; `moongate ca init` makes an authority"));
            }
        }
        Self::load_or_make(folder, "", now)
    }

    /// Reads the authority from a folder, or makes it there.
    ///
    /// # Errors
    /// `KeyUnusable` names the file and what is wrong with it.
    pub fn load_or_make(folder: &Path, domain: &str, now: Time) -> Result<Self, Problem> {
        let (key_path, pem_path) = (folder.join("ca.key"), folder.join("ca.pem"));
        let key = match file::read_private(&key_path)? {
            Some(text) => KeyPair::from_pem(&text).map_err(|error| file::unusable(&key_path, &error))?,
            None if file::read_public(&pem_path)?.is_some() => {
                let reason =
                    "it is missing, but ca.pem is there; restore it, or remove ca.pem to start a new authority";
                return Err(file::unusable(&key_path, &reason));
            }
            None => make_key(&key_path)?,
        };
        let pem = match file::read_public(&pem_path)? {
            Some(text) => text,
            None => {
                let made = make_certificate(&key, domain, now).map_err(|error| file::unusable(&pem_path, &error))?;
                file::create(&pem_path, &made, Readers::All)?;
                file::read_public(&pem_path)?.unwrap_or(made)
            }
        };
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| file::unusable(&pem_path, &error))?;
        check(&certificate, &key, now).map_err(|reason| file::unusable(&pem_path, &reason))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| file::unusable(&pem_path, &error))?;
        Ok(Self { issuer, certificate, pem })
    }

    /// Issues a certificate for a listener.
    ///
    /// # Errors
    /// `KeyUnusable` if a name is neither a DNS name nor an address, or if there is no name.
    pub fn issue_server(&self, names: &[String], now: Time) -> Result<ServerIdentity, Problem> {
        let refuse = |reason: &dyn std::fmt::Display| {
            Problem::new(Code::KeyUnusable, format!("no certificate for {}: {reason}", names.join(", ")))
        };
        let Some(first) = names.first() else { return Err(refuse(&"a certificate wants a name")) };
        let mut params = CertificateParams::new(names.to_vec()).map_err(|error| refuse(&error))?;
        params.serial_number = Some(serial().map_err(|error| refuse(&error))?);
        (params.not_before, params.not_after) = validity(now, now.plus(DAY * LONGEST_DAYS));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, first.as_str());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| refuse(&error))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| refuse(&error))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(ServerIdentity { chain: vec![certificate.der().clone()], key })
    }

    /// The certificate that clients trust.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The same, as `ca.pem` has it.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("pem", &self.pem).finish_non_exhaustive()
    }
}

fn make_key(path: &Path) -> Result<KeyPair, Problem> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| file::unusable(path, &error))?;
    if file::create(path, &key.serialize_pem(), Readers::Owner)? {
        return Ok(key);
    }
    let other = file::read_private(path)?.unwrap_or_default();
    KeyPair::from_pem(&other).map_err(|error| file::unusable(path, &error))
}

fn make_certificate(key: &KeyPair, domain: &str, now: Time) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.serial_number = Some(serial()?);
    (params.not_before, params.not_after) = validity(now, now.plus(DAY * CA_DAYS));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Moongate CA of {domain}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

/// Whether the certificate is an authority's, belongs to the key and holds now.
fn check(certificate: &CertificateDer<'_>, key: &KeyPair, now: Time) -> Result<(), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err("it does not belong to ca.key".to_owned());
    }
    if !parsed.is_ca() {
        return Err("it is not the certificate of an authority".to_owned());
    }
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    if parsed.validity().not_after.timestamp() <= seconds {
        return Err(format!("it expired on {}; remove it to have it made anew", parsed.validity().not_after));
    }
    Ok(())
}
