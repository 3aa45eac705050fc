//! State of the second calls of one name: the credit that bounds them, and the waits from which a late call
//! is told. Both are atomics, because every call of the name touches them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::clock::micros;
use super::settings::{Hedge, HedgeDelay};

/// Thousandths of a call that one second call costs.
const CALL: u32 = 1_000;
/// Most second calls that can be saved up.
const SAVED: u32 = 10 * CALL;
/// Buckets of the distribution: four for each power of two of microseconds, up to 18 minutes.
const BUCKETS: usize = 30 * 4;
/// Samples before a percentile is told.
const ENOUGH: u64 = 20;
/// Samples after which all counts are halved, so that old ones fade.
const FADE: u64 = 1_024;

/// Credit and waits of one name; a reload keeps them.
#[derive(Debug, Default)]
pub(crate) struct Hedging {
    /// In thousandths of a call. It begins at zero, so that the share holds from the first call on.
    credit: AtomicU32,
    waits: Waits,
}

impl Hedging {
    /// Counts a call of the name.
    pub(crate) fn called(&self, hedge: &Hedge) {
        let share = hedge.max_extra.0;
        let _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |had| {
            (had < SAVED).then(|| (had + share).min(SAVED))
        });
    }

    /// Takes the credit of a second call, if there is enough.
    pub(crate) fn take(&self) -> bool {
        let taken = self
            .credit
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |had| had.checked_sub(CALL));
        taken.is_ok()
    }

    /// Gives back the credit of a second call that was not made.
    pub(crate) fn give_back(&self) {
        let _ = self.credit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |had| {
            Some((had + CALL).min(SAVED))
        });
    }

    /// Records the wait for the beginning of an answer; of a call that was given up, the wait so far.
    pub(crate) fn waited(&self, hedge: &Hedge, wait: Duration) {
        match hedge.after {
            HedgeDelay::Fixed(_) => {}
            HedgeDelay::Percentile(_) => self.waits.add(wait),
        }
    }

    /// The wait after which a call is late; `None` while it is not known.
    pub(crate) fn delay(&self, hedge: &Hedge) -> Option<Duration> {
        match hedge.after {
            HedgeDelay::Fixed(delay) => Some(delay),
            HedgeDelay::Percentile(percentage) => self.waits.percentile(percentage),
        }
    }
}

/// A distribution of waits. Counts that are changed at the same time as they are halved may be off by one.
#[derive(Debug)]
struct Waits {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU64,
}

impl Default for Waits {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU32::new(0)), total: AtomicU64::new(0) }
    }
}

impl Waits {
    fn add(&self, wait: Duration) {
        if let Some(count) = self.counts.get(bucket(micros(wait))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 >= FADE {
            self.fade();
        }
    }

    fn fade(&self) {
        let mut total = 0;
        for count in &self.counts {
            let had = count.load(Ordering::Relaxed);
            count.fetch_sub(had - had / 2, Ordering::Relaxed);
            total += u64::from(had / 2);
        }
        self.total.store(total, Ordering::Relaxed);
    }

    fn percentile(&self, percentage: u8) -> Option<Duration> {
        let counts = self.counts.each_ref().map(|count| u64::from(count.load(Ordering::Relaxed)));
        let total: u64 = counts.iter().sum();
        if total < ENOUGH {
            return None;
        }
        let rank = (total * u64::from(percentage)).div_ceil(100).max(1);
        let mut below = 0;
        let at = counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(Duration::from_micros(upper_bound(at)))
    }
}

/// The bucket of a wait: its highest bit and the two bits after it.
fn bucket(wait: u64) -> usize {
    let wait = wait.max(4);
    let highest = u64::from(wait.ilog2());
    let part = (wait >> (highest - 2)) & 3;
    let at = (highest - 2) * 4 + part;
    usize::try_from(at).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The shortest wait above those of a bucket.
fn upper_bound(at: usize) -> u64 {
    let at = at as u64;
    (5 + at % 4) << (at / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Thousandths;

    #[test]
    fn second_calls_stay_within_their_share_of_the_calls() {
        let hedge = Hedge { max_extra: Thousandths(50), ..Hedge::default() };
        let hedging = Hedging::default();
        assert!(!hedging.take(), "no call was counted");
        let mut made = 0;
        for calls in 1..=1_000_u32 {
            hedging.called(&hedge);
            made += u32::from(hedging.take());
            assert!(made * 20 <= calls, "{made} of {calls}");
        }
        assert_eq!(made, 50);
        for _ in 0..100_000 {
            hedging.called(&hedge);
        }
        assert_eq!((0..100).filter(|_| hedging.take()).count(), 10, "what is saved up is bounded");
        hedging.give_back();
        assert!(hedging.take() && !hedging.take());
    }

    #[test]
    fn a_percentile_is_known_after_enough_calls_and_follows_them() {
        let hedge = Hedge::default();
        let hedging = Hedging::default();
        let ms = Duration::from_millis;
        for _ in 0..19 {
            hedging.waited(&hedge, ms(100));
        }
        assert_eq!(hedging.delay(&hedge), None);
        hedging.waited(&hedge, ms(100));
        let near = |expected: Duration| {
            let delay = hedging.delay(&hedge).unwrap();
            assert!(delay > expected && delay <= expected * 5 / 4 + ms(1), "{delay:?}");
        };
        near(ms(100));
        for _ in 0..10 {
            hedging.waited(&hedge, ms(2_000));
        }
        near(ms(2_000));
        for _ in 0..10_000 {
            hedging.waited(&hedge, ms(10));
        }
        near(ms(10));
        let fixed = Hedge { after: HedgeDelay::Fixed(ms(800)), ..hedge };
        assert_eq!(Hedging::default().delay(&fixed), Some(ms(800)));
    }

    #[test]
    fn every_wait_lies_below_the_bound_of_its_bucket() {
        for wait in [0, 1, 4, 5, 7, 8, 9, 100, 1_000, 123_456, 1_000_000_000] {
            let at = bucket(wait);
            assert!(wait < upper_bound(at), "{wait}");
            assert!(at == 0 || wait >= upper_bound(at - 1), "{wait}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
