//! Retry budget of a name: a share of the calls in the window, plus a fixed floor. It bounds the load that
//! retries add while an upstream fails, on top of the limit of each single call.

use super::clock::Timestamp;
use super::rolling_window::{RollingWindow, WindowCounts};
use super::settings::Retries;

/// Calls and retries of one name.
#[derive(Debug, Default)]
pub(crate) struct RetryBudget(RollingWindow);

impl RetryBudget {
    /// Counts a client's call.
    pub(crate) fn called(&self, now: Timestamp, retries: &Retries) {
        self.0.add(now, retries.budget_window, WindowCounts { first: 1, second: 0 });
    }

    /// Whether one more retry is allowed.
    pub(crate) fn has_more(&self, now: Timestamp, retries: &Retries) -> bool {
        let WindowCounts { first: calls, second: spent } = self.0.sum(now, retries.budget_window);
        let always = u64::from(retries.budget_floor) * retries.budget_window.as_secs().max(1);
        let allowed = calls * u64::from(retries.budget.0) / 1000 + always;
        spent < allowed
    }

    /// Whether one more retry is allowed; counts it if so.
    pub(crate) fn spend(&self, now: Timestamp, retries: &Retries) -> bool {
        let fits = self.has_more(now, retries);
        if fits {
            self.0.add(now, retries.budget_window, WindowCounts { first: 0, second: 1 });
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Thousandths;

    #[test]
    fn retries_are_limited_to_a_share_of_the_calls_plus_a_floor() {
        let retries = Retries { budget: Thousandths(200), budget_floor: 1, ..Retries::default() };
        let (budget, now) = (RetryBudget::default(), Timestamp(1_000_000));
        assert_eq!((0..100).filter(|_| budget.spend(now, &retries)).count(), 10, "the floor");
        for _ in 0..1000 {
            budget.called(now, &retries);
        }
        assert_eq!((0..1000).filter(|_| budget.spend(now, &retries)).count(), 200);
        let later = Timestamp(20_000_000);
        assert_eq!((0..100).filter(|_| budget.spend(later, &retries)).count(), 10);
    }

    #[test]
    fn a_zero_budget_allows_no_retries() {
        let retries = Retries { budget: Thousandths(0), budget_floor: 0, ..Retries::default() };
        let (budget, now) = (RetryBudget::default(), Timestamp(1));
        budget.called(now, &retries);
        assert!(!budget.spend(now, &retries));
    }
}
