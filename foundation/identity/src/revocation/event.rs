//! What happens to a domain's lists, for whoever counts and records it.

use std::sync::Arc;

use moongate_core::{Problem, Time};

use super::crl::CrlRefused;
use super::lists::State;

/// Takes events; must not block.
pub type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

/// Something that an operator may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A new list is in force.
    Accepted {
        /// The trust domain.
        domain: Arc<str>,
        /// Who signed the list.
        authority: String,
        /// Its number, as people read it.
        number: Option<String>,
        /// Until when it holds.
        next_update: Time,
        /// The epoch that began with it.
        epoch: u64,
    },
    /// What a source has is not accepted; the list at hand stays.
    Refused {
        /// The trust domain.
        domain: Arc<str>,
        /// The source, as the configuration names it.
        source: String,
        /// Why.
        reason: CrlRefused,
    },
    /// A source does not answer, or not as it should; the list at hand stays.
    Unreachable {
        /// The trust domain.
        domain: Arc<str>,
        /// The source, as the configuration names it.
        source: String,
        /// Why.
        problem: Problem,
    },
    /// An authority's list stands otherwise than before.
    Turned {
        /// The trust domain.
        domain: Arc<str>,
        /// The authority.
        authority: String,
        /// How it stands now.
        state: State,
    },
    /// A peer was let in by a list that has expired.
    Grace {
        /// The trust domain.
        domain: Arc<str>,
        /// The authority.
        authority: String,
        /// Since when the list is expired.
        since: Time,
        /// So long it serves.
        until: Time,
    },
    /// A list is in force, but cannot be kept across a restart; it is tried again.
    Unsaved {
        /// The trust domain.
        domain: Arc<str>,
        /// Why.
        problem: Problem,
    },
}

/// Writes events to the log, and nowhere else.
pub fn logged() -> Hook {
    Arc::new(|event| match event {
        Event::Accepted { domain, authority, number, next_update, epoch } => {
            tracing::info!(%domain, authority, number, next_update = next_update.0, epoch, "a revocation list is in force");
        }
        Event::Refused { domain, source, reason } => {
            tracing::warn!(%domain, source, %reason, "a revocation list was refused");
        }
        Event::Unreachable { domain, source, problem } => {
            let inside = problem.inside.as_deref();
            tracing::warn!(%domain, source, %problem, inside, "a revocation list cannot be fetched");
        }
        Event::Turned { domain, authority, state: State::Fresh { .. } } => {
            tracing::info!(%domain, authority, "an authority's revocation list holds");
        }
        Event::Turned { domain, authority, state } => {
            tracing::warn!(%domain, authority, ?state, "an authority's revocation list does not hold");
        }
        Event::Grace { domain, authority, since, .. } => {
            tracing::warn!(%domain, authority, since = since.0, "a peer was let in by a revocation list that has expired");
        }
        Event::Unsaved { domain, problem } => {
            tracing::error!(%domain, %problem, "a revocation list cannot be kept across a restart");
        }
    })
}
