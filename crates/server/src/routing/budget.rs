//! How many retries there may be: a share of the calls of the last seconds, and a few always. It bounds
//! what a failing upstream can make of our load, whatever each call may do for itself.

use super::moment::Moment;
use super::settings::Retries;
use super::tally::{Counts, Tally};

/// Calls and retries of one name.
#[derive(Debug, Default)]
pub(crate) struct Budget(Tally);

impl Budget {
    /// A client's call.
    pub(crate) fn called(&self, now: Moment, retries: &Retries) {
        self.0.add(now, retries.budget_window, Counts { first: 1, second: 0 });
    }

    /// Whether there could be one more retry.
    pub(crate) fn has_more(&self, now: Moment, retries: &Retries) -> bool {
        let Counts { first: calls, second: spent } = self.0.sum(now, retries.budget_window);
        let always = u64::from(retries.budget_floor) * retries.budget_window.as_secs().max(1);
        let allowed = calls * u64::from(retries.budget.0) / 1000 + always;
        spent < allowed
    }

    /// Whether there may be one more retry; it is counted if so.
    pub(crate) fn spend(&self, now: Moment, retries: &Retries) -> bool {
        let fits = self.has_more(now, retries);
        if fits {
            self.0.add(now, retries.budget_window, Counts { first: 0, second: 1 });
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::settings::Thousandths;

    #[test]
    fn retries_are_a_share_of_the_calls_and_a_few_always() {
        let retries = Retries { budget: Thousandths(200), budget_floor: 1, ..Retries::default() };
        let (budget, now) = (Budget::default(), Moment(1_000_000));
        assert_eq!((0..100).filter(|_| budget.spend(now, &retries)).count(), 10, "the floor");
        for _ in 0..1000 {
            budget.called(now, &retries);
        }
        assert_eq!((0..1000).filter(|_| budget.spend(now, &retries)).count(), 200);
        let later = Moment(20_000_000);
        assert_eq!((0..100).filter(|_| budget.spend(later, &retries)).count(), 10);
    }

    #[test]
    fn a_budget_may_be_nothing() {
        let retries = Retries { budget: Thousandths(0), budget_floor: 0, ..Retries::default() };
        let (budget, now) = (Budget::default(), Moment(1));
        budget.called(now, &retries);
        assert!(!budget.spend(now, &retries));
    }
}
