//! How often somebody may try to sign in: a function of what was tried and the time.
//!
//! Each name and each address has a few attempts free; from then on, each failure doubles the wait before the next one, up
//! to a minute. Nothing is ever locked for good, and what has been quiet for a quarter of an hour is forgotten. An attempt
//! counts as failed when it begins, so that many at once gain nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moongate_core::Mono;

const FREE_BY_NAME: u32 = 3;
/// Several people may share an address.
const FREE_BY_ADDRESS: u32 = 10;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Names, and addresses, that are remembered.
const MOST: usize = 8192;

/// What is known of the attempts of the last quarter of an hour.
#[derive(Default)]
pub struct Attempts {
    names: Ledger<String>,
    addresses: Ledger<IpAddr>,
}

impl Attempts {
    /// An attempt begins.
    ///
    /// # Errors
    /// It comes too early; how long to wait.
    pub fn begin(&mut self, name: &str, address: IpAddr, now: Mono) -> Result<(), Duration> {
        let address = network(address);
        let early = self.names.wait(&name.to_owned(), now).max(self.addresses.wait(&address, now));
        if !early.is_zero() {
            return Err(early);
        }
        self.names.failed(name.to_owned(), FREE_BY_NAME, now);
        self.addresses.failed(address, FREE_BY_ADDRESS, now);
        Ok(())
    }

    /// The attempt was not judged, or was right without saying anything of earlier ones: it alone is forgiven.
    pub fn forgive(&mut self, name: &str, address: IpAddr) {
        self.names.forgive(&name.to_owned());
        self.addresses.forgive(&network(address));
    }

    /// The attempt was right after all. The address is forgiven this attempt only: whoever has an account of their own
    /// must not wipe out what they tried on others'.
    pub fn succeeded(&mut self, name: &str, address: IpAddr) {
        self.names.counts.remove(name);
        self.addresses.forgive(&network(address));
    }
}

/// What one household or machine can choose freely among counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

struct Count {
    failures: u32,
    last: Mono,
    not_before: Mono,
}

struct Ledger<K> {
    counts: HashMap<K, Count>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { counts: HashMap::new() }
    }
}

impl<K: Hash + Eq + Clone> Ledger<K> {
    fn wait(&self, key: &K, now: Mono) -> Duration {
        self.counts.get(key).map_or(Duration::ZERO, |count| count.not_before.since(now))
    }

    fn failed(&mut self, key: K, free: u32, now: Mono) {
        if self.counts.len() >= MOST && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        let count = self.counts.entry(key).or_insert(Count { failures: 0, last: now, not_before: now });
        if now.since(count.last) > FORGET {
            count.failures = 0;
        }
        count.failures = count.failures.saturating_add(1);
        count.last = now;
        count.not_before = now.plus(delay(count.failures, free));
    }

    fn forgive(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            count.failures = count.failures.saturating_sub(1);
            count.not_before = count.last;
        }
    }

    /// Forgets what has been quiet, or else the quarter that failed least: who tries thousands of names does not by that get
    /// a name forgotten on which somebody insists.
    fn make_room(&mut self, now: Mono) {
        self.counts.retain(|_, count| now.since(count.last) <= FORGET);
        if self.counts.len() < MOST {
            return;
        }
        let mut marks: Vec<(u32, Mono)> = self.counts.values().map(|count| (count.failures, count.last)).collect();
        marks.sort_unstable();
        let Some(mark) = marks.get(MOST / 4).copied() else { return };
        let mut spare = MOST / 4;
        self.counts.retain(|_, count| {
            let goes = spare > 0 && (count.failures, count.last) <= mark;
            spare -= usize::from(goes);
            !goes
        });
    }
}

