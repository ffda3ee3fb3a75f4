//! Consistent hashing with bounded load: what belongs together lands together, and nobody drowns for it.
//!
//! To 500 instances: weighted rendezvous (each instance throws dice seeded by key and id; the highest throw wins), which
//! moves nothing but the keys of an instance that goes. Above: a Maglev table of 65537 places, one look-up a key. In
//! both an instance that already holds its bound, ⌈c × fair share⌉ open requests, is passed over for the next.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Instance;
use super::view::{View, mix};

/// Up to this many instances rendezvous is cheap enough.
pub(super) const MAGLEV_ABOVE: usize = 500;
/// Places in a Maglev table; a prime.
pub(super) const MAGLEV_SIZE: u32 = 65_537;
/// Places of the table that are looked at before all instances are.
const PLACES: u64 = 8;

/// The key of a context, task, tenant or rule value.
pub fn hash_key(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Where a key lands.
pub(super) struct Placed<'a> {
    pub(super) instance: &'a Arc<Instance>,
    /// How many requests it may hold, this one included.
    pub(super) room: u32,
}

/// The bound of this moment: how many requests an instance of some weight may hold.
struct Bound {
    open: u64,
    weight: u64,
    factor: f64,
}

impl Bound {
    fn of(view: &View<'_>) -> Self {
        let (open, weight) = view
            .members()
            .fold((0, 0), |(open, weight), (instance, more)| (open + u64::from(instance.pending()), weight + more));
        Self { open, weight, factor: view.settings.hash_factor.max(1.0) }
    }

    fn room(&self, weight: u64) -> u32 {
        let fair = (self.open + 1) as f64 * weight as f64 / self.weight.max(1) as f64;
        // The product may come out a hair above a whole number, which is no place more.
        (self.factor * fair - 1e-9).ceil() as u32
    }
}

pub(super) fn pick<'a>(view: &View<'a>, key: u64, maglev: Option<&Maglev>) -> Option<Placed<'a>> {
    let bound = Bound::of(view);
    if let Some(table) = maglev
        && let Some(placed) = look_up(view, key, table, &bound)
    {
        return Some(placed);
    }
    // Others may fill every place between the count and the choice; the key's own instance then takes one more.
    rendezvous(view, key, &bound).or_else(|| rendezvous(view, key, &Bound { factor: f64::INFINITY, ..bound }))
}

fn look_up<'a>(view: &View<'a>, key: u64, table: &Maglev, bound: &Bound) -> Option<Placed<'a>> {
    (0..PLACES).find_map(|attempt| {
        let instance = view.instances.get(table.place(if attempt == 0 { key } else { mix(key ^ attempt) })?)?;
        let weight = view.weight(instance);
        let room = bound.room(weight);
        (weight > 0 && instance.pending() < room).then_some(Placed { instance, room })
    })
}

fn rendezvous<'a>(view: &View<'a>, key: u64, bound: &Bound) -> Option<Placed<'a>> {
    let mut best: Option<(Placed<'a>, f64)> = None;
    for (instance, weight) in view.members() {
        let room = bound.room(weight);
        if instance.pending() >= room {
            continue;
        }
        let throw = throw(key, instance.hash(), weight);
        if best.as_ref().is_none_or(|(_, highest)| throw > *highest) {
            best = Some((Placed { instance, room }, throw));
        }
    }
    best.map(|(placed, _)| placed)
}

