//! A number that rises when something may be worth less than before, and a bell for those who wait for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Rises with everything that may end a credential before its time: what was known under an older one is void.
#[derive(Clone, Default)]
pub struct Epoch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    number: AtomicU64,
    bell: Notify,
}

impl Epoch {
    /// The present one.
    pub fn now(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// Something ended.
    pub fn rise(&self) {
        self.0.number.fetch_add(1, Ordering::AcqRel);
        self.0.bell.notify_waiters();
    }

    /// Ready once it is another one than this.
    pub async fn after(self, number: u64) {
        loop {
            // Before the look, so that a rise in between rings.
            let rung = self.0.bell.notified();
            if self.now() != number {
                return;
            }
            rung.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_every_rise_since() {
        let epoch = Epoch::default();
        let now = epoch.now();
        let mut waiting = std::pin::pin!(epoch.clone().after(now));
        assert!((&mut waiting).now_or_never().is_none());
        epoch.rise();
        assert!((&mut waiting).now_or_never().is_some());
        assert!(epoch.clone().after(now).now_or_never().is_some(), "it was before anyone waited");
        assert!(epoch.clone().after(epoch.now()).now_or_never().is_none());
    }
}
