//! The waker that a connection's driver keeps: it wakes whichever task reads at present, and nobody while that task is
//! itself taking something from the driver's channels.
//!
//! Taking a frame tells the driver "there is room", by its waker. The driver lives in the same task, which is running
//! and asks the driver again before it rests; without the hush each answer would cost one more turn of the scheduler.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

#[derive(Debug, Default)]
pub(crate) struct Relay {
    task: AtomicWaker,
    hushed: AtomicBool,
    missed: AtomicBool,
}

impl Relay {
    /// Wakes this task from now on.
    pub(crate) fn lead_to(&self, task: &Waker) {
        self.task.register(task);
        self.missed.store(false, Ordering::SeqCst);
    }

    /// Wakes nobody from now on.
    pub(crate) fn lead_nowhere(&self) {
        drop(self.task.take());
    }

    /// Does something without being woken by it. What came meanwhile is told by [`Relay::missed`].
    pub(crate) fn hush<T>(&self, doing: impl FnOnce() -> T) -> T {
        self.hushed.store(true, Ordering::SeqCst);
        let done = doing();
        self.hushed.store(false, Ordering::SeqCst);
        done
    }

    /// Whether the driver was called since [`Relay::lead_to`] while hushed.
    pub(crate) fn missed(&self) -> bool {
        self.missed.load(Ordering::SeqCst)
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.hushed.load(Ordering::SeqCst) {
            self.missed.store(true, Ordering::SeqCst);
            // If the hush has ended meanwhile, its owner may have looked before the line above.
            if self.hushed.load(Ordering::SeqCst) {
                return;
            }
        }
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn calls_reach_the_present_task_and_none_gets_lost_in_a_hush() {
        let (relay, count) = (Arc::new(Relay::default()), Arc::new(Count::default()));
        let (driver, task) = (Waker::from(Arc::clone(&relay)), Waker::from(Arc::clone(&count)));
        relay.lead_to(&task);
        relay.hush(|| driver.wake_by_ref());
        assert_eq!((count.0.load(Ordering::SeqCst), relay.missed()), (0, true));
        relay.lead_to(&task);
        assert!(!relay.missed());
        driver.wake_by_ref();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        relay.lead_to(&task);
        relay.lead_nowhere();
        driver.wake_by_ref();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_call_of_another_thread_is_either_delivered_or_seen() {
        for _ in 0..2000 {
            let (relay, count) = (Arc::new(Relay::default()), Arc::new(Count::default()));
            let driver = Waker::from(Arc::clone(&relay));
            relay.lead_to(&Waker::from(Arc::clone(&count)));
            let caller = std::thread::spawn(move || driver.wake());
            relay.hush(|| ());
            let seen = relay.missed();
            caller.join().unwrap();
            assert!(seen || count.0.load(Ordering::SeqCst) == 1);
        }
    }
}
