//! How much may be tried again: a share of the requests, so that retries never multiply an outage.
//!
//! Each request pays in, each retry takes out; a small reserve lets a quiet agent retry at all, and a cap keeps a busy
//! one from saving up for a storm. No clock: the share is of requests, not of time.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Cost of one retry; a request pays in the percentage.
const RETRY: i64 = 100;
/// Retries that may be taken before anything was paid in.
const RESERVE: i64 = 10;
/// Retries that can be saved up.
const SAVED: i64 = 100;

/// The retries that one agent's callers may still spend.
#[derive(Debug)]
pub struct RetryBudget {
    percent: AtomicI64,
    balance: AtomicI64,
}

impl RetryBudget {
    /// A budget of so many retries per hundred requests; zero allows none, not even the reserve.
    pub fn new(percent: u32) -> Self {
        let reserve = if percent == 0 { 0 } else { RESERVE * RETRY };
        Self { percent: AtomicI64::new(i64::from(percent)), balance: AtomicI64::new(reserve) }
    }

    /// Changes the share; what was saved up stays.
    pub fn set_percent(&self, percent: u32) {
        self.percent.store(i64::from(percent), Relaxed);
    }

    /// A first attempt was made.
    pub fn deposit(&self) {
        let percent = self.percent.load(Relaxed);
        let more = |balance: i64| (balance < SAVED * RETRY).then(|| (balance + percent).min(SAVED * RETRY));
        // An Err says that the budget is full.
        let _ = self.balance.fetch_update(Relaxed, Relaxed, more);
    }

    /// Takes one retry; `false` means that it must not be made.
    pub fn withdraw(&self) -> bool {
        self.balance.fetch_update(Relaxed, Relaxed, |b| (b >= RETRY).then_some(b - RETRY)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_retried_and_the_reserve() {
        let budget = RetryBudget::new(20);
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.deposit();
            // Everything fails and wants two more attempts.
            retries += usize::from(budget.withdraw()) + usize::from(budget.withdraw());
        }
        assert_eq!(retries, 200 + 10);
    }

    #[test]
    fn a_long_quiet_time_saves_up_no_storm() {
        let budget = RetryBudget::new(20);
        (0..100_000).for_each(|_| budget.deposit());
        let burst = (0..1_000).take_while(|_| budget.withdraw()).count();
        assert_eq!(burst, 100);
    }

    #[test]
    fn a_budget_of_zero_allows_no_retry() {
        let budget = RetryBudget::new(0);
        budget.deposit();
        assert!(!budget.withdraw());
    }
}
