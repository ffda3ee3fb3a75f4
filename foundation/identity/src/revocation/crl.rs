//! One revocation list, and what it must be to be accepted.
//!
//! - At most 16 MiB, DER or PEM, with `nextUpdate`; neither delta nor indirect nor split by reasons (`webpki` refuses
//!   these, as it could not use them).
//! - Signed by an authority of the domain that may sign lists.
//! - Valid by now (`thisUpdate`), and not older than the list it replaces: neither by its number nor by its moment. One
//!   that has expired is taken all the same, as it may still say more than the one before; using it is another matter.
//! - Its place is taken only by lists of the same authority, key and scope. Lists of other scopes stand beside it, a few at
//!   most, and what any of them names is revoked.

use std::fmt;

use moongate_core::{Code, Problem, Time};
use sha2::{Digest, Sha256};
use webpki::{BorrowedCertRevocationList, CertRevocationList, Error};

use super::authorities::Authorities;
use super::facts::{Covers, Facts, Number, unwrap_pem};

/// The most bytes that a list may have.
pub const LARGEST: usize = 16 << 20;

/// Scopes into which an authority may divide what it has revoked.
const PLACES: usize = 16;

/// Which lists replace each other: SHA-256 of issuer, key and scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place([u8; 32]);

impl Place {
    fn new(issuer: &[u8], key: &[u8; 32], scope: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(key).chain_update(Sha256::digest(issuer)).chain_update(scope);
        Self(digest.finalize().into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A list that was accepted.
pub struct Crl {
    pub(super) authority: String,
    pub(super) issuer: Vec<u8>,
    pub(super) fingerprint: [u8; 32],
    place: Place,
    digest: [u8; 32],
    number: Option<Number>,
    this_update: Time,
    next_update: Time,
    pub(super) covers: Covers,
    pub(super) entries: CertRevocationList<'static>,
}

impl Crl {
    /// Accepts a list, if it may stand beside these or replace one of them.
    ///
    /// # Errors
    /// Why it may not.
    pub fn accept<'a>(
        bytes: &[u8],
        authorities: &Authorities,
        now: Time,
        held: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Self, CrlRefused> {
        let list = Self::read(bytes, authorities)?;
        // Lists tell seconds: one that begins within this second has begun.
        if list.this_update > now {
            return Err(CrlRefused::NotYetValid(list.this_update));
        }
        let held: Vec<&Self> = held.into_iter().filter(|one| one.fingerprint == list.fingerprint).collect();
        match held.iter().find(|one| one.place == list.place) {
            Some(stored) if list.older_than(stored) => Err(CrlRefused::RolledBack),
            None if held.len() >= PLACES => Err(CrlRefused::TooManyScopes),
            _ => Ok(list),
        }
    }

    /// Reads a list that was accepted before; the clock may have gone back since.
    ///
    /// # Errors
    /// Why it is no list of these authorities.
    pub fn read(bytes: &[u8], authorities: &Authorities) -> Result<Self, CrlRefused> {
        if bytes.len() > LARGEST {
            return Err(CrlRefused::TooLarge);
        }
        let der = unwrap_pem(bytes).map_err(CrlRefused::Malformed)?;
        let facts = Facts::read(&der).map_err(CrlRefused::Malformed)?;
        let borrowed = BorrowedCertRevocationList::from_der(&der).map_err(unusable)?;
        let authority = authorities.signer(&facts).map_err(CrlRefused::Unsigned)?;
        let entries = borrowed.to_owned().map_err(unusable)?;
        Ok(Self {
            authority: authority.name.clone(),
            issuer: facts.issuer.to_vec(),
            fingerprint: authority.fingerprint,
            place: Place::new(facts.issuer, &authority.fingerprint, facts.scope),
            digest: Sha256::digest(&der).into(),
            this_update: moment(facts.this_update),
            next_update: moment(facts.next_update),
            number: facts.number,
            covers: facts.covers,
            entries: entries.into(),
        })
    }

    /// Whether it may not replace that one.
    pub(super) fn older_than(&self, stored: &Self) -> bool {
        self.this_update < stored.this_update || self.number < stored.number
    }

    /// Whether both are the same, byte by byte.
    pub fn same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// The name of the authority that signed it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Which lists it replaces, and which replace it.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Its number, if it has one.
    pub fn number(&self) -> Option<&Number> {
        self.number.as_ref()
    }

    /// Since when it holds.
    pub fn this_update(&self) -> Time {
        self.this_update
    }

    /// Until when a newer one is promised.
    pub fn next_update(&self) -> Time {
        self.next_update
    }

    /// Whether a serial is on it; as a certificate has it, or without leading zeros.
    pub fn contains(&self, serial: &[u8]) -> bool {
        let listed = |serial: &[u8]| !matches!(self.entries.find_serial(serial), Ok(None));
        listed(serial) || listed(&canonical(serial))
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("authority", &self.authority)
            .field("number", &self.number)
            .field("this_update", &self.this_update)
            .field("next_update", &self.next_update)
            .finish_non_exhaustive()
    }
}

/// Why a list is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlRefused {
    /// It has more than 16 MiB.
    TooLarge,
    /// It is not what RFC 5280 calls a list.
    Malformed(&'static str),
    /// It only says what changed since another one.
    Delta,
    /// It lists certificates of other issuers.
    Indirect,
    /// It is a list, of a kind that cannot be used.
    Unsupported(String),
    /// Nobody who may has signed it.
    Unsigned(&'static str),
    /// It begins to hold only then.
    NotYetValid(Time),
    /// It is older than the one at hand.
    RolledBack,
    /// Its authority has lists of so many other scopes that no more are kept.
    TooManyScopes,
}

impl fmt::Display for CrlRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("it has more than 16 MiB"),
            Self::Malformed(reason) | Self::Unsigned(reason) => f.write_str(reason),
            Self::Delta => f.write_str("it is a delta list; a complete one is wanted"),
            Self::Indirect => f.write_str("it is an indirect list; each authority must sign its own"),
            Self::Unsupported(reason) => write!(f, "it cannot be used: {reason}"),
            Self::NotYetValid(_) => f.write_str("its thisUpdate lies ahead; compare the clocks"),
            Self::RolledBack => f.write_str("it is older than the list at hand"),
            Self::TooManyScopes => write!(f, "its authority has {PLACES} lists of other scopes already"),
        }
    }
}

impl std::error::Error for CrlRefused {}

impl From<CrlRefused> for Problem {
    fn from(refused: CrlRefused) -> Self {
        Self::new(Code::CrlRefused, format!("a revocation list was refused: {refused}"))
    }
}

fn unusable(error: Error) -> CrlRefused {
    match error {
        Error::UnsupportedDeltaCrl => CrlRefused::Delta,
        Error::UnsupportedIndirectCrl => CrlRefused::Indirect,
        other => CrlRefused::Unsupported(other.to_string()),
    }
}

fn moment(seconds: i64) -> Time {
    Time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

/// The content of the shortest DER integer of that value.
fn canonical(serial: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = serial.iter().copied().skip_while(|byte| *byte == 0).collect();
    match digits.first() {
        Some(first) if *first < 0x80 => digits,
        _ => [&[0], digits.as_slice()].concat(),
    }
}
