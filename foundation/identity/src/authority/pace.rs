//! How often one address may begin a device's sign-in: whoever may do so needs no credential, and each leaves a row for minutes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moongate_core::Mono;
use parking_lot::Mutex;

/// So many within a minute.
const MOST: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are told apart; beyond, they share.
const ADDRESSES: usize = 8192;

#[derive(Default)]
pub(super) struct Pace(Mutex<HashMap<IpAddr, (Mono, u32)>>);

impl Pace {
    /// Whether this address may begin another one.
    pub(super) fn allows(&self, address: IpAddr, now: Mono) -> bool {
        let mut counts = self.0.lock();
        let mut address = network(address);
        if counts.len() >= ADDRESSES && !counts.contains_key(&address) {
            counts.retain(|_, (began, _)| now.since(*began) < MINUTE);
            if counts.len() >= ADDRESSES {
                address = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let (began, count) = counts.entry(address).or_insert((now, 0));
        if now.since(*began) >= MINUTE {
            (*began, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= MOST
    }
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
        let pace = Pace::default();
        let (one, other) = ("2001:db8::1".parse().unwrap(), "203.0.113.9".parse().unwrap());
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        let now = Mono(0);
        let allowed = (0..100).filter(|at| pace.allows(if at % 2 == 0 { one } else { neighbour }, now)).count();
        assert_eq!(allowed, MOST as usize);
        assert!(pace.allows(other, now));
        assert!(!pace.allows(one, now.plus(Duration::from_secs(59))) && pace.allows(one, now.plus(MINUTE)));
        for at in 0..2 * ADDRESSES as u128 {
            pace.allows(IpAddr::V6(Ipv6Addr::from_bits(at << 64)), now.plus(MINUTE));
        }
        assert!(pace.0.lock().len() <= ADDRESSES + 1);
    }
}
