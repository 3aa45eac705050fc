//! Counts over a sliding window, without a lock: ten buckets, each one word that holds its age and two
//! counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::moment::{Moment, micros};

const BUCKETS: usize = 10;
/// Bits of each count. A million calls in a bucket are counted as a million.
const BITS: u32 = 20;
const MOST: u64 = (1 << BITS) - 1;
const AGES: u64 = (1 << (64 - 2 * BITS)) - 1;

/// Two kinds of things, counted together.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; BUCKETS]);

/// What was counted in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) first: u64,
    pub(crate) second: u64,
}

impl Tally {
    /// Counts `more` now.
    pub(crate) fn add(&self, now: Moment, window: Duration, more: Counts) {
        let age = age(now, window);
        let at = usize::try_from(age % BUCKETS as u64).unwrap_or_default();
        let Some(bucket) = self.0.get(at) else { return };
        let stamp = age & AGES;
        // It always gives a value, so it never fails.
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let had = if word >> (2 * BITS) == stamp { counts(word) } else { Counts::default() };
            let first = (had.first + more.first).min(MOST);
            let second = (had.second + more.second).min(MOST);
            Some((stamp << (2 * BITS)) | (first << BITS) | second)
        });
    }

    /// What the last `window` holds.
    pub(crate) fn sum(&self, now: Moment, window: Duration) -> Counts {
        let age = age(now, window);
        let mut sum = Counts::default();
        for bucket in &self.0 {
            let word = bucket.load(Ordering::Relaxed);
            let back = (age & AGES).wrapping_sub(word >> (2 * BITS)) & AGES;
            if back < BUCKETS as u64 {
                let Counts { first, second } = counts(word);
                sum.first += first;
                sum.second += second;
            }
        }
        sum
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for bucket in &self.0 {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

/// Which bucket of all time a moment falls into. It begins where an empty bucket is too old to count.
fn age(now: Moment, window: Duration) -> u64 {
    now.0 / (micros(window) / BUCKETS as u64).max(1) + BUCKETS as u64
}

fn counts(word: u64) -> Counts {
    Counts { first: (word >> BITS) & MOST, second: word & MOST }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    #[test]
    fn a_window_slides() {
        let tally = Tally::default();
        assert_eq!(tally.sum(at(0), WINDOW), Counts::default());
        for second in 0..10 {
            tally.add(at(second), WINDOW, Counts { first: 2, second: 1 });
        }
        assert_eq!(tally.sum(at(9), WINDOW), Counts { first: 20, second: 10 });
        assert_eq!(tally.sum(at(12), WINDOW), Counts { first: 14, second: 7 });
        assert_eq!(tally.sum(at(19), WINDOW), Counts::default());
        tally.add(at(20), WINDOW, Counts { first: 1, second: 0 });
        assert_eq!(tally.sum(at(20), WINDOW), Counts { first: 1, second: 0 });
        tally.clear();
        assert_eq!(tally.sum(at(20), WINDOW), Counts::default());
    }

    #[test]
    fn counts_do_not_run_over() {
        let tally = Tally::default();
        tally.add(at(5), WINDOW, Counts { first: MOST, second: MOST });
        tally.add(at(5), WINDOW, Counts { first: 5, second: 5 });
        assert_eq!(tally.sum(at(5), WINDOW), Counts { first: MOST, second: MOST });
    }
}
