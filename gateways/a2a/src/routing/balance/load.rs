//! The measured load of one instance: peak-sensitive moving average of the time to the first event, and what is open.
//!
//! The average is tower's `PeakEwma`: a slower answer than the estimate replaces it at once, a faster one is blended in,
//! and with time the estimate fades, so that an instance that was slow is tried again. One thing is added: while requests
//! wait for their first event and none arrives, the estimate is at least as long as that silence. Without it the
//! estimate of an instance that swallows requests would fade to nothing, and it would be given more of them.
//!
//! The estimate and its time are one 64-bit word (f32 microseconds, u32 milliseconds that wrap), so an update is one
//! compare-and-swap.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use moongate_core::Mono;

/// Differences in latency below this (in microseconds) are noise and must not outweigh open requests.
const FLOOR: f64 = 1000.0;

#[derive(Debug)]
pub(super) struct Load {
    /// Open requests and streams.
    pending: AtomicU32,
    /// Those of them without a first event.
    waiting: AtomicU32,
    /// When the last event arrived, or the first of those who wait began to.
    progress: AtomicU64,
    estimate: AtomicU64,
}

fn pack(rtt: f64, at: Mono) -> u64 {
    (u64::from((rtt as f32).to_bits()) << 32) | u64::from(millis(at))
}

fn unpack(word: u64) -> (f64, u32) {
    (f64::from(f32::from_bits((word >> 32) as u32)), word as u32)
}

fn millis(at: Mono) -> u32 {
    (at.0 / 1000) as u32
}

/// How much of an old value remains.
fn fade(from: u32, now: Mono, decay: Duration) -> f64 {
    // An update by another thread may lie a moment ahead; that is no time at all, not 49 days.
    let elapsed = millis(now).wrapping_sub(from);
    let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
    (-f64::from(elapsed) / (decay.as_secs_f64() * 1e3).max(1e-9)).exp()
}

impl Load {
    pub(super) fn new(now: Mono, default_rtt: Duration) -> Self {
        Self {
            pending: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            progress: AtomicU64::new(now.0),
            estimate: AtomicU64::new(pack(default_rtt.as_secs_f64() * 1e6, now)),
        }
    }

    pub(super) fn pending(&self) -> u32 {
        self.pending.load(Relaxed)
    }

    /// A request begins.
    pub(super) fn open(&self, now: Mono) {
        self.pending.fetch_add(1, Relaxed);
        self.wait(now);
    }

    /// A request begins, if fewer than `room` are open.
    pub(super) fn try_open(&self, now: Mono, room: u32) -> bool {
        let opened = self.pending.fetch_update(Relaxed, Relaxed, |open| (open < room).then(|| open + 1)).is_ok();
        if opened {
            self.wait(now);
        }
        opened
    }

    fn wait(&self, now: Mono) {
        if self.waiting.fetch_add(1, Relaxed) == 0 {
            self.progress.fetch_max(now.0, Relaxed);
        }
    }

    /// A request has its first event, or ended without one.
    pub(super) fn answered(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// The instance did something.
    pub(super) fn progressed(&self, now: Mono) {
        self.progress.fetch_max(now.0, Relaxed);
    }

    /// A request or stream is over.
    pub(super) fn close(&self) {
        self.pending.fetch_sub(1, Relaxed);
    }

    /// Takes a measured or a penalised latency into the estimate.
    pub(super) fn observe(&self, rtt: Duration, now: Mono, decay: Duration) {
        let rtt = rtt.as_secs_f64() * 1e6;
        let blended = |word: u64| {
            let (old, at) = unpack(word);
            let kept = fade(at, now, decay);
            if rtt > old {
                return Some(pack(rtt, now));
            }
            // Within one millisecond nothing fades; leaving the word alone keeps the fraction for the next sample.
            (kept < 1.0).then(|| pack(old * kept + rtt * (1.0 - kept), now))
        };
        // An Err says that the closure left the word alone, which is its right.
        let _ = self.estimate.fetch_update(Relaxed, Relaxed, blended);
    }

    /// The estimated time to the first event, in microseconds.
    pub(super) fn estimate(&self, now: Mono, decay: Duration) -> f64 {
        let (rtt, at) = unpack(self.estimate.load(Relaxed));
        let faded = rtt * fade(at, now, decay);
        if self.waiting.load(Relaxed) == 0 {
            return faded;
        }
        let silence = now.since(Mono(self.progress.load(Relaxed)));
        faded.max(silence.as_secs_f64() * 1e6)
    }

    /// What one more request is expected to cost here.
    pub(super) fn cost(&self, now: Mono, decay: Duration) -> f64 {
        self.estimate(now, decay).max(FLOOR) * f64::from(self.pending().saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    /// `tower::load::peak_ewma::RttEstimate::update`, in its own units (nanoseconds, f64).
    struct Tower {
        rtt_ns: f64,
        at: u64,
    }

    impl Tower {
        fn update(&mut self, rtt_ns: f64, now_ns: u64) {
            self.rtt_ns = if self.rtt_ns < rtt_ns {
                rtt_ns
            } else {
                let decay = (-((now_ns - self.at) as f64) / 10e9).exp();
                self.rtt_ns * decay + rtt_ns * (1.0 - decay)
            };
            self.at = now_ns;
        }
    }

    #[test]
    fn the_estimate_follows_towers_peak_ewma() {
        let mut seed = 7_u64;
        let load = Load::new(Mono(0), Duration::from_secs(1));
        let mut tower = Tower { rtt_ns: 1e9, at: 0 };
        let mut now_ms = 0;
        for step in 0..2_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            now_ms += 1 + (seed >> 33) % 400;
            let rtt_us = 500 + (seed >> 20) % 90_000;
            load.observe(Duration::from_micros(rtt_us), Mono(now_ms * 1000), DECAY);
            tower.update(rtt_us as f64 * 1e3, now_ms * 1_000_000);
            let mine = load.estimate(Mono(now_ms * 1000), DECAY) * 1e3;
            let error = (mine - tower.rtt_ns).abs() / tower.rtt_ns;
            assert!(error < 1e-4, "step {step}: {mine} against {}", tower.rtt_ns);
        }
    }

    #[test]
    fn many_fast_answers_within_a_millisecond_still_lower_the_estimate() {
        let load = Load::new(Mono(0), Duration::from_secs(1));
        for step in 0..400_000_u64 {
            load.observe(Duration::from_millis(2), Mono(step * 100), DECAY);
        }
        let after_four_decays = load.estimate(Mono(40_000_000), DECAY);
        assert!(after_four_decays < 25_000.0, "{after_four_decays}");
    }

    #[test]
    fn silence_keeps_the_estimate_from_fading() {
        let load = Load::new(Mono(0), Duration::from_millis(10));
        load.open(Mono(0));
        let minute = Mono(60_000_000);
        assert!((load.estimate(minute, DECAY) - 60e6).abs() < 1.0);
        load.answered();
        load.close();
        assert!(load.estimate(minute, DECAY) < 100.0, "an idle instance is tried again");
    }

    #[test]
    fn the_clock_of_the_estimate_may_wrap() {
        let wrap = (u64::from(u32::MAX) - 5) * 1000;
        let load = Load::new(Mono(wrap), Duration::from_secs(1));
        let later = load.estimate(Mono(wrap + 10_000_000), DECAY);
        assert!((later - 1e6 * (-1.0_f64).exp()).abs() < 1e3, "{later}");
    }
}
