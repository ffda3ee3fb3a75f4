//! What the authorization server keeps, as rows of the store: kinds, keys, and how values are written.
//!
//! - A row is found by the SHA-256 of the credential that it stands for; the credential itself is not in it, but for the
//!   device code, which the person's side of the flow must find by the user code.
//! - Values are sealed by the gateway's vault: whoever reads the store's file learns neither codes nor who uses what.
//! - A row that cannot be read is no row: a token without one is worth nothing. A barrier that cannot be read stands.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use moongate_core::Time;
use moongate_core::seam::Vault;
use moongate_core::seam::records::{Broken, Page, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Registered clients, by their id.
pub(super) const CLIENT: &str = crate::names::CLIENT;
/// Device grants, by the device code; grouped by the user code.
pub(super) const DEVICE: &str = "oauth.device";
/// Authorization codes.
pub(super) const CODE: &str = "oauth.code";
/// Access tokens; grouped by the family that they belong to, or by the client that holds them for itself.
pub(super) const TOKEN: &str = "oauth.token";
/// Refresh tokens, spent ones too; grouped by family.
pub(super) const REFRESH: &str = "oauth.refresh";
/// Assertions that were used.
pub(super) const REPLAY: &str = "oauth.replay";
/// What was revoked, so that nothing which was under way comes to life afterwards.
pub(super) const BARRIER: &str = "oauth.barrier";

/// Rows that are read at once when all of a kind are looked over.
const STEP: usize = 256;

/// How a credential is called in the store.
pub(super) fn hashed(credential: &str) -> String {
    digest(&SHA256, credential.as_bytes()).as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A moment as the store has it; never earlier than it is.
pub(super) fn moment(at: SystemTime) -> Time {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Time(if since.subsec_nanos().is_multiple_of(1_000_000) { whole } else { whole.saturating_add(1) })
}

/// The same the other way.
pub(super) fn system(at: Time) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(at.0)).unwrap_or(UNIX_EPOCH)
}

/// A page of the store on which values are sealed.
pub(super) struct Sheet<'p> {
    page: &'p dyn Page,
    vault: &'p Arc<dyn Vault>,
}

impl<'p> Sheet<'p> {
    pub(super) fn new(page: &'p dyn Page, vault: &'p Arc<dyn Vault>) -> Self {
        Self { page, vault }
    }

    /// The page itself, for rows that are not sealed.
    pub(super) fn page(&self) -> &dyn Page {
        self.page
    }

    pub(super) fn read<T: DeserializeOwned>(&self, kind: &str, key: &str) -> Result<Option<T>, Broken> {
        Ok(self.page.record(kind, key)?.and_then(|record| self.opened(&record)))
    }

    /// Whether there is a row, readable or not.
    pub(super) fn has(&self, kind: &str, key: &str) -> Result<bool, Broken> {
        Ok(self.page.record(kind, key)?.is_some())
    }

    pub(super) fn write<T: Serialize>(&self, kind: &str, key: &str, entry: Entry<'_, T>) -> Result<(), Broken> {
        let plain = serde_json::to_vec(entry.value).map_err(|_| Broken)?;
        let record = Record {
            key: key.to_owned(),
            group: entry.group.map(str::to_owned),
            value: self.vault.seal(&plain),
            expires_at: entry.until.map(moment),
        };
        self.page.put(kind, &record)
    }

    pub(super) fn remove(&self, kind: &str, key: &str) -> Result<bool, Broken> {
        self.page.remove(kind, key)
    }

    /// The readable rows of a group, with their keys.
    pub(super) fn group<T: DeserializeOwned>(&self, kind: &str, group: &str) -> Result<Vec<(String, T)>, Broken> {
        let rows = self.page.group(kind, group)?;
        Ok(rows.into_iter().filter_map(|record| Some((record.key.clone(), self.opened(&record)?))).collect())
    }

    /// How many rows of a group have not expired.
    pub(super) fn live(&self, kind: &str, group: &str, now: SystemTime) -> Result<usize, Broken> {
        let now = moment(now);
        Ok(self.page.group(kind, group)?.iter().filter(|row| row.expires_at.is_none_or(|end| end > now)).count())
    }

    /// Removes the rows of a group; how many.
    pub(super) fn clear(&self, kind: &str, group: &str) -> Result<u64, Broken> {
        let mut cleared = 0;
        for record in self.page.group(kind, group)? {
            cleared += u64::from(self.page.remove(kind, &record.key)?);
        }
        Ok(cleared)
    }

    /// Looks every readable row of a kind over, in the order of their keys, until `see` says that it is enough.
    pub(super) fn every<T: DeserializeOwned>(
        &self,
        kind: &str,
        mut see: impl FnMut(&str, T) -> Result<bool, Broken>,
    ) -> Result<(), Broken> {
        let mut last = String::new();
        loop {
            let rows = self.page.after(kind, &last, STEP)?;
            let Some(end) = rows.last().map(|record| record.key.clone()) else { return Ok(()) };
            for record in &rows {
                if let Some(value) = self.opened(record)
                    && !see(&record.key, value)?
                {
                    return Ok(());
                }
            }
            last = end;
        }
    }

    pub(super) fn sweep(&self, now: SystemTime) -> Result<u64, Broken> {
        self.page.sweep(moment(now))
    }

    fn opened<T: DeserializeOwned>(&self, record: &Record) -> Option<T> {
        serde_json::from_slice(&self.vault.open(&record.value)?).ok()
    }
}

/// What is written beside a key.
pub(super) struct Entry<'e, T> {
    pub(super) value: &'e T,
    pub(super) group: Option<&'e str>,
    pub(super) until: Option<SystemTime>,
}
