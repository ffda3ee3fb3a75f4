//! The egress guard as the configuration has it now.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moongate_config::Config;
use moongate_core::Problem;
use moongate_core::seam::Egress;
use moongate_identity::EgressGuard;

/// A guard that a reload may replace.
pub(crate) struct SwappableEgress {
    current: ArcSwap<EgressGuard>,
    own: Vec<SocketAddr>,
}

impl SwappableEgress {
    /// The guard of a configuration; the gateway's own listeners are never called.
    pub(crate) fn new(config: &Config, own: Vec<SocketAddr>) -> Self {
        let guard = EgressGuard::new(config.egress.allow.clone()).without_own(own.clone());
        Self { current: ArcSwap::from_pointee(guard), own }
    }

    /// Takes over a changed configuration.
    pub(crate) fn replace(&self, config: &Config) {
        let guard = EgressGuard::new(config.egress.allow.clone()).without_own(self.own.clone());
        self.current.store(Arc::new(guard));
    }
}

impl Egress for SwappableEgress {
    fn judge_url(&self, url: &str) -> Result<(), Problem> {
        self.current.load().judge_url(url)
    }

    fn allows(&self, address: SocketAddr, secure: bool) -> bool {
        self.current.load().allows(address, secure)
    }
}
