//! Lock-free counts over a sliding window: ten buckets, each a single word with its age and two counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::clock::{Timestamp, micros};

const BUCKETS: usize = 10;
/// Windows counted at a time; a further one replaces the last.
const WINDOWS: usize = 4;
/// Bits of each count, which saturates at about a million.
const BITS: u32 = 20;
const MOST: u64 = (1 << BITS) - 1;
const AGES: u64 = (1 << (64 - 2 * BITS)) - 1;

/// Two kinds of events, counted together.
#[derive(Debug, Default)]
pub(crate) struct RollingWindow([AtomicU64; BUCKETS]);

/// The same events counted over several windows: names that share a target may use different window
/// lengths.
#[derive(Debug, Default)]
pub(crate) struct RollingWindows([(AtomicU64, RollingWindow); WINDOWS]);

/// Counts within a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WindowCounts {
    pub first: u64,
    pub second: u64,
}

impl RollingWindow {
    /// Adds `more` at `now`.
    pub(crate) fn add(&self, now: Timestamp, window: Duration, more: WindowCounts) {
        let age = age(now, window);
        let at = usize::try_from(age % BUCKETS as u64).unwrap_or_default();
        let Some(bucket) = self.0.get(at) else { return };
        let stamp = age & AGES;
        // The closure always returns a value, so the update cannot fail.
        let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let had =
                if word >> (2 * BITS) == stamp { counts(word) } else { WindowCounts::default() };
            let first = (had.first + more.first).min(MOST);
            let second = (had.second + more.second).min(MOST);
            Some((stamp << (2 * BITS)) | (first << BITS) | second)
        });
    }

    /// Counts within the last `window`.
    pub(crate) fn sum(&self, now: Timestamp, window: Duration) -> WindowCounts {
        let age = age(now, window);
        let mut sum = WindowCounts::default();
        for bucket in &self.0 {
            let word = bucket.load(Ordering::Relaxed);
            let back = (age & AGES).wrapping_sub(word >> (2 * BITS)) & AGES;
            if back < BUCKETS as u64 {
                let WindowCounts { first, second } = counts(word);
                sum.first += first;
                sum.second += second;
            }
        }
        sum
    }

    /// Resets all counts.
    pub(crate) fn clear(&self) {
        for bucket in &self.0 {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

impl RollingWindows {
    /// Adds `more` at `now`, to this window and to every other one in use.
    pub(crate) fn add(&self, now: Timestamp, window: Duration, more: WindowCounts) {
        self.of(window);
        for (known, tally) in &self.0 {
            match known.load(Ordering::Relaxed) {
                0 => break,
                known => tally.add(now, Duration::from_micros(known), more),
            }
        }
    }

    /// Counts within the last `window`, from its first use on.
    pub(crate) fn sum(&self, now: Timestamp, window: Duration) -> WindowCounts {
        self.of(window).map(|tally| tally.sum(now, window)).unwrap_or_default()
    }

    /// Resets all counts.
    pub(crate) fn clear(&self) {
        for (_, tally) in &self.0 {
            tally.clear();
        }
    }

    fn of(&self, window: Duration) -> Option<&RollingWindow> {
        let wanted = micros(window).max(1);
        for (known, tally) in &self.0 {
            let taken = known.compare_exchange(0, wanted, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() || taken == Err(wanted) {
                return Some(tally);
            }
        }
        let (known, tally) = self.0.last()?;
        known.store(wanted, Ordering::Relaxed);
        tally.clear();
        Some(tally)
    }
}

/// Number of the bucket that a timestamp falls into. Numbers start high enough for an empty bucket to be
/// too old to count.
fn age(now: Timestamp, window: Duration) -> u64 {
    now.0 / (micros(window) / BUCKETS as u64).max(1) + BUCKETS as u64
}

fn counts(word: u64) -> WindowCounts {
    WindowCounts { first: (word >> BITS) & MOST, second: word & MOST }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn a_window_slides() {
        let tally = RollingWindow::default();
        assert_eq!(tally.sum(at(0), WINDOW), WindowCounts::default());
        for second in 0..10 {
            tally.add(at(second), WINDOW, WindowCounts { first: 2, second: 1 });
        }
        assert_eq!(tally.sum(at(9), WINDOW), WindowCounts { first: 20, second: 10 });
        assert_eq!(tally.sum(at(12), WINDOW), WindowCounts { first: 14, second: 7 });
        assert_eq!(tally.sum(at(19), WINDOW), WindowCounts::default());
        tally.add(at(20), WINDOW, WindowCounts { first: 1, second: 0 });
        assert_eq!(tally.sum(at(20), WINDOW), WindowCounts { first: 1, second: 0 });
        tally.clear();
        assert_eq!(tally.sum(at(20), WINDOW), WindowCounts::default());
    }

    #[test]
    fn windows_are_counted_apart_and_a_new_one_finds_room() {
        let tallies = RollingWindows::default();
        let once = WindowCounts { first: 1, second: 0 };
        for seconds in 1..=WINDOWS as u64 {
            tallies.add(at(100), Duration::from_secs(10 * seconds), once);
        }
        assert_eq!(
            tallies.sum(at(100), WINDOW).first,
            WINDOWS as u64,
            "from when it was looked at"
        );
        assert_eq!(tallies.sum(at(115), WINDOW), WindowCounts::default());
        assert_eq!(tallies.sum(at(115), WINDOW * 2).first, WINDOWS as u64 - 1);
        tallies.add(at(115), WINDOW * 9, once);
        assert_eq!(tallies.sum(at(115), WINDOW * 9), once);
        assert_eq!(tallies.sum(at(115), WINDOW), once, "nobody else's is lost");
    }

    #[test]
    fn counts_do_not_run_over() {
        let tally = RollingWindow::default();
        tally.add(at(5), WINDOW, WindowCounts { first: MOST, second: MOST });
        tally.add(at(5), WINDOW, WindowCounts { first: 5, second: 5 });
        assert_eq!(tally.sum(at(5), WINDOW), WindowCounts { first: MOST, second: MOST });
    }
}
