//! The instances that one pick may choose from, and the dice it throws.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use moongate_core::{InstanceId, Mono};

use super::{Health, Instance, Settings};

/// Up to this many instances are weighed exactly; above, random ones are drawn until they fit.
const EXACT: usize = 32;
/// Draws before giving up and weighing exactly.
const DRAWS: usize = 16;

/// What ejection means to this pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gates {
    /// Ejected instances are out.
    Respect,
    /// Ejected instances are out unless their probe is due.
    Due,
    /// Ejection is ignored.
    Ignore,
}

/// The choice that one pick has.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) instances: &'a [Arc<Instance>],
    pub(super) settings: &'a Settings,
    pub(super) rng: &'a Rng,
    /// The heaviest weight when the set was made.
    pub(super) heaviest: u64,
    pub(super) now: Mono,
    pub(super) tried: &'a [InstanceId],
    pub(super) tier: Health,
    pub(super) gates: Gates,
}

impl<'a> View<'a> {
    /// The present weight of an instance in thousandths; zero if it is no choice.
    pub(super) fn weight(&self, instance: &Instance) -> u64 {
        let open = match self.gates {
            Gates::Ignore => true,
            Gates::Respect => instance.outlier.is_closed(),
            Gates::Due => instance.outlier.is_closed() || instance.outlier.is_due(self.now),
        };
        if !open || instance.health() != self.tier || self.tried.contains(instance.id()) {
            return 0;
        }
        instance.ramped_weight(self.now, self.settings.slow_start)
    }

    /// Every choice with its weight.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a Arc<Instance>, u64)> + '_ {
        self.instances.iter().map(|instance| (instance, self.weight(instance))).filter(|(_, weight)| *weight > 0)
    }

    /// One or two different instances at random, the heavier the likelier.
    pub(super) fn two(&self) -> Option<(&'a Arc<Instance>, Option<&'a Arc<Instance>>)> {
        if self.instances.len() > EXACT {
            let first = self.draw(None)?;
            return Some((first, self.draw(Some(first))));
        }
        let mut weights = [0; EXACT];
        for (weight, instance) in weights.iter_mut().zip(self.instances) {
            *weight = self.weight(instance);
        }
        let first = self.weighted(&weights)?;
        if let Some(weight) = weights.get_mut(first) {
            *weight = 0;
        }
        let second = self.weighted(&weights).and_then(|second| self.instances.get(second));
        Some((self.instances.get(first)?, second))
    }

    /// A random index, each as likely as its weight.
    fn weighted(&self, weights: &[u64]) -> Option<usize> {
        let total: u64 = weights.iter().sum();
        let mut left = if total == 0 { return None } else { self.rng.below(total) };
        weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        })
    }

    /// A random instance out of many: drawn blindly, kept by weight.
    fn draw(&self, but: Option<&Arc<Instance>>) -> Option<&'a Arc<Instance>> {
        let weight = |instance: &Arc<Instance>| {
            let same = but.is_some_and(|but| Arc::ptr_eq(but, instance));
            if same { 0 } else { self.weight(instance) }
        };
        for _ in 0..DRAWS {
            let index = usize::try_from(self.rng.below(self.instances.len() as u64)).unwrap_or(0);
            let Some(instance) = self.instances.get(index) else { continue };
            // Zero never stands, the heaviest always.
            if weight(instance) > self.rng.below(self.heaviest.max(1) * 1000) {
                return Some(instance);
            }
        }
        let weights: Vec<u64> = self.instances.iter().map(weight).collect();
        self.instances.get(self.weighted(&weights)?)
    }
}

/// A shared generator of random numbers (splitmix64): one atomic addition a number, repeatable from its seed.
#[derive(Debug)]
pub(super) struct Rng(AtomicU64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        mix(self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `limit`, which is not zero. The bias is at most `limit` / 2^64.
    pub(super) fn below(&self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// The finaliser of splitmix64.
pub(super) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
