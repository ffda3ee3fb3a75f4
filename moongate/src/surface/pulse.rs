//! How busy the gateway has been in the last minutes. One task of the program takes the samples.

use std::time::Duration;

use moongate_console::frame::overview::Traffic;
use moongate_core::seam::Clock;
use moongate_core::{Mono, Time};
use moongate_telemetry::Metrics;
use moongate_telemetry::recent::{Recent, STEP};
use parking_lot::Mutex;

/// The samples, and since when there are any.
pub(crate) struct Pulse {
    recent: Mutex<Recent>,
    pub(crate) started_at: Time,
}

impl Pulse {
    /// From now on.
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self { recent: Mutex::default(), started_at: clock.now() }
    }

    /// Takes samples for as long as the gateway runs.
    pub(crate) async fn tend(&self, metrics: &Metrics, clock: &dyn Clock) {
        let mut interval = tokio::time::interval(STEP);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.recent.lock().push(clock.mono(), metrics.sample());
        }
    }

    /// The last minutes, this moment included.
    pub(super) fn traffic(&self, metrics: &Metrics, now: Mono) -> Traffic {
        let glance = self.recent.lock().glance(now, metrics.sample());
        Traffic {
            seconds: glance.span.as_secs_f64(),
            requests: glance.requests,
            failures: glance.failures,
            p50_ms: glance.p50_ms.map(rounded),
            p99_ms: glance.p99_ms.map(rounded),
            rates: glance.rates.into_iter().map(rounded).collect(),
            failure_rates: glance.failure_rates.into_iter().map(rounded).collect(),
        }
    }
}

/// To a thousandth.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// For how long before its end a list is said to run out.
pub(super) const SOON: Duration = Duration::from_secs(60 * 60);
