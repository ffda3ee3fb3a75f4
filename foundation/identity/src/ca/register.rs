//! What the authority issued and took back: `issued.json` in its folder, replaced as a whole, under a lock that one
//! process holds at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_core::{Problem, Time};
use rcgen::RevocationReason;
use serde::{Deserialize, Serialize};

use crate::file::{self, Readers};

/// How long an entry is remembered after its certificate's end.
const MEMORY: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// One certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The serial number, as `openssl x509 -serial` prints it.
    pub serial: String,
    /// What it was called.
    pub name: String,
    /// Whom it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<String>,
    /// Hosts and addresses that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whether its holder calls others.
    pub client: bool,
    /// SHA-256 of its public key, as `[[devices]] pin` wants it without `sha256:`.
    pub key_sha256: String,
    /// When it was issued, in milliseconds since 1970, as all moments here.
    pub issued_at: Time,
    /// Until when it holds.
    pub not_after: Time,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
}

impl Entry {
    /// Whether it holds.
    pub fn in_force(&self, now: Time) -> bool {
        self.revoked.is_none() && now < self.not_after
    }

    /// The serial number's bytes.
    pub(super) fn serial_bytes(&self) -> Option<Vec<u8>> {
        let digits = self.serial.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    }
}

/// That a certificate was taken back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// When.
    pub at: Time,
    /// Why.
    pub reason: Reason,
}

/// Why a certificate is taken back (RFC 5280 §5.3.1); for good, as nothing here is only suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// For reasons of one's own.
    #[default]
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Its holder has another one now.
    Superseded,
    /// Its holder is no more.
    CessationOfOperation,
    /// Its holder may do less now.
    PrivilegeWithdrawn,
}

impl Reason {
    /// All, with the words for them.
    pub const ALL: [(&'static str, Self); 5] = [
        ("unspecified", Self::Unspecified),
        ("key-compromise", Self::KeyCompromise),
        ("superseded", Self::Superseded),
        ("cessation-of-operation", Self::CessationOfOperation),
        ("privilege-withdrawn", Self::PrivilegeWithdrawn),
    ];

    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, reason)| *reason)
    }

    /// As lists have it; "unspecified" is left out of them.
    pub(super) fn code(self) -> Option<RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }
}

/// The file's content.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pages {
    /// The number of the latest list.
    pub(super) list_number: u64,
    /// When the latest list was signed.
    #[serde(default)]
    pub(super) listed_at: Option<Time>,
    /// What was issued, oldest first.
    pub(super) certificates: Vec<Entry>,
}

impl Pages {
    /// Those that a list of now must have: revoked, and not expired by the time of the list before (RFC 5280 §3.3: an
    /// entry stays until it was on a list that was made after its certificate's end).
    pub(super) fn listed(&self) -> impl Iterator<Item = (&Entry, Revoked)> {
        let last = self.listed_at.unwrap_or_default();
        self.certificates.iter().filter_map(move |entry| {
            let revoked = entry.revoked?;
            (entry.not_after > last).then_some((entry, revoked))
        })
    }

    fn forget(&mut self, now: Time) {
        let listed: Vec<String> = self.listed().map(|(entry, _)| entry.serial.clone()).collect();
        self.certificates.retain(|entry| entry.not_after.plus(MEMORY) > now || listed.contains(&entry.serial));
    }
}

/// The file, while nobody else may change it.
pub(super) struct Register {
    path: PathBuf,
    pub(super) pages: Pages,
    /// Released when dropped.
    _lock: File,
}

impl Register {
    /// Waits until nobody else has it open, and reads it.
    pub(super) fn open(folder: &Path) -> Result<Self, Problem> {
        let lock = lock(folder)?;
        let path = folder.join("issued.json");
        let pages = match file::read_public(&path)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| file::unusable(&path, &error))?,
            None => Pages::default(),
        };
        Ok(Self { path, pages, _lock: lock })
    }

    /// Writes it.
    pub(super) fn save(&mut self, now: Time) -> Result<(), Problem> {
        self.pages.forget(now);
        let text = serde_json::to_vec_pretty(&self.pages).map_err(|error| file::unusable(&self.path, &error))?;
        file::replace(&self.path, &text, Readers::Owner)
    }
}

/// The right to change the folder.
pub(super) fn lock(folder: &Path) -> Result<File, Problem> {
    let path = folder.join("ca.lock");
    let locked = || -> std::io::Result<File> {
        let file = File::options().create(true).append(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|error| file::unusable(&path, &error))
}
