//! The lists of one domain at one moment, and what they say of a certificate.

use std::sync::Arc;
use std::time::Duration;

use moongate_core::Time;
use rustls_pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::authorities::{Authorities, Authority};
use super::crl::Crl;

/// What happens without a list that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nobody asks for lists, and none is looked at.
    Off,
    /// A list that has expired serves so much longer; without any, nobody of that authority is let in.
    Soft {
        /// How much longer.
        grace: Duration,
    },
    /// Nobody of that authority is let in.
    Hard,
}

/// How an authority's list stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Fresh {
        /// Until then.
        until: Time,
    },
    /// It has expired, and serves for a while.
    Grace {
        /// Since then it is expired.
        since: Time,
        /// So long it serves.
        until: Time,
    },
    /// It has expired: certificates of this authority are refused.
    Expired {
        /// Since then.
        since: Time,
    },
    /// There is none: certificates of this authority are refused.
    Missing,
}

/// A certificate, as lists name it: its issuer's name as DER, and its serial number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId {
    /// The issuer's name, as DER with its head (`x509_parser`'s `issuer().as_raw()`).
    pub issuer: Vec<u8>,
    /// The content of the serial number (`raw_serial()`).
    pub serial: Vec<u8>,
}

impl CertificateId {
    /// Of a certificate; `None` if it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(certificate).ok()?;
        Some(Self { issuer: parsed.issuer().as_raw().to_vec(), serial: parsed.raw_serial().to_vec() })
    }
}

/// A snapshot; never changes.
#[derive(Debug)]
pub struct Lists {
    pub(super) domain: Arc<str>,
    pub(super) policy: Policy,
    pub(super) authorities: Arc<Authorities>,
    pub(super) lists: Vec<Arc<Crl>>,
    pub(super) epoch: u64,
}

impl Lists {
    /// A domain without lists.
    pub fn none(domain: &str, authorities: Arc<Authorities>, policy: Policy) -> Self {
        Self { domain: domain.into(), policy, authorities, lists: Vec::new(), epoch: 0 }
    }

    /// These with one more, which takes the place of its predecessor.
    #[must_use]
    pub fn with(&self, list: Arc<Crl>) -> Self {
        let mut lists: Vec<Arc<Crl>> = self.lists.iter().filter(|one| one.place() != list.place()).cloned().collect();
        lists.push(list);
        self.having(lists)
    }

    /// The same lists, of a later epoch: the time has changed what they say.
    pub(super) fn later(&self) -> Self {
        self.having(self.lists.clone())
    }

    fn having(&self, lists: Vec<Arc<Crl>>) -> Self {
        Self {
            domain: self.domain.clone(),
            policy: self.policy,
            authorities: self.authorities.clone(),
            lists,
            epoch: self.epoch + 1,
        }
    }

    /// The trust domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What happens without a list that holds.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Rises with each change, be it of the lists or of how they stand.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The lists.
    pub fn all(&self) -> impl Iterator<Item = &Crl> {
        self.lists.iter().map(|list| &**list)
    }

    /// Whether a certificate is listed, expired or not: for connections that are open. Nothing is, where lists are off.
    pub fn revoked(&self, issuer: &[u8], serial: &[u8]) -> bool {
        self.policy != Policy::Off && self.lists.iter().any(|list| list.issuer == issuer && list.contains(serial))
    }

    /// Whether one of a chain's certificates is listed.
    pub fn any_revoked<'a>(&self, chain: impl IntoIterator<Item = &'a CertificateId>) -> bool {
        chain.into_iter().any(|one| self.revoked(&one.issuer, &one.serial))
    }

    /// How each authority's list stands, by the authority's name.
    pub fn standing(&self, now: Time) -> Vec<(&str, State)> {
        self.authorities.all.iter().map(|one| (one.name.as_str(), self.state(one, now))).collect()
    }

    /// The newest of an authority's lists, if it has several.
    fn state(&self, authority: &Authority, now: Time) -> State {
        let own = self
            .lists
            .iter()
            .filter(|list| list.fingerprint == authority.fingerprint && list.issuer == authority.subject);
        own.max_by_key(|list| list.this_update()).map_or(State::Missing, |list| self.state_of(list, now))
    }

    pub(super) fn state_of(&self, list: &Crl, now: Time) -> State {
        let since = list.next_update();
        match self.policy {
            _ if now < since => State::Fresh { until: since },
            Policy::Soft { grace } if now < since.plus(grace) => State::Grace { since, until: since.plus(grace) },
            _ => State::Expired { since },
        }
    }

    /// The next moment at which some list's standing changes by itself.
    pub(super) fn next_change(&self, now: Time) -> Option<Time> {
        let changes = self.lists.iter().filter_map(|list| match self.state_of(list, now) {
            State::Fresh { until } | State::Grace { until, .. } => Some(until),
            State::Expired { .. } | State::Missing => None,
        });
        changes.min()
    }
}
