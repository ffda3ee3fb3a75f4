//! How many connections one address has, so that one stranger cannot take every place.
//!
//! An IPv6 address counts with its /64, since whoever has one has all of these. Callers of this machine are not counted.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts connections by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address; counts until it is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    /// Nothing if it is not counted.
    who: Option<IpAddr>,
}

impl Guests {
    /// Lets one more connection of this address in, unless it has so many.
    pub(super) fn welcome(&self, address: IpAddr, most: usize) -> Option<Guest> {
        let Some(who) = counted(address) else { return Some(Guest { guests: self.clone(), who: None }) };
        let mut all = self.0.lock();
        let open = all.entry(who).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Guest { guests: self.clone(), who: Some(who) })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some(who) = self.who else { return };
        let mut all = self.guests.0.lock();
        if let Some(open) = all.get_mut(&who) {
            *open -= 1;
            if *open == 0 {
                all.remove(&who);
            }
        }
    }
}

/// As whose connection it counts; nothing for callers of this machine.
fn counted(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_of_places_and_no_more() {
        let guests = Guests::default();
        let address = |text: &str| text.parse().unwrap();
        let welcome = |text: &str| guests.welcome(address(text), 2);
        let held = [welcome("192.0.2.1"), welcome("192.0.2.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(welcome("192.0.2.1").is_none() && welcome("::ffff:192.0.2.1").is_none(), "in either spelling");
        assert!(welcome("192.0.2.2").is_some());
        drop(held);
        assert!(welcome("192.0.2.1").is_some());
        let neighbours = [welcome("2001:db8::1"), welcome("2001:db8::2")];
        assert!(neighbours.iter().all(Option::is_some) && welcome("2001:db8::3").is_none(), "one network");
        assert!(welcome("2001:db8:0:1::1").is_some());
        let own: Vec<_> = (0..9).map(|_| welcome("127.0.0.1")).collect();
        assert!(own.iter().all(Option::is_some), "this machine is not counted");
        drop((neighbours, own));
        assert!(guests.0.lock().is_empty(), "nothing is remembered of those who have gone");
    }
}
