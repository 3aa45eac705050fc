//! A quota of so many a minute, as one word: the moment at which all that was taken will have been
//! refilled. What is taken moves it ahead, what is given back moves it back, time does the rest.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::routing::moment::Moment;

/// Microseconds.
const MINUTE: u64 = 60_000_000;

/// What was taken from a quota.
#[derive(Debug, Default)]
pub(super) struct Meter(AtomicU64);

impl Meter {
    /// What of a minute's quota is left, in microseconds of it; negative when more was taken.
    pub(super) fn left(&self, now: Moment) -> i64 {
        let ahead = self.0.load(Ordering::Relaxed).saturating_sub(now.0);
        i64::try_from(MINUTE).unwrap_or(i64::MAX) - i64::try_from(ahead).unwrap_or(i64::MAX)
    }

    /// Whether so many units of a quota can be taken. More than a whole quota fits where nothing is taken.
    pub(super) fn fits(&self, now: Moment, units: u64, a_minute: u64) -> bool {
        let left = u64::try_from(self.left(now)).unwrap_or_default();
        cost(units, a_minute).min(MINUTE) <= left
    }

    pub(super) fn take(&self, now: Moment, units: u64, a_minute: u64) {
        let cost = cost(units, a_minute);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
            Some(until.max(now.0).saturating_add(cost))
        });
    }

    pub(super) fn give_back(&self, units: u64, a_minute: u64) {
        let cost = cost(units, a_minute);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
            Some(until.saturating_sub(cost))
        });
    }
}

fn cost(units: u64, a_minute: u64) -> u64 {
    let cost = u128::from(units) * u128::from(MINUTE) / u128::from(a_minute.max(1));
    u64::try_from(cost).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    #[test]
    fn a_quota_runs_out_and_refills() {
        let meter = Meter::default();
        for taken in 0..60 {
            assert!(meter.fits(at(100), 1, 60), "{taken}");
            meter.take(at(100), 1, 60);
        }
        assert!(!meter.fits(at(100), 1, 60));
        assert!(meter.fits(at(101), 1, 60));
        assert!(!meter.fits(at(101), 2, 60));
        assert!(meter.fits(at(160), 60, 60));
    }

    #[test]
    fn what_was_not_used_comes_back() {
        let meter = Meter::default();
        meter.take(at(5), 1000, 1000);
        assert!(!meter.fits(at(5), 1, 1000));
        meter.give_back(900, 1000);
        assert!(meter.fits(at(5), 900, 1000) && !meter.fits(at(5), 901, 1000));
        // More than was ever taken is no credit.
        meter.give_back(1_000_000, 1000);
        assert!(meter.fits(at(5), 1000, 1000));
        meter.take(at(5), 1, 1000);
        assert!(!meter.fits(at(5), 1000, 1000));
    }

    #[test]
    fn more_than_a_quota_goes_when_nothing_is_taken() {
        let meter = Meter::default();
        assert!(meter.fits(at(9), 5000, 1000));
        meter.take(at(9), 5000, 1000);
        assert!(!meter.fits(at(60), 1, 1000) && meter.left(at(60)) < 0);
    }
}
