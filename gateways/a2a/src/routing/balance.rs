//! Which instance of an agent takes the next request.
//!
//! Four policies over one picture of the instances (`a2a.md` §14): two choices by measured latency ([`p2c`]), smooth
//! weighted turns ([`round_robin`]), fewest open requests ([`least`]) and consistent hashing with bounded load
//! ([`hash`]). What all of them share lives beside them: the measured load of an instance ([`load`]), who is set aside
//! because it keeps failing ([`outlier`]) and how much may be tried again ([`budget`]).
//!
//! Everything here is a function of (state, input, now). State is atomics inside [`Instance`], which the registry keeps
//! across reloads, so replacing a [`Balancer`] loses nothing and the hot path takes no lock. Who is `up`, `suspect` or
//! `down` is the registry's business, stickiness is the task record's, and when to try again is the caller's.
//!
//! Order of choice: instances that are up and not ejected; then suspects; instances that are down never. If more than
//! `max_ejected_percent` are ejected, ejection is not believed (panic mode) and all of them are used. An instance whose
//! ejection has run out gets exactly one request as a probe before it is admitted again.

pub mod budget;
pub mod hash;
mod instance;
mod least;
mod load;
mod outlier;
mod p2c;
mod picked;
mod round_robin;
mod settings;
#[cfg(test)]
mod simulation;
mod view;

use std::sync::Arc;

use moongate_core::{InstanceId, Mono};

pub use budget::RetryBudget;
pub use hash::hash_key;
pub use instance::{Health, Instance, Snapshot};
pub use outlier::Change;
pub use picked::{Picked, Verdict};
pub use settings::{Policy, Settings};

use hash::Maglev;
use outlier::Role;
use view::{Gates, Rng, View};

/// Chooses among the instances of one agent. Immutable: a changed set of instances is a new balancer over the same
/// [`Instance`]s.
#[derive(Debug)]
pub struct Balancer {
    settings: Arc<Settings>,
    instances: Vec<Arc<Instance>>,
    maglev: Option<Maglev>,
    heaviest: u64,
    rng: Rng,
}

/// What one pass over the gates tells.
struct Survey<'a> {
    /// More instances are ejected than the settings believe.
    panic: bool,
    /// An instance whose ejection has run out and that nobody probes yet.
    due: Option<&'a Arc<Instance>>,
}

impl Balancer {
    /// A balancer over these instances. The seed makes its random choices repeatable.
    pub fn new(settings: Settings, instances: Vec<Arc<Instance>>, seed: u64) -> Self {
        let hashed = settings.policy == Policy::ConsistentHash && instances.len() > hash::MAGLEV_ABOVE;
        let maglev = hashed.then(|| {
            let members: Vec<_> = instances.iter().map(|i| (i.hash(), i.weight())).collect();
            Maglev::build(&members, hash::MAGLEV_SIZE)
        });
        let heaviest = instances.iter().map(|i| u64::from(i.weight())).max().unwrap_or(1);
        Self { settings: Arc::new(settings), instances, maglev, heaviest, rng: Rng::new(seed) }
    }

    /// The instance for a request, or `None` if no instance that is not in `tried` can take it.
    ///
    /// `key` (see [`hash_key`]) places the request under [`Policy::ConsistentHash`] and is ignored otherwise.
    pub fn pick(&self, now: Mono, key: Option<u64>, tried: &[InstanceId]) -> Option<Picked> {
        let survey = self.survey(now);
        if survey.panic {
            return self.choose(now, key, tried, Gates::Ignore);
        }
        let hashing = self.settings.policy == Policy::ConsistentHash;
        // A probe is a request that can still be tried elsewhere, so one that has failed already is spared. Under
        // hashing a probe is taken only by a key that belongs to the instance anyway.
        if tried.is_empty()
            && !hashing
            && let Some(picked) = survey.due.and_then(|due| self.probe(due, now))
        {
            return Some(picked);
        }
        let gates = if hashing { Gates::Due } else { Gates::Respect };
        self.choose(now, key, tried, gates).or_else(|| {
            let due = survey.due.filter(|due| !tried.contains(due.id()))?;
            self.probe(due, now)
        })
    }

