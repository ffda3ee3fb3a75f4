//! One running copy of an agent, as the balancer sees it. The registry owns it and keeps it across reloads.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use moongate_core::{InstanceId, Mono};
use xxhash_rust::xxh3::xxh3_64;

use super::Settings;
use super::load::Load;
use super::outlier::Outlier;

/// What the registry knows about an instance from heartbeats and probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Beats or answers.
    Up,
    /// Two beats missed: the last choice.
    Suspect,
    /// Not heard of for its time to live: never chosen.
    Down,
}

impl Health {
    /// The word in listings and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }

    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Up,
            1 => Self::Suspect,
            _ => Self::Down,
        }
    }
}

/// One instance with its weight, health and everything measured about it. All state is atomic.
#[derive(Debug)]
pub struct Instance {
    id: InstanceId,
    hash: u64,
    weight: AtomicU32,
    health: AtomicU8,
    ramp_from: AtomicU64,
    /// Credit in smooth weighted turns.
    pub(super) turn: AtomicI64,
    pub(super) load: Load,
    pub(super) outlier: Outlier,
}

/// An instance at one moment, for listings.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its id.
    pub id: InstanceId,
    /// Its health.
    pub health: Health,
    /// Its configured weight.
    pub weight: u32,
    /// Open requests and streams.
    pub pending: u32,
    /// Measured time to the first event.
    pub rtt: Duration,
    /// How long it stays set aside; zero while its probe is due or under way; `None` if it is in use.
    pub ejected_for: Option<Duration>,
}

impl Instance {
    /// A new instance that is up. Its slow start begins `now`; weight 0 means that it takes nothing new.
    pub fn new(id: InstanceId, weight: u32, now: Mono, settings: &Settings) -> Self {
        Self {
            hash: xxh3_64(id.as_str().as_bytes()),
            weight: AtomicU32::new(weight),
            health: AtomicU8::new(Health::Up as u8),
            ramp_from: AtomicU64::new(now.0),
            turn: AtomicI64::new(0),
            load: Load::new(now, settings.default_rtt),
            outlier: Outlier::new(now),
            id,
        }
    }

    /// Its id.
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Its configured weight.
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Changes the weight; zero drains it.
    pub fn set_weight(&self, weight: u32) {
        self.weight.store(weight, Relaxed);
    }

    /// Its health as the registry last said.
    pub fn health(&self) -> Health {
        Health::from_u8(self.health.load(Relaxed))
    }

    /// Says how it is. One that comes back from `down` starts slowly again.
    pub fn set_health(&self, health: Health, now: Mono) {
        let before = Health::from_u8(self.health.swap(health as u8, Relaxed));
        if before == Health::Down && health != Health::Down {
            self.restart_ramp(now);
        }
    }

    /// Forgets failures and ejection; for an agent that registered anew.
    pub fn reset(&self, now: Mono) {
        self.outlier.reset(now);
        self.set_health(Health::Up, now);
    }

    /// Open requests and streams.
    pub fn pending(&self) -> u32 {
        self.load.pending()
    }

    /// What a listing shows.
    pub fn snapshot(&self, now: Mono, settings: &Settings) -> Snapshot {
        Snapshot {
            id: self.id.clone(),
            health: self.health(),
            weight: self.weight(),
            pending: self.pending(),
            rtt: Duration::from_secs_f64(self.load.estimate(now, settings.decay) / 1e6),
            ejected_for: self.outlier.ejected_for(now),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn restart_ramp(&self, now: Mono) {
        self.ramp_from.fetch_max(now.0, Relaxed);
    }

    /// The weight in thousandths, scaled down during slow start (never under a tenth, never to zero).
    pub(super) fn ramped_weight(&self, now: Mono, slow_start: Duration) -> u64 {
        let full = u64::from(self.weight()) * 1000;
        let age = now.since(Mono(self.ramp_from.load(Relaxed)));
        if age >= slow_start {
            return full;
        }
        let share = (age.as_secs_f64() / slow_start.as_secs_f64()).max(0.1);
        ((full as f64) * share) as u64
    }
}