/// The weighted throw `-w / ln(u)`, `u` uniform in (0, 1): the chance to be highest is exactly the share of weight.
fn throw(key: u64, instance: u64, weight: u64) -> f64 {
    let dice = xxh3_64_with_seed(&key.to_le_bytes(), instance);
    let uniform = ((dice >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -(weight as f64) / uniform.ln()
}

/// A Maglev table: every instance fills places in its own order, in turns, until none is free (Eisenbud et al., NSDI
/// 2016, §3.4). Weights make turns more or less frequent, as Envoy does it.
#[derive(Debug)]
pub(super) struct Maglev {
    places: Vec<u32>,
}

impl Maglev {
    /// Builds the table for (hash, weight) pairs; a weight of zero gets no place. `size` is a prime.
    pub(super) fn build(members: &[(u64, u32)], size: u32) -> Self {
        const FREE: u32 = u32::MAX;
        let heaviest = members.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
        let mut places = vec![FREE; if heaviest == 0 { 0 } else { size as usize }];
        let prime = u64::from(size);
        let mut turns: Vec<Turn> = members.iter().map(|(hash, weight)| Turn::new(*hash, *weight, prime)).collect();
        let mut filled = 0;
        while filled < places.len() {
            for (index, turn) in turns.iter_mut().enumerate() {
                // Whoever is as heavy as the heaviest plays every round, half as heavy every other one.
                turn.credit += u64::from(turn.weight);
                if turn.credit < u64::from(heaviest) || filled == places.len() {
                    continue;
                }
                turn.credit -= u64::from(heaviest);
                let owner = u32::try_from(index).unwrap_or(FREE);
                while let Some(place) = places.get_mut(turn.advance(prime)) {
                    if *place == FREE {
                        *place = owner;
                        filled += 1;
                        break;
                    }
                }
            }
        }
        Self { places }
    }

    /// The index of the member that owns the key's place.
    pub(super) fn place(&self, key: u64) -> Option<usize> {
        let index = key.checked_rem(self.places.len() as u64)?;
        self.places.get(usize::try_from(index).ok()?).map(|owner| *owner as usize)
    }
}

/// One member's own order of the places: from an offset in steps, both from its hash.
struct Turn {
    weight: u32,
    credit: u64,
    next: u64,
    step: u64,
}

impl Turn {
    fn new(hash: u64, weight: u32, prime: u64) -> Self {
        let next = mix(hash) % prime;
        let step = mix(hash ^ 0x6d6f_6f6e_6761_7465) % (prime - 1) + 1;
        Self { weight, credit: 0, next, step }
    }

    fn advance(&mut self, prime: u64) -> usize {
        let place = self.next;
        self.next = (self.next + self.step) % prime;
        place as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(members: &[(u64, u32)], size: u32) -> Vec<u32> {
        let table = Maglev::build(members, size);
        let mut counts = vec![0; members.len()];
        for owner in &table.places {
            counts[*owner as usize] += 1;
        }
        counts
    }

    #[test]
    fn maglev_is_even_within_one_percent_at_a_hundred_places_an_instance() {
        for instances in [501_u64, 655] {
            let members: Vec<_> = (0..instances).map(|i| (mix(i + 1), 1)).collect();
            let counts = counts(&members, MAGLEV_SIZE);
            let average = f64::from(MAGLEV_SIZE) / instances as f64;
            let worst = counts.iter().map(|c| (f64::from(*c) - average).abs() / average).fold(0.0, f64::max);
            println!("maglev: {instances} instances, worst imbalance {:.2} %", worst * 100.0);
            assert!(worst <= 0.01, "{worst}");
        }
    }

    #[test]
    fn maglev_gives_places_by_weight_and_none_for_zero() {
        let members: Vec<_> = (0..100_u64).map(|i| (mix(i + 9), if i == 7 { 0 } else { 1 + (i % 3) as u32 })).collect();
        let counts = counts(&members, MAGLEV_SIZE);
        let total: u32 = members.iter().map(|(_, weight)| weight).sum();
        for ((_, weight), count) in members.iter().zip(&counts) {
            let fair = f64::from(MAGLEV_SIZE) * f64::from(*weight) / f64::from(total);
            assert!((f64::from(*count) - fair).abs() <= fair * 0.02 + 0.1, "weight {weight}: {count}, fair {fair:.1}");
        }
        assert!(Maglev::build(&[(1, 0)], 7).place(3).is_none());
        assert!(Maglev::build(&[], 7).place(3).is_none());
    }

    #[test]
    fn maglev_moves_little_when_an_instance_goes() {
        let members: Vec<_> = (0..600_u64).map(|i| (mix(i + 77), 1)).collect();
        let all = Maglev::build(&members, MAGLEV_SIZE);
        let less = Maglev::build(&members[..599], MAGLEV_SIZE);
        let moved = all.places.iter().zip(&less.places).filter(|(a, b)| **a != 599 && a != b).count();
        let share = moved as f64 / f64::from(MAGLEV_SIZE);
        println!("maglev: {:.2} % of other instances' places moved", share * 100.0);
        assert!(share < 0.02, "{share}");
    }
}