    /// As [`pick`](Self::pick) for a send that waited in the queue: ejection keeps nobody from it where nobody else is left.
    pub fn pick_queued(&self, now: Mono) -> Option<Picked> {
        self.pick(now, None, &[]).or_else(|| self.choose(now, None, &[], Gates::Ignore))
    }

    /// The one instance that owns the task or conversation, whatever its health; `None` if it is not in the set.
    pub fn pin(&self, now: Mono, id: &InstanceId) -> Option<Picked> {
        let instance = self.instances.iter().find(|instance| instance.id() == id)?;
        Some(self.take(instance, now))
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All instances, in the order given.
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// How many requests and streams are open on all instances together.
    pub fn in_flight(&self) -> u64 {
        self.instances.iter().map(|instance| u64::from(instance.pending())).sum()
    }

    /// Whether so many instances are ejected that ejection is ignored.
    pub fn panicking(&self, now: Mono) -> bool {
        self.survey(now).panic
    }

    fn survey(&self, now: Mono) -> Survey<'_> {
        let (mut present, mut ejected, mut due) = (0_u64, 0_u64, None);
        for instance in &self.instances {
            if instance.health() == Health::Down || instance.weight() == 0 {
                continue;
            }
            present += 1;
            if !instance.outlier.is_closed() {
                ejected += 1;
                if due.is_none() && instance.health() == Health::Up && instance.outlier.is_due(now) {
                    due = Some(instance);
                }
            }
        }
        let panic = ejected * 100 > present * u64::from(self.settings.max_ejected_percent);
        Survey { panic, due }
    }

    fn choose(&self, now: Mono, key: Option<u64>, tried: &[InstanceId], gates: Gates) -> Option<Picked> {
        [Health::Up, Health::Suspect].into_iter().find_map(|tier| {
            let view = View {
                instances: &self.instances,
                settings: &self.settings,
                rng: &self.rng,
                heaviest: self.heaviest,
                now,
                tried,
                tier,
                gates,
            };
            let instance = match self.settings.policy {
                Policy::P2cEwma => p2c::pick(&view),
                Policy::RoundRobin => round_robin::pick(&view),
                Policy::LeastConnections => least::pick(&view),
                Policy::ConsistentHash => {
                    return self.hashed(&view, key.unwrap_or_else(|| self.rng.next()));
                }
            };
            instance.map(|instance| self.take(instance, now))
        })
    }

    /// Hashing opens the request itself, so that two racing picks cannot both take the last place of an instance.
    fn hashed(&self, view: &View<'_>, key: u64) -> Option<Picked> {
        loop {
            let placed = hash::pick(view, key, self.maglev.as_ref())?;
            let role = match view.gates {
                Gates::Ignore => Role::Unbelieved,
                Gates::Respect | Gates::Due if placed.instance.outlier.is_closed() => Role::Normal,
                // Whoever loses this race sees the instance as being probed on the next turn of the loop.
                Gates::Respect | Gates::Due if placed.instance.outlier.claim_probe(view.now) => Role::Probe,
                Gates::Respect | Gates::Due => continue,
            };
            if placed.instance.load.try_open(view.now, placed.room) {
                return Some(Picked::new(placed.instance.clone(), self.settings.clone(), view.now, role));
            }
            if role == Role::Probe {
                placed.instance.outlier.release_probe(view.now);
            }
        }
    }

    fn probe(&self, instance: &Arc<Instance>, now: Mono) -> Option<Picked> {
        instance.outlier.claim_probe(now).then(|| {
            instance.load.open(now);
            Picked::new(instance.clone(), self.settings.clone(), now, Role::Probe)
        })
    }

    fn take(&self, instance: &Arc<Instance>, now: Mono) -> Picked {
        let role = if instance.outlier.is_closed() { Role::Normal } else { Role::Unbelieved };
        instance.load.open(now);
        Picked::new(instance.clone(), self.settings.clone(), now, role)
    }
}

#[cfg(test)]
mod tests;
