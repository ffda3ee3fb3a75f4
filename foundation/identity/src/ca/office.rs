//! The authority at work: issues, takes back, publishes what it took back.
//!
//! - What is issued is written down before it exists: no certificate of this authority is unknown to it, but those of the
//!   gateway's listener, which live in memory.
//! - A list's number is spent before the list is signed: no two lists have one number, and none has an older one's.
//! - Private keys go into their files (mode 0600) and nowhere else.

use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_core::{Code, Problem, Time};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, KeyPair, PKCS_ECDSA_P256_SHA256, RevokedCertParams, SerialNumber,
};
use sha2::{Digest, Sha256};
use x509_parser::extensions::ParsedExtension;

use super::Ca;
use super::make::date;
use super::register::{Entry, Reason, Register, Revoked, lock};
use super::request::Request;
use crate::file::{self, Readers};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest that a list promises to hold.
const LONGEST_LIST: u32 = 365;

/// The authority with its register, for as long as nobody else may use it.
pub struct Office {
    folder: PathBuf,
    domain: String,
    ca: Ca,
    register: Register,
}

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// What was written down.
    pub entry: Entry,
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The private key's file.
    pub key: PathBuf,
}

/// A list that was signed.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its file.
    pub path: PathBuf,
    /// Its number.
    pub number: u64,
    /// Until when it holds.
    pub next_update: Time,
    /// How many certificates are on it.
    pub entries: usize,
}

impl Office {
    /// Makes an authority in a folder that has none.
    ///
    /// # Errors
    /// - `FileExists`: there is one, or a part of one.
    /// - `KeyUnusable`: the folder cannot be written.
    pub fn found(folder: &Path, domain: &str, now: Time) -> Result<Self, Problem> {
        std::fs::create_dir_all(folder).map_err(|error| file::unusable(folder, &error))?;
        {
            let _lock = lock(folder)?;
            for name in ["ca.key", "ca.pem", "issued.json"] {
                let path = folder.join(name);
                if path.exists() {
                    let words = format!("{} is there; an authority is never replaced", path.display());
                    return Err(Problem::new(Code::FileExists, words));
                }
            }
            Ca::load_or_make(folder, domain, now)?;
        }
        Self::open(folder, domain, now)
    }

    /// Opens the one that is there; waits while another process has it open.
    ///
    /// # Errors
    /// `KeyUnusable` names the file and what is wrong with it.
    pub fn open(folder: &Path, domain: &str, now: Time) -> Result<Self, Problem> {
        let ca = Ca::load(folder, now)?;
        let register = Register::open(folder)?;
        Ok(Self { folder: folder.to_owned(), domain: domain.to_owned(), ca, register })
    }

