//! What an operator may set about balancing; the names follow Envoy's outlier detection where it has one.

use std::time::Duration;

/// How an instance is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Two random instances; the one with the lower product of measured latency and open requests.
    #[default]
    P2cEwma,
    /// In turns, spread smoothly by weight.
    RoundRobin,
    /// The one with the fewest open requests for its weight.
    LeastConnections,
    /// By the request's key, so that what belongs together lands together.
    ConsistentHash,
}

impl Policy {
    /// The name that configuration and routes use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P2cEwma => "p2c_ewma",
            Self::RoundRobin => "round_robin",
            Self::LeastConnections => "least_connections",
            Self::ConsistentHash => "consistent_hash",
        }
    }
}

/// How one agent's instances are balanced.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How an instance is chosen.
    pub policy: Policy,
    /// How long a new, readmitted or revived instance takes to reach its full weight; zero switches the ramp off.
    pub slow_start: Duration,
    /// Failures in a row that eject an instance; zero switches this off.
    pub consecutive_failures: u32,
    /// An instance that succeeds less often than this is ejected; zero switches this off.
    pub success_rate_percent: u32,
    /// How many results the success rate needs before it is judged.
    pub success_samples: u32,
    /// How long the first ejection lasts; the n-th in a row lasts n times as long, at most 300 s.
    pub base_ejection: Duration,
    /// If more than this share of the instances is ejected, ejection is ignored.
    pub max_ejected_percent: u32,
    /// Time constant with which measured latency is forgotten.
    pub decay: Duration,
    /// The latency that an instance is credited with before it was measured.
    pub default_rtt: Duration,
    /// Under consistent hashing, no instance takes more than this multiple of its fair share of open requests.
    pub hash_factor: f64,
    /// Retries allowed, in percent of requests.
    pub retry_budget_percent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            slow_start: Duration::from_secs(30),
            consecutive_failures: 5,
            success_rate_percent: 50,
            success_samples: 20,
            base_ejection: Duration::from_secs(10),
            max_ejected_percent: 50,
            decay: Duration::from_secs(10),
            default_rtt: Duration::from_secs(1),
            hash_factor: 1.25,
            retry_budget_percent: 20,
        }
    }
}