/// How long to wait after so many failures.
fn delay(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1 << beyond.min(6)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn elsewhere(n: u32) -> IpAddr {
        IpAddr::V4((0x0A00_0000 + n).into())
    }

    fn seconds(n: u64) -> Mono {
        Mono(n * 1_000_000)
    }

    #[test]
    fn waits_double_and_end_at_a_minute() {
        let mut attempts = Attempts::default();
        let (mut now, mut waits) = (seconds(1), Vec::new());
        for n in 0..14 {
            match attempts.begin("alice", elsewhere(n), now) {
                Ok(()) => waits.push(0),
                Err(wait) => {
                    waits.push(wait.as_secs());
                    now = now.plus(wait);
                    attempts.begin("alice", elsewhere(n), now).expect("right after the wait");
                }
            }
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
        assert!(attempts.begin("bob", elsewhere(77), now).is_ok(), "others are not concerned");
    }

    #[test]
    fn many_at_once_gain_nothing_and_early_ones_cost_nothing() {
        let mut attempts = Attempts::default();
        let passed = (0..1000).filter(|n| attempts.begin("alice", elsewhere(*n), seconds(1)).is_ok()).count();
        assert_eq!(passed, 3);
        assert!(attempts.begin("alice", HERE, seconds(2)).is_ok(), "those that came early did not lengthen the wait");
    }

    #[test]
    fn one_address_cannot_try_name_after_name() {
        let mut attempts = Attempts::default();
        let passed = (0..100).filter(|n| attempts.begin(&format!("user{n}"), HERE, seconds(1)).is_ok()).count();
        assert_eq!(passed, 10);
        let mut attempts = Attempts::default();
        let of_one_network = |n: u64| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + u128::from(n)));
        let passed =
            (0..100).filter(|n| attempts.begin(&format!("user{n}"), of_one_network(*n), seconds(1)).is_ok()).count();
        assert_eq!(passed, 10, "an IPv6 network is one address");
    }

    #[test]
    fn a_right_one_frees_the_name_but_not_what_the_address_did_elsewhere() {
        let mut attempts = Attempts::default();
        for n in 0..9 {
            attempts.begin(&format!("user{n}"), HERE, seconds(1)).unwrap();
        }
        attempts.begin("mallory", HERE, seconds(1)).unwrap();
        attempts.succeeded("mallory", HERE);
        attempts.begin("alice", HERE, seconds(1)).unwrap();
        assert!(attempts.begin("carol", HERE, seconds(1)).is_err());
        for n in 0..3 {
            attempts.begin("dora", elsewhere(n), seconds(1)).unwrap();
        }
        attempts.succeeded("dora", elsewhere(2));
        assert!(attempts.begin("dora", elsewhere(9), seconds(1)).is_ok());
    }

    #[test]
    fn a_forgiven_one_counts_for_nothing_and_forgives_no_other() {
        let mut attempts = Attempts::default();
        for _ in 0..50 {
            attempts.begin("alice", HERE, seconds(1)).unwrap();
            attempts.forgive("alice", HERE);
        }
        for _ in 0..3 {
            attempts.begin("alice", HERE, seconds(1)).unwrap();
        }
        attempts.begin("alice", HERE, seconds(2)).unwrap();
        attempts.forgive("alice", HERE);
        attempts.begin("alice", HERE, seconds(2)).unwrap();
        assert!(attempts.begin("alice", HERE, seconds(2)).is_err(), "the three wrong ones stand");
    }

    #[test]
    fn quiet_ones_are_forgotten_and_memory_is_bounded() {
        let mut attempts = Attempts::default();
        for n in 0..4 {
            let _ = attempts.begin("alice", elsewhere(n), seconds(1 + u64::from(n)));
        }
        for n in 0..20_000 {
            let _ = attempts.begin(&format!("user{n}"), elsewhere(n), seconds(10));
        }
        assert!(attempts.names.counts.len() <= MOST && attempts.addresses.counts.len() <= MOST);
        assert!(attempts.names.counts.contains_key("alice"), "what somebody insists on is remembered");
        attempts.begin("alice", elsewhere(5), seconds(2000)).unwrap();
        assert_eq!(attempts.names.counts["alice"].failures, 1);
    }
}