    /// The authority.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was issued, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.register.pages.certificates
    }

    /// The number of the latest list; 0 before the first.
    pub fn list_number(&self) -> u64 {
        self.register.pages.list_number
    }

    /// Issues a certificate with a key of its own into `NAME.pem` and `NAME.key` of a folder.
    ///
    /// # Errors
    /// - `CertificateRefused`: this authority does not make such a certificate.
    /// - `FileExists`: one of the files is there, and is not to be replaced.
    /// - `KeyUnusable`: a file cannot be written.
    pub fn issue(&mut self, request: &Request, to: &Path, replace: bool, now: Time) -> Result<Issued, Problem> {
        let (params, not_after) = request.params(&self.domain, now, self.ca.not_after())?;
        let file = |kind: &str| to.join(format!("{}.{kind}", request.name));
        let (certificate_path, key_path) = (file("pem"), file("key"));
        if let Some(there) = [&certificate_path, &key_path].into_iter().find(|path| !replace && path.exists()) {
            return Err(taken(there));
        }
        std::fs::create_dir_all(to).map_err(|error| file::unusable(to, &error))?;
        let refuse = |error: rcgen::Error| Problem::new(Code::CertificateRefused, format!("{}: {error}", request.name));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(refuse)?;
        let certificate = params.signed_by(&key, &self.ca.issuer).map_err(refuse)?;
        let entry = Entry {
            serial: params.serial_number.as_ref().map(|serial| hex(serial.as_ref())).unwrap_or_default(),
            name: request.name.clone(),
            spiffe: request.spiffe.clone(),
            hosts: request.dns.iter().chain(&request.ip).cloned().collect(),
            client: request.client,
            key_sha256: hex(&Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key))).to_ascii_lowercase(),
            issued_at: now,
            not_after,
            revoked: None,
        };
        self.register.pages.certificates.push(entry.clone());
        self.register.save(now)?;
        put(&key_path, &key.serialize_pem(), Readers::Owner, replace)?;
        put(&certificate_path, &certificate.pem(), Readers::All, replace)?;
        Ok(Issued { entry, certificate: certificate_path, key: key_path })
    }

    /// Takes back all certificates of that name that are in force; those that were.
    ///
    /// # Errors
    /// `NotIssued`: there is none.
    pub fn revoke_named(&mut self, name: &str, reason: Reason, now: Time) -> Result<Vec<Entry>, Problem> {
        let taken = self.take_back(|entry| entry.name == name && entry.in_force(now), reason, now)?;
        if taken.is_empty() {
            let words = format!("no certificate called {name} was issued here, or none of that name is in force");
            return Err(Problem::new(Code::NotIssued, words));
        }
        Ok(taken)
    }

    /// Takes back one certificate; none if it was taken back before or has expired.
    ///
    /// # Errors
    /// `NotIssued`: there is no certificate of that number.
    pub fn revoke_serial(&mut self, serial: &str, reason: Reason, now: Time) -> Result<Vec<Entry>, Problem> {
        let serial = self.of_serial(serial)?.serial.clone();
        self.take_back(|entry| entry.serial == serial && entry.in_force(now), reason, now)
    }

    /// The certificate of that number, written with colons or without, in either case.
    ///
    /// # Errors
    /// `NotIssued`: there is none.
    pub fn of_serial(&self, serial: &str) -> Result<&Entry, Problem> {
        let digits: String = serial.chars().filter(|c| *c != ':').map(|c| c.to_ascii_uppercase()).collect();
        let missing =
            || Problem::new(Code::NotIssued, format!("no certificate with the serial number {digits} was issued here"));
        self.entries().iter().find(|entry| entry.serial == digits).ok_or_else(missing)
    }

    fn take_back(&mut self, which: impl Fn(&Entry) -> bool, reason: Reason, now: Time) -> Result<Vec<Entry>, Problem> {
        let mut taken = Vec::new();
        for entry in self.register.pages.certificates.iter_mut().filter(|entry| which(entry)) {
            entry.revoked = Some(Revoked { at: now, reason });
            taken.push(entry.clone());
        }
        if !taken.is_empty() {
            self.register.save(now)?;
        }
        Ok(taken)
    }

    /// Signs a list of all that was taken back, and puts it where others fetch it: in PEM, or in DER.
    ///
    /// # Errors
    /// - `CertificateRefused`: a list does not hold so long.
    /// - `KeyUnusable`: the authority's certificate does not allow lists, or a file cannot be written.
    pub fn publish(&mut self, days: u32, to: Option<&Path>, der: bool, now: Time) -> Result<Published, Problem> {
        if days == 0 || days > LONGEST_LIST {
            let words = format!("{days} days; a list holds for 1 to {LONGEST_LIST}");
            return Err(Problem::new(Code::CertificateRefused, words));
        }
        let path = to.map_or_else(|| self.folder.join("crl.pem"), Path::to_owned);
        may_be_replaced(&path)?;
        let number = self.register.pages.list_number + 1;
        let next_update = now.plus(DAY * days);
        let revoked_certs = self.revoked();
        let entries = revoked_certs.len();
        self.register.pages.list_number = number;
        self.register.pages.listed_at = Some(now);
        self.register.save(now)?;
        let params = CertificateRevocationListParams {
            this_update: date(now),
            next_update: date(next_update),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: self.ca.key_identifier(),
        };
        let pem_path = self.folder.join("ca.pem");
        let list = params.signed_by(&self.ca.issuer).map_err(|error| match error {
            rcgen::Error::IssuerNotCrlSigner => {
                let words =
                    "its key usage does not allow it to sign revocation lists (cRLSign); they need another authority";
                file::unusable(&pem_path, &words)
            }
            other => file::unusable(&pem_path, &other),
        })?;
        let bytes = if der {
            list.der().to_vec()
        } else {
            list.pem().map_err(|error| file::unusable(&path, &error))?.into_bytes()
        };
        file::replace(&path, &bytes, Readers::All)?;
        Ok(Published { path, number, next_update, entries })
    }

    fn revoked(&self) -> Vec<RevokedCertParams> {
        let params = |(entry, revoked): (&Entry, Revoked)| {
            Some(RevokedCertParams {
                serial_number: SerialNumber::from(entry.serial_bytes()?),
                revocation_time: date(revoked.at),
                reason_code: revoked.reason.code(),
                invalidity_date: None,
            })
        };
        self.register.pages.listed().filter_map(params).collect()
    }
}

impl Ca {
    /// Until when its certificate holds.
    pub fn not_after(&self) -> Time {
        let end =
            x509_parser::parse_x509_certificate(&self.certificate).map(|(_, own)| own.validity().not_after.timestamp());
        Time(end.ok().and_then(|end| u64::try_from(end).ok()).unwrap_or(0).saturating_mul(1000))
    }

    /// How certificates and lists point to its key: as its own certificate calls it.
    fn key_identifier(&self) -> KeyIdMethod {
        let parsed = x509_parser::parse_x509_certificate(&self.certificate).ok();
        let named = parsed.and_then(|(_, own)| {
            own.iter_extensions().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })
        });
        named.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified)
    }
}

fn put(path: &Path, text: &str, readers: Readers, replace: bool) -> Result<(), Problem> {
    if replace {
        return file::replace(path, text.as_bytes(), readers);
    }
    if file::create(path, text, readers)? { Ok(()) } else { Err(taken(path)) }
}

fn taken(path: &Path) -> Problem {
    let words = format!("{} is there; choose another name or folder, or replace it by --replace", path.display());
    Problem::new(Code::FileExists, words)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A list takes the place of a list, and of nothing else: a key that was written over is gone. Its folder must be there.
fn may_be_replaced(path: &Path) -> Result<(), Problem> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(file::unusable(folder, &"there is no such folder; make it first"));
    }
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file::unusable(path, &error)),
        Ok(bytes) => {
            let is_list = crate::revocation::is_list(&bytes);
            if is_list { Ok(()) } else { Err(taken(path)) }
        }
    }
}
