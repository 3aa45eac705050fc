//! Rate meter for a quota per minute, as one word: the timestamp at which all used units will have been
//! refilled. Taking units moves it forward, returning them moves it back, and the quota refills as time
//! passes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use access::limit::RateState;

use crate::clock::Timestamp;

/// Microseconds in a minute.
const MINUTE: u64 = 60_000_000;

/// The used part of a quota.
#[derive(Debug, Default)]
pub(super) struct RateMeter(AtomicU64);

impl RateMeter {
    /// Unused part of a minute's quota, in microseconds; negative if more was taken.
    pub(super) fn left(&self, now: Timestamp) -> i64 {
        let ahead = self.0.load(Ordering::Relaxed).saturating_sub(now.0);
        i64::try_from(MINUTE).unwrap_or(i64::MAX) - i64::try_from(ahead).unwrap_or(i64::MAX)
    }

    /// Whether this many units fit. A call larger than the whole quota fits an unused one.
    pub(super) fn fits(&self, now: Timestamp, units: u64, a_minute: u64) -> bool {
        let left = u64::try_from(self.left(now)).unwrap_or_default();
        cost(units, a_minute).min(MINUTE) <= left
    }

    /// The quota as headers state it.
    pub(super) fn state(&self, now: Timestamp, a_minute: u64) -> RateState {
        let left = u64::try_from(self.left(now)).unwrap_or_default();
        let remaining = u128::from(left) * u128::from(a_minute) / u128::from(MINUTE);
        let until = self.0.load(Ordering::Relaxed);
        RateState {
            limit: a_minute,
            remaining: u64::try_from(remaining).unwrap_or(u64::MAX),
            reset_after: Duration::from_micros(until.saturating_sub(now.0)),
        }
    }

    pub(super) fn take(&self, now: Timestamp, units: u64, a_minute: u64) {
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

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn a_quota_runs_out_and_refills() {
        let meter = RateMeter::default();
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
    fn its_state_tells_what_is_left_and_when_it_is_full_again() {
        let meter = RateMeter::default();
        let full = RateState { limit: 60, remaining: 60, reset_after: Duration::ZERO };
        assert_eq!(meter.state(at(100), 60), full);
        meter.take(at(100), 15, 60);
        let state = meter.state(at(105), 60);
        assert_eq!(
            state,
            RateState { remaining: 50, reset_after: Duration::from_secs(10), ..full }
        );
        meter.take(at(105), 600, 60);
        assert_eq!(meter.state(at(105), 60).remaining, 0);
    }

    #[test]
    fn unused_units_are_returned() {
        let meter = RateMeter::default();
        meter.take(at(5), 1000, 1000);
        assert!(!meter.fits(at(5), 1, 1000));
        meter.give_back(900, 1000);
        assert!(meter.fits(at(5), 900, 1000) && !meter.fits(at(5), 901, 1000));
        // Returning more than was taken gives no credit.
        meter.give_back(1_000_000, 1000);
        assert!(meter.fits(at(5), 1000, 1000));
        meter.take(at(5), 1, 1000);
        assert!(!meter.fits(at(5), 1000, 1000));
    }

    #[test]
    fn more_than_a_quota_fits_an_unused_one() {
        let meter = RateMeter::default();
        assert!(meter.fits(at(9), 5000, 1000));
        meter.take(at(9), 5000, 1000);
        assert!(!meter.fits(at(60), 1, 1000) && meter.left(at(60)) < 0);
    }
}
