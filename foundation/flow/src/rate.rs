//! How many requests in a second: of one caller, of all callers of another domain, of one address of another machine.
//!
//! Each of them has a bucket (GCRA: one number, the moment at which it would be full again). A request that finds its
//! bucket empty is refused with the time after which it would not be, and takes nothing out of it: whoever goes on asking
//! is not shut out for longer.
//!
//! - The caller's own bucket is asked first, so that one noisy caller does not use up what its domain has.
//! - Callers on this machine share one name, `local`, and so one bucket; their address and domain are not counted.
//!   Operators are not counted at all: they must get in while others flood.
//! - The table is bounded. Full buckets need no place in it and leave when it runs short of room; if none is full, whoever
//!   is new shares one bucket with all others who are, until there is room again.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moongate_core::problem::Retry;
use moongate_core::{Code, Mono, Principal, PrincipalKind, Problem};
use parking_lot::Mutex;

/// Buckets that are remembered at once, in all.
const MOST: usize = 65_536;
const SHARDS: usize = 16;
/// A table without room is looked over so often.
const TIDY: Duration = Duration::from_millis(100);

/// How fast, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds from one request to the next.
    interval: u64,
    /// Nanoseconds by which requests may come too early.
    tolerance: u64,
}

impl Rate {
    /// So many in a second, and what comes in so many seconds at once; at least one request.
    pub fn new(per_second: u32, burst: Duration) -> Self {
        let interval = 1_000_000_000 / u64::from(per_second.max(1));
        let whole = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        Self { interval, tolerance: whole.saturating_sub(interval) }
    }

    /// Takes one request out of a bucket that is full again at `full_at`; then it is so at what is returned.
    ///
    /// # Errors
    /// It is empty; how long until it is not.
    fn take(self, full_at: u64, now: u64) -> Result<u64, Duration> {
        let early = full_at.saturating_sub(now);
        if early > self.tolerance {
            return Err(Duration::from_nanos(early - self.tolerance));
        }
        Ok(full_at.max(now).saturating_add(self.interval))
    }
}

/// The operator's limits; `None` does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of one caller.
    pub caller: Option<Rate>,
    /// Of all callers of one other domain.
    pub domain: Option<Rate>,
    /// Of one address of another machine; of IPv6, of one /64.
    pub address: Option<Rate>,
}

/// Whose bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose<'a> {
    Caller(&'a str, &'a str),
    Domain(&'a str),
    Address(IpAddr),
}

impl Whose<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::Caller(..) => "the caller",
            Self::Domain(_) => "the caller's domain",
            Self::Address(_) => "the caller's address",
        }
    }
}

/// Counts requests.
pub struct Meter {
    /// The gateway's own domain.
    home: Arc<str>,
    /// The limits; swapped as a whole on reload. What was counted stays.
    pub rates: ArcSwap<Rates>,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

impl Meter {
    /// Counts for the gateway of that domain.
    pub fn new(home: &str, rates: Rates) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { home: home.into(), rates: ArcSwap::from_pointee(rates), shards, hasher: RandomState::new() }
    }

    /// The domain of this gateway.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// Lets a request through, or not.
    ///
    /// # Errors
    /// `RateLimited`, with the time after which to come again.
    pub fn admit(&self, who: &Principal, from: IpAddr, now: Mono) -> Result<(), Problem> {
        let rates = self.rates.load();
        if **rates == Rates::default() || who.kind == PrincipalKind::Operator {
            return Ok(());
        }
        let ip = network(from);
        let away = who.domain != self.home;
        let counted = [
            (rates.caller, Some(Whose::Caller(&who.domain, &who.id))),
            (rates.domain, away.then_some(Whose::Domain(&who.domain))),
            (rates.address, (!ip.is_loopback()).then_some(Whose::Address(ip))),
        ];
        for (rate, whose) in counted.into_iter().filter_map(|(rate, whose)| Some((rate?, whose?))) {
            self.take(whose, rate, now).map_err(|wait| limited(whose, wait))?;
        }
        Ok(())
    }

    fn take(&self, whose: Whose<'_>, rate: Rate, now: Mono) -> Result<(), Duration> {
        let key = self.hasher.hash_one(whose);
        let place = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else { return Ok(()) };
        shard.lock().take(key, whose, rate, now.0.saturating_mul(1000))
    }
}

/// A part of the table.
#[derive(Default)]
struct Shard {
    /// By whose they are: when they are full again.
    buckets: HashMap<u64, u64>,
    /// The buckets of those who found no place: of callers, domains, addresses.
    crowd: [u64; 3],
    tidied: u64,
}

impl Shard {
    fn take(&mut self, key: u64, whose: Whose<'_>, rate: Rate, now: u64) -> Result<(), Duration> {
        if let Some(full_at) = self.buckets.get_mut(&key) {
            *full_at = rate.take(*full_at, now)?;
            return Ok(());
        }
        if self.buckets.len() >= MOST / SHARDS {
            self.tidy(now);
        }
        if self.buckets.len() < MOST / SHARDS {
            self.buckets.insert(key, rate.take(now, now)?);
            return Ok(());
        }
        let [callers, domains, addresses] = &mut self.crowd;
        let shared = match whose {
            Whose::Caller(..) => callers,
            Whose::Domain(_) => domains,
            Whose::Address(_) => addresses,
        };
        *shared = rate.take(*shared, now)?;
        Ok(())
    }

    fn tidy(&mut self, now: u64) {
        let pause = u64::try_from(TIDY.as_nanos()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.tidied) >= pause {
            self.buckets.retain(|_, full_at| *full_at > now);
            self.tidied = now;
        }
    }
}

/// What one customer of a provider has: an IPv4 address, an IPv6 network of 64 bits.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => IpAddr::V6((six.to_bits() & !u128::from(u64::MAX)).into()),
        other => other,
    }
}

fn limited(whose: Whose<'_>, wait: Duration) -> Problem {
    // Whole seconds, rounded up: who comes then is let in.
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let words = format!("too many requests of {}; come again in {seconds} s", whose.word());
    Problem::new(Code::RateLimited, words).retry(Retry::Later(Some(Duration::from_secs(seconds))))
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("home", &self.home).field("rates", &self.rates).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
