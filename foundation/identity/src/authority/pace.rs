//! How often one network may do what costs the gateway something and the network nothing: begin a device's sign-in, which leaves a
//! row for minutes, or come with credentials that do not hold.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moongate_core::Mono;
use parking_lot::Mutex;

/// Sign-ins of devices that a network may begin within a minute.
pub(super) const DEVICES: u32 = 20;
/// Sign-ins of devices that all networks together may begin within a minute.
pub(super) const ALL_DEVICES: u32 = 600;
/// Requests of a network that may fail within a minute.
pub(super) const FAILURES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are told apart; beyond, they share.
const ADDRESSES: usize = 8192;

/// Counts of this minute, by network.
pub(super) struct Pace {
    most: u32,
    counts: Mutex<HashMap<IpAddr, (Mono, u32)>>,
}

impl Pace {
    /// So many within a minute.
    pub(super) fn new(most: u32) -> Self {
        Self { most, counts: Mutex::default() }
    }

    /// Whether this network had its share already.
    pub(super) fn is_over(&self, address: IpAddr, now: Mono) -> bool {
        let counts = self.counts.lock();
        counts.get(&network(address)).is_some_and(|(began, count)| now.since(*began) < MINUTE && *count >= self.most)
    }

    /// Counts one more of this network, if there is room to tell it apart: no network answers for others.
    pub(super) fn note(&self, address: IpAddr, now: Mono) {
        let mut counts = self.counts.lock();
        let address = network(address);
        if counts.len() >= ADDRESSES && !counts.contains_key(&address) {
            counts.retain(|_, (began, _)| now.since(*began) < MINUTE);
            if counts.len() >= ADDRESSES {
                return;
            }
        }
        count(&mut counts, address, now);
    }

    /// Whether this network may do it once more, which counts.
    pub(super) fn allows(&self, address: IpAddr, now: Mono) -> bool {
        let mut counts = self.counts.lock();
        let mut address = network(address);
        if counts.len() >= ADDRESSES && !counts.contains_key(&address) {
            counts.retain(|_, (began, _)| now.since(*began) < MINUTE);
            if counts.len() >= ADDRESSES {
                address = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        count(&mut counts, address, now) <= self.most
    }
}

fn count(counts: &mut HashMap<IpAddr, (Mono, u32)>, address: IpAddr, now: Mono) -> u32 {
    let (began, count) = counts.entry(address).or_insert((now, 0));
    if now.since(*began) >= MINUTE {
        (*began, *count) = (now, 0);
    }
    *count = count.saturating_add(1);
    *count
}

/// What one household or machine can choose freely among counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_of_each_minute_and_takes_none_of_others() {
        let pace = Pace::new(DEVICES);
        let (one, other) = ("2001:db8::1".parse().unwrap(), "203.0.113.9".parse().unwrap());
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        let now = Mono(0);
        let allowed = (0..100).filter(|at| pace.allows(if at % 2 == 0 { one } else { neighbour }, now)).count();
        assert_eq!(allowed, DEVICES as usize);
        assert!(pace.allows(other, now));
        assert!(!pace.allows(one, now.plus(Duration::from_secs(59))) && pace.allows(one, now.plus(MINUTE)));
        for at in 0..2 * ADDRESSES as u128 {
            pace.allows(IpAddr::V6(Ipv6Addr::from_bits(at << 64)), now.plus(MINUTE));
        }
        assert!(pace.counts.lock().len() <= ADDRESSES + 1);
    }

    #[test]
    fn failures_of_one_network_are_its_own_however_many_others_fail() {
        let pace = Pace::new(FAILURES);
        let (one, now) = ("2001:db8::1".parse().unwrap(), Mono(0));
        for _ in 0..FAILURES {
            assert!(!pace.is_over(one, now));
            pace.note(one, now);
        }
        assert!(pace.is_over("2001:db8::2".parse().unwrap(), now) && !pace.is_over(one, now.plus(MINUTE)));
        for at in 0..4 * ADDRESSES as u128 {
            pace.note(IpAddr::V6(Ipv6Addr::from_bits(at << 64)), now);
        }
        assert!(pace.counts.lock().len() <= ADDRESSES);
        assert!(!pace.is_over("203.0.113.9".parse().unwrap(), now));
    }
}
