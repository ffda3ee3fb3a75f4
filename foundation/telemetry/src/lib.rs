//! What the gateway tells about itself: metrics, traces and logs, and the only clock that the other rooms see.
//!
//! - [`clock`]: the system's time, behind the seam `core::seam::Clock`.
//! - [`metrics`]: counters, gauges and histograms, written by atomics, read as OpenMetrics text.
//! - [`recent`]: the last minutes in numbers.
//! - [`trace`]: W3C trace context: which trace a request belongs to and how its header reads.
//! - [`otlp`]: spans to a collector, by OTLP over HTTP.
//! - [`feed`]: what happens, for whoever watches.
//! - [`log`]: lines on standard error, for people or as JSON.
//!
//! [`Telemetry`] joins them behind `core::seam::Recorder`. What is recorded is decided elsewhere: this room takes an
//! [`Entry`](moongate_core::Entry) as it comes and must not hold up the request that made it.

pub mod clock;
pub mod feed;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod recent;
mod recorder;
pub mod trace;

pub use clock::SystemClock;
pub use feed::Feed;
pub use metrics::Metrics;
pub use otlp::{Exporter, ExporterConfig};
pub use recorder::Telemetry;
